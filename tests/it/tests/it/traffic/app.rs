//! A small HTTP application that tells Prometheus what it does.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// Upper bounds of the histogram's buckets, in seconds.
const BUCKETS: [f64; 6] = [0.01, 0.025, 0.05, 0.1, 0.25, 1.0];

/// How a version answers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    /// One of so many requests fails; none for 0.
    pub(super) fails: u64,
    /// How long it takes to answer.
    pub(super) takes: Duration,
}

impl Manner {
    pub(super) const WELL: Self = Self { fails: 0, takes: Duration::from_millis(5) };
    pub(super) const FAILING: Self = Self { fails: 2, ..Self::WELL };
    pub(super) const SLOW: Self = Self { takes: Duration::from_millis(150), ..Self::WELL };
}

/// How versions answer that do not answer well.
#[derive(Debug, Clone, Default)]
pub(super) struct Manners(Arc<Mutex<BTreeMap<char, Manner>>>);

impl Manners {
    pub(super) fn set(&self, version: char, manner: Manner) {
        self.0.lock().unwrap().insert(version, manner);
    }

    fn of(&self, version: char) -> Manner {
        self.0.lock().unwrap().get(&version).copied().unwrap_or(Manner::WELL)
    }
}

/// What was answered so far.
#[derive(Debug, Default)]
struct Counted {
    well: u64,
    failed: u64,
    seconds: f64,
    buckets: [u64; BUCKETS.len()],
}

struct Served {
    version: char,
    manners: Manners,
    counted: Mutex<Counted>,
}

/// Serves until it is dropped, and then what was begun.
#[derive(Debug)]
pub(super) struct App {
    _ends: oneshot::Sender<()>,
}

impl App {
    pub(super) async fn start(at: SocketAddr, version: char, manners: Manners) -> Self {
        let served = Arc::new(Served { version, manners, counted: Mutex::default() });
        let listener = TcpListener::bind(at).await.unwrap();
        let router = Router::new()
            .route("/", get(answer))
            .route("/metrics", get(metrics))
            .with_state(served);
        let (ends, ended) = oneshot::channel::<()>();
        let end = async move {
            let _ = ended.await;
        };
        tokio::spawn(axum::serve(listener, router).with_graceful_shutdown(end).into_future());
        Self { _ends: ends }
    }
}

async fn answer(State(served): State<Arc<Served>>) -> (StatusCode, String) {
    let began = Instant::now();
    let manner = served.manners.of(served.version);
    tokio::time::sleep(manner.takes).await;
    let mut counted = served.counted.lock().unwrap();
    let number = counted.well + counted.failed + 1;
    let status = match manner.fails {
        0 => StatusCode::OK,
        every if number.is_multiple_of(every) => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::OK,
    };
    if status == StatusCode::OK {
        counted.well += 1;
    } else {
        counted.failed += 1;
    }
    let took = began.elapsed().as_secs_f64();
    counted.seconds += took;
    for (bound, count) in BUCKETS.iter().zip(&mut counted.buckets) {
        *count += u64::from(took <= *bound);
    }
    (status, served.version.to_string())
}

/// In the text format of Prometheus. Both codes from the start: a ratio of what
/// is not there is no data.
async fn metrics(State(served): State<Arc<Served>>) -> String {
    let counted = served.counted.lock().unwrap();
    let all = counted.well + counted.failed;
    let mut text = format!(
        "# TYPE requests_total counter\nrequests_total{{code=\"200\"}} {}\n\
         requests_total{{code=\"500\"}} {}\n# TYPE request_duration_seconds histogram\n",
        counted.well, counted.failed
    );
    for (bound, count) in BUCKETS.iter().zip(&counted.buckets) {
        writeln!(text, "request_duration_seconds_bucket{{le=\"{bound}\"}} {count}").unwrap();
    }
    writeln!(text, "request_duration_seconds_bucket{{le=\"+Inf\"}} {all}").unwrap();
    writeln!(text, "request_duration_seconds_sum {}", counted.seconds).unwrap();
    writeln!(text, "request_duration_seconds_count {all}").unwrap();
    text
}
