//! Two lanes for calls, so that those who take long are in nobody's way.
//!
//! A call begins in the *quick* lane: on its caller's own thread, at once. Most
//! end there, within microseconds. One that has used a few milliseconds of
//! processor time when the epoch ticks is taken out, in the middle of what it
//! does, and goes on in the *slow* lane: a few threads, for at most half of the processors, that the system
//! prefers others to. Whoever took long in its last call, or broke its contract,
//! begins the next one there.
//!
//! So a guest that loops holds one of the executor's threads for one tick, once,
//! and with however many others of its kind never more than half of the machine.
//! Each lane has its own places: those who wait for the slow lane keep none of
//! the quick one.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use rustix::time::ClockId;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use crate::limits;
use crate::record::CallRecord;

/// The lanes, and their places.
#[derive(Debug)]
pub(crate) struct Lanes {
    quick: Arc<Semaphore>,
    slow: Arc<Semaphore>,
    handle: Handle,
    /// Always there, but while it is dropped.
    runtime: Option<Runtime>,
}

/// Which lane a plugin's next call begins in.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    slow: AtomicBool,
}

impl Pace {
    /// Learns from a call.
    pub(crate) fn learn(&self, cpu: Duration, broken: bool) {
        self.slow.store(broken || cpu > limits::QUICK_CPU, Ordering::Relaxed);
    }

    /// Whether the next call begins in the slow lane.
    pub(crate) fn is_slow(&self) -> bool {
        self.slow.load(Ordering::Relaxed)
    }
}

/// A place in a lane, and one of the plugin's own.
#[derive(Debug)]
pub(crate) struct Place {
    own: Option<OwnedSemaphorePermit>,
    lane: Lane,
}

#[derive(Debug)]
enum Lane {
    Quick(OwnedSemaphorePermit),
    Slow(OwnedSemaphorePermit),
}

/// Why a call is not driven to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Undriven {
    /// The slow lane has no place for it.
    Crowded,
    /// The host is being dropped.
    Stopped,
}

/// A call on its way.
pub(crate) type Driven<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl Lanes {
    /// Starts the threads of the slow lane.
    pub(crate) fn new() -> io::Result<Self> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads((processors / 2).max(1))
            .thread_name("plugin-slow")
            .on_thread_start(|| {
                // Of this thread alone. Without it, slow calls are only less kind.
                if let Err(error) = rustix::process::nice(limits::SLOW_NICE) {
                    tracing::debug!(%error, "slow calls are as urgent as others");
                }
            })
            .enable_all()
            .build()?;
        Ok(Self {
            quick: Arc::new(Semaphore::new(limits::CALLS)),
            slow: Arc::new(Semaphore::new(limits::SLOW_CALLS)),
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
        })
    }

    /// Waits for a place: the plugin's own first, for whoever waits for it must
    /// not hold one that another plugin could use.
    pub(crate) async fn place(&self, own: Option<&Arc<Semaphore>>, slow: bool) -> Option<Place> {
        // Semaphores are never closed, so these are always had in the end.
        let own = match own {
            Some(own) => Some(Arc::clone(own).acquire_owned().await.ok()?),
            None => None,
        };
        let lane = if slow {
            Lane::Slow(Arc::clone(&self.slow).acquire_owned().await.ok()?)
        } else {
            Lane::Quick(Arc::clone(&self.quick).acquire_owned().await.ok()?)
        };
        Some(Place { own, lane })
    }

    /// Drives a call to its end. A call that has to change lanes, and finds no
    /// place within `patience`, is dropped.
    pub(crate) async fn drive<T: Send + 'static>(
        &self,
        place: Place,
        record: &Arc<CallRecord>,
        patience: Duration,
        mut call: Driven<T>,
    ) -> Result<T, Undriven> {
        let Place { own, lane } = place;
        let slow = match lane {
            Lane::Slow(slow) => slow,
            Lane::Quick(quick) => {
                let ended = poll_fn(|context| {
                    let polled = record.working(|| call.as_mut().poll(context));
                    match polled {
                        Poll::Ready(value) => Poll::Ready(Some(value)),
                        // Not the epoch, which goes on while others have the processor.
                        Poll::Pending if record.cpu() > limits::QUICK_CPU => Poll::Ready(None),
                        Poll::Pending => Poll::Pending,
                    }
                })
                .await;
                if let Some(value) = ended {
                    return Ok(value);
                }
                let next = Arc::clone(&self.slow).acquire_owned();
                let next = tokio::time::timeout(patience, next).await;
                drop(quick);
                next.ok().and_then(Result::ok).ok_or(Undriven::Crowded)?
            }
        };
        let record = Arc::clone(record);
        let mut driven = AbortOnDrop(self.handle.spawn(async move {
            // Held until the guest is gone, also when nobody waits for it any more.
            let _places = (own, slow);
            poll_fn(|context| record.working(|| call.as_mut().poll(context))).await
        }));
        (&mut driven.0).await.map_err(|_| Undriven::Stopped)
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Without waiting: this may be a thread that must not.
            runtime.shutdown_background();
        }
    }
}

/// A call that nobody waits for any more ends.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Processor time of the calling thread.
pub(crate) fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}
