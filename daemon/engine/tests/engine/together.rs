//! Messages that are told together: each of them once, also over crashes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use deployd_core::config::{Document, DocumentKind};
use deployd_core::outbox::MessageStatus;
use serde_json::{Value, json};

use crate::documents::{document, environment};
use crate::fakes::environment::{Received, Receiver};
use crate::fakes::life::Life;
use crate::threads::told_over_a_crash;
use crate::world::{Stage, World, assert_succeeded, keyed};

const WAIT_MS: u64 = 300_000;

fn grouped(notifier: &str, by: &str) -> Document {
    let spec = json!({
        "notifier": notifier, "events": ["deployment.*"], "signingSecret": "signing",
        "config": {"url": "https://ci.test/hooks/deployments"}, "group": {"wait": "5m", "by": by},
    });
    document(DocumentKind::Subscription, "ci", spec)
}

async fn stage(by: &str) -> Stage {
    let stage = Stage::new().await;
    let other = environment("shop", "production", "development");
    stage.apply(vec![grouped("webhook", by), other]).await;
    stage
}

/// The ids of the events that a request tells of.
fn told(received: &Received) -> Vec<String> {
    let event = received.event();
    let events = match event["type"] == "group" {
        true => event["data"]["events"].as_array().unwrap().clone(),
        false => vec![event],
    };
    events.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}

/// That each event was told, and in one message only, which is the same however often
/// it is sent.
async fn each_is_told_once(world: &World) {
    let mut bodies: BTreeMap<String, Value> = BTreeMap::new();
    let mut by: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for received in &world.receivers().received {
        let id = received.id().to_owned();
        let known = bodies.entry(id.clone()).or_insert_with(|| received.event());
        assert_eq!(*known, received.event(), "one id, and something else");
        for event in told(received) {
            by.entry(event).or_default().insert(id.clone());
        }
    }
    let messages = world.messages(None).await;
    assert_eq!(by.len(), messages.len(), "{by:?}");
    assert!(by.values().all(|by| by.len() == 1), "{by:?}");
    assert!(messages.iter().all(|message| message.status == MessageStatus::Delivered));
}

#[tokio::test(start_paused = true)]
async fn what_happens_within_a_while_is_one_message() {
    let stage = stage("application").await;
    assert_succeeded(&stage.deployed("1").await);
    let begun = stage.world.messages(None).await[0].created;
    stage.all_told().await;
    {
        let receivers = stage.world.receivers();
        let [one] = &receivers.received[..] else { panic!("{:?}", receivers.received.len()) };
        assert_eq!(told(one).len(), 4);
        assert!(one.at.ms_since(begun) >= WAIT_MS, "it has waited");
        let event = one.event();
        assert_eq!(
            (&event["application"], &event["environment"]),
            (&json!("shop"), &json!("development"))
        );
    }
    // What comes later is told later.
    assert_succeeded(&stage.deployed("2").await);
    stage.all_told().await;
    assert_eq!(stage.world.receivers().received.len(), 2);
    each_is_told_once(&stage.world).await;
}

#[tokio::test(start_paused = true)]
async fn who_fails_first_tells_the_same_later_and_who_is_dead_takes_all_along() {
    let stage = stage("subscription").await;
    stage.world.receivers().script.extend([Receiver::Answers(500), Receiver::Hangs]);
    assert_succeeded(&stage.deployed("1").await);
    stage.all_told().await;
    assert_eq!(stage.world.receivers().received.len(), 3);
    each_is_told_once(&stage.world).await;

    stage.world.receivers().script.push_back(Receiver::Answers(410));
    assert_succeeded(&stage.deployed("2").await);
    stage.all_told().await;
    let dead = stage.world.messages(Some(MessageStatus::Dead)).await;
    assert_eq!(dead.len(), 4);
    assert!(dead.iter().all(|message| message.attempts.len() == 1), "each says why");
    // One of them alone, when somebody asks for it.
    stage.engine.redeliver(&keyed("again", "again"), &dead[1].id).await.unwrap();
    stage.all_told().await;
    assert_eq!(told(stage.world.receivers().received.last().unwrap()).len(), 1);
    assert_eq!(stage.world.messages(Some(MessageStatus::Dead)).await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_notifier_that_reads_answers_gets_them_together_and_remembers_nothing() {
    let stage = Stage::new().await;
    let mut spec = json!({"notifier": "chat", "events": ["deployment.*"],
        "config": {"url": "https://chat.test/threads"}, "signingSecret": "signing"});
    spec["group"] = json!({"wait": "1m"});
    stage.apply(vec![document(DocumentKind::Subscription, "ci", spec)]).await;
    assert_succeeded(&stage.deployed("1").await);
    stage.all_told().await;
    let urls: Vec<_> =
        stage.world.receivers().received.iter().map(|one| one.request.url.clone()).collect();
    assert_eq!(urls, ["https://chat.test/threads", "https://chat.test/threads/1"]);
}

/// A world in which all of a deployment is still to be told, and nobody lives.
async fn all_still_to_be_told() -> Arc<World> {
    let stage = stage("application").await;
    assert_succeeded(&stage.deployed("1").await);
    stage.engine.abort();
    assert!(stage.world.receivers().received.is_empty());
    stage.world
}

/// A process ends while it waits for an answer, and after that there is more to tell.
async fn cut_off_while_there_comes_more() {
    let stage = stage("application").await;
    stage.world.receivers().script.push_back(Receiver::Hangs);
    assert_succeeded(&stage.deployed("1").await);
    stage.until("a request", |world| world.receivers().received.len() == 1).await;
    assert_succeeded(&stage.deployed("2").await);
    assert_eq!(stage.world.receivers().received.len(), 1, "it still hangs");
    stage.engine.abort();
    let stage = Stage { engine: stage.world.engine(&Life::long()), world: stage.world };
    stage.engine.start().await.unwrap();
    stage.all_told().await;
    assert_eq!(stage.world.receivers().received.len(), 3);
    each_is_told_once(&stage.world).await;
}

#[tokio::test(start_paused = true)]
async fn i11_a_crash_anywhere_leaves_each_message_as_it_was() {
    cut_off_while_there_comes_more().await;
    let mut ended = false;
    let mut repeated = 0;
    for point in 1.. {
        let world = all_still_to_be_told().await;
        ended |= told_over_a_crash(&world, point).await;
        each_is_told_once(&world).await;
        repeated += world.receivers().received.len() - 1;
        if ended {
            break;
        }
    }
    assert!(repeated > 0, "no crash came between an answer and its record");
}
