//! What went wrong, for whoever has to act: failures of requests as faults.

use std::time::Duration;

use deployd_core::ports::{ObjectRef, UNAUTHORIZED};
use deployd_core::{Fault, FaultClass};
use serde_json::{Value, json};

use crate::conflict;
use crate::failure::{ApiStatus, Failure};

/// Causes named in a message; all are in the detail.
const CAUSES_IN_MESSAGE: usize = 5;

/// What was being done to what.
#[derive(Clone, Copy)]
pub(crate) struct Doing<'a> {
    pub(crate) cluster: &'a str,
    /// `apply`, `remove`, `watch`, …
    pub(crate) verb: &'a str,
    pub(crate) object: Option<&'a ObjectRef>,
}

impl Doing<'_> {
    fn subject(&self) -> String {
        match self.object {
            Some(object) => format!("{object} in cluster {}", self.cluster),
            None => format!("Cluster {}", self.cluster),
        }
    }

    fn detail(&self) -> Value {
        let mut detail = json!({ "cluster": self.cluster, "verb": self.verb });
        if let (Some(object), Some(fields)) = (self.object, detail.as_object_mut()) {
            fields.insert("object".to_owned(), json!(object));
        }
        detail
    }
}

/// A client that can't be made.
pub(crate) fn unusable(cluster: &str, error: &kube::Error) -> Fault {
    let message = match error {
        kube::Error::ProxyProtocolDisabled { .. }
        | kube::Error::ProxyProtocolUnsupported { .. } => {
            "its kubeconfig names a proxy, which deployd does not support; \
             make the API server reachable directly"
                .to_owned()
        }
        other => format!("its credentials or certificates can't be used: {other}"),
    };
    Fault::invalid("cluster-access-invalid", format!("Cluster {cluster}: {message}."))
        .with_detail(json!({ "cluster": cluster }))
}

/// The fault for a failure.
pub(crate) fn fault(failure: &Failure, doing: Doing<'_>) -> Fault {
    let cluster = doing.cluster;
    let detail = doing.detail();
    match failure {
        Failure::Status(status) => from_status(status, doing),
        Failure::Unreachable(why) => Fault::transient(
            "cluster-unreachable",
            format!("Cluster {cluster} can't be reached: {why}. deployd will try again."),
        )
        .with_detail(detail),
        Failure::Timeout(limit) => Fault::transient(
            "cluster-timeout",
            format!("Cluster {cluster} did not answer within {} s.", limit.as_secs_f32()),
        )
        .with_detail(detail),
        Failure::Untrusted(why) => Fault::permanent(
            "cluster-untrusted",
            format!(
                "The TLS connection to cluster {cluster} was refused: {why}. Check the CA and the \
                 client certificate of its access."
            ),
        )
        .with_detail(detail),
        Failure::Credentials(why) => Fault::invalid(
            "cluster-access-invalid",
            format!("The credentials for cluster {cluster} can't be used: {why}."),
        )
        .with_detail(detail),
        Failure::Unreadable(why) => Fault::permanent(
            "cluster-answer-unreadable",
            format!(
                "What answers as cluster {cluster} does not speak like a Kubernetes API server \
                 ({why}). Check the server's address."
            ),
        )
        .with_detail(detail),
    }
}

fn from_status(status: &ApiStatus, doing: Doing<'_>) -> Fault {
    if status.is_field_conflict() {
        return conflict::fault(status, doing);
    }
    let (class, code, advice) = classify(status);
    let subject = doing.subject();
    let said = said(status);
    let message = match advice {
        "" => format!("{subject}: {said}"),
        advice => format!("{subject}: {said} {advice}"),
    };
    let mut detail = doing.detail();
    if let Some(fields) = detail.as_object_mut() {
        fields.insert("status".to_owned(), json!(status.code));
        if !status.reason.is_empty() {
            fields.insert("reason".to_owned(), json!(status.reason));
        }
        if !status.causes.is_empty() {
            let causes: Vec<Value> = status
                .causes
                .iter()
                .map(|c| json!({"field": c.field, "message": c.message, "reason": c.reason}))
                .collect();
            fields.insert("causes".to_owned(), Value::Array(causes));
        }
    }
    let after = status.retry_after.map(millis).filter(|_| class == FaultClass::Transient);
    Fault::new(class, code, message).with_detail(detail).with_retry_after_ms(after)
}

/// Class, code and advice.
fn classify(status: &ApiStatus) -> (FaultClass, &'static str, &'static str) {
    use FaultClass::{Conflict, Denied, Invalid, Permanent, Transient};
    if status.is_namespace_terminating() {
        let advice = "The namespace is being deleted; deployd will try again once it is gone.";
        return (Transient, "namespace-terminating", advice);
    }
    if status.is_namespace_missing() {
        let advice = "Create the namespace first, or let a k8s-namespace resource do it.";
        return (Invalid, "namespace-missing", advice);
    }
    if status.is_quota() {
        let advice = "Raise the namespace's quota or ask for less.";
        return (Denied, "quota-exceeded", advice);
    }
    if status.is_settling() {
        return (Transient, "cluster-settling", "");
    }
    if status.is_admission() && matches!(status.code, 400..=499) {
        let advice = "A policy of the cluster objects: change the object, or ask who runs it.";
        return (Denied, "admission-denied", advice);
    }
    if status.is_webhook_down() {
        let advice = "An admission webhook of the cluster does not answer.";
        return (Transient, "admission-unavailable", advice);
    }
    match status.code {
        400 | 413 | 415 | 422 => (Invalid, "object-invalid", immutable_advice(status)),
        401 => (
            Denied,
            UNAUTHORIZED,
            "Renew the credentials of the cluster's access; they may have expired.",
        ),
        403 => (Denied, "cluster-forbidden", "Grant deployd's account the permission."),
        404 => (Invalid, "not-found", ""),
        409 => (Conflict, "object-changed", "Somebody else keeps changing it at the same time."),
        410 => (Transient, "watch-expired", ""),
        429 => (Transient, "cluster-throttled", "The API server asks for fewer requests."),
        500 if status.is_schema_violation() => (Invalid, "object-invalid", ""),
        408 | 500 | 502 | 503 | 504 => (Transient, "cluster-failing", ""),
        500..=599 => (Transient, "cluster-failing", ""),
        _ => (Permanent, "cluster-refused", ""),
    }
}

