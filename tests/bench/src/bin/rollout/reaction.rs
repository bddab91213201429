//! How soon a rollout is taken back once a pod of it has failed: from the moment in
//! which the cluster says so to the first change that is asked of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::ensure;
use bench::figures::{Figures, median, ms, quantile};
use deployd_practice::{Behaviour, PodMatch, Practice};
use serde_json::Value;

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(1);

/// From one that begins to fail to the next: rollouts fail one by one, but for what
/// they have in common.
const APART: Duration = Duration::from_millis(300);

/// The longest that all of them may take to fail and to be taken back.
const MAX: Duration = Duration::from_secs(300);

/// Restarts after which a container in back-off has failed: as many as the daemon
/// needs to be sure (`Patience::crash_restarts`).
const RESTARTS: u64 = 3;

/// What a person would call at once, in milliseconds.
const GOAL_MS: f64 = 200.0;

/// How often it is asked which changes came; they bear the time at which they did.
const ASK: Duration = Duration::from_millis(10);

#[derive(Default)]
struct Seen {
    begun: bool,
    failed: Option<Instant>,
    answered: Option<Instant>,
}

pub(crate) async fn bench(
    figures: &mut Figures,
    practice: &Practice,
    namespaces: &[String],
) -> anyhow::Result<()> {
    let mut all: BTreeMap<&str, Seen> =
        namespaces.iter().map(|name| (name.as_str(), Seen::default())).collect();
    practice.forget_requests();
    let began = Instant::now();
    let (mut begun, mut asked) = (0, began);
    while all.values().any(|seen| seen.answered.is_none()) {
        ensure!(began.elapsed() < MAX, "not all are taken back");
        if began.elapsed() >= APART * begun
            && let Some(namespace) = namespaces.get(begun as usize)
        {
            let of_canary = PodMatch::any().namespace(namespace);
            let of_canary = of_canary.label("deployd.dev/track", "canary");
            practice.behaviours().set(of_canary, Behaviour::crash_loop());
            all.entry(namespace).or_default().begun = true;
            begun += 1;
        }
        for (namespace, seen) in &mut all {
            if seen.begun && seen.failed.is_none() && has_failed(practice, namespace) {
                seen.failed = Some(Instant::now());
            }
        }
        if asked.elapsed() >= ASK {
            asked = Instant::now();
            take_answers(practice, &mut all);
        }
        tokio::time::sleep(LOOK).await;
    }
    let times: Vec<f64> = all
        .values()
        .filter_map(|seen| Some(seen.answered?.saturating_duration_since(seen.failed?)))
        .map(|time| ms(&time))
        .collect();
    let reached = median(times.iter().copied());
    figures.figure("from a failed pod to the first change, ms, median", reached);
    let rare = quantile(times.iter().copied(), 0.99);
    figures.figure("from a failed pod to the first change, ms, 99th percentile", rare);
    figures.goal(
        format!("from a failed pod to the first change: less than {GOAL_MS} ms"),
        GOAL_MS,
        reached,
        reached < GOAL_MS,
    );
    Ok(())
}

/// Notes when the first change came of each that has failed.
fn take_answers(practice: &Practice, all: &mut BTreeMap<&str, Seen>) {
    let waiting = |seen: &Seen| seen.failed.is_some() && seen.answered.is_none();
    if !all.values().any(waiting) {
        return;
    }
    let requests = practice.requests();
    for (namespace, seen) in all.iter_mut().filter(|(_, seen)| waiting(seen)) {
        let place = format!("/namespaces/{namespace}/");
        let mut changes = requests
            .iter()
            .filter(|request| request.method != "GET" && request.path.contains(&place));
        seen.answered = changes.next().map(|request| request.at);
    }
}

/// Whether a pod of the canary has been started again often enough.
fn has_failed(practice: &Practice, namespace: &str) -> bool {
    practice.objects().list("pods", namespace).iter().any(|pod| {
        let statuses = pod.pointer("/status/containerStatuses").and_then(Value::as_array);
        statuses.into_iter().flatten().any(|status| {
            let waits = status.pointer("/state/waiting/reason").and_then(Value::as_str);
            let restarts = status.pointer("/restartCount").and_then(Value::as_u64);
            waits == Some("CrashLoopBackOff") && restarts.is_some_and(|count| count >= RESTARTS)
        })
    })
}
