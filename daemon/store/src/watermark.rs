//! How far the store has come, and whether it has stopped.

use deployd_core::ports::StoreError;
use tokio::sync::watch;

#[derive(Debug, Default)]
struct Mark {
    end: u64,
    stopped: Option<String>,
}

/// The end of the feed, and why the store has stopped if it has; both can be
/// waited for. Clones are the same mark.
#[derive(Debug, Clone)]
pub(crate) struct Watermark(watch::Sender<Mark>);

impl Watermark {
    pub(crate) fn new(end: u64) -> Self {
        Self(watch::Sender::new(Mark { end, stopped: None }))
    }

    /// The feed has come so far, and this is on stable storage.
    pub(crate) fn grown(&self, end: u64) {
        self.0.send_if_modified(|mark| {
            let grown = end > mark.end;
            mark.end = mark.end.max(end);
            grown
        });
    }

    /// Nothing is accepted any more. The first reason stays.
    pub(crate) fn stop(&self, reason: &str) {
        self.0.send_if_modified(|mark| {
            if mark.stopped.is_some() {
                return false;
            }
            mark.stopped = Some(reason.to_owned());
            true
        });
    }

    /// Fails with [`StoreError::Stopped`] once the store has stopped.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        match &self.0.borrow().stopped {
            Some(reason) => Err(StoreError::Stopped(reason.clone())),
            None => Ok(()),
        }
    }

    /// Waits until the feed ends after a position; returns its end. Fails with
    /// [`StoreError::Stopped`] when it will not grow any more.
    pub(crate) async fn past(&self, after: u64) -> Result<u64, StoreError> {
        let mut marks = self.0.subscribe();
        // `self` is a sender, so that there is one as long as this waits.
        let mark = marks.wait_for(|mark| mark.end > after || mark.stopped.is_some()).await;
        match mark {
            Ok(mark) if mark.end > after => Ok(mark.end),
            Ok(mark) => Err(StoreError::Stopped(mark.stopped.clone().unwrap_or_default())),
            Err(_) => Err(StoreError::Stopped("it was closed".to_owned())),
        }
    }

    /// Waits until the store stops; returns why.
    pub(crate) async fn stopped(&self) -> String {
        let mut marks = self.0.subscribe();
        match marks.wait_for(|mark| mark.stopped.is_some()).await {
            Ok(mark) => mark.stopped.clone().unwrap_or_default(),
            Err(_) => "it was closed".to_owned(),
        }
    }
}
