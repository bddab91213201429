use super::*;
use deployd_plugin_sdk::testing::FakeHost;
use notices::testing::{TYPES, event, for_all_texts};
use serde_json::{Value, json};

/// Slack, as far as it is of interest: it keeps messages, and changes them.
#[derive(Default)]
struct Workspace {
    posted: Vec<Value>,
    changed: Vec<Value>,
    /// What comes next, instead of success.
    script: Vec<(u16, Value)>,
}

impl Workspace {
    fn answers(&mut self, request: &HttpRequest) -> Answer {
        assert_eq!(request.method, "POST");
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let answer = |status, body: &Value| Answer {
            status,
            retry_after: None,
            body: body.to_string().into_bytes(),
        };
        if !self.script.is_empty() {
            let (status, said) = self.script.remove(0);
            return answer(status, &said);
        }
        let ts = format!("1700000000.{:06}", self.posted.len());
        match request.url.as_str() {
            "https://slack.com/api/chat.postMessage" => self.posted.push(body),
            "https://slack.com/api/chat.update" => self.changed.push(body),
            other => panic!("{other}"),
        }
        answer(200, &json!({"ok": true, "channel": "C9", "ts": ts}))
    }
}

fn config(config: Value) -> Config {
    serde_json::from_value(config).unwrap()
}

/// Tells an event as the host does.
fn told(
    workspace: &mut Workspace,
    event: &Event,
    memory: &mut Option<Memory>,
) -> Result<(), Fault> {
    let mut answer = None;
    for _ in 0..4 {
        let telling = Telling {
            event: event.clone(),
            config: config(json!({"channel": "C1"})),
            memory: memory.clone(),
            answer,
        };
        let step = Slack::tell(telling, &FakeHost::new())?;
        *memory = step.memory;
        let Some(request) = step.send else { return Ok(()) };
        answer = Some(workspace.answers(&request));
    }
    panic!("four requests of one event");
}

fn numbered(event_type: &str, number: u32) -> Event {
    Event { id: format!("environment/shop/production/{number}"), ..event(event_type) }
}

#[test]
fn a_deployment_is_one_thread_whose_first_message_says_how_it_stands() {
    let (mut workspace, mut memory) = (Workspace::default(), None);
    for (number, event_type) in
        (1..).zip(["deployment.queued", "deployment.started", "deployment.failed"])
    {
        told(&mut workspace, &numbered(event_type, number), &mut memory).unwrap();
    }
    let [first, second, third] = &workspace.posted[..] else { panic!("{:?}", workspace.posted) };
    assert_eq!((&first["channel"], first.get("thread_ts")), (&json!("C1"), None));
    for reply in [second, third] {
        assert_eq!(reply["thread_ts"], "1700000000.000000");
        assert_eq!(reply["channel"], "C9", "as Slack named it");
    }
    assert_eq!(second.get("reply_broadcast"), None);
    assert_eq!(third["reply_broadcast"], true, "who has to know is told in the channel");
    let last = workspace.changed.last().unwrap();
    assert_eq!((workspace.changed.len(), &last["ts"]), (2, &json!("1700000000.000000")));
    assert_eq!(last["text"], ":x: shop/production, deployment 7 has failed");
    assert_eq!(memory.unwrap().replied, None);
}

#[test]
fn what_was_replied_is_not_replied_again_when_only_the_change_has_failed() {
    let (mut workspace, mut memory) = (Workspace::default(), None);
    told(&mut workspace, &numbered("deployment.queued", 1), &mut memory).unwrap();
    let started = numbered("deployment.started", 2);
    workspace.script = vec![
        (200, json!({"ok": true, "channel": "C9", "ts": "2"})),
        (200, json!({"ok": false, "error": "ratelimited"})),
    ];
    assert!(matches!(told(&mut workspace, &started, &mut memory), Err(Fault::Unavailable { .. })));
    told(&mut workspace, &started, &mut memory).unwrap();
    assert_eq!((workspace.posted.len(), workspace.changed.len()), (1, 1));
}

