//! People who pause a rollout, have it go on, or not wait any longer.

use deployd_core::DeploymentId;
use deployd_core::deployment::DeploymentRecord;
use deployd_core::steering::Steering;

use crate::journal::until_no_conflict;
use crate::records::head_of_deployment;
use crate::{Caller, Engine, EngineError};

impl Engine {
    /// Has a rollout that is under way do something else than it would. When
    /// this returns, it is on stable storage.
    pub async fn steer(
        &self,
        caller: &Caller,
        id: &DeploymentId,
        how: Steering,
        reason: Option<String>,
    ) -> Result<DeploymentRecord, EngineError> {
        if let Some(answer) = self.inner.asked_before(caller).await? {
            return Ok(answer);
        }
        let store = &*self.inner.ports.store;
        let place = head_of_deployment(store, id).await?.environment;
        let record = until_no_conflict(|| async {
            let entry = self.inner.environment(&place).await?;
            let event = how.event(id.clone(), reason.clone());
            self.inner.ask(caller, &place, &entry, &[event], Vec::new()).await
        })
        .await?;
        self.inner.workers.wake(&self.inner, &place);
        Ok(record)
    }
}
