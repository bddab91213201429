use super::*;
use deployd_plugin_sdk::strategy::{Action, Promotion};
use deployd_plugin_sdk::testing::{self, FakeHost};
use proptest::prelude::*;
use rollout_model::{Came, End, Rules, chances, drive, worlds};
use serde_json::{Value, json};

/// How many rollouts are driven.
const CASES: u32 = 1_000;

/// Three workloads, of which the second and the third need the one before.
fn chain() -> Value {
    let route = json!({"way": "http-route", "weights": null, "headers": true, "mirror": true});
    let workload = |name: &str, after: Value| {
        json!({"name": name, "replicas": 2, "after": after, "current": "dep-1", "changed": true,
            "tracks": true, "traffic": route})
    };
    json!([
        workload("db", json!([])),
        workload("api", json!(["db"])),
        workload("web", json!(["api"]))
    ])
}

/// The actions of a rollout in which all goes well, until the promotion.
fn run(config: &Value, workloads: &Value) -> Vec<Value> {
    let context = testing::context(config, workloads).unwrap();
    let host = FakeHost::new();
    let mut decision = RollingBlueGreen::start(&context, &host).unwrap();
    let mut actions = Vec::new();
    loop {
        let action = serde_json::to_value(&decision.action).unwrap();
        let is_promotion = action["do"] == "apply" && action["track"] == "stable";
        if is_promotion || decision.action == Action::Complete {
            return actions;
        }
        actions.push(action);
        let done = Observation::done();
        decision = RollingBlueGreen::next(&context, decision.state, &done, &host).unwrap();
    }
}

/// After the previews of three workloads are ready.
const PREPARED: usize = 6;

fn check(name: &str) -> Value {
    json!({"do": "run-checks", "checks": [name], "track": "preview",
        "workloads": ["db", "api", "web"]})
}

fn shift(weights: &Value, workloads: &[&str]) -> Value {
    json!({"do": "shift", "weights": weights, "workloads": workloads})
}

/// The last before the promotion.
fn ready() -> Value {
    json!({"do": "await-ready", "track": "preview", "workloads": ["db", "api", "web"],
        "deadline-ms": 600_000})
}

#[test]
fn traffic_is_switched_in_batches_of_weight_with_checks_between() {
    let config = json!({"batches": [30, 100], "between": ["errors"], "after": ["latency"]});
    assert_eq!(
        run(&config, &chain())[PREPARED..],
        [
            shift(&json!({"preview": 30, "stable": 70}), &["db", "api", "web"]),
            check("errors"),
            shift(&json!({"preview": 100}), &["db", "api", "web"]),
            check("latency"),
            ready(),
        ]
    );
}

#[test]
fn workloads_are_switched_in_the_order_of_their_dependencies() {
    let all = json!({"preview": 100});
    let config = json!({"by": "workloads", "between": ["errors"]});
    assert_eq!(
        run(&config, &chain())[PREPARED..],
        [
            shift(&all, &["db"]),
            check("errors"),
            shift(&all, &["api"]),
            check("errors"),
            shift(&all, &["web"]),
            ready(),
        ]
    );
    let config = json!({"by": "workloads", "batches": [50, 100]});
    assert_eq!(
        run(&config, &chain())[PREPARED..],
        [shift(&all, &["db", "api"]), shift(&all, &["web"]), ready()]
    );
}

#[test]
fn copies_of_requests_end_before_the_first_workload_is_switched() {
    let config = json!({"by": "workloads", "batches": [100], "mirror": {"for": "1m"}});
    let actions = run(&config, &chain());
    assert_eq!(actions[PREPARED]["mirror"], "preview");
    assert_eq!(
        actions[PREPARED + 1..],
        [
            json!({"do": "sleep", "ms": 60_000}),
            shift(&json!({"stable": 100}), &["db", "api", "web"]),
            shift(&json!({"preview": 100}), &["db", "api", "web"]),
            ready(),
        ]
    );
}

#[test]
fn whoever_promotes_all_gets_one_switch() {
    let context = testing::context(&json!({"between": ["errors"]}), &chain()).unwrap();
    let host = FakeHost::new();
    let mut decision = RollingBlueGreen::start(&context, &host).unwrap();
    while !matches!(decision.action, Action::RunChecks { .. }) {
        let done = Observation::done();
        decision = RollingBlueGreen::next(&context, decision.state, &done, &host).unwrap();
    }
    let all = Observation::Promoted { scope: Promotion::All };
    decision = RollingBlueGreen::next(&context, decision.state, &all, &host).unwrap();
    let action = serde_json::to_value(&decision.action).unwrap();
    assert_eq!(action, shift(&json!({"preview": 100}), &["db", "api", "web"]));
}

