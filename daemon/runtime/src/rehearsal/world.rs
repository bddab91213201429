//! The world of a rehearsal: the practice cluster, what the scenario makes of it, and
//! what its users see.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use deployd_core::Fault;
use deployd_core::ports::{Call, CheckOutcome, CheckRequest, Checks};
use deployd_core::rehearsal::{Figures, Scenario};
use deployd_core::rollout::{STABLE, Version};
use deployd_practice::{Behaviour, PodMatch, Practice};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::objects::{ENDS, VERSION, WORKLOAD, label_of, text};
use super::traffic::{Entry, Look, look};

/// How long each of the two stages of a pod's start takes. What is left of the
/// scenario's time it runs and is not ready.
pub(super) const PACE: Duration = Duration::from_millis(500);

/// How long what ends by itself runs.
const JOB: Duration = Duration::from_secs(1);

/// Pods that run before, of a version of which new ones are never ready: the practice
/// cluster remembers little more about single pods.
const RUNNING_MAX: usize = 200;

/// How long a measurement takes: a question to somebody's server.
const MEASURING: Duration = Duration::from_secs(1);

/// The practice cluster with its users.
pub(super) struct World {
    pub(super) practice: Practice,
    pub(super) scenario: Scenario,
    entries: BTreeMap<String, Entry>,
    ledger: Mutex<Ledger>,
}

/// What has been counted so far.
#[derive(Debug, Clone)]
pub(super) struct Ledger {
    /// When the strategy was asked first.
    pub(super) began: Option<Instant>,
    /// Until when it was counted.
    counted: Instant,
    /// How all is since then.
    pub(super) look: Look,
    pub(super) requests: Figures,
    pub(super) of_new: Figures,
    /// The most that the new version ever got, 0 to 1.
    pub(super) share_max: f64,
    crashed: BTreeSet<(String, Version)>,
}

impl World {
    pub(super) fn new(
        practice: Practice,
        scenario: Scenario,
        entries: BTreeMap<String, Entry>,
    ) -> Self {
        let ledger = Ledger {
            began: None,
            counted: Instant::now(),
            look: Look::default(),
            requests: Figures::default(),
            of_new: Figures::default(),
            share_max: 0.0,
            crashed: BTreeSet::new(),
        };
        Self { practice, scenario, entries, ledger: Mutex::new(ledger) }
    }

    /// From now on it is counted, and the scenario counts.
    pub(super) fn begin(&self) {
        self.settle();
        self.ledger().began.get_or_insert_with(Instant::now);
    }

    /// Milliseconds since the beginning.
    pub(super) fn now_ms(&self) -> u64 {
        let began = self.ledger().began;
        began.map_or(0, |began| milliseconds(began.elapsed()))
    }

    /// Counts until now, looks how all is, and has the scenario follow. What is so
    /// now.
    pub(super) fn settle(&self) -> Ledger {
        let now = look(&self.practice, &self.entries);
        let mut ledger = self.ledger();
        let ms = milliseconds(ledger.counted.elapsed());
        ledger.counted += Duration::from_millis(ms);
        let ledger = &mut *ledger;
        if ledger.began.is_some() && ms > 0 {
            for workload in self.entries.keys().filter_map(|it| ledger.look.workloads.get(it)) {
                let seen = self.scenario.seen(&workload.shares, ms);
                ledger.requests.add(seen.all);
                ledger.of_new.add(seen.of_new);
            }
            // What was so for no time at all, nobody has seen.
            ledger.share_max = ledger.share_max.max(ledger.look.share());
        }
        ledger.look = now;
        if ledger.began.is_some() {
            self.crash(ledger);
        }
        ledger.clone()
    }

    /// Pods that get too much crash.
    fn crash(&self, ledger: &mut Ledger) {
        let Ledger { look, crashed, .. } = ledger;
        for (name, workload) in &look.workloads {
            for version in [Version::New, Version::Current] {
                let crashes = self.scenario.behaviour(version);
                if !crashes.crashes_at(workload.shares.of(version)) {
                    continue;
                }
                if crashed.insert((name.clone(), version)) {
                    let pods =
                        PodMatch::any().label(WORKLOAD, name).label(VERSION, label_of(version));
                    self.practice.behaviours().set(pods, Behaviour::crash_loop());
                }
            }
        }
    }

    /// All pods are ready at once: so comes what runs before.
    pub(super) fn is_well(&self) {
        let behaviours = self.practice.behaviours();
        behaviours.set(PodMatch::any(), Behaviour::Ready { after: Duration::ZERO });
        let ends = Behaviour::Exits { after: JOB, exit_code: 0 };
        behaviours.set(PodMatch::any().label(ENDS, "true"), ends);
    }

    /// Pods do from now on as the scenario says; those that have run for long enough
    /// are ready, and stay so.
    pub(super) fn is_as_the_scenario_says(&self) {
        let behaviours = self.practice.behaviours();
        for version in [Version::New, Version::Current] {
            let pods = PodMatch::any().label(VERSION, label_of(version));
            let behaviour = match self.scenario.behaviour(version).ready_after() {
                Some(ms) => {
                    Behaviour::Ready { after: Duration::from_millis(ms).saturating_sub(PACE) }
                }
                None => Behaviour::NeverReady,
            };
            behaviours.set(pods, behaviour);
        }
        let ends = Behaviour::Exits { after: JOB, exit_code: 0 };
        behaviours.set(PodMatch::any().label(ENDS, "true"), ends);
        if self.scenario.current.never_ready {
            self.running_ones_go_on();
        }
    }

    fn running_ones_go_on(&self) {
        for pod in self.practice.objects().list("pods", "").iter().take(RUNNING_MAX) {
            let (namespace, name) = (text(pod, "/metadata/namespace"), text(pod, "/metadata/name"));
            let this = PodMatch::any().namespace(namespace).name(name);
            self.practice.behaviours().set(this, Behaviour::Ready { after: Duration::ZERO });
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Checks find what the scenario says, by what requests to the track get.
#[async_trait]
impl Checks for World {
    async fn run(&self, _: Call<'_>, request: &CheckRequest) -> Result<CheckOutcome, Fault> {
        sleep(MEASURING).await;
        let name = text(&request.config, "/name");
        let track = match text(&request.input, "/track") {
            "" => STABLE,
            track => track,
        };
        let look = self.settle().look;
        let workloads = request.input.get("workloads").and_then(Value::as_array);
        let names = workloads.into_iter().flatten().filter_map(Value::as_str);
        let answers = names.filter_map(|name| {
            let workload = look.workloads.get(name)?;
            let ready = workload.tracks.get(track)?.ready;
            Some(self.scenario.answers(&workload.shares, ready))
        });
        Ok(self.scenario.finding(name).of(track, answers))
    }
}

pub(super) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
