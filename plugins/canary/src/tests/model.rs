//! Random canaries of random workloads with random luck.

use crate::Canary;
use deployd_plugin_sdk::strategy::Action;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use rollout_model::{Came, End, Rules, chances, drive, worlds};
use serde_json::{Value, json};

/// How many rollouts are driven.
const CASES: u32 = 1_000;

/// The most steps that are drawn.
const STEPS_MAX: usize = 8;

fn step() -> impl Strategy<Value = Value> {
    let weights = select(vec![0, 1, 10, 25, 40, 50, 50, 50, 75, 100]);
    prop_oneof![
        5 => weights.prop_map(|weight| json!({"weight": weight})),
        2 => Just(json!({"pause": {}})),
        2 => Just(json!({"pause": "10m"})),
        3 => Just(json!({"checks": ["errors"], "for": "5m"})),
        1 => (1..=100_u32).prop_map(|percent| json!({"scale": percent})),
        1 => Just(json!({"scale": "weight"})),
        1 => Just(json!({"headers": [{"name": "x-canary", "value": "yes"}]})),
        1 => Just(json!({"headers": []})),
        1 => any::<bool>().prop_map(|mirror| json!({"mirror": mirror})),
    ]
}

fn config() -> impl Strategy<Value = Value> {
    (vec(step(), 1..=STEPS_MAX), any::<[bool; 4]>()).prop_map(|(steps, options)| {
        let [background, baseline, scale_down, strict] = options;
        let mut config = json!({
            "steps": steps,
            "baseline": baseline,
            "scale_down_stable": scale_down,
            "on_inconclusive": if strict { "roll-back" } else { "pause" },
        });
        if background {
            config["background"] = json!({"checks": ["errors"]});
        }
        config
    })
}

/// What a canary's traffic may become, or a wait.
#[derive(Debug, Clone, PartialEq)]
enum Mark {
    Weight(u64),
    Wait,
}

/// The weights and waits of a configuration, in their order.
fn wanted(config: &Value) -> Vec<Mark> {
    let mut weight = 0;
    let mut marks = Vec::new();
    for step in config["steps"].as_array().unwrap() {
        match step["weight"].as_u64() {
            Some(next) if next != weight => {
                weight = next;
                marks.push(Mark::Weight(next));
            }
            _ if step["pause"].is_null() && step["checks"].is_null() => {}
            _ => marks.push(Mark::Wait),
        }
    }
    marks
}

/// The weights and waits of a rollout until it is promoted or goes back.
fn seen(actions: &[(Action, Came)]) -> Vec<Mark> {
    let mut weight = 0;
    let mut marks = Vec::new();
    for (action, came) in actions {
        let ended = matches!(came, Came::Done | Came::PromotedStep | Came::PromotedAll);
        match action {
            Action::Apply { track, .. } if track == "stable" && weight > 0 => return marks,
            Action::Shift { weights, .. } => {
                let next = weights.get("canary").copied().map_or(0, u64::from);
                if next != weight {
                    weight = next;
                    marks.push(Mark::Weight(next));
                }
            }
            // A pause with checks beside it is two actions, and one that is promoted
            // in between is over.
            Action::RunChecks { for_ms, .. } if *for_ms > 1_000_000 && *came == Came::Done => {}
            Action::Pause { .. } | Action::Sleep { .. } | Action::RunChecks { .. } if ended => {
                marks.push(Mark::Wait);
            }
            _ => {}
        }
        if matches!(came, Came::Failed | Came::Inconclusive | Came::Aborted | Came::Unknown) {
            return marks;
        }
    }
    marks
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn whatever_happens_a_rollout_ends_in_the_new_version_or_goes_back(
        config in config(),
        workloads in worlds(),
        chances in chances(),
    ) {
        let scaled = config["steps"].as_array().unwrap().iter().any(|step| !step["scale"].is_null());
        let rules = Rules { ordered: true, proportional: !scaled };
        let run = drive::<Canary>(&config, &workloads, &chances, rules);
        prop_assert!(run.is_ok(), "{config}\n{workloads:#?}\n{}", run.unwrap_err());
        let run = run.unwrap();
        if run.refused.is_some() {
            return Ok(());
        }
        let (wanted, seen) = (wanted(&config), seen(&run.actions));
        let tracks = run.actions.iter().any(|(action, _)| matches!(action, Action::Shift { .. }));
        if tracks && !run.actions.iter().any(|(_, came)| *came == Came::PromotedAll) {
            prop_assert!(wanted.starts_with(&seen), "{seen:?} of {wanted:?}: {:#?}", run.actions);
        }
        let well = run.actions.iter().all(|(_, came)| *came == Came::Done);
        prop_assert!(!well || run.end == Some(End::Completed), "{:?}", run.end);
    }
}
