//! What waits for people makes way: for who goes back, and for a newer version.

use std::time::Duration;

use deployd_core::DeploymentId;
use deployd_core::approval::{ApprovalDecision, ApprovalRequest};
use deployd_core::deployment::{Outcome, Phase};
use deployd_core::flow::ReleaseRequest;
use deployd_core::ports::{Index, Store};
use deployd_core::views::RollbackRequest;
use deployd_engine::Caller;

use crate::approvals::{two_of_sre, who};
use crate::checks::check;
use crate::crashes::Client;
use crate::documents;
use crate::history::Seen;
use crate::world::{Stage, World, assert_succeeded, caller, development};

fn documents() -> Vec<deployd_core::config::Document> {
    let all = documents::platform().into_iter().chain(documents::shop("shop"));
    all.chain(two_of_sre()).collect()
}

impl Stage {
    /// Two versions that ran, and a third that waits for people.
    async fn waiting(world: std::sync::Arc<World>) -> (Self, DeploymentId) {
        let stage = Self::of(world).await;
        for version in ["1", "2"] {
            assert_succeeded(&stage.deployed(version).await);
        }
        stage.apply(two_of_sre()).await;
        let id = stage.announce("3").await;
        stage.approves("ana", &id).await.unwrap();
        (stage, id)
    }
}

#[tokio::test(start_paused = true)]
async fn i4_a_rollback_comes_before_what_waits_for_people_and_what_they_have_said_stays() {
    let (stage, waits) = Stage::waiting(World::new(1)).await;
    // Going back takes a while, so that it can be looked at.
    stage.world.cluster().ready_after_ms = 60_000;
    let request = RollbackRequest::default();
    let back = stage.engine.rollback(&caller(), &development(), request).await.unwrap();
    while stage.engine.deployment(&waits).await.unwrap().yielded.is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let record = stage.engine.deployment(&waits).await.unwrap();
    assert_eq!((record.phase, &record.yielded.unwrap().to), (Phase::Queued, &back.id));
    let late = stage.engine.approval(&who("bob"), &waits).await.unwrap_err().to_string();
    assert!(late.contains(&format!("made way for {}", back.id)), "{late}");
    assert_succeeded(&stage.end_of(&back.id).await);
    stage.release().await;
    // It is asked for again: the plan is another one if what runs makes it so.
    for approver in ["ana", "bob"] {
        stage.approves(approver, &waits).await.unwrap();
    }
    let record = stage.end_of(&waits).await;
    assert_succeeded(&record);
    assert_eq!(record.yielded, None);
    stage.engine.stop().await;
    check(&stage.world, &documents()).await;
}

/// How often an event of a type was recorded.
async fn count(world: &World, kind: &str) -> usize {
    world.events().await.iter().filter(|record| record.event.kind == kind).count()
}

#[tokio::test(start_paused = true)]
async fn a_newer_version_takes_the_place_of_one_that_waits_for_people_and_who_asked_is_told() {
    let (stage, older) = Stage::waiting(World::new(1)).await;
    let newer = stage.announce("4").await;
    let record = stage.end_of(&older).await;
    assert_eq!(record.outcome, Some(Outcome::Superseded));
    for approver in ["ana", "bob"] {
        stage.approves(approver, &newer).await.unwrap();
    }
    assert_succeeded(&stage.end_of(&newer).await);
    assert_eq!(stage.told("deployment.superseded").await[0]["data"]["deployment"], older.0);
    let packed = stage.world.store.get(Index("details"), older.0.as_bytes()).await.unwrap();
    assert!(packed.is_some(), "its log is kept as any other's");
    stage.engine.stop().await;
    check(&stage.world, &documents()).await;
}

#[tokio::test(start_paused = true)]
async fn what_has_made_way_can_be_cancelled_and_superseded_before_it_begins_again() {
    for is_superseded in [false, true] {
        let (stage, waits) = Stage::waiting(World::new(1)).await;
        stage.world.cluster().ready_after_ms = 60_000;
        let request = RollbackRequest::default();
        let back = stage.engine.rollback(&caller(), &development(), request).await.unwrap();
        while stage.engine.deployment(&waits).await.unwrap().yielded.is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let expected = if is_superseded {
            let newer = stage.announce("4").await;
            stage.engine.cancel(&caller(), &newer, None).await.unwrap();
            Outcome::Superseded
        } else {
            stage.engine.cancel(&caller(), &waits, None).await.unwrap();
            Outcome::Cancelled
        };
        assert_eq!(stage.end_of(&waits).await.outcome, Some(expected));
        assert_succeeded(&stage.end_of(&back.id).await);
        stage.engine.stop().await;
        check(&stage.world, &documents()).await;
    }
}

/// A third version waits for people, somebody goes back, and people agree; with the
/// process ending at these points. How many points it passed, and what could be seen.
async fn goes_back(crashes: Vec<usize>) -> (usize, Vec<Seen>) {
    let stage = Stage::new().await;
    for version in ["1", "2"] {
        assert_succeeded(&stage.deployed(version).await);
    }
    stage.apply(two_of_sre()).await;
    stage.engine.stop().await;
    let world = stage.world;
    let mut client = Client::new(world.clone(), crashes).await;
    let waits = client.announce("3").await;
    says(&mut client, "ana", "ana agrees", &waits).await;
    let back = client
        .done("back", |engine, caller| async move {
            Box::pin(engine.rollback(&caller, &development(), RollbackRequest::default())).await
        })
        .await;
    assert_eq!(client.outcome(&back.id).await, Outcome::Succeeded);
    let record = client.engine.deployment(&waits).await.unwrap();
    assert_eq!(record.outcome, None, "it waits until it may go on");
    client
        .done("released", |engine, caller| async move {
            engine.release(&caller, &development(), ReleaseRequest::default()).await
        })
        .await;
    says(&mut client, "ana", "ana agrees again", &waits).await;
    says(&mut client, "bob", "bob agrees", &waits).await;
    assert_eq!(client.outcome(&waits).await, Outcome::Succeeded);
    client.all_told().await;
    client.engine.stop().await;
    assert_eq!(count(&world, "deployment-yielded").await, 1);
    check(&world, &documents()).await;
    let entries = world.trace.lock().unwrap().entries.clone();
    (client.life.passed(), entries)
}

async fn says(client: &mut Client, by: &'static str, key: &str, id: &DeploymentId) {
    let id = id.clone();
    client
        .done(key, |engine, caller| {
            let id = id.clone();
            async move {
                let caller = Caller { idempotency: caller.idempotency, ..who(by) };
                let plan = engine.approval(&caller, &id).await?.waiting.plan;
                let (decision, reason) = (ApprovalDecision::Approve, None);
                engine.decide(&caller, &id, ApprovalRequest { plan, decision, reason }).await
            }
        })
        .await;
}

/// A history in which somebody makes way.
pub fn history() -> Vec<Seen> {
    crate::crashes::run(async { Box::pin(goes_back(Vec::new())).await.1 })
}

/// Points are many, and each of them is a world of its own.
const EVERY: usize = 3;

#[test]
fn i4_i7_a_crash_anywhere_loses_nobody_who_makes_way() {
    let (points, _) = crate::crashes::run(async { Box::pin(goes_back(Vec::new())).await });
    for point in (1..=points).step_by(EVERY) {
        crate::crashes::run(async { Box::pin(goes_back(vec![point])).await });
    }
    assert!(points > 50, "{points}");
}
