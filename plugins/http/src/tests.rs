use super::*;
use deployd_plugin_sdk::testing::{FakeHost, check_request};
use serde_json::json;
use std::time::Duration;

fn run(config: &Value, input: &Value, host: &FakeHost) -> Result<Outcome, Fault> {
    Http::run(&check_request::<Http>(config, input, None)?, host)
}

fn up(_: &http::Request) -> Result<http::Response, Fault> {
    Ok(http::Response::new(200).with_body(r#"{"status": "up", "replicas": 3, "note": null}"#))
}

/// Asks one address that answers like this.
fn one(config: &Value, answer: http::Response) -> Outcome {
    let mut whole = json!({"url": "http://web:8080/healthz"});
    for (name, value) in config.as_object().unwrap() {
        whole[name] = value.clone();
    }
    let host = FakeHost::new().answer(move |_| Ok(answer.clone())).slow(Duration::from_millis(120));
    run(&whole, &json!({}), &host).unwrap()
}

fn failed(outcome: &Outcome, why: &str) {
    let Outcome::Failed(verdict) = outcome else { panic!("{outcome:?}") };
    assert!(verdict.message.contains(why), "{}", verdict.message);
}

#[test]
fn each_workload_of_the_track_is_asked() {
    let config = json!({"url": "http://{{workload}}{{suffix}}.{{namespace}}.svc:8080/healthz"});
    let host = FakeHost::new().answer(up);
    let outcome = run(&config, &json!({"workloads": ["web", "api"]}), &host).unwrap();
    let Outcome::Passed(verdict) = outcome else { panic!("{outcome:?}") };
    let urls: Vec<String> = host.requests().into_iter().map(|request| request.url).collect();
    assert_eq!(
        urls,
        [
            "http://web-canary.shop-staging-1.svc:8080/healthz",
            "http://api-canary.shop-staging-1.svc:8080/healthz",
        ]
    );
    let names: Vec<&str> = verdict.measurements.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["latency web", "latency api"]);
    let host = FakeHost::new().answer(up);
    run(&config, &json!({"track": "stable"}), &host).unwrap();
    assert_eq!(host.requests()[0].url, "http://web.shop-staging-1.svc:8080/healthz");
    let many: Vec<String> = (0..17).map(|number| format!("w{number}")).collect();
    let fault = run(&json!({"url": "http://{{workload}}"}), &json!({"workloads": many}), &host);
    assert!(fault.unwrap_err().to_string().contains("/input/workloads: 17 workloads"));
    let host = FakeHost::new().answer(up);
    run(&json!({"url": "http://gateway/"}), &json!({"workloads": many}), &host).unwrap();
    assert_eq!(host.requests().len(), 1, "one address is asked once");
}

#[test]
fn the_status_has_to_be_right() {
    assert!(matches!(one(&json!({}), http::Response::new(204)), Outcome::Passed(_)));
    failed(&one(&json!({}), http::Response::new(302)), "status 302, expected 2xx");
    let gone = json!({"status": [404, "5xx"]});
    assert!(matches!(one(&gone, http::Response::new(503)), Outcome::Passed(_)));
    failed(&one(&gone, http::Response::new(200)), "status 200, expected 404 or 5xx");
}

#[test]
fn the_body_has_to_be_right() {
    let body = |text: &str| http::Response::new(200).with_body(text);
    let document = r#"{"status": "up", "replicas": 3, "note": null}"#;
    for right in [
        json!({"contains": "\"up\""}),
        json!({"pointer": "/status", "equals": "up"}),
        json!({"pointer": "/replicas", "equals": 3}),
        json!({"pointer": "/note", "equals": null}),
        json!({"pointer": "/note"}),
    ] {
        let outcome = one(&json!({"body": right}), body(document));
        assert!(matches!(outcome, Outcome::Passed(_)), "{right} {outcome:?}");
    }
    let wrong = |expected: &Value, text: &str, why: &str| {
        failed(&one(&json!({"body": expected}), body(text)), why);
    };
    wrong(&json!({"contains": "ready"}), document, "a body without \"ready\": {\"status\"");
    wrong(
        &json!({"pointer": "/status", "equals": "up"}),
        "{\"status\": 1}",
        "1 at \"/status\", expected \"up\"",
    );
    wrong(&json!({"pointer": "/a/b"}), document, "nothing at \"/a/b\"");
    wrong(&json!({"pointer": ""}), "<html>", "no JSON: <html>");
    wrong(&json!({"contains": "ready"}), "", "(empty)");
    let fault =
        run(&json!({"url": "http://web", "body": {"equals": 1}}), &json!({}), &FakeHost::new());
    assert!(fault.unwrap_err().to_string().contains("/config/body/pointer"));
}

#[test]
fn an_answer_may_take_only_so_long() {
    let outcome = one(&json!({"latency_ms": 120}), http::Response::new(200));
    let Outcome::Passed(verdict) = outcome else { panic!("{outcome:?}") };
    assert_eq!(verdict.measurements[0].value, 120.0);
    let outcome = one(&json!({"latency_ms": 119}), http::Response::new(200));
    failed(&outcome, "took 120 ms, expected 119 ms at most");
}

#[test]
fn nobody_there_is_a_failure_and_what_is_not_allowed_is_a_fault() {
    let away = FakeHost::new().answer(|_| Err(Fault::unavailable("it can't be connected to")));
    let config = json!({"url": "http://web"});
    failed(&run(&config, &json!({}), &away).unwrap(), "http://web: it can't be connected to");
    let fault = run(&config, &json!({}), &FakeHost::new()).unwrap_err();
    assert!(matches!(fault, Fault::Denied(_)), "{fault}");
    let fault = run(&json!({"url": "http://{{pod}}"}), &json!({}), &FakeHost::new()).unwrap_err();
    assert!(fault.to_string().contains("/config/url"), "{fault}");
}

#[test]
fn what_is_sent_is_what_is_configured() {
    let host = FakeHost::new().answer(up);
    let config = json!({
        "url": "http://web/probe", "method": "POST", "send": "{}",
        "headers": {"content-type": "application/json"},
    });
    run(&config, &json!({}), &host).unwrap();
    let request = &host.requests()[0];
    assert_eq!((request.method.as_str(), request.body.as_slice()), ("POST", &b"{}"[..]));
    assert_eq!(request.headers, [("content-type".to_owned(), "application/json".to_owned())]);
}
