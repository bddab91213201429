//! People who agree to plans: who is asked, what they say, who goes on without.

mod delegations;
mod links;
mod parts;
mod reviews;

use std::sync::Arc;

use deployd_core::approval::{
    self, ApprovalDecision, ApprovalGate, ApprovalRequest, ApprovalView, BreakGlassRequest,
    Candidate, ChangedPlan, Excluded, Review, Waiting, rules, voice,
};
use deployd_core::attestation;
use deployd_core::calendar::Errand;
use deployd_core::config::{ApprovalRule, AttestationRule};
use deployd_core::deployment::projection::{ENVIRONMENTS, EnvironmentHead, environment_key};
use deployd_core::deployment::{Deployment, DeploymentRecord, Event};
use deployd_core::plan::{Gate, Plan};
use deployd_core::ports::Batch;
use deployd_core::{DeploymentId, Digest, EnvironmentId, Fault};

use crate::configuration::Configuration;
use crate::environments::EnvironmentEntry;
use crate::journal::until_no_conflict;
use crate::records::{content, get, head_of_deployment, put};
use crate::{Caller, Engine, EngineError, Inner};

use links::Used;
use reviews::REVIEWS;

impl Engine {
    /// Deployments that wait for approvals, in an environment or in all of them.
    pub async fn approvals(&self, of: Option<&EnvironmentId>) -> Result<Vec<Waiting>, EngineError> {
        let inner = &self.inner;
        let configuration = inner.configuration().await?;
        let ids: Vec<&EnvironmentId> = match of {
            Some(id) => vec![id],
            None => configuration.environments.keys().collect(),
        };
        let mut found = Vec::new();
        for id in ids {
            let store = &*inner.ports.store;
            let head: Option<EnvironmentHead> =
                get(store, ENVIRONMENTS, &environment_key(id)).await?;
            let Some(active) = head.and_then(|head| head.active) else { continue };
            let record = head_of_deployment(store, &active).await?;
            // Between two reads it may have ended.
            let work = record.work.as_ref().filter(|_| record.ended.is_none());
            if work.is_some_and(waits) {
                found.extend(inner.waiting(&record).await?);
            }
        }
        Ok(found)
    }

    /// All that is to be known before one agrees to a deployment.
    pub async fn approval(
        &self,
        caller: &Caller,
        id: &DeploymentId,
    ) -> Result<ApprovalView, EngineError> {
        let inner = &self.inner;
        let store = &*inner.ports.store;
        let record = head_of_deployment(store, id).await?;
        let waiting = inner.waiting(&record).await?.ok_or_else(|| waits_not(&record))?;
        let (work, plan) = work_and_plan(&record)?;
        let content: Plan = content(store, "plan", plan).await?;
        let excluded = inner.parts(&record, &content).await?;
        let not_yours = match self.may(caller, work, &excluded).await? {
            Ok(_) => None,
            Err(reason) => Some(reason.to_string()),
        };
        let before = work.approvals.asked.as_ref().and_then(|asked| asked.before);
        let changed = match before {
            Some(before) => {
                let old: Plan = crate::records::content(store, "plan", before).await?;
                Some(ChangedPlan::of(before, &old, &content).map_err(EngineError::bug)?)
            }
            None => None,
        };
        Ok(ApprovalView { waiting, not_yours, content, changed })
    }

    /// Records what somebody says to a deployment's plan. When this returns, it is on
    /// stable storage.
    pub async fn decide(
        &self,
        caller: &Caller,
        id: &DeploymentId,
        request: ApprovalRequest,
    ) -> Result<DeploymentRecord, EngineError> {
        Box::pin(self.decide_by(caller, id, request, None)).await
    }

    async fn decide_by(
        &self,
        caller: &Caller,
        id: &DeploymentId,
        request: ApprovalRequest,
        link: Option<Used>,
    ) -> Result<DeploymentRecord, EngineError> {
        if let Some(answer) = self.inner.asked_before(caller).await? {
            return Ok(answer);
        }
        let reason = request.reason.clone().filter(|reason| !reason.trim().is_empty());
        if request.decision == ApprovalDecision::Refuse && reason.is_none() {
            let message = "found none, expected why: who has asked for the deployment reads it";
            return Err(EngineError::invalid("reason", message));
        }
        let place = head_of_deployment(&*self.inner.ports.store, id).await?.environment;
        let record = until_no_conflict(|| async {
            let entry = self.inner.environment(&place).await?;
            let work = active(&entry, id)?;
            let said = self.said(caller, work, &request, reason.clone(), link.is_some());
            let event = Box::pin(said).await?;
            let mut beside = Batch::default();
            if let Some(link) = &link {
                let used = self.inner.used_once(link).await;
                // It may have been used by what this is a repeat of.
                if let Some(answer) = self.inner.asked_before(caller).await? {
                    return Ok(answer);
                }
                beside.puts.push(used?);
            }
            self.inner.ask_beside(caller, &place, &entry, &[event], beside).await
        })
        .await?;
        self.inner.workers.wake(&self.inner, &place);
        Ok(record)
    }

