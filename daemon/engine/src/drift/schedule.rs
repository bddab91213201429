//! Checks that come by themselves: as often as the environment's type says, a few
//! at a time, and never where a deployment is under way.

use std::collections::{HashMap, HashSet, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use deployd_core::config::DriftSpec;
use deployd_core::{Actor, Digest, EnvironmentId, Timestamp};
use tokio::task::{self, JoinError, JoinSet};

use crate::{Caller, EngineError, Inner};

/// Environments that are checked at a time. A check reads lists of a cluster, and
/// asks servers; more of them would be felt there.
const AT_ONCE: usize = 4;

/// Between looks for what is due. The shortest time between checks is a minute.
const LOOK: Duration = Duration::from_secs(60);

/// The wait after a check that came to nothing, because a deployment was under
/// way or nothing could be read.
const AGAIN_MS: u64 = 60_000;

/// The longest wait after a start before the first check: then all of them would
/// be due at once.
const SPREAD_MS: u64 = 60_000;

/// Begins to check.
pub(crate) fn start(engine: &Arc<Inner>) {
    let inner = engine.clone();
    engine.tasks.spawn(async move {
        let mut schedule = Schedule::new(inner.ports.clock.now());
        tokio::select! {
            biased;
            // A check has changed nothing before its end: it is dropped.
            () = inner.drift.end() => {}
            () = schedule.run(&inner) => {}
        }
        schedule.running.shutdown().await;
    });
}

/// When environments are checked next, as far as this process knows. Over a
/// restart their last reports say it.
struct Schedule {
    began: Timestamp,
    next: HashMap<EnvironmentId, Timestamp>,
    /// What is due and has not begun; who has waited longest comes first.
    waiting: VecDeque<(EnvironmentId, DriftSpec)>,
    /// They are not waited for before there is looked for more: a check that
    /// takes long keeps one place, and holds up nobody else.
    running: JoinSet<Ended>,
    under_way: HashMap<task::Id, EnvironmentId>,
}

/// When there is to be another check, if one came to nothing.
type Ended = Option<Timestamp>;

impl Schedule {
    fn new(began: Timestamp) -> Self {
        Self {
            began,
            next: HashMap::new(),
            waiting: VecDeque::new(),
            running: JoinSet::new(),
            under_way: HashMap::new(),
        }
    }

    async fn run(&mut self, engine: &Arc<Inner>) {
        loop {
            if let Err(error) = self.look(engine).await {
                tracing::warn!(%error, "drift is looked for again in a while");
            }
            let mut look = pin!(tokio::time::sleep(LOOK));
            loop {
                self.begin(engine);
                tokio::select! {
                    () = &mut look => break,
                    Some(ended) = self.running.join_next_with_id() => self.ended(ended),
                }
            }
        }
    }

    /// Looks for what is due.
    async fn look(&mut self, engine: &Arc<Inner>) -> Result<(), EngineError> {
        let mut due = Vec::new();
        let configuration = engine.configuration().await?;
        let now = engine.ports.clock.now();
        let under_way: HashSet<&EnvironmentId> = self.under_way.values().collect();
        for (id, spec) in &configuration.environments {
            let of_type = configuration.environment_types.get(&spec.environment_type);
            let Some(drift) = of_type.and_then(|of_type| of_type.drift.clone()) else { continue };
            if under_way.contains(id) {
                continue;
            }
            if let Some(since) = self.due(engine, id, &drift, now).await? {
                due.push((since, id.clone(), drift));
            }
        }
        self.next.retain(|id, _| configuration.environments.contains_key(id));
        due.sort_by_key(|(since, ..)| std::cmp::Reverse(*since));
        self.waiting = due.into_iter().map(|(_, id, drift)| (id, drift)).collect();
        Ok(())
    }

    /// Begins as many of those that wait as there are places for.
    fn begin(&mut self, engine: &Arc<Inner>) {
        while self.running.len() < AT_ONCE {
            let Some((id, drift)) = self.waiting.pop_front() else { return };
            // Also for a check that panics: it must not come again at once.
            let now = engine.ports.clock.now();
            self.next.insert(id.clone(), now.plus_ms(drift.every.ms()));
            let handle = self.running.spawn(check(engine.clone(), id.clone(), drift));
            self.under_way.insert(handle.id(), id);
        }
    }

    fn ended(&mut self, ended: Result<(task::Id, Ended), JoinError>) {
        let (task, again) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                tracing::error!(%error, "a check for drift has panicked");
                (error.id(), None)
            }
        };
        if let (Some(id), Some(again)) = (self.under_way.remove(&task), again) {
            self.next.insert(id, again);
        }
    }

    /// For how long a check has been due, if it is.
    async fn due(
        &self,
        engine: &Inner,
        id: &EnvironmentId,
        drift: &DriftSpec,
        now: Timestamp,
    ) -> Result<Option<u64>, EngineError> {
        let every = drift.every.ms();
        // A clock that was set back is no reason to wait: what was looked at in
        // the future is due.
        let over = |last: Timestamp| match last <= now {
            true => now.ms_since(last).checked_sub(every),
            false => Some(0),
        };
        if let Some(next) = self.next.get(id) {
            let is_due = *next <= now || next.ms_since(now) > every;
            return Ok(is_due.then(|| now.ms_since(*next)));
        }
        let reported = engine.last_report(id).await?.map(|report| report.at);
        let since_start = if self.began <= now { now.ms_since(self.began) } else { SPREAD_MS };
        if since_start < spread(id).min(every) {
            return Ok(None);
        }
        Ok(reported.map_or(Some(0), over))
    }
}

/// The same for the same environment, and different for most others.
fn spread(id: &EnvironmentId) -> u64 {
    let digest = Digest::of(id.to_string().as_bytes());
    let byte = digest.as_bytes().first().copied().unwrap_or(0);
    SPREAD_MS * u64::from(byte) / 256
}

/// Checks one, and heals it where that is wanted. What comes between is no
/// failure: there will be another.
async fn check(engine: Arc<Inner>, id: EnvironmentId, drift: DriftSpec) -> Ended {
    let caller = Caller::new(Actor::deployd());
    let checked = async {
        let _turn = engine.drift.begin(&id)?;
        let report = engine.look_for_drift(&caller, &id).await?;
        Box::pin(engine.heal_by_itself(&id, report, drift.heal)).await
    };
    match checked.await {
        Ok(()) => return None,
        Err(error @ EngineError::Conflict { .. }) => {
            tracing::debug!(environment = %id, %error, "not checked for drift");
        }
        Err(error) => tracing::warn!(environment = %id, %error, "not checked for drift"),
    }
    Some(engine.ports.clock.now().plus_ms(AGAIN_MS.min(drift.every.ms())))
}
