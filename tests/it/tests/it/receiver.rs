//! A receiver of webhooks, on loopback.

use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A request that came, repeats among them.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    /// `webhook-id`.
    pub(crate) id: String,
    /// `deployment.succeeded`.
    pub(crate) kind: String,
    pub(crate) body: Value,
    /// Headers and body, as they came.
    pub(crate) text: String,
}

type Deliveries = Arc<Mutex<Vec<Delivery>>>;

/// Receives until it is dropped.
#[derive(Debug)]
pub(crate) struct Receiver {
    url: String,
    deliveries: Deliveries,
    server: JoinHandle<()>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/deployd", listener.local_addr().unwrap());
        let deliveries = Deliveries::default();
        let router =
            axum::Router::new().route("/deployd", post(receive)).with_state(deliveries.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, deliveries, server }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        self.deliveries.lock().unwrap().clone()
    }

    /// Forgets what has come.
    pub(crate) fn clear(&self) {
        self.deliveries.lock().unwrap().clear();
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn receive(
    State(deliveries): State<Deliveries>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let text = format!("{headers:?}\n{}", String::from_utf8_lossy(&body));
    let Ok(body) = serde_json::from_slice::<Value>(&body) else { return StatusCode::BAD_REQUEST };
    let id = headers["webhook-id"].to_str().unwrap().to_owned();
    let kind = body["type"].as_str().unwrap_or_default().to_owned();
    deliveries.lock().unwrap().push(Delivery { id, kind, body, text });
    StatusCode::NO_CONTENT
}
