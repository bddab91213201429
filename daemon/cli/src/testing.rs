//! What tests share: a daemon that says what it is told to, and records.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use deployd_core::deployment::{
    Deployment, DeploymentRecord, Mode, Origin, Outcome, Phase, Schedule, Step, StepKind,
    StepStatus,
};
use deployd_core::ports::LogLevel;
use deployd_core::views::{LogEntry, WatchUpdate};
use deployd_core::{Actor, DeploymentId, Digest, Timestamp};
use http::HeaderMap;

use crate::client::{Backoff, Client, ClientOptions};

/// An answer of the daemon.
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(&'static str, &'static str)>,
    body: Vec<u8>,
    /// Whether the connection breaks after the body.
    breaks: bool,
}

impl Answer {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), breaks: false }
    }

    pub(crate) fn json(status: u16, body: &impl serde::Serialize) -> Self {
        Self::new(status, serde_json::to_vec(body).unwrap())
    }

    pub(crate) fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn breaks(mut self) -> Self {
        self.breaks = true;
        self
    }
}

/// A request that the daemon has seen.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) line: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

#[derive(Clone)]
struct Script {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// A daemon that gives its answers in their order.
pub(crate) struct Daemon {
    pub(crate) url: String,
    script: Script,
}

impl Daemon {
    pub(crate) async fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        let script = Script {
            answers: Arc::new(Mutex::new(answers.into_iter().collect())),
            seen: Arc::default(),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = axum::Router::new().fallback(answer).with_state(script.clone());
        // Ends with the test's runtime.
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, script }
    }

    /// Has it give one more answer, after those that are left.
    pub(crate) fn answers(&self, answer: Answer) {
        self.script.answers.lock().unwrap().push_back(answer);
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(options(&self.url)).unwrap()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.script.seen.lock().unwrap().clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.line).collect()
    }
}

/// Without waits.
pub(crate) fn options(url: &str) -> ClientOptions {
    ClientOptions {
        backoff: Backoff {
            first: Duration::ZERO,
            longest: Duration::ZERO,
            attempts: 3,
            stream_attempts: 3,
        },
        ..ClientOptions::new(url)
    }
}

async fn answer(State(script): State<Script>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec();
    let line = format!("{} {}", parts.method, parts.uri);
    script.seen.lock().unwrap().push(Seen { line, headers: parts.headers, body });
    let next = script.answers.lock().unwrap().pop_front();
    let answer = next.unwrap_or_else(|| Answer::new(418, "the script has ended"));
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    let body = if answer.breaks {
        let chunks = [Ok(Bytes::from(answer.body)), Err(std::io::Error::other("broken"))];
        // The first chunk leaves before the connection breaks.
        let stream = futures::stream::unfold(chunks.into_iter(), |mut chunks| async move {
            tokio::task::yield_now().await;
            Some((chunks.next()?, chunks))
        });
        Body::from_stream(stream)
    } else {
        Body::from(answer.body)
    };
    response.body(body).unwrap()
}

/// A place to write to that can be looked at.
#[derive(Clone, Default)]
pub(crate) struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub(crate) fn id() -> DeploymentId {
    DeploymentId("01jd2k9x7h8f6v3q5w1n4m0zta".into())
}

/// A deployment that waits for its turn.
pub(crate) fn record() -> DeploymentRecord {
    DeploymentRecord {
        id: id(),
        environment: "shop/development".parse().unwrap(),
        number: 3,
        actor: Actor("ci".into()),
        request: deployd_core::deployment::Request {
            set: Digest::of(b"set"),
            mode: Mode::Manual,
            origin: Origin::Request,
            comment: None,
            expected_plan: None,
            confirm_replace: false,
            teardown: None,
            schedule: Schedule::default(),
        },
        queued: Timestamp(1_000_000),
        ended: None,
        phase: Phase::Queued,
        outcome: None,
        fault: None,
        deferred: None,
        yielded: None,
        work: None,
        imported: None,
    }
}

/// A deployment that has begun, with these steps.
pub(crate) fn at_work(steps: Vec<Step>) -> DeploymentRecord {
    let record = record();
    let work = Deployment {
        id: id(),
        number: 3,
        actor: record.actor.clone(),
        queued: record.queued,
        request: record.request.clone(),
        started: Timestamp(1_000_500),
        plan: Some(Digest::of(b"plan")),
        gates: Vec::new(),
        approvals: Default::default(),
        unattested: None,
        deferred: None,
        steps: steps.into(),
        destroy: Vec::new(),
        jobs: Vec::new(),
        rollout: None,
        policies: None,
        held: None,
        superseded: None,
        cancel: None,
        failure: None,
    };
    DeploymentRecord { phase: Phase::Provisioning, work: Some(work), ..record }
}

/// A step as it stands.
pub(crate) fn step(id: &str, kind: StepKind, after: &[&str], status: StepStatus) -> Step {
    let after = after.iter().map(|id| deployd_core::deployment::StepId((*id).into())).collect();
    let mut step = Step::new(&self::id(), id, kind, after);
    if status != StepStatus::Waiting {
        step.started = Some(Timestamp(1_001_000));
        step.attempts = 1;
    }
    if matches!(status, StepStatus::Succeeded | StepStatus::Failed) {
        step.ended = Some(Timestamp(1_002_500));
    }
    step.status = status;
    step
}

/// The deployment after its end.
pub(crate) fn ended(mut record: DeploymentRecord, outcome: Outcome) -> DeploymentRecord {
    record.phase = Phase::Ended;
    record.outcome = Some(outcome);
    record.ended = Some(Timestamp(1_012_000));
    record
}

pub(crate) fn log(sequence: u64, message: &str) -> LogEntry {
    LogEntry {
        sequence,
        at: Timestamp(1_000_000 + sequence),
        step: "plan".into(),
        level: LogLevel::Info,
        message: message.into(),
    }
}

pub(crate) fn update(record: Option<DeploymentRecord>, logs: &[LogEntry]) -> WatchUpdate {
    WatchUpdate { record: record.map(Box::new), rollout: None, logs: logs.to_vec() }
}

/// An event of a stream.
pub(crate) fn event(event_id: &str, update: &WatchUpdate) -> String {
    let data = serde_json::to_string(update).unwrap();
    format!("event: update\nid: {event_id}\ndata: {data}\n\n")
}