    /// Goes on with a plan although not all have agreed to it. It stays open as a
    /// review until somebody else has looked at it.
    pub async fn break_glass(
        &self,
        caller: &Caller,
        id: &DeploymentId,
        request: BreakGlassRequest,
    ) -> Result<DeploymentRecord, EngineError> {
        if let Some(answer) = self.inner.asked_before(caller).await? {
            return Ok(answer);
        }
        let reason = request.reason.trim().to_owned();
        if reason.is_empty() {
            let message = "found none, expected why: who reviews it afterwards reads it";
            return Err(EngineError::invalid("reason", message));
        }
        let place = head_of_deployment(&*self.inner.ports.store, id).await?.environment;
        let record = until_no_conflict(|| async {
            let entry = self.inner.environment(&place).await?;
            is_of(active(&entry, id)?, request.plan)?;
            let event = Event::GlassBroken {
                deployment: id.clone(),
                plan: request.plan,
                reason: reason.clone(),
            };
            let review = Review {
                deployment: id.clone(),
                environment: place.clone(),
                plan: request.plan,
                by: caller.actor.clone(),
                at: self.inner.ports.clock.now(),
                reason: reason.clone(),
                reviewed_by: None,
                reviewed: None,
                finding: None,
            };
            let puts = vec![put(REVIEWS, id.0.as_bytes().to_vec(), &review)?];
            let beside = Batch { puts, ..Batch::default() };
            self.inner.ask_beside(caller, &place, &entry, &[event], beside).await
        })
        .await?;
        self.inner.workers.wake(&self.inner, &place);
        Ok(record)
    }

    /// The event of what somebody says, if they may say it.
    async fn said(
        &self,
        caller: &Caller,
        work: &Deployment,
        request: &ApprovalRequest,
        reason: Option<String>,
        by_link: bool,
    ) -> Result<Event, EngineError> {
        let deployment = work.id.clone();
        if request.decision == ApprovalDecision::Withdraw {
            return Ok(Event::ApprovalWithdrawn { deployment, reason });
        }
        is_of(work, request.plan)?;
        let store = &*self.inner.ports.store;
        let record = head_of_deployment(store, &work.id).await?;
        let plan: Plan = content(store, "plan", request.plan).await?;
        let excluded = self.inner.parts(&record, &plan).await?;
        let voice = self
            .may(caller, work, &excluded)
            .await?
            .map_err(|not_yours| Fault::denied("not-yours", not_yours.to_string()))?;
        Ok(match request.decision {
            ApprovalDecision::Refuse => {
                Event::ApprovalRefused { deployment, reason: reason.unwrap_or_default() }
            }
            _ => Event::ApprovalGiven {
                deployment,
                plan: request.plan,
                rules: voice.rules,
                on_behalf_of: voice.on_behalf_of,
                reason,
                by_link,
            },
        })
    }

    /// What somebody may say to what a deployment waits for.
    async fn may(
        &self,
        caller: &Caller,
        work: &Deployment,
        excluded: &Excluded,
    ) -> Result<Result<approval::Voice, approval::NotYours>, EngineError> {
        let groups = self.groups_of(caller).await?;
        let candidate = Candidate { actor: &caller.actor, groups: &groups };
        let delegations = self.delegations_to(&caller.actor).await?;
        let now = self.inner.ports.clock.now();
        let rules: Vec<&ApprovalRule> = rules(&work.gates).collect();
        Ok(voice(&rules, candidate, &delegations, excluded, now))
    }
}

