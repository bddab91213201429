use super::*;
use deployd_plugin_sdk::http;
use deployd_plugin_sdk::testing::{FakeHost, check_request};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const QUERY: &str = "errors{app=\"{{workload}}\", track=\"{{track}}\"}";

fn config(more: &Value) -> Value {
    let mut config = json!({"url": "http://prometheus:9090/", "query": QUERY});
    for (name, value) in more.as_object().unwrap() {
        config[name] = value.clone();
    }
    config
}

fn below_one_percent() -> Value {
    config(&json!({"condition": "result[0] < 0.01"}))
}

fn run(config: &Value, input: &Value, host: &FakeHost) -> Result<Outcome, Fault> {
    Prometheus::run(&check_request::<Prometheus>(config, input, None)?, host)
}

/// The fields of a form.
fn fields(request: &http::Request) -> BTreeMap<String, String> {
    form_urlencoded::parse(&request.body).into_owned().collect()
}

fn success(data: &Value) -> http::Response {
    let body = json!({"status": "success", "data": data});
    http::Response::new(200).with_body(body.to_string())
}

fn vector(values: &[&str]) -> http::Response {
    let item =
        |value: &&str| json!({"metric": {"pod": "web-1"}, "value": [1_700_000_600.0, value]});
    let result: Vec<Value> = values.iter().map(item).collect();
    success(&json!({"resultType": "vector", "result": result}))
}

fn matrix(values: &[f64]) -> http::Response {
    let sample = |value: &f64| json!([1_700_000_000, value.to_string()]);
    let samples: Vec<Value> = values.iter().map(sample).collect();
    let result = json!([{"metric": {}, "values": samples}]);
    success(&json!({"resultType": "matrix", "result": result}))
}

/// A server that always says the same.
fn saying(response: http::Response) -> FakeHost {
    FakeHost::new().answer(move |_| Ok(response.clone()))
}

fn passed(outcome: Outcome) -> Verdict {
    let Outcome::Passed(verdict) = outcome else { panic!("{outcome:?}") };
    verdict
}

fn failed(outcome: Outcome) -> Verdict {
    let Outcome::Failed(verdict) = outcome else { panic!("{outcome:?}") };
    verdict
}

fn inconclusive(outcome: Outcome, why: &str) {
    let Outcome::Inconclusive(verdict) = outcome else { panic!("{outcome:?}, not {why}") };
    assert!(verdict.message.contains(why), "{}", verdict.message);
}

#[test]
fn a_condition_holds_or_does_not() {
    let host = saying(vector(&["0.005"]));
    let verdict = passed(run(&below_one_percent(), &json!({}), &host).unwrap());
    assert_eq!(verdict.message, "web: result[0] < 0.01 holds of 0.005");
    let value = &verdict.measurements[0];
    assert_eq!((value.name.as_str(), value.value), ("value web", 0.005));
    let verdict =
        failed(run(&below_one_percent(), &json!({}), &saying(vector(&["0.02"]))).unwrap());
    assert_eq!(verdict.message, "web: result[0] < 0.01 does not hold of 0.02");
    let scalar = success(&json!({"resultType": "scalar", "result": [1.5, "0.001"]}));
    passed(run(&below_one_percent(), &json!({}), &saying(scalar)).unwrap());
}

#[test]
fn what_is_asked_is_what_is_configured() {
    let host = saying(vector(&["0.005"]));
    let mut config = below_one_percent();
    config["tenant"] = json!("shop");
    run(&config, &json!({"now-ms": 1_700_000_600_250_u64}), &host).unwrap();
    let request = &host.requests()[0];
    assert_eq!(request.url, "http://prometheus:9090/api/v1/query");
    assert!(request.headers.contains(&("X-Scope-OrgID".to_owned(), "shop".to_owned())));
    let fields = fields(request);
    assert_eq!(fields["query"], "errors{app=\"web\", track=\"canary\"}");
    assert_eq!(fields["time"], "1700000600.250");
}

