//! Services that are told of deployments, as far as notifiers use them: chat, a forge,
//! and whoever takes a POST. On loopback.

use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A request that came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) path: String,
    /// The header `authorization`, or nothing.
    pub(crate) authorization: String,
    pub(crate) content_type: String,
    pub(crate) body: Value,
}

type All = Arc<Mutex<Vec<Asked>>>;

/// Serves until it is dropped.
pub(crate) struct Services {
    pub(crate) port: u16,
    asked: All,
    server: JoinHandle<()>,
}

impl Services {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = All::default();
        let router = axum::Router::new().fallback(answer).with_state(asked.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { port, asked, server }
    }

    /// The URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// What `hosts` of a subscription says of them, with the secret for their requests.
    pub(crate) fn host(&self, secret: &str) -> Value {
        json!({"host": "127.0.0.1", "port": self.port, "scheme": "http", "privateAddress": true,
            "credential": {"secret": secret}})
    }

    /// What was asked below a path, in order.
    pub(crate) fn asked(&self, below: &str) -> Vec<Asked> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|asked| asked.path.starts_with(below)).cloned().collect()
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(
    State(all): State<All>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    let header = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let path = uri.path().to_owned();
    let mut all = all.lock().unwrap();
    all.push(Asked {
        path: path.clone(),
        authorization: header("authorization"),
        content_type: header("content-type"),
        body: serde_json::from_slice(&body).unwrap(),
    });
    let (status, said) = match path.as_str() {
        "/slack/chat.postMessage" => {
            (200, json!({"ok": true, "channel": "C1", "ts": format!("1.{}", all.len())}))
        }
        "/slack/chat.update" => (200, json!({"ok": true})),
        path if path.ends_with("/deployments") => (201, json!({"id": 7})),
        path if path.ends_with("/statuses") => (201, json!({"id": 8})),
        _ => (202, json!({})),
    };
    (StatusCode::from_u16(status).unwrap(), said.to_string())
}
