//! Notifiers that read answers: the messages about a deployment are told in order,
//! each once, and with what is known from those before.

use std::sync::Arc;

use deployd_core::Fault;
use deployd_core::config::{Document, DocumentKind};
use deployd_core::outbox::{ATTEMPT_DELAYS_MS, MessageStatus};
use serde_json::json;

use crate::documents::document;
use crate::fakes::environment::Receiver;
use crate::fakes::life::Life;
use crate::world::{Stage, World, assert_succeeded, keyed};

const CHAT: &str = "https://chat.test/threads";

/// The notices of a deployment for which nothing goes wrong.
const TYPES: [&str; 4] =
    ["deployment.queued", "deployment.started", "deployment.planned", "deployment.succeeded"];

fn chat(name: &str, config: serde_json::Value) -> Document {
    let mut spec = json!({"notifier": "chat", "events": ["deployment.*"], "config": config});
    spec["signingSecret"] = json!("signing");
    document(DocumentKind::Subscription, name, spec)
}

async fn told_by_chat() -> Stage {
    let stage = Stage::new().await;
    stage.apply(vec![chat("chat", json!({"url": CHAT}))]).await;
    // The sample has one as well, which is of no interest here.
    stage.apply(vec![crate::documents::subscription("ci", &["drift.found"])]).await;
    stage
}

/// What was posted: the thread that was begun, or the thread and the event.
fn posted(world: &World) -> Vec<(Option<u64>, String)> {
    let received = &world.receivers().received;
    let posts = received.iter().map(|received| {
        let thread = received.request.url.strip_prefix(CHAT).unwrap();
        let event = received.event();
        match thread.strip_prefix('/') {
            Some(thread) => {
                (Some(thread.parse().unwrap()), event["type"].as_str().unwrap().to_owned())
            }
            None => (None, event["begins"].as_str().unwrap().to_owned()),
        }
    });
    posts.collect()
}

#[tokio::test(start_paused = true)]
async fn a_deployment_is_one_thread_in_order_also_where_it_begins_with_failures() {
    let stage = told_by_chat().await;
    stage.world.receivers().script.extend([Receiver::Answers(500), Receiver::Hangs]);
    let first = stage.deployed("1").await;
    assert_succeeded(&first);
    stage.all_told().await;
    let posts = posted(&stage.world);
    let begun = (None, first.id.0.clone());
    assert_eq!(posts[..3], [begun.clone(), begun.clone(), begun], "nobody else goes first");
    let told: Vec<_> = TYPES.iter().map(|told| (Some(3), (*told).to_owned())).collect();
    assert_eq!(posts[3..], told);

    // Another deployment is another thread, and a message that is delivered again goes
    // to the thread of its own.
    assert_succeeded(&stage.deployed("2").await);
    stage.all_told().await;
    let second = posted(&stage.world)[7..].to_vec();
    assert_eq!(second[0].0, None);
    assert!(second[1..].iter().all(|(thread, _)| *thread == Some(8)), "{second:?}");
    let messages = stage.world.messages(None).await;
    let about = stage.engine.messages_about(&first.id, None, 50).await.unwrap();
    assert_eq!(about, messages[..4], "each deployment has its own");
    let dead = Some(MessageStatus::Dead);
    assert_eq!(stage.engine.messages_about(&first.id, dead, 50).await.unwrap(), []);
    stage.engine.redeliver(&keyed("again", "again"), &messages[1].id).await.unwrap();
    stage.all_told().await;
    assert_eq!(posted(&stage.world).last(), Some(&(Some(3), TYPES[1].to_owned())));
}

