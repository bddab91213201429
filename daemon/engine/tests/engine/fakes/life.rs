//! A process that may end at any point: before and after everything that can
//! be seen from outside.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

#[derive(Clone, Default)]
pub struct Life(Arc<State>);

#[derive(Default)]
struct State {
    /// The number of the point to die at; points are counted from 1.
    crash_at: usize,
    passed: AtomicUsize,
    dead: AtomicBool,
    died: Notify,
    last: Mutex<String>,
}

impl Life {
    /// A process that does not crash.
    pub fn long() -> Self {
        Self::default()
    }

    /// Whether it goes on until somebody ends it.
    pub fn is_long(&self) -> bool {
        self.0.crash_at == 0
    }

    /// A process that crashes at its n-th point.
    pub fn ending_at(point: usize) -> Self {
        Self(Arc::new(State { crash_at: point, ..State::default() }))
    }

    /// A place where the process may end. Nothing of a dead process goes on.
    pub async fn point(&self, name: &str) {
        if !self.0.dead.load(Ordering::SeqCst) {
            let number = self.0.passed.fetch_add(1, Ordering::SeqCst) + 1;
            if number != self.0.crash_at {
                return;
            }
            *self.0.last.lock().unwrap() = name.to_owned();
            self.kill();
        }
        std::future::pending::<()>().await;
    }

    /// The process ends here.
    pub async fn end(&self, name: &str) {
        *self.0.last.lock().unwrap() = name.to_owned();
        self.kill();
        std::future::pending::<()>().await;
    }

    /// A place that a dead process does not pass, and where it does not die:
    /// what is only read leaves no trace.
    pub async fn alive(&self) {
        if self.0.dead.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }

    /// Ends the process.
    pub fn kill(&self) {
        self.0.dead.store(true, Ordering::SeqCst);
        self.0.died.notify_one();
    }

    pub async fn died(&self) {
        self.0.died.notified().await;
    }

    pub fn is_dead(&self) -> bool {
        self.0.dead.load(Ordering::SeqCst)
    }

    /// Where it has died.
    pub fn last(&self) -> String {
        self.0.last.lock().unwrap().clone()
    }

    /// How many points were passed.
    pub fn passed(&self) -> usize {
        self.0.passed.load(Ordering::SeqCst)
    }
}
