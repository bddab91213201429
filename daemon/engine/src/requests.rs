//! What people and CI ask of deployments.

use std::sync::Arc;

use deployd_core::artifact::with_images;
use deployd_core::calendar::Errand;
use deployd_core::deployment::projection::{self, BY_ENVIRONMENT, DEPLOYMENTS};
use deployd_core::deployment::{
    DeploymentRecord, Event, Mode, Origin, Outcome, Request, Schedule, Steps, queue,
};
use deployd_core::plan::{Manifests, Plan};
use deployd_core::ports::{Batch, Object, Order};
use deployd_core::set::{DeploymentSet, patch};
use deployd_core::views::{
    DeployRequest, EnvironmentView, HistoryPage, LogEntry, PAGE_MAX, PlanView,
};
use deployd_core::{DeploymentId, Digest, EnvironmentId, Fault, Timestamp};

use crate::configuration::Configuration;
use crate::environments::EnvironmentEntry;
use crate::intake::merge;
use crate::journal::{StoreOrEngine, until_no_conflict};
use crate::records::{below, content, decode, head_of_deployment, named_set, object};
use crate::{Caller, Counts, Engine, EngineError, Inner};

/// What has to hold of an environment, and of what documents say.
pub(crate) type Condition<'c> = &'c (dyn Fn(&EnvironmentEntry, &Configuration) -> bool + Sync);

impl Engine {
    /// What a deployment would do. Nothing is stored and nothing is done.
    pub async fn plan(&self, request: &DeployRequest) -> Result<PlanView, EngineError> {
        Box::pin(self.plan_for(request, Errand::Deployment)).await
    }

    /// The same; who goes back waits for less, and is refused less.
    pub(crate) async fn plan_for(
        &self,
        request: &DeployRequest,
        errand: Errand,
    ) -> Result<PlanView, EngineError> {
        let id = self.inner.destination(request).await?;
        let mut view = Box::pin(self.inner.shown(&id, request, errand)).await?;
        view.preview.rollout = Box::pin(self.inner.foreseen(&id, &view)).await?;
        Ok(view)
    }

    /// Accepts a deployment. When this returns, it is on stable storage.
    pub async fn deploy(
        &self,
        caller: &Caller,
        request: DeployRequest,
    ) -> Result<DeploymentRecord, EngineError> {
        if let Some(answer) = self.inner.asked_before(caller).await? {
            return Ok(answer);
        }
        let id = self.inner.destination(&request).await?;
        let schedule = Box::pin(self.inner.in_slot(caller, &id, request.schedule.clone())).await?;
        in_time(&schedule, self.now())?;
        let (set, origin) = self.inner.wanted(&id, &request).await?;
        if let Some(of) = request.redeploy.as_ref().filter(|_| request.exact) {
            // What is in its way is told at once.
            let entry = self.inner.environment(&id).await?;
            self.inner.exact_plan(&id, &entry.state, (of, Errand::Deployment)).await?;
        }
        let content = object(&set)?;
        match request.unverified.as_deref().map(str::trim) {
            None => self.inner.verified(&id, content.digest, &origin).await?,
            Some("") => {
                let message = "found nothing, expected why it is deployed all the same";
                return Err(EngineError::invalid("unverified", message));
            }
            Some(_) => {}
        }
        let wanted = Request {
            set: content.digest,
            mode: Mode::Manual,
            origin,
            comment: said(request.unverified, request.comment),
            expected_plan: request.expected_plan,
            confirm_replace: request.confirm_replace,
            teardown: None,
            schedule,
        };
        self.inner.accept(caller, &id, wanted, content).await
    }

