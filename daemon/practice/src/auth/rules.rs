//! Roles and bindings: what they allow.

use std::sync::Arc;

use serde_json::Value;

use super::{Action, MASTERS, User, account_of};
use crate::json::{self, items, text};
use crate::storage::Store;

const CLUSTER_BINDINGS: &str = "clusterrolebindings.rbac.authorization.k8s.io";
const BINDINGS: &str = "rolebindings.rbac.authorization.k8s.io";
const CLUSTER_ROLES: &str = "clusterroles.rbac.authorization.k8s.io";
const ROLES: &str = "roles.rbac.authorization.k8s.io";

/// Whether a user may, and why; none if nothing allows it.
pub(crate) fn allowed(store: &Store, user: &User, action: &Action) -> Option<String> {
    if user.groups.iter().any(|group| group == MASTERS) {
        return Some(String::new());
    }
    for (binding, role, subject) in bound(store, user, &action.namespace) {
        let fits = items(&role, "/rules").iter().any(|rule| permits(rule, action));
        if !fits {
            continue;
        }
        let place = match json::namespace(&binding) {
            "" => json::name(&binding).to_owned(),
            namespace => format!("{}/{namespace}", json::name(&binding)),
        };
        return Some(format!(
            "RBAC: allowed by {} \"{place}\" of {} \"{}\" to {subject}",
            text(&binding, "/kind"),
            text(&binding, "/roleRef/kind"),
            text(&binding, "/roleRef/name"),
        ));
    }
    None
}

/// The rules that hold for a user in a namespace.
pub(crate) fn rules_in(store: &Store, user: &User, namespace: &str) -> Vec<Value> {
    if user.groups.iter().any(|group| group == MASTERS) {
        return vec![
            serde_json::json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}),
            serde_json::json!({"verbs": ["*"], "nonResourceURLs": ["*"]}),
        ];
    }
    bound(store, user, namespace)
        .into_iter()
        .flat_map(|(_, role, _)| items(&role, "/rules").to_vec())
        .collect()
}

type Bound = (Arc<Value>, Arc<Value>, String);

/// The bindings that name a user, each with its role and the subject.
fn bound(store: &Store, user: &User, namespace: &str) -> Vec<Bound> {
    let local = if namespace.is_empty() { None } else { Some(namespace) };
    let bindings = store
        .list(CLUSTER_BINDINGS, "")
        .chain(local.into_iter().flat_map(|namespace| store.list(BINDINGS, namespace)));
    bindings
        .filter_map(|binding| {
            let subject = items(binding, "/subjects").iter().find_map(|s| named(s, user))?;
            let name = text(binding, "/roleRef/name");
            let role = match text(binding, "/roleRef/kind") {
                "Role" => store.get(ROLES, json::namespace(binding), name),
                _ => store.get(CLUSTER_ROLES, "", name),
            }?;
            Some((binding.clone(), role, subject))
        })
        .collect()
}

/// The subject as reasons show it, if it is the user.
fn named(subject: &Value, user: &User) -> Option<String> {
    let name = text(subject, "/name");
    match text(subject, "/kind") {
        "User" => (name == user.name).then(|| format!("User \"{name}\"")),
        "Group" => {
            user.groups.iter().any(|group| group == name).then(|| format!("Group \"{name}\""))
        }
        "ServiceAccount" => {
            let namespace = text(subject, "/namespace");
            (account_of(&user.name) == Some((namespace, name)))
                .then(|| format!("ServiceAccount \"{name}/{namespace}\""))
        }
        _ => None,
    }
}

fn permits(rule: &Value, action: &Action) -> bool {
    let has = |list: &str, wanted: &str| {
        items(rule, list).iter().any(|known| known == "*" || known == wanted)
    };
    if !has("/verbs", &action.verb) {
        return false;
    }
    if let Some(path) = &action.path {
        return items(rule, "/nonResourceURLs").iter().filter_map(Value::as_str).any(|known| {
            known == path || known.strip_suffix('*').is_some_and(|start| path.starts_with(start))
        });
    }
    let any_of_sub = format!("*/{}", action.subresource);
    let resource = has("/resources", &action.whole_resource())
        || (!action.subresource.is_empty() && has("/resources", &any_of_sub));
    let names = items(rule, "/resourceNames");
    has("/apiGroups", &action.group)
        && resource
        && (names.is_empty() || names.iter().any(|name| *name == action.name.as_str()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rules_permit_what_they_name_and_nothing_else() {
        let rule = json!({"apiGroups": ["apps"], "resources": ["deployments", "*/scale"],
            "verbs": ["get"], "resourceNames": ["a"]});
        let action = |verb: &str, group: &str, resource: &str, sub: &str, name: &str| Action {
            verb: verb.into(),
            group: group.into(),
            resource: resource.into(),
            subresource: sub.into(),
            name: name.into(),
            ..Action::default()
        };
        assert!(permits(&rule, &action("get", "apps", "deployments", "", "a")));
        assert!(permits(&rule, &action("get", "apps", "statefulsets", "scale", "a")));
        for other in [
            action("list", "apps", "deployments", "", ""),
            action("get", "", "deployments", "", "a"),
            action("get", "apps", "deployments", "status", "a"),
            action("get", "apps", "deployments", "", "b"),
            action("update", "apps", "deployments", "", "a"),
        ] {
            assert!(!permits(&rule, &other), "{other:?}");
        }
        let paths = json!({"nonResourceURLs": ["/healthz", "/api/*"], "verbs": ["get"]});
        let path = |path: &str| Action {
            verb: "get".into(),
            path: Some(path.into()),
            ..Action::default()
        };
        assert!(permits(&paths, &path("/healthz")) && permits(&paths, &path("/api/v1")));
        assert!(!permits(&paths, &path("/metrics")));
    }
}
