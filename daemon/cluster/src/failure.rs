//! What can go wrong with one request, as data: what retrying and faults
//! decide upon.

use std::error::Error as _;
use std::time::Duration;

use serde::Deserialize;

use crate::fields::shortened;

/// A message of an API server or a proxy in front of it is cut here.
const MESSAGE_BYTES: usize = 2_000;

/// A request that did not succeed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Failure {
    /// The API server answered that it won't or can't.
    Status(Box<ApiStatus>),
    /// No connection, or it broke.
    Unreachable(String),
    /// No answer in time.
    Timeout(Duration),
    /// Who answered could not prove to be the API server, or we could not
    /// prove who we are.
    Untrusted(String),
    /// Our credentials can't be used at all.
    Credentials(String),
    /// An answer that is not what an API server says.
    Unreadable(String),
}

/// Kubernetes' `Status`, or what stands in for it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ApiStatus {
    pub(crate) code: u16,
    pub(crate) reason: String,
    pub(crate) message: String,
    /// The kind of the object that the status is about, in whatever form the
    /// server uses (`namespaces`, `Deployment`).
    pub(crate) about: String,
    pub(crate) causes: Vec<Cause>,
    pub(crate) retry_after: Option<Duration>,
}

/// One cause within a status.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Cause {
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) field: String,
}

#[derive(Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[derive(Default)]
struct Document {
    kind: String,
    message: String,
    reason: String,
    code: u16,
    details: Option<Details>,
}

#[derive(Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[derive(Default)]
struct Details {
    kind: String,
    causes: Option<Vec<Cause>>,
    retry_after_seconds: u64,
}

impl ApiStatus {
    /// Reads what came with an HTTP status that is no success. Proxies answer
    /// with text or HTML; its beginning is the message then.
    pub(crate) fn read(http: u16, retry_after: Option<Duration>, body: &[u8]) -> Self {
        let document = serde_json::from_slice::<Document>(body).ok().filter(|d| d.kind == "Status");
        let Some(document) = document else {
            let text = String::from_utf8_lossy(body);
            return Self {
                code: http,
                message: shortened(text.trim(), MESSAGE_BYTES),
                retry_after,
                ..Self::default()
            };
        };
        let details = document.details.unwrap_or_default();
        let advised = (details.retry_after_seconds > 0)
            .then(|| Duration::from_secs(details.retry_after_seconds));
        Self {
            code: if document.code == 0 { http } else { document.code },
            reason: document.reason,
            message: shortened(&document.message, MESSAGE_BYTES),
            about: details.kind,
            causes: details.causes.unwrap_or_default(),
            retry_after: retry_after.or(advised),
        }
    }

    /// Whether other field managers own what was to be applied.
    pub(crate) fn is_field_conflict(&self) -> bool {
        self.code == 409 && self.causes.iter().any(|c| c.reason == "FieldManagerConflict")
    }

    /// Whether the namespace is on its way out.
    pub(crate) fn is_namespace_terminating(&self) -> bool {
        self.causes.iter().any(|c| c.reason == "NamespaceTerminating")
            || (self.code == 403 && self.message.contains("because it is being terminated"))
    }

    /// Whether the namespace of the object is not there.
    pub(crate) fn is_namespace_missing(&self) -> bool {
        self.code == 404 && matches!(self.about.as_str(), "namespaces" | "Namespace")
    }

    /// Whether a schema was violated. Server-side apply reports this as an
    /// internal error, though trying again can't help.
    pub(crate) fn is_schema_violation(&self) -> bool {
        self.message.contains("failed to create typed patch object")
            || self.message.contains("field not declared in schema")
            || self.message.contains("failed to create manager for existing fields")
    }

    /// Whether a precondition did not hold: the object is another one by now.
    pub(crate) fn is_precondition(&self) -> bool {
        self.code == 409 && self.message.contains("Precondition failed")
    }

    /// Whether admission waits for something that a controller is about to
    /// fill in.
    pub(crate) fn is_settling(&self) -> bool {
        self.code == 403
            && (self.message.contains("status unknown for quota")
                || self.message.contains("error looking up service account"))
    }

    /// Whether a webhook or a policy of the cluster objects.
    pub(crate) fn is_admission(&self) -> bool {
        self.message.contains("admission webhook")
            || self.message.contains("ValidatingAdmissionPolicy")
    }

    /// Whether a webhook that has to be asked can't be.
    pub(crate) fn is_webhook_down(&self) -> bool {
        self.code >= 500 && self.message.contains("failed calling webhook")
    }

    /// Whether a quota leaves no room.
    pub(crate) fn is_quota(&self) -> bool {
        self.code == 403 && self.message.contains("exceeded quota")
    }
}

impl Failure {
    /// The status, if the API server answered.
    pub(crate) fn status(&self) -> Option<&ApiStatus> {
        match self {
            Self::Status(status) => Some(status),
            _ => None,
        }
    }

    /// The HTTP status code, if there was an answer.
    pub(crate) fn code(&self) -> Option<u16> {
        self.status().map(|status| status.code)
    }

    pub(crate) fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// Whether a watch or a page of a list has to begin anew.
    pub(crate) fn is_expired(&self) -> bool {
        self.code() == Some(410)
            || self.status().is_some_and(|s| matches!(s.reason.as_str(), "Expired" | "Gone"))
    }
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Auth(error) => Self::Credentials(error.to_string()),
            other => connection_failure(&other),
        }
    }
}

/// How TLS errors read: the types are of a library that is not ours to name.
/// The last is what comes of a server that speaks no TLS.
const TLS_REFUSALS: [&str; 3] = ["certificate", "received fatal alert", "received corrupt message"];

/// Tells a broken connection from an untrusted one.
fn connection_failure(error: &kube::Error) -> Failure {
    let mut deepest = error.to_string();
    let mut untrusted = false;
    let mut source = error.source();
    // Causes are nested a handful deep; a bound in case one is its own cause.
    for _ in 0..16 {
        let Some(current) = source else { break };
        deepest = current.to_string();
        if let Some(io) = current.downcast_ref::<std::io::Error>() {
            untrusted |= io.kind() == std::io::ErrorKind::InvalidData;
        }
        untrusted |= TLS_REFUSALS.iter().any(|part| deepest.contains(part));
        source = current.source();
    }
    let message = shortened(&deepest, MESSAGE_BYTES);
    if untrusted { Failure::Untrusted(message) } else { Failure::Unreachable(message) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_a_status() {
        let body = json!({
            "kind": "Status", "code": 429, "reason": "TooManyRequests", "message": "slow down",
            "details": {"retryAfterSeconds": 3, "causes": null},
        });
        let status = ApiStatus::read(429, None, body.to_string().as_bytes());
        assert_eq!(status.retry_after, Some(Duration::from_secs(3)));
        assert_eq!(status.message, "slow down");
    }

    #[test]
    fn a_header_wins_over_the_document() {
        let body = json!({"kind": "Status", "details": {"retryAfterSeconds": 3}});
        let status =
            ApiStatus::read(503, Some(Duration::from_secs(1)), body.to_string().as_bytes());
        assert_eq!((status.code, status.retry_after), (503, Some(Duration::from_secs(1))));
    }

    #[test]
    fn what_a_proxy_says_is_kept_in_part() {
        let status = ApiStatus::read(502, None, "x".repeat(10_000).as_bytes());
        assert_eq!(status.code, 502);
        assert!(status.message.len() < 2_100);
    }
}