    /// Ends a deployment: at once when it still waits, else as soon as what it
    /// does can be left, bringing back what ran before.
    pub async fn cancel(
        &self,
        caller: &Caller,
        id: &DeploymentId,
        reason: Option<String>,
    ) -> Result<DeploymentRecord, EngineError> {
        if let Some(answer) = self.inner.asked_before(caller).await? {
            return Ok(answer);
        }
        let store = &*self.inner.ports.store;
        let place = head_of_deployment(store, id).await?.environment;
        let record = until_no_conflict(|| async {
            // The environment says where it stands now: between two reads it
            // may have begun, or ended.
            let entry = self.inner.environment(&place).await?;
            let event = if entry.state.queue.iter().any(|queued| queued.id == *id) {
                let message = reason.clone().unwrap_or_else(|| "cancelled".to_owned());
                let fault = Some(Fault::permanent("cancelled", message));
                Event::DeploymentEnded {
                    deployment: id.clone(),
                    outcome: Outcome::Cancelled,
                    fault,
                }
            } else if entry.state.active.as_ref().is_some_and(|active| active.id == *id) {
                Event::CancelRequested { deployment: id.clone(), reason: reason.clone() }
            } else {
                let outcome = head_of_deployment(store, id).await?.outcome;
                let how = outcome.map_or("", Outcome::as_str);
                let message = format!("deployment {id} has ended already: {how}");
                return Err(EngineError::Conflict { message }.into());
            };
            self.inner.ask(caller, &place, &entry, &[event], Vec::new()).await
        })
        .await?;
        self.inner.workers.wake(&self.inner, &place);
        Ok(record)
    }

    /// A deployment, of here or imported.
    pub async fn deployment(&self, id: &DeploymentId) -> Result<DeploymentRecord, EngineError> {
        self.inner.past(id).await
    }

    /// Deployments, newest first: of an environment, or all. Without their
    /// steps, which each has in its own record.
    pub async fn history(
        &self,
        of: Option<&EnvironmentId>,
        cursor: Option<&str>,
        max: usize,
    ) -> Result<HistoryPage, EngineError> {
        let max = max.clamp(1, PAGE_MAX);
        let deployments = match of {
            Some(id) => self.history_of(id, cursor, max).await?,
            None => {
                let range = deployd_core::ports::KeyRange {
                    start: Vec::new(),
                    end: cursor.map(|cursor| cursor.as_bytes().to_vec()),
                };
                let store = &self.inner.ports.store;
                let page = store.scan(DEPLOYMENTS, range, Order::Descending, max).await?;
                let read = |(_, bytes): &(Vec<u8>, Vec<u8>)| decode("deployment", bytes);
                page.entries.iter().map(read).collect::<Result<Vec<DeploymentRecord>, _>>()?
            }
        };
        let next = match deployments.last() {
            Some(last) if deployments.len() == max => Some(match of {
                Some(_) => last.number.to_string(),
                None => last.id.0.clone(),
            }),
            _ => None,
        };
        Ok(HistoryPage { deployments, next })
    }

    async fn history_of(
        &self,
        id: &EnvironmentId,
        cursor: Option<&str>,
        max: usize,
    ) -> Result<Vec<DeploymentRecord>, EngineError> {
        let store = &*self.inner.ports.store;
        let mut range = below(&[&id.to_string()]);
        if let Some(cursor) = cursor {
            let number = cursor.parse().map_err(|_| {
                EngineError::invalid(
                    "cursor",
                    format!("found {cursor:?}, expected what `next` said"),
                )
            })?;
            range.end = Some(projection::numbered_key(id, number));
        }
        let page = store.scan(BY_ENVIRONMENT, range, Order::Descending, max).await?;
        let mut records = Vec::with_capacity(page.entries.len());
        for (_, bytes) in &page.entries {
            let id: DeploymentId = decode("deployment id", bytes)?;
            records.push(head_of_deployment(store, &id).await?);
        }
        Ok(records)
    }

    /// All environments that documents name.
    pub async fn environments(&self) -> Result<Vec<EnvironmentView>, EngineError> {
        let configuration = self.inner.configuration().await?;
        let mut views = Vec::with_capacity(configuration.environments.len());
        for id in configuration.environments.keys() {
            views.push(self.inner.view(id, &configuration).await?);
        }
        Ok(views)
    }

