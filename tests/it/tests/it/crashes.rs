//! The daemon, killed with SIGKILL at every write and at every effect: it is
//! started again on the same data, its client repeats what was not answered,
//! and everything must come to the same end as without.
//!
//! `DEPLOYD_TEST_CRASH=effect:5:after` repeats that place alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use deployd_practice::{Practice, PracticeOptions};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::Answer;
use crate::compiled;
use crate::crashes_pulled::Pulled;
use crate::daemon::{Start, free_port};
use crate::patient::{Patient, pause};
use crate::program::{Build, deployd};
use crate::receiver::Receiver;
use crate::sample;
use crate::stage::{ENVIRONMENT, SIGNING_SECRET, begun, image_of};
use crate::wait::{GUARD, until};

/// Points that are tried at the same time: CI has two cores.
const LANES: usize = 2;

/// The token of practice clusters, which come back with it.
const PRACTICE_TOKEN: &str = "practice";

/// A file in the data directory, with a line for each effect that was begun.
pub(crate) const EFFECTS: &str = "effects.log";

/// Names one point, to try no other.
const ONLY: &str = "DEPLOYD_TEST_CRASH";

/// Where the crashes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum During {
    /// First start, secrets, documents.
    SetUp,
    /// From the announcement of the images to the end.
    Deployment,
}

/// A place to end at, as `DEPLOYD_CRASH_AT` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) kind: &'static str,
    pub(crate) side: &'static str,
    pub(crate) number: u64,
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.kind, self.number, self.side)
    }
}

/// The places that are left to try: of each kind and side from 1 on, until a
/// run comes to its end without having come there.
#[derive(Debug)]
struct Points {
    open: Vec<Point>,
    covered: usize,
}

impl Points {
    fn of(kinds: &[&'static str]) -> Self {
        let sides =
            |kind: &&'static str| ["before", "after"].map(|side| Point { kind, side, number: 1 });
        Self { open: kinds.iter().flat_map(sides).collect(), covered: 0 }
    }

    fn take(&mut self) -> Option<Point> {
        let next = self.open.first_mut()?;
        let taken = next.clone();
        next.number += 1;
        Some(taken)
    }

    fn came_of(&mut self, point: &Point, crashed: bool) {
        if crashed {
            self.covered += 1;
        } else {
            self.open.retain(|open| (open.kind, open.side) != (point.kind, point.side));
        }
    }
}

/// What one point after the other is tried on: addresses that stay, so that a
/// data directory that was prepared once fits to all of them.
pub(crate) struct Lane {
    pub(crate) folder: TempDir,
    cluster: PracticeOptions,
    receiver: Receiver,
    port: u16,
    /// Where the environment is pulled from, if it is.
    pulled: Option<Pulled>,
}

impl Lane {
    /// Prepares a data directory with everything applied, and nothing deployed.
    async fn prepare() -> Self {
        Self::with(|_| None).await
    }

    /// The same with an environment that is pulled, from a server in a folder.
    pub(crate) async fn with(pulled: impl FnOnce(&Path) -> Option<Pulled>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cluster = PracticeOptions::new().ports(free_port(), free_port()).token(PRACTICE_TOKEN);
        let pulled = pulled(folder.path());
        let receiver = Receiver::start().await;
        let lane = Self { folder, cluster, receiver, port: free_port(), pulled };
        let prepared = lane.folder.path().join("prepared");
        std::fs::create_dir(&prepared).unwrap();
        let practice = lane.practice().await;
        let start = lane.start(&prepared);
        compiled::give(&start.data);
        let mut session = Session::begin(start, None);
        session.set_up(&practice, &lane.receiver).await;
        if let Some(pulled) = &lane.pulled {
            session.patient.post("/v1/documents:apply", "pulled", &pulled.documents()).await.ok();
        }
        assert!(session.patient.daemon.stop().await.success(), "{}", session.patient.daemon.log());
        lane
    }

    fn start(&self, folder: &Path) -> Start {
        Start { port: self.port, ..Start::new(Build::CrashPoints, folder) }
    }

    /// A cluster with nothing in it, where the one before was.
    async fn practice(&self) -> Practice {
        until("the cluster's port is free", || Practice::start_again(&self.cluster)).await
    }