#[test]
fn every_workload_has_to_be_right() {
    let host = FakeHost::new().answer(|request| {
        let bad = fields(request)["query"].contains("\"api\"");
        Ok(vector(&[if bad { "0.5" } else { "0.001" }]))
    });
    let input = json!({"workloads": ["web", "api"]});
    let verdict = failed(run(&below_one_percent(), &input, &host).unwrap());
    assert_eq!(verdict.message, "api: result[0] < 0.01 does not hold of 0.5");
    assert_eq!(verdict.measurements.len(), 2);
}

#[test]
fn no_data_is_never_a_pass() {
    let always = config(&json!({"condition": "true"}));
    let says = |response: http::Response, why: &str| {
        inconclusive(run(&always, &json!({}), &saying(response)).unwrap(), why);
    };
    says(vector(&[]), "no series");
    says(vector(&["NaN"]), "no number for {pod=\"web-1\"}");
    says(vector(&["0.1", "NaN"]), "no number");
    says(vector(&["much"]), "no number");
    says(success(&json!({"resultType": "string", "result": [1, "x"]})), "is a string");
    let histogram = json!({"metric": {}, "histogram": [1, {"count": "3"}]});
    says(success(&json!({"resultType": "vector", "result": [histogram]})), "has histograms");
    says(matrix(&[f64::NAN, f64::NAN]), "no number");
    says(vector(&["1"; 11_000]), "aggregate it");
    let failing = json!({"status": "error", "errorType": "execution", "error": "many-to-many"});
    says(http::Response::new(422).with_body(failing.to_string()), "many-to-many");
    let missing = config(&json!({"condition": "result[3] < 0.01"}));
    inconclusive(run(&missing, &json!({}), &saying(vector(&["1"]))).unwrap(), "says nothing of 1");
    let skewed = json!({"since-ms": 2_000, "now-ms": 1_000});
    inconclusive(run(&always, &skewed, &saying(vector(&["1"]))).unwrap(), "set back");
}