    /// An environment.
    pub async fn environment(&self, id: &EnvironmentId) -> Result<EnvironmentView, EngineError> {
        let configuration = self.inner.configuration().await?;
        self.inner.view(id, &configuration).await
    }

    /// At most `max` lines of a deployment's log after one (0: from the first).
    pub async fn logs(
        &self,
        id: &DeploymentId,
        after: u64,
        max: usize,
    ) -> Result<Vec<LogEntry>, EngineError> {
        self.inner.read_log(id, after, max).await
    }

    /// A deployment's manifests, secrets as references.
    pub async fn manifests(&self, id: &DeploymentId) -> Result<Manifests, EngineError> {
        let store = &*self.inner.ports.store;
        let record = self.inner.past(id).await?;
        let digest =
            record.work.as_ref().and_then(|work| work.result("render")).ok_or_else(|| {
                EngineError::not_found(format!("manifest of deployment {id} yet"))
            })?;
        content(store, "manifests", digest).await
    }

    /// A deployment's plan.
    pub async fn plan_of(&self, id: &DeploymentId) -> Result<Plan, EngineError> {
        let store = &*self.inner.ports.store;
        let record = self.inner.past(id).await?;
        let digest = record
            .work
            .and_then(|work| work.plan)
            .ok_or_else(|| EngineError::not_found(format!("plan of deployment {id} yet")))?;
        content(store, "plan", digest).await
    }

    /// A set.
    pub async fn set(&self, digest: Digest) -> Result<DeploymentSet, EngineError> {
        named_set(&*self.inner.ports.store, digest).await
    }
}

/// What is recorded for people; who deploys what is not verified says why.
fn said(unverified: Option<String>, comment: Option<String>) -> Option<String> {
    match (unverified, comment) {
        (Some(reason), Some(comment)) => Some(format!("not verified: {reason}; {comment}")),
        (Some(reason), None) => Some(format!("not verified: {reason}")),
        (None, comment) => comment,
    }
}

/// Whether what is asked for can begin at all.
fn in_time(schedule: &Schedule, now: Timestamp) -> Result<(), EngineError> {
    let Some(expires) = schedule.expires else { return Ok(()) };
    let earliest = schedule.not_before.unwrap_or(now).max(now);
    if expires > earliest {
        return Ok(());
    }
    let message = format!("found {expires}, expected a time after {earliest}, when it may begin");
    Err(EngineError::invalid("schedule.expires", message))
}

impl Inner {
    /// The plan of a request, and what it shows of manifests.
    pub(crate) async fn shown(
        &self,
        id: &EnvironmentId,
        request: &DeployRequest,
        errand: Errand,
    ) -> Result<PlanView, EngineError> {
        let (set, _) = self.wanted(id, request).await?;
        let entry = self.environment(id).await?;
        let exact = request.redeploy.as_ref().filter(|_| request.exact);
        let planned = match exact {
            Some(of) => self.exact_plan(id, &entry.state, (of, errand)).await?,
            None => self.plan(id, &entry.state, &set, ("", errand)).await?,
        };
        let mut preview = match &planned.plan.pinned {
            Some(pinned) => self.exact_preview(&planned.plan, pinned, &entry.state).await?,
            None => self.preview(&planned, &set, &entry.state).await?,
        };
        Box::pin(self.look(&planned, &set, &entry.state, &mut preview)).await;
        let digest = Digest::of_json(&planned.plan).map_err(EngineError::bug)?;
        let calendar = self.calendar_says(id, errand).await?;
        let report = Box::pin(self.foreseen_policies(&planned.plan, &set, &preview, errand));
        preview.policies = report.await?;
        Ok(PlanView { digest, plan: planned.plan, preview, calendar })
    }

