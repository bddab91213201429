//! The kinds that make pods.

use serde_json::Value;

use super::labels::{labels, selector};
use super::{immutable, not_negative, pod};
use crate::json;
use crate::selectors::Labels;
use crate::status::Cause;

fn template(object: &Value, policies: &[&str], found: &mut Vec<Cause>) {
    let template = object.pointer("/spec/template").unwrap_or(&Value::Null);
    let wanted = object.pointer("/spec/selector").unwrap_or(&Value::Null);
    selector(wanted, "spec.selector", found);
    if wanted.is_object()
        && !Labels::from_object(wanted).is_empty()
        && !Labels::from_object(wanted).fits(template)
    {
        let labels = template.pointer("/metadata/labels");
        let value = labels.cloned().unwrap_or(Value::Null);
        let detail = "`selector` does not match template `labels`";
        found.push(Cause::invalid("spec.template.metadata.labels", &value, detail));
    }
    let claims = json::items(object, "/spec/volumeClaimTemplates");
    template_alone(template, "spec.template", policies, claims, found);
    not_negative(object, "/spec/replicas", found);
    not_negative(object, "/spec/minReadySeconds", found);
    not_negative(object, "/spec/revisionHistoryLimit", found);
}

fn template_alone(
    template: &Value,
    at: &str,
    policies: &[&str],
    claims: &[Value],
    found: &mut Vec<Cause>,
) {
    labels(template, &format!("{at}.labels"), "/metadata/labels", found);
    let spec = template.get("spec").unwrap_or(&Value::Null);
    pod::spec_of(spec, &format!("{at}.spec"), claims, found);
    let policy = json::text(spec, "/restartPolicy");
    let field = format!("{at}.spec.restartPolicy");
    if policies.contains(&policy) {
        return;
    }
    if policy.is_empty() {
        found.push(Cause::required(field, "valid values: \"OnFailure\", \"Never\""));
    } else if ["Always", "OnFailure", "Never"].contains(&policy) {
        found.push(Cause::unsupported(field, &Value::from(policy), policies));
    }
}

pub(super) fn deployment(object: &Value, old: Option<&Value>, found: &mut Vec<Cause>) {
    template(object, &["Always"], found);
    immutable(object, old, "/spec/selector", found);
    let kind = json::text(object, "/spec/strategy/type");
    match kind {
        "RollingUpdate" => {
            let of = |name: &str| {
                let value = object.pointer(&format!("/spec/strategy/rollingUpdate/{name}"));
                value.cloned().unwrap_or(Value::Null)
            };
            let (surge, unavailable) = (of("maxSurge"), of("maxUnavailable"));
            let is_zero = |value: &Value| {
                matches!(value.as_i64(), Some(0)) || matches!(value.as_str(), Some("0%" | "0"))
            };
            for (name, value) in [("maxSurge", &surge), ("maxUnavailable", &unavailable)] {
                amount(value, &format!("spec.strategy.rollingUpdate.{name}"), found);
            }
            if is_zero(&surge) && is_zero(&unavailable) {
                found.push(Cause::invalid(
                    "spec.strategy.rollingUpdate.maxUnavailable",
                    &unavailable,
                    "may not be 0 when `maxSurge` is 0",
                ));
            }
        }
        "Recreate" => {
            if json::has(object, "/spec/strategy/rollingUpdate") {
                found.push(Cause::forbidden(
                    "spec.strategy.rollingUpdate",
                    "may not be specified when strategy `type` is 'Recreate'",
                ));
            }
        }
        other => found.push(Cause::unsupported(
            "spec.strategy.type",
            &Value::from(other),
            &["Recreate", "RollingUpdate"],
        )),
    }
    not_negative(object, "/spec/progressDeadlineSeconds", found);
    let deadline = json::int(object, "/spec/progressDeadlineSeconds");
    let ready = json::int(object, "/spec/minReadySeconds").unwrap_or_default();
    if deadline.is_some_and(|seconds| seconds <= ready) {
        found.push(Cause::invalid(
            "spec.progressDeadlineSeconds",
            &Value::from(deadline),
            "must be greater than minReadySeconds",
        ));
    }
}

/// Checks a count or a percentage.
fn amount(value: &Value, field: &str, found: &mut Vec<Cause>) {
    let fits = match value {
        Value::Number(number) => number.as_i64().is_some_and(|n| n >= 0),
        Value::String(text) => {
            text.strip_suffix('%').is_some_and(|digits| digits.parse::<u32>().is_ok())
        }
        _ => true,
    };
    if !fits {
        let detail = match value {
            Value::Number(_) => "must be greater than or equal to 0",
            _ => {
                "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"
            }
        };
        found.push(Cause::invalid(field, value, detail));
    }
}

pub(super) fn replica_set(object: &Value, old: Option<&Value>, found: &mut Vec<Cause>) {
    template(object, &["Always"], found);
    immutable(object, old, "/spec/selector", found);
}

pub(super) fn stateful_set(object: &Value, old: Option<&Value>, found: &mut Vec<Cause>) {
    template(object, &["Always"], found);
    let Some(old) = old else { return };
    let frozen = |object: &Value| {
        let mut spec = object.get("spec").cloned().unwrap_or(Value::Null);
        for field in [
            "replicas",
            "ordinals",
            "template",
            "updateStrategy",
            "revisionHistoryLimit",
            "persistentVolumeClaimRetentionPolicy",
            "minReadySeconds",
        ] {
            json::take(&mut spec, &[field]);
        }
        spec
    };
    if frozen(old) != frozen(object) {
        found.push(Cause::forbidden("spec", "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"));
    }
}

pub(super) fn daemon_set(object: &Value, old: Option<&Value>, found: &mut Vec<Cause>) {
    template(object, &["Always"], found);
    immutable(object, old, "/spec/selector", found);
}

pub(super) fn job(object: &Value, old: Option<&Value>, found: &mut Vec<Cause>) {
    let policies = ["OnFailure", "Never"];
    template(object, &policies, found);
    not_negative(object, "/spec/completions", found);
    not_negative(object, "/spec/parallelism", found);
    not_negative(object, "/spec/backoffLimit", found);
    not_negative(object, "/spec/ttlSecondsAfterFinished", found);
    immutable(object, old, "/spec/selector", found);
    immutable(object, old, "/spec/template", found);
    immutable(object, old, "/spec/completionMode", found);
    if !json::has(object, "/spec/suspend") || !json::flag(object, "/spec/suspend") {
        immutable(object, old, "/spec/completions", found);
    }
}

pub(super) fn cron_job(object: &Value, found: &mut Vec<Cause>) {
    let schedule = json::text(object, "/spec/schedule");
    if schedule.is_empty() {
        found.push(Cause::required("spec.schedule", ""));
    } else if !schedule.starts_with('@') && schedule.split_ascii_whitespace().count() != 5 {
        let count = schedule.split_ascii_whitespace().count();
        found.push(Cause::invalid(
            "spec.schedule",
            &Value::from(schedule),
            &format!("expected exactly 5 fields, found {count}: [{schedule}]"),
        ));
    }
    let template = object.pointer("/spec/jobTemplate/spec/template").unwrap_or(&Value::Null);
    template_alone(template, "spec.jobTemplate.spec.template", &["OnFailure", "Never"], &[], found);
}
