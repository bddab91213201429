//! Keeps values of secrets out of what is said of differences.

use deployd_core::drift::{Difference, Drift, shown};
use serde_json::Value;

use crate::scrub::Scrubber;

/// What must not be shown.
pub(super) struct Hide(Vec<Scrubber>);

impl Hide {
    /// What Secrets among the objects hold.
    pub(super) fn of(objects: &[Value]) -> Self {
        Self(objects.iter().filter_map(Scrubber::of).collect())
    }

    /// A difference as it may be shown. Of a Secret's own values nothing is; in
    /// those of other objects what Secrets hold is left out.
    pub(super) fn drift(&self, object: &Value, drift: Drift) -> Drift {
        let Drift::FieldDiffers { path, values, by } = drift else { return drift };
        let text = |pointer: &str| object.get(pointer).and_then(Value::as_str);
        let is_secret = text("kind") == Some("Secret") && text("apiVersion") == Some("v1");
        let is_value = |path: &str| {
            [".data", ".stringData"].iter().any(|part| {
                path.strip_prefix(part).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
            })
        };
        let values = if is_secret && is_value(&path) {
            Difference { recorded: None, live: None, hidden: true }
        } else {
            let show = |value: Option<Value>| value.map(|value| shown(&self.value(value)));
            Difference { recorded: show(values.recorded), live: show(values.live), ..values }
        };
        Drift::FieldDiffers { path, values, by }
    }

    fn value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => {
                Value::String(self.0.iter().fold(text, |text, one| one.known_values(&text)))
            }
            Value::Array(items) => items.into_iter().map(|item| self.value(item)).collect(),
            Value::Object(fields) => {
                fields.into_iter().map(|(name, value)| (name, self.value(value))).collect()
            }
            other => other,
        }
    }
}