    /// Accepts a deployment. When this returns, it is on stable storage.
    pub(crate) async fn accept(
        self: &Arc<Self>,
        caller: &Caller,
        id: &EnvironmentId,
        wanted: Request,
        set: Object,
    ) -> Result<DeploymentRecord, EngineError> {
        let accepted = Box::pin(self.accept_if(caller, id, wanted, set, None)).await?;
        accepted.ok_or_else(|| EngineError::bug("a request that was not accepted"))
    }

    /// Accepts a deployment, if a condition holds at the moment at which it is
    /// accepted.
    pub(crate) async fn accept_if(
        self: &Arc<Self>,
        caller: &Caller,
        id: &EnvironmentId,
        wanted: Request,
        set: Object,
        condition: Option<Condition<'_>>,
    ) -> Result<Option<DeploymentRecord>, EngineError> {
        let deployment = self.new_deployment_id();
        let record = until_no_conflict(|| async {
            let entry = self.environment(id).await?;
            if let Some(holds) = condition
                && !holds(&entry, &*self.configuration().await?)
            {
                return Ok(None);
            }
            let events = queue(&entry.state, &deployment, wanted.clone())
                .map_err(|refused| EngineError::Conflict { message: refused.to_string() })?;
            self.ask(caller, id, &entry, &events, vec![set.clone()]).await.map(Some)
        })
        .await?;
        if record.is_some() {
            Counts::count(&self.counts.accepted);
            self.workers.wake(self, id);
        }
        Ok(record)
    }

    /// The answer of a request that came before. Whoever repeats it may never
    /// have got the answer, and the worker never its bell.
    pub(crate) async fn asked_before(
        self: &Arc<Self>,
        caller: &Caller,
    ) -> Result<Option<DeploymentRecord>, EngineError> {
        let answer: Option<DeploymentRecord> = self.replayed(caller).await?;
        if let Some(record) = &answer {
            self.workers.wake(self, &record.environment);
        }
        Ok(answer)
    }

    /// Appends what somebody asks of a deployment, with the contents that it names,
    /// once per idempotency key; gives the deployment's record.
    pub(crate) async fn ask(
        &self,
        caller: &Caller,
        id: &EnvironmentId,
        entry: &Arc<EnvironmentEntry>,
        events: &[Event],
        contents: Vec<Object>,
    ) -> Result<DeploymentRecord, StoreOrEngine> {
        let beside = Batch { objects: contents, ..Batch::default() };
        Box::pin(self.ask_beside(caller, id, entry, events, beside)).await
    }

    /// The same, with whatever else happens in the same transaction.
    pub(crate) async fn ask_beside(
        &self,
        caller: &Caller,
        id: &EnvironmentId,
        entry: &Arc<EnvironmentEntry>,
        events: &[Event],
        beside: Batch,
    ) -> Result<DeploymentRecord, StoreOrEngine> {
        let mut appended = self.prepare(id, entry, caller, events).await?;
        let mut record = appended
            .record
            .clone()
            .ok_or_else(|| EngineError::bug("a request without an event"))?;
        // What is answered is kept beside the request's key: as lists have it.
        if let Some(work) = &mut record.work {
            work.steps = Steps::default();
        }
        let mut batch = std::mem::take(&mut appended.batch);
        merge(&mut batch, beside);
        self.commit(caller, record, batch, &[appended]).await
    }

    async fn view(
        &self,
        id: &EnvironmentId,
        configuration: &Configuration,
    ) -> Result<EnvironmentView, EngineError> {
        let spec = configuration
            .environments
            .get(id)
            .ok_or_else(|| EngineError::not_found(format!("environment {id}")))?;
        let store = &*self.ports.store;
        let state = self.environment(id).await?.state.clone();
        let images = match &state.deployed {
            Some(deployed) => content::<DeploymentSet>(store, "set", deployed.set)
                .await?
                .images()
                .into_iter()
                .map(|((workload, container), image)| (format!("{workload}/{container}"), image))
                .collect(),
            None => Vec::new(),
        };
        let environment_type = spec.environment_type.clone();
        let ends = configuration.ends(id, &state);
        Ok(EnvironmentView { id: id.clone(), environment_type, state, images, ends })
    }

