//! Callers of hostile plugins.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::stage::Stage;

/// What an engine that tries again at once would wait.
const PAUSE: Duration = Duration::from_millis(1);

/// Callers that go round all hostile plugins, each with another one at a time.
pub(crate) struct Crowd(JoinSet<()>);

impl Crowd {
    /// Lets so many of them loose.
    pub(crate) fn let_loose(stage: &Stage, callers: usize) -> Self {
        let next = Arc::new(AtomicUsize::new(0));
        let mut crowd = JoinSet::new();
        for _ in 0..callers {
            let (next, hostile) = (Arc::clone(&next), stage.caller());
            crowd.spawn(async move {
                loop {
                    hostile.call(next.fetch_add(1, Ordering::Relaxed)).await;
                    tokio::time::sleep(PAUSE).await;
                }
            });
        }
        Self(crowd)
    }

    /// Ends all of them, in the middle of what they do.
    pub(crate) async fn end(mut self) {
        self.0.shutdown().await;
    }
}
