//! The four figures by which DORA (dora.dev) tells how software is delivered:
//! deployment frequency, lead time for changes, change failure rate, and time to
//! restore. Pure: from what is kept of the ends of deployments.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::deployment::projection::key;
use crate::deployment::{DeploymentRecord, Origin, Outcome};
use crate::ports::{Index, KeyRange, Put};
use crate::{DeploymentId, EnvironmentId, Name, Timestamp};

/// When it ended, environment, deployment -> [`Change`].
pub const CHANGES: Index = Index("changes");

/// What a deployment was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// To change what runs.
    Change,
    /// To mend it: an older deployment again, or what was deployed put right where
    /// it had drifted.
    Remedy,
    /// To take the environment away.
    Teardown,
}

/// What is kept of a deployment that has begun and ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// Which.
    pub deployment: DeploymentId,
    /// The environment's type then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment_type: Option<Name>,
    /// What for.
    pub purpose: Purpose,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// How.
    pub outcome: Outcome,
    /// Whether it had begun to change what is there.
    pub applied: bool,
    /// Images that came to run here for the first time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub first: Vec<Arrival>,
}

/// Since when there was something to deploy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Arrival {
    /// When the commit was made, or else when the image was first announced.
    pub since: Timestamp,
    /// Whether it is the commit's time.
    pub committed: bool,
}

impl Change {
    /// What is kept of a deployment; nothing of one that never began.
    pub fn of(
        record: &DeploymentRecord,
        environment_type: Option<&Name>,
        purpose: Purpose,
        first: Vec<Arrival>,
    ) -> Option<Self> {
        let work = record.work.as_ref()?;
        Some(Self {
            deployment: record.id.clone(),
            environment_type: environment_type.cloned(),
            purpose,
            started: work.started,
            ended: record.ended?,
            outcome: record.outcome?,
            applied: work.has_applied(),
            first,
        })
    }

    /// As it is written.
    pub fn put(&self, environment: &EnvironmentId) -> Result<Put, serde_json::Error> {
        let mut at = self.ended.0.to_be_bytes().to_vec();
        at.extend(key(&environment.to_string(), self.deployment.0.as_bytes()));
        Ok(Put { index: CHANGES, key: at, value: Some(serde_json::to_vec(self)?) })
    }

    /// Whether it was to change what runs, and had begun to.
    fn counts(&self) -> bool {
        self.purpose == Purpose::Change && self.applied
    }
}

/// What a deployment is for. Deploying anew what runs already is a change: its
/// values and resources may be others; so is what comes from another environment.
///
/// `steps_back` says whether it deploys again what was in its environment before
/// what ran.
pub fn purpose(record: &DeploymentRecord, steps_back: bool) -> Purpose {
    if record.request.teardown.is_some() {
        return Purpose::Teardown;
    }
    match &record.request.origin {
        Origin::Drift { .. } => Purpose::Remedy,
        Origin::Redeploy { .. } if steps_back => Purpose::Remedy,
        Origin::Rollback { .. } => Purpose::Remedy,
        _ => Purpose::Change,
    }
}

/// The keys of all deployments that ended in a span of time.
pub fn changes_between(since: Timestamp, until: Timestamp) -> KeyRange {
    let at = |time: Timestamp| time.0.to_be_bytes().to_vec();
    KeyRange { start: at(since), end: Some(at(until)) }
}

/// The environment in the key of a change.
pub fn environment_of_change(key: &[u8]) -> Option<EnvironmentId> {
    let name = key.get(8..)?.split(|byte| *byte == 0).next()?;
    std::str::from_utf8(name).ok()?.parse().ok()
}

/// How long something took, of several times.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Spread {
    /// How many times.
    pub count: u32,
    /// Half of them took no longer.
    pub median_ms: u64,
    /// Nine of ten took no longer.
    pub p90_ms: u64,
}

impl Spread {
    /// Of durations in any order; none of none. By nearest rank: each figure is one
    /// of the durations.
    pub fn of(mut durations: Vec<u64>) -> Option<Self> {
        durations.sort_unstable();
        let count = durations.len();
        let rank = |percent: usize| {
            let rank = count.saturating_mul(percent).div_ceil(100);
            durations.get(rank.saturating_sub(1)).copied()
        };
        let (median_ms, p90_ms) = (rank(50)?, rank(90)?);
        Some(Self { count: u32::try_from(count).unwrap_or(u32::MAX), median_ms, p90_ms })
    }
}

