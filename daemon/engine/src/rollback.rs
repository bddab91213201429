//! Goes back to what ran before in an environment.

use deployd_core::calendar::Errand;
use deployd_core::deployment::projection::{BY_ENVIRONMENT, DEPLOYMENTS};
use deployd_core::deployment::{
    Deployed, DeploymentRecord, Mode, Origin, Outcome, Request, Schedule,
};
use deployd_core::exact::{Look, look};
use deployd_core::plan::{Plan, not_undone};
use deployd_core::ports::Order;
use deployd_core::rollout::jobs::ForeseenJob;
use deployd_core::set::DeploymentSet;
use deployd_core::views::{DeployRequest, PlanView, RollbackRequest, RollbackView};
use deployd_core::{DeploymentId, EnvironmentId, Timestamp};

use crate::effects::undone_on_the_way;
use crate::exact::reasons;
use crate::records::{
    below, content, decode, deployment, get, head_of_deployment, numbered_key, object,
};
use crate::{Caller, Engine, EngineError, Inner};

/// How many deployments are looked at for one to go back to: who wants one from
/// before that knows which.
const LOOKED_AT_MAX: usize = 500;

/// How many are read at once: most often the one before is the one.
const LOOK_AT_ONCE: usize = 10;

/// What going back means.
struct Back {
    from: DeploymentRecord,
    to: DeploymentRecord,
    obstacles: Vec<String>,
    recent: bool,
    not_undone: Vec<String>,
    view: PlanView,
}

impl Back {
    fn exact(&self) -> bool {
        self.obstacles.is_empty()
    }
}

impl Engine {
    /// What going back would do. Nothing is stored and nothing is done.
    pub async fn rollback_plan(
        &self,
        id: &EnvironmentId,
        request: &RollbackRequest,
    ) -> Result<RollbackView, EngineError> {
        let back = Box::pin(self.back(id, request)).await?;
        Ok(RollbackView {
            from: back.from.id.clone(),
            from_number: back.from.number,
            to: back.to.id.clone(),
            to_number: back.to.number,
            exact: back.exact(),
            obstacles: back.obstacles,
            recent: back.recent,
            not_undone: back.not_undone,
            plan: back.view,
        })
    }

    /// Goes back. When this returns, it is on stable storage.
    pub async fn rollback(
        &self,
        caller: &Caller,
        id: &EnvironmentId,
        request: RollbackRequest,
    ) -> Result<DeploymentRecord, EngineError> {
        if let Some(answer) = self.inner.asked_before(caller).await? {
            return Ok(answer);
        }
        // It holds two records, and whoever awaits this would hold them, too.
        let back = Box::pin(self.back(id, &request)).await?;
        if !back.not_undone.is_empty() && !request.confirm_forward_only {
            return Err(stays_changed(&back.not_undone));
        }
        let (exact, recent) = (back.exact(), back.recent);
        let (to, from) = (back.to.id, back.from.id);
        let set = self.set(back.to.request.set).await?;
        let wanted = Request {
            set: back.to.request.set,
            mode: Mode::Manual,
            origin: Origin::Rollback { to, from, exact, recent },
            comment: request.comment,
            expected_plan: request.expected_plan,
            confirm_replace: request.confirm_replace,
            teardown: None,
            schedule: Schedule::default(),
        };
        let set = object(&set)?;
        Box::pin(self.inner.accept(caller, id, wanted, set)).await
    }

    async fn back(
        &self,
        id: &EnvironmentId,
        request: &RollbackRequest,
    ) -> Result<Back, EngineError> {
        let inner = &self.inner;
        if !inner.configuration().await?.environments.contains_key(id) {
            return Err(EngineError::not_found(format!("environment {id}")));
        }
        let state = inner.environment(id).await?.state.clone();
        let Some(deployed) = &state.deployed else {
            let message = format!("nothing runs in {id}, so there is nothing to go back from");
            return Err(EngineError::Conflict { message });
        };
        let from = head_of_deployment(&*inner.ports.store, &deployed.deployment).await?;
        let to = match &request.to {
            Some(subject) => inner.resolve(subject).await?.own_deployment()?.clone(),
            None => inner.before(id, deployed).await?,
        };
        if to.environment != *id {
            let message = format!(
                "{} is of {}; a set goes from there by `deployd deploy {id} --set {}`",
                to.id, to.environment, to.request.set
            );
            return Err(EngineError::invalid("to", message));
        }
        let mut ask = DeployRequest {
            environment: Some(id.clone()),
            redeploy: Some(to.id.clone()),
            exact: true,
            ..DeployRequest::default()
        };
        let recent = inner.is_recent(id, &to, deployed).await?;
        let not_undone = inner.not_undone(deployed, &to).await?;
        let undone = undone_on_the_way(&*inner.ports.store, &from.id, &to.id).await?;
        // Going back runs what undoes Jobs, and none of what is gone back to.
        let told = |mut view: PlanView| {
            if let Some(undone) = undone {
                view.preview.jobs = undone.into_iter().map(ForeseenJob::from).collect();
            }
            view
        };
        match Box::pin(self.plan_for(&ask, Errand::Rollback)).await {
            Ok(view) => {
                let view = told(view);
                Ok(Back { from, to, obstacles: Vec::new(), recent, not_undone, view })
            }
            Err(error) => match reasons(&error) {
                Some(obstacles) if request.resolve => {
                    ask.exact = false;
                    let view = told(Box::pin(self.plan_for(&ask, Errand::Rollback)).await?);
                    Ok(Back { from, to, obstacles, recent, not_undone, view })
                }
                _ => Err(error),
            },
        }
    }
}

