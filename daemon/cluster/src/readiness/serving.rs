//! Kinds that other objects use: claims, services, namespaces, APIs.

use serde_json::Value;

use super::State;
use crate::fields::{condition, holds, items, text, text_or_empty};

/// Claims whose class waits for a first consumer are ready without being
/// bound; whether theirs does is for the caller to know.
pub(super) fn claim(object: &Value) -> State {
    match text_or_empty(object, "/status/phase") {
        "Bound" => State::Ready,
        "Lost" => State::failed("claim-lost", "the volume that it was bound to is gone"),
        _ => State::progressing("waits for a volume"),
    }
}

pub(super) fn service(object: &Value) -> State {
    let wants_address = text(object, "/spec/type") == Some("LoadBalancer");
    if wants_address && items(object, "/status/loadBalancer/ingress").is_empty() {
        return State::progressing("waits for an address of its load balancer");
    }
    State::Ready
}

pub(super) fn namespace(object: &Value) -> State {
    match text_or_empty(object, "/status/phase") {
        "Active" => State::Ready,
        "Terminating" => State::failed("gone", "it is being deleted"),
        _ => State::progressing("not active yet"),
    }
}

pub(super) fn definition(object: &Value) -> State {
    if holds(object, "Established") {
        return State::Ready;
    }
    match condition(object, "NamesAccepted") {
        Some(names)
            if text(names, "/status") == Some("False")
                && text(names, "/reason") != Some("NoConflictsFound") =>
        {
            State::failed(
                "names-not-accepted",
                text(names, "/message").unwrap_or("its names were not accepted"),
            )
        }
        _ => State::progressing("not established yet"),
    }
}

pub(super) fn api_service(object: &Value) -> State {
    if holds(object, "Available") {
        return State::Ready;
    }
    let why = condition(object, "Available").and_then(|c| text(c, "/message"));
    State::progressing(why.unwrap_or("not available yet"))
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value)] // documents written in place
mod tests {
    use super::*;
    use serde_json::json;

    fn with_status(status: Value) -> Value {
        json!({ "status": status })
    }

    #[test]
    fn claims() {
        assert_eq!(claim(&with_status(json!({"phase": "Bound"}))), State::Ready);
        assert!(matches!(claim(&with_status(json!({"phase": "Pending"}))), State::Progressing(_)));
        assert!(matches!(claim(&with_status(json!({"phase": "Lost"}))), State::Failed(_)));
    }

    #[test]
    fn services() {
        let with = |kind: &str, ingress: Value| {
            service(&json!({"spec": {"type": kind}, "status": {"loadBalancer": ingress}}))
        };
        assert_eq!(with("ClusterIP", json!({})), State::Ready);
        assert!(matches!(with("LoadBalancer", json!({})), State::Progressing(_)));
        assert_eq!(with("LoadBalancer", json!({"ingress": [{"ip": "192.0.2.1"}]})), State::Ready);
    }

    #[test]
    fn namespaces() {
        assert_eq!(namespace(&with_status(json!({"phase": "Active"}))), State::Ready);
        let leaving = namespace(&with_status(json!({"phase": "Terminating"})));
        assert!(matches!(leaving, State::Failed(reason) if reason.code == "gone"));
        assert!(matches!(namespace(&json!({})), State::Progressing(_)));
    }

    #[test]
    fn definitions_and_api_services() {
        let with = |kind: &str, status: &str, reason: &str| {
            with_status(json!({"conditions": [
                {"type": kind, "status": status, "reason": reason, "message": "m"}]}))
        };
        assert_eq!(definition(&with("Established", "True", "")), State::Ready);
        assert!(matches!(definition(&with("Established", "False", "")), State::Progressing(_)));
        let refused = definition(&with("NamesAccepted", "False", "PluralConflict"));
        assert_eq!(refused, State::failed("names-not-accepted", "m"));
        assert_eq!(api_service(&with("Available", "True", "")), State::Ready);
        assert_eq!(api_service(&with("Available", "False", "")), State::progressing("m"));
        assert_eq!(api_service(&json!({})), State::progressing("not available yet"));
    }
}
