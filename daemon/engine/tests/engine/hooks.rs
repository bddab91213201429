//! Deliveries of forges and registries: believed when they are signed, durable once
//! they are answered, read once, in order, and never in the way of others.

use deployd_core::config::{Document, DocumentKind};
use deployd_core::delivery::{
    ATTEMPTS_MAX, DELIVERIES, DELIVERIES_DUE, DeliveryId, DeliveryStatus, HookDelivery, KEPT_MAX,
};
use deployd_core::ports::{Batch, Put, Store as _};
use deployd_core::secret::{OPERATOR, SecretRef};
use deployd_core::{Actor, Digest, Name, Timestamp};
use deployd_engine::{Arriving, Caller, EngineError};
use serde_json::{Value, json};

use crate::documents::{document, plugin};
use crate::fakes::life::Life;
use crate::fakes::receivers::tagged;
use crate::world::{Stage, caller, development};

const SECRET: &str = "s3cret";

pub fn hook(config: &Value) -> Document {
    let spec = json!({
        "receiver": {"plugin": "lists", "config": config},
        "verify": {"scheme": "header", "header": "X-Token", "secrets": ["hook", "hook-next"]},
        "repositories": ["registry.test/shop/*"],
    });
    document(DocumentKind::Hook, "registry", spec)
}

pub async fn stage() -> Stage {
    let stage = Stage::new().await;
    for (name, value) in [("hook", SECRET), ("hook-next", "other")] {
        let secret = SecretRef { owner: OPERATOR.to_owned(), name: name.to_owned() };
        stage.world.vault.lock().unwrap().insert(secret, value.into());
    }
    stage.apply(vec![plugin("lists", "receiver", json!({})), hook(&json!({}))]).await;
    stage
}

pub fn registry() -> Name {
    "registry".parse().unwrap()
}

fn arriving(body: &Value) -> Arriving {
    Arriving {
        headers: vec![
            ("x-token".to_owned(), SECRET.to_owned()),
            ("x-event".to_owned(), "push".to_owned()),
        ],
        body: body.to_string().into_bytes(),
        key: None,
        source: None,
    }
}

/// That an image of a workload is there.
fn told(workload: &str, version: &str) -> Value {
    let digest = Digest::of(format!("{workload} {version}").as_bytes());
    json!({
        "kind": "artifact", "repository": format!("registry.test/shop/{workload}"),
        "digest": digest, "tag": version, "ref": "refs/heads/main", "unheard": ["of"],
    })
}

fn both(version: &str) -> Value {
    json!([told("frontend", version), told("backend", version)])
}

impl Stage {
    pub async fn delivered(&self, body: &Value) -> DeliveryId {
        self.engine.receive(&registry(), arriving(body)).await.unwrap().id
    }

