//! Many applications with one workload each, and clients that announce images
//! for them without giving up.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use deployd_practice::{Practice, PracticeOptions};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::client::Client;
use crate::daemon::{Daemon, Start};
use crate::program::Build;
use crate::receiver::Receiver;
use crate::sample;
use crate::stage::SIGNING_SECRET;

/// Applications, each with one environment.
pub(crate) const APPLICATIONS: usize = 16;

/// A workload without resources: what counts here is how often, not how much.
const WORKLOAD: &str = "\
apiVersion: score.dev/v1b1
metadata: {name: web}
containers: {web: {image: .}}
";

/// A daemon to which the applications were applied, and what is around it.
pub(crate) struct Yard {
    pub(crate) start: Start,
    pub(crate) receiver: Receiver,
    pub(crate) practice: Practice,
    folder: TempDir,
}

impl Yard {
    /// Applies everything; the daemon that it gives runs.
    pub(crate) async fn set(change: impl FnOnce(Start) -> Start) -> (Self, Daemon) {
        let folder = tempfile::tempdir().unwrap();
        let practice = Practice::start(PracticeOptions::new()).await.unwrap();
        let receiver = Receiver::start().await;
        let start = change(Start::new(Build::Plain, folder.path()));
        let daemon = start.ready().await;
        let client = daemon.client();
        for (name, value) in
            [("demo-cluster", practice.kubeconfig()), ("ci-webhook", SIGNING_SECRET.to_owned())]
        {
            client.put(&format!("/v1/secrets/{name}"), value).await.ok();
        }
        client.post("/v1/documents:apply", &documents(receiver.url())).await.ok();
        (Self { start, receiver, practice, folder }, daemon)
    }

    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }
}

/// The platform's documents of the sample, and our applications.
fn documents(webhook: &str) -> Value {
    let sample = sample::documents(webhook);
    let platform = |file: &&Value| {
        let path = file["path"].as_str().unwrap();
        ["definitions", "environment-type", "plugins"].iter().any(|name| path.contains(name))
    };
    let mut files: Vec<Value> =
        sample["files"].as_array().unwrap().iter().filter(platform).cloned().collect();
    files.push(json!({"path": "web.yaml", "text": WORKLOAD}));
    let applications: Vec<String> =
        (0..APPLICATIONS).map(|number| application(number, webhook)).collect();
    files.push(json!({"path": "applications.yaml", "text": applications.join("---\n")}));
    json!({"files": files})
}

fn application(number: usize, webhook: &str) -> String {
    format!(
        "\
apiVersion: deployd.dev/v1
kind: Application
metadata: {{name: load-{number}}}
spec:
  workloads: [web]
  artifacts: [{{repository: registry.example.com/load/{number}, workload: web}}]
  flow: [{{environment: development, automatic: {{ref: refs/heads/main}}}}]
---
apiVersion: deployd.dev/v1
kind: Environment
metadata: {{name: development}}
spec: {{application: load-{number}, type: development}}
---
apiVersion: deployd.dev/v1
kind: Subscription
metadata: {{name: load-{number}}}
spec:
  notifier: webhook
  application: load-{number}
  events: [deployment.succeeded]
  config: {{url: \"{webhook}\"}}
  privateAddress: true
  signingSecret: ci-webhook
"
    )
}

/// What was answered, by key.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    answers: Mutex<BTreeMap<String, String>>,
    /// Answers so far.
    pub(crate) count: AtomicUsize,
    /// Requests that were sent again with an old key, and answered the same.
    pub(crate) repeats: AtomicUsize,
    stop: AtomicBool,
}

impl Ledger {
    /// The deployments that were promised.
    pub(crate) fn promised(&self) -> Vec<String> {
        let answers = self.answers.lock().unwrap();
        answers.values().map(|text| deployment(text)).collect()
    }

    fn record(&self, key: &str, text: String) {
        let mut answers = self.answers.lock().unwrap();
        match answers.get(key) {
            Some(first) => {
                assert_eq!(*first, text, "the same key, another answer: {key}");
                self.repeats.fetch_add(1, Ordering::Relaxed);
            }
            None => {
                answers.insert(key.to_owned(), text);
                self.count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

fn deployment(answer: &str) -> String {
    let answer: Value = serde_json::from_str(answer).unwrap();
    let id = answer["routes"][0]["deployment"].as_str();
    id.unwrap_or_else(|| panic!("{answer:#}")).to_owned()
}

/// Clients that announce one image after the other until they are stopped.
pub(crate) struct Clients {
    pub(crate) ledger: Arc<Ledger>,
    tasks: JoinSet<()>,
}

/// Every so many requests, an old one is sent again.
const REPEAT_EVERY: usize = 8;

impl Clients {
    /// Starts so many.
    pub(crate) fn start(number: usize, client: &Client) -> Self {
        let ledger = Arc::new(Ledger::default());
        let mut tasks = JoinSet::new();
        for place in 0..number {
            tasks.spawn(announce(place, client.clone(), ledger.clone()));
        }
        Self { ledger, tasks }
    }

    /// Lets every client have its last answer.
    pub(crate) async fn stop(mut self) -> Arc<Ledger> {
        self.ledger.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        self.ledger
    }

    /// Fails when a client has: what it found would be reported only at the end.
    pub(crate) async fn check(&mut self) {
        if let Some(ended) = self.tasks.try_join_next() {
            ended.unwrap();
            panic!("a client has ended");
        }
    }
}

async fn announce(place: usize, client: Client, ledger: Arc<Ledger>) {
    for number in 0.. {
        if ledger.stop.load(Ordering::Relaxed) {
            return;
        }
        let again = number % REPEAT_EVERY == REPEAT_EVERY - 1;
        let number = if again { number - 1 } else { number };
        let key = format!("{place}-{number}");
        let image = json!({
            "repository": format!("registry.example.com/load/{}", place % APPLICATIONS),
            "digest": format!("sha256:{place:032x}{number:032x}"),
            "ref": "refs/heads/main",
        });
        let text = answered(&client, &key, &image).await;
        ledger.record(&key, text);
    }
}

/// Sends until there is an answer: the daemon may be away.
async fn answered(client: &Client, key: &str, image: &Value) -> String {
    loop {
        let request = client.request(Method::POST, "/v1/artifacts");
        match Client::try_send(request.header("Idempotency-Key", key).json(image)).await {
            Ok(answer) if answer.status == 200 => return answer.text,
            Ok(answer) if [429, 503, 507].contains(&answer.status) => {}
            Ok(answer) => panic!("{} {}", answer.status, answer.text),
            Err(_) => {}
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
