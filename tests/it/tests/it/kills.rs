//! The daemon under load from 64 clients, killed with SIGKILL again and again.
//!
//! `DEPLOYD_TEST_KILLS=10000` kills it more often; `DEPLOYD_TEST_SEED` repeats
//! the places, as far as two processes can be made to repeat anything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::Client;
use crate::daemon::was_killed;
use crate::load::{Clients, Ledger, Yard, settled};
use crate::wait::until;

/// How often, when nobody says.
const KILLS: usize = 500;

/// Clients that announce images at the same time.
const CLIENTS: usize = 64;

/// Answers that it may give before it is killed, at most.
const ANSWERS: u64 = 48;

/// After the last of these answers, it may live so much longer, at most: long
/// enough for a group of writes to be on its way to the disk.
const MICROSECONDS: u64 = 3_000;

/// Small numbers that look as if by chance (splitmix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

fn setting(name: &str, otherwise: usize) -> usize {
    std::env::var(name).map_or(otherwise, |value| value.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn i1_i2_i4_i6_i7_killed_under_load() {
    let kills = setting("DEPLOYD_TEST_KILLS", KILLS);
    let seed = setting("DEPLOYD_TEST_SEED", std::process::id() as usize);
    println!("{kills} kills, DEPLOYD_TEST_SEED={seed}");
    let mut chance = Chance(seed as u64);
    let (yard, mut daemon) = Yard::set(|start| start.env("DEPLOYD_LOG", "warn")).await;
    let client = daemon.client();
    let mut clients = Clients::start(CLIENTS, &client);
    let mut starts = Vec::with_capacity(kills);
    for _ in 0..kills {
        let before = clients.ledger.count.load(Ordering::Relaxed);
        let answers = usize::try_from(chance.below(ANSWERS)).unwrap();
        until("there are answers", || {
            let enough = clients.ledger.count.load(Ordering::Relaxed) >= before + answers;
            async move { enough.then_some(()) }
        })
        .await;
        tokio::time::sleep(Duration::from_micros(chance.below(MICROSECONDS))).await;
        let status = daemon.kill();
        assert!(was_killed(status), "it ended by itself, {status}:\n{}", daemon.log());
        clients.check().await;
        let begun = Instant::now();
        daemon = yard.start.ready().await;
        starts.push(begun.elapsed());
    }
    let ledger = clients.stop().await;
    starts.sort();
    println!(
        "{} requests acknowledged, {} repeated; ready again after {:?}, p99 {:?}",
        ledger.count.load(Ordering::Relaxed),
        ledger.repeats.load(Ordering::Relaxed),
        starts[kills / 2],
        starts[kills * 99 / 100],
    );
    all_is_as_promised(&client, &ledger, &yard).await;
    assert!(daemon.stop().await.success(), "{}", daemon.log());
}

/// Waits for the work to end, and compares what is on record with what was
/// answered.
pub(crate) async fn all_is_as_promised(client: &Client, ledger: &Ledger, yard: &Yard) {
    settled(client).await;
    let promised: BTreeSet<String> = ledger.promised().into_iter().collect();
    assert_eq!(promised.len(), ledger.promised().len(), "two requests, one deployment");
    let mut history = History::default();
    let mut after = 0;
    loop {
        let page = client.get(&format!("/v1/journal?limit=500&after={after}")).await.ok();
        let page = page.as_array().unwrap();
        let Some(last) = page.last() else { break };
        after = last["position"].as_u64().unwrap();
        page.iter().for_each(|event| history.add(event));
    }
    let accepted: BTreeSet<String> = history.queued.iter().cloned().collect();
    assert_eq!(accepted, promised, "what was acknowledged is what is on record");
    assert_eq!(history.queued.len(), accepted.len(), "accepted once");
    history.check();

    let report = client.post("/v1/journal/verify", &json!({})).await.ok();
    assert_eq!(report["broken"], json!([]), "{report:#}");
    assert_eq!(report["damaged"], json!([]), "{report:#}");
    // What was told is what succeeded, each under one id.
    let mut told = BTreeMap::<String, BTreeSet<String>>::new();
    for delivery in yard.receiver.deliveries() {
        let id = delivery.body["data"]["detail"]["deployment"].as_str();
        let id = id.unwrap_or_else(|| panic!("{:#}", delivery.body)).to_owned();
        told.entry(id).or_default().insert(delivery.id);
    }
    let succeeded: BTreeSet<&String> = history.succeeded.iter().collect();
    assert_eq!(told.keys().collect::<BTreeSet<_>>(), succeeded);
    assert!(told.values().all(|ids| ids.len() == 1), "{told:?}");
}

/// What the journal says of all environments.
#[derive(Default)]
struct History {
    /// Accepted deployments, in the order of the feed.
    queued: Vec<String>,
    succeeded: Vec<String>,
    /// By environment: the active deployment, the versions' last.
    active: BTreeMap<String, Option<String>>,
    versions: BTreeMap<String, u64>,
    ended: BTreeMap<String, u32>,
    /// By deployment and step.
    keys: BTreeMap<(String, String), BTreeSet<String>>,
    results: BTreeMap<(String, String), u32>,
}

impl History {
    fn add(&mut self, event: &Value) {
        let stream = event["stream"].as_str().unwrap().to_owned();
        let version = event["version"].as_u64().unwrap();
        let before = self.versions.insert(stream.clone(), version).unwrap_or(0);
        assert_eq!(version, before + 1, "I3: a gap in {stream}");
        let body = &event["body"];
        let text = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
        let deployment = text("deployment");
        let step = (deployment.clone(), text("step"));
        match body["type"].as_str().unwrap_or_default() {
            "deployment-queued" => self.queued.push(deployment),
            "deployment-superseded" => *self.ended.entry(deployment).or_default() += 1,
            "deployment-started" => {
                let active = self.active.insert(stream.clone(), Some(deployment)).flatten();
                assert_eq!(active, None, "I4: two active deployments in {stream}");
            }
            "deployment-ended" => {
                assert_eq!(self.active.insert(stream, None).flatten(), Some(deployment.clone()));
                if body["outcome"] == "succeeded" {
                    self.succeeded.push(deployment.clone());
                }
                *self.ended.entry(deployment).or_default() += 1;
            }
            "step-started" => drop(self.keys.entry(step).or_default().insert(text("key"))),
            "deployment-planned" => {
                *self.results.entry((deployment, "plan".into())).or_default() += 1
            }
            "step-succeeded" | "rollout-decided" => *self.results.entry(step).or_default() += 1,
            _ => {}
        }
    }

    fn check(&self) {
        for id in &self.queued {
            assert_eq!(self.ended.get(id), Some(&1), "I7: {id} has not ended once");
        }
        for (step, keys) in &self.keys {
            assert_eq!(keys.len(), 1, "I6: {step:?} was done under several keys");
        }
        for (step, results) in &self.results {
            assert_eq!(*results, 1, "I6: {step:?} has several results");
            assert!(self.keys.contains_key(step), "I5: {step:?} has no intent");
        }
        assert!(!self.succeeded.is_empty());
    }
}
