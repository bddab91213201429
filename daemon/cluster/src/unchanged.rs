//! Which objects are in the cluster just as they would be applied, so that they
//! need not be. What the cluster has is compared, not what we remember of it.
//!
//! Applying changes nothing when the fields that the manifest sets are just those
//! that our field manager owns, and have the same values. Whoever changes such a
//! field takes it from us; whoever changes another one does not matter to us. So
//! changes from outside are found here, and then applied over or reported as
//! conflicts, as ever. A doubt is a difference: applying is always right.

use std::collections::{HashMap, HashSet};

use futures::stream::{self, StreamExt};
use serde_json::{Map, Value};

use crate::FIELD_MANAGER;
use crate::client::Session;
use crate::discovery::Resource;
use crate::fields::{is_leaving, items, name, text, text_or_empty};
use crate::listing::Scope;
use crate::prepare::{Draft, ours};

/// Objects of one kind in a namespace from which on they are listed. Fewer are
/// applied or asked for one by one, at the same time, with as little effort.
pub(crate) const LIST_FROM: usize = 4;

/// Objects of others under our label that are looked through for each of ours.
/// Many environments in one namespace are many; ten times as many answers as
/// questions are not worth it any more.
const OTHERS_PER_OBJECT: usize = 10;

/// Collections that are read at a time. They are independent questions, so that
/// a server far away is waited for once and not for every kind; each costs the
/// memory of a page's text, a megabyte or two.
const LISTS: usize = 8;

/// Objects of one rank, in the order in which they are applied.
pub(crate) type Stage = Vec<(Resource, Draft)>;

