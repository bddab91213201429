//! What ran before anything was deployed: the first plan says what becomes of it.

use deployd_core::plan::{ChangeKind, ObjectChange, Preview};
use deployd_core::views::DeployRequest;
use serde_json::json;

use crate::world::{Stage, assert_succeeded, request};

fn kinds(changes: &[ObjectChange]) -> Vec<ChangeKind> {
    changes.iter().map(|change| change.change).collect()
}

/// A plan of what another shop runs.
async fn planned(stage: &Stage) -> Preview {
    let twin = Stage::new().await;
    let record = twin.deployed("1").await;
    let set = twin.engine.set(record.request.set).await.unwrap();
    let request = DeployRequest { set: Some(set), ..request() };
    stage.engine.plan(&request).await.unwrap().preview
}

#[tokio::test(start_paused = true)]
async fn a_first_plan_says_what_is_there_already_and_what_would_change_of_it() {
    let stage = Stage::new().await;
    stage.world.drivers().script("k8s-cluster").plan_outputs = Some(json!({"mode": "in-cluster"}));
    let preview = planned(&stage).await;
    let count = preview.changes.len();
    assert!(count > 2 && kinds(&preview.changes) == vec![ChangeKind::Add; count]);
    assert!(preview.found.is_empty() && preview.not_looked.is_none());

    // Somebody has applied all of it, and one otherwise.
    let manifests = &preview.manifests;
    for it in &manifests.objects {
        let mut object = it.object.clone();
        if object["kind"] == "Deployment" && object["metadata"]["name"] == "frontend" {
            object["spec"]["paused"] = true.into();
        }
        let reference = manifests.reference(&object).unwrap();
        stage.world.cluster().objects.insert(reference, object);
    }
    let preview = planned(&stage).await;
    assert_eq!(preview.found.len(), count);
    let [changed] = &preview.changes[..] else { panic!("{:#?}", preview.changes) };
    assert_eq!((changed.change, changed.object.name.as_str()), (ChangeKind::Change, "frontend"));
    let differs: Vec<&str> = preview
        .found
        .iter()
        .filter(|it| !it.differs.is_empty())
        .map(|it| it.object.name.as_str())
        .collect();
    assert_eq!(differs, ["frontend"]);

    // What can't be looked at is new as far as anybody knows, and that is said.
    stage.world.cluster().unseen.insert("backend".to_owned());
    let preview = planned(&stage).await;
    assert_eq!(preview.not_looked.unwrap().code, "forbidden");
    let backend = preview.changes.iter().filter(|change| change.object.name == "backend");
    assert!(
        backend.clone().count() > 0 && backend.into_iter().all(|it| it.change == ChangeKind::Add)
    );
    assert!(!preview.found.is_empty(), "the rest is known");
    stage.world.cluster().unseen.clear();

    // Who has deployed knows what is there.
    assert_succeeded(&stage.deployed("1").await);
    assert!(planned(&stage).await.found.is_empty());
}
