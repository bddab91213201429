//! Notifiers as components: those that read answers, and each of the shipped ones,
//! which makes its requests of a failed deployment.

use deployd_core::config::{Grant, PluginKind};
use deployd_core::ports::{Answer, Call, CallLog, NotifierRequest, Notifiers as _, Telling};
use deployd_core::{Fault, FaultClass};
use serde_json::{Value, json};

use crate::shipped::load_with;
use crate::support::{Stage, component, scope};

fn event() -> Value {
    json!({
        "id": "environment/shop/production/42",
        "type": "deployment.failed",
        "time": "2026-11-22T10:00:00Z",
        "application": "shop",
        "environment": "production",
        "link": "https://deployd.example.com/#deployment=01JD0000000000000000000000",
        "advice": "Look whether the image exists.",
        "images": [{"workload": "web", "container": "main", "image": "r.example.com/web:1.4",
            "commit": "0123456789abcdef0123456789abcdef01234567"}],
        "data": {"deployment": "01JD0000000000000000000000", "number": 7, "actor": "ada",
            "fault": {"code": "image-pull-failed", "class": "permanent", "message": "no image"}},
    })
}

/// What a notifier that reads no answers sends.
async fn formatted(stage: &Stage, notifier: &str, config: Value) -> Vec<NotifierRequest> {
    let plugin = load_with(stage, notifier, &Grant::default()).await;
    assert!(!stage.host.reads_answers(&plugin), "{notifier}");
    let (scope, log) = (scope(), CallLog::default());
    let call = Call { plugin: &plugin, scope: &scope, log: &log };
    stage.host.format(call, &event(), &config).await.unwrap()
}

/// What one that reads them sends, when each request is answered so; and what it
/// remembers in the end.
async fn told(
    stage: &Stage,
    notifier: &str,
    config: Value,
    answers: &[(u16, Value)],
) -> Result<(Vec<NotifierRequest>, Option<Value>), Fault> {
    let plugin = load_with(stage, notifier, &Grant::default()).await;
    assert!(stage.host.reads_answers(&plugin), "{notifier}");
    let (scope, log) = (scope(), CallLog::default());
    let call = Call { plugin: &plugin, scope: &scope, log: &log };
    let (event, mut sent, mut memory, mut answer) = (event(), Vec::new(), None, None);
    for said in answers.iter().map(Some).chain([None]) {
        let telling = Telling {
            event: &event,
            config: &config,
            memory: memory.as_ref(),
            answer: answer.as_ref(),
        };
        let step = stage.host.tell(call, &telling).await?;
        memory = step.memory;
        let Some(request) = step.send else { break };
        sent.push(request);
        let (status, body) = said.unwrap();
        let body = body.to_string().into_bytes();
        answer = Some(Answer { status: *status, body, ..Answer::default() });
    }
    Ok((sent, memory))
}

#[tokio::test]
async fn cards_events_and_mails_are_made_of_a_failure() {
    let stage = Stage::new();
    let card = formatted(&stage, "teams", json!({})).await;
    assert_eq!((card.len(), card[0].url.as_str()), (1, ""));
    let config = json!({"url": "https://events.example.com"});
    let event = formatted(&stage, "cdevents", config).await;
    assert_eq!(event[0].headers["content-type"], "application/cloudevents+json");
    let config = json!({"url": "smtp://mail.example.com", "from": "deployd@example.com",
        "to": ["shop@example.com"]});
    let mail = formatted(&stage, "email", config).await;
    assert_eq!(mail[0].headers["mail-to"], "shop@example.com");
    assert!(String::from_utf8_lossy(&mail[0].body).contains("deployment 7 has failed"));
    for (kind, request) in [("teams", &card[0]), ("cdevents", &event[0])] {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        assert!(body.to_string().contains("no image"), "{kind}: {body}");
    }
}

