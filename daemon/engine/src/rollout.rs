//! Gathers how the rollout of a deployment stands.

use deployd_core::DeploymentId;
use deployd_core::deployment::DeploymentRecord;
use deployd_core::plan::{Manifests, Plan};
use deployd_core::views::{Recorded, RolloutView, rollout_pods, rollout_view};

use crate::debug::{Lost, rendered};
use crate::pods::Counted;
use crate::records::content;
use crate::{Engine, EngineError, Inner};

/// How a rollout stands.
pub(crate) struct Standing {
    /// As it is recorded, without the number of pods that are ready.
    recorded: RolloutView,
    /// Whose pods are counted; none where there are none that are its own.
    counted: Option<Counted>,
}

impl Standing {
    /// Whether there are pods of its own, whose number can change.
    pub(crate) fn has_pods(&self) -> bool {
        self.counted.is_some()
    }
}

impl Engine {
    /// How the rollout of a deployment stands, or how it ended; without tracks
    /// and checks where there is none yet. While it goes on, the cluster is asked how
    /// many pods are ready; where it does not say so soon, the view says why.
    pub async fn rollout(&self, id: &DeploymentId) -> Result<RolloutView, EngineError> {
        let record = self.inner.past(id).await?;
        let standing = self.inner.standing(&record).await?;
        Ok(self.inner.with_pods(&standing).await)
    }
}

impl Inner {
    /// How the rollout of a record stands that is there.
    pub(crate) async fn standing(
        &self,
        record: &DeploymentRecord,
    ) -> Result<Standing, EngineError> {
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
        let pods = rollout_pods(&view, recorded);
        let view = RolloutView { lost: lost.0, ..view };
        let counted = match (plan, new) {
            (Some(plan), Some(new)) if !pods.is_empty() => {
                Some(Counted { plan, namespace: new.namespace, pods })
            }
            _ => None,
        };
        Ok(Standing { recorded: view, counted })
    }

    /// The same with the number of pods that are ready now.
    pub(crate) async fn with_pods(&self, standing: &Standing) -> RolloutView {
        let view = standing.recorded.clone();
        let Some(of) = &standing.counted else { return view };
        let counted = self.count_pods(&view, of).await;
        view.with_pods(&of.pods, &counted)
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