#[test]
fn batches_that_can_not_be_are_refused_with_what_can() {
    let mut workloads = chain();
    workloads[1]["traffic"] = json!({"way": "service", "weights": [33, 50]});
    let refused = |config: Value| {
        let context = testing::context(&config, &workloads).unwrap();
        RollingBlueGreen::start(&context, &FakeHost::new()).unwrap_err().to_string()
    };
    for (batches, place, why) in [
        (json!([10, 100]), "/config/batches/0", "10 % can't be reached by api"),
        (json!([33, 10, 100]), "/config/batches/1", "expected more than 33 %"),
        (json!([33]), "/config/batches", "has to be 100 %"),
        (json!([]), "/config/batches", "has to be 100 %"),
        (json!([50, 101]), "/config/batches/1", "at most 100 %"),
    ] {
        let fault = refused(json!({"batches": batches}));
        assert!(fault.contains(&format!("{place}: ")) && fault.contains(why), "{fault}");
    }
    let fault = refused(json!({"batches": [10, 100]}));
    assert!(fault.contains("ratio of its 2 replicas; expected one of 0, 33, 50, 100 %"), "{fault}");
    // Without batches, those that can be.
    let weights: Vec<Value> = run(&json!({}), &workloads)
        .into_iter()
        .filter(|action| action["do"] == "shift")
        .map(|action| action["weights"]["preview"].clone())
        .collect();
    assert_eq!(weights, [json!(50), json!(100)]);
}

/// The preview's weights are those of the configuration, one after the other.
fn rises(actions: &[(Action, Came)], batches: &[u32]) -> Result<(), String> {
    let weights = actions.iter().filter_map(|(action, _)| match action {
        Action::Shift { weights, .. } => weights.get("preview").copied(),
        _ => None,
    });
    let mut weights: Vec<u32> = weights.collect();
    // Done again, if a person wanted that.
    weights.dedup();
    // A person can have what remains at once.
    let hasty = actions.iter().any(|(_, came)| *came == Came::PromotedAll);
    if hasty && weights.last() == Some(&100) {
        weights.pop();
    }
    match batches.starts_with(&weights) {
        true => Ok(()),
        false => Err(format!("{weights:?} of {batches:?}")),
    }
}

#[test]
fn each_setting_of_the_schema_is_read() {
    let config = json!({
        "by": "workloads", "batches": [50, 100], "before": ["smoke"], "auto_promote": false,
        "mirror": {"for": "5m"}, "between": ["errors"], "after": ["errors"], "for": "5m",
        "scale_down_delay": "10m", "on_inconclusive": "roll-back", "deadline": "1m",
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
        mut batches in proptest::collection::btree_set(prop_oneof![1..100_u32, Just(50)], 0..3),
    ) {
        let [by_workloads, person, mirror, between, after, said] = options;
        batches.insert(100);
        let batches: Vec<u32> = batches.into_iter().collect();
        let mut config = json!({
            "by": if by_workloads { "workloads" } else { "weight" },
            "auto_promote": !person,
            "for": "1m",
            "scale_down_delay": "10m",
        });
        let settings = [
            (mirror, "mirror", json!({"for": "1m", "checks": ["errors"]})),
            (between, "between", json!(["errors"])),
            (after, "after", json!(["errors"])),
            (said, "batches", json!(batches)),
        ];
        for (wanted, key, value) in settings {
            if wanted {
                config[key] = value;
            }
        }
        let rules = Rules { ordered: true, proportional: true };
        let run = drive::<RollingBlueGreen>(&config, &workloads, &chances, rules);
        prop_assert!(run.is_ok(), "{config}\n{workloads:#?}\n{}", run.unwrap_err());
        let run = run.unwrap();
        // Only weights can be refused, and only where replicas divide the traffic.
        let by_replicas = workloads.iter().any(|one| one["traffic"]["way"] == "service");
        prop_assert!(run.refused.is_none() || (said && by_replicas), "{:?}", run.refused);
        if said && !by_workloads {
            let sound = rises(&run.actions, &batches);
            prop_assert!(sound.is_ok(), "{sound:?}: {:#?}", run.actions);
        }
        let well = run.actions.iter().all(|(_, came)| *came == Came::Done);
        let ended = run.refused.is_some() || run.end == Some(End::Completed);
        prop_assert!(!well || ended, "{:?}", run.end);
    }
}
