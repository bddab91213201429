use super::*;
use deployd_plugin_sdk::strategy::{Promotion, Version};
use deployd_plugin_sdk::testing::{self, FakeHost};
use proptest::prelude::*;
use rollout_model::{Rules, chances, drive, worlds};
use serde_json::{Value, json};

/// How many rollouts are driven.
const CASES: u32 = 1_000;

fn context(config: &Value) -> Context<Config> {
    let workloads = json!([
        {"name": "db", "replicas": 1, "after": [], "current": null},
        {"name": "api", "replicas": 2, "after": ["db"], "current": null},
        {"name": "web", "replicas": 2, "after": ["db"], "current": null},
    ]);
    testing::context(config, &workloads).unwrap()
}

/// The actions of a rollout in which each observation follows the action before.
fn run(config: &Value, observations: &[Observation]) -> Vec<Action> {
    let context = context(config);
    let host = FakeHost::new();
    let mut decision = Rolling::start(&context, &host).unwrap();
    let mut actions = vec![decision.action];
    for observation in observations {
        decision = Rolling::next(&context, decision.state, observation, &host).unwrap();
        actions.push(decision.action);
    }
    actions
}

fn apply(workloads: &[&str]) -> Action {
    Action::Apply {
        track: "stable".to_owned(),
        workloads: workloads.iter().map(ToString::to_string).collect(),
        version: Version::New,
        percent: 100,
    }
}

fn await_ready(workloads: &[&str], deadline_ms: u64) -> Action {
    Action::AwaitReady {
        track: "stable".to_owned(),
        workloads: workloads.iter().map(ToString::to_string).collect(),
        deadline_ms,
    }
}

fn failure(message: &str) -> Observation {
    Observation::failed("not-ready", message)
}

#[test]
fn predecessors_are_ready_before_their_successors_are_applied() {
    let done = vec![Observation::done(); 4];
    assert_eq!(
        run(&json!({"deadline_ms": 5000}), &done),
        [
            apply(&["db"]),
            await_ready(&["db"], 5000),
            apply(&["api", "web"]),
            await_ready(&["api", "web"], 5000),
            Action::Complete,
        ]
    );
}

#[test]
fn all_at_once_is_one_batch() {
    let actions = run(&json!({"batch": "all"}), &[Observation::done(), Observation::done()]);
    assert_eq!(
        actions,
        [
            apply(&["db", "api", "web"]),
            await_ready(&["db", "api", "web"], 600_000),
            Action::Complete,
        ]
    );
}

#[test]
fn a_failure_rolls_back_with_its_reason() {
    let actions = run(&json!({}), &[Observation::done(), failure("db crashes")]);
    assert_eq!(actions.last(), Some(&Action::RollBack { reason: "db crashes".to_owned() }));
}

#[test]
fn a_stopped_rollout_tries_its_batch_again_when_resumed() {
    let observations = [failure("no quota"), Observation::done()];
    let actions = run(&json!({"on_failure": "stop"}), &observations);
    assert_eq!(
        actions,
        [apply(&["db"]), Action::Pause { message: "no quota".to_owned() }, apply(&["db"]),]
    );
}

#[test]
fn an_abort_rolls_back_also_when_stopped() {
    let abort = Observation::Aborted { message: String::new() };
    let actions = run(&json!({"on_failure": "stop"}), &[failure("x"), abort]);
    assert!(matches!(actions.last(), Some(Action::RollBack { .. })));
}

#[test]
fn nothing_follows_the_end() {
    let context = context(&json!({}));
    let host = FakeHost::new();
    let mut decision = Rolling::start(&context, &host).unwrap();
    while decision.action != Action::Complete {
        decision = Rolling::next(&context, decision.state, &Observation::done(), &host).unwrap();
    }
    let fault = Rolling::next(&context, decision.state, &Observation::done(), &host).unwrap_err();
    assert!(matches!(fault, Fault::Conflict(_)));
}

#[test]
fn progress_never_goes_back() {
    let context = context(&json!({}));
    let host = FakeHost::new();
    let mut decision = Rolling::start(&context, &host).unwrap();
    let mut last = 0;
    while decision.action != Action::Complete {
        assert!(decision.progress >= last);
        last = decision.progress;
        decision = Rolling::next(&context, decision.state, &Observation::done(), &host).unwrap();
    }
    assert_eq!(decision.progress, 100);
}

