use super::*;
use deployd_plugin_sdk::strategy::{CHECKS_FAILED, CHECKS_INCONCLUSIVE, Promotion};
use deployd_plugin_sdk::testing::{self, FakeHost};
use serde_json::{Value, json};

mod model;
mod refused;

/// One workload behind a Gateway.
fn web() -> Value {
    let route = json!({"way": "http-route", "weights": null, "headers": true, "mirror": true});
    json!([{"name": "web", "replicas": 10, "current": "dep-1", "changed": true, "tracks": true,
        "traffic": route}])
}

/// The actions of a rollout in which each observation follows the action before.
fn run(config: &Value, workloads: &Value, observations: &[Observation]) -> Vec<Value> {
    let context = testing::context(config, workloads).unwrap();
    let host = FakeHost::new();
    let mut decision = Canary::start(&context, &host).unwrap();
    let mut actions = vec![serde_json::to_value(&decision.action).unwrap()];
    for observation in observations {
        decision = Canary::next(&context, decision.state, observation, &host).unwrap();
        actions.push(serde_json::to_value(&decision.action).unwrap());
    }
    actions
}

/// The actions of a rollout in which all goes well.
fn all(config: &Value, workloads: &Value) -> Vec<Value> {
    let mut observations = Vec::new();
    loop {
        let actions = run(config, workloads, &observations);
        if actions.last().unwrap()["do"] == "complete" {
            return actions;
        }
        observations.push(Observation::done());
    }
}

/// An action in a few words.
fn short(action: &Value) -> String {
    let text = |key: &str| action[key].as_str().unwrap_or_default().to_owned();
    let percent = action["percent"].as_u64().map(|one| format!(" {one}")).unwrap_or_default();
    match action["do"].as_str().unwrap() {
        "shift" => {
            let mut text = format!("shift {}", action["weights"]);
            for key in ["headers", "mirror"] {
                if !action[key].is_null() {
                    text += &format!(" {key}");
                }
            }
            text.replace(['{', '}', '"'], "")
        }
        "run-checks" => {
            let beside = if action["baseline"].is_null() { "" } else { " beside baseline" };
            format!("check {}{beside} {}", action["checks"], action["for-ms"].as_u64().unwrap_or(0))
                .replace(['[', ']', '"'], "")
        }
        "sleep" => format!("sleep {}", action["ms"]),
        "await-ready" => format!("ready {}", text("track")),
        "roll-back" => format!("roll-back: {}", text("reason")),
        what @ ("apply" | "scale" | "retire") => format!("{what} {}{percent}", text("track")),
        what => what.to_owned(),
    }
}

fn shorts(actions: &[Value]) -> Vec<String> {
    actions.iter().map(short).collect()
}

/// What follows upon the last step of a rollout that was not scaled down.
const PROMOTION: [&str; 6] = [
    "apply stable",
    "ready stable",
    "shift stable:100",
    "retire canary",
    "apply stable",
    "complete",
];

#[test]
fn the_canary_gets_more_traffic_with_each_step_and_replicas_before_it() {
    let config = json!({"steps": [
        {"weight": 10}, {"pause": "10m"}, {"checks": ["errors"], "for": "5m"}, {"weight": 50},
    ]});
    let mut expected = vec![
        "apply canary 10",
        "ready canary",
        "shift canary:10,stable:90",
        "sleep 600000",
        "check errors 300000",
        "scale canary 50",
        "ready canary",
        "shift canary:50,stable:50",
        "ready canary",
    ];
    expected.extend(PROMOTION.iter().filter(|one| **one != "apply stable"));
    expected.insert(9, "apply stable");
    assert_eq!(shorts(&all(&config, &web())), expected);
}