fn immutable_advice(status: &ApiStatus) -> &'static str {
    let immutable = |text: &str| text.contains("immutable") || text.contains("may not change");
    if immutable(&status.message) || status.causes.iter().any(|c| immutable(&c.message)) {
        "Such a field can't be changed: remove the object first, or give the new one another name."
    } else {
        ""
    }
}

/// What the API server said: each cause with its field, or its message.
fn said(status: &ApiStatus) -> String {
    let named: Vec<String> = status
        .causes
        .iter()
        .filter(|cause| !cause.message.is_empty())
        .map(|cause| match cause.field.as_str() {
            "" => cause.message.clone(),
            field => format!("{field}: {}", cause.message),
        })
        .collect();
    if named.is_empty() {
        return match status.message.as_str() {
            "" => format!("the API server answered {} {}.", status.code, status.reason),
            message => format!("{}.", message.trim_end_matches('.')),
        };
    }
    let more = named.len().saturating_sub(CAUSES_IN_MESSAGE);
    let listed = named.into_iter().take(CAUSES_IN_MESSAGE).collect::<Vec<_>>().join("; ");
    if more > 0 { format!("{listed}; and {more} more.") } else { format!("{listed}.") }
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Cause;

    fn object() -> ObjectRef {
        ObjectRef {
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            namespace: Some("shop".into()),
            name: "frontend".into(),
        }
    }

    fn of(status: ApiStatus) -> Fault {
        let object = object();
        let doing = Doing { cluster: "west", verb: "apply", object: Some(&object) };
        fault(&Failure::Status(Box::new(status)), doing)
    }

    #[test]
    fn codes_and_classes() {
        use FaultClass::*;
        let table = [
            (400, "bad", Invalid, "object-invalid"),
            (401, "Unauthorized", Denied, "cluster-unauthorized"),
            (403, "deployments is forbidden", Denied, "cluster-forbidden"),
            (403, "pods \"x\" is forbidden: exceeded quota: q", Denied, "quota-exceeded"),
            (
                403,
                "unable to create new content in namespace a because it is being terminated",
                Transient,
                "namespace-terminating",
            ),
            (
                403,
                "admission webhook \"p.example.com\" denied the request: no latest",
                Denied,
                "admission-denied",
            ),
            (
                500,
                "Internal error occurred: failed calling webhook \"p.example.com\"",
                Transient,
                "admission-unavailable",
            ),
            (404, "the server could not find", Invalid, "not-found"),
            (405, "no", Permanent, "cluster-refused"),
            (409, "the object has been modified", Conflict, "object-changed"),
            (413, "too large", Invalid, "object-invalid"),
            (429, "slow down", Transient, "cluster-throttled"),
            (500, "etcd", Transient, "cluster-failing"),
            (500, "failed to create typed patch object (x): .a", Invalid, "object-invalid"),
            (503, "", Transient, "cluster-failing"),
            (504, "", Transient, "cluster-failing"),
        ];
        for (code, message, class, expected) in table {
            let found = of(ApiStatus { code, message: message.into(), ..ApiStatus::default() });
            assert_eq!((found.class, found.code.as_str()), (class, expected), "{code} {message}");
            assert!(found.message.starts_with("Deployment shop/frontend in cluster west: "));
        }
    }

    #[test]
    fn each_cause_has_its_field() {
        let cause = |field: &str, message: &str| Cause {
            field: field.into(),
            message: message.into(),
            reason: "FieldValueInvalid".into(),
        };
        let found = of(ApiStatus {
            code: 422,
            reason: "Invalid".into(),
            message: "Deployment is invalid: [a, b]".into(),
            causes: vec![
                cause("spec.replicas", "must be positive"),
                cause("spec.selector", "field is immutable"),
            ],
            ..ApiStatus::default()
        });
        assert!(found.message.contains("spec.replicas: must be positive; spec.selector: field is"));
        assert!(found.message.contains("give the new one another name"));
        assert_eq!(found.detail["causes"][0]["field"], "spec.replicas");
        assert_eq!(found.detail["object"]["name"], "frontend");
    }

    #[test]
    fn when_to_come_back_is_handed_on() {
        let found = of(ApiStatus {
            code: 429,
            retry_after: Some(Duration::from_secs(120)),
            ..ApiStatus::default()
        });
        assert_eq!(found.retry_after_ms, Some(120_000));
    }
}
