//! One environment has a resource, others use it.

use deployd_core::config::{Document, DocumentKey, DocumentKind};
use deployd_core::deployment::Outcome;
use deployd_core::views::{DeployRequest, TeardownRequest};
use deployd_core::{DeploymentId, EnvironmentId};
use deployd_engine::EngineError;
use serde_json::{Value, json};

use crate::documents::{self, document};
use crate::world::{Stage, assert_succeeded, caller, development};

const INSTANCE: &str = "postgres-instance#main";

fn shared() -> EnvironmentId {
    "platform/shared".parse().unwrap()
}

fn definition(name: &str, spec: Value) -> Document {
    document(DocumentKind::ResourceDefinition, name, spec)
}

/// A platform whose environment `shared` has a database server, on which every
/// environment's databases are.
fn platform() -> Vec<Document> {
    vec![
        document(DocumentKind::Application, "platform", json!({"workloads": []})),
        documents::environment("platform", "shared", "development"),
        definition(
            "instance",
            json!({
                "type": "postgres-instance", "driver": "template", "whenUnused": "destroy",
                "criteria": [{"application": "platform"}],
            }),
        ),
        definition("instance-for-all", json!({"type": "postgres-instance", "lender": shared()})),
        definition(
            "postgres",
            json!({
                "type": "postgres", "driver": "postgres", "whenUnused": "destroy",
                "inputs": {"server": format!("${{resources.{INSTANCE}.host}}")},
            }),
        ),
    ]
}

/// Deploys the platform with what it shares now.
async fn deploy_platform(stage: &Stage, resources: Value) -> DeploymentId {
    let spec = json!({"workloads": [], "resources": resources});
    stage.apply(vec![document(DocumentKind::Application, "platform", spec)]).await;
    let request = DeployRequest { environment: Some(shared()), ..DeployRequest::default() };
    stage.engine.deploy(&caller(), request).await.unwrap().id
}

fn server() -> Value {
    json!({"server": {"type": "postgres-instance", "id": "main"}})
}

async fn stage() -> Stage {
    let stage = Stage::new().await;
    {
        let mut drivers = stage.world.drivers();
        let template = drivers.script("postgres-instance");
        template.outputs = json!({"host": "db.platform.test"});
        template.secrets = vec!["admin"];
        template.manifests = vec![json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "server"},
        })];
    }
    stage.apply(platform()).await;
    stage
}

