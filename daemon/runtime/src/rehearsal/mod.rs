//! Rehearsals: rollouts by the real engine, the real cluster client and the real
//! strategy, in the practice cluster and in simulated time. Behind core's port
//! [`Rehearsals`].
//!
//! ```text
//!   daemon's runtime            a thread with a paused clock
//!   ────────────────            ────────────────────────────
//!   engine ── rehearse ──────►  engine ── KubeCluster ── practice cluster
//!                                 │  ▲                      ▲        │
//!   plugin host ◄── decide ───────┘  └── checks: the scenario's world ──► users
//! ```
//!
//! Nothing of the daemon is in there but the strategies that it has loaded: another
//! store, other secrets, nobody who is told anything. The clock of the thread stands
//! still while a strategy decides, and jumps when nothing goes on: hours take seconds.

mod decisions;
mod documents;
mod objects;
mod outside;
mod play;
mod telling;
mod traffic;
mod world;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use deployd_core::Fault;
use deployd_core::ports::{Rehearsals, Rehearsed, Staged, Strategies};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{Semaphore, oneshot};

/// The longest that a rehearsal takes, of real time: a week of checks takes some
/// seconds. An answer of the interface may take no more than half a minute.
const REAL_MAX: Duration = Duration::from_secs(25);

/// Rehearsals at a time: each keeps a processor busy for some seconds, and whoever
/// deploys comes first.
const AT_ONCE: usize = 2;

/// The most objects of what is rehearsed: what one wants to see of a rollout is seen
/// with fewer, and the practice cluster looks at all of them again and again.
const OBJECTS_MAX: usize = 1_000;

/// Rehearses in the practice cluster.
pub(crate) struct PracticeRehearsals {
    strategies: Arc<dyn Strategies>,
    turns: Semaphore,
}

impl PracticeRehearsals {
    /// With these strategies.
    pub(crate) fn new(strategies: Arc<dyn Strategies>) -> Self {
        Self { strategies, turns: Semaphore::new(AT_ONCE) }
    }
}

#[async_trait]
impl Rehearsals for PracticeRehearsals {
    async fn rehearse(&self, staged: Staged) -> Result<Rehearsed, Fault> {
        let count = staged.new.objects.len();
        if count > OBJECTS_MAX {
            let message = format!("found {count} objects, expected {OBJECTS_MAX} at most");
            return Err(Fault::invalid("rehearsal-too-large", message));
        }
        let rehearsed = async {
            // Nobody closes it.
            let _turn = self.turns.acquire().await;
            in_a_thread(staged, self.strategies.clone()).await
        };
        tokio::time::timeout(REAL_MAX, rehearsed).await.unwrap_or_else(|_| {
            let message =
                format!("the rehearsal has not come to an end within {REAL_MAX:?} of real time");
            Err(Fault::bug("rehearsal-timeout", message))
        })
    }
}

/// Plays in a thread of its own, which ends with whoever waits for it.
async fn in_a_thread(staged: Staged, strategies: Arc<dyn Strategies>) -> Result<Rehearsed, Fault> {
    let (mut answer, answered) = oneshot::channel();
    let daemon = Handle::current();
    let work = move || {
        let mut builder = Builder::new_current_thread();
        let runtime = match builder.enable_time().start_paused(true).build() {
            Ok(runtime) => runtime,
            Err(error) => {
                // Whoever asked may be gone.
                let _ = answer.send(Err(failed(&error)));
                return;
            }
        };
        let played = std::panic::catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(async {
                tokio::select! {
                    biased;
                    () = answer.closed() => None,
                    played = Box::pin(play::play(staged, strategies, daemon)) => Some(played),
                }
            })
        }));
        // A strategy that still decides is not waited for.
        runtime.shutdown_background();
        let played = match played {
            Ok(Some(played)) => played,
            Ok(None) => return,
            Err(_) => Err(Fault::bug("rehearsal-panicked", PANICKED)),
        };
        let _ = answer.send(played);
    };
    std::thread::Builder::new()
        .name("rehearsal".to_owned())
        .spawn(work)
        .map_err(|error| failed(&error))?;
    answered.await.unwrap_or_else(|_| Err(Fault::bug("rehearsal-panicked", PANICKED)))
}

const PANICKED: &str = "deployd itself failed in the rehearsal; please report it";

fn failed(error: &std::io::Error) -> Fault {
    Fault::transient(
        "rehearsal-thread",
        format!("a thread for the rehearsal can't be had: {error}"),
    )
}

#[cfg(test)]
mod tests;
