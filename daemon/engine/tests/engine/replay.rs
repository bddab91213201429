//! Past deployments, made once more from their records.

use std::sync::Arc;

use deployd_core::DeploymentId;
use deployd_core::ports::{Batch, Index, PluginRef, Put, Store};
use deployd_core::replay::{Part, Replay, ReplayedPart, Verdict};
use deployd_engine::{Engine, EngineError};
use serde_json::json;

use crate::documents::{self, plugin};
use crate::fakes::Instance;
use crate::fakes::life::Life;
use crate::world::{Stage, assert_succeeded};

async fn replay(stage: &Stage, id: &DeploymentId, with: Option<&str>) -> Replay {
    let with = with.map(|text| text.parse().unwrap());
    stage.engine.replay(id, with.as_ref()).await.unwrap()
}

fn part(replay: &Replay, which: Part) -> &ReplayedPart {
    replay.parts.iter().find(|part| part.part == which).unwrap()
}

#[tokio::test(start_paused = true)]
async fn i12_the_past_is_made_again_whatever_has_changed_since() {
    let mut stage = Stage::new().await;
    let first = stage.deployed("1").await;
    assert_succeeded(&first);
    // Other outputs, other documents, other versions of all plugins, another life.
    stage.world.drivers().script("dns").outputs = json!({"host": "elsewhere.test"});
    stage
        .apply(vec![
            documents::environment_type("development", json!({"deadline-ms": 1})),
            documents::workload("shop", "backend", json!({}), json!({})),
            plugin("templater", "templater", json!({"version": "2"})),
            plugin("rolling", "strategy", json!({"version": "2"})),
            plugin("dns", "driver", json!({"version": "2"})),
        ])
        .await;
    assert_succeeded(&stage.deployed("2").await);
    stage.engine.stop().await;
    stage.engine = stage.world.engine(&Life::long());
    stage.engine.start().await.unwrap();
    let again = replay(&stage, &first.id, None).await;
    assert_eq!(again.verdict, Verdict::Identical, "{again:#?}");
    let rendered = first.work.as_ref().unwrap().result("render");
    let manifests = part(&again, Part::Manifests);
    assert_eq!((manifests.recorded, manifests.replayed), (rendered, rendered));
    assert_eq!(again.number, 1);
}