#[test]
fn the_old_version_gets_smaller_after_its_traffic_and_larger_before_it() {
    let config = json!({"scale_down_stable": true, "steps": [
        {"weight": 40}, {"weight": 20}, {"scale": 10}, {"weight": 30}, {"scale": "weight"},
    ]});
    assert_eq!(
        shorts(&all(&config, &web()))[..13],
        [
            "apply canary 40",
            "ready canary",
            "shift canary:40,stable:60",
            "scale stable 60",
            // Less traffic for the canary.
            "scale stable 80",
            "ready stable",
            "shift canary:20,stable:80",
            "scale canary 20",
            // Fewer of the canary than of its traffic: together never fewer than are wanted.
            "scale stable 90",
            "ready stable",
            "scale canary 10",
            "shift canary:30,stable:70",
            "scale canary 30",
        ]
    );
}

#[test]
fn an_old_version_that_was_scaled_down_is_back_before_its_traffic() {
    let config = json!({"scale_down_stable": true, "steps": [{"weight": 40}, {"checks": ["e"]}]});
    let mut observations = vec![Observation::done(); 4];
    observations.push(Observation::failed(CHECKS_FAILED, "5 % errors"));
    observations.extend(vec![Observation::done(); 4]);
    assert_eq!(
        shorts(&run(&config, &web(), &observations))[5..],
        [
            "scale stable 100",
            "ready stable",
            "shift stable:100",
            "retire canary",
            "roll-back: 5 % errors"
        ]
    );
}

#[test]
fn a_canary_that_crashed_while_it_was_waited_for_is_never_promoted() {
    let config = json!({"steps": [{"weight": 10}, {"pause": {}}]});
    let mut observations = vec![Observation::done(); 3];
    observations.push(Observation::Promoted { scope: Promotion::Step });
    observations.push(Observation::failed("not-ready", "web crashes"));
    observations.extend(vec![Observation::done(); 2]);
    let actions = run(&config, &web(), &observations);
    assert_eq!(
        shorts(&actions),
        [
            "apply canary 10",
            "ready canary",
            "shift canary:10,stable:90",
            "pause",
            "ready canary",
            "shift stable:100",
            "retire canary",
            "roll-back: web crashes"
        ]
    );
    // As long as it may take at first.
    assert_eq!(actions[4], actions[1]);
}

#[test]
fn a_baseline_has_the_size_and_the_traffic_of_the_canary_as_long_as_there_is_enough() {
    let config = json!({"baseline": true, "steps": [
        {"weight": 10}, {"checks": ["errors"]}, {"weight": 60}, {"checks": ["errors"]},
    ]});
    let actions = all(&config, &web());
    assert_eq!(
        shorts(&actions)[..11],
        [
            "apply canary 10",
            "ready canary",
            "apply baseline 10",
            "ready baseline",
            "shift baseline:10,canary:10,stable:80",
            "check errors beside baseline 0",
            "scale canary 60",
            "ready canary",
            "shift canary:60,stable:40",
            "retire baseline",
            "check errors 0",
        ]
    );
    assert_eq!(actions[2]["version"], "current");
}

#[test]
fn headers_and_copies_last_until_another_step_says_so() {
    let config = json!({"steps": [
        {"headers": [{"name": "x-canary", "value": "yes"}]},
        {"weight": 5},
        {"mirror": true},
        {"headers": []},
        {"mirror": false},
    ]});
    let actions = all(&config, &web());
    assert_eq!(
        shorts(&actions)[2..12],
        [
            "shift stable:100 headers",
            "scale canary 5",
            "ready canary",
            "shift canary:5,stable:95 headers",
            // As many replicas as the copies need.
            "scale canary 100",
            "ready canary",
            "shift canary:5,stable:95 headers mirror",
            "shift canary:5,stable:95 mirror",
            "shift canary:5,stable:95",
            "scale canary 5",
        ]
    );
    let rule = json!([{"name": "x-canary", "value": "yes", "track": "canary"}]);
    assert_eq!((&actions[2]["headers"], &actions[8]["mirror"]), (&rule, &json!("canary")));
}

