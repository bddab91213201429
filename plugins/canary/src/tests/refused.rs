//! Configurations that no rollout goes by.

use super::web;
use crate::Canary;
use crate::config::Config;
use deployd_plugin_sdk::strategy::Strategy;
use deployd_plugin_sdk::testing::{self, FakeHost};
use serde_json::{Value, json};

fn refused(config: &Value, workloads: &Value) -> String {
    let context = testing::context(config, workloads).unwrap();
    Canary::start(&context, &FakeHost::new()).unwrap_err().to_string()
}

#[test]
fn a_weight_that_can_not_be_reached_is_refused_with_those_that_can() {
    let mut workloads = web();
    workloads[0]["replicas"] = json!(3);
    workloads[0]["traffic"] = json!({"way": "service", "weights": [25, 40, 50]});
    let config = json!({"steps": [{"weight": 25}, {"pause": "1m"}, {"weight": 10}]});
    assert_eq!(
        refused(&config, &workloads),
        "invalid; /config/steps/2/weight: 10 % can't be reached by web, whose traffic is divided \
         by the ratio of its 3 replicas; expected one of 0, 25, 40, 50, 100 %"
    );
}

#[test]
fn what_no_router_can_do_is_refused() {
    let mut workloads = web();
    workloads[0]["traffic"] = json!({"way": "nginx-ingress", "weights": null, "headers": false});
    let header = json!([{"name": "x-canary", "value": "yes"}]);
    for (config, place) in [
        (json!({"steps": [{"headers": header}]}), "/config/steps/0/headers: web has no router"),
        (json!({"steps": [{"weight": 1}, {"mirror": true}]}), "/config/steps/1/mirror: web has no"),
        (json!({"baseline": true, "steps": [{"weight": 1}]}), "/config/baseline: a baseline needs"),
    ] {
        let fault = refused(&config, &workloads);
        assert!(fault.contains(place), "{fault}");
    }
}

#[test]
fn more_headers_than_an_ingress_takes_are_refused() {
    let mut workloads = web();
    workloads[0]["traffic"] = json!({"way": "nginx-ingress", "weights": null, "headers": true});
    let header = |name: &str| json!({"name": name, "value": "yes"});
    let config = json!({"steps": [{"headers": [header("x-canary"), header("x-team")]}]});
    assert!(
        refused(&config, &workloads).contains("/config/steps/0/headers: 2 headers; expected one")
    );
    let many: Vec<Value> = (0..9).map(|at| header(&format!("x-{at}"))).collect();
    assert!(refused(&json!({"steps": [{"headers": many}]}), &web()).contains("expected at most 8"));
}

#[test]
fn too_small_a_canary_gets_no_full_traffic() {
    for (steps, baseline, place) in [
        (json!([{"scale": 40}, {"weight": 100}]), false, "/config/steps/1/weight"),
        (json!([{"weight": 100}, {"scale": 40}]), false, "/config/steps/1/scale"),
        // With a baseline of as much traffic.
        (json!([{"scale": 40}, {"weight": 50}]), true, "/config/steps/1/weight"),
    ] {
        let fault = refused(&json!({"steps": steps, "baseline": baseline}), &web());
        assert!(fault.contains(place) && fault.contains("40 % of the replicas"), "{fault}");
    }
}

#[test]
fn steps_are_there_and_each_says_one_thing() {
    assert!(refused(&json!({"steps": []}), &web()).contains("/config/steps: 0 steps"));
    let many = vec![json!({"pause": "1s"}); 101];
    assert!(refused(&json!({"steps": many}), &web()).contains("expected 1 to 100"));
    for (step, why) in [
        (json!({}), "expected one of weight"),
        (json!({"weight": 10, "pause": "1m"}), "expected one of weight"),
        (json!({"weight": 101}), "expected 0 to 100"),
        (json!({"scale": 0}), "expected 1 to 100"),
        (json!({"scale": "all"}), "or weight"),
        (json!({"pause": "soon"}), "like 30s, 10m or 1h30m"),
        (json!({"pause": {"massage": "x"}}), "massage"),
        (json!({"pause": "1m", "for": "1m"}), "for belongs to checks"),
        (json!({"waight": 10}), "waight"),
        (json!({"headers": [{"name": "x"}]}), "headers"),
    ] {
        let fault = testing::context::<Config>(&json!({"steps": [step]}), &json!([])).unwrap_err();
        let fault = fault.to_string();
        assert!(fault.contains("/config/steps/0") && fault.contains(why), "{step}: {fault}");
    }
    assert!(
        refused(&json!({"steps": [{"checks": []}]}), &web()).contains("/config/steps/0/checks")
    );
}

#[test]
fn each_setting_of_the_schema_is_read() {
    let config = json!({
        "steps": [{"weight": 10}], "background": {"checks": ["errors"]}, "baseline": true,
        "scale_down_stable": true, "on_inconclusive": "roll-back", "deadline": "1m",
    });
    testing::context::<Config>(&config, &json!([])).unwrap();
    let schema: Value = serde_json::from_str(include_str!("../../config.schema.json")).unwrap();
    let mut described: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
    let mut older = config.clone();
    older.as_object_mut().unwrap().remove("deadline");
    older["deadline_ms"] = json!(60_000);
    testing::context::<Config>(&older, &json!([])).unwrap();
    described.retain(|one| *one != "deadline_ms");
    let mut read: Vec<&String> = config.as_object().unwrap().keys().collect();
    described.sort();
    read.sort();
    assert_eq!(described, read);
}
