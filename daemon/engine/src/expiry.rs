//! Ends environments whose time to live is over.
//!
//! The clock on the wall says when that is, and it can be wrong. So an
//! environment ends only after its time has been over for a while by a clock that
//! can't be set (see [`Wall`]). A clock that is set back, or right again, ends
//! nothing.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use deployd_core::deployment::EnvironmentState;
use deployd_core::{EnvironmentId, Timestamp};
use futures::FutureExt;
use tokio::time::Instant;

use crate::clocks::Wall;
use crate::configuration::Configuration;
use crate::{EngineError, Inner};

/// Between looks, as long as any environment has a time to live.
const LOOK: Duration = Duration::from_secs(60);

/// Begins to look.
pub(crate) fn start(engine: &Arc<Inner>) {
    let inner = engine.clone();
    engine.tasks.spawn(async move {
        let mut watch = Watch::default();
        while !inner.workers.is_stopping() {
            let looked = AssertUnwindSafe(watch.look(&inner)).catch_unwind().await;
            let again = match looked {
                Ok(Ok(any)) => any,
                Ok(Err(error)) => {
                    tracing::warn!(%error, "whether environments have come to their end is looked at again");
                    true
                }
                Err(_) => {
                    tracing::error!("the look for environments that end has panicked; please report it");
                    true
                }
            };
            tokio::select! {
                () = inner.expiry.rung() => {}
                () = tokio::time::sleep(LOOK), if again => {}
            }
        }
    });
}

/// What was seen so far.
#[derive(Debug, Default)]
struct Watch {
    /// What is to be believed of the clock on the wall.
    wall: Wall,
    /// Since when it is seen that the time of an environment is over, and when
    /// that was.
    over: BTreeMap<EnvironmentId, (Instant, Timestamp)>,
}

impl Watch {
    /// Looks once; whether any environment has a time to live.
    async fn look(&mut self, engine: &Arc<Inner>) -> Result<bool, EngineError> {
        let configuration = engine.configuration().await?;
        let mut found = BTreeMap::new();
        for id in configuration.environments.keys() {
            if configuration.ttl_ms(id).is_none() {
                continue;
            }
            let entry = engine.environment(id).await?;
            if let Some(ends) = configuration.ends(id, &entry.state) {
                found.insert(id.clone(), (ends, is_at_rest(&entry.state)));
            }
        }
        let any = !found.is_empty();
        let now = (Instant::now(), engine.ports.clock.now());
        for (id, ends) in self.see(now, &found) {
            match engine.expire(&id, ends).await {
                Ok(Some(record)) => {
                    self.over.remove(&id);
                    tracing::info!(environment = %id, deployment = %record.id, "its time is over");
                }
                // Somebody has come to use it, or wants it for longer.
                Ok(None) => {
                    self.over.remove(&id);
                }
                // Somebody was quicker.
                Err(EngineError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(any)
    }

    /// Which environments end now, of those that have a time to live: when each
    /// ends, and whether it is at rest.
    fn see(
        &mut self,
        (instant, now): (Instant, Timestamp),
        environments: &BTreeMap<EnvironmentId, (Timestamp, bool)>,
    ) -> Vec<(EnvironmentId, Timestamp)> {
        let wait = self.wall.look((instant, now));
        let is_over = |id: &EnvironmentId| {
            environments.get(id).filter(|(ends, at_rest)| *ends <= now && *at_rest)
        };
        self.over.retain(|id, (_, known)| is_over(id).is_some_and(|(ends, _)| ends == known));
        let mut ended = Vec::new();
        for (id, (ends, _)) in environments.iter().filter(|(id, _)| is_over(id).is_some()) {
            let (since, _) = self.over.entry(id.clone()).or_insert((instant, *ends));
            if instant.duration_since(*since) >= wait {
                ended.push((id.clone(), *ends));
            }
        }
        ended
    }
}

/// Whether nothing is done in an environment, nor waits to be: nobody's
/// deployment is ended by its end.
pub(crate) fn is_at_rest(state: &EnvironmentState) -> bool {
    state.active.is_none() && state.queue.is_empty()
}

impl Configuration {
    /// The time to live of an environment: its own, or its type's.
    fn ttl_ms(&self, id: &EnvironmentId) -> Option<u64> {
        let spec = self.environments.get(id)?;
        let of_type = || self.environment_types.get(&spec.environment_type)?.ttl;
        spec.ttl.or_else(of_type)?.ms()
    }

    /// When an environment ends, as it is now: its time to live after the last
    /// deployment, or after its document was applied.
    pub(crate) fn ends(&self, id: &EnvironmentId, state: &EnvironmentState) -> Option<Timestamp> {
        let ttl = self.ttl_ms(id)?;
        let applied = self.applied_at.get(id).copied();
        Some(applied.max(state.touched)?.plus_ms(ttl))
    }
}