#[test]
fn checks_in_the_background_run_beside_every_wait() {
    let config = json!({"background": {"checks": ["errors"]}, "steps": [
        {"pause": "1m"}, {"checks": ["latency"], "for": "2m"}, {"pause": {}}, {"weight": 10},
    ]});
    let steps = shorts(&all(&config, &web()));
    assert_eq!(
        steps[2..6],
        ["check errors 60000", "check latency,errors 120000", "check errors 2592000000", "pause"]
    );
    // Whoever promotes during the checks of the pause has ended the pause.
    let observations =
        [vec![Observation::done(); 4], vec![Observation::Promoted { scope: Promotion::Step }]]
            .concat();
    let actions = run(&config, &web(), &observations);
    assert_eq!(short(actions.last().unwrap()), "scale canary 10");
}

#[test]
fn whoever_promotes_all_goes_straight_to_the_promotion() {
    let config = json!({"baseline": true, "steps": [
        {"weight": 10}, {"pause": {}}, {"weight": 50}, {"checks": ["errors"]},
    ]});
    let mut observations = vec![Observation::done(); 5];
    observations.push(Observation::Promoted { scope: Promotion::All });
    observations.extend(vec![Observation::done(); 3]);
    assert_eq!(
        shorts(&run(&config, &web(), &observations))[5..],
        ["pause", "shift canary:10,stable:90", "retire baseline", "ready canary", "apply stable"]
    );
}

#[test]
fn checks_that_can_not_tell_pause_or_roll_back_as_is_said() {
    let steps = json!([{"weight": 10}, {"checks": ["errors"]}]);
    let mut observations = vec![Observation::done(); 3];
    observations.push(Observation::failed(CHECKS_INCONCLUSIVE, "no data"));
    for (config, then) in [
        (json!({"steps": steps}), "pause"),
        (json!({"steps": steps, "on_inconclusive": "roll-back"}), "shift stable:100"),
    ] {
        assert_eq!(short(run(&config, &web(), &observations).last().unwrap()), then);
    }
}

#[test]
fn a_failure_without_words_is_told_by_its_checks() {
    let config = json!({"steps": [{"checks": ["errors"]}]});
    let failed = json!({"outcome": "failed", "code": CHECKS_FAILED, "checks": [
        {"name": "latency", "verdict": "passed", "message": "fine"},
        {"name": "errors", "verdict": "failed", "message": "7 % > 1 %"},
    ]});
    let mut observations = vec![Observation::done(); 2];
    observations.push(serde_json::from_value(failed).unwrap());
    observations.push(Observation::done());
    let actions = run(&config, &web(), &observations);
    assert_eq!(short(actions.last().unwrap()), "roll-back: errors: 7 % > 1 %");
}

#[test]
fn what_goes_back_to_a_short_time_ago_takes_no_steps() {
    let mut workloads = web();
    workloads[0]["recent"] = json!(true);
    let config = json!({"steps": [{"weight": 10}, {"pause": {}}]});
    let expected = ["apply stable", "ready stable", "complete"];
    assert_eq!(shorts(&all(&config, &workloads)), expected);
    // So does what runs for the first time.
    let mut workloads = web();
    workloads[0]["current"] = json!(null);
    assert_eq!(shorts(&all(&config, &workloads)), expected);
}

#[test]
fn where_replicas_divide_the_traffic_the_engine_sets_their_number() {
    let mut workloads = web();
    workloads[0]["traffic"] = json!({"way": "service", "weights": [10, 50]});
    let config =
        json!({"steps": [{"weight": 10}, {"weight": 50}, {"weight": 100}, {"pause": "1s"}]});
    assert_eq!(
        shorts(&all(&config, &workloads))[..14],
        [
            "apply canary 10",
            "ready canary",
            "shift canary:10,stable:90",
            "ready canary",
            "shift canary:50,stable:50",
            "ready canary",
            // All traffic is for as many as are wanted, and the old can take it back.
            "scale canary 100",
            "ready canary",
            "shift canary:100",
            "scale stable 100",
            "ready stable",
            "sleep 1000",
            "ready canary",
            "apply stable",
        ]
    );
    // What was waited for last is not waited for once more.
    let config = json!({"steps": [{"weight": 50}]});
    assert_eq!(
        shorts(&all(&config, &workloads))[2..5],
        ["shift canary:50,stable:50", "ready canary", "apply stable"]
    );
}
