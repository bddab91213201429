//! How many pods of a rollout are ready, for those who watch it: however many there
//! are, the cluster is asked once for all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deployd_core::deployment::StepId;
use deployd_core::plan::Plan;
use deployd_core::ports::{CallLog, ObjectRef};
use deployd_core::views::{PodCount, PodsCounted, RolloutPods, RolloutView, WaitsFor};
use deployd_core::{DeploymentId, EnvironmentId};
use tokio::time::{Instant, timeout};

use crate::effects::{Contents, Way};
use crate::{EngineError, Inner};

/// How long a cluster may take to answer: all the rest of the view waits for it, and
/// is good without it.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// What was counted so recently, in the same step of a rollout, is counted for everybody
/// who asks: people see no difference, and however many ask, the API server gets a few
/// requests a second for an environment, and a few for each step.
const FRESH: Duration = Duration::from_secs(1);

/// A cluster that does not answer is left in peace for so long, and holds up the views
/// of its environments no more often.
const PEACE: Duration = Duration::from_secs(10);

/// Between two looks, while pods are exchanged or missing: people look at the number.
const SOON: Duration = Duration::from_secs(2);

/// Between two looks, where all are ready and stay, or nothing is known. A pod that fails is found
/// out by the rollout itself, which is a change of its record.
const LATER: Duration = Duration::from_secs(10);

/// Whose pods are counted.
#[derive(Debug)]
pub(crate) struct Counted {
    /// Its plan.
    pub(crate) plan: Plan,
    /// Its namespace.
    pub(crate) namespace: String,
    /// What runs the pods.
    pub(crate) pods: Vec<RolloutPods>,
}

/// The last count of each environment that somebody watches.
#[derive(Debug, Default)]
pub(crate) struct Latest(Mutex<HashMap<EnvironmentId, Arc<Turn>>>);

/// Whoever has the turn counts; who waits for it takes what was counted meanwhile.
type Turn = tokio::sync::Mutex<Option<Count>>;

/// What is counted, and when in a rollout: what was counted before an action was done
/// is of other pods than what is there afterwards.
#[derive(Debug, PartialEq)]
struct Moment {
    deployment: DeploymentId,
    doing: Option<(Option<StepId>, WaitsFor)>,
    objects: Vec<ObjectRef>,
}

#[derive(Debug)]
struct Count {
    of: Moment,
    ended: Instant,
    counted: PodsCounted,
}

impl Count {
    /// Whether it is good for somebody who has asked at a time.
    fn serves(&self, wanted: &Moment, asked: Instant) -> bool {
        match self.counted.found {
            // While somebody waited for it, or just before.
            Ok(_) => self.of == *wanted && (self.ended >= asked || self.ended.elapsed() < FRESH),
            // Whatever is asked of it.
            Err(_) => self.ended.elapsed() < PEACE,
        }
    }
}

impl Latest {
    /// The turns of an environment. Those that nobody waits for, and whose count is
    /// good for nobody any more, are forgotten.
    fn of(&self, environment: &EnvironmentId) -> Arc<Turn> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, turn| {
            let is_old = |count: &Option<Count>| {
                count.as_ref().is_none_or(|count| count.ended.elapsed() >= PEACE)
            };
            Arc::strong_count(turn) > 1 || !turn.try_lock().is_ok_and(|count| is_old(&count))
        });
        all.entry(environment.clone()).or_default().clone()
    }
}

/// When to count again, of a rollout that is watched.
pub(crate) fn again_in(view: &RolloutView) -> Duration {
    let waits_for = view.doing.as_ref().map(|doing| doing.waits_for);
    let is_moving =
        matches!(waits_for, Some(WaitsFor::Decision | WaitsFor::Cluster | WaitsFor::Pods));
    let is_known = view.pods_unknown.is_none();
    if view.lacks_pods() || is_moving && is_known { SOON } else { LATER }
}

impl Inner {
    /// How many pods of a deployment's tracks are ready, or why that is not known.
    pub(crate) async fn count_pods(&self, view: &RolloutView, of: &Counted) -> PodsCounted {
        let asked = Instant::now();
        let wanted = Moment {
            deployment: view.deployment.clone(),
            doing: view.doing.as_ref().map(|doing| (doing.step.clone(), doing.waits_for)),
            objects: of.pods.iter().map(|it| it.runner.object.clone()).collect(),
        };
        let turn = self.counts_of_pods.of(&view.environment);
        let mut latest = turn.lock().await;
        if let Some(count) = latest.as_ref().filter(|it| it.serves(&wanted, asked)) {
            return count.counted.clone();
        }
        let observed = self.observed(&view.environment, of, &wanted.objects);
        let found = match timeout(ANSWER_MAX, observed).await {
            Ok(Ok(counts)) => Ok(counts),
            Ok(Err(error)) => Err(error.into_fault().message),
            Err(_) => {
                let seconds = ANSWER_MAX.as_secs();
                Err(format!("the cluster did not answer within {seconds} s"))
            }
        };
        let counted = PodsCounted { at: self.ports.clock.now(), found };
        *latest = Some(Count { of: wanted, ended: Instant::now(), counted: counted.clone() });
        counted
    }

    async fn observed(
        &self,
        environment: &EnvironmentId,
        of: &Counted,
        objects: &[ObjectRef],
    ) -> Result<Vec<PodCount>, EngineError> {
        let entry = self.environment(environment).await?;
        let (contents, log) = (Contents::default(), CallLog::default());
        let way = Way {
            engine: self,
            state: &entry.state,
            plan: &of.plan,
            deployment: "",
            key: String::new(),
            contents: &contents,
            log: &log,
        };
        // Who only looks renews nothing; the rollout itself does.
        let target = way.as_it_is(&of.namespace).await?;
        let observed = self.ports.cluster.observe(&target, objects).await?;
        Ok(observed.iter().map(|it| PodCount::of(it.as_ref())).collect())
    }
}
