//! Fields that somebody who pulls has applied, and that are not to be there any more.
//!
//! Who applies on the server's side owns them: Flux's kustomize-controller, Argo CD where
//! it is told to. Who applies from the client's side writes down what it has applied:
//! Argo CD as a rule. Of who does neither (Helm) nothing is known, and nothing is said.

use deployd_core::drift::{Difference, Drift};
use serde_json::{Map, Value};

use super::fields::{Managers, Place, child};
use crate::fields::{annotation, items, text, text_or_empty};

/// Field managers of those who pull.
const PULLERS: [&str; 3] = ["argocd-controller", "helm-controller", "kustomize-controller"];

/// Where client-side apply writes down what it has applied.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// How labels and annotations begin by which those who pull know what is theirs.
const TRACKING: [&str; 4] = [
    "argocd.argoproj.io/",
    "helm.toolkit.fluxcd.io/",
    "kustomize.toolkit.fluxcd.io/",
    "meta.helm.sh/",
];

/// Labels and annotations for the same.
const TRACKING_KEYS: [&str; 3] =
    ["app.kubernetes.io/instance", "app.kubernetes.io/managed-by", LAST_APPLIED];

/// What was applied by those who pull and is there still, and is not among `wanted`: the
/// managed fields of what is to be there.
pub(super) fn leftover(live: &Value, wanted: &Value, managers: &Managers<'_>) -> Vec<Drift> {
    let mut found = Vec::new();
    let applied = items(live, "/metadata/managedFields").iter().filter(|entry| {
        PULLERS.contains(&text_or_empty(entry, "/manager"))
            && text(entry, "/operation") == Some("Apply")
            && text_or_empty(entry, "/subresource").is_empty()
    });
    let written = annotation(live, LAST_APPLIED)
        .and_then(|text| serde_json::from_str::<Value>(text).ok())
        .map(|document| managed_fields(&document, wanted));
    for owned in applied.filter_map(|entry| entry.get("fieldsV1")).chain(&written) {
        let look = Look { managers, found: &mut found };
        look.at(&Place::default(), live, owned, Some(wanted));
    }
    found
}

struct Look<'l, 'a> {
    managers: &'l Managers<'a>,
    found: &'l mut Vec<Drift>,
}

impl Look<'_, '_> {
    fn at<'p>(self, place: &Place<'p>, live: &Value, owned: &'p Value, wanted: Option<&Value>) {
        let Self { managers, found } = self;
        // Wanted as a whole: its value was compared.
        if wanted.and_then(Value::as_object).is_some_and(Map::is_empty) {
            return;
        }
        for (step, below) in owned.as_object().into_iter().flatten() {
            if step == "." || place.is_tracking(step) {
                continue;
            }
            let Some(value) = child(live, step) else { continue };
            let place = place.below(step);
            let wanted = wanted.and_then(|wanted| wanted.get(step));
            // An item of a list, or a field without fields of its own.
            let is_one = below.as_object().is_none_or(|it| it.is_empty() || it.contains_key("."));
            if wanted.is_some() || !is_one {
                Look { managers, found }.at(&place, value, below, wanted);
                continue;
            }
            let is_known = found.iter().any(
                |drift| matches!(drift, Drift::FieldDiffers { path, .. } if *path == place.path),
            );
            if !is_known {
                let values =
                    Difference { recorded: None, live: Some(value.clone()), hidden: false };
                let by = managers.of(&place.steps);
                found.push(Drift::FieldDiffers { path: place.path.clone(), values, by });
            }
        }
    }
}

impl Place<'_> {
    /// Whether a step leads to what is there for whoever pulls alone.
    fn is_tracking(&self, step: &str) -> bool {
        let Some(key) = step.strip_prefix("f:") else { return false };
        matches!(self.steps.as_slice(), ["f:metadata", "f:labels" | "f:annotations"])
            && (TRACKING_KEYS.contains(&key) || TRACKING.iter().any(|it| key.starts_with(it)))
    }
}

/// A document as managed fields, its lists by the keys that they have among `wanted`.
fn managed_fields(document: &Value, wanted: &Value) -> Value {
    let mut fields = fields_of(document, Some(wanted));
    if let Some(top) = fields.as_object_mut() {
        top.retain(|step, _| !matches!(step.as_str(), "f:apiVersion" | "f:kind" | "f:status"));
        if let Some(metadata) = top.get_mut("f:metadata").and_then(Value::as_object_mut) {
            metadata.retain(|step, _| matches!(step.as_str(), "f:labels" | "f:annotations"));
        }
    }
    fields
}

fn fields_of(value: &Value, wanted: Option<&Value>) -> Value {
    let mut fields = Map::new();
    match value {
        Value::Object(of) => {
            for (name, value) in of.iter().filter(|(_, value)| !value.is_null()) {
                let step = format!("f:{name}");
                let below = wanted.and_then(|wanted| wanted.get(&step));
                fields.insert(step, fields_of(value, below));
            }
        }
        Value::Array(of) => {
            let steps: Vec<&String> =
                wanted.and_then(Value::as_object).into_iter().flat_map(Map::keys).collect();
            for item in of {
                let Some(step) = item_step(item, &steps) else { continue };
                let below = wanted.and_then(|wanted| wanted.get(&step));
                let mut own = fields_of(item, below);
                if let Some(own) = own.as_object_mut() {
                    own.insert(".".to_owned(), Value::Object(Map::new()));
                }
                fields.insert(step, own);
            }
        }
        _ => {}
    }
    Value::Object(fields)
}

/// The step that leads to an item of a list: the one that is wanted of it, or one by the
/// same keys. None where items have no keys: such lists are compared as a whole.
fn item_step(item: &Value, steps: &[&String]) -> Option<String> {
    let keys = |step: &str| -> Option<Map<String, Value>> {
        serde_json::from_str(step.strip_prefix("k:")?).ok()
    };
    let may_be = |step: &&&String| {
        keys(step).is_some_and(|keys| {
            keys.iter().all(|(key, value)| item.get(key).is_none_or(|own| own == value))
        })
    };
    if let Some(step) = steps.iter().find(may_be) {
        return Some((**step).clone());
    }
    let known = steps.iter().find_map(|step| keys(step))?;
    let own: Map<String, Value> =
        known.keys().filter_map(|key| Some((key.clone(), item.get(key)?.clone()))).collect();
    (!own.is_empty()).then(|| format!("k:{}", Value::Object(own)))
}
