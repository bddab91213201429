//! One environment has a resource, others use it.

use deployd_core::config::{Document, DocumentKind};
use deployd_core::deployment::Outcome;
use deployd_core::views::DeployRequest;
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
