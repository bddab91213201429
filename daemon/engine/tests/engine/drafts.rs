//! Drafts: shared, edited by several, deployed or dropped.

use deployd_core::Actor;
use deployd_core::draft::{DRAFTS_MAX, Draft, DraftDeployment, DraftEdit, NewDraft};
use deployd_core::set::Delta;
use deployd_engine::{Caller, EngineError};

use crate::documents::image;
use crate::world::{Stage, assert_succeeded, caller, development};

fn delta(version: &str) -> Delta {
    Delta::of_images(&[(("backend".into(), "main".into()), image("backend", version))].into())
}

fn new(version: &str) -> NewDraft {
    NewDraft { environment: development(), title: Some("hotfix".into()), delta: delta(version) }
}

async fn created(stage: &Stage) -> Draft {
    stage.engine.create_draft(&caller(), &new("7")).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_draft_is_edited_by_several_and_deployed_once() {
    let stage = Stage::new().await;
    let first = stage.deployed("1").await;
    let draft = created(&stage).await;
    assert_eq!((draft.version, draft.base), (1, first.request.set));
    let bob = Caller::new(Actor("bob".into()));
    let edit = DraftEdit { version: 1, delta: delta("8") };
    let edited = stage.engine.edit_draft(&bob, &draft.id, &edit).await.unwrap();
    assert_eq!((edited.version, &edited.delta), (2, &delta("8")));
    // Who has read the version before is told who was quicker.
    let late = stage.engine.edit_draft(&caller(), &draft.id, &edit).await.unwrap_err();
    let EngineError::Conflict { message } = late else { panic!("{late:?}") };
    assert!(message.contains("version 2 now, not at 1: bob changed it"), "{message}");
    let how = DraftDeployment { version: Some(1), ..DraftDeployment::default() };
    let late = stage.engine.deploy_draft(&caller(), &draft.id, &how).await.unwrap_err();
    assert!(matches!(late, EngineError::Conflict { .. }), "{late:?}");
    let late = stage.engine.plan_draft(&draft.id, &how).await.unwrap_err();
    assert!(late.to_string().contains("at version 2 now"), "{late}");
    let latest = DraftDeployment::default();
    let planned = stage.engine.plan_draft(&draft.id, &latest).await.unwrap();
    assert_eq!(planned.plan.environment, development());
    assert!(!planned.preview.changes.is_empty());
    // What runs has changed meanwhile: the draft is a delta to that.
    stage.deployed("2").await;
    let how = DraftDeployment { version: Some(2), ..DraftDeployment::default() };
    let record = stage.engine.deploy_draft(&caller(), &draft.id, &how).await.unwrap();
    assert_eq!(record.request.comment.as_deref(), Some("hotfix"));
    assert_succeeded(&stage.end_of(&record.id).await);
    let images = stage.engine.environment(&development()).await.unwrap().images;
    assert_eq!(
        images,
        [
            ("backend/main".to_owned(), image("backend", "8")),
            ("frontend/main".to_owned(), image("frontend", "2")),
        ]
    );
    let gone = stage.engine.deploy_draft(&caller(), &draft.id, &how).await.unwrap_err();
    assert!(matches!(gone, EngineError::NotFound { .. }), "{gone:?}");
    let kinds: Vec<String> = stage
        .world
        .events()
        .await
        .into_iter()
        .filter(|event| event.stream.0 == "drafts/shop")
        .map(|event| event.event.kind)
        .collect();
    assert_eq!(kinds, ["draft-created", "draft-edited", "draft-deployed"]);
}

#[tokio::test(start_paused = true)]
async fn drafts_are_listed_dropped_and_bounded() {
    let stage = Stage::new().await;
    stage.deployed("1").await;
    let shop = "shop".parse().unwrap();
    let draft = created(&stage).await;
    assert_eq!(stage.engine.drafts(&shop).await.unwrap(), std::slice::from_ref(&draft));
    stage.engine.drop_draft(&caller(), &draft.id).await.unwrap();
    assert!(stage.engine.drafts(&shop).await.unwrap().is_empty());
    let gone = stage.engine.draft(&draft.id).await.unwrap_err();
    assert!(gone.to_string().contains("it may be deployed, or dropped"), "{gone}");
    for _ in 0..DRAFTS_MAX {
        created(&stage).await;
    }
    let full = stage.engine.create_draft(&caller(), &new("7")).await.unwrap_err();
    assert!(full.to_string().contains("deploy or drop some first"), "{full}");
    let mut wrong = new("7");
    wrong.delta.workloads.remove.insert("none".into());
    let wrong = stage.engine.create_draft(&caller(), &wrong).await.unwrap_err();
    assert!(wrong.to_string().contains("no workload \"none\""), "{wrong}");
    let mut large = new("7");
    large.delta.workloads.remove.insert("x".repeat(300 * 1024));
    let large = stage.engine.create_draft(&caller(), &large).await.unwrap_err();
    assert!(large.to_string().contains("expected at most"), "{large}");
}