#[tokio::test]
async fn services_are_told_by_the_ids_that_they_have_given() {
    let stage = Stage::new();
    let posted = json!({"ok": true, "channel": "C9", "ts": "1.2"});
    let answers = [(200, posted)];
    let config = json!({"channel": "C1"});
    let (sent, memory) = told(&stage, "slack", config.clone(), &answers).await.unwrap();
    assert_eq!(sent[0].url, "https://slack.com/api/chat.postMessage");
    assert_eq!((sent.len(), memory), (1, Some(json!({"channel": "C9", "ts": "1.2"}))));

    let answers = [(201, json!({"id": 5})), (201, json!({}))];
    let config = json!({"repository": "acme/shop"});
    let (sent, memory) = told(&stage, "github-deployments", config, &answers).await.unwrap();
    let urls: Vec<&str> = sent.iter().map(|request| request.url.as_str()).collect();
    let deployments = "https://api.github.com/repos/acme/shop/deployments";
    assert_eq!(urls, [deployments, &format!("{deployments}/5/statuses")]);
    assert_eq!(memory.unwrap()["id"], 5);
}

#[tokio::test]
async fn a_refusal_has_the_class_that_the_notifier_gives_it() {
    let stage = Stage::new();
    for (error, class) in
        [("ratelimited", FaultClass::Transient), ("invalid_auth", FaultClass::Denied)]
    {
        let answers = [(200, json!({"ok": false, "error": error}))];
        let config = json!({"channel": "C1"});
        let fault = told(&stage, "slack", config, &answers).await.unwrap_err();
        assert_eq!(fault.class, class, "{fault}");
        assert!(fault.message.contains(error), "{fault}");
    }
}

#[tokio::test]
async fn what_was_answered_comes_back_as_what_is_remembered() {
    let stage = Stage::new();
    let (bytes, grant) = (component("teller-remembers"), Grant::default());
    let registered =
        stage.register("teller-remembers", &bytes, PluginKind::Notifier, "", &grant).await.unwrap();
    assert_eq!(registered.contract, "deployd:notifier@0.2.0");
    let plugin = registered.plugin;
    assert!(stage.host.reads_answers(&plugin));
    let (scope, log) = (scope(), CallLog::default());
    let call = Call { plugin: &plugin, scope: &scope, log: &log };
    let (event, config) = (json!({"id": "e1"}), json!({}));
    let telling = Telling { event: &event, config: &config, memory: None, answer: None };

    let first = stage.host.tell(call, &telling).await.unwrap();
    let request = first.send.unwrap();
    assert_eq!((request.method.as_str(), request.url.as_str()), ("POST", "https://chat.test/"));
    assert_eq!(
        (request.headers["x-a"].as_str(), request.body),
        ("yes", br#"{"id":"e1"}"#.to_vec())
    );
    assert_eq!(first.memory, None);

    let said = |body: &str| Answer {
        status: 200,
        retry_after_ms: Some(7),
        body: body.as_bytes().to_vec(),
    };
    let (id, memory) = (said(r#"{"ts": "1.2"}"#), json!({"ts": "1.2"}));
    let done = stage.host.tell(call, &Telling { answer: Some(&id), ..telling }).await.unwrap();
    assert_eq!((done.send, done.memory), (None, Some(memory.clone())));
    let next = stage.host.tell(call, &Telling { memory: Some(&memory), ..telling }).await.unwrap();
    assert_eq!((next.send.unwrap().body, next.memory), (br#"{"ts":"1.2"}"#.to_vec(), Some(memory)));

    // Others ask for what this kind of notifiers does not do.
    let fault = stage.host.format(call, &event, &config).await.unwrap_err();
    assert_eq!((fault.code.as_str(), fault.class), ("no-such-function", FaultClass::Bug));
    for (body, code) in [
        (format!("\"{}\"", "x".repeat(5_000)), "plugin-output-too-large"),
        ("no JSON".to_owned(), "plugin-invalid-json"),
    ] {
        let answer = said(&body);
        let telling = Telling { answer: Some(&answer), ..telling };
        let fault = stage.host.tell(call, &telling).await.unwrap_err();
        assert_eq!(fault.code, code, "{fault}");
    }
}