impl Inner {
    /// What a deployment waits for of people; nothing where it does not.
    async fn waiting(&self, record: &DeploymentRecord) -> Result<Option<Waiting>, EngineError> {
        let Some(work) = record.work.as_ref().filter(|work| waits(work)) else { return Ok(None) };
        let (Some(digest), Some(asked)) = (work.plan, &work.approvals.asked) else {
            return Ok(None);
        };
        let plan: Plan = content(&*self.ports.store, "plan", digest).await?;
        let parts = self.parts(record, &plan).await?;
        let gate = |rule: &ApprovalRule| ApprovalGate {
            rule: rule.clone(),
            given: work.approvals.counted(rule, digest).into_iter().cloned().collect(),
            missing: work.approvals.missing(rule, digest),
            expires: asked.at.plus_ms(rule.expires_ms()),
            excluded: parts.by(rule),
        };
        Ok(Some(Waiting {
            deployment: record.id.clone(),
            environment: record.environment.clone(),
            number: record.number,
            requester: record.actor.clone(),
            comment: record.request.comment.clone(),
            plan: digest,
            asked: asked.at,
            gates: rules(&work.gates).map(gate).collect(),
        }))
    }

    /// What is to be recorded of a deployment that waits for others, people or
    /// attestations, with a plan that was made from other documents than there are now.
    pub(crate) async fn outdated(
        &self,
        entry: &EnvironmentEntry,
    ) -> Result<Option<Event>, EngineError> {
        let attests = |work: &Deployment| attestation::rules(&work.gates).next().is_some();
        let active = entry.state.active.as_ref();
        let Some(active) = active.filter(|active| waits(active) || attests(active)) else {
            return Ok(None);
        };
        // What repeats another deployment exactly was made from no documents.
        let Some(basis) = active.result("plan") else { return Ok(None) };
        let basis: deployd_core::replay::PlanBasis =
            content(&*self.ports.store, "basis of the plan", basis).await?;
        let version = self.configuration().await?.version;
        Ok(if basis.configuration == version { None } else { active.outdated(version) })
    }
}

impl Configuration {
    /// What a plan waits for before it is executed: what others attest, people who
    /// agree, and calendars.
    pub(crate) fn gates(&self, id: &EnvironmentId, errand: Errand) -> Vec<Gate> {
        let of_type = self
            .environments
            .get(id)
            .and_then(|spec| self.environment_types.get(&spec.environment_type));
        let attestations = of_type.into_iter().flat_map(|of_type| &of_type.attestations);
        let attestations = attestations
            .filter(|rule| errand == Errand::Deployment || !rule.rollbacks.is_exempt())
            .map(AttestationRule::gate);
        let rules = of_type.into_iter().flat_map(|of_type| &of_type.approvals);
        let approvals = rules
            .filter(|rule| errand == Errand::Deployment || !rule.rollbacks.is_exempt())
            .map(approval::gate);
        attestations.chain(approvals).chain(self.calendar_gate(id)).collect()
    }
}

fn waits(work: &Deployment) -> bool {
    rules(&work.gates).next().is_some()
}

fn waits_not(record: &DeploymentRecord) -> EngineError {
    let place = match record.outcome {
        Some(outcome) => format!("it has ended: {}", outcome.as_str()),
        None => match &record.yielded {
            Some(yielded) => format!("it has made way for {}, and asks after that", yielded.to),
            None => "it waits for none".to_owned(),
        },
    };
    EngineError::Conflict {
        message: format!("deployment {} needs no approval: {place}", record.id),
    }
}

fn active<'e>(
    entry: &'e Arc<EnvironmentEntry>,
    id: &DeploymentId,
) -> Result<&'e Deployment, EngineError> {
    let active = entry.state.active.as_ref().filter(|active| active.id == *id);
    active.filter(|work| waits(work)).ok_or_else(|| {
        let queued = entry.state.queue.iter().find(|queued| queued.id == *id);
        let yielded = queued.and_then(|queued| queued.yielded.as_ref());
        let why = yielded.map_or_else(String::new, |yielded| {
            format!(": it has made way for {}, and asks after that", yielded.to)
        });
        EngineError::Conflict { message: format!("deployment {id} waits for no approval now{why}") }
    })
}

fn work_and_plan(record: &DeploymentRecord) -> Result<(&Deployment, Digest), EngineError> {
    let work = record.work.as_ref().and_then(|work| Some((work, work.plan?)));
    work.ok_or_else(|| waits_not(record))
}

/// Who decides upon a plan has looked at it: it has to be the one that there is.
fn is_of(work: &Deployment, plan: Digest) -> Result<(), EngineError> {
    match work.plan {
        Some(known) if known == plan => Ok(()),
        _ => Err(EngineError::Conflict {
            message: format!(
                "{plan} is not the plan of deployment {} any more; look at what has changed, and decide again: `deployd approvals show {}`",
                work.id, work.id
            ),
        }),
    }
}