#[tokio::test(start_paused = true)]
async fn what_is_never_taken_holds_up_its_thread_until_it_is_dead_and_no_other() {
    let stage = told_by_chat().await;
    let refusals = (0..ATTEMPT_DELAYS_MS.len()).map(|_| Receiver::Answers(500));
    stage.world.receivers().script.extend(refusals);
    assert_succeeded(&stage.deployed("1").await);
    stage.all_told().await;
    let messages = stage.world.messages(None).await;
    let statuses: Vec<_> = messages.iter().map(|message| message.status).collect();
    use MessageStatus::{Dead, Delivered};
    assert_eq!(statuses, [Dead, Delivered, Delivered, Delivered]);
    // Who has waited was not tried meanwhile.
    assert!(messages[1..].iter().all(|message| message.attempts.len() == 1));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_for_good_lets_the_next_one_go_at_once() {
    let stage = told_by_chat().await;
    let refused = Fault::denied("not-allowed", "the token is revoked");
    stage.world.receivers().script.push_back(Receiver::Fails(refused));
    let before = stage.world.now();
    assert_succeeded(&stage.deployed("1").await);
    stage.until("four posts", |world| world.receivers().received.len() >= 4).await;
    assert!(stage.world.now().ms_since(before) < 60_000, "nobody has waited for a retry");
    assert_eq!(stage.world.messages(Some(MessageStatus::Dead)).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_ever_is_stopped() {
    let stage = Stage::new().await;
    stage.apply(vec![chat("endless", json!({"url": CHAT, "asksForEver": true}))]).await;
    assert_succeeded(&stage.deployed("1").await);
    stage.all_told().await;
    let dead = stage.world.messages(Some(MessageStatus::Dead)).await;
    let fault = dead[0].attempts[0].fault.as_ref().unwrap();
    assert_eq!((fault.code.as_str(), dead[0].attempts.len()), ("notifier-endless", 1));
}

/// Tells all that is still to be told, by a process that ends at a point, and by another
/// one after it. Whether the first came to its end before.
pub async fn told_over_a_crash(world: &Arc<World>, point: usize) -> bool {
    let life = Life::ending_at(point);
    let stage = Stage { world: world.clone(), engine: world.engine(&life) };
    let started = async {
        stage.engine.start().await.unwrap();
        stage.all_told().await;
    };
    let ended = tokio::select! {
        biased;
        () = life.died() => false,
        () = started => true,
    };
    stage.engine.abort();
    let stage = Stage { world: world.clone(), engine: world.engine(&Life::long()) };
    stage.engine.start().await.unwrap();
    stage.all_told().await;
    ended
}

/// A world in which all of a deployment is still to be told, and nobody lives.
async fn all_still_to_be_told() -> Arc<World> {
    let stage = told_by_chat().await;
    stage.world.receivers().script.push_back(Receiver::Hangs);
    assert_succeeded(&stage.deployed("1").await);
    stage.engine.abort();
    stage.world.receivers().received.clear();
    stage.world
}

#[tokio::test(start_paused = true)]
async fn i11_a_crash_anywhere_repeats_at_most_what_was_not_recorded() {
    let mut begun_twice = 0;
    let mut ended = false;
    for point in 1.. {
        let world = all_still_to_be_told().await;
        ended |= told_over_a_crash(&world, point).await;

        let delivered = world.messages(Some(MessageStatus::Delivered)).await;
        assert_eq!(delivered.len(), TYPES.len(), "point {point}");
        let posts = posted(&world);
        let begun = posts.iter().filter(|(thread, _)| thread.is_none()).count();
        let told: Vec<_> = posts.iter().filter(|(thread, _)| thread.is_some()).collect();
        assert!(begun <= 2, "point {point}: {posts:?}");
        assert!(begun + told.len() <= 1 + TYPES.len() + 1, "point {point}: {posts:?}");
        begun_twice += begun - 1;
        // All in one thread, the last that was begun, and in order.
        assert!(told.iter().all(|(thread, _)| *thread == told[0].0), "point {point}: {posts:?}");
        let mut types: Vec<_> = told.iter().map(|(_, told)| told.as_str()).collect();
        types.dedup();
        assert_eq!(types, TYPES, "point {point}");
        if ended {
            break;
        }
    }
    assert!(begun_twice > 0, "no crash came between an answer and its record");
}
