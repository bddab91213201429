//! Many applications with one workload each, and clients that announce images
//! for them without giving up.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use deployd_practice::{Practice, PracticeOptions};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::client::Client;
use crate::compiled;
use crate::daemon::{Daemon, Start};
use crate::program::Build;
use crate::receiver::Receiver;
use crate::sample;
use crate::stage::SIGNING_SECRET;
use crate::wait::GUARD;

/// Applications, each with one environment.
pub(crate) const APPLICATIONS: usize = 16;

/// A daemon to which the applications were applied, and what is around it.
pub(crate) struct Yard {
    pub(crate) start: Start,
    pub(crate) receiver: Receiver,
    _practice: Practice,
    _folder: TempDir,
}

impl Yard {
    /// Applies everything; the daemon that it gives runs, and tells the receiver.
    pub(crate) async fn set(change: impl FnOnce(Start) -> Start) -> (Self, Daemon) {
        let receiver = Receiver::start().await;
        let url = receiver.url().to_owned();
        Self::with(receiver, &url, change).await
    }

    /// The same with a daemon that tells another receiver.
    pub(crate) async fn telling(url: &str, change: impl FnOnce(Start) -> Start) -> (Self, Daemon) {
        Self::with(Receiver::start().await, url, change).await
    }

    async fn with(
        receiver: Receiver,
        url: &str,
        change: impl FnOnce(Start) -> Start,
    ) -> (Self, Daemon) {
        let folder = tempfile::tempdir().unwrap();
        let practice = Practice::start(PracticeOptions::new()).await.unwrap();
        let start = change(Start::new(Build::Plain, folder.path()).without_limits());
        compiled::give(&start.data);
        let daemon = start.ready().await;
        apply(&daemon.client(), &practice, url).await;
        (Self { start, receiver, _practice: practice, _folder: folder }, daemon)
    }
}

/// Applies the applications to a daemon that has nothing yet.
pub(crate) async fn apply(client: &Client, practice: &Practice, webhook: &str) {
    for (name, value) in
        [("demo-cluster", practice.kubeconfig()), ("ci-webhook", SIGNING_SECRET.to_owned())]
    {
        client.put(&format!("/v1/secrets/{name}"), value).await.ok();
    }
    client.post("/v1/documents:apply", &documents(webhook)).await.ok();
}

/// Waits until nothing runs, waits or is to be told.
pub(crate) async fn settled(client: &Client) {
    let begun = Instant::now();
    while busy(client).await
        || client.get("/v1/notifications?status=pending").await.ok() != json!([])
    {
        assert!(begun.elapsed() < 2 * GUARD, "it does not come to rest");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn busy(client: &Client) -> bool {
    let environments = client.get("/v1/environments").await.ok();
    environments.as_array().unwrap().iter().any(|environment| {
        let state = &environment["state"];
        let waits = state["queue"].as_array().is_some_and(|queue| !queue.is_empty());
        waits || !state["active"].is_null()
    })
}

/// The names of all deployments on record, in order of name.
pub(crate) async fn deployments(client: &Client) -> Vec<String> {
    let (mut ids, mut page) = (Vec::new(), "/v1/deployments?limit=100".to_owned());
    loop {
        let answer = client.get(&page).await.ok();
        let list = answer["deployments"].as_array().unwrap();
        ids.extend(list.iter().map(|record| record["id"].as_str().unwrap().to_owned()));
        let Some(next) = answer["next"].as_str() else { break };
        page = format!("/v1/deployments?limit=100&cursor={next}");
    }
    ids.sort();
    ids
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
    let applications: Vec<String> =
        (0..APPLICATIONS).map(|number| application(number, webhook)).collect();
    files.push(json!({"path": "applications.yaml", "text": applications.join("---\n")}));
    json!({"files": files})
}

fn application(number: usize, webhook: &str) -> String {
    // A workload without resources: what counts here is how often, not how much.
    format!(
        "\
apiVersion: score.dev/v1b1
metadata: {{name: web-{number}}}
containers: {{web: {{image: .}}}}
---
apiVersion: deployd.dev/v1
kind: Application
metadata: {{name: load-{number}}}
spec:
  workloads: [web-{number}]
  artifacts: [{{repository: registry.example.com/load/{number}, workload: web-{number}}}]
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

/// An image of an application, as CI announces it.
pub(crate) fn image(application: usize, number: usize) -> Value {
    json!({
        "repository": format!("registry.example.com/load/{application}"),
        "digest": format!("sha256:{number:064x}"),
        "ref": "refs/heads/main",
    })
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
        let mut image = image(place % APPLICATIONS, number);
        image["digest"] = format!("sha256:{place:032x}{number:032x}").into();
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
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