#[tokio::test(start_paused = true)]
async fn another_version_of_a_plugin_shows_what_it_would_have_made() {
    let stage = Stage::new().await;
    let first = stage.deployed("1").await;
    let marked = plugin("templater", "templater", json!({"version": "marks"}));
    stage.apply(vec![marked, plugin("rolling", "strategy", json!({"version": "hasty"}))]).await;
    let version = |name: &str, version: &str| {
        let digest = deployd_core::Digest::of(format!("{name} {version}").as_bytes());
        format!("{name}@{digest}")
    };
    let with = replay(&stage, &first.id, Some(&version("templater", "marks"))).await;
    assert_eq!(with.verdict, Verdict::Differs);
    assert_eq!(with.parts.len(), 1, "only what it makes: {with:#?}");
    let found = &part(&with, Part::Manifests).differences;
    let told: Vec<(&str, &str)> = found.iter().map(|d| (&*d.what, &*d.path)).collect();
    assert_eq!(told, [("ConfigMap shop-development/platform", "/data/version")]);
    assert_eq!(found[0].replayed, Some(json!("marks")));

    let short = version("rolling", "hasty").chars().take(26).collect::<String>();
    let with = replay(&stage, &first.id, Some(&short)).await;
    let found = &part(&with, Part::Decisions).differences;
    assert!(found.iter().all(|d| d.path == "/message"), "{found:#?}");
    assert_eq!(with.with.unwrap().name, "rolling");

    // Its own version takes the place of itself: identical.
    let same = replay(&stage, &first.id, Some(&version("templater", "1"))).await;
    assert_eq!(same.verdict, Verdict::Identical);
    // What the deployment does not use, or no such version.
    let other = replay(&stage, &first.id, Some(&version("dns", "1"))).await;
    assert_eq!(other.verdict, Verdict::Nothing);
    assert!(other.parts[0].missing[0].contains("drivers are not pure"), "{other:#?}");
    let unknown = "templater@000000".parse().unwrap();
    let refused = stage.engine.replay(&first.id, Some(&unknown)).await.unwrap_err();
    let EngineError::Invalid { problems } = refused else { panic!("{refused}") };
    assert!(problems[0].message.contains("no version of templater"), "{problems:#?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_is_named_and_the_rest_is_replayed() {
    let stage = Stage::new().await;
    let first = stage.deployed("1").await;
    let forget = Put {
        index: Index("events-of-deployment"),
        key: first.id.0.as_bytes().to_vec(),
        value: None,
    };
    stage.world.store.append(Batch { puts: vec![forget], ..Batch::default() }).await.unwrap();
    let again = replay(&stage, &first.id, None).await;
    assert_eq!(again.verdict, Verdict::Incomplete);
    assert_eq!(part(&again, Part::Manifests).verdict, Verdict::Identical);
    let decisions = part(&again, Part::Decisions);
    assert_eq!(decisions.missing, [format!("there is no events of deployment {}", first.id)]);
    let nobody = DeploymentId("nobody".to_owned());
    let error = stage.engine.replay(&nobody, None).await.unwrap_err();
    assert!(matches!(error, EngineError::NotFound { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_a_templater_refused_it_refuses_again() {
    let stage = Stage::new().await;
    stage.apply(vec![plugin("templater", "templater", json!({"fails": true}))]).await;
    let failed = stage.deployed("1").await;
    assert!(failed.fault.is_some());
    let again = replay(&stage, &failed.id, None).await;
    assert_eq!(part(&again, Part::Manifests).verdict, Verdict::Identical, "{again:#?}");
    assert_eq!(part(&again, Part::Decisions).verdict, Verdict::Nothing);
}

#[tokio::test(start_paused = true)]
async fn a_preview_has_the_baseline_before_anything_was_deployed() {
    let stage = Stage::new().await;
    let images = documents::shop("shop").into_iter().filter_map(|document| match document {
        deployd_core::config::Document::Workload(d) => Some((d.name.to_string(), d.workload)),
        _ => None,
    });
    let mut set = deployd_core::set::DeploymentSet {
        application: "shop".parse().unwrap(),
        workloads: images.collect(),
        resources: std::collections::BTreeMap::new(),
    };
    for workload in set.workloads.values_mut() {
        workload.containers.values_mut().for_each(|one| one.image = "registry.test/x:1".to_owned());
    }
    let request = deployd_core::views::DeployRequest { set: Some(set), ..crate::world::request() };
    let shown = stage.engine.plan(&request).await.unwrap();
    let platform = shown
        .preview
        .manifests
        .of(|_| true)
        .into_iter()
        .find(|object| object["metadata"]["name"] == "platform");
    assert_eq!(platform.unwrap()["data"]["baseline"], "the platform's");
}

#[tokio::test(start_paused = true)]
async fn what_only_a_replay_has_loaded_goes_with_it() {
    let stage = Stage::new().await;
    let first = stage.deployed("1").await;
    stage.engine.stop().await;
    let (world, life, loaded) = (stage.world.clone(), Life::long(), Arc::default());
    let engine = Engine::new(Instance { world, life, loaded: Arc::clone(&loaded) }.ports());
    let stage = Stage { world: stage.world, engine };
    stage.engine.start().await.unwrap();
    let version = |name: &str| {
        let digest = deployd_core::Digest::of(format!("{name} 1").as_bytes());
        (PluginRef { name: name.to_owned(), digest }, format!("{name}@{digest}"))
    };
    let (plugin_ref, text) = version("uploaded");
    let has = |plugin: &PluginRef| loaded.lock().unwrap().contains(plugin);
    replay(&stage, &first.id, Some(&text)).await;
    assert!(!has(&plugin_ref), "no document has ever named it");
    assert!(has(&version("templater").0));
    // One that a document names while it is asked stays.
    let engine = stage.engine.clone();
    stage.world.before("object", async move {
        let named = vec![plugin("uploaded", "templater", json!({}))];
        engine.apply(&crate::world::caller(), named, false).await.unwrap();
    });
    replay(&stage, &first.id, Some(&text)).await;
    assert!(has(&plugin_ref));
}
