//! Judges a history.

use std::collections::{BTreeMap, BTreeSet};

use deployd_core::outbox::MessageId;
use serde_json::Value;

use super::Seen;
use super::deployment::{Deployment, Status, Waiting};

/// What is known of an environment.
#[derive(Default)]
struct Environment {
    /// Who waits, in the order in which they begin.
    queue: Vec<Waiting>,
    active: Option<Deployment>,
    /// Whether there is something to go back to.
    deployed: bool,
    /// That somebody went back, and whether a person.
    hold: Option<bool>,
    /// Resources that are there, and what each comes after.
    there: BTreeMap<String, BTreeSet<String>>,
}

impl Environment {
    /// What comes by itself does not begin after a person went back, or before.
    fn may_begin(&self, waiting: &Waiting) -> Verdict {
        let coming = self.queue.iter().find(|other| other.asked.rolls_back);
        let held = coming.map(|other| other.asked.by_person).or(self.hold);
        let comes = waiting.asked.by_itself && !waiting.goes_back;
        ensure(!(comes && held == Some(true)), || {
            format!("I4: {} begins by itself where a person went back", waiting.id)
        })
    }

    fn holds(&mut self, ended: &Deployment, outcome: &str) {
        match ended.asked.rolls_back {
            true if outcome != "cancelled" => self.hold = Some(ended.asked.by_person),
            true => {}
            false => {
                let by_hand = !ended.asked.by_itself && !ended.goes_back;
                self.hold = self.hold.filter(|_| !(by_hand && outcome == "succeeded"));
            }
        }
    }
}

#[derive(Default)]
pub(super) struct Judge {
    versions: BTreeMap<String, u64>,
    environments: BTreeMap<String, Environment>,
    /// All that were ever accepted, in all environments.
    accepted: BTreeSet<String>,
    /// Keys of steps, and whose they are.
    keys: BTreeMap<String, (String, String, String)>,
    messages: BTreeSet<MessageId>,
}

type Verdict = Result<(), String>;

fn ensure(holds: bool, says: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(says()) }
}

/// Judges a history that has come to its end: nothing is left to do.
pub fn judge(entries: &[Seen]) -> Verdict {
    let judge = follow(entries)?;
    for (name, environment) in &judge.environments {
        let active = environment.active.as_ref().map(|active| &active.id);
        ensure(active.is_none(), || format!("I7: {name}: {active:?} does not end"))?;
        ensure(environment.queue.is_empty(), || format!("I1: {name}: somebody still waits"))?;
    }
    Ok(())
}

/// Judges a history that goes on.
pub fn judge_so_far(entries: &[Seen]) -> Verdict {
    follow(entries).map(|_| ())
}

fn follow(entries: &[Seen]) -> Result<Judge, String> {
    let mut judge = Judge::default();
    for seen in entries {
        judge.see(seen)?;
    }
    Ok(judge)
}

impl Judge {
    fn see(&mut self, seen: &Seen) -> Verdict {
        match seen {
            Seen::Committed { records, messages } => {
                for record in records {
                    let stream = &record.stream.0;
                    let version = self.versions.entry(stream.clone()).or_default();
                    *version += 1;
                    ensure(record.version.0 == *version, || {
                        format!(
                            "I3: {stream} has version {} after {}",
                            record.version.0,
                            *version - 1
                        )
                    })?;
                    if let Some(name) = stream.strip_prefix("environment/") {
                        self.event(name, &record.event.actor.0, &record.event.body).map_err(
                            |fault| {
                                format!(
                                    "{stream} {} {}: {fault}",
                                    record.version.0, record.event.kind
                                )
                            },
                        )?;
                    }
                }
                self.messages.extend(messages.iter().cloned());
                Ok(())
            }
            Seen::Driver { what, key, uid, .. } => {
                let (environment, deployment, step) = self
                    .keys
                    .get(key)
                    .ok_or_else(|| format!("I5: {what} of {uid} with a key of no intent"))?;
                let active = self.environments.get(environment).and_then(|e| e.active.as_ref());
                let status = active
                    .filter(|active| active.id == *deployment)
                    .and_then(|active| active.steps.get(step))
                    .map(|step| step.status);
                ensure(matches!(status, Some(Status::Running | Status::Pending)), || {
                    format!("I5: {what} of {uid} in {step}, which is {status:?}")
                })
            }
            Seen::Cluster { what, namespace } => {
                let of = |name: &str| name.replace('/', "-") == *namespace;
                let wanted = |step: &str| match *what {
                    // A track goes when it is retired.
                    "prune" => {
                        step == "prune"
                            || ["destroy:", "rollout:", "job:", "undo:"]
                                .iter()
                                .any(|kind| step.starts_with(kind))
                    }
                    _ => {
                        step == "apply-resources"
                            || step == "restore"
                            || ["rollout:", "job:", "undo:"]
                                .iter()
                                .any(|kind| step.starts_with(kind))
                    }
                };
                let intended = self.environments.iter().any(|(name, environment)| {
                    of(name) && environment.active.as_ref().is_some_and(|a| a.runs(wanted))
                });
                ensure(intended, || format!("I5: {what} in {namespace} without an intent"))
            }
            Seen::Sent { message } => ensure(self.messages.contains(message), || {
                format!("I11: {message} is sent and was never committed")
            }),
            Seen::Acknowledged { deployments } => deployments.iter().try_for_each(|id| {
                ensure(self.accepted.contains(id), || {
                    format!("I1: {id} is acknowledged and not on stable storage")
                })
            }),
        }
    }

