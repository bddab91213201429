//! Arithmetic of rolling updates: pure functions over counts and templates.

use serde_json::Value;

use crate::json;

/// The annotation of a revision.
pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
/// The annotation of the revisions a replica set was before.
pub(super) const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
/// The annotation of the count a deployment wants.
pub(super) const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
/// The annotation of the count a deployment may reach while it surges.
pub(super) const MOST: &str = "deployment.kubernetes.io/max-replicas";
/// The label of a template's hash.
pub(super) const HASH: &str = "pod-template-hash";

/// A count, or a percentage of a whole.
pub(super) fn share(value: &Value, whole: i64, up: bool) -> i64 {
    match value {
        Value::Number(number) => number.as_i64().unwrap_or_default(),
        Value::String(text) => {
            let percent = text.trim_end_matches('%').parse::<i64>().unwrap_or_default();
            let exact = whole * percent;
            if up { (exact + 99) / 100 } else { exact / 100 }
        }
        _ => 0,
    }
}

/// How far a rolling update may go: (surge, unavailable).
pub(super) fn bounds(deployment: &Value) -> (i64, i64) {
    let wanted = json::int(deployment, "/spec/replicas").unwrap_or(1);
    if json::text(deployment, "/spec/strategy/type") == "Recreate" {
        return (0, wanted);
    }
    let of = |name: &str| {
        let pointer = format!("/spec/strategy/rollingUpdate/{name}");
        deployment.pointer(&pointer).cloned().unwrap_or_default()
    };
    let surge = share(&of("maxSurge"), wanted, true);
    let unavailable = share(&of("maxUnavailable"), wanted, false);
    if surge == 0 && unavailable == 0 {
        // Percentages of little can both be nothing; something must move.
        return (0, 1);
    }
    (surge, unavailable.min(wanted))
}

/// The template without the label that the controller adds.
pub(super) fn bare(template: &Value) -> Value {
    let mut template = template.clone();
    if let Some(labels) = json::object_mut(&mut template, &["metadata", "labels"]) {
        labels.remove(HASH);
    }
    json::take(&mut template, &["metadata", "creationTimestamp"]);
    template
}

/// The revision of a replica set or deployment.
pub(super) fn revision(object: &Value) -> i64 {
    annotation(object, REVISION).parse().unwrap_or_default()
}

/// An annotation's text.
pub(super) fn annotation<'a>(object: &'a Value, name: &str) -> &'a str {
    json::object(object, "/metadata/annotations")
        .and_then(|all| all.get(name)?.as_str())
        .unwrap_or_default()
}

/// How many the new replica set may have now.
pub(super) fn scale_up(wanted: i64, surge: i64, total: i64, new: i64) -> i64 {
    if new >= wanted {
        return wanted;
    }
    let room = wanted + surge - total;
    if room <= 0 {
        return new;
    }
    new + room.min(wanted - new)
}

/// Splits a change of `delta` replicas over sets of the given sizes, each by
/// its share, so that nothing is lost to rounding.
pub(super) fn proportion(sizes: &[i64], delta: i64) -> Vec<i64> {
    let total: i64 = sizes.iter().sum();
    if total == 0 {
        return sizes.to_vec();
    }
    let mut left = delta;
    let mut new: Vec<i64> = sizes
        .iter()
        .map(|size| {
            let part = (delta * size) / total;
            left -= part;
            size + part
        })
        .collect();
    if let Some(first) = new.first_mut() {
        *first = (*first + left).max(0);
    }
    new
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn shares_round_as_the_api_says() {
        assert_eq!(share(&json!("25%"), 3, true), 1);
        assert_eq!(share(&json!("25%"), 3, false), 0);
        assert_eq!(share(&json!(2), 3, false), 2);
    }

    #[test]
    fn surging_stops_at_its_bound() {
        // wanted, surge, total, new -> new
        for (wanted, surge, total, new, expected) in [
            (3, 1, 3, 0, 1),
            (3, 1, 4, 1, 1),
            (3, 1, 3, 1, 2),
            (3, 0, 3, 0, 0),
            (3, 0, 2, 0, 1),
            (3, 1, 5, 4, 3),
        ] {
            assert_eq!(scale_up(wanted, surge, total, new), expected);
        }
    }

    #[test]
    fn proportions_lose_nothing() {
        assert_eq!(proportion(&[5, 5], 5).iter().sum::<i64>(), 15);
        assert_eq!(proportion(&[3], -2), [1]);
    }
}
