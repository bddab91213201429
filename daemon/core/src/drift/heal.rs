//! Whether drift is healed by itself, and when.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::report::{Drift, DriftReport, Subject};
use crate::config::Heal;
use crate::{DeploymentId, Digest, Timestamp};

/// Deployments that heal within [`HEAL_WINDOW_MS`]. Who undoes what was deployed
/// as often as this means it.
pub const HEALS_MAX: u32 = 4;

/// The wait after the first of them. It doubles with each: 5, 10, 20 minutes.
const HEAL_WAIT_MS: u64 = 5 * 60_000;

/// Deployments that heal count together when no more than this is between one
/// and the next. Longer than any wait, so that a fight is seen as one; short
/// enough that somebody's change of every day is mended every day.
pub const HEAL_WINDOW_MS: u64 = 6 * 3_600_000;

/// What an environment remembers of its drift.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DriftState {
    /// By whose record the last report was made that had anything new.
    pub deployment: DeploymentId,
    /// That report, by content.
    pub report: Digest,
    /// How many findings it has.
    pub findings: u32,
    /// When it was made.
    pub at: Timestamp,
    /// Deployments that were to heal, without [`HEAL_WINDOW_MS`] between them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub heals: u32,
    /// When the last of them was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healed: Option<Timestamp>,
    /// Whether deployd has given up to heal it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gave_up: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde asks by reference
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl DriftState {
    /// After a deployment that is to heal was asked for.
    #[must_use]
    pub fn healed(mut self, at: Timestamp) -> Self {
        let is_another = self.healed.is_none_or(|last| at.ms_since(last) > HEAL_WINDOW_MS);
        self.heals = if is_another { 1 } else { self.heals.saturating_add(1) };
        self.healed = Some(at);
        self
    }

    /// After somebody has deployed: whoever fought, it is another matter now.
    #[must_use]
    pub fn calmed(mut self) -> Self {
        self.heals = 0;
        self.healed = None;
        self.gave_up = false;
        self
    }
}

/// Why drift is not healed by itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unhealable {
    /// The environment's type does not want it.
    #[error("the environment type does not say `heal: automatic`")]
    NotWanted,
    /// A resource, or a volume, is gone.
    #[error(
        "{0} is gone, and what was in it: made anew it would be empty, which is for a person to decide"
    )]
    Lost(Subject),
    /// Something is not known, and may be gone.
    #[error("it is not known how {0} is")]
    Unknown(Subject),
    /// Somebody undoes it each time.
    #[error("it was healed {HEALS_MAX} times, and somebody undoes it each time")]
    GivenUp,
}

/// Whether drift is healed now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Healing {
    /// There is none.
    Nothing,
    /// By a deployment of what is recorded.
    Now,
    /// Not before then.
    Later(Timestamp),
    /// It was tried often enough: somebody has to be told.
    GiveUp,
    /// Not by itself.
    Never(Unhealable),
}

/// Whether what a report has found is healed, and when.
///
/// Never when a resource or the claim of a volume is gone: what was in it is
/// gone too, and an empty one in its place would hide that. Never more often than
/// [`HEALS_MAX`] times in a row, with growing waits between: two that fight over
/// a field must not do so for ever. A clock that was set back is no reason to
/// wait; the count is.
pub fn healing(heal: Heal, report: &DriftReport, state: &DriftState, now: Timestamp) -> Healing {
    if !report.has_drift() {
        return Healing::Nothing;
    }
    if heal != Heal::Automatic {
        return Healing::Never(Unhealable::NotWanted);
    }
    let is_lost = |subject: &Subject| match subject {
        Subject::Resource { .. } => true,
        Subject::Object(object) => object.kind == "PersistentVolumeClaim",
        Subject::File { .. } => false,
    };
    let lost = report.findings.iter().find(|finding| {
        matches!(finding.drift, Drift::Missing | Drift::Replaced { .. })
            && is_lost(&finding.subject)
    });
    if let Some(lost) = lost {
        return Healing::Never(Unhealable::Lost(lost.subject.clone()));
    }
    if let Some(unknown) = report.unknown.iter().find(|unknown| is_lost(&unknown.subject)) {
        return Healing::Never(Unhealable::Unknown(unknown.subject.clone()));
    }
    if state.gave_up {
        return Healing::Never(Unhealable::GivenUp);
    }
    let Some(last) = state.healed else { return Healing::Now };
    let since = now.ms_since(last);
    if since > HEAL_WINDOW_MS {
        return Healing::Now;
    }
    if state.heals >= HEALS_MAX {
        return Healing::GiveUp;
    }
    let wait = HEAL_WAIT_MS.saturating_mul(1 << state.heals.saturating_sub(1).min(16));
    if last <= now && since < wait { Healing::Later(last.plus_ms(wait)) } else { Healing::Now }
}
