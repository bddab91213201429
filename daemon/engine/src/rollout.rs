//! Gathers how the rollout of a deployment stands.

use deployd_core::DeploymentId;
use deployd_core::deployment::DeploymentRecord;
use deployd_core::plan::{Manifests, Plan};
use deployd_core::views::{Recorded, RolloutView, rollout_view};

use crate::debug::{Lost, rendered};
use crate::records::content;
use crate::{Engine, EngineError, Inner};

impl Engine {
    /// How the rollout of a deployment stands, or how it ended; without tracks
    /// and checks where there is none yet.
    pub async fn rollout(&self, id: &DeploymentId) -> Result<RolloutView, EngineError> {
        let record = self.inner.past(id).await?;
        self.inner.rollout_of(&record).await
    }
}

impl Inner {
    /// The same of a record that is there.
    pub(crate) async fn rollout_of(
        &self,
        record: &DeploymentRecord,
    ) -> Result<RolloutView, EngineError> {
        let store = &*self.ports.store;
        let mut lost = Lost::default();
        let plan: Option<Plan> = match record.work.as_ref().and_then(|work| work.plan) {
            Some(digest) => lost.part(content(store, "plan", digest).await)?,
            None => None,
        };
        let new = lost.part(rendered(self, record).await)?.flatten();
        // Without its own there is nothing to compare with.
        let current: Option<Manifests> = match plan.as_ref().filter(|_| new.is_some()) {
            Some(plan) => lost.part(self.ran_before_plan(plan).await)?.flatten(),
            None => None,
        };
        let recorded =
            Recorded { plan: plan.as_ref(), new: new.as_ref(), current: current.as_ref() };
        let view = rollout_view(record, recorded, self.ports.clock.now());
        Ok(RolloutView { lost: lost.0, ..view })
    }

    /// The manifests of what ran before a plan; none where nothing did.
    async fn ran_before_plan(&self, plan: &Plan) -> Result<Option<Manifests>, EngineError> {
        match plan.previous.as_ref().map(|previous| previous.manifests) {
            None => Ok(None),
            Some(Some(digest)) => content(&*self.ports.store, "manifests", digest).await.map(Some),
            Some(None) => self.rendered_before(plan).await.map(Some),
        }
    }
}