#[test]
fn workloads_that_wait_for_each_other_are_refused() {
    let workloads = json!([
        {"name": "a", "after": ["b"]},
        {"name": "b", "after": ["a"]},
    ]);
    let context = testing::context(&json!({}), &workloads).unwrap();
    let fault = Rolling::start(&context, &FakeHost::new()).unwrap_err();
    assert!(fault.to_string().contains("a, b wait for each other"), "{fault}");
}

#[test]
fn a_mistyped_setting_is_named() {
    let fault = testing::context::<Config>(&json!({"batch": "half"}), &json!([])).unwrap_err();
    assert!(fault.to_string().contains("/config/batch"), "{fault}");
}

#[test]
fn a_workload_has_its_own_time() {
    let config = json!({"deadline": "5m", "deadlines": {"web": "1h30m", "other": "1s"}});
    let actions = run(&config, &vec![Observation::done(); 4]);
    assert_eq!(actions[3..], [await_ready(&["api"], 300_000), await_ready(&["web"], 5_400_000)]);
}

#[test]
fn at_most_so_many_workloads_are_applied_at_once() {
    let config = json!({"batch": "all", "max_parallel": 2});
    let actions = run(&config, &vec![Observation::done(); 4]);
    assert_eq!((&actions[0], &actions[2]), (&apply(&["db", "api"]), &apply(&["web"])));
}

#[test]
fn after_its_part_of_the_workloads_a_person_promotes() {
    let config = json!({"partition": 50});
    let done = || Observation::done();
    let until_held = [done(), done(), done(), done()];
    let held = [apply(&["db"]), await_ready(&["db"], 600_000), apply(&["api"])];
    let actions = run(&config, &until_held);
    assert_eq!(actions[..3], held);
    assert!(matches!(&actions[4], Action::Pause { message } if message.contains("2 of 3")));
    for scope in [Promotion::Step, Promotion::All] {
        let mut observations = until_held.to_vec();
        observations.push(Observation::Promoted { scope });
        assert_eq!(run(&config, &observations).last(), Some(&apply(&["web"])));
    }
}

#[test]
fn what_is_ready_is_checked_before_it_counts_and_goes_back_when_that_fails() {
    let config = json!({"batch": "all", "after": ["end-to-end"], "for": "1m"});
    let ready = vec![Observation::done(); 2];
    let actions = run(&config, &ready);
    assert!(
        matches!(&actions[2], Action::RunChecks { track, checks, .. }
            if track.as_deref() == Some("stable") && checks == &["end-to-end"]),
        "{actions:?}"
    );
    let with = |last: Observation| {
        let observations: Vec<Observation> = ready.iter().cloned().chain([last]).collect();
        run(&config, &observations).pop().unwrap()
    };
    assert_eq!(with(Observation::done()), Action::Complete);
    assert!(matches!(with(Observation::failed("check-failed", "no")), Action::RollBack { .. }));
}

#[test]
fn promoting_all_beforehand_leaves_the_pause_out() {
    let promoted = Observation::Promoted { scope: Promotion::All };
    // The first batch is still waited for: nobody can promote what is not there.
    let actions =
        run(&json!({"partition": 30}), &[Observation::done(), promoted, Observation::done()]);
    assert_eq!(
        actions,
        [
            apply(&["db"]),
            await_ready(&["db"], 600_000),
            await_ready(&["db"], 600_000),
            apply(&["api", "web"])
        ]
    );
}

#[test]
fn each_setting_of_the_schema_is_read() {
    let config = json!({
        "deadline": "5m", "deadlines": {"search": "1h"}, "batch": "all", "max_parallel": 2,
        "partition": 25, "on_failure": "stop", "after": ["end-to-end"], "for": "5m",
        "on_inconclusive": "roll-back",
    });
    testing::context::<Config>(&config, &json!([])).unwrap();
    let schema: Value = serde_json::from_str(include_str!("../config.schema.json")).unwrap();
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn whatever_happens_a_rollout_ends_in_the_new_version_or_goes_back(
        workloads in worlds(),
        chances in chances(),
        all in any::<bool>(),
        stop in any::<bool>(),
        max_parallel in 1..4_u32,
        partition in 1..101_u32,
        checked in any::<bool>(),
    ) {
        let config = json!({
            "batch": if all { "all" } else { "ordered" },
            "on_failure": if stop { "stop" } else { "roll-back" },
            "max_parallel": max_parallel,
            "partition": partition,
            "after": if checked { json!(["end-to-end"]) } else { json!([]) },
        });
        let rules = Rules { ordered: !all, proportional: true };
        let run = drive::<Rolling>(&config, &workloads, &chances, rules);
        prop_assert!(run.is_ok(), "{config}\n{workloads:#?}\n{}", run.unwrap_err());
    }
}
