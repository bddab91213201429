//! What a strategy can have done.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rehearsal::span;
use crate::rollout::{HeaderMatch, Version};

/// What a strategy can have done (`wit/strategy.wit`, `wit/README.md`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    tag = "do",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    deny_unknown_fields
)]
pub enum Action {
    /// Creates or updates a track of workloads.
    Apply {
        /// [`STABLE`](crate::rollout::STABLE), or one that the strategy makes up.
        track: String,
        /// Their names.
        workloads: Vec<String>,
        /// What the track runs.
        #[serde(default, skip_serializing_if = "is_new")]
        version: Version,
        /// Of the wanted replicas.
        #[serde(default = "whole", skip_serializing_if = "is_whole")]
        percent: u32,
    },
    /// Runs so many percent of the wanted replicas on a track.
    Scale {
        /// The track.
        track: String,
        /// Their names.
        workloads: Vec<String>,
        /// Of the wanted replicas.
        percent: u32,
    },
    /// Waits until a track of workloads is ready.
    AwaitReady {
        /// The track.
        track: String,
        /// Their names.
        workloads: Vec<String>,
        /// For so long.
        deadline_ms: u64,
    },
    /// Divides the traffic among tracks.
    Shift {
        /// Percent by track; they add up to 100.
        weights: BTreeMap<String, u32>,
        /// Of these workloads; of all when not given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        workloads: Option<Vec<String>>,
        /// Requests with these headers go to a track, whatever the weights say.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        headers: Vec<HeaderMatch>,
        /// A track that gets a copy of every request, and whose answers nobody
        /// sees.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mirror: Option<String>,
    },
    /// Runs checks until they have passed or not.
    RunChecks {
        /// Their names in the environment's type.
        checks: Vec<String>,
        /// The track that they are about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        track: Option<String>,
        /// The track that it is compared with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        baseline: Option<String>,
        /// The workloads that they are about; all when not given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        workloads: Option<Vec<String>>,
        /// They go on for at least so long.
        #[serde(default, skip_serializing_if = "is_zero")]
        for_ms: u64,
    },
    /// Waits.
    Sleep {
        /// For so long.
        ms: u64,
    },
    /// Waits until a person resumes, promotes or aborts.
    Pause {
        /// Why, and what to look at.
        message: String,
    },
    /// Takes a track away.
    Retire {
        /// The track.
        track: String,
        /// Of these workloads; of all when not given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        workloads: Option<Vec<String>>,
    },
    /// The rollout is done.
    Complete {},
    /// Bring back what ran before.
    RollBack {
        /// Why.
        reason: String,
    },
}

impl Action {
    /// Whether it only waits, so that a person may have what remains of it
    /// skipped.
    pub fn is_waiting(&self) -> bool {
        matches!(self, Self::Sleep { .. } | Self::Pause { .. } | Self::RunChecks { .. })
    }

    /// What it does, for people.
    pub fn sentence(&self) -> String {
        let of = |workloads: &Option<Vec<String>>| match workloads {
            Some(workloads) => format!(" of {}", workloads.join(", ")),
            None => String::new(),
        };
        match self {
            Self::Apply { track, workloads, version, percent } => {
                let version = match version {
                    Version::New => "",
                    Version::Current => ", the current version",
                };
                let percent =
                    if *percent == 100 { String::new() } else { format!(", {percent} %") };
                format!("apply {track} of {}{version}{percent}", workloads.join(", "))
            }
            Self::Scale { track, workloads, percent } => {
                format!("scale {track} of {} to {percent} %", workloads.join(", "))
            }
            Self::AwaitReady { track, workloads, .. } => {
                format!("await {track} of {}", workloads.join(", "))
            }
            Self::Shift { weights, workloads, headers, mirror } => {
                let weights: Vec<String> =
                    weights.iter().map(|(track, weight)| format!("{track} {weight} %")).collect();
                let headers = match headers.len() {
                    0 => String::new(),
                    count => format!(", {count} by header"),
                };
                let mirror = mirror.as_ref().map(|track| format!(", mirrored to {track}"));
                let mirror = mirror.unwrap_or_default();
                format!("shift to {}{}{headers}{mirror}", weights.join(", "), of(workloads))
            }
            Self::RunChecks { checks, track, workloads, for_ms, .. } => {
                let track = track.as_ref().map(|track| format!(" on {track}")).unwrap_or_default();
                let least = if *for_ms > 0 {
                    format!(", {} at least", span(*for_ms))
                } else {
                    String::new()
                };
                format!("check {}{track}{}{least}", checks.join(", "), of(workloads))
            }
            Self::Sleep { ms } => format!("wait {}", span(*ms)),
            Self::Pause { message } => format!("pause: {message}"),
            Self::Retire { track, workloads } => format!("retire {track}{}", of(workloads)),
            Self::Complete {} => "complete".to_owned(),
            Self::RollBack { reason } => format!("roll back: {reason}"),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_new(version: &Version) -> bool {
    *version == Version::New
}

const fn whole() -> u32 {
    100
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_whole(percent: &u32) -> bool {
    *percent == whole()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(ms: &u64) -> bool {
    *ms == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json, to_value};

    #[test]
    fn what_is_not_said_has_its_default_and_is_not_written() {
        let plain = json!({"do": "apply", "track": "canary", "workloads": ["web"]});
        let action: Action = from_value(plain.clone()).unwrap();
        let expected = Action::Apply {
            track: "canary".into(),
            workloads: vec!["web".into()],
            version: Version::New,
            percent: 100,
        };
        assert_eq!(action, expected);
        assert_eq!(to_value(action).unwrap(), plain);
        for written in [
            json!({"do": "shift", "weights": {"stable": 90, "canary": 10}}),
            json!({"do": "shift", "weights": {"stable": 100}, "workloads": ["web"],
                "headers": [{"name": "x-canary", "value": "yes", "track": "canary"}], "mirror": "canary"}),
            json!({"do": "run-checks", "checks": ["errors"], "track": "canary", "baseline": "baseline", "for-ms": 5}),
            json!({"do": "retire", "track": "canary"}),
        ] {
            let action: Action = from_value(written.clone()).unwrap();
            assert_eq!(to_value(action).unwrap(), written);
        }
    }
}
