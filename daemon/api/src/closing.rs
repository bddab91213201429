//! Tells streams that never end by themselves that the daemon does.

use std::sync::Arc;

use tokio::sync::watch;

/// Whether a shutdown has begun.
#[derive(Debug, Clone)]
pub(crate) struct Closing(Arc<watch::Sender<bool>>);

impl Default for Closing {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}

impl Closing {
    /// A shutdown begins.
    pub(crate) fn begin(&self) {
        self.0.send_replace(true);
    }

    /// Waits until a shutdown begins.
    pub(crate) fn begun(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut changes = self.0.subscribe();
        async move {
            // The sender being gone means the same.
            let _ = changes.wait_for(|closing| *closing).await;
        }
    }
}
