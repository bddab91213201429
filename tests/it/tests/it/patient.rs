//! A client that does not give up, and a daemon that is started again when it
//! was killed.

use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use crate::client::{Answer, Client};
use crate::daemon::{Daemon, Start, was_killed};

pub(crate) struct Patient {
    pub(crate) start: Start,
    pub(crate) daemon: Daemon,
    /// How often the daemon was killed.
    pub(crate) crashes: u32,
    /// Whether this daemon has been ready.
    ready: bool,
}

impl Patient {
    /// Begins with a daemon that was just started; those after it are started as
    /// `start` says.
    pub(crate) fn new(daemon: Daemon, start: Start) -> Self {
        Self { start, daemon, crashes: 0, ready: false }
    }

    /// Sees to it that the daemon runs and is ready.
    pub(crate) async fn up(&mut self) {
        while self.daemon.ended().is_some() || !(self.ready || self.daemon.is_ready().await) {
            self.again();
        }
        self.ready = true;
    }

    /// Starts it again, after it was killed.
    pub(crate) fn again(&mut self) {
        let status = self.daemon.ended().unwrap();
        assert!(was_killed(status), "it ended by itself, {status}:\n{}", self.daemon.log());
        self.crashes += 1;
        (self.daemon, self.ready) = (self.start.spawn(), false);
    }

    /// Asks until there is an answer.
    pub(crate) async fn ask(&mut self, request: impl Fn(&Client) -> RequestBuilder) -> Answer {
        loop {
            self.up().await;
            match Client::try_send(request(&self.daemon.client())).await {
                Ok(answer) if answer.status != 503 => return answer,
                Ok(_) | Err(_) => tokio::task::yield_now().await,
            }
        }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Value {
        self.ask(|client| client.request(Method::GET, path)).await.ok()
    }

    /// The same key again gives the same answer again.
    pub(crate) async fn post(&mut self, path: &str, key: &str, body: &Value) -> Answer {
        let request = |client: &Client| {
            client.request(Method::POST, path).header("Idempotency-Key", key).json(body)
        };
        self.ask(request).await
    }

    /// Sets a secret.
    pub(crate) async fn secret(&mut self, name: &str, value: &str) {
        let path = format!("/v1/secrets/{name}");
        let request = |client: &Client| {
            let request = client.request(Method::PUT, &path);
            request.header("Idempotency-Key", name).body(value.to_owned())
        };
        self.ask(request).await.ok();
    }

    /// Waits until a deployment has ended; gives its record.
    pub(crate) async fn ended(&mut self, id: &str) -> Value {
        loop {
            let record = self.get(&format!("/v1/deployments/{id}")).await;
            if record["outcome"].is_string() {
                return record;
            }
            pause().await;
        }
    }
}

/// Between two looks.
pub(crate) async fn pause() {
    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
}