impl Inner {
    /// The last deployment that succeeded before what runs.
    async fn before(
        &self,
        id: &EnvironmentId,
        deployed: &Deployed,
    ) -> Result<DeploymentRecord, EngineError> {
        let store = &*self.ports.store;
        let mut anchor = head_of_deployment(store, &deployed.deployment).await?.number;
        let mut range = below(&[&id.to_string()]);
        range.end = Some(numbered_key(&id.to_string(), anchor.saturating_add(1)));
        let mut looked = 0usize;
        while looked < LOOKED_AT_MAX {
            let page = store.scan(BY_ENVIRONMENT, range.clone(), Order::Descending, LOOK_AT_ONCE);
            let page = page.await?;
            for (key, bytes) in &page.entries {
                looked = looked.saturating_add(1);
                range.end = Some(key.clone());
                let name: DeploymentId = decode("deployment id", bytes)?;
                let record = deployment(store, &name).await?;
                match look(&record, deployed, anchor) {
                    // What has failed here since is nothing to go back to.
                    Look::Take if self.is_kept_from(id, &record).await? => {}
                    Look::Take => return Ok(record),
                    Look::Before(earlier) => {
                        let key = earlier.0.as_bytes();
                        let of: Option<DeploymentRecord> = get(store, DEPLOYMENTS, key).await?;
                        if let Some(of) = of
                            && of.environment == *id
                            && of.number < anchor
                        {
                            anchor = of.number;
                        }
                    }
                    Look::Stop => return Err(nothing_before(id, "since it was made anew")),
                    Look::Further => {}
                }
            }
            if !page.more {
                return Err(nothing_before(id, "that differs from it"));
            }
        }
        let message = format!(
            "none of the last {LOOKED_AT_MAX} deployments of {id} is one to go back to; name one with --to"
        );
        Err(EngineError::Conflict { message })
    }
}

impl Inner {
    /// Whether a deployment ran here until so recently that the type of the
    /// environment lets strategies skip steps.
    async fn is_recent(
        &self,
        id: &EnvironmentId,
        to: &DeploymentRecord,
        deployed: &Deployed,
    ) -> Result<bool, EngineError> {
        let configuration = self.configuration().await?;
        let of = configuration.environments.get(id).map(|spec| &spec.environment_type);
        let of = of.and_then(|of| configuration.environment_types.get(of));
        let Some(window) = of.and_then(|of| of.rollback_window.as_ref()) else { return Ok(true) };
        let until = self.ran_until(id, to, deployed).await?;
        Ok(self.ports.clock.now().ms_since(until) <= window.ms())
    }

    /// When a deployment was followed by the next one that succeeded.
    async fn ran_until(
        &self,
        id: &EnvironmentId,
        to: &DeploymentRecord,
        deployed: &Deployed,
    ) -> Result<Timestamp, EngineError> {
        let store = &*self.ports.store;
        let mut range = below(&[&id.to_string()]);
        range.start = numbered_key(&id.to_string(), to.number.saturating_add(1));
        let page = store.scan(BY_ENVIRONMENT, range, Order::Ascending, LOOKED_AT_MAX).await?;
        for (_, bytes) in &page.entries {
            let name: DeploymentId = decode("deployment id", bytes)?;
            let next = head_of_deployment(store, &name).await?;
            if let (Some(Outcome::Succeeded), Some(ended)) = (next.outcome, next.ended) {
                return Ok(ended);
            }
        }
        // None of very many has: what runs now came after them.
        Ok(deployed.at)
    }

    /// Resources that were changed since a deployment, and can't be changed back.
    async fn not_undone(
        &self,
        deployed: &Deployed,
        to: &DeploymentRecord,
    ) -> Result<Vec<String>, EngineError> {
        let store = &*self.ports.store;
        let newer: Plan = content(store, "plan", deployed.plan).await?;
        if !newer.graph.nodes.values().any(|node| node.forward_only) {
            return Ok(Vec::new());
        }
        let whole = deployment(store, &to.id).await?;
        let Some(older) = whole.work.and_then(|work| work.plan) else { return Ok(Vec::new()) };
        let older: Plan = content(store, "plan", older).await?;
        Ok(not_undone(&newer, &older))
    }

    async fn is_kept_from(
        &self,
        id: &EnvironmentId,
        record: &DeploymentRecord,
    ) -> Result<bool, EngineError> {
        let set: DeploymentSet = content(&*self.ports.store, "set", record.request.set).await?;
        Ok(!self.kept_from(id, set.images().values()).await?.is_empty())
    }
}

/// What is asked before going back.
fn stays_changed(not_undone: &[String]) -> EngineError {
    let message = format!(
        "what was changed since of {} can't be undone, and what runs again would meet it as it is now; go back with --confirm-forward-only if it can",
        not_undone.join("; ")
    );
    EngineError::Conflict { message }
}

fn nothing_before(id: &EnvironmentId, which: &str) -> EngineError {
    let message = format!(
        "{id} has nothing to go back to: no deployment has succeeded there before what runs, {which}"
    );
    EngineError::Conflict { message }
}
