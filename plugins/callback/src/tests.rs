use super::*;
use deployd_plugin_sdk::testing::{FakeHost, check_request};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NOW_MS: u64 = 1_700_000_600_000;

fn host(status: u16) -> FakeHost {
    FakeHost::new()
        .grant_secret("suite", SECRET)
        .answer(move |_| Ok(http::Response::new(status).with_body("no such suite")))
}

fn config() -> Value {
    json!({"url": "https://tests.example/run", "secret": "suite", "data": {"suite": "smoke"}})
}

/// Runs it so many milliseconds after it was asked, with these answers.
fn run(
    config: &Value,
    after_ms: u64,
    answers: &[Value],
    token: Option<&str>,
    host: &FakeHost,
) -> Result<Outcome, Fault> {
    let input = json!({
        "now-ms": NOW_MS + after_ms,
        "callback": {"url": "https://deployd.example/answers/7", "answers": answers},
    });
    WebhookCallback::run(&check_request::<WebhookCallback>(config, &input, token)?, host)
}

/// An answer that is signed right, and arrives so many seconds after it was sent.
fn answer(data: &Value, late_seconds: u64) -> Value {
    let host = FakeHost::new().grant_secret("suite", SECRET);
    let body = json!({"type": "check.answered", "data": data}).to_string();
    let timestamp = (NOW_MS / 1000).to_string();
    let signature = Key::open("suite", &host).unwrap().sign("msg_1", &timestamp, &body);
    json!({
        "id": "msg_1", "timestamp": timestamp, "signature": signature, "body": body,
        "received-ms": NOW_MS + late_seconds * 1000,
    })
}

fn asked(config: &Value) -> String {
    let Outcome::Pending(pending) = run(config, 0, &[], None, &host(202)).unwrap() else {
        panic!("not pending")
    };
    pending.token
}

#[test]
fn others_are_asked_once_and_told_all_they_need() {
    let host = host(202);
    let Outcome::Pending(pending) = run(&config(), 0, &[], None, &host).unwrap() else {
        panic!("not pending")
    };
    let request = &host.requests()[0];
    let header = |name: &str| {
        let found = request.headers.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.clone()).unwrap()
    };
    let body = String::from_utf8(request.body.clone()).unwrap();
    let key = Key::open("suite", &host).unwrap();
    let (id, at) = (header("webhook-id"), header("webhook-timestamp"));
    assert!(key.has_signed(&header("webhook-signature"), &id, &at, &body));
    assert_eq!(id, "key-1");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["type"], "check.requested");
    assert_eq!(body["timestamp"], "2023-11-14T22:23:20Z");
    let data = &body["data"];
    assert_eq!(data["check"], "key-1");
    assert_eq!(data["callback"], "https://deployd.example/answers/7");
    assert_eq!(data["deadline"], "2023-11-14T22:53:20Z");
    assert_eq!((&data["track"], &data["workloads"]), (&json!("canary"), &json!(["web"])));
    assert_eq!(data["more"], json!({"suite": "smoke"}));
    // Asking again with the token asks nobody.
    let again = run(&config(), 60_000, &[], Some(&pending.token), &host).unwrap();
    assert!(matches!(again, Outcome::Pending(_)));
    assert_eq!(host.requests().len(), 1);
}

#[test]
fn the_answer_is_the_verdict() {
    let token = asked(&config());
    let of = |data: Value| {
        let answers = [answer(&data, 1)];
        run(&config(), 9_000, &answers, Some(&token), &host(500)).unwrap()
    };
    let failed = of(json!({
        "check": "key-1", "verdict": "failed", "message": "3 of 120 failed",
        "measurements": [{"name": "failed", "value": 3}],
    }));
    let Outcome::Failed(verdict) = failed else { panic!("{failed:?}") };
    assert_eq!(verdict.message, "3 of 120 failed");
    assert_eq!(verdict.measurements[0].value, 3.0);
    let passed = of(json!({"check": "key-1", "verdict": "passed"}));
    assert!(matches!(passed, Outcome::Passed(_)), "{passed:?}");
    // One that arrived before the asking was recorded counts, and nobody is asked again.
    let (host, early) =
        (host(500), vec![answer(&json!({"check": "key-1", "verdict": "passed"}), 1)]);
    assert!(matches!(run(&config(), 0, &early, None, &host).unwrap(), Outcome::Passed(_)));
    assert_eq!(host.requests(), []);
}

#[test]
fn what_is_forged_old_or_of_something_else_counts_for_nothing() {
    let token = asked(&config());
    let right = json!({"check": "key-1", "verdict": "passed"});
    let mut forged = answer(&right, 0);
    forged["body"] = json!(forged["body"].as_str().unwrap().replace("passed", "failed"));
    let mut unsigned = answer(&right, 0);
    unsigned["signature"] = json!("");
    let wrong = [
        (forged, "signature"),
        (unsigned, "signature"),
        (answer(&right, 301), "minutes from when"),
        (answer(&json!({"check": "key-0", "verdict": "passed"}), 0), "of the check key-0"),
        (answer(&json!({"check": "key-1", "verdict": "fine"}), 0), "does not fit"),
        (answer(&json!({"check": "key-1"}), 0), "does not fit"),
    ];
    for (answer, why) in &wrong {
        let host = host(202);
        let outcome =
            run(&config(), 5_000, std::slice::from_ref(answer), Some(&token), &host).unwrap();
        assert!(matches!(outcome, Outcome::Pending(_)), "{why}: {outcome:?}");
        assert!(host.lines()[0].contains(why), "{:?}", host.lines());
    }
    let mut all: Vec<Value> = wrong.into_iter().map(|(answer, _)| answer).collect();
    all.push(answer(&right, 0));
    let outcome = run(&config(), 5_000, &all, Some(&token), &host(202)).unwrap();
    assert!(matches!(outcome, Outcome::Passed(_)), "none of them stands in the way");
}

#[test]
fn nobody_waits_beyond_the_deadline() {
    let mut config = config();
    config["deadline_ms"] = json!(60_000);
    let token = asked(&config);
    let at = |config: &Value, ms| run(config, ms, &[], Some(&token), &host(202)).unwrap();
    let Outcome::Pending(pending) = at(&config, 58_000) else { panic!("too early") };
    assert_eq!(pending.poll_after, Duration::from_secs(2));
    assert!(matches!(at(&config, 60_000), Outcome::Inconclusive(_)));
    config["on_deadline"] = json!("failed");
    assert!(matches!(at(&config, 60_000), Outcome::Failed(_)));
}

#[test]
fn who_can_not_be_asked_is_a_fault() {
    let fault = |host: &FakeHost| run(&config(), 0, &[], None, host).unwrap_err();
    assert!(matches!(fault(&host(503)), Fault::Unavailable { .. }));
    let gone = fault(&host(404)).to_string();
    assert!(gone.contains("/config/url") && gone.contains("no such suite"), "{gone}");
    assert!(matches!(fault(&FakeHost::new()), Fault::Denied(_)), "without its secret");
    let request = check_request::<WebhookCallback>(&config(), &json!({}), None).unwrap();
    let fault = WebhookCallback::run(&request, &host(202)).unwrap_err();
    assert!(matches!(fault, Fault::Unsupported(_)), "without a place for answers");
    assert!(run(&config(), 0, &[], Some("x"), &host(202)).is_err());
}
