//! Has drivers provision resources, and take them away.

use std::collections::BTreeMap;

use deployd_core::Fault;
use deployd_core::graph::{CLUSTER, ResourceKey, Uid};
use deployd_core::plan::{Plan, PlannedResource};
use deployd_core::ports::{Call, LogLevel, Progress, Provisioned};
use deployd_core::resolve::Missing;
use deployd_core::seeded::{Bug, seeded};
use serde_json::Value;

use super::{Ended, Work};
use crate::EngineError;
use crate::lending::Loans;
use crate::planner::{context, request};
use crate::records::object;

impl Work {
    pub(super) async fn provision(&self, uid: &Uid) -> Result<Ended, EngineError> {
        let plan = self.plan().await?;
        if self.token().is_none() {
            self.engine.still_lent(&plan).await?;
        }
        let set = self.set().await?;
        let resources = self.resources_for(&plan, uid).await?;
        let outputs = outputs_beside(&resources, uid);
        let planned = planned(&plan, uid)?;
        let context = context(&plan, &outputs, Missing::Fault);
        let request = request(&context, &set, uid, resources.get(uid), &self.key())?;
        let scope = self.scope(&plan);
        self.engine.need(&planned.driver).await?;
        let call = Call { plugin: &planned.driver, scope: &scope, log: &self.log };
        let drivers = &self.engine.ports.drivers;
        match drivers.provision(call, &request, self.token()).await? {
            Progress::Done(provisioned) => {
                let name = plan.graph.nodes.get(uid).map(|n| n.key.to_string()).unwrap_or_default();
                self.log.line(LogLevel::Info, format!("{name} is there"));
                Ok(Ended::Done(Some(object(&provisioned)?)))
            }
            Progress::Pending { token, poll_after_ms, message } => {
                self.log.line(LogLevel::Info, message.clone());
                Ok(Ended::Pending { token, poll_after_ms, message })
            }
        }
    }

    /// Takes away a resource that nothing asks for any more, with the plugin and
    /// the inputs that it was provisioned by.
    pub(super) async fn destroy(&self, uid: &Uid) -> Result<Ended, EngineError> {
        let active = self.state.resources.get(uid).map(|active| (&active.name, active.plan));
        let Some((name, made_by)) = active else { return Ok(Ended::Done(None)) };
        // Since the plan was made, somebody may have come to use it. Whoever
        // comes while its driver takes it away finds that it goes.
        let loans = match self.token() {
            None => self.engine.loans(&self.environment).await?,
            Some(_) => Loans::new(),
        };
        if let Some(users) = loans.get(uid) {
            let users: Vec<String> = users.iter().map(ToString::to_string).collect();
            return Err(Fault::conflict(
                "resource-lent",
                format!(
                    "{} is used by {}; deploy these without it, or delete them, first",
                    name,
                    users.join(", ")
                ),
            )
            .into());
        }
        let plan = self.plan_at(made_by).await?;
        let set = self.set_at(plan.set).await?;
        let resources = self.resources_for(&plan, uid).await?;
        let planned = planned(&plan, uid)?;
        let outputs = outputs_beside(&resources, uid);
        let context = context(&plan, &outputs, Missing::Preview);
        let request = request(&context, &set, uid, resources.get(uid), &self.key())?;
        let scope = self.scope(&plan);
        self.engine.need(&planned.driver).await?;
        let call = Call { plugin: &planned.driver, scope: &scope, log: &self.log };
        // What leads to its objects goes with it: they have to go before.
        let is_way = *uid == ResourceKey::of_environment(CLUSTER).uid(&self.environment);
        if self.deployment.is_teardown() && is_way {
            self.prune_resource(uid).await?;
        }
        match self.engine.ports.drivers.destroy(call, &request, self.token()).await? {
            Progress::Done(()) => {
                if self.deployment.is_teardown() && !is_way {
                    self.prune_resource(uid).await?;
                }
                self.engine.ports.vault.remove_owner(&uid.0).await?;
                self.log.line(LogLevel::Info, format!("{name} is gone"));
                Ok(Ended::Done(None))
            }
            Progress::Pending { token, poll_after_ms, message } => {
                Ok(Ended::Pending { token, poll_after_ms, message })
            }
        }
    }

    /// What the driver recognises the step by.
    pub(super) fn key(&self) -> String {
        let key = &self.step.key;
        if seeded(Bug::KeyChangedOnRetry) {
            return format!("{key}-{}", self.step.attempts);
        }
        key.clone()
    }

    /// What the driver said the last time, if it was not done then. Kept over
    /// a poll that failed: the operation goes on all the same.
    pub(super) fn token(&self) -> Option<&str> {
        self.step.operation.as_deref()
    }
}

/// How a plan makes a resource.
pub(super) fn planned<'p>(plan: &'p Plan, uid: &Uid) -> Result<&'p PlannedResource, EngineError> {
    let planned = plan.resources.get(uid);
    planned.ok_or_else(|| EngineError::bug(format!("resource {uid} is in no plan")))
}

/// What a resource's inputs may refer to: outputs of others, and not its own.
pub(super) fn outputs_beside(
    resources: &BTreeMap<Uid, Provisioned>,
    uid: &Uid,
) -> BTreeMap<Uid, Value> {
    let others = resources.iter().filter(|(other, _)| *other != uid);
    others.map(|(other, provisioned)| (other.clone(), provisioned.outputs.clone())).collect()
}