/// Objects of one kind in a namespace, by name, each with its stage and its place
/// in it.
type Group<'a> = HashMap<&'a str, (usize, usize, &'a Value)>;

impl Session {
    /// For each stage the places of objects that are in the cluster as they would
    /// be applied. What can't be listed is none of them.
    pub(crate) async fn unchanged(
        &self,
        stages: &[Stage],
        fresh: &HashSet<String>,
    ) -> Vec<HashSet<usize>> {
        let mut groups: HashMap<(&Resource, &str), Group<'_>> = HashMap::new();
        for (number, stage) in stages.iter().enumerate() {
            for (index, (resource, draft)) in stage.iter().enumerate() {
                // Without a namespace there are few, and what comes next waits for them.
                let Some(namespace) = draft.reference.namespace.as_deref() else { continue };
                if !fresh.contains(namespace) && !is_settled_after(resource) {
                    let group = groups.entry((resource, namespace)).or_default();
                    group.insert(&draft.reference.name, (number, index, &draft.object));
                }
            }
        }
        groups.retain(|_, group| group.len() >= LIST_FROM);
        let looks: Vec<_> = groups
            .into_iter()
            .map(|((resource, namespace), group)| async move {
                let scope = Scope::all(resource, Some(namespace)).with_labels(ours());
                self.as_applied(&scope, &group).await
            })
            .collect();
        let at_a_time = LISTS.min(self.options.parallel.max(1));
        let mut found = stream::iter(looks).buffer_unordered(at_a_time);
        let mut unchanged = vec![HashSet::new(); stages.len()];
        while let Some(places) = found.next().await {
            for (number, index) in places {
                if let Some(stage) = unchanged.get_mut(number) {
                    stage.insert(index);
                }
            }
        }
        unchanged
    }

    /// Page by page, so that no more than a page of it is in memory.
    async fn as_applied(&self, scope: &Scope, group: &Group<'_>) -> Vec<(usize, usize)> {
        let mut places = Vec::with_capacity(group.len());
        let (mut next, mut looked_at, mut found) = (String::new(), 0, 0);
        loop {
            let begun = places.len();
            let look = |live: Value| {
                looked_at += 1;
                let Some((stage, index, object)) = group.get(name(&live)) else { return };
                found += 1;
                if !is_leaving(&live) && is_as_applied(object, &live) {
                    places.push((*stage, *index));
                }
            };
            match self.show_page(scope, &next, self.options.retry_budget, look).await {
                Ok(after) => next = after,
                Err(failure) => {
                    let kind = &scope.resource.kind;
                    tracing::debug!(cluster = %self.cluster, kind, ?failure, "not listed");
                    // A page that could be read in part only says nothing.
                    places.truncate(begun);
                    return places;
                }
            }
            let is_worth_it = looked_at < group.len().saturating_mul(OTHERS_PER_OBJECT);
            if next.is_empty() || found >= group.len() || !is_worth_it {
                return places;
            }
        }
    }
}

/// Whether the next stage waits for something about such objects.
fn is_settled_after(resource: &Resource) -> bool {
    resource.api_version == "v1" && resource.kind == "ResourceQuota"
}

/// Whether applying the object would change nothing about the live one.
pub(crate) fn is_as_applied(object: &Value, live: &Value) -> bool {
    let mut entries = items(live, "/metadata/managedFields").iter().filter(|entry| {
        text(entry, "/manager") == Some(FIELD_MANAGER)
            && text(entry, "/operation") == Some("Apply")
            && text_or_empty(entry, "/subresource").is_empty()
    });
    let (Some(entry), None) = (entries.next(), entries.next()) else { return false };
    let is_same_version = text(entry, "/apiVersion") == text(object, "/apiVersion");
    let owned = entry.get("fieldsV1").and_then(Value::as_object);
    match owned {
        Some(owned) if is_same_version => is_same_object(object, live, owned),
        _ => false,
    }
}

/// The same for a whole object: nobody owns what names it.
fn is_same_object(object: &Value, live: &Value, owned: &Map<String, Value>) -> bool {
    let Some(fields) = object.as_object() else { return false };
    let nothing = Map::new();
    let metadata = fields.get("metadata").and_then(Value::as_object).unwrap_or(&nothing);
    let others = |field: &str| !matches!(field, "apiVersion" | "kind" | "metadata");
    let named = |field: &str| !matches!(field, "name" | "namespace");
    let owned_metadata = owned.get("f:metadata").and_then(Value::as_object).unwrap_or(&nothing);
    let live_metadata = live.get("metadata").unwrap_or(&Value::Null);
    is_same_part(fields, others, live, owned, "f:metadata")
        && is_same_part(metadata, named, live_metadata, owned_metadata, "")
}

/// Whether a value sets just the fields that are owned, to what they are.
fn is_same(wanted: &Value, live: &Value, owned: &Map<String, Value>) -> bool {
    match wanted {
        // A null may mean one thing or another to the server.
        Value::Null => false,
        // Owned as a whole.
        _ if owned.is_empty() => contains(live, wanted),
        Value::Object(fields) => is_same_part(fields, |_| true, live, owned, ""),
        Value::Array(wanted) => {
            live.as_array().is_some_and(|live| is_same_list(wanted, live, owned))
        }
        _ => false,
    }
}

/// Whether the fields that are asked for are just those that are owned, but for
/// one, and are what they are to be.
fn is_same_part(
    fields: &Map<String, Value>,
    asked: impl Fn(&str) -> bool,
    live: &Value,
    owned: &Map<String, Value>,
    but: &str,
) -> bool {
    let mut count = 0;
    let are_same =
        owned.iter().filter(|(key, _)| *key != "." && *key != but).all(|(key, owned)| {
            count += 1;
            let Some(field) = key.strip_prefix("f:").filter(|field| asked(field)) else {
                return false;
            };
            match (fields.get(field), live.get(field), owned.as_object()) {
                (Some(wanted), Some(live), Some(owned)) => is_same(wanted, live, owned),
                _ => false,
            }
        });
    are_same && count == fields.keys().filter(|field| asked(field)).count()
}

/// Lists whose items are owned one by one: by their keys, or by their values.
/// Items of others may be among them; ours have to be in our order.
fn is_same_list(wanted: &[Value], live: &[Value], owned: &Map<String, Value>) -> bool {
    let mut parts: Vec<(Identity, &Map<String, Value>)> = Vec::new();
    for (key, owned) in owned.iter().filter(|(key, _)| *key != ".") {
        let (Some(identity), Some(owned)) = (Identity::read(key), owned.as_object()) else {
            return false;
        };
        parts.push((identity, owned));
    }
    let mut position = 0;
    parts.len() == wanted.len()
        && wanted.iter().all(|wanted| {
            // Keys may have defaults that only the server knows: one must fit.
            let mut fitting = parts.iter().filter(|(identity, _)| identity.may_be(wanted));
            let (Some((identity, owned)), None) = (fitting.next(), fitting.next()) else {
                return false;
            };
            let rest = live.get(position..).unwrap_or_default();
            let Some(offset) = rest.iter().position(|live| identity.is(live)) else { return false };
            position += offset + 1;
            match identity {
                Identity::Value(_) => true,
                Identity::Keys(_) => {
                    rest.get(offset).is_some_and(|live| is_same(wanted, live, owned))
                }
            }
        })
}

/// What tells an item of a list from the others.
enum Identity {
    Keys(Map<String, Value>),
    Value(Value),
}

impl Identity {
    /// From `k:{"name":"web"}` or `v:"finalizer"`; items owned by their place
    /// are not compared.
    fn read(key: &str) -> Option<Self> {
        let (sort, text) = key.split_once(':')?;
        match sort {
            "k" => serde_json::from_str(text).ok().map(Self::Keys),
            "v" => serde_json::from_str(text).ok().map(Self::Value),
            _ => None,
        }
    }

    fn is(&self, item: &Value) -> bool {
        match self {
            Self::Keys(keys) => keys.iter().all(|(key, value)| item.get(key) == Some(value)),
            Self::Value(value) => item == value,
        }
    }

    fn may_be(&self, item: &Value) -> bool {
        match self {
            Self::Keys(keys) => {
                keys.iter().all(|(key, value)| item.get(key).is_none_or(|found| found == value))
            }
            Self::Value(value) => item == value,
        }
    }
}

/// Whether a value that is owned as a whole is as wanted: servers add defaults
/// to objects in it.
fn contains(live: &Value, wanted: &Value) -> bool {
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) => wanted
            .iter()
            .all(|(field, wanted)| live.get(field).is_some_and(|live| contains(live, wanted))),
        (Value::Array(wanted), Value::Array(live)) => {
            wanted.len() == live.len()
                && wanted.iter().zip(live).all(|(wanted, live)| contains(live, wanted))
        }
        (Value::Null, _) => false,
        (wanted, live) => wanted == live,
    }
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value)] // documents written in place
mod tests {
    use super::*;
    use serde_json::json;

