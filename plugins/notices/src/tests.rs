use super::*;
use deployd_plugin_sdk::notifier::{Event, Image};
use serde_json::json;

fn event(event_type: &str, data: &serde_json::Value) -> Event {
    let event = json!({
        "id": "1", "type": event_type, "time": "2026-11-22T10:00:00Z",
        "application": "shop", "environment": "production", "data": data,
    });
    serde_json::from_value(event).unwrap()
}

#[test]
fn titles_say_what_happened_where() {
    let deployment = json!({"deployment": "d", "number": 7});
    for (event_type, data, title, mood) in [
        (
            "deployment.succeeded",
            deployment.clone(),
            "shop/production, deployment 7 has succeeded",
            Mood::Good,
        ),
        (
            "deployment.rolled-back",
            deployment.clone(),
            "shop/production, deployment 7 has failed and was rolled back",
            Mood::Bad,
        ),
        (
            "deployment.paused",
            deployment.clone(),
            "shop/production, deployment 7 waits for somebody",
            Mood::Asks,
        ),
        (
            "deployment.planned",
            json!({"number": 7, "gates": [
                {"id": "a", "message": "two approvals", "condition": {"kind": "signal"}},
                {"id": "b", "message": "12:00", "condition": {"kind": "not-before", "at": 1}}]}),
            "shop/production, deployment 7 is planned and waits for somebody to let it begin",
            Mood::Asks,
        ),
        (
            "deployment.planned",
            json!({"number": 7, "gates": [
                {"id": "c", "message": "open", "condition": {"kind": "calendar"}}]}),
            "shop/production, deployment 7 is planned",
            Mood::Busy,
        ),
        (
            "deployment.planned",
            json!({"number": 7, "gates": [
                {"id": "b", "message": "12:00", "condition": {"kind": "not-before", "at": 1}}]}),
            "shop/production, deployment 7 is planned and waits for its time",
            Mood::Busy,
        ),
        (
            "drift.found",
            json!({"summary": {"findings": 3}, "new": 1}),
            "shop/production differs from what was deployed: 3 findings, 1 new",
            Mood::Bad,
        ),
        (
            "approval.requested",
            deployment.clone(),
            "shop/production, deployment 7 waits for approval",
            Mood::Asks,
        ),
        (
            "approval.bypassed",
            deployment.clone(),
            "shop/production, deployment 7 goes on without approvals",
            Mood::Asks,
        ),
        (
            "something.requested",
            deployment,
            "shop/production, deployment 7 tells: something requested",
            Mood::Asks,
        ),
    ] {
        let notice = Notice::of(&event(event_type, &data)).unwrap();
        assert_eq!((notice.title.as_str(), notice.mood), (title, mood));
    }
}

#[test]
fn facts_are_those_that_are_known() {
    let fault = json!({"code": "crash-loop", "class": "permanent", "message": "web ends"});
    let data = json!({"actor": "ada", "origin": {"kind": "rollback"}, "fault": fault, "number": 1});
    let notice = Notice::of(&event("deployment.failed", &data)).unwrap();
    assert_eq!(
        notice.facts,
        [
            ("By", "ada".to_owned()),
            ("Why", "back to an earlier deployment".to_owned()),
            ("Fault", "crash-loop".to_owned()),
        ]
    );
    assert_eq!(notice.message.as_deref(), Some("web ends"));
}

#[test]
fn who_is_to_let_it_begin_reads_what_it_waits_for() {
    let gates = json!([{"message": "two approvals"}, {"message": "the change board"}]);
    let notice = Notice::of(&event("deployment.planned", &json!({"gates": gates}))).unwrap();
    assert_eq!(notice.message.as_deref(), Some("two approvals\nthe change board"));
}

#[test]
fn who_is_asked_to_approve_reads_how_many_are_missing() {
    let approvals = json!([{"rule": "release", "of": ["sre", "ada"], "missing": 2},
        {"rule": "security", "of": [], "missing": 0}]);
    let data = json!({"approvals": approvals});
    let notice = Notice::of(&event("approval.requested", &data)).unwrap();
    assert_eq!(notice.message.as_deref(), Some("release: 2 more of sre, ada"));
    let data = json!({"by": "bob", "message": "not today"});
    let notice = Notice::of(&event("approval.refused", &data)).unwrap();
    assert_eq!(notice.message.as_deref(), Some("not today"));
    assert!(notice.facts.contains(&("Said by", "bob".to_owned())));
}

#[test]
fn many_images_are_counted() {
    let mut event = event("deployment.succeeded", &json!({}));
    let image = |n: usize| Image {
        workload: format!("w{n}"),
        image: "r.test/w:1".to_owned(),
        ..Image::default()
    };
    event.images = (0..7).map(image).collect();
    let notice = Notice::of(&event).unwrap();
    assert_eq!(notice.facts[0].1, "w0 1, w1 1, w2 1, w3 1, w4 1 and 2 more");
}

#[test]
fn versions_are_what_people_know_an_image_by() {
    let digest = format!("r.test:5000/web@sha256:{}", "0123456789".repeat(6));
    for (image, tag, commit, version) in [
        ("r.test/web:1.2", None, None, "1.2"),
        ("r.test:5000/web", None, None, "latest"),
        (digest.as_str(), None, None, "sha256:0123456"),
        (digest.as_str(), Some("1.3"), Some("abcdef0123"), "1.3 (abcdef0)"),
        ("r.test/web:1.2", None, Some("ä"), "1.2 (ä)"),
    ] {
        let known = Image {
            image: image.to_owned(),
            tag: tag.map(str::to_owned),
            commit: commit.map(str::to_owned),
            ..Image::default()
        };
        assert_eq!(version_of(&known), version);
    }
}

#[test]
fn long_texts_are_cut() {
    assert_eq!(clipped("  a\0b\nc ", 10), "a b\nc");
    assert_eq!(clipped("äöü", 2), "äö…");
}

#[test]
fn several_events_are_a_line_each_and_the_worst_says_how_they_are_meant() {
    let told = |kind: &str, number: u64, fault: &str| {
        json!({"id": "e", "type": kind, "time": "2026-11-23T00:00:00Z", "application": "shop",
            "environment": "production",
            "data": {"number": number, "fault": {"code": "x", "message": fault}}})
    };
    let events = [
        told("deployment.started", 7, ""),
        told("deployment.succeeded", 7, ""),
        told("deployment.failed", 8, "the image is not there\nat all"),
    ];
    let event = Event { environment: None, ..event(GROUP, &json!({ "events": events })) };
    let notice = Notice::of(&event).unwrap();
    assert_eq!(notice.title, "shop: 3 events, 1 bad, 1 good");
    assert_eq!(notice.mood, Mood::Bad);
    let lines = [
        "shop/production, deployment 7 has begun",
        "shop/production, deployment 7 has succeeded",
        "shop/production, deployment 8 has failed: the image is not there",
    ];
    assert_eq!(notice.message.as_deref(), Some(lines.join("\n").as_str()));
}
