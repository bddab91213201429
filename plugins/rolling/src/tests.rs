use super::*;
use deployd_plugin_sdk::testing::{self, FakeHost};
use serde_json::{Value, json};

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
    let state = State { batch: 2, doing: Doing::Ended };
    let fault = Rolling::next(&context, state, &Observation::done(), &FakeHost::new()).unwrap_err();
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
