//! Conditions of a status.

use serde_json::{Value, json};

use crate::json::{self, text};

/// The condition of a type.
pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    json::items(object, "/status/conditions")
        .iter()
        .find(|condition| text(condition, "/type") == kind)
}

/// Sets a condition in a status; its transition time changes with its value.
pub(crate) fn set_condition(
    status: &mut Value,
    kind: &str,
    value: &str,
    reason: &str,
    message: &str,
) {
    let mut all = json::items(status, "/conditions").to_vec();
    let now = crate::time::now();
    let old = all.iter().position(|c| text(c, "/type") == kind);
    let since = old
        .and_then(|index| all.get(index))
        .filter(|c| text(c, "/status") == value)
        .map(|c| text(c, "/lastTransitionTime").to_owned());
    let mut new = json!({"type": kind, "status": value,
        "lastTransitionTime": since.unwrap_or(now)});
    if !reason.is_empty() {
        json::put(&mut new, &["reason"], reason);
    }
    if !message.is_empty() {
        json::put(&mut new, &["message"], message);
    }
    match old.and_then(|index| all.get_mut(index)) {
        Some(place) => {
            for extra in ["lastUpdateTime", "lastProbeTime", "observedGeneration"] {
                if let Some(kept) = place.get(extra) {
                    json::put(&mut new, &[extra], kept.clone());
                }
            }
            *place = new;
        }
        None => all.push(new),
    }
    json::put(status, &["conditions"], all);
}

/// Removes a condition from a status.
pub(super) fn drop_condition(status: &mut Value, kind: &str) {
    if let Some(all) = json::list_mut(status, &["conditions"]) {
        all.retain(|condition| text(condition, "/type") != kind);
    }
}