    /// A delivery that is not waited for any more.
    pub async fn settled(&self, id: &DeliveryId) -> HookDelivery {
        for _ in 0..10_000 {
            let delivery = self.engine.delivery(&registry(), id).await.unwrap();
            if delivery.status != DeliveryStatus::Pending {
                return delivery;
            }
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
        panic!("{id} is never read");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_delivered_is_deployed_where_the_flow_says() {
    let stage = stage().await;
    let id = stage.delivered(&both("1")).await;
    let delivery = stage.settled(&id).await;
    assert_eq!(delivery.status, DeliveryStatus::Read, "{:?}", delivery.fault);
    assert_eq!(delivery.artifacts.len(), 2);
    let deployment = delivery.routes[0].deployment.clone().expect("a deployment");
    crate::world::assert_succeeded(&stage.end_of(&deployment).await);
    let record = stage.engine.deployment(&deployment).await.unwrap();
    assert_eq!(record.actor, Actor("hook:registry".to_owned()));
    // The header with the secret is in no record.
    assert_eq!(delivery.headers, [("x-event".to_owned(), "push".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_know_the_secret_is_refused_and_leaves_nothing() {
    let stage = stage().await;
    for token in ["", "S3cret", "s3cret "] {
        let mut bad = arriving(&both("1"));
        bad.headers[0].1 = token.to_owned();
        let refused = stage.engine.receive(&registry(), bad).await.unwrap_err();
        let EngineError::Fault(fault) = refused else { panic!("{refused}") };
        assert_eq!(fault.code, "delivery-refused");
    }
    let unknown: Name = "unknown".parse().unwrap();
    let refused = stage.engine.receive(&unknown, arriving(&both("1"))).await.unwrap_err();
    assert!(matches!(refused, EngineError::NotFound { .. }), "{refused}");
    let kept = stage.engine.deliveries(&registry(), None, None, 10).await.unwrap();
    assert_eq!(kept, []);
    // The next secret counts already.
    let mut next = arriving(&both("1"));
    next.headers[0].1 = "other".to_owned();
    stage.engine.receive(&registry(), next).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_same_delivery_again_is_the_same_delivery_also_after_a_restart() {
    let stage = stage().await;
    let first = stage.delivered(&both("1")).await;
    let delivery = stage.settled(&first).await;
    stage.end_of(delivery.routes[0].deployment.as_ref().unwrap()).await;
    let mut again = arriving(&both("1"));
    again.headers.push(("x-delivery".to_owned(), "another id, which nobody has signed".to_owned()));
    assert_eq!(stage.engine.receive(&registry(), again.clone()).await.unwrap().id, first);
    stage.engine.stop().await;
    let engine = stage.world.engine(&Life::long());
    engine.start().await.unwrap();
    let stage = Stage { world: stage.world, engine };
    assert_eq!(stage.engine.receive(&registry(), again).await.unwrap().id, first);
    let history = stage.engine.history(Some(&development()), None, 10).await.unwrap();
    assert_eq!(history.deployments.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_answered_is_read_after_a_crash() {
    let stage = stage().await;
    let id = stage.delivered(&both("1")).await;
    stage.engine.abort();
    let engine = stage.world.engine(&Life::long());
    engine.start().await.unwrap();
    let stage = Stage { world: stage.world, engine };
    let delivery = stage.settled(&id).await;
    assert_eq!(delivery.status, DeliveryStatus::Read, "{:?}", delivery.fault);
    let history = stage.engine.history(Some(&development()), None, 10).await.unwrap();
    assert_eq!(history.deployments.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_read_is_a_dead_letter_and_holds_up_no_other() {
    let stage = stage().await;
    let unreadable = stage.delivered(&json!({"no": "list"})).await;
    let nameless = stage.delivered(&json!([{"kind": "artifact", "repository": 7}])).await;
    let bare = json!([{"kind": "artifact", "repository": "registry.test/shop/frontend"}]);
    let bare = stage.delivered(&bare).await;
    let good = stage.delivered(&both("1")).await;
    for (id, code, word) in [
        (&unreadable, "plugin-invalid", "expected a list"),
        (&nameless, "receiver-document-invalid", "document 0"),
        (&bare, "receiver-document-invalid", "neither digest nor tag"),
    ] {
        let delivery = stage.settled(id).await;
        assert_eq!((delivery.status, delivery.attempts), (DeliveryStatus::Dead, 1));
        let fault = delivery.fault.unwrap();
        assert_eq!(fault.code, code);
        assert!(fault.message.contains(word), "{fault}");
    }
    assert_eq!(stage.settled(&good).await.status, DeliveryStatus::Read);
    let dead = stage.engine.deliveries(&registry(), Some(DeliveryStatus::Dead), None, 10).await;
    let dead: Vec<DeliveryId> = dead.unwrap().into_iter().map(|one| one.id).collect();
    assert_eq!(dead, [bare, nameless, unreadable]);
}

#[tokio::test(start_paused = true)]
async fn what_a_tag_means_is_asked_of_its_registry() {
    let stage = stage().await;
    let mut document = hook(&json!({}));
    let told = |tag: &str| {
        let told = |name: &str| {
            json!({"kind": "artifact", "repository": format!("registry.test/shop/{name}"),
                "tag": tag, "ref": "refs/heads/main"})
        };
        json!([told("frontend"), told("backend")])
    };
    let refused = stage.delivered(&told("1")).await;
    let fault = stage.settled(&refused).await.fault.unwrap();
    assert_eq!(fault.code, "registry-refused");
    let Document::Hook(envelope) = &mut document else { unreachable!() };
    envelope.spec.registry.secret = Some("registry".parse().unwrap());
    stage.apply(vec![document]).await;
    let secret = SecretRef { owner: OPERATOR.to_owned(), name: "registry".to_owned() };
    stage.world.vault.lock().unwrap().insert(secret, "ci:hunter2".into());
    let id = stage.delivered(&told("2")).await;
    let delivery = stage.settled(&id).await;
    assert_eq!(delivery.status, DeliveryStatus::Read, "{:?}", delivery.fault);
    assert_eq!(delivery.artifacts[0].digest, tagged("registry.test/shop/frontend", "2"));
    let deployment = delivery.routes[0].deployment.clone().unwrap();
    crate::world::assert_succeeded(&stage.end_of(&deployment).await);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_away_is_asked_again_and_then_by_hand() {
    let stage = stage().await;
    stage.apply(vec![hook(&json!({"fails": "away"}))]).await;
    let id = stage.delivered(&both("1")).await;
    let delivery = stage.settled(&id).await;
    assert_eq!((delivery.status, delivery.attempts), (DeliveryStatus::Dead, ATTEMPTS_MAX));
    stage.apply(vec![hook(&json!({}))]).await;
    let resent = stage.delivered(&both("2")).await;
    assert_eq!(stage.settled(&resent).await.status, DeliveryStatus::Read);
    let again = stage.engine.replay_delivery(&caller(), &registry(), &id).await.unwrap();
    assert_eq!((again.status, again.replays), (DeliveryStatus::Pending, 1));
    let delivery = stage.settled(&id).await;
    assert_eq!(delivery.status, DeliveryStatus::Read, "{:?}", delivery.fault);
    // What was read can be read once more: it is announced once more.
    let caller = Caller::new(Actor("alice".to_owned()));
    stage.engine.replay_delivery(&caller, &registry(), &id).await.unwrap();
    assert_eq!(stage.settled(&id).await.replays, 2);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_is_sent_once_more_is_read_again() {
    let stage = stage().await;
    stage.apply(vec![hook(&json!({"fails": "away"}))]).await;
    let id = stage.delivered(&both("1")).await;
    assert_eq!(stage.settled(&id).await.status, DeliveryStatus::Dead);
    stage.apply(vec![hook(&json!({}))]).await;
    assert_eq!(stage.delivered(&both("1")).await, id);
    assert_eq!(stage.settled(&id).await.status, DeliveryStatus::Read);
    // And what was read is not.
    assert_eq!(stage.delivered(&both("1")).await, id);
    assert_eq!(stage.engine.delivery(&registry(), &id).await.unwrap().replays, 1);
}

#[tokio::test(start_paused = true)]
async fn artifacts_of_other_repositories_and_documents_of_other_kinds_are_passed_over() {
    let stage = stage().await;
    let mut foreign = told("frontend", "1");
    foreign["repository"] = json!("registry.test/theirs/frontend");
    let id = stage.delivered(&json!([foreign, {"kind": "weather"}, 7])).await;
    let delivery = stage.settled(&id).await;
    assert_eq!((delivery.status, delivery.artifacts.len()), (DeliveryStatus::Read, 0));
    assert_eq!(
        delivery.notes,
        [
            "registry.test/theirs/frontend is none of the repositories of this hook",
            "a document of kind weather is passed over",
            "a document of kind nothing is passed over",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn deliveries_of_a_hook_are_read_in_the_order_in_which_they_came() {
    let stage = stage().await;
    let mut ids = Vec::new();
    for version in 1..=20 {
        ids.push(stage.delivered(&both(&version.to_string())).await);
    }
    for id in &ids {
        assert_eq!(stage.settled(id).await.status, DeliveryStatus::Read);
    }
    let last = stage.settled(ids.last().unwrap()).await;
    let newest = last.routes[0].deployment.clone().unwrap();
    crate::world::assert_succeeded(&stage.end_of(&newest).await);
    let history = stage.engine.history(Some(&development()), None, 1).await.unwrap();
    assert_eq!(history.deployments[0].id, newest);
}

#[tokio::test(start_paused = true)]
async fn the_newest_deliveries_are_kept_and_whatever_is_still_to_be_read() {
    let stage = stage().await;
    stage.apply(vec![hook(&json!({"fails": "away"}))]).await;
    let waits = stage.delivered(&both("1")).await;
    // Its first attempt has failed, and the next one is later.
    while stage.engine.delivery(&registry(), &waits).await.unwrap().attempts == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    stage.apply(vec![hook(&json!({}))]).await;
    let mut ids = Vec::new();
    for number in 0..KEPT_MAX + 50 {
        ids.push(stage.delivered(&json!([{"kind": "weather", "day": number}])).await);
    }
    stage.settled(ids.last().unwrap()).await;
    // It was not dropped before it was read.
    let still = async || match stage.engine.delivery(&registry(), &waits).await {
        Ok(delivery) => delivery.status == DeliveryStatus::Pending,
        Err(_) => false,
    };
    while still().await {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    let history = stage.engine.history(Some(&development()), None, 1).await.unwrap();
    assert_eq!(history.deployments.len(), 1);
    stage.settled(&stage.delivered(&json!([])).await).await;
    let gone = stage.engine.delivery(&registry(), &ids[0]).await.unwrap_err();
    assert!(matches!(gone, EngineError::NotFound { .. }), "{gone}");
    stage.engine.delivery(&registry(), &ids[KEPT_MAX / 2]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn i14_a_record_that_is_damaged_holds_up_no_other() {
    let stage = stage().await;
    let id = stage.delivered(&both("1")).await;
    let mut damaged = stage.settled(&id).await;
    damaged.due = Some(Timestamp(1));
    let due = Put { index: DELIVERIES_DUE, key: damaged.due_key().unwrap(), value: Some(vec![]) };
    let bad = Put { index: DELIVERIES, key: damaged.key(), value: Some(b"{".to_vec()) };
    let batch = Batch { puts: vec![due, bad], ..Batch::default() };
    stage.world.store.append(batch).await.unwrap();
    let next = stage.delivered(&both("2")).await;
    assert_eq!(stage.settled(&next).await.status, DeliveryStatus::Read);
}
