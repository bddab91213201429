use super::*;
use deployd_plugin_sdk::strategy::{Action, Promotion, STABLE};
use deployd_plugin_sdk::testing::{self, FakeHost};
use proptest::prelude::*;
use rollout_model::{Came, End, Rules, chances, drive, worlds};
use serde_json::{Value, json};

/// How many rollouts are driven.
const CASES: u32 = 1_000;

/// A database that did not change, a service behind it, and one that faces people.
fn shop() -> Value {
    let route = json!({"way": "http-route", "weights": null, "headers": true, "mirror": true});
    let service = json!({"way": "service", "weights": [25, 50], "headers": false, "mirror": false});
    json!([
        {"name": "db", "current": "dep-1", "changed": false, "tracks": false},
        {"name": "worker", "current": null, "after": ["db"], "changed": true, "tracks": true,
            "traffic": {"way": "none", "weights": [], "headers": false, "mirror": false}},
        {"name": "api", "replicas": 3, "after": ["db"], "current": "dep-1", "changed": true,
            "tracks": true, "traffic": service},
        {"name": "web", "replicas": 2, "after": ["api"], "current": "dep-1", "changed": true,
            "tracks": true, "traffic": route},
    ])
}

/// The actions of a rollout in which each observation follows the action before,
/// as JSON, of which those that matter here are shown.
fn run(config: &Value, observations: &[Observation]) -> Vec<Value> {
    let context = testing::context(config, &shop()).unwrap();
    let host = FakeHost::new();
    let mut decision = BlueGreen::start(&context, &host).unwrap();
    let mut actions = vec![serde_json::to_value(&decision.action).unwrap()];
    for observation in observations {
        decision = BlueGreen::next(&context, decision.state, observation, &host).unwrap();
        actions.push(serde_json::to_value(&decision.action).unwrap());
    }
    actions
}

fn done(times: usize) -> Vec<Observation> {
    vec![Observation::done(); times]
}

/// The first actions of every rollout here: both previews are ready.
const PREPARED: usize = 4;

#[test]
fn the_new_version_runs_whole_is_checked_and_gets_all_traffic_at_once() {
    let config = json!({
        "before": ["smoke"], "after": ["errors"], "for": "5m", "scale_down_delay": "10m",
        "deadline": "1m",
    });
    let checked = |checks: Value, for_ms: Value| {
        let mut action = json!({"do": "run-checks", "checks": checks, "track": "preview",
            "workloads": ["api", "web"]});
        if !for_ms.is_null() {
            action["for-ms"] = for_ms;
        }
        action
    };
    let apply = |track, workloads| json!({"do": "apply", "track": track, "workloads": workloads});
    let ready = |track, workloads: Value| json!({"do": "await-ready", "track": track, "workloads": workloads, "deadline-ms": 60_000});
    let shift = |weights| json!({"do": "shift", "weights": weights, "workloads": ["api", "web"]});
    assert_eq!(
        run(&config, &done(16)),
        [
            apply("preview", json!(["api"])),
            ready("preview", json!(["api"])),
            apply("preview", json!(["web"])),
            ready("preview", json!(["web"])),
            checked(json!(["smoke"]), json!(null)),
            shift(json!({"preview": 100})),
            checked(json!(["errors"]), json!(300_000)),
            checked(json!(["errors"]), json!(600_000)),
            ready("preview", json!(["api", "web"])),
            apply("stable", json!(["worker", "api"])),
            ready("stable", json!(["worker", "api"])),
            apply("stable", json!(["web"])),
            ready("stable", json!(["web"])),
            shift(json!({"stable": 100})),
            json!({"do": "retire", "track": "preview", "workloads": ["api", "web"]}),
            apply("stable", json!(["db"])),
            json!({"do": "complete"}),
        ]
    );
}

#[test]
fn checks_that_fail_after_the_switch_switch_back_before_anything_else() {
    let config = json!({"after": ["errors"], "scale_down_delay": "10m"});
    let failed = Observation::failed("checks-failed", "5 % errors");
    // While the old version is kept, too.
    for held in [0, 1] {
        let observations = [done(PREPARED + 1 + held), vec![failed.clone()], done(2)].concat();
        let actions = run(&config, &observations);
        assert_eq!(
            actions[actions.len() - 3..],
            [
                json!({"do": "shift", "weights": {"stable": 100}, "workloads": ["web", "api"]}),
                json!({"do": "retire", "track": "preview", "workloads": ["web", "api"]}),
                json!({"do": "roll-back", "reason": "5 % errors"}),
            ]
        );
    }
}

#[test]
fn a_preview_that_is_not_ready_never_gets_traffic() {
    let observations =
        [done(3), vec![Observation::failed("not-ready", "web crashes")], done(1)].concat();
    let actions = run(&json!({}), &observations);
    assert_eq!(
        actions[4..],
        [
            json!({"do": "retire", "track": "preview", "workloads": ["web", "api"]}),
            json!({"do": "roll-back", "reason": "web crashes"}),
        ]
    );
}

#[test]
fn checks_that_can_not_tell_wait_for_a_person_who_decides() {
    let config = json!({"before": ["smoke"]});
    let unclear = Observation::failed("checks-inconclusive", "no data");
    let until = [done(PREPARED), vec![unclear]].concat();
    let then = |observation: Observation| {
        let actions = run(&config, &[until.clone(), vec![observation]].concat());
        actions.last().unwrap()["do"].as_str().unwrap().to_owned()
    };
    assert_eq!(run(&config, &until).last(), Some(&json!({"do": "pause", "message": "no data"})));
    assert_eq!(then(Observation::Retried), "run-checks");
    assert_eq!(then(Observation::done()), "shift");
    assert_eq!(then(Observation::Promoted { scope: Promotion::Step }), "shift");
    let strict = json!({"before": ["smoke"], "on_inconclusive": "roll-back"});
    assert_eq!(run(&strict, &until).last().unwrap()["do"], "retire");
}