#[test]
fn nothing_measured_is_a_fault() {
    let fault = |config: &Value, host: &FakeHost| run(config, &json!({}), host).unwrap_err();
    let status = |status| saying(http::Response::new(status).with_header("retry-after", "9"));
    let unavailable = |fault: &Fault| matches!(fault, Fault::Unavailable { .. });
    for away in [429, 500, 503] {
        assert!(unavailable(&fault(&below_one_percent(), &status(away))), "{away}");
    }
    for (html, text) in [(200, "<html>"), (200, ""), (200, r#"{"status": "success"}"#)] {
        let host = saying(http::Response::new(html).with_body(text));
        assert!(unavailable(&fault(&below_one_percent(), &host)), "{text}");
    }
    assert!(matches!(fault(&below_one_percent(), &status(403)), Fault::Denied(_)));
    let nowhere = fault(&below_one_percent(), &status(404)).to_string();
    assert!(nowhere.contains("/config/url: no API of Prometheus"), "{nowhere}");
    let bad = json!({"status": "error", "errorType": "bad_data", "error": "parse error"});
    let host = saying(http::Response::new(400).with_body(bad.to_string()));
    let bad = fault(&below_one_percent(), &host).to_string();
    assert!(bad.contains("/config/query: parse error"), "{bad}");
    let timeout = json!({"status": "error", "errorType": "timeout", "error": "too slow"});
    let host = saying(http::Response::new(422).with_body(timeout.to_string()));
    assert!(unavailable(&fault(&below_one_percent(), &host)));
    let fine = saying(vector(&["1"]));
    let says = |more: &Value, place: &str| {
        let text = fault(&config(more), &fine).to_string();
        assert!(text.contains(place), "{text}");
    };
    says(&json!({"condition": "result[0]"}), "/config/condition");
    says(&json!({}), "/config: neither");
    says(&json!({"condition": "true", "query": "x{pod=\"{{pod}}\"}"}), "/config/query");
    says(&json!({"compare": {"with": "baseline", "by": "ratio"}}), "/input/baseline");
    says(&json!({"compare": {"with": "before", "by": "mann-whitney"}}), "/config/range");
    let fine_steps = json!({"window_ms": 600_000, "step_ms": 1000});
    says(&json!({"condition": "true", "range": fine_steps}), "/config/range/step_ms");
}

/// Ten values, and a minute between two of them.
fn tested(with: &str) -> Value {
    config(&json!({
        "range": {"window_ms": 3_600_000, "step_ms": 60_000},
        "compare": {"with": with, "by": "mann-whitney"},
    }))
}

#[test]
fn a_track_is_compared_with_its_baseline() {
    let host = |canary: f64| {
        FakeHost::new().answer(move |request| {
            let of_canary = fields(request)["query"].contains("\"canary\"");
            let from = if of_canary { canary } else { 0.1 };
            let values: Vec<f64> = (0..10).map(|step| from + f64::from(step) / 100.0).collect();
            Ok(matrix(&values))
        })
    };
    let input = json!({"baseline": "baseline"});
    let good = host(0.1);
    let verdict = passed(run(&tested("baseline"), &input, &good).unwrap());
    assert!(verdict.message.contains("not higher for certain"), "{}", verdict.message);
    let queries: Vec<String> =
        good.requests().iter().map(|request| fields(request)["query"].clone()).collect();
    assert!(queries[0].contains("\"canary\"") && queries[1].contains("\"baseline\""));
    let verdict = failed(run(&tested("baseline"), &input, &host(0.3)).unwrap());
    assert!(verdict.message.starts_with("web: higher: median 0.345 of 10 values"), "{verdict:?}");
    let names: Vec<&str> = verdict.measurements.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["median web", "baseline web", "p web"]);
    let empty = FakeHost::new().answer(|request| {
        let of_canary = fields(request)["query"].contains("\"canary\"");
        Ok(if of_canary { matrix(&[0.1; 10]) } else { vector(&[]) })
    });
    let outcome = run(&tested("baseline"), &input, &empty).unwrap();
    inconclusive(outcome, "what it is compared with: there is no data");
}

#[test]
fn before_is_as_long_a_time_that_ended_when_the_track_began() {
    let host = saying(matrix(&[0.1; 11]));
    passed(run(&tested("before"), &json!({}), &host).unwrap());
    let requests = host.requests();
    let asked = |index: usize| {
        let fields = fields(&requests[index]);
        let of = |name: &str| fields[name].clone();
        (of("start"), of("end"), of("step"), of("query").contains("\"stable\""))
    };
    // The track has been there for ten minutes of the hour.
    let text = |text: &str| text.to_owned();
    let step = || text("60.000");
    assert_eq!(asked(0), (text("1700000000.000"), text("1700000600.000"), step(), false));
    assert_eq!(asked(1), (text("1699999400.000"), text("1700000000.000"), step(), true));
    let input = json!({"now-ms": 1_700_000_030_000_u64});
    let outcome = run(&tested("before"), &input, &host).unwrap();
    inconclusive(outcome, "traffic for 30 s");
    let ratio = config(&json!({"compare": {"with": "before", "by": "ratio", "at_most": 1.5}}));
    let host = FakeHost::new().answer(|request| {
        let before = fields(request)["time"] == "1700000000.000";
        Ok(vector(&[if before { "0.2" } else { "0.4" }]))
    });
    let verdict = failed(run(&ratio, &json!({}), &host).unwrap());
    assert_eq!(verdict.message, "web: 0.4 against 0.2 of before; at most 0.3 is wanted");
}

#[test]
fn warnings_are_logged() {
    let body = json!({
        "status": "success", "warnings": ["slow\nstore"],
        "data": {"resultType": "vector", "result": [{"metric": {}, "value": [1, "0"]}]},
    });
    let host = saying(http::Response::new(200).with_body(body.to_string()));
    passed(run(&below_one_percent(), &json!({}), &host).unwrap());
    assert_eq!(host.lines(), ["warn: Prometheus warns: slow store"]);
}