#[test]
fn a_thread_that_was_deleted_is_begun_again_and_a_first_message_that_stays_ends_nothing() {
    let (mut workspace, mut memory) = (Workspace::default(), None);
    told(&mut workspace, &numbered("deployment.queued", 1), &mut memory).unwrap();
    workspace.script = vec![(200, json!({"ok": false, "error": "thread_not_found"}))];
    told(&mut workspace, &numbered("deployment.started", 2), &mut memory).unwrap();
    assert_eq!(workspace.posted[1].get("thread_ts"), None);
    assert_eq!(memory.as_ref().unwrap().ts, "1700000000.000001");
    workspace.script = vec![
        (200, json!({"ok": true, "channel": "C9", "ts": "3"})),
        (200, json!({"ok": false, "error": "cant_update_message"})),
    ];
    told(&mut workspace, &numbered("deployment.succeeded", 3), &mut memory).unwrap();
}

#[test]
fn refusals_say_what_to_do() {
    for (status, said, transient, text) in [
        (200, json!({"ok": false, "error": "not_in_channel"}), false, "/invite"),
        (200, json!({"ok": false, "error": "token_revoked"}), false, "xoxb"),
        (200, json!({"ok": false, "error": "internal_error"}), true, "internal_error"),
        (200, json!({"ok": false, "error": "invalid_blocks"}), false, "invalid_blocks"),
        (200, json!("<html>"), false, "not expected"),
        (503, json!("busy"), true, "503"),
    ] {
        let mut workspace = Workspace { script: vec![(status, said)], ..Workspace::default() };
        let fault = told(&mut workspace, &event(TYPES[0]), &mut None).unwrap_err();
        assert_eq!(matches!(fault, Fault::Unavailable { .. }), transient, "{fault}");
        assert!(fault.to_string().contains(text), "{fault}");
    }
}

#[test]
fn a_webhook_has_no_threads() {
    let step = |url: Option<&str>, answer| {
        let config = match url {
            Some(url) => json!({"url": url}),
            None => json!({}),
        };
        let (event, config) = (event("deployment.failed"), self::config(config));
        Slack::tell(Telling { event, config, memory: None, answer }, &FakeHost::new()).unwrap()
    };
    let request = step(Some("https://hooks.slack.com/services/x"), None).send.unwrap();
    assert_eq!(request.url, "https://hooks.slack.com/services/x");
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let message = json!({
        "text": ":x: shop/production, deployment 7 has failed",
        "blocks": [
            {"type": "section", "text": {"type": "mrkdwn", "verbatim": true, "text":
                ":x: *shop/production, deployment 7 has failed*\n\
                 <https://deployd.example.com/#deployment=01JD0000000000000000000000|Look at it>"}},
            {"type": "section", "text": {"type": "mrkdwn", "verbatim": true,
                "text": "web: the image can't be pulled: not found"}},
            {"type": "section", "text": {"type": "mrkdwn", "verbatim": true,
                "text": ":bulb: Look whether the image exists under that name."}},
            {"type": "context", "elements": [{"type": "mrkdwn", "verbatim": true, "text":
                "By: ada\nWhy: a new image\nImages: web 1.4.2 (0123456)\nFault: image-pull-failed"}]},
        ],
    });
    assert_eq!(body, message);
    assert_eq!(step(None, None).send.unwrap().url, "", "the host knows the address");
    let done = Answer { status: 200, retry_after: None, body: b"ok".to_vec() };
    assert_eq!(step(None, Some(done)).send, None);
}

#[test]
fn whatever_others_write_is_no_markup_and_fits() {
    for_all_texts(|event, _| {
        let telling = Telling {
            event: event.clone(),
            config: config(json!({"channel": "C1"})),
            memory: None,
            answer: None,
        };
        let step = Slack::tell(telling, &FakeHost::new()).map_err(|fault| fault.to_string())?;
        let body = step.send.map(|request| request.body).unwrap_or_default();
        let message: Value = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
        for block in message["blocks"].as_array().unwrap() {
            let texts = match block["type"].as_str().unwrap() {
                "section" => vec![&block["text"]["text"]],
                _ => block["elements"].as_array().unwrap().iter().map(|e| &e["text"]).collect(),
            };
            for text in texts.into_iter().filter_map(Value::as_str) {
                // The only markup is our own link.
                let ours = text.matches("|Look at it>").count();
                if text.matches('<').count() != ours
                    || text.chars().count() > 3000
                    || text.is_empty()
                {
                    return Err(text.to_owned());
                }
            }
        }
        Ok(())
    })
    .unwrap();
}
