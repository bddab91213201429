//! The demo's receiver of webhooks: what CI would run to begin its tests once
//! something is deployed. It checks signatures as any receiver should.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use serde::Serialize;
use serde_json::Value;
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The most deliveries that are remembered: a demo has a handful.
const DELIVERIES_MAX: usize = 1_000;

/// A delivery whose signature is right.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Delivery {
    /// `webhook-id`.
    pub(crate) id: String,
    /// `deployment.succeeded`.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// The whole body.
    pub(crate) body: Value,
}

struct Shared {
    key: Vec<u8>,
    deliveries: Mutex<Vec<Delivery>>,
    count: watch::Sender<usize>,
}

/// A receiver on loopback.
pub(crate) struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

impl Receiver {
    /// Starts to receive. `key` is what signatures are made with.
    pub(crate) async fn start(key: Vec<u8>) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared =
            Arc::new(Shared { key, deliveries: Mutex::default(), count: watch::Sender::new(0) });
        let router =
            axum::Router::new().route("/deployd", post(receive)).with_state(shared.clone());
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::warn!(%error, "the demo's receiver has ended");
            }
        });
        Ok(Self { address, shared, server })
    }

    /// Where webhooks go.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/deployd", self.address)
    }

    /// Waits until a delivery of this type about this deployment has come.
    pub(crate) async fn received(&self, kind: &str, deployment: &str) -> Option<Delivery> {
        let mut count = self.shared.count.subscribe();
        loop {
            count.mark_unchanged();
            let found = self.deliveries().into_iter().find(|delivery| {
                delivery.kind == kind && delivery.body.to_string().contains(deployment)
            });
            if found.is_some() {
                return found;
            }
            count.changed().await.ok()?;
        }
    }

    /// What has come so far.
    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        self.shared.deliveries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn receive(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    let (id, time) = (text("webhook-id"), text("webhook-timestamp"));
    if !is_signed(&shared.key, id, time, &body, text("webhook-signature")) {
        return StatusCode::UNAUTHORIZED;
    }
    let Ok(body) = serde_json::from_slice::<Value>(&body) else { return StatusCode::BAD_REQUEST };
    let kind = body.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut deliveries = shared.deliveries.lock().unwrap_or_else(PoisonError::into_inner);
    // At least once means that the same may come twice.
    if deliveries.len() < DELIVERIES_MAX && !deliveries.iter().any(|known| known.id == id) {
        deliveries.push(Delivery { id: id.to_owned(), kind, body });
    }
    shared.count.send_replace(deliveries.len());
    StatusCode::NO_CONTENT
}

/// Whether one of the signatures is ours.
fn is_signed(key: &[u8], id: &str, time: &str, body: &[u8], signatures: &str) -> bool {
    signatures.split(' ').any(|signature| {
        let Some(encoded) = signature.strip_prefix("v1,") else { return false };
        let Ok(bytes) = STANDARD.decode(encoded) else { return false };
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return false };
        mac.update(format!("{id}.{time}.").as_bytes());
        mac.update(body);
        mac.verify_slice(&bytes).is_ok()
    })
}