    pub(super) fn event(&mut self, name: &str, actor: &str, body: &Value) -> Verdict {
        let text = |field: &str| body[field].as_str().unwrap_or_default();
        let id = text("deployment").to_owned();
        let environment = self.environments.entry(name.to_owned()).or_default();
        let place = environment.queue.iter().position(|queued| queued.id == id);
        let waits = || place.ok_or_else(|| format!("I4: {id} does not wait"));
        match text("type") {
            "deployment-queued" => {
                ensure(self.accepted.insert(id.clone()), || format!("I2: {id} twice"))?;
                let active = environment.active.as_ref().is_some_and(|active| active.teardown);
                let going = active || environment.queue.iter().any(|it| it.teardown.is_some());
                ensure(!going, || format!("I4: {id} is accepted where nothing will be"))?;
                environment.queue.push(Waiting::of(id, actor, &body["request"]));
                return Ok(());
            }
            "deployment-deferred" if let Some(place) = place => {
                environment.queue[place].is_deferred = true;
                return Ok(());
            }
            "hold-released" => {
                return ensure(environment.hold.take().is_some(), || {
                    format!("{id} is released, and nothing is held")
                });
            }
            "deployment-superseded" if place.is_some() => {
                let queued = environment.queue.remove(waits()?);
                return ensure(queued.is_automatic, || {
                    format!("I4: {id} is superseded, a person's")
                });
            }
            "deployment-ended" if place.is_some() => {
                environment.queue.remove(waits()?);
                let outcome = text("outcome");
                return ensure(outcome == "cancelled", || {
                    format!("I1: {id} waits and is {outcome}")
                });
            }
            "deployment-started" => {
                let place = waits()?;
                let active = environment.active.as_ref().map(|active| &active.id);
                ensure(active.is_none(), || format!("I4: {id} begins, and {active:?} is active"))?;
                let before = &environment.queue[..place];
                ensure(before.iter().all(|other| other.is_deferred), || {
                    format!("I4: {id} begins before its turn")
                })?;
                let waiting = environment.queue.remove(place);
                environment.may_begin(&waiting)?;
                let begun = Deployment::of(waiting);
                environment.active = Some(begun);
                return Ok(());
            }
            "drift-changed" | "healing-given-up" => {
                let active = environment.active.as_ref().map(|active| &active.id);
                return ensure(active.is_none(), || {
                    format!("{} while {active:?} is active", text("type"))
                });
            }
            _ => {}
        }
        let mut active = environment
            .active
            .take()
            .filter(|active| active.id == id)
            .ok_or_else(|| format!("I4: {id} is not active"))?;
        let step = text("step");
        match text("type") {
            "deployment-superseded" => {
                active.makes_way()?;
                let by = environment.queue.iter().find(|queued| queued.id == text("by"));
                let is_newer = by.is_some_and(|by| by.is_automatic || by.teardown.is_some());
                return ensure(active.is_automatic && is_newer, || {
                    format!("I4: {id} is superseded by {}, and waits for people", text("by"))
                });
            }
            "deployment-yielded" => {
                active.makes_way()?;
                ensure(!active.goes_back, || format!("I4: {id} goes back, and makes way"))?;
                let to = environment.queue.iter().position(|queued| queued.id == text("to"));
                let to = to.map(|place| environment.queue.remove(place));
                let Some(to) = to.filter(|to| to.goes_back) else {
                    return Err(format!("I4: {id} makes way, and nobody goes back"));
                };
                environment.queue.splice(0..0, [to, active.waiting_again()]);
                return Ok(());
            }
            "deployment-planned" => active.planned(body)?,
            "gate-passed" => active.agreement.passed(body)?,
            "plan-outdated" => active.planned_again()?,
            "approval-requested" => {}
            "approval-given" => active.agreement.given(actor, body),
            "approval-withdrawn" => active.agreement.withdrawn(actor),
            "glass-broken" => active.agreement.broken(body),
            "approval-refused" | "approval-expired" | "attestation-expired" => active.cancel()?,
            "step-started" => {
                let owner = (name.to_owned(), id, step.to_owned());
                let known = self.keys.entry(text("key").to_owned()).or_insert(owner.clone());
                ensure(*known == owner, || format!("I6: {step} has the key of {known:?}"))?;
                active.started(body, &environment.there)?;
            }
            "step-pending" => active.pending(step)?,
            "step-succeeded" => {
                active.ended_well(step)?;
                active.rendered(&body["observed"]);
                if let Some(uid) = step.strip_prefix("destroy:") {
                    environment.there.remove(uid);
                }
            }
            "step-failed" => active.step_failed(step, &body["fault"])?,
            "step-interrupted" => active.interrupted(step)?,
            "rollout-decided" => active.decided(body)?,
            "pause-requested" => active.held()?,
            "resume-requested" => active.resumed()?,
            "promote-requested" | "retry-requested" => active.released()?,
            "cancel-requested" => active.cancel()?,
            "deployment-deferred" => {}
            "deployment-ended" => {
                environment.holds(&active, text("outcome"));
                active.ended(text("outcome"), environment.deployed)?;
                environment.deployed |= active.is_committed();
                if active.teardown && active.is_committed() {
                    environment.deployed = false;
                    ensure(
                        text("outcome") != "succeeded"
                            || environment.there.is_empty()
                            || active.keeps,
                        || {
                            format!(
                                "I8: {id} has ended, and {:?} are still there",
                                environment.there
                            )
                        },
                    )?;
                }
                return Ok(());
            }
            other => return Err(format!("an event of no known type: {other}")),
        }
        for (uid, after) in active.provisioned() {
            environment.there.insert(uid.clone(), after.clone());
        }
        for uid in active.steps.iter().filter_map(|(name, step)| {
            name.strip_prefix("destroy:").filter(|_| step.status == Status::Done)
        }) {
            environment.there.remove(uid);
        }
        environment.active = Some(active);
        Ok(())
    }
}