/// The figures of some environments over a span of time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// Deployments that were to change what runs, and succeeded.
    pub deployments: u32,
    /// These by days: the deployment frequency.
    pub per_day: f64,
    /// From a commit to the moment from which its image runs here, each image once:
    /// when it first came. Where no commit's time was announced, from the first
    /// announcement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lead_time: Option<Spread>,
    /// How many of these count from the announcement.
    pub lead_times_from_announcement: u32,
    /// Changes that had begun to be applied, however they ended; not those that
    /// somebody cancelled.
    pub changes: u32,
    /// Those of them that failed: ended so, were rolled back, need an operator, or
    /// succeeded and were followed by a remedy (an older deployment again, or a
    /// healing) as the next thing.
    pub failed: u32,
    /// Failed changes by changes; none where there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_failure_rate: Option<f64>,
    /// From the end of a failed change to the end of the next deployment that
    /// succeeded; of one that was rolled back, from its beginning to its end, when
    /// what ran before ran again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_to_restore: Option<Spread>,
    /// Failed changes after which nothing has succeeded within the span.
    pub not_restored: u32,
}

/// The figures of one group of environments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupFigures {
    /// The application; none for all of them together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<Name>,
    /// The type of the environments; none where it was not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment_type: Option<Name>,
    /// The figures.
    #[serde(flatten)]
    pub figures: Figures,
}

/// The figures of all groups.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DoraReport {
    /// From when.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// By application and type.
    pub groups: Vec<GroupFigures>,
    /// Whether there were more deployments than were looked at: then those that
    /// ended first are missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

/// The figures of some environments: the changes of each, the first that ended
/// first.
pub fn figures<'c>(
    environments: impl IntoIterator<Item = &'c [Change]>,
    since: Timestamp,
    until: Timestamp,
) -> Figures {
    let mut figures = Figures::default();
    let (mut leads, mut restores) = (Vec::new(), Vec::new());
    for changes in environments {
        for (place, change) in changes.iter().enumerate() {
            if !change.counts() {
                continue;
            }
            let rest = changes.get(place.saturating_add(1)..).unwrap_or_default();
            if change.outcome == Outcome::Succeeded {
                figures.deployments = figures.deployments.saturating_add(1);
                for arrival in &change.first {
                    leads.push(change.ended.ms_since(arrival.since));
                    if !arrival.committed {
                        let count = figures.lead_times_from_announcement;
                        figures.lead_times_from_announcement = count.saturating_add(1);
                    }
                }
            }
            let Some(failed) = failure(change, rest) else {
                let counts = change.outcome == Outcome::Succeeded;
                figures.changes = figures.changes.saturating_add(u32::from(counts));
                continue;
            };
            figures.changes = figures.changes.saturating_add(1);
            figures.failed = figures.failed.saturating_add(1);
            match failed {
                Some(ms) => restores.push(ms),
                None => figures.not_restored = figures.not_restored.saturating_add(1),
            }
        }
    }
    let days = until.ms_since(since) as f64 / 86_400_000.0;
    if days > 0.0 {
        figures.per_day = f64::from(figures.deployments) / days;
    }
    if figures.changes > 0 {
        figures.change_failure_rate = Some(f64::from(figures.failed) / f64::from(figures.changes));
    }
    figures.lead_time = Spread::of(leads);
    figures.time_to_restore = Spread::of(restores);
    figures
}