    /// The folder of a run.
    fn folder(&self, during: During) -> PathBuf {
        let folder = self.folder.path().join("run");
        if folder.exists() {
            std::fs::remove_dir_all(&folder).unwrap();
        }
        let prepared = self.folder.path().join("prepared/data");
        match during {
            During::Deployment => {
                copy(&prepared, &folder.join("data"));
                // Of the run that prepared it.
                let _ = std::fs::remove_file(folder.join("data").join(EFFECTS));
            }
            // Plugins that were compiled once need not be again.
            During::SetUp => copy(&prepared.join("cache"), &folder.join("data/cache")),
        }
        folder
    }

    /// Ends the daemon at one point and goes on from there; says whether it came
    /// to that point.
    async fn run(&self, during: During, point: &Point) -> bool {
        self.receiver.clear();
        let folder = self.folder(during);
        let practice = self.practice().await;
        let _pulls = self.pulled.as_ref().map(|pulled| pulled.begin(&practice));
        let mut session = Session::begin(self.start(&folder), Some(point));
        if during == During::SetUp {
            session.set_up(&practice, &self.receiver).await;
            if session.patient.crashes == 0 {
                return false;
            }
        }
        session.deploy(&practice, &self.receiver).await;
        if let Some(pulled) = &self.pulled {
            pulled.check();
        }
        assert!(session.patient.crashes <= 1, "it is killed only once");
        session.patient.crashes > 0
    }
}

/// Practice clusters that take the place of others.
trait StartAgain: Sized {
    async fn start_again(options: &PracticeOptions) -> Option<Self>;
}

impl StartAgain for Practice {
    async fn start_again(options: &PracticeOptions) -> Option<Self> {
        Self::start(options.clone()).await.ok()
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// A daemon that may be killed once, and its client.
struct Session {
    patient: Patient,
    effects: PathBuf,
}

impl Session {
    fn begin(start: Start, point: Option<&Point>) -> Self {
        // A confined daemon writes nowhere else.
        let effects = start.data.join(EFFECTS);
        let start = start.env("DEPLOYD_EFFECT_LOG", effects.display().to_string());
        let first = match point {
            Some(point) => start.clone().env("DEPLOYD_CRASH_AT", point.to_string()),
            None => start.clone(),
        };
        Self { patient: Patient::new(first.spawn(), start), effects }
    }

    async fn set_up(&mut self, practice: &Practice, receiver: &Receiver) {
        for (name, value) in
            [("demo-cluster", practice.kubeconfig()), ("ci-webhook", SIGNING_SECRET.to_owned())]
        {
            self.patient.secret(name, &value).await;
        }
        let documents = sample::documents(receiver.url());
        self.patient.post("/v1/documents:apply", "documents", &documents).await.ok();
    }

    async fn announce(&mut self, workload: &str) -> Answer {
        self.patient.post("/v1/artifacts", workload, &sample::image(workload, 'a')).await
    }

    /// Deploys, looks at everything, and stops.
    async fn deploy(&mut self, practice: &Practice, receiver: &Receiver) {
        let documents = self.patient.get("/v1/documents").await;
        let first = self.announce("frontend").await;
        let second = self.announce("backend").await;
        loop {
            self.end(&begun(&second), receiver).await;
            assert_eq!(self.patient.get("/v1/documents").await, documents);
            self.check(&first, &second, practice, receiver).await;
            let status = self.patient.daemon.stop().await;
            if status.success() {
                break;
            }
            // Killed at the last writes of all.
            self.patient.again();
        }
        let data = self.patient.start.data.display().to_string();
        let said = deployd(["doctor", "--data", &data]).await;
        assert_eq!(said.code, Some(0), "{said:?}");
        assert!(said.out.contains("all sound"), "{said:?}");
    }

    async fn check(
        &mut self,
        first: &Answer,
        second: &Answer,
        practice: &Practice,
        receiver: &Receiver,
    ) {
        // What was acknowledged is as it was.
        assert_eq!(self.announce("frontend").await.text, first.text);
        assert_eq!(self.announce("backend").await.text, second.text);
        let id = begun(second);
        let history = self.patient.get("/v1/deployments").await;
        assert_eq!(ids(&history["deployments"], "id"), [id.as_str()], "{history:#}");
        let environment = self.patient.get(&format!("/v1/environments/{ENVIRONMENT}")).await;
        assert_eq!(environment["state"]["accepted"], 1, "{environment:#}");
        assert_eq!(environment["state"]["deployed"]["deployment"], *id, "{environment:#}");
        assert!(environment["state"]["active"].is_null(), "{environment:#}");

        // The cluster has what was asked for.
        for workload in ["frontend", "backend"] {
            let digest = "a".repeat(64);
            let expected = format!("registry.example.com/shop/{workload}@sha256:{digest}");
            assert_eq!(image_of(practice, workload), expected);
        }
        self.journal(&id).await;
        self.effects();
        self.notifications(receiver).await;

        // All chains and contents are whole.
        let report =
            self.patient.ask(|client| client.request(Method::POST, "/v1/journal/verify")).await;
        let report = report.ok();
        assert_eq!(report["broken"], json!([]), "{report:#}");
        assert_eq!(report["damaged"], json!([]), "{report:#}");
    }

    /// Waits until the deployment has succeeded, and everybody was told.
    async fn end(&mut self, id: &str, receiver: &Receiver) {
        let record = self.patient.ended(id).await;
        assert_eq!(record["outcome"], "succeeded", "{record:#}");
        while self.patient.get("/v1/notifications?status=pending").await != json!([]) {
            pause().await;
        }
        assert!(receiver.deliveries().iter().any(|told| told.kind == "deployment.succeeded"));
    }

    /// Each step was begun with one key, and has one result.
    async fn journal(&mut self, id: &str) {
        let journal = self.patient.get("/v1/journal?limit=500").await;
        let journal = journal.as_array().unwrap();
        assert!(journal.len() < 500);
        let mut keys = BTreeMap::<&str, BTreeSet<&str>>::new();
        let mut results = BTreeMap::<&str, u32>::new();
        let mut ends = 0;
        for event in journal.iter().filter(|event| event["body"]["deployment"] == *id) {
            let body = &event["body"];
            let step = body["step"].as_str().unwrap_or_default();
            match body["type"].as_str().unwrap() {
                "step-started" => {
                    keys.entry(step).or_default().insert(body["key"].as_str().unwrap());
                }
                "deployment-planned" => *results.entry("plan").or_default() += 1,
                "step-succeeded" | "rollout-decided" => *results.entry(step).or_default() += 1,
                "step-failed" => panic!("{body:#}"),
                "deployment-ended" => ends += 1,
                _ => {}
            }
        }
        assert_eq!(ends, 1);
        assert!(keys.len() >= 10, "{keys:?}");
        assert_eq!(keys.keys().collect::<Vec<_>>(), results.keys().collect::<Vec<_>>());
        assert!(keys.values().all(|keys| keys.len() == 1), "{keys:?}");
        assert!(results.values().all(|count| *count == 1), "{results:?}");
    }

    /// What is done in the world again is done with the same key, and once more
    /// at most.
    fn effects(&self) {
        let log = std::fs::read_to_string(&self.effects).unwrap();
        let mut provisions = BTreeMap::<String, Vec<String>>::new();
        for line in log.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let text = |field: &str| line[field].as_str().unwrap().to_owned();
            if text("effect").starts_with("provision ") {
                provisions.entry(text("effect")).or_default().push(text("key"));
            }
        }
        assert_eq!(provisions.len(), 5, "{provisions:?}");
        for (effect, keys) in &provisions {
            assert!(keys.len() <= 2, "{effect} {keys:?}");
            assert!(keys.iter().all(|key| !key.is_empty() && *key == keys[0]), "{effect} {keys:?}");
        }
    }

    /// All that was to be told was delivered, each under one id of its own.
    async fn notifications(&mut self, receiver: &Receiver) {
        let messages = self.patient.get("/v1/notifications?limit=500").await;
        let list = messages.as_array().unwrap();
        assert!(list.iter().all(|message| message["status"] == "delivered"), "{messages:#}");
        let deliveries = receiver.deliveries();
        let told: BTreeSet<String> = deliveries.iter().map(|told| told.id.clone()).collect();
        assert_eq!(told, ids(&messages, "id").into_iter().collect(), "{messages:#}");
        let mut kinds = BTreeMap::<&str, BTreeSet<&str>>::new();
        for told in &deliveries {
            kinds.entry(&told.kind).or_default().insert(&told.id);
        }
        assert!(kinds.values().all(|ids| ids.len() == 1), "{kinds:?}");
    }
}

fn ids(list: &Value, field: &str) -> Vec<String> {
    let list = list.as_array().unwrap();
    list.iter().map(|item| item[field].as_str().unwrap().to_owned()).collect()
}

/// Tries points until there are no more; gives how many there were.
async fn sweep(during: During, points: Points) -> usize {
    let points = Arc::new(Mutex::new(points));
    let lanes: Vec<_> = (0..LANES)
        .map(|_| {
            let points = points.clone();
            tokio::spawn(async move {
                let lane = Arc::new(Lane::prepare().await);
                loop {
                    let Some(point) = points.lock().unwrap().take() else { return };
                    let crashed = guarded(&lane, during, &point).await;
                    points.lock().unwrap().came_of(&point, crashed);
                }
            })
        })
        .collect();
    for lane in lanes {
        lane.await.unwrap();
    }
    points.lock().unwrap().covered
}

/// Tries a point; when that fails or hangs, says which, and how to repeat it.
pub(crate) async fn guarded(lane: &Arc<Lane>, during: During, point: &Point) -> bool {
    let (running, at) = (lane.clone(), point.clone());
    let run = tokio::spawn(async move { running.run(during, &at).await });
    let abort = run.abort_handle();
    let why = match tokio::time::timeout(2 * GUARD, run).await {
        Ok(Ok(crashed)) => return crashed,
        Ok(Err(error)) => error.to_string(),
        Err(_) => {
            abort.abort();
            "it did not come to an end".to_owned()
        }
    };
    let log = lane.folder.path().join("run/daemon.log");
    let log = std::fs::read_to_string(log).unwrap_or_default();
    panic!("killed at {point} during {during:?}: {why}\nrepeat with {ONLY}={point}\n{log}");
}

/// The one point that is asked for, if any is.
fn only() -> Option<Point> {
    let text = std::env::var(ONLY).ok()?;
    let parts: Vec<&str> = text.split(':').collect();
    let one_of = |given: &str, known: [&'static str; 2]| {
        let found = known.into_iter().find(|known| *known == given);
        found.unwrap_or_else(|| panic!("{ONLY}: found {given:?}, expected one of {known:?}"))
    };
    let [kind, number, side] = parts[..] else { panic!("{ONLY}: expected effect:5:after") };
    Some(Point {
        kind: one_of(kind, ["write", "effect"]),
        side: one_of(side, ["before", "after"]),
        number: number.parse().unwrap(),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn i1_i2_i5_i6_i7_i11_killed_anywhere_in_a_deployment() {
    if let Some(point) = only() {
        let lane = Arc::new(Lane::prepare().await);
        let crashed = guarded(&lane, During::Deployment, &point).await;
        println!("{point}: {}", if crashed { "killed there" } else { "it never came there" });
        return;
    }
    let covered = sweep(During::Deployment, Points::of(&["write", "effect"])).await;
    println!("killed at {covered} places of a deployment");
    // A deployment does a dozen things, one after the other, and writes before and
    // after each: less means that the places are not where they were. More of what
    // it writes goes together when the machine is busy, so there is no upper end.
    assert!(covered >= 48, "{covered}");
}

#[tokio::test(flavor = "multi_thread")]
async fn i1_i2_killed_anywhere_in_the_set_up() {
    if let Some(point) = only() {
        let lane = Arc::new(Lane::prepare().await);
        let crashed = guarded(&lane, During::SetUp, &point).await;
        println!("{point}: {}", if crashed { "killed there" } else { "it never came there" });
        return;
    }
    let covered = sweep(During::SetUp, Points::of(&["write"])).await;
    println!("killed at {covered} places of the set-up");
    assert!(covered >= 10, "{covered}");
}
