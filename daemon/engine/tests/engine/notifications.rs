//! I11: every notice is delivered or dead in the end, whatever receivers do.

use std::time::Duration;

use base64::Engine as _;
use deployd_core::Fault;
use deployd_core::outbox::{ATTEMPT_DELAYS_MS, MessageStatus};
use deployd_engine::EngineError;
use hmac::Mac;
use serde_json::json;

use crate::documents::{document, subscription};
use crate::fakes::environment::Receiver;
use crate::world::{SIGNING_SECRET, Stage, assert_succeeded, caller, keyed};

/// A stage on which only the end of a deployment is told.
async fn quiet() -> Stage {
    let stage = Stage::new().await;
    stage.apply(vec![subscription("ci", &["deployment.succeeded"])]).await;
    stage
}

#[tokio::test(start_paused = true)]
async fn messages_are_signed_as_standard_webhooks_says() {
    let stage = quiet().await;
    assert_succeeded(&stage.deployed("1").await);
    stage.all_told().await;
    let received = stage.world.receivers().received[0].clone();
    let ids: Vec<&String> = received
        .request
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("webhook-id"))
        .map(|(_, value)| value)
        .collect();
    assert_eq!(ids.len(), 1, "a notifier can't choose ids");
    let key = SIGNING_SECRET.strip_prefix("whsec_").unwrap();
    let key = base64::engine::general_purpose::STANDARD.decode(key).unwrap();
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap();
    let timestamp = received.header("webhook-timestamp").unwrap();
    mac.update(format!("{}.{timestamp}.", received.id()).as_bytes());
    mac.update(&received.request.body);
    let expected = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
    assert_eq!(received.header("webhook-signature"), Some(format!("v1,{expected}").as_str()));
    let message = &stage.world.messages(None).await[0];
    assert_eq!(message.attempts[0].target, "https://ci.test/hooks/...");
}

#[tokio::test(start_paused = true)]
async fn i11_a_receiver_that_fails_in_every_way_gets_it_in_the_end() {
    let stage = quiet().await;
    stage.world.receivers().script.extend([
        Receiver::Answers(500),
        Receiver::Hangs,
        Receiver::Fails(Fault::transient("connect", "refused")),
        Receiver::Answers(301),
        Receiver::AnswersLater(429, 3_600_000),
    ]);
    assert_succeeded(&stage.deployed("1").await);
    stage.all_told().await;
    let message = stage.world.messages(None).await.remove(0);
    assert_eq!(message.status, MessageStatus::Delivered);
    assert_eq!(message.attempts.len(), 6);
    let received = stage.world.receivers().received.clone();
    assert!(received.iter().all(|r| r.id() == message.id.0), "the same id every time");
    let waited = received[5].at.ms_since(received[4].at);
    assert!(waited >= ATTEMPT_DELAYS_MS[5].max(3_600_000), "{waited}");
}

#[tokio::test(start_paused = true)]
async fn i11_what_is_never_taken_is_dead_and_can_be_delivered_again() {
    let stage = quiet().await;
    stage.world.receivers().script.extend((0..10).map(|_| Receiver::Answers(500)));
    assert_succeeded(&stage.deployed("1").await);
    stage.all_told().await;
    let message = stage.world.messages(None).await.remove(0);
    assert_eq!(message.status, MessageStatus::Dead);
    assert_eq!(stage.world.receivers().received.len(), ATTEMPT_DELAYS_MS.len());

    let operator = keyed("again", "body");
    let answer = stage.engine.redeliver(&operator, &message.id).await.unwrap();
    stage.all_told().await;
    assert_eq!(stage.engine.message(&message.id).await.unwrap().status, MessageStatus::Delivered);
    // I2: the same request once more has the same answer, and sends nothing.
    assert_eq!(stage.engine.redeliver(&operator, &message.id).await.unwrap(), answer);
    stage.all_told().await;
    assert_eq!(stage.world.receivers().received.len(), ATTEMPT_DELAYS_MS.len() + 1);
    let journalled = stage.world.events().await;
    assert!(journalled.iter().any(|event| event.event.kind == "message-redelivered"));
    stage.engine.redeliver(&caller(), &message.id).await.unwrap();
    let on_its_way = stage.engine.redeliver(&caller(), &message.id).await;
    assert!(matches!(on_its_way, Err(EngineError::Conflict { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_gone_is_not_asked_again() {
    let stage = quiet().await;
    stage.world.receivers().script.push_back(Receiver::Answers(410));
    assert_succeeded(&stage.deployed("1").await);
    stage.all_told().await;
    let message = stage.world.messages(None).await.remove(0);
    assert_eq!((message.status, message.attempts.len()), (MessageStatus::Dead, 1));
}

#[tokio::test(start_paused = true)]
async fn a_slow_receiver_holds_up_nobody() {
    let stage = Stage::new().await;
    let spec = json!({
        "notifier": "webhook", "events": ["deployment.queued"],
        "config": {"url": "https://slow.test/"},
    });
    let slow = document(deployd_core::config::DocumentKind::Subscription, "a-slow", spec);
    stage.apply(vec![slow]).await;
    stage.world.receivers().script.push_back(Receiver::Hangs);
    let record = stage.deployed("1").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let delivered = stage.world.messages(Some(MessageStatus::Delivered)).await;
    let types: Vec<&str> = delivered.iter().map(|m| m.event["type"].as_str().unwrap()).collect();
    assert!(types.contains(&"deployment.succeeded"), "{types:?}");
    assert!(stage.world.now().ms_since(record.queued) < 30_000, "the first attempt still hangs");
}

#[tokio::test(start_paused = true)]
async fn a_notifier_that_fails_ends_its_messages_and_nothing_else() {
    let stage = quiet().await;
    let spec = json!({
        "notifier": "webhook", "events": ["deployment.*"], "config": {"fails": true},
    });
    let broken = document(deployd_core::config::DocumentKind::Subscription, "broken", spec);
    stage.apply(vec![broken]).await;
    assert_succeeded(&stage.deployed("1").await);
    stage.all_told().await;
    assert_eq!(stage.world.messages(Some(MessageStatus::Dead)).await.len(), 4);
    assert_eq!(stage.world.messages(Some(MessageStatus::Delivered)).await.len(), 1);
}
