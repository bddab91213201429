//! Rehearsals: what a rollout would do, in simulated time, before production.
//!
//! What people ask for runs the engine in the practice cluster, behind the port
//! [`Rehearsals`](crate::ports::Rehearsals). Here are its scenarios and what is told
//! of it, and a model, by which plans foresee their rollouts at once.
//!
//! A [`Rehearsal`] is the model: a small world with pods, requests and a clock of its own. The
//! strategy decides as it would in earnest; what it asks for is played, and it is
//! told what the engine would tell. Nothing in it is left to chance: the
//! same plan and [`Scenario`] always come to the same [`Report`].
//!
//! The world is simpler than any cluster: pods of a track are ready after a fixed
//! time, requests are counted in expectation, those that a header leads elsewhere
//! are not counted, and what is mirrored is seen by nobody. What it keeps exactly
//! is what strategies depend on: which actions are possible, in which order pods
//! and traffic follow, when checks are measured, and how a rollout is undone.

mod expectation;
mod fleet;
mod foreseen;
mod measuring;
mod play;
mod report;
mod scenario;
mod users;
mod words;
mod world;

use std::collections::BTreeSet;

use serde_json::Value;

pub use expectation::{Expectation, NoExpectation, span};
pub use foreseen::{Foreseen, RolloutPreview, STEPS_LISTED_MAX, shortfalls};
pub use measuring::CheckNotes;
pub use report::{CheckFigures, Ending, Figures, Moment, Report, TrackFigures, percent};
pub use scenario::{
    Away, Behaviour, ErrorsAfter, Finding, LatencyAfter, Limits, Person, Scenario, Steers,
};
pub use users::{Seen, Shares};
pub use words::{cut, told};
pub use world::Scene;

use crate::Fault;
use crate::deployment::{Action, ROUNDS_MAX};
use crate::ports::Decision;
use crate::rollout::Tracks;
use play::{Came, Notes};
use world::World;

/// A strategy in the simulated world.
#[derive(Debug, Clone)]
pub struct Rehearsal<'a> {
    world: World<'a>,
    notes: Notes,
    round: u32,
    timeline: Vec<Moment>,
    shortfalls: BTreeSet<String>,
}

/// What comes after a decision.
#[derive(Debug, Clone, PartialEq)]
pub enum Then {
    /// The strategy is told this, and decides again.
    Observe(Value),
    /// It has ended.
    Ended(Box<Report>),
}

impl<'a> Rehearsal<'a> {
    /// Before the first decision.
    pub fn new(scene: Scene<'a>, scenario: &'a Scenario) -> Self {
        let world = World::new(scene, scenario);
        Self {
            world,
            notes: Notes::default(),
            round: 0,
            timeline: Vec::new(),
            shortfalls: BTreeSet::new(),
        }
    }

    /// Which tracks there are now, to tell whether an action is possible.
    pub fn tracks(&self) -> &Tracks {
        &self.world.tracks
    }

    /// Weights that the strategy has asked for and that can't be reached.
    pub fn shortfalls(&self) -> &BTreeSet<String> {
        &self.shortfalls
    }

    /// Does what a strategy has decided; unless that was found to be impossible
    /// already.
    pub fn decided(&mut self, decision: &Decision, refused: Option<Fault>) -> Then {
        self.round = self.round.saturating_add(1);
        let action = match serde_json::from_value::<Action>(decision.action.clone()) {
            Ok(action) => action,
            Err(error) => {
                let message =
                    format!("the strategy asks for an action that deployd does not know: {error}");
                let fault = Fault::bug("strategy-action-unknown", message);
                return self.stuck(fault.with_detail(decision.action.clone()));
            }
        };
        if self.round >= ROUNDS_MAX {
            let message = format!("the strategy has not come to an end in {ROUNDS_MAX} rounds");
            return self.stuck(Fault::bug("rollout-without-end", message));
        }
        let began = self.world.now;
        if let Some(fault) = refused {
            self.moment(began, &action, "refused", &decision.message);
            return self.stuck(fault);
        }
        match &action {
            Action::Complete {} => match self.world.possible(&action) {
                Ok(_) => {
                    self.moment(began, &action, "", &decision.message);
                    self.ended(Ending::Completed)
                }
                Err(fault) => {
                    self.moment(began, &action, "refused", &decision.message);
                    self.stuck(fault)
                }
            },
            Action::RollBack { reason } => {
                self.moment(began, &action, "", &decision.message);
                self.undone(reason)
            }
            action => match self.perform(action) {
                Ok(Came::Observed(observation)) => {
                    let outcome = told(&observation);
                    self.moment(began, action, &outcome, &decision.message);
                    Then::Observe(observation)
                }
                Ok(Came::Aborted) => {
                    self.moment(began, action, "aborted", &decision.message);
                    self.undone("a person has aborted it")
                }
                Err(fault) => {
                    self.moment(began, action, "refused", &decision.message);
                    self.stuck(fault)
                }
            },
        }
    }

    fn perform(&mut self, action: &Action) -> Result<Came, Fault> {
        if let Action::Shift { weights, workloads, .. } = action {
            let having = |name: &&String| {
                let own = self.world.tracks.of(name);
                own.is_some_and(|own| weights.keys().any(|track| own.others.contains_key(track)))
            };
            let scene = self.world.scene;
            let all = || scene.workloads.iter().filter(having).cloned().collect();
            let workloads = workloads.clone().unwrap_or_else(all);
            self.shortfalls.extend(foreseen::shortfalls(scene.ways, weights, &workloads));
        }
        self.world.perform(action, self.round, &mut self.notes)
    }

    /// What the strategy asks for can't be, or it fails itself.
    pub fn stuck(&mut self, fault: Fault) -> Then {
        self.restore(&fault.message);
        self.ended(Ending::Stuck { fault })
    }

    fn undone(&mut self, reason: &str) -> Then {
        let decided_ms = self.world.now;
        let ending = match self.world.scene.current {
            Some(_) => Ending::RolledBack { reason: cut(reason), decided_ms },
            None => Ending::Failed { reason: cut(reason) },
        };
        self.restore(reason);
        self.ended(ending)
    }

    fn restore(&mut self, why: &str) {
        let changed = !self.timeline.is_empty() && self.world.scene.current.is_some();
        if changed {
            let began = self.world.now;
            self.world.restore();
            let what = "bring back what ran before";
            self.push(began, what, "done".to_owned(), cut(why));
        }
    }

    fn moment(&mut self, began: u64, action: &Action, outcome: &str, message: &str) {
        self.push(began, &action.sentence(), cut(outcome), cut(message));
    }

    fn push(&mut self, began: u64, what: &str, outcome: String, message: String) {
        let world = &self.world;
        self.timeline.push(Moment {
            at_ms: began,
            lasted_ms: world.now.saturating_sub(began),
            what: cut(what),
            outcome,
            message,
            weight: percent(world.share()),
            tracks: world.figures_of_tracks(),
        });
    }

    fn ended(&mut self, ended: Ending) -> Then {
        let world = &self.world;
        for name in world.scene.checks.keys() {
            world.note(name.as_str(), false, &mut self.notes);
        }
        Then::Ended(Box::new(Report {
            ended,
            duration_ms: world.now,
            requests: world.requests,
            of_new: world.of_new,
            weight_max: percent(world.share_max.max(world.share())),
            checks: std::mem::take(&mut self.notes.checks).into_figures(),
            timeline: std::mem::take(&mut self.timeline),
        }))
    }
}

#[cfg(test)]
mod tests;
