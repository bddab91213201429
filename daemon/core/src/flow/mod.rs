//! How a version moves through the environments of an application: what each stage
//! has, what is next for it, and why that is not there yet.
//!
//! Nothing is kept of a flow: it follows from what the application's document says and
//! from what its environments have.

mod view;
mod why;

use std::collections::BTreeMap;

use crate::config::{Batching, Every, Promotion, Stage};
use crate::deployment::{Hold, Outcome};
use crate::{DeploymentId, Digest, Name, Timestamp};

pub use view::{FlowStage, FlowView, HeldView, ReleaseRequest, StageStanding, WENT_BACK};
pub use why::{SUBJECT_CHARS_MAX, SUBJECT_CHARS_MIN, WhyView, why};

/// What is known of a stage's environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StageFacts {
    /// What runs there.
    pub runs: Option<Runs>,
    /// The newest deployment there, whatever has become of it.
    pub newest: Option<Newest>,
    /// That somebody went back there, and automation leaves it at that.
    pub hold: Option<Hold>,
    /// Images of the stage's candidate that are in quarantine there.
    pub quarantined: Vec<String>,
    /// Images of what runs there, by `workload/container`.
    pub images: Vec<(String, String)>,
}

/// What runs somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runs {
    /// The deployment that brought it.
    pub deployment: DeploymentId,
    /// What.
    pub set: Digest,
    /// Since when.
    pub since: Timestamp,
    /// Whether somebody, or deployd, went back to it.
    pub went_back: bool,
}

/// The newest deployment of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newest {
    /// Its name.
    pub deployment: DeploymentId,
    /// What it was to bring.
    pub set: Digest,
    /// How it has ended; none while it goes on or waits.
    pub outcome: Option<Outcome>,
    /// Whether it has come by itself, has changed nothing yet, and is superseded by what
    /// comes by itself after it.
    pub gives_way: bool,
}

/// What a stage is about to get, and what it waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It comes after no other stage: artifacts and people bring what it has.
    First,
    /// It has what the stages before it have.
    UpToDate,
    /// This could be deployed here now.
    Ready {
        /// What.
        set: Digest,
    },
    /// Something is not here yet.
    Held {
        /// What, if the stages before it agree upon it.
        set: Option<Digest>,
        /// Why, each of them.
        reasons: Vec<Held>,
    },
}

/// Why something is not in a stage yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// Nothing runs in a stage that it comes after.
    Nothing {
        /// Which.
        environment: Name,
    },
    /// Stages that it comes after run different sets.
    Differ {
        /// Which.
        environments: Vec<Name>,
    },
    /// It has not run there for long enough.
    Soaking {
        /// Where.
        environment: Name,
        /// When it has.
        until: Timestamp,
    },
    /// Somebody went back there, which is no reason to go back here, too.
    WentBackBefore {
        /// Where.
        environment: Name,
        /// By this.
        deployment: DeploymentId,
    },
    /// It was deployed here, and did not succeed.
    Failed {
        /// By this.
        deployment: DeploymentId,
        /// How it has ended.
        outcome: Outcome,
    },
    /// A deployment goes on here.
    Busy {
        /// Which.
        deployment: DeploymentId,
    },
    /// Somebody went back here, and automation leaves it at that.
    WentBack {
        /// By this.
        deployment: DeploymentId,
    },
    /// Images of it are in quarantine here.
    Quarantined {
        /// Which.
        images: Vec<String>,
    },
}

impl Held {
    /// Whether a person who asks for it all the same gets it: what is verified is
    /// verified, and automation alone is held by the rest.
    pub fn is_of_automation(&self) -> bool {
        matches!(
            self,
            Self::Failed { .. }
                | Self::Busy { .. }
                | Self::WentBack { .. }
                | Self::WentBackBefore { .. }
                | Self::Quarantined { .. }
        )
    }
}

