//! Resources over time: kept, destroyed, retried, polled.

use std::time::Duration;

use deployd_core::Fault;
use deployd_core::deployment::Outcome;
use deployd_core::ports::StoreError;
use serde_json::json;

use crate::documents::{backend, document, plugin, workload};
use crate::fakes::life::Life;
use crate::world::{Stage, assert_succeeded, development};

/// The backend without its database.
fn lean() -> deployd_core::config::Document {
    workload("shop", "backend", json!({}), json!({}))
}

fn postgres(when_unused: &str) -> deployd_core::config::Document {
    let spec = json!({
        "type": "postgres", "driver": "postgres", "whenUnused": when_unused,
        "inputs": {"namespace": "${resources.k8s-namespace.name}"},
    });
    document(deployd_core::config::DocumentKind::ResourceDefinition, "postgres", spec)
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_nothing_asks_for_stays() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    stage.apply(vec![lean()]).await;
    assert_succeeded(&stage.deployed("2").await);
    let resources = stage.engine.resources(&development()).await.unwrap();
    let database = resources.iter().find(|r| r.name == "postgres#backend.db").unwrap();
    assert!(!database.in_use);
    assert!(stage.world.cluster().object("StatefulSet", "db").is_some());
    assert!(
        stage.world.cluster().object("Secret", "backend-env").is_none(),
        "it was the workload's"
    );
    assert!(stage.world.drivers().calls_of("destroy", "postgres").is_empty());
    // Asked for again, it is the same one.
    stage.apply(vec![backend("shop")]).await;
    assert_succeeded(&stage.deployed("3").await);
    assert!(stage.world.drivers().calls_of("provision", "postgres")[1].request.state.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_resource_is_destroyed_with_its_objects_and_secrets_when_the_definition_says_so() {
    let stage = Stage::new().await;
    stage.apply(vec![postgres("destroy")]).await;
    assert_succeeded(&stage.deployed("1").await);
    stage.apply(vec![lean()]).await;
    let record = stage.deployed("2").await;
    assert_succeeded(&record);
    assert_eq!(stage.world.drivers().calls_of("destroy", "postgres").len(), 1);
    assert!(stage.world.cluster().object("StatefulSet", "db").is_none());
    let left = stage.world.vault.lock().unwrap().keys().map(|s| s.name.clone()).collect::<Vec<_>>();
    assert!(!left.contains(&"password".to_owned()), "{left:?}");
    assert_eq!(stage.state().await.resources.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn i12_a_resource_goes_with_the_version_of_the_driver_that_made_it() {
    let mut stage = Stage::new().await;
    stage.apply(vec![postgres("destroy")]).await;
    assert_succeeded(&stage.deployed("1").await);
    let made = stage.world.drivers().calls_of("provision", "postgres").pop().unwrap().plugin;
    stage.apply(vec![plugin("postgres", "driver", json!({"version": "2"})), lean()]).await;
    // The next process loads what documents name, and the other when it is needed.
    stage.engine.abort();
    stage.engine = stage.world.engine(&Life::long());
    stage.engine.start().await.unwrap();
    assert_succeeded(&stage.deployed("2").await);
    let destroyed = stage.world.drivers().calls_of("destroy", "postgres");
    assert_eq!(destroyed.iter().map(|call| call.plugin).collect::<Vec<_>>(), [made]);
}

#[tokio::test(start_paused = true)]
async fn objects_of_a_resource_that_was_long_unused_are_pruned_when_it_is_destroyed() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    stage.apply(vec![lean()]).await;
    assert_succeeded(&stage.deployed("2").await);
    stage.apply(vec![postgres("destroy")]).await;
    assert_succeeded(&stage.deployed("3").await);
    assert_eq!(stage.world.drivers().calls_of("destroy", "postgres").len(), 1);
    assert!(stage.world.cluster().object("StatefulSet", "db").is_none());
}

#[tokio::test(start_paused = true)]
async fn i8_what_others_need_is_destroyed_after_them() {
    let stage = Stage::new().await;
    let chained = |name: &str, needs: Option<&str>| {
        let inputs = needs.map_or(
            json!({}),
            |needs| json!({"of": format!("${{resources.{needs}#shared.name}}")}),
        );
        let spec = json!({
            "type": name, "driver": "template", "whenUnused": "destroy", "inputs": inputs,
        });
        stage.world.drivers().script(name).outputs = json!({"name": name});
        document(deployd_core::config::DocumentKind::ResourceDefinition, name, spec)
    };
    stage
        .apply(vec![
            chained("low", None),
            chained("middle", Some("low")),
            chained("high", Some("middle")),
        ])
        .await;
    let tall =
        workload("shop", "backend", json!({}), json!({"high": {"type": "high", "id": "shared"}}));
    stage.apply(vec![tall]).await;
    assert_succeeded(&stage.deployed("1").await);
    stage.apply(vec![lean()]).await;
    assert_succeeded(&stage.deployed("2").await);
    let drivers = stage.world.drivers();
    let destroyed: Vec<&str> = drivers
        .calls
        .iter()
        .filter(|call| call.what == "destroy")
        .map(|call| call.request.resource_type.as_str())
        .collect();
    assert_eq!(destroyed, ["high", "middle", "low"]);
    let high = &drivers.calls_of("destroy", "high")[0];
    assert_eq!(high.request.inputs["of"], "middle", "what it needs is still known");
}

#[tokio::test(start_paused = true)]
async fn a_destroy_that_fails_needs_an_operator_and_forgets_nothing() {
    let stage = Stage::new().await;
    stage.apply(vec![postgres("destroy")]).await;
    assert_succeeded(&stage.deployed("1").await);
    stage.apply(vec![lean()]).await;
    stage.world.drivers().script("postgres").destroy_fault = Some(Fault::denied("no", "protected"));
    assert_eq!(stage.deployed("2").await.outcome, Some(Outcome::NeedsOperator));
    assert_eq!(stage.state().await.resources.len(), 5);
    stage.world.drivers().script("postgres").destroy_fault = None;
    assert_succeeded(&stage.deployed("3").await);
    assert_eq!(stage.state().await.resources.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn i6_a_fault_that_passes_is_tried_again_with_the_same_key_and_not_for_ever() {
    let stage = Stage::new().await;
    stage.world.drivers().script("postgres").transient = 3;
    assert_succeeded(&stage.deployed("1").await);
    let calls = stage.world.drivers().calls_of("provision", "postgres");
    assert_eq!(calls.len(), 4);
    assert!(calls.iter().all(|c| c.request.idempotency_key == calls[0].request.idempotency_key));

    stage.world.drivers().script("postgres").transient = u32::MAX;
    let record = stage.deployed("2").await;
    assert_eq!(record.outcome, Some(Outcome::Failed));
    assert_eq!(record.fault.unwrap().code, "busy");
    let calls = stage.world.drivers().calls_of("provision", "postgres");
    assert_eq!(calls.len() as u32, 4 + deployd_core::deployment::ATTEMPTS_MAX);
}

#[tokio::test(start_paused = true)]
async fn a_pending_driver_is_polled_with_its_token_and_the_journal_is_not_flooded() {
    let stage = Stage::new().await;
    stage.world.drivers().script("postgres").pending = 50;
    let record = stage.deployed("1").await;
    assert_succeeded(&record);
    let calls = stage.world.drivers().calls_of("provision", "postgres");
    assert_eq!(calls.len(), 51);
    assert!(calls[1..].iter().all(|call| call.token.is_some()));
    let pending =
        stage.world.events().await.iter().filter(|e| e.event.kind == "step-pending").count();
    assert_eq!(pending, 1);
    assert!(record.ended.unwrap().ms_since(calls[0].at) < 60_000, "about a second between polls");
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_fails_does_not_forget_the_operation() {
    let stage = Stage::new().await;
    {
        let mut drivers = stage.world.drivers();
        drivers.script("postgres").pending = 2;
        drivers.script("postgres").transient_polls = 1;
    }
    assert_succeeded(&stage.deployed("1").await);
    let calls = stage.world.drivers().calls_of("provision", "postgres");
    assert!(calls[1..].iter().all(|call| call.token.is_some()), "{calls:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_preview_that_fails_for_now_is_tried_again_and_one_that_is_refused_is_not() {
    let stage = Stage::new().await;
    stage.world.drivers().script("dns").plan_faults = vec![Fault::transient("busy", "later")];
    assert_succeeded(&stage.deployed("1").await);
    stage.world.drivers().script("dns").plan_faults = vec![Fault::invalid("zone", "no such zone")];
    let record = stage.deployed("2").await;
    assert_eq!(record.outcome, Some(Outcome::Failed));
    assert!(record.fault.unwrap().message.contains("no such zone"));
}

#[tokio::test(start_paused = true)]
async fn i14_a_driver_that_panics_fails_its_deployment_and_nothing_else() {
    let stage = Stage::new().await;
    stage.world.drivers().script("dns").panics = true;
    let record = stage.deployed("1").await;
    assert_eq!(record.outcome, Some(Outcome::Failed));
    assert_eq!(record.fault.unwrap().code, "step-panicked");
    stage.world.drivers().script("dns").panics = false;
    assert_succeeded(&stage.deployed("2").await);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_of_an_unsafe_driver_needs_an_operator() {
    let stage = Stage::new().await;
    stage.apply(vec![plugin("dns", "driver", json!({"effect": "unsafe"}))]).await;
    stage.world.drivers().script("dns").takes_ms = 60_000;
    let id = stage.announce("1").await;
    stage
        .until("dns is asked", |world| !world.drivers().calls_of("provision", "dns").is_empty())
        .await;
    stage.engine.abort();
    let engine = stage.world.engine(&crate::fakes::life::Life::long());
    engine.start().await.unwrap();
    let record = crate::world::end_of(&engine, &id).await;
    assert_eq!(record.outcome, Some(Outcome::NeedsOperator));
    assert_eq!(record.fault.unwrap().code, "unknown-outcome");
    assert_eq!(stage.world.drivers().calls_of("provision", "dns").len(), 1, "never twice");
}

#[tokio::test(start_paused = true)]
async fn i6_what_came_of_a_step_is_recorded_also_when_the_store_is_busy() {
    for (busy_after, busy_for) in [(30_000, 600_000), (59_990, 5_000)] {
        let stage = Stage::new().await;
        stage.apply(vec![plugin("dns", "driver", json!({"effect": "unsafe"}))]).await;
        stage.world.drivers().script("dns").takes_ms = 60_000;
        let id = stage.announce("1").await;
        let asked =
            |world: &crate::world::World| !world.drivers().calls_of("provision", "dns").is_empty();
        stage.until("dns is asked", asked).await;
        let began = stage.world.drivers().calls_of("provision", "dns")[0].at;
        let passed = stage.world.now().ms_since(began);
        tokio::time::sleep(Duration::from_millis(busy_after - passed)).await;
        stage.world.store.refuse_writes(Some(StoreError::Busy));
        tokio::time::sleep(Duration::from_millis(busy_for)).await;
        stage.world.store.refuse_writes(None);
        assert_succeeded(&stage.end_of(&id).await);
        let calls = stage.world.drivers().calls_of("provision", "dns").len();
        assert_eq!(calls, 1, "never twice");
    }
}

#[tokio::test(start_paused = true)]
async fn a_result_too_large_to_be_recorded_fails_its_step() {
    let stage = Stage::new().await;
    let huge = Fault::permanent("huge", "no").with_detail(json!("x".repeat(2 << 20)));
    stage.world.drivers().script("dns").permanent = Some(huge);
    let record = stage.deployed("1").await;
    assert_eq!(record.outcome, Some(Outcome::Failed));
    assert_eq!(record.fault.unwrap().code, "result-unrecordable");
    assert_eq!(stage.world.drivers().calls_of("provision", "dns").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn i14_an_environment_whose_record_is_damaged_holds_up_no_other() {
    use deployd_core::ports::{Batch, Index, Put, Store};
    let stage = Stage::new().await;
    stage.engine.stop().await;
    let value = Some(b"no JSON".to_vec());
    let put = Put { index: Index("environments"), key: b"shop/production".to_vec(), value };
    stage.world.store.append(Batch { puts: vec![put], ..Batch::default() }).await.unwrap();
    let engine = stage.world.engine(&crate::fakes::life::Life::long());
    engine.start().await.unwrap();
    let stage = Stage { world: stage.world, engine };
    assert_succeeded(&stage.deployed("1").await);
}