    /// A deployment as it is applied.
    fn wanted() -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "shop", "labels": {"a": "1"}},
            "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": {"spec": {
                "containers": [{"name": "main", "image": "i", "args": ["x", "y"],
                    "ports": [{"containerPort": 80}],
                    "env": [{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "p"}}},
                        {"name": "A", "value": "1"}]}]}}}})
    }

    /// The same as it is then.
    fn live() -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "shop", "uid": "u",
                "labels": {"a": "1", "theirs": "2"},
                "managedFields": [
                    {"manager": "kube-controller-manager", "operation": "Update",
                        "apiVersion": "apps/v1", "subresource": "status", "fieldsV1": {}},
                    {"manager": "deployd", "operation": "Apply", "apiVersion": "apps/v1",
                        "fieldsV1": {
                    "f:metadata": {"f:labels": {"f:a": {}}},
                    "f:spec": {"f:selector": {}, "f:template": {"f:spec": {"f:containers": {
                        "k:{\"name\":\"main\"}": {".": {}, "f:name": {}, "f:image": {},
                            "f:args": {},
                            "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":
                                {".": {}, "f:containerPort": {}}},
                            "f:env": {
                                "k:{\"name\":\"A\"}": {".": {}, "f:name": {}, "f:value": {}},
                                "k:{\"name\":\"POD\"}": {".": {}, "f:name": {},
                                    "f:valueFrom": {"f:fieldRef": {}}}}}}}}}}}]},
            "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}},
                "template": {"spec": {"restartPolicy": "Always", "containers": [
                    {"name": "theirs", "image": "sidecar"},
                    {"name": "main", "image": "i", "args": ["x", "y"],
                    "imagePullPolicy": "Always",
                    "ports": [{"containerPort": 80, "protocol": "TCP"}],
                    "env": [{"name": "POD", "valueFrom": {"fieldRef":
                            {"apiVersion": "v1", "fieldPath": "p"}}},
                        {"name": "A", "value": "1"}, {"name": "THEIRS", "value": "2"}]}]}}},
            "status": {"replicas": 1}})
    }

    #[test]
    fn defaults_and_what_others_own_are_no_difference() {
        assert!(is_as_applied(&wanted(), &live()));
    }

    #[test]
    fn every_change_of_what_we_want_is_a_difference() {
        let main = "/spec/template/spec/containers/0";
        let changes = [
            ("/metadata/labels/a", json!("2")),
            ("/metadata/labels", json!({"a": "1", "b": "1"})),
            ("/metadata/labels", json!({})),
            ("/spec/selector", json!({"matchLabels": {"app": "other"}})),
            ("/spec/template/spec", json!({"containers": [], "hostNetwork": true})),
            ("/spec/template/spec/containers", json!([])),
            (&format!("{main}/image"), json!("j")),
            (&format!("{main}/image"), json!(null)),
            (&format!("{main}/name"), json!("other")),
            (&format!("{main}/args"), json!(["x"])),
            (&format!("{main}/args/1"), json!("z")),
            (&format!("{main}/ports/0/containerPort"), json!(81)),
            (&format!("{main}/ports/0"), json!({"containerPort": 80, "protocol": "UDP"})),
            (&format!("{main}/env/1/value"), json!("2")),
            (&format!("{main}/env/0/valueFrom/fieldRef/fieldPath"), json!("q")),
            (
                &format!("{main}/env"),
                json!([{"name": "A", "value": "1"},
                    {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "p"}}}]),
            ),
        ];
        for (pointer, value) in changes {
            let mut other = wanted();
            *other.pointer_mut(pointer).unwrap() = value.clone();
            assert!(!is_as_applied(&other, &live()), "{pointer} {value}");
        }
        let mut more = wanted();
        more["spec"]["replicas"] = json!(1);
        assert!(!is_as_applied(&more, &live()), "not owned yet, though of that value");
    }

    #[test]
    fn every_change_from_outside_is_a_difference() {
        let main = "/spec/template/spec/containers/1";
        let changes = [
            ("/metadata/labels/a", json!("2")),
            ("/metadata/labels", json!({})),
            ("/spec/template/spec/containers", json!([])),
            (&format!("{main}/image"), json!("j")),
            (&format!("{main}/args"), json!(["x"])),
            (&format!("{main}/env/1/value"), json!("2")),
            ("/metadata/managedFields", json!([])),
            ("/metadata/managedFields", json!(null)),
            ("/metadata/managedFields/1/manager", json!("kubectl")),
            ("/metadata/managedFields/1/operation", json!("Update")),
            ("/metadata/managedFields/1/apiVersion", json!("apps/v1beta2")),
            // A field was taken over.
            ("/metadata/managedFields/1/fieldsV1/f:metadata/f:labels", json!({".": {}})),
            // A field that we no longer want is still ours.
            (
                "/metadata/managedFields/1/fieldsV1/f:metadata/f:labels",
                json!({"f:a": {}, "f:b": {}}),
            ),
        ];
        for (pointer, value) in changes {
            let mut other = live();
            *other.pointer_mut(pointer).unwrap() = value.clone();
            assert!(!is_as_applied(&wanted(), &other), "{pointer} {value}");
        }
    }

    #[test]
    fn sets_are_compared_by_value() {
        let owned = json!({"v:\"a\"": {}, "v:\"b\"": {}});
        let owned = owned.as_object().unwrap();
        let is = |wanted: Value, live: Value| is_same(&wanted, &live, owned);
        assert!(is(json!(["a", "b"]), json!(["theirs", "a", "b"])));
        assert!(!is(json!(["b", "a"]), json!(["a", "b"])));
        assert!(!is(json!(["a"]), json!(["a", "b"])));
        assert!(!is(json!(["a", "c"]), json!(["a", "b"])));
    }
}
