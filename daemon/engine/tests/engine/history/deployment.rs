//! One deployment, as the judge follows it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::agreement::Agreement;

/// A step is begun this often at most.
const ATTEMPTS_MAX: u64 = 8;

/// A strategy is asked this often at most.
const ROUNDS_MAX: u32 = 500;

/// What a rollout goes on with.
const ACTIONS: [&str; 9] = [
    "apply",
    "scale",
    "await-ready",
    "shift",
    "run-checks",
    "sleep",
    "pause",
    "retire",
    "complete",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Running,
    Pending,
    /// To be begun again.
    Retrying,
    Done,
    Failed,
}

#[derive(Debug)]
pub(super) struct Step {
    pub(super) key: String,
    attempts: u64,
    pub(super) status: Status,
}

/// What was recorded of a resource: what it comes after, and whether a repeat
/// is safe.
#[derive(Debug, Default)]
struct Resource {
    after: BTreeSet<String>,
    is_unsafe: bool,
}

/// A Job that runs once: before the rollout, or after it.
#[derive(Debug)]
struct Job {
    name: String,
    is_before: bool,
    can_be_undone: bool,
}

/// Who waits, or has made way.
pub(super) struct Waiting {
    pub(super) id: String,
    pub(super) is_automatic: bool,
    pub(super) goes_back: bool,
    pub(super) expected_plan: Option<String>,
    /// Whether it takes the environment away: then, whether anything stays.
    pub(super) teardown: Option<bool>,
    /// What people have said to it before it has made way.
    pub(super) agreement: Agreement,
    pub(super) asked: Asked,
    /// Whether others may come before it.
    pub(super) is_deferred: bool,
}

/// How something was asked for.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Asked {
    /// Whether the flow has asked for it.
    pub(super) by_itself: bool,
    /// Whether it brings back what ran before.
    pub(super) rolls_back: bool,
    /// Whether a person has asked for it.
    pub(super) by_person: bool,
}

impl Waiting {
    pub(super) fn of(id: String, actor: &str, request: &Value) -> Self {
        let asked = Asked {
            by_itself: request["mode"] != "manual",
            rolls_back: request["origin"]["kind"] == "rollback",
            by_person: actor != "deployd",
        };
        Self {
            asked,
            is_deferred: false,
            id,
            is_automatic: request["mode"] == "automatic",
            goes_back: matches!(request["origin"]["kind"].as_str(), Some("rollback" | "drift")),
            expected_plan: request["expectedPlan"].as_str().map(str::to_owned),
            teardown: request.get("teardown").map(|it| it.get("keep").is_some()),
            agreement: Agreement::default(),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Deployment {
    pub(super) id: String,
    pub(super) is_automatic: bool,
    /// Whether it goes back, or mends what others have changed.
    pub(super) goes_back: bool,
    pub(super) asked: Asked,
    expected_plan: Option<String>,
    pub(super) steps: BTreeMap<String, Step>,
    resources: BTreeMap<String, Resource>,
    /// In the order in which they run.
    jobs: Vec<Job>,
    destroy: Vec<String>,
    /// Those of them that must not be repeated without knowing.
    unsafe_destroys: BTreeSet<String>,
    /// Whether policies judge what is rendered.
    is_judged: bool,
    /// Whether the environment is taken away.
    pub(super) teardown: bool,
    /// Whether some of what it has stays.
    pub(super) keeps: bool,
    /// Who has to agree to it, and who has.
    pub(super) agreement: Agreement,
    /// What the strategy said last.
    action: String,
    /// Whether somebody has paused it.
    held: bool,
    cancelled: bool,
    failed: bool,
    unknown: bool,
    undo_failed: bool,
}

type Verdict = Result<(), String>;

fn ensure(holds: bool, says: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(says()) }
}

fn text<'a>(body: &'a Value, name: &str) -> &'a str {
    body[name].as_str().unwrap_or_default()
}