#[tokio::test(start_paused = true)]
async fn a_resource_of_another_environment_is_used_as_it_is_there() {
    let stage = stage().await;
    let platform = deploy_platform(&stage, server()).await;
    assert_succeeded(&stage.end_of(&platform).await);
    assert_succeeded(&stage.deployed("1").await);
    let made = stage.world.drivers().calls_of("provision", "postgres").pop().unwrap();
    assert_eq!(made.request.inputs["server"], "db.platform.test");
    // It is provisioned once, and its objects are applied by who has it.
    assert_eq!(stage.world.drivers().calls_of("provision", "postgres-instance").len(), 1);
    let plan = stage.state().await.deployed.unwrap().plan;
    let plan: Value =
        serde_json::from_slice(&stage.world.object(plan).await).expect("a plan is JSON");
    let borrowed: Vec<&Value> = plan["borrowed"].as_object().unwrap().values().collect();
    assert_eq!(borrowed.len(), 1);
    assert_eq!(borrowed[0]["lender"], "platform/shared");
    assert!(plan["graph"]["nodes"].to_string().contains(r#""lender":"platform/shared""#));
    // Nothing of it is the borrower's.
    let resources = stage.engine.resources(&development()).await.unwrap();
    assert!(resources.iter().all(|resource| resource.name != INSTANCE), "{resources:?}");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_lends_is_said_in_the_plan() {
    let stage = stage().await;
    let id = stage.announce("1").await;
    let record = stage.end_of(&id).await;
    assert_eq!(record.outcome, Some(Outcome::Failed));
    let fault = record.fault.unwrap().to_string();
    assert!(
        fault.contains("postgres-instance#main")
            && fault.contains("platform/shared, which has none; deploy it there first"),
        "{fault}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_lent_stays_until_nobody_uses_it() {
    let stage = stage().await;
    let first = deploy_platform(&stage, server()).await;
    assert_succeeded(&stage.end_of(&first).await);
    assert_succeeded(&stage.deployed("1").await);
    // Nothing of the platform asks for it any more, and the shop does.
    let second = deploy_platform(&stage, json!({})).await;
    assert_succeeded(&stage.end_of(&second).await);
    assert!(stage.world.drivers().calls_of("destroy", "postgres-instance").is_empty());
    let plan = plan_of(&stage, &second).await;
    assert_eq!(plan["unused"][0]["whenUnused"], "keep");
    assert_eq!(plan["unused"][0]["lentTo"], json!(["shop/development"]));
    // Now the shop does not either; its database goes with it.
    let backend = documents::workload("shop", "backend", json!({}), json!({}));
    stage.apply(vec![backend]).await;
    assert_succeeded(&stage.deployed("2").await);
    let third = deploy_platform(&stage, json!({})).await;
    assert_succeeded(&stage.end_of(&third).await);
    assert_eq!(stage.world.drivers().calls_of("destroy", "postgres-instance").len(), 1);
    assert!(stage.world.cluster().object("StatefulSet", "server").is_none());
}

#[tokio::test(start_paused = true)]
async fn what_a_lent_resource_needs_stays_with_it() {
    let stage = stage().await;
    let of_platform = json!({
        "type": "postgres", "driver": "postgres", "whenUnused": "destroy",
        "inputs": {"server": format!("${{resources.{INSTANCE}.host}}")},
        "criteria": [{"application": "platform"}],
    });
    let of_others = json!({"type": "postgres", "lender": shared()});
    stage
        .apply(vec![
            definition("postgres", of_others),
            definition("postgres-of-platform", of_platform),
            using(json!({"type": "postgres", "id": "orders"})),
        ])
        .await;
    let orders = json!({"orders": {"type": "postgres", "id": "orders"}});
    let first = deploy_platform(&stage, orders).await;
    assert_succeeded(&stage.end_of(&first).await);
    assert_succeeded(&stage.deployed("1").await);
    let second = deploy_platform(&stage, json!({})).await;
    assert_succeeded(&stage.end_of(&second).await);
    let plan = plan_of(&stage, &second).await;
    let unused = plan["unused"].as_array().unwrap();
    assert_eq!(unused.len(), 2);
    assert!(unused.iter().all(|one| one["whenUnused"] == "keep"), "{unused:?}");
    assert_eq!(stage.world.drivers().calls.iter().filter(|c| c.what == "destroy").count(), 0);
}

/// The backend, with one resource.
fn using(resource: Value) -> Document {
    documents::workload("shop", "backend", json!({}), json!({"db": resource}))
}

/// Waits until the preview of the shop's database was asked for.
async fn until_planning(stage: &Stage) {
    let planning =
        |world: &crate::world::World| !world.drivers().calls_of("plan", "postgres").is_empty();
    stage.until("the shop is planned", planning).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_about_to_go_is_not_lent() {
    let stage = stage().await;
    let first = deploy_platform(&stage, server()).await;
    assert_succeeded(&stage.end_of(&first).await);
    stage.world.drivers().script("k8s-namespace").takes_ms = 60_000;
    let second = deploy_platform(&stage, json!({})).await;
    let provisions = |world: &crate::world::World| {
        world.drivers().calls_of("provision", "k8s-namespace").len() > 1
    };
    stage.until("it is planned that the server goes", provisions).await;
    let record = stage.deployed("1").await;
    assert_eq!(record.outcome, Some(Outcome::Failed));
    let fault = record.fault.unwrap().to_string();
    assert!(fault.contains("about to be taken away from platform/shared"), "{fault}");
    assert_succeeded(&stage.end_of(&second).await);
    // The same while all of the environment is about to go.
    stage.world.drivers().script("k8s-namespace").takes_ms = 0;
    let third = deploy_platform(&stage, server()).await;
    assert_succeeded(&stage.end_of(&third).await);
    stage.world.drivers().script("k8s-namespace").takes_ms = 60_000;
    let running = deploy_platform(&stage, server()).await;
    let asked = TeardownRequest::default();
    let teardown = stage.engine.teardown(&caller(), &shared(), asked).await.unwrap();
    let error = stage.engine.plan(&crate::world::request()).await.unwrap_err();
    assert!(error.to_string().contains("is about to take platform/shared away"), "{error}");
    assert_succeeded(&stage.end_of(&running).await);
    assert_succeeded(&stage.end_of(&teardown.id).await);
}

#[tokio::test(start_paused = true)]
async fn what_went_while_the_borrower_was_planned_is_not_used() {
    let stage = stage().await;
    let first = deploy_platform(&stage, server()).await;
    assert_succeeded(&stage.end_of(&first).await);
    stage.world.drivers().script("postgres").plan_takes_ms = 60_000;
    let shop = stage.announce("1").await;
    until_planning(&stage).await;
    let second = deploy_platform(&stage, json!({})).await;
    assert_succeeded(&stage.end_of(&second).await);
    assert_eq!(stage.world.drivers().calls_of("destroy", "postgres-instance").len(), 1);
    let record = stage.end_of(&shop).await;
    assert_eq!(record.outcome, Some(Outcome::Failed));
    assert_eq!(record.fault.unwrap().code, "loan-ended");
    assert!(stage.world.drivers().calls_of("provision", "postgres").is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_has_begun_to_go_goes_also_when_a_borrower_comes_meanwhile() {
    let stage = stage().await;
    let first = deploy_platform(&stage, server()).await;
    assert_succeeded(&stage.end_of(&first).await);
    {
        let mut drivers = stage.world.drivers();
        drivers.script("postgres").plan_takes_ms = 60_000;
        drivers.script("postgres").takes_ms = 60_000;
        drivers.script("postgres-instance").destroy_pending = 200;
    }
    let shop = stage.announce("1").await;
    until_planning(&stage).await;
    let second = deploy_platform(&stage, json!({})).await;
    let record = stage.end_of(&shop).await;
    assert_eq!(record.fault.unwrap().code, "loan-ended");
    assert_succeeded(&stage.end_of(&second).await);
    assert!(stage.world.drivers().calls_of("destroy", "postgres-instance").len() > 200);
}

#[tokio::test(start_paused = true)]
async fn what_a_failed_deployment_has_begun_with_a_loan_keeps_it() {
    let stage = stage().await;
    let first = deploy_platform(&stage, server()).await;
    assert_succeeded(&stage.end_of(&first).await);
    // The database may be on the server, and is not known to be there.
    let quota = deployd_core::Fault::permanent("quota", "no more");
    stage.world.drivers().script("postgres").permanent = Some(quota);
    assert_eq!(stage.deployed("1").await.outcome, Some(Outcome::Failed));
    // What is there was made later, by a plan that borrows nothing.
    let backend = documents::workload("shop", "backend", json!({}), json!({}));
    stage.apply(vec![backend]).await;
    stage.world.cluster().broken.insert(documents::image("backend", "2"));
    assert_eq!(stage.deployed("2").await.outcome, Some(Outcome::Failed));
    let second = deploy_platform(&stage, json!({})).await;
    assert_succeeded(&stage.end_of(&second).await);
    assert!(stage.world.drivers().calls_of("destroy", "postgres-instance").is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_a_failed_deployment_has_applied_with_a_loan_keeps_it() {
    let stage = stage().await;
    let first = deploy_platform(&stage, server()).await;
    assert_succeeded(&stage.end_of(&first).await);
    stage.apply(vec![using(json!({"type": "postgres-instance", "id": "main"}))]).await;
    for version in ["1", "2"] {
        stage.world.cluster().broken.insert(documents::image("backend", version));
    }
    assert_eq!(stage.deployed("1").await.outcome, Some(Outcome::Failed));
    let backend = documents::workload("shop", "backend", json!({}), json!({}));
    stage.apply(vec![backend]).await;
    assert_eq!(stage.deployed("2").await.outcome, Some(Outcome::Failed));
    assert_eq!(stage.state().await.applied.len(), 2);
    let second = deploy_platform(&stage, json!({})).await;
    assert_succeeded(&stage.end_of(&second).await);
    assert!(stage.world.drivers().calls_of("destroy", "postgres-instance").is_empty());
    // Once that is gone from the cluster, nobody uses it.
    assert_succeeded(&stage.deployed("3").await);
    let third = deploy_platform(&stage, json!({})).await;
    assert_succeeded(&stage.end_of(&third).await);
    assert_eq!(stage.world.drivers().calls_of("destroy", "postgres-instance").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn i12_what_is_borrowed_from_now_on_replaces_what_was_made_here() {
    let stage = stage().await;
    let own = json!({
        "type": "postgres", "driver": "postgres", "whenUnused": "destroy",
        "criteria": [{"application": "platform"}],
    });
    stage.apply(vec![definition("postgres-of-platform", own)]).await;
    let orders = json!({"type": "postgres", "id": "orders"});
    let first =
        deploy_platform(&stage, json!({"orders": orders.clone(), "server": server()["server"]}))
            .await;
    assert_succeeded(&stage.end_of(&first).await);
    stage.apply(vec![using(orders)]).await;
    assert_succeeded(&stage.deployed("1").await);
    let lent = json!({"type": "postgres", "lender": shared(), "whenUnused": "destroy"});
    stage.engine.apply_by_force(&caller(), vec![definition("postgres", lent)]).await.unwrap();
    let record = stage.deployed("2").await;
    assert_eq!(record.outcome, Some(Outcome::Failed));
    let fault = record.fault.unwrap();
    assert_eq!(fault.code, "replace-not-confirmed");
    assert!(fault.message.contains("postgres#orders"), "{}", fault.message);
    assert!(stage.world.drivers().calls_of("destroy", "postgres").is_empty());
    let confirmed = DeployRequest { confirm_replace: true, ..crate::world::request() };
    let id = stage.engine.deploy(&caller(), confirmed).await.unwrap().id;
    assert_succeeded(&stage.end_of(&id).await);
    assert_eq!(stage.world.drivers().calls_of("destroy", "postgres").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_environment_does_not_move_to_a_borrowed_cluster_nor_from_one() {
    let stage = stage().await;
    stage.apply(vec![documents::environment("platform", "other", "development")]).await;
    let first = deploy_platform(&stage, server()).await;
    assert_succeeded(&stage.end_of(&first).await);
    let other = DeployRequest {
        environment: Some("platform/other".parse().unwrap()),
        ..Default::default()
    };
    let other = stage.engine.deploy(&caller(), other).await.unwrap().id;
    assert_succeeded(&stage.end_of(&other).await);
    let own = |criteria: Value| {
        let spec = json!({"type": "k8s-cluster", "driver": "cluster", "criteria": criteria});
        definition("cluster", spec)
    };
    let of_shop = |lender: &str| {
        let criteria = json!([{"application": "shop"}]);
        let spec = json!({"type": "k8s-cluster", "lender": lender, "criteria": criteria});
        definition("cluster-of-shop", spec)
    };
    let refused = async |what: &str| {
        let error = stage.engine.plan(&crate::world::request()).await.unwrap_err().to_string();
        assert!(error.contains(what) && error.contains("delete the environment"), "{error}");
    };
    stage.apply(vec![of_shop("platform/shared")]).await;
    assert_succeeded(&stage.deployed("1").await);
    assert_succeeded(&stage.deployed("2").await);
    let by_force = async |document: Document| {
        stage.engine.apply_by_force(&caller(), vec![document]).await.unwrap();
    };
    by_force(of_shop("platform/other")).await;
    refused("from platform/shared, and would be borrowed from platform/other").await;
    let driven = json!({
        "type": "k8s-cluster", "driver": "cluster", "criteria": [{"application": "shop"}],
    });
    by_force(definition("cluster-of-shop", driven.clone())).await;
    refused("from platform/shared, and would be made here").await;
    by_force(of_shop("platform/shared")).await;
    assert_succeeded(&stage.deployed("3").await);
    // And from an own one to a borrowed one.
    by_force(own(json!([{}]))).await;
    assert_succeeded(&stage.torn_down(&[]).await);
    stage.apply(documents::shop("shop")).await;
    by_force(definition("cluster-of-shop", driven)).await;
    assert_succeeded(&stage.deployed("4").await);
    by_force(of_shop("platform/shared")).await;
    refused("would be borrowed from platform/shared").await;
}

#[tokio::test(start_paused = true)]
async fn an_environment_does_not_borrow_from_itself() {
    let stage = stage().await;
    let spec = json!({
        "type": "postgres-instance", "lender": shared(), "criteria": [{"application": "platform"}],
    });
    stage.apply(vec![definition("instance", spec)]).await;
    let spec = json!({"workloads": [], "resources": server()});
    stage.apply(vec![document(DocumentKind::Application, "platform", spec)]).await;
    let request = DeployRequest { environment: Some(shared()), ..DeployRequest::default() };
    let error = stage.engine.plan(&request).await.unwrap_err();
    let EngineError::Invalid { problems } = &error else { panic!("{error:?}") };
    let text = format!("{problems:?}");
    assert!(text.contains("borrows it from platform/shared, which is this environment"), "{text}");
}

async fn plan_of(stage: &Stage, id: &DeploymentId) -> Value {
    let plan = stage.engine.plan_of(id).await.unwrap();
    serde_json::to_value(plan).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_change_of_what_lends_says_whom_it_concerns_and_needs_force() {
    let stage = stage().await;
    let first = deploy_platform(&stage, server()).await;
    assert_succeeded(&stage.end_of(&first).await);
    assert_succeeded(&stage.deployed("1").await);
    let key = DocumentKey {
        kind: DocumentKind::ResourceDefinition,
        application: None,
        name: "instance-for-all".parse().unwrap(),
    };
    let dry = stage.engine.remove_document(&caller(), &key, false, true).await.unwrap();
    let [affected] = dry.affected.as_slice() else { panic!("{:?}", dry.affected) };
    assert_eq!((affected.name.as_str(), &affected.environment), (INSTANCE, &development()));
    assert!(affected.problem.is_some());
    let refused = stage.engine.remove_document(&caller(), &key, false, false).await.unwrap_err();
    assert!(matches!(refused, EngineError::Affects { .. }), "{refused}");
    for spec in [
        json!({"type": "postgres-instance", "lender": "platform/other"}),
        json!({"type": "postgres-instance", "driver": "template"}),
    ] {
        let elsewhere = vec![definition("instance-for-all", spec)];
        let dry = stage.engine.apply(&caller(), elsewhere.clone(), true).await.unwrap();
        let [affected] = dry.affected.as_slice() else { panic!("{:?}", dry.affected) };
        assert!(affected.replace);
        let refused = stage.engine.apply(&caller(), elsewhere, false).await.unwrap_err();
        assert!(matches!(refused, EngineError::Affects { .. }), "{refused}");
    }
    // The same lender by a change that says nothing else is none.
    let spec = json!({"type": "postgres-instance", "lender": shared(), "whenUnused": "destroy"});
    stage.apply(vec![definition("instance-for-all", spec)]).await;
}