/// Whether a change failed, and after how long what should run ran again, if it
/// does. `rest` is what came after it.
fn failure(change: &Change, rest: &[Change]) -> Option<Option<u64>> {
    let restored = || {
        rest.iter()
            .find(|later| later.outcome == Outcome::Succeeded && later.purpose != Purpose::Teardown)
            .map(|later| later.ended.ms_since(change.ended))
    };
    match change.outcome {
        Outcome::RolledBack => Some(Some(change.ended.ms_since(change.started))),
        Outcome::Failed | Outcome::NeedsOperator => Some(restored()),
        Outcome::Succeeded => {
            let next = rest.iter().find(|later| later.applied)?;
            (next.purpose == Purpose::Remedy).then(restored)
        }
        Outcome::Cancelled | Outcome::Superseded => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400_000;

    fn change(purpose: Purpose, outcome: Outcome, started: u64, ended: u64) -> Change {
        Change {
            deployment: DeploymentId(format!("{ended}")),
            environment_type: None,
            purpose,
            started: Timestamp(started),
            ended: Timestamp(ended),
            outcome,
            applied: true,
            first: Vec::new(),
        }
    }

    fn of(changes: &[Change]) -> Figures {
        figures([changes], Timestamp(0), Timestamp(2 * DAY))
    }

    #[test]
    fn spreads_are_by_nearest_rank() {
        assert_eq!(Spread::of(Vec::new()), None);
        let spread = |durations: &[u64]| {
            let spread = Spread::of(durations.to_vec()).unwrap();
            (spread.count, spread.median_ms, spread.p90_ms)
        };
        assert_eq!(spread(&[7]), (1, 7, 7));
        assert_eq!(spread(&[3, 1, 2, 4]), (4, 2, 4));
        assert_eq!(spread(&(1..=100).collect::<Vec<u64>>()), (100, 50, 90));
    }

    #[test]
    fn changes_are_kept_by_their_time() {
        let change = change(Purpose::Change, Outcome::Succeeded, 90, 0x0100);
        let environment: EnvironmentId = "shop/production".parse().unwrap();
        let put = change.put(&environment).unwrap();
        assert_eq!(environment_of_change(&put.key), Some(environment));
        let within = |since, until| {
            let range = changes_between(Timestamp(since), Timestamp(until));
            range.start <= put.key && put.key < range.end.unwrap()
        };
        assert!(within(0x0100, 0x0101) && within(0xff, 0x0200));
        assert!(!within(0, 0x0100) && !within(0x0101, 0x0200));
    }

    #[test]
    fn frequency_and_lead_time_are_of_what_succeeded() {
        let mut first = change(Purpose::Change, Outcome::Succeeded, 90, 100);
        first.first = vec![
            Arrival { since: Timestamp(40), committed: true },
            Arrival { since: Timestamp(80), committed: false },
        ];
        let mut failed = change(Purpose::Change, Outcome::Cancelled, 190, 200);
        failed.first.clone_from(&first.first);
        let figures = of(&[
            first,
            failed,
            change(Purpose::Remedy, Outcome::Succeeded, 290, 300),
            change(Purpose::Teardown, Outcome::Succeeded, 390, 400),
        ]);
        assert_eq!((figures.deployments, figures.per_day), (1, 0.5));
        let spread = figures.lead_time.unwrap();
        assert_eq!((spread.count, spread.median_ms, spread.p90_ms), (2, 20, 60));
        assert_eq!(figures.lead_times_from_announcement, 1);
    }

    #[test]
    fn failures_are_what_failed_or_had_to_be_mended() {
        let good = change(Purpose::Change, Outcome::Succeeded, 0, 10);
        let rolled_back = change(Purpose::Change, Outcome::RolledBack, 20, 25);
        let failed = change(Purpose::Change, Outcome::Failed, 30, 40);
        let mended = change(Purpose::Change, Outcome::Succeeded, 50, 60);
        let remedy = change(Purpose::Remedy, Outcome::Succeeded, 70, 80);
        let mut never = change(Purpose::Change, Outcome::Failed, 82, 83);
        never.applied = false;
        let last = change(Purpose::Change, Outcome::NeedsOperator, 85, 90);
        let figures = of(&[good, rolled_back, failed, mended, remedy, never, last]);
        assert_eq!((figures.changes, figures.failed, figures.not_restored), (5, 4, 1));
        assert_eq!(figures.change_failure_rate, Some(0.8));
        let spread = figures.time_to_restore.unwrap();
        // 5 rolled back, 20 until the next success, 20 until the remedy.
        assert_eq!((spread.count, spread.median_ms, spread.p90_ms), (3, 20, 20));
        assert_eq!(of(&[]).change_failure_rate, None);
    }
}