    /// Where a request wants to deploy.
    async fn destination(&self, request: &DeployRequest) -> Result<EnvironmentId, EngineError> {
        match (&request.environment, &request.redeploy) {
            (Some(id), _) => Ok(id.clone()),
            (None, Some(of)) => Ok(head_of_deployment(&*self.ports.store, of).await?.environment),
            (None, None) => {
                Err(EngineError::invalid("environment", "expected application/environment"))
            }
        }
    }

    /// The set that a request wants, and why there will be a deployment.
    pub(crate) async fn wanted(
        &self,
        id: &EnvironmentId,
        request: &DeployRequest,
    ) -> Result<(DeploymentSet, Origin), EngineError> {
        let store = &*self.ports.store;
        let earlier = match &request.redeploy {
            // First of all: that of one that was imported is none of here, too.
            Some(of) => Some(head_of_deployment(store, of).await?),
            None => None,
        };
        if !self.configuration().await?.environments.contains_key(id) {
            return Err(EngineError::not_found(format!("environment {id}")));
        }
        let given = [
            request.set.is_some(),
            request.set_digest.is_some(),
            request.delta.is_some(),
            request.redeploy.is_some(),
            request.promote.is_some(),
        ];
        if given.iter().filter(|given| **given).count() > 1 {
            let message = "expected at most one of set, setDigest, delta, redeploy and promote";
            return Err(EngineError::invalid("request", message));
        }
        if request.exact && request.redeploy.is_none() {
            let message = "expected only beside redeploy: there is nothing else that was recorded";
            return Err(EngineError::invalid("exact", message));
        }
        let configured = |id: &EnvironmentId| {
            let id = id.clone();
            async move {
                let set = self.configuration().await?.set(&id.application)?;
                with_images(&set, &self.images(&id).await?)
                    .map_err(|error| EngineError::invalid("images", error.to_string()))
            }
        };
        let (set, origin) = if let Some(set) = &request.set {
            (set.clone(), Origin::Request)
        } else if let Some(digest) = request.set_digest {
            (named_set(store, digest).await?, Origin::Request)
        } else if let Some(earlier) = earlier {
            let set = content(store, "set", earlier.request.set).await?;
            (set, Origin::Redeploy { of: earlier.id, exact: request.exact })
        } else if let Some(name) = &request.promote {
            let from = EnvironmentId { environment: name.clone(), ..id.clone() };
            let Some(deployed) = self.environment(&from).await?.state.deployed.clone() else {
                let message = format!("nothing runs in {from}, so there is nothing to promote");
                return Err(EngineError::Conflict { message });
            };
            let set = content(store, "set", deployed.set).await?;
            (set, Origin::Promotion { from, deployment: deployed.deployment })
        } else if let Some(delta) = &request.delta {
            let base = match &self.environment(id).await?.state.deployed {
                Some(deployed) => content(store, "set", deployed.set).await?,
                None => configured(id).await?,
            };
            let set = patch(&base, delta)
                .map_err(|error| EngineError::invalid("delta", error.to_string()))?;
            (set, Origin::Request)
        } else {
            (configured(id).await?, Origin::Request)
        };
        if set.application != id.application {
            let message =
                format!("it is of application {}, not of {}", set.application, id.application);
            return Err(EngineError::invalid("set", message));
        }
        let missing = set.missing_images();
        if !missing.is_empty() {
            let message = format!(
                "no artifact was announced yet for {}; announce one, or give an image in a delta",
                missing.join(", ")
            );
            return Err(EngineError::invalid("images", message));
        }
        let document = serde_json::to_value(&set).map_err(EngineError::bug)?;
        if let Some(path) = deployd_core::secret::marked_paths(&document).first() {
            let message =
                "references to secrets can't be written by hand; refer to a resource's output";
            return Err(EngineError::invalid(path.clone(), message));
        }
        Ok((set, origin))
    }
}
