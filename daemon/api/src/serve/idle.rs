//! Connections on which nothing is asked.
//!
//! HTTP/1 has a deadline for the head of the next request. HTTP/2 has none, and a
//! client that answers signs of life could keep a connection for ever.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use futures::future::BoxFuture;
use http_body_util::BodyExt as _;
use tokio::sync::watch;
use tokio::time::timeout;
use tower::Service;

/// How many requests of a connection are being answered.
#[derive(Clone, Default)]
pub(super) struct Requests(Arc<watch::Sender<usize>>);

/// A request that is being answered, until the last byte of its answer.
struct Held(Requests);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

impl Requests {
    fn begin(&self) -> Held {
        self.0.send_modify(|count| *count = count.saturating_add(1));
        Held(self.clone())
    }

    /// Waits until there was no request for so long.
    pub(super) async fn idle(&self, within: Duration) {
        let mut count = self.0.subscribe();
        loop {
            // The sender is here, so that there is nothing that could fail.
            let _ = count.wait_for(|count| *count == 0).await;
            if timeout(within, count.wait_for(|count| *count > 0)).await.is_err() {
                return;
            }
        }
    }

    /// A service whose requests are counted.
    pub(super) fn counted<S>(&self, inner: S) -> Counted<S> {
        Counted { inner, requests: self.clone() }
    }
}

/// See [`Requests::counted`].
#[derive(Clone)]
pub(super) struct Counted<S> {
    inner: S,
    requests: Requests,
}

impl<S, B> Service<Request<B>> for Counted<S>
where
    S: Service<Request<B>, Response = Response>,
    S::Future: Send + 'static,
    S::Error: 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let held = self.requests.begin();
        let answered = self.inner.call(request);
        Box::pin(async move {
            let response = answered.await?;
            Ok(response.map(|body| {
                Body::new(body.map_frame(move |frame| {
                    let _held = &held;
                    frame
                }))
            }))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_when_its_last_answer_is_sent_and_nothing_follows() {
        let minute = Duration::from_secs(60);
        let requests = Requests::default();
        let first = requests.begin();
        let second = requests.begin();
        // Time passes by itself: the clock is paused, and nothing else happens.
        assert!(timeout(minute * 60, requests.idle(minute)).await.is_err());
        drop(first);
        assert!(timeout(minute * 60, requests.idle(minute)).await.is_err());
        drop(second);
        assert!(timeout(minute / 2, requests.idle(minute)).await.is_err());
        assert!(timeout(minute * 2, requests.idle(minute)).await.is_ok());
    }
}