fn texts(value: &Value) -> Vec<String> {
    let items = value.as_array().into_iter().flatten();
    items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

/// Whether a step goes on when the deployment can't succeed any more.
fn is_closing(step: &str) -> bool {
    step == "restore"
        || step == "prune"
        || step.starts_with("destroy:")
        || step.starts_with("undo:")
}

impl Deployment {
    /// Of one that begins.
    pub(super) fn of(queued: Waiting) -> Self {
        let Waiting { id, is_automatic, goes_back, expected_plan, teardown, .. } = queued;
        let (agreement, asked) = (queued.agreement, queued.asked);
        let keeps = teardown == Some(true);
        let teardown = teardown.is_some();
        let known = Self { id, is_automatic, goes_back, expected_plan, ..Self::default() };
        Self { teardown, keeps, agreement, asked, ..known }
    }

    fn is(&self, step: &str, status: Status) -> bool {
        self.steps.get(step).is_some_and(|known| known.status == status)
    }

    fn is_done(&self, step: &str) -> bool {
        self.is(step, Status::Done)
    }

    fn needs(&self, step: &str, needed: &str) -> Verdict {
        ensure(self.is_done(needed), || format!("I8: {step} has begun before {needed} was done"))
    }

    pub(super) fn runs(&self, wanted: impl Fn(&str) -> bool) -> bool {
        self.steps.iter().any(|(name, step)| wanted(name) && step.status == Status::Running)
    }

    pub(super) fn has_applied(&self) -> bool {
        self.steps.keys().any(|name| name == "apply-resources" || name.starts_with("rollout:"))
    }

    pub(super) fn is_committed(&self) -> bool {
        let is_complete = self.action == "complete" && self.jobs_done(|_| true).is_ok();
        is_complete || (self.teardown && self.is_done("plan"))
    }

    /// Resources that are there, and what each comes after.
    pub(super) fn provisioned(&self) -> impl Iterator<Item = (&String, &BTreeSet<String>)> {
        let done = |uid: &String| self.is_done(&format!("provision:{uid}"));
        self.resources.iter().filter(move |(uid, _)| done(uid)).map(|(uid, r)| (uid, &r.after))
    }

    pub(super) fn started(
        &mut self,
        body: &Value,
        there: &BTreeMap<String, BTreeSet<String>>,
    ) -> Verdict {
        let name = text(body, "step").to_owned();
        let known = self.steps.get(&name);
        let attempts = known.map_or(0, |step| step.attempts);
        ensure(known.is_none_or(|step| step.status == Status::Retrying), || {
            format!("I6: {name} has begun again after {:?}", known.map(|step| step.status))
        })?;
        ensure(known.is_none_or(|step| step.key == text(body, "key")), || {
            format!("I6: {name} has another key than before")
        })?;
        ensure(body["attempt"] == attempts + 1 && attempts < ATTEMPTS_MAX, || {
            format!("I13: {name} is at attempt {}", body["attempt"])
        })?;
        ensure(is_closing(&name) || !(self.cancelled || self.failed), || {
            format!("I7: {name} has begun after a failure or a cancellation")
        })?;
        ensure(
            !self.held || !(name.starts_with("decide:") || name.starts_with("rollout:")),
            || format!("I7: {name} has begun while it is paused"),
        )?;
        ensure(name == "plan" || is_closing(&name) || self.agreement.is_open(), || {
            format!("I12: {name} has begun before its gates were open")
        })?;
        self.in_order(&name, there)?;
        let key = text(body, "key").to_owned();
        let step = Step { key, attempts: attempts + 1, status: Status::Running };
        self.steps.insert(name, step);
        Ok(())
    }

    /// What has to be done before a step begins.
    fn in_order(&self, name: &str, there: &BTreeMap<String, BTreeSet<String>>) -> Verdict {
        let (kind, rest) = name.split_once(':').unwrap_or((name, ""));
        let round = rest.parse::<u32>().unwrap_or(0);
        if self.teardown && !matches!(kind, "plan" | "prune" | "destroy") {
            return Err(format!("I12: {name}, and the environment is taken away"));
        }
        match kind {
            "plan" => Ok(()),
            "provision" => {
                let resource = self.resources.get(rest);
                let resource = resource.ok_or_else(|| format!("I12: {name} is not planned"))?;
                resource.after.iter().try_for_each(|n| self.needs(name, &format!("provision:{n}")))
            }
            "render" => self
                .resources
                .keys()
                .try_for_each(|uid| self.needs(name, &format!("provision:{uid}"))),
            "policies" => {
                ensure(self.is_judged, || format!("I12: {name} are not planned"))?;
                self.needs(name, "render")
            }
            "apply-resources" if self.is_judged => self.needs(name, "policies"),
            "apply-resources" => self.needs(name, "render"),
            "decide" if round == 1 => {
                self.needs(name, "apply-resources")?;
                self.jobs_done(|job| job.is_before)
            }
            "job" => self.job_in_order(name, rest),
            "undo" => self.undo_in_order(name, rest),
            "decide" => {
                let before = format!("rollout:{}", round - 1);
                let ended = self.is_done(&before) || self.is(&before, Status::Failed);
                ensure(ended, || format!("I8: {name} has begun before {before} has ended"))
            }
            "rollout" => self.needs(name, &format!("decide:{round}")),
            "restore" => {
                ensure(!self.runs(|other| other != "restore"), || {
                    format!("I8: {name} has begun while something else ran")
                })?;
                ensure(self.cancelled || self.failed, || format!("I8: {name} without a reason"))
            }
            "prune" if self.is_committed() => Ok(()),
            "prune" => self.needs(name, "restore"),
            "destroy" => {
                self.needs(name, "prune")?;
                ensure(self.is_committed(), || format!("I8: {name} in a rollback"))?;
                ensure(self.destroy.iter().any(|uid| uid == rest), || {
                    format!("I12: {name} is not planned")
                })?;
                let uid = uid_of(rest);
                // What was begun of a resource goes after what is there of it.
                if rest != uid && self.destroy.iter().any(|other| other == uid) {
                    self.needs(name, &format!("destroy:{uid}"))?;
                }
                // Who needs it goes before it.
                let dependent = self.destroy.iter().find(|other| {
                    there.get(uid_of(other)).is_some_and(|after| after.contains(uid))
                        && !self.is_done(&format!("destroy:{other}"))
                });
                ensure(dependent.is_none(), || {
                    format!("I8: {name} has begun, and {dependent:?} still needs it")
                })
            }
            _ => Err(format!("a step of no known kind: {name}")),
        }
    }

    fn jobs_done(&self, wanted: impl Fn(&Job) -> bool) -> Verdict {
        let mut wanted = self.jobs.iter().filter(|job| wanted(job));
        wanted.try_for_each(|job| self.needs("what comes after it", &format!("job:{}", job.name)))
    }

    fn job_in_order(&self, name: &str, of: &str) -> Verdict {
        let place = self.jobs.iter().position(|job| job.name == of);
        let place = place.ok_or_else(|| format!("I12: {name} is not rendered"))?;
        self.needs(name, "apply-resources")?;
        let is_its_time = self.jobs[place].is_before != (self.action == "complete");
        ensure(is_its_time, || format!("I8: {name} at another time than it says"))?;
        self.jobs[..place].iter().try_for_each(|job| self.needs(name, &format!("job:{}", job.name)))
    }

    /// Nothing is undone while something is there that came after it.
    fn undo_in_order(&self, name: &str, of: &str) -> Verdict {
        let place = self.jobs.iter().position(|job| job.name == of);
        let place = place.ok_or_else(|| format!("I12: {name} is not rendered"))?;
        ensure(self.steps.contains_key(&format!("job:{of}")), || {
            format!("I8: {name}, and it was not begun")
        })?;
        if self.jobs[place].is_before {
            self.needs(name, "prune")?;
        }
        self.undone(&self.jobs[place + 1..])
    }

    fn undone(&self, jobs: &[Job]) -> Verdict {
        let begun = jobs.iter().filter(|job| {
            let step = format!("job:{}", job.name);
            self.steps.contains_key(&step) && (job.can_be_undone || !self.is_done(&step))
        });
        begun.into_iter().try_for_each(|job| self.needs("undoing", &format!("undo:{}", job.name)))
    }

    /// The manifests say which Jobs there are.
    pub(super) fn rendered(&mut self, observed: &Value) {
        for job in observed["jobs"].as_array().into_iter().flatten() {
            self.jobs.push(Job {
                name: text(job, "name").to_owned(),
                is_before: job["when"] == "before",
                can_be_undone: !job["undoneBy"].is_null(),
            });
        }
    }

    pub(super) fn planned(&mut self, body: &Value) -> Verdict {
        self.ended_well("plan")?;
        self.agreement.planned(body);
        ensure(self.expected_plan.as_deref().is_none_or(|p| p == text(body, "plan")), || {
            format!("I12: {} is executed, and {:?} was approved", body["plan"], self.expected_plan)
        })?;
        self.is_judged = body["policies"] == true;
        for resource in body["resources"].as_array().into_iter().flatten() {
            let is_unsafe = resource["unsafeToRepeat"] == true;
            let after = texts(&resource["after"]).into_iter().collect();
            let known = Resource { after, is_unsafe };
            self.resources.insert(text(resource, "uid").to_owned(), known);
        }
        for step in body["destroy"].as_array().into_iter().flatten() {
            let uid = step.as_str().unwrap_or_else(|| text(step, "uid")).to_owned();
            // What was begun has the first digits of its inputs beside the uid.
            let inputs = step["inputs"].as_str().map(|inputs| inputs.rsplit(':').next().unwrap());
            let name = inputs.map_or(uid.clone(), |inputs| format!("{uid}@{}", &inputs[..12]));
            if step["unsafeToRepeat"] == true {
                self.unsafe_destroys.insert(name.clone());
            }
            self.destroy.push(name);
        }
        Ok(())
    }

    fn only_planned(&self) -> Verdict {
        let begun = self.steps.keys().find(|name| *name != "plan");
        ensure(begun.is_none(), || format!("I12: planned again when {begun:?} had begun"))
    }

    /// Somebody else comes first: only while it waits at its gates.
    pub(super) fn makes_way(&self) -> Verdict {
        self.only_planned()?;
        let ends = self.cancelled || self.failed;
        ensure(self.is_done("plan") && !self.agreement.is_open() && !ends, || {
            format!("I4: {} makes way, and does not wait at its gates", self.id)
        })
    }

    /// As it waits once it has made way: what people have said stays.
    pub(super) fn waiting_again(self) -> Waiting {
        let Self { id, is_automatic, goes_back, expected_plan, agreement, asked, .. } = self;
        let (teardown, is_deferred) = (self.teardown.then_some(self.keeps), false);
        Waiting {
            id,
            is_automatic,
            goes_back,
            expected_plan,
            teardown,
            agreement,
            asked,
            is_deferred,
        }
    }

    /// The plan is made once more, as if it had never been.
    pub(super) fn planned_again(&mut self) -> Verdict {
        self.only_planned()?;
        self.steps.clear();
        self.resources.clear();
        self.destroy.clear();
        self.unsafe_destroys.clear();
        Ok(())
    }

    fn open(&mut self, name: &str) -> Result<&mut Step, String> {
        let step = self.steps.get_mut(name);
        let status = step.as_ref().map(|step| step.status);
        step.filter(|step| matches!(step.status, Status::Running | Status::Pending))
            .ok_or_else(|| format!("I6: a result of {name}, which is {status:?}"))
    }

    pub(super) fn ended_well(&mut self, name: &str) -> Verdict {
        self.open(name)?.status = Status::Done;
        Ok(())
    }

    pub(super) fn pending(&mut self, name: &str) -> Verdict {
        self.open(name)?.status = Status::Pending;
        Ok(())
    }

    pub(super) fn step_failed(&mut self, name: &str, fault: &Value) -> Verdict {
        let step = self.open(name)?;
        if text(fault, "class") == "transient" && step.attempts < ATTEMPTS_MAX {
            step.status = Status::Retrying;
        } else {
            self.gave_up(name)?;
        }
        Ok(())
    }

    pub(super) fn interrupted(&mut self, name: &str) -> Verdict {
        let of = name.strip_prefix("provision:");
        let destroyed = name.strip_prefix("destroy:");
        let is_unsafe = of.and_then(|uid| self.resources.get(uid)).is_some_and(|r| r.is_unsafe)
            || destroyed.is_some_and(|uid| self.unsafe_destroys.contains(uid));
        let step = self.open(name)?;
        if is_unsafe {
            self.unknown = true;
            self.gave_up(name)?;
        } else if step.attempts >= ATTEMPTS_MAX {
            self.gave_up(name)?;
        } else {
            step.status = Status::Retrying;
        }
        Ok(())
    }

    fn gave_up(&mut self, name: &str) -> Verdict {
        self.open(name)?.status = Status::Failed;
        self.undo_failed |= is_closing(name);
        // What a rollout comes to is the strategy's to judge.
        self.failed |= !name.starts_with("rollout:");
        Ok(())
    }

    pub(super) fn decided(&mut self, body: &Value) -> Verdict {
        self.ended_well(text(body, "step"))?;
        let action = text(&body["action"], "do");
        if !(self.cancelled || self.failed) {
            self.action = action.to_owned();
            let round = text(body, "step").rsplit(':').next().and_then(|it| it.parse().ok());
            // Who asks for no end gets one, and who asks for what nobody knows.
            self.failed |= !ACTIONS.contains(&action) || round >= Some(ROUNDS_MAX);
        }
        Ok(())
    }

    pub(super) fn held(&mut self) -> Verdict {
        ensure(!self.held, || "I6: paused twice".to_owned())?;
        self.held = true;
        Ok(())
    }

    pub(super) fn resumed(&mut self) -> Verdict {
        if std::mem::take(&mut self.held) {
            return Ok(());
        }
        self.released()
    }

    /// What waits for a person, or a time, waits no longer.
    pub(super) fn released(&mut self) -> Verdict {
        self.held = false;
        let paused = self
            .steps
            .iter_mut()
            .find(|(name, s)| name.starts_with("rollout:") && s.status == Status::Pending);
        let (_, step) = paused.ok_or("I6: resumed, and nothing waits")?;
        step.status = Status::Done;
        Ok(())
    }

    pub(super) fn cancel(&mut self) -> Verdict {
        ensure(!self.is_committed(), || "I7: cancelled when it is done already".to_owned())?;
        self.cancelled = true;
        Ok(())
    }

    /// Judges its end. `deployed` is whether there was something to go back to.
    pub(super) fn ended(&self, outcome: &str, deployed: bool) -> Verdict {
        ensure(!self.runs(|_| true), || "I7: it has ended while a step ran".to_owned())?;
        if self.undo_failed || self.unknown {
            return ensure(outcome == "needs-operator", || {
                format!("I8: it has ended as {outcome}, and nobody knows how things are")
            });
        }
        let cleaned = self.is_done("prune");
        match outcome {
            "succeeded" => ensure(
                self.is_committed()
                    && cleaned
                    && self.destroy.iter().all(|uid| self.is_done(&format!("destroy:{uid}"))),
                || "I7: it has succeeded without being done".to_owned(),
            ),
            "rolled-back" => {
                self.undone(&self.jobs)?;
                ensure(self.is_done("restore") && cleaned, || {
                    "I8: it is rolled back without having been restored".to_owned()
                })
            }
            "failed" | "cancelled" => {
                let stopped = if outcome == "failed" { self.failed } else { self.cancelled };
                ensure(stopped, || format!("I7: it has ended as {outcome} without a reason"))?;
                let undo = deployed && self.has_applied();
                ensure(!undo || (self.is_done("restore") && cleaned), || {
                    format!("I8: it has ended as {outcome} without bringing back what ran")
                })
            }
            other => Err(format!("I7: it has ended as {other}")),
        }
    }
}

/// The uid of what a step destroys, without what tells makings of it apart.
fn uid_of(destroyed: &str) -> &str {
    destroyed.split_once('@').map_or(destroyed, |(uid, _)| uid)
}
