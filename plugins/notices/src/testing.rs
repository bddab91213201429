//! Events of each type, and what each notifier is held to.

use deployd_plugin_sdk::notifier::{Event, Image};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

/// Types of events that the daemon tells of, and one of a later daemon.
pub const TYPES: [&str; 33] = [
    "deployment.queued",
    "deployment.deferred",
    "deployment.yielded",
    "deployment.started",
    "deployment.planned",
    "deployment.proposed",
    "deployment.paused",
    "deployment.succeeded",
    "deployment.failed",
    "deployment.rolled-back",
    "deployment.cancelled",
    "deployment.superseded",
    "deployment.needs-operator",
    "teardown.queued",
    "teardown.deferred",
    "teardown.yielded",
    "teardown.started",
    "teardown.planned",
    "teardown.proposed",
    "teardown.succeeded",
    "teardown.failed",
    "teardown.cancelled",
    "teardown.needs-operator",
    "drift.found",
    "drift.gone",
    "drift.healing-given-up",
    "approval.requested",
    "approval.given",
    "approval.withdrawn",
    "approval.refused",
    "approval.expired",
    "approval.bypassed",
    "something.requested",
];

/// Cases of each property.
const CASES: u32 = 256;

/// An event of a deployment, as the daemon tells it.
pub fn event(event_type: &str) -> Event {
    with(event_type, &json!({}))
}

/// The same, with other details.
pub fn with(event_type: &str, data: &Value) -> Event {
    let fails = event_type.ends_with("failed")
        || event_type.ends_with("rolled-back")
        || event_type.ends_with("needs-operator");
    let mut details = json!({
        "deployment": "01JD0000000000000000000000",
        "number": 7,
        "actor": "ada",
        "origin": {"kind": "artifact", "image": "registry.example.com/shop/web"},
        "comment": null,
        "outcome": null,
        "fault": null,
    });
    let more = if event_type.starts_with("drift.") {
        json!({"number": null, "summary": {"findings": 3}, "new": 2, "gone": 0, "heals": 3})
    } else if event_type == "deployment.paused" {
        json!({"message": "10 % of requests go to the new version: look at its errors"})
    } else if fails {
        json!({"fault": {"code": "image-pull-failed", "class": "permanent",
            "message": "web: the image can't be pulled: not found"}})
    } else {
        json!({})
    };
    if let Some(details) = details.as_object_mut() {
        for fields in [&more, data].into_iter().filter_map(Value::as_object) {
            details.extend(fields.clone());
        }
    }
    Event {
        id: "environment/shop/production/42".to_owned(),
        r#type: event_type.to_owned(),
        time: "2026-11-22T10:00:00Z".to_owned(),
        application: Some("shop".to_owned()),
        environment: Some("production".to_owned()),
        link: Some("https://deployd.example.com/#deployment=01JD0000000000000000000000".to_owned()),
        advice: fails.then(|| "Look whether the image exists under that name.".to_owned()),
        images: vec![Image {
            workload: "web".to_owned(),
            container: "main".to_owned(),
            image: format!("registry.example.com/shop/web@sha256:{}", "a".repeat(64)),
            tag: Some("1.4.2".to_owned()),
            r#ref: Some("refs/heads/main".to_owned()),
            commit: Some("0123456789abcdef0123456789abcdef01234567".to_owned()),
            build_url: None,
        }],
        data: details,
    }
}

/// Hands events of all types to a notifier whose texts are anything that people write.
///
/// # Errors
/// The event for which the property is not true, as small as it could be made.
pub fn for_all_texts(holds: impl Fn(&Event, &str) -> Result<(), String>) -> Result<(), String> {
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    // With what means something in JSON, HTML, Markdown, mails and headers.
    let text = prop_oneof!["\\PC*", "[<>&*_~`|\\[\\]()\"'\\\\ \r\n\0a-z.:@!#-]{0,900}"];
    let run = TestRunner::new(config).run(&(0..TYPES.len(), text), |(index, text)| {
        let event_type = TYPES.get(index).copied().unwrap_or_default();
        let fault = json!({"code": text, "class": "permanent", "message": text});
        let data = json!({"comment": text, "actor": text, "fault": fault, "message": text});
        let mut event = with(event_type, &data);
        event.advice = Some(text.clone());
        for image in &mut event.images {
            image.tag = Some(text.clone());
        }
        holds(&event, &text).map_err(TestCaseError::fail)
    });
    run.map_err(|error| error.to_string())
}