/// What the stages that a stage comes after run, if they all run the same and are at
/// rest; and what keeps it from being verified there.
pub fn candidate(
    stage: &Stage,
    facts: &BTreeMap<Name, StageFacts>,
    now: Timestamp,
) -> (Option<Digest>, Vec<Held>) {
    let mut reasons = Vec::new();
    let mut sets: Vec<Digest> = Vec::new();
    for before in &stage.after {
        let environment = before.environment.clone();
        let found = facts.get(&environment);
        let Some(runs) = found.and_then(|found| found.runs.as_ref()) else {
            reasons.push(Held::Nothing { environment });
            continue;
        };
        sets.push(runs.set);
        if runs.went_back {
            let deployment = runs.deployment.clone();
            reasons.push(Held::WentBackBefore { environment: environment.clone(), deployment });
        }
        let until = runs.since.plus_ms(before.runs_for.map_or(0, Every::ms));
        if until > now {
            reasons.push(Held::Soaking { environment, until });
        }
    }
    sets.dedup();
    match sets.as_slice() {
        [one] => (Some(*one), reasons),
        [] => (None, reasons),
        _ => {
            let environments = stage.after.iter().map(|before| before.environment.clone());
            reasons.push(Held::Differ { environments: environments.collect() });
            (None, reasons)
        }
    }
}

/// How a stage stands.
pub fn standing(stage: &Stage, facts: &BTreeMap<Name, StageFacts>, now: Timestamp) -> Standing {
    if stage.after.is_empty() {
        return Standing::First;
    }
    let (set, mut reasons) = candidate(stage, facts, now);
    let own = facts.get(&stage.environment);
    let runs = own.and_then(|own| own.runs.as_ref());
    let newest = own.and_then(|own| own.newest.as_ref());
    if set.is_some() && runs.map(|runs| runs.set) == set {
        return Standing::UpToDate;
    }
    if let Some(newest) = newest {
        let in_turn = stage.batching == Batching::Each;
        let deployment = newest.deployment.clone();
        match newest.outcome {
            None if (newest.gives_way || in_turn) && Some(newest.set) != set => {}
            None => reasons.push(Held::Busy { deployment }),
            Some(Outcome::Succeeded | Outcome::Superseded) => {}
            Some(outcome) if Some(newest.set) == set => {
                reasons.push(Held::Failed { deployment, outcome });
            }
            Some(_) => {}
        }
    }
    if let Some(hold) = own.and_then(|own| own.hold.as_ref()) {
        reasons.push(Held::WentBack { deployment: hold.deployment.clone() });
    }
    if let Some(own) = own.filter(|own| !own.quarantined.is_empty()) {
        reasons.push(Held::Quarantined { images: own.quarantined.clone() });
    }
    match (set, reasons.is_empty()) {
        (Some(set), true) => Standing::Ready { set },
        _ => Standing::Held { set, reasons },
    }
}

/// What automation should deploy to a stage now; none where it waits for a person, or
/// for anything else.
pub fn promoted(
    stage: &Stage,
    facts: &BTreeMap<Name, StageFacts>,
    now: Timestamp,
) -> Option<Digest> {
    match standing(stage, facts, now) {
        Standing::Ready { set } if stage.promotion == Promotion::Automatic => Some(set),
        _ => None,
    }
}

/// Why a set may not be deployed to a stage by anybody, if it may not: it is not
/// verified in the stages before it.
pub fn unverified(
    stage: &Stage,
    facts: &BTreeMap<Name, StageFacts>,
    set: Digest,
    now: Timestamp,
) -> Vec<Held> {
    if stage.after.is_empty() {
        return Vec::new();
    }
    let mut reasons = Vec::new();
    for before in &stage.after {
        let one = Stage { after: vec![before.clone()], ..stage.clone() };
        let (found, held) = candidate(&one, facts, now);
        reasons.extend(held.into_iter().filter(|held| !held.is_of_automation()));
        if found.is_some_and(|found| found != set) {
            reasons.push(Held::Differ { environments: vec![before.environment.clone()] });
        }
    }
    reasons
}

/// When a stage should be looked at again because of time alone.
pub fn wakes(
    stage: &Stage,
    facts: &BTreeMap<Name, StageFacts>,
    now: Timestamp,
) -> Option<Timestamp> {
    let (_, reasons) = candidate(stage, facts, now);
    let until = |held: &Held| match held {
        Held::Soaking { until, .. } => Some(*until),
        _ => None,
    };
    reasons.iter().filter_map(until).max()
}

#[cfg(test)]
mod tests;
