//! What passes between a strategy and the engine.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What the engine should do; `{"do": "await-ready", …}` on the wire.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Action {
    /// Apply the manifests of these workloads on a track.
    Apply {
        /// `stable`, or another that the strategy makes up.
        track: String,
        /// Their names.
        workloads: Vec<String>,
    },
    /// Wait until these workloads are ready.
    AwaitReady {
        /// The track they were applied on.
        track: String,
        /// Their names.
        workloads: Vec<String>,
        /// After this long the observation is a failure.
        deadline_ms: u64,
    },
    /// Run this many percent of the wanted replicas.
    Scale {
        /// The track to scale.
        track: String,
        /// Their names.
        workloads: Vec<String>,
        /// Of the wanted replicas.
        percent: u32,
    },
    /// Divide the traffic.
    Shift {
        /// Percent by track; they add up to 100.
        weights: BTreeMap<String, u32>,
    },
    /// Run checks and wait for their verdict.
    RunChecks {
        /// Their names.
        checks: Vec<String>,
    },
    /// Do nothing for a while.
    Sleep {
        /// For how long.
        ms: u64,
    },
    /// Wait for a person.
    Pause {
        /// What the person should look at.
        message: String,
    },
    /// Take away what runs on a track.
    Retire {
        /// The track.
        track: String,
    },
    /// The rollout is done.
    Complete,
    /// The rollout has failed; put back what ran before.
    RollBack {
        /// Why.
        reason: String,
    },
}

/// What came of the last action; `{"outcome": "done"}` on the wire.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Observation {
    /// It worked. A pause that a person ended is done too.
    Done,
    /// It did not.
    Failed {
        /// Why, for a person.
        #[serde(default)]
        message: String,
        /// What else the engine knows.
        #[serde(flatten)]
        detail: Map<String, Value>,
    },
    /// A person wants the rollout to end and to be undone.
    Aborted {
        /// Why, if the person said so.
        #[serde(default)]
        message: String,
    },
    /// A person wants what remains to happen at once.
    Promoted,
    /// An outcome that this version does not know.
    #[serde(other)]
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn actions_are_written_as_the_contract_documents_them() {
        let action = Action::AwaitReady {
            track: "stable".into(),
            workloads: vec!["api".into()],
            deadline_ms: 5,
        };
        assert_eq!(
            serde_json::to_value(action).unwrap(),
            json!({"do": "await-ready", "track": "stable", "workloads": ["api"], "deadline-ms": 5})
        );
        assert_eq!(
            serde_json::to_value(Action::RollBack { reason: "r".into() }).unwrap(),
            json!({"do": "roll-back", "reason": "r"})
        );
        assert_eq!(serde_json::to_value(Action::Complete).unwrap(), json!({"do": "complete"}));
    }

    #[test]
    fn observations_keep_detail_and_survive_new_outcomes() {
        let failed = json!({"outcome": "failed", "message": "m", "pods": ["a"]});
        let Observation::Failed { message, detail } = serde_json::from_value(failed).unwrap()
        else {
            panic!("not a failure")
        };
        assert_eq!((message.as_str(), &detail["pods"]), ("m", &json!(["a"])));
        assert_eq!(
            serde_json::from_value::<Observation>(json!({"outcome": "eclipsed", "by": 1})).unwrap(),
            Observation::Other
        );
    }
}