#[test]
fn requests_are_copied_where_a_router_can() {
    let config = json!({"mirror": {"for": "5m", "checks": ["errors"]}});
    let actions = run(&config, &done(PREPARED + 2));
    assert_eq!(
        actions[PREPARED..],
        [
            json!({"do": "shift", "weights": {"stable": 100}, "workloads": ["web"],
                "mirror": "preview"}),
            json!({"do": "run-checks", "checks": ["errors"], "track": "preview",
                "workloads": ["api", "web"], "for-ms": 300_000}),
            json!({"do": "shift", "weights": {"preview": 100}, "workloads": ["api", "web"]}),
        ]
    );
}

#[test]
fn a_person_who_has_to_promote_can_have_all_that_remains_at_once() {
    let config = json!({
        "auto_promote": false, "mirror": {"for": "5m"}, "after": ["errors"], "scale_down_delay": "1h",
    });
    let paused = run(&config, &done(PREPARED));
    assert_eq!(paused.last().unwrap()["do"], "pause");
    let all = Observation::Promoted { scope: Promotion::All };
    let actions = run(&config, &[done(PREPARED), vec![all], done(2)].concat());
    let what: Vec<&str> =
        actions[PREPARED + 1..].iter().map(|one| one["do"].as_str().unwrap()).collect();
    assert_eq!(what, ["shift", "await-ready", "apply"]);
}

#[test]
fn a_mistyped_setting_is_named() {
    for (config, place) in [
        (json!({"scale_down_delay": "soon"}), "/config/scale_down_delay"),
        (json!({"mirror": {"for": -1}}), "/config/mirror/for"),
        (json!({"aftr": []}), "aftr"),
    ] {
        let fault = testing::context::<Config>(&config, &json!([])).unwrap_err();
        assert!(fault.to_string().contains(place), "{fault}");
    }
}

/// Preview's traffic: none before the checks and the person, then all of it.
fn unverified(actions: &[(Action, Came)], config: &Value) -> Result<(), String> {
    let mut waited = 0;
    for (action, came) in actions {
        match action {
            Action::Shift { weights, .. } if !weights.contains_key(STABLE) => {
                let all = usize::from(config["before"].is_array())
                    + usize::from(config["auto_promote"] == json!(false));
                let hasty = actions.iter().any(|(_, came)| *came == Came::PromotedAll);
                if waited < all && !hasty {
                    return Err(format!("traffic after {waited} of {all} waits"));
                }
                return Ok(());
            }
            Action::Pause { .. } | Action::RunChecks { .. } if *came != Came::Retried => {
                waited += 1
            }
            _ => {}
        }
    }
    Ok(())
}

#[test]
fn each_setting_of_the_schema_is_read() {
    let config = json!({
        "before": ["smoke"], "auto_promote": false, "mirror": {"for": "5m", "checks": ["errors"]},
        "after": ["errors"], "for": "5m", "scale_down_delay": "10m",
        "on_inconclusive": "roll-back", "deadline": "1m",
    });
    testing::context::<Config>(&config, &json!([])).unwrap();
    let schema: Value = serde_json::from_str(include_str!("../config.schema.json")).unwrap();
    let mut described: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
    // The same in milliseconds.
    for key in ["deadline_ms", "for_ms", "scale_down_delay_ms"] {
        let mut config = config.clone();
        config.as_object_mut().unwrap().remove(key.trim_end_matches("_ms"));
        config[key] = json!(60_000);
        testing::context::<Config>(&config, &json!([])).unwrap();
        described.retain(|one| *one != key);
    }
    let mut read: Vec<&String> = config.as_object().unwrap().keys().collect();
    described.sort();
    read.sort();
    assert_eq!(described, read);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn whatever_happens_a_rollout_ends_in_the_new_version_or_goes_back(
        workloads in worlds(),
        chances in chances(),
        options in any::<[bool; 6]>(),
    ) {
        let [before, person, mirror, after, delay, strict] = options;
        let mut config = json!({"auto_promote": !person, "for": "1m"});
        let settings = [
            (before, "before", json!(["smoke"])),
            (mirror, "mirror", json!({"for": "1m", "checks": ["errors"]})),
            (after, "after", json!(["errors"])),
            (delay, "scale_down_delay", json!("10m")),
            (strict, "on_inconclusive", json!("roll-back")),
        ];
        for (wanted, key, value) in settings {
            if wanted {
                config[key] = value;
            }
        }
        let rules = Rules { ordered: true, proportional: true };
        let run = drive::<BlueGreen>(&config, &workloads, &chances, rules);
        prop_assert!(run.is_ok(), "{config}\n{workloads:#?}\n{}", run.unwrap_err());
        let run = run.unwrap();
        prop_assert!(run.refused.is_none(), "{:?}", run.refused);
        let sound = unverified(&run.actions, &config);
        prop_assert!(sound.is_ok(), "{sound:?}: {:#?}", run.actions);
        let well = run.actions.iter().all(|(_, came)| *came == Came::Done);
        prop_assert!(!well || run.end == Some(End::Completed), "{:?}", run.end);
    }
}
