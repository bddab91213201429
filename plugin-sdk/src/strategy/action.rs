//! What a strategy has the engine do.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The track of what runs for everybody: the rendered objects themselves.
pub const STABLE: &str = "stable";

/// What the engine should do; `{"do": "await-ready", …}` on the wire.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Action {
    /// Apply the manifests of these workloads on a track.
    Apply {
        /// [`STABLE`], or another that the strategy makes up: a DNS label of at
        /// most 15 characters.
        track: String,
        /// Their names.
        workloads: Vec<String>,
        /// Of which version; the stable track is always of the new one.
        #[serde(default, skip_serializing_if = "Version::is_new")]
        version: Version,
        /// Of the wanted replicas, rounded up.
        #[serde(default = "all", skip_serializing_if = "is_all")]
        percent: u32,
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
        /// Of the wanted replicas, rounded up.
        percent: u32,
    },
    /// Divide the traffic. It says all of it: header rules and a mirror that the
    /// action does not name are taken away.
    Shift {
        /// Percent by track; they add up to 100.
        weights: BTreeMap<String, u32>,
        /// Whose traffic; that of all workloads if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        workloads: Option<Vec<String>>,
        /// What goes to a track whatever the weights are. The first that matches
        /// counts.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        headers: Vec<HeaderRule>,
        /// A track that gets a copy of each request; its answers are thrown away.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mirror: Option<String>,
    },
    /// Run checks and wait for their verdict.
    RunChecks {
        /// Their names, from the environment type.
        checks: Vec<String>,
        /// The track that is checked; all if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        track: Option<String>,
        /// The track to compare it with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        baseline: Option<String>,
        /// Keep measuring at least this long. The first failure ends it.
        #[serde(default, skip_serializing_if = "is_zero")]
        for_ms: u64,
        /// The workloads that are checked; all if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        workloads: Option<Vec<String>>,
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
        /// The track; never [`STABLE`].
        track: String,
        /// Of which workloads; of all if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        workloads: Option<Vec<String>>,
    },
    /// The rollout is done: every workload's stable track is of the new version,
    /// there is no other track, and it gets all traffic.
    Complete,
    /// The rollout has failed; put back what ran before.
    RollBack {
        /// Why.
        reason: String,
    },
}

/// Which version of the workloads runs on a track.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Version {
    /// What is rolled out.
    #[default]
    New,
    /// What ran before, to compare with.
    Current,
}

impl Version {
    fn is_new(&self) -> bool {
        *self == Self::New
    }
}

/// Requests that go to a track by a header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderRule {
    /// The header's name.
    pub name: String,
    /// What it has to be.
    #[serde(flatten)]
    pub wanted: HeaderMatch,
    /// Where such requests go.
    pub track: String,
}

/// What a header has to be: `"value": …` or `"pattern": …` on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeaderMatch {
    /// Exactly this.
    Value(String),
    /// A regular expression that matches all of it.
    Pattern(String),
}

/// Percent of the wanted replicas, if an action does not say.
const ALL_PERCENT: u32 = 100;

fn all() -> u32 {
    ALL_PERCENT
}

fn is_all(percent: &u32) -> bool {
    *percent == ALL_PERCENT
}

fn is_zero(ms: &u64) -> bool {
    *ms == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// An action is written like this, and read from it.
    fn is(action: &Action, document: &Value) {
        assert_eq!(serde_json::to_value(action).unwrap(), *document);
        assert_eq!(Action::deserialize(document).unwrap(), *action);
    }

    #[test]
    fn actions_are_written_as_the_first_contract_documents_them() {
        let workloads = vec!["api".to_owned()];
        is(
            &Action::Apply {
                track: STABLE.into(),
                workloads: workloads.clone(),
                version: Version::New,
                percent: 100,
            },
            &json!({"do": "apply", "track": "stable", "workloads": ["api"]}),
        );
        is(
            &Action::AwaitReady { track: STABLE.into(), workloads, deadline_ms: 5 },
            &json!({"do": "await-ready", "track": "stable", "workloads": ["api"], "deadline-ms": 5}),
        );
        is(
            &Action::Shift {
                weights: BTreeMap::from([(STABLE.into(), 100)]),
                workloads: None,
                headers: Vec::new(),
                mirror: None,
            },
            &json!({"do": "shift", "weights": {"stable": 100}}),
        );
        is(
            &Action::RunChecks {
                checks: vec!["errors".into()],
                track: None,
                baseline: None,
                for_ms: 0,
                workloads: None,
            },
            &json!({"do": "run-checks", "checks": ["errors"]}),
        );
        is(
            &Action::Retire { track: "canary".into(), workloads: None },
            &json!({"do": "retire", "track": "canary"}),
        );
        is(&Action::RollBack { reason: "r".into() }, &json!({"do": "roll-back", "reason": "r"}));
        is(&Action::Complete, &json!({"do": "complete"}));
    }

    #[test]
    fn what_was_added_to_actions_is_written_where_it_is_said() {
        let workloads = vec!["api".to_owned()];
        is(
            &Action::Apply {
                track: "baseline".into(),
                workloads: workloads.clone(),
                version: Version::Current,
                percent: 10,
            },
            &json!({"do": "apply", "track": "baseline", "workloads": ["api"],
                "version": "current", "percent": 10}),
        );
        let rule =
            |name: &str, wanted| HeaderRule { name: name.into(), wanted, track: "canary".into() };
        is(
            &Action::Shift {
                weights: BTreeMap::from([(STABLE.into(), 90), ("canary".into(), 10)]),
                workloads: Some(workloads.clone()),
                headers: vec![
                    rule("x-canary", HeaderMatch::Value("yes".into())),
                    rule("user-agent", HeaderMatch::Pattern("Test.*".into())),
                ],
                mirror: Some("preview".into()),
            },
            &json!({"do": "shift", "weights": {"stable": 90, "canary": 10}, "workloads": ["api"],
                "headers": [
                    {"name": "x-canary", "value": "yes", "track": "canary"},
                    {"name": "user-agent", "pattern": "Test.*", "track": "canary"},
                ],
                "mirror": "preview"}),
        );
        is(
            &Action::RunChecks {
                checks: vec!["errors".into()],
                track: Some("canary".into()),
                baseline: Some("baseline".into()),
                for_ms: 7,
                workloads: Some(workloads),
            },
            &json!({"do": "run-checks", "checks": ["errors"], "track": "canary",
                "baseline": "baseline", "for-ms": 7, "workloads": ["api"]}),
        );
    }
}
