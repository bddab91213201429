//! Takes away what was begun of a resource and never finished.
//!
//! A driver knows what it has made by the resource's uid, and that is the same
//! for all makings of it. So what is there goes first; then each of the others,
//! if its driver says that it is at another place.

use deployd_core::graph::{CLUSTER, ResourceKey, Uid};
use deployd_core::ports::{Call, DriverAction, LogLevel, Progress, Provisioned};
use deployd_core::resolve::Missing;
use deployd_core::{Digest, Fault};

use super::provision::{outputs_beside, planned};
use super::{Ended, Work};
use crate::EngineError;
use crate::planner::{context, request};
use crate::records::content;

impl Work {
    /// Has the driver that has begun something take it away, with the inputs
    /// with which it was begun.
    pub(super) async fn destroy_unfinished(
        &self,
        uid: &Uid,
        inputs: Digest,
    ) -> Result<Ended, EngineError> {
        let this = self.plan().await?;
        let unused = this.unused.iter().find(|unused| unused.uid == *uid);
        let found = unused.and_then(|unused| {
            let begun = unused.unfinished.iter().find(|one| one.inputs == Some(inputs))?;
            Some((begun, unused.only_unfinished))
        });
        let Some((begun, is_alone)) = found else { return Ok(Ended::Done(None)) };
        let name = &begun.name;
        let plan = self.plan_at(begun.plan).await?;
        let set = self.set_at(plan.set).await?;
        let resources = self.resources_for(&plan, uid).await?;
        let outputs = outputs_beside(&resources, uid);
        let planned = planned(&plan, uid)?;
        let context = context(&plan, &outputs, Missing::Preview);
        let scope = self.scope(&plan);
        self.engine.need(&planned.driver).await?;
        let call = || Call { plugin: &planned.driver, scope: &scope, log: &self.log };
        let drivers = &self.engine.ports.drivers;
        if let Some(beside) = begun.beside.filter(|_| self.token().is_none()) {
            let there: Provisioned = content(&*self.engine.ports.store, "resource", beside).await?;
            let request = request(&context, &set, uid, Some(&there), &self.key())?;
            let would = drivers.plan(call(), &request).await.map_err(|fault| told(name, &fault))?;
            if would.action != DriverAction::Replace {
                let message = format!("{name} is no other place than what was there");
                self.log.line(LogLevel::Info, message);
                return Ok(Ended::Done(None));
            }
        }
        let is_way = *uid == ResourceKey::of_environment(CLUSTER).uid(&self.environment);
        let has_objects = is_alone && self.deployment.is_teardown();
        if has_objects && is_way {
            self.prune_resource(uid).await?;
        }
        let request = request(&context, &set, uid, None, &self.key())?;
        let removed = drivers.destroy(call(), &request, self.token()).await;
        match removed.map_err(|fault| told(name, &fault))? {
            Progress::Done(()) => {
                if has_objects && !is_way {
                    self.prune_resource(uid).await?;
                }
                let left = self.state.begun.get(uid).map_or(0, Vec::len);
                if left <= 1 && !self.state.resources.contains_key(uid) {
                    self.engine.ports.vault.remove_owner(&uid.0).await?;
                }
                self.log.line(LogLevel::Info, format!("{name} is gone, as far as it was there"));
                Ok(Ended::Done(None))
            }
            Progress::Pending { token, poll_after_ms, message } => {
                Ok(Ended::Pending { token, poll_after_ms, message })
            }
        }
    }
}

/// What was begun may never have come to anything, and its inputs may have been
/// wrong: then only a person can tell.
fn told(name: &str, fault: &Fault) -> Fault {
    fault.clone().with_reason(format!(
        "{name} was begun once and never finished; look whether anything of it is there, and \
         delete the environment with --keep {name} if not"
    ))
}
