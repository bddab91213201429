//! What ran where and when: for questions about the past, also of environments
//! that are gone.
//!
//! Points in time are those of the journal's events, as the clock said them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::projection::key;
use super::record::DeploymentRecord;
use super::state::{Deployed, EnvironmentState};
use crate::ports::{Index, KeyRange, Put};
use crate::{DeploymentId, Digest, EnvironmentId, Timestamp};

/// What ran in an environment since when: environment and time -> [`Deployed`],
/// or `null` where it was taken away.
pub const TIMELINE: Index = Index("timeline");
/// Where a set was deployed: set, environment and deployment -> [`Run`].
pub const RUNS: Index = Index("runs-by-set");
/// A deployment of a set, from its plan on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// Since when it is what runs; none when it never came to that, or not yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// When another took its place, or the environment was taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// The key of what ran in an environment from a time on. The last key that is
/// not above it is of what ran then.
pub fn timeline_key(environment: &EnvironmentId, at: Timestamp) -> Vec<u8> {
    key(&environment.to_string(), &at.0.to_be_bytes())
}

/// The keys of all that ran in an environment up to a time.
pub fn timeline_until(environment: &EnvironmentId, at: Timestamp) -> KeyRange {
    let start = key(&environment.to_string(), &[]);
    KeyRange { start, end: Some(timeline_key(environment, at.plus_ms(1))) }
}

/// The environment and time in a key of the timeline.
pub fn timeline_place(bytes: &[u8]) -> Option<(EnvironmentId, Timestamp)> {
    let (name, at) = bytes.split_at_checked(bytes.len().checked_sub(8)?)?;
    let at = u64::from_be_bytes(at.try_into().ok()?);
    let name = std::str::from_utf8(name.strip_suffix(&[0])?).ok()?;
    Some((name.parse().ok()?, Timestamp(at)))
}

/// The key of a deployment of a set.
pub fn run_key(set: Digest, environment: &EnvironmentId, deployment: &DeploymentId) -> Vec<u8> {
    let rest = key(&environment.to_string(), deployment.0.as_bytes());
    key(&set.hex(), &rest)
}

/// The keys of all deployments of a set.
pub fn runs_of(set: Digest) -> KeyRange {
    KeyRange::prefix(&key(&set.hex(), &[]))
}

/// The environment and deployment in a key of a run.
pub fn run_place(bytes: &[u8]) -> Option<(EnvironmentId, DeploymentId)> {
    let mut parts = bytes.splitn(3, |byte| *byte == 0).skip(1);
    let mut text = || std::str::from_utf8(parts.next()?).ok();
    Some((text()?.parse().ok()?, DeploymentId(text()?.to_owned())))
}

/// What an event has changed of what ran where.
pub(super) fn changed(
    environment: &EnvironmentId,
    before: &EnvironmentState,
    after: &EnvironmentState,
    record: &DeploymentRecord,
) -> Result<Vec<Put>, serde_json::Error> {
    let mut puts = Vec::new();
    let mut put = |set, deployment: &DeploymentId, run: Run| {
        let key = run_key(set, environment, deployment);
        puts.push(Put { index: RUNS, key, value: Some(serde_json::to_vec(&run)?) });
        Ok::<(), serde_json::Error>(())
    };
    let planned = before.active.as_ref().is_some_and(|active| active.plan.is_none())
        && record.work.as_ref().is_some_and(|work| work.plan.is_some());
    if planned && record.request.teardown.is_none() {
        put(record.request.set, &record.id, Run::default())?;
    }
    let (old, new) = (&before.deployed, &after.deployed);
    if old == new {
        return Ok(puts);
    }
    // Ended it has in any case: what runs changes with the end of a deployment.
    let at = new.as_ref().map(|new| new.at).or(record.ended).unwrap_or_default();
    if let Some(old) = old {
        put(old.set, &old.deployment, Run { from: Some(old.at), until: Some(at) })?;
    }
    if let Some(new) = new {
        put(new.set, &new.deployment, Run { from: Some(at), until: None })?;
    }
    let value = Some(serde_json::to_vec::<Option<Deployed>>(new)?);
    puts.push(Put { index: TIMELINE, key: timeline_key(environment, at), value });
    Ok(puts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_can_be_read_again() {
        let environment: EnvironmentId = "shop/production".parse().unwrap();
        let (at, set) = (Timestamp(1_795_230_000_007), Digest::of(b"set"));
        let place = timeline_place(&timeline_key(&environment, at)).unwrap();
        assert_eq!(place, (environment.clone(), at));
        let deployment = DeploymentId("01jd2k9x7h8f6v3q5w1n4m0zta".to_owned());
        let place = run_place(&run_key(set, &environment, &deployment)).unwrap();
        assert_eq!(place, (environment, deployment));
        assert!(timeline_place(b"short").is_none());
        assert!(run_place(b"no zero").is_none());
    }
}
