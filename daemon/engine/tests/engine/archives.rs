//! Deployments taken along: exported by one installation, imported by another.

use deployd_core::steering::Steering;
use std::sync::atomic::Ordering;

use deployd_archive::{Archive, Content, read, write};
use deployd_core::archive::{ImportOutcome, ImportView, MemberKind};
use deployd_core::compare::{PartName, Wanted};
use deployd_core::deployment::DeploymentRecord;
use deployd_core::digest::canonical_json;
use deployd_core::inventory::When;
use deployd_core::plan::ChangeKind;
use deployd_core::ports::{Batch, Index, Put, Store as _};
use deployd_core::replay::Verdict;
use deployd_core::views::{DeployRequest, RollbackRequest};
use deployd_core::{DeploymentId, Digest};
use deployd_engine::EngineError;
use serde_json::json;

use crate::documents::{self, plugin};
use crate::fakes::life::Life;
use crate::world::{Stage, World, assert_succeeded, caller, development, keyed, request};

/// Another installation: other documents, other versions, another time.
async fn elsewhere() -> Stage {
    let world = World::new(2);
    world.clock_off_ms.store(86_400_000, Ordering::Relaxed);
    let stage = Stage::of(world).await;
    stage
        .apply(vec![
            documents::environment_type("development", json!({"deadline-ms": 1})),
            documents::workload("shop", "backend", json!({}), json!({})),
        ])
        .await;
    stage
}

async fn exported(stage: &Stage, id: &DeploymentId) -> Vec<u8> {
    stage.engine.export(&id.0.parse().unwrap(), true).await.unwrap().archive
}

async fn imported(stage: &Stage, archive: &[u8]) -> ImportView {
    stage.engine.import(&caller(), archive.to_vec()).await.unwrap()
}

fn sound(archive: &[u8]) -> Archive {
    let found = read(archive);
    assert!(found.verified.is_sound(), "{:#?}", found.verified.findings);
    found
}

/// What is wrong with an archive, by member.
async fn refused(stage: &Stage, archive: Vec<u8>) -> Vec<String> {
    let before = stage.world.events().await.len();
    let error = stage.engine.import(&caller(), archive).await.unwrap_err();
    assert_eq!(stage.world.events().await.len(), before);
    let EngineError::Invalid { problems } = error else { panic!("{error}") };
    problems.iter().map(|problem| format!("{}: {}", problem.place, problem.message)).collect()
}

fn conflict(error: EngineError) -> String {
    let EngineError::Conflict { message } = error else { panic!("{error}") };
    message
}

#[tokio::test(start_paused = true)]
async fn i12_what_was_deployed_in_one_installation_is_made_again_in_another() {
    let here = Stage::new().await;
    let first = here.deployed("1").await;
    assert_succeeded(&first);
    let second = here.deployed("2").await;
    let archive = exported(&here, &second.id).await;
    let found = sound(&archive);
    let index = found.index.unwrap();
    assert_eq!(index.deployments.len(), 1);
    assert_eq!(index.absent, []);
    let kinds = |kind| index.members.iter().filter(|member| member.kind == kind).count();
    assert_eq!((kinds(MemberKind::Set), kinds(MemberKind::Plugin)), (2, 2));

    let there = elsewhere().await;
    let view = imported(&there, &archive).await;
    assert_eq!(view.deployments[0].outcome, ImportOutcome::Imported);
    assert_eq!((view.deployments[0].id.clone(), view.notes.len()), (second.id.clone(), 0));
    let record = there.engine.deployment(&second.id).await.unwrap();
    let from = record.imported.clone().unwrap();
    assert_eq!((from.archive, from.made), (view.archive, index.made));
    assert_eq!(DeploymentRecord { imported: None, ..record }, second);
    assert_eq!(
        there.engine.manifests(&second.id).await.unwrap(),
        here.engine.manifests(&second.id).await.unwrap()
    );
    // After a restart, too, and with nothing but what came along.
    let again = Stage { engine: there.world.engine(&Life::long()), world: there.world.clone() };
    let replay = again.engine.replay(&second.id, None).await.unwrap();
    assert_eq!(replay, here.engine.replay(&second.id, None).await.unwrap());
    assert_eq!((replay.verdict, replay.parts.len()), (Verdict::Identical, 3), "{replay:#?}");
    let debug = again.engine.debug(&second.id, 10).await.unwrap();
    assert_eq!(debug.logs, here.engine.debug(&second.id, 10).await.unwrap().logs);
    assert!(!debug.logs.is_empty());
    assert_eq!(again.engine.logs(&second.id, 0, 5).await.unwrap().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn i2_the_same_import_twice_changes_nothing_and_says_so() {
    let here = Stage::new().await;
    let first = here.deployed("1").await;
    let archive = exported(&here, &first.id).await;
    let there = elsewhere().await;
    let (once, key) = (imported(&there, &archive).await, keyed("import", "archive"));
    let before = there.world.events().await;
    let last = before.last().unwrap();
    assert_eq!(
        (last.stream.0.as_str(), last.event.kind.as_str()),
        ("imports", "deployment-imported")
    );
    assert_eq!(last.event.body["deployment"], json!(first.id));
    for _ in 0..2 {
        let twice = there.engine.import(&key, archive.clone()).await.unwrap();
        assert_eq!(twice.deployments[0].outcome, ImportOutcome::ThereAlready);
        assert_eq!(twice.archive, once.archive);
    }
    // Another export of the same deployment is another archive, and the same deployment.
    there.world.clock_off_ms.fetch_add(1_000, Ordering::Relaxed);
    let other = here.engine.export(&first.id.0.parse().unwrap(), false).await.unwrap();
    let again = imported(&there, &other.archive).await;
    assert_eq!(again.deployments[0].outcome, ImportOutcome::ThereAlready);
    assert_ne!(again.archive, once.archive);
    assert_eq!(there.world.events().await, before);
    // Where it comes from, it is.
    let events = here.world.events().await;
    let back = imported(&here, &archive).await;
    assert_eq!(back.deployments[0].outcome, ImportOutcome::FromHere);
    assert_eq!(here.world.events().await, events);
    assert_eq!(here.engine.deployment(&first.id).await.unwrap().imported, None);
}

#[tokio::test(start_paused = true)]
async fn an_imported_deployment_is_compared_and_its_secrets_are_not() {
    let here = Stage::new().await;
    let first = here.deployed("1").await;
    let archive = exported(&here, &first.id).await;
    let there = elsewhere().await;
    imported(&there, &archive).await;
    let own = there.deployed("1").await;
    let wanted = Wanted::default();
    let (a, b) = (first.id.0.parse().unwrap(), "shop/development".parse().unwrap());
    let found = there.engine.compare(&a, &b, wanted).await.unwrap();
    assert!(found.a.imported.is_some() && found.b.imported.is_none());
    assert_eq!(found.b.deployment, Some(own.id));
    let values = found.parts.iter().find(|part| part.part == PartName::Values).unwrap();
    // Owners of secrets have the same names in both, and the fake's hashes no key.
    assert_eq!(values.unknown, ["secret k8s-cluster#environment/kubeconfig"]);
    let secrets = values.items.iter().filter(|item| item.name.starts_with("secret"));
    assert!(secrets.into_iter().all(|item| item.change == ChangeKind::Remove), "{values:#?}");
    assert!(found.is_partial());
    // By how its id begins, as others are found.
    let short: String = first.id.0.chars().take(20).collect();
    let side = there.engine.subject(&short.parse().unwrap()).await.unwrap();
    assert_eq!(side.deployment, Some(first.id));
}

#[tokio::test(start_paused = true)]
async fn an_imported_deployment_is_in_no_list_of_here_and_nothing_is_done_with_it() {
    let here = Stage::new().await;
    let first = here.deployed("1").await;
    let archive = exported(&here, &first.id).await;
    let there = elsewhere().await;
    imported(&there, &archive).await;
    let engine = &there.engine;
    let listed = engine.imports(None, 10).await.unwrap();
    assert_eq!(listed.imports.iter().map(|it| &it.id).collect::<Vec<_>>(), [&first.id]);
    assert_eq!(engine.history(None, None, 100).await.unwrap().deployments, []);
    assert_eq!(engine.history(Some(&development()), None, 100).await.unwrap().deployments, []);
    assert_eq!(there.state().await.accepted, 0);
    let image = documents::artifact("frontend", "1").repository;
    let query = image.parse().unwrap();
    let found = engine.whereabouts(&query, When::Ever, None, None, 10).await;
    assert!(found.map_or(true, |found| found.locations.is_empty()));
    let now = there.world.now();
    let figures = engine
        .dora(&deployd_engine::DoraFilter::default(), deployd_core::Timestamp(0), now)
        .await
        .unwrap();
    let text = serde_json::to_string(&figures).unwrap();
    assert!(!text.contains("\"deployments\":1"), "{text}");
    // Whatever acts is refused, and says what can be done.
    let of = || DeployRequest { redeploy: Some(first.id.clone()), ..request() };
    let exact = DeployRequest { exact: true, ..of() };
    let mut told = vec![
        conflict(engine.cancel(&caller(), &first.id, None).await.unwrap_err()),
        conflict(engine.steer(&caller(), &first.id, Steering::Resume, None).await.unwrap_err()),
        conflict(engine.deploy(&caller(), of()).await.unwrap_err()),
        conflict(engine.plan(&of()).await.unwrap_err()),
        conflict(engine.export(&first.id.0.parse().unwrap(), true).await.unwrap_err()),
    ];
    let error = engine.deploy(&caller(), exact).await.unwrap_err();
    told.push(error.to_string());
    assert!(told.iter().all(|text| text.contains("was imported")), "{told:#?}");
    // Its set is deployed like any other.
    let deploy = DeployRequest { set_digest: Some(first.request.set), ..request() };
    let id = engine.deploy(&caller(), deploy).await.unwrap().id;
    let own = there.end_of(&id).await;
    assert_succeeded(&own);
    let to =
        RollbackRequest { to: Some(first.id.0.parse().unwrap()), ..RollbackRequest::default() };
    let error = engine.rollback(&caller(), &development(), to).await.unwrap_err();
    assert!(conflict(error).contains("was imported"));
    let history = engine.history(Some(&development()), None, 100).await.unwrap().deployments;
    assert_eq!(history.iter().map(|it| (&it.id, it.number)).collect::<Vec<_>>(), [(&own.id, 1)]);
}

#[tokio::test(start_paused = true)]
async fn i12_what_repeats_another_exactly_comes_with_that() {
    let here = Stage::new().await;
    let first = here.deployed("1").await;
    here.deployed("2").await;
    let exact =
        DeployRequest { redeploy: Some(first.id.clone()), exact: true, ..DeployRequest::default() };
    let id = here.engine.deploy(&caller(), exact).await.unwrap().id;
    assert_succeeded(&here.end_of(&id).await);
    let there = elsewhere().await;
    let view = imported(&there, &exported(&here, &id).await).await;
    let ids: Vec<&DeploymentId> = view.deployments.iter().map(|it| &it.id).collect();
    assert_eq!(ids, [&id, &first.id]);
    let replay = there.engine.replay(&id, None).await.unwrap();
    assert_eq!(replay.verdict, Verdict::Identical, "{replay:#?}");
    // Of several, those that are new come.
    assert_eq!(there.engine.imports(None, 1).await.unwrap().next, Some(id.0));
    let view = imported(&there, &exported(&here, &first.id).await).await;
    assert_eq!(view.deployments[0].outcome, ImportOutcome::ThereAlready);
}

#[tokio::test(start_paused = true)]
async fn i16_no_secret_is_in_an_archive_and_no_document_of_others() {
    let here = Stage::new().await;
    here.apply(documents::shop("other")).await;
    let first = here.deployed("1").await;
    let found = sound(&exported(&here, &first.id).await);
    let secrets: Vec<Vec<u8>> = here.world.vault.lock().unwrap().values().cloned().collect();
    assert!(secrets.len() > 2);
    let mut all: Vec<&Vec<u8>> = found.contents.values().collect();
    all.push(&found.index_bytes);
    for content in all {
        for secret in &secrets {
            let hash = Digest::of(secret).hex().into_bytes();
            for form in [secret, &hash] {
                assert!(!content.windows(form.len()).any(|part| part == form.as_slice()));
            }
        }
    }
    let index = found.index.unwrap();
    for member in index.members.iter().filter(|member| member.kind == MemberKind::Document) {
        let text = String::from_utf8(found.contents[&member.digest].clone()).unwrap();
        assert!(!text.contains("other") && !text.contains("Subscription"), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_any_more_is_named_and_the_rest_comes() {
    let here = Stage::new().await;
    let first = here.deployed("1").await;
    let forget = Put {
        index: Index("events-of-deployment"),
        key: first.id.0.as_bytes().to_vec(),
        value: None,
    };
    here.world.store.append(Batch { puts: vec![forget], ..Batch::default() }).await.unwrap();
    let there = elsewhere().await;
    let without = here.engine.export(&first.id.0.parse().unwrap(), false).await.unwrap();
    assert_eq!(without.name, "shop-development-1.tar");
    let view = imported(&there, &without.archive).await;
    let notes = view.notes.join("\n");
    assert!(notes.contains(&format!("events of deployment {}", first.id)), "{notes}");
    assert!(notes.contains("the plugin templater, left out"), "{notes}");
    let replay = there.engine.replay(&first.id, None).await.unwrap();
    assert_eq!(replay.verdict, Verdict::Incomplete, "{replay:#?}");
}

#[tokio::test(start_paused = true)]
async fn what_has_not_ended_is_not_exported() {
    let here = Stage::new().await;
    here.deployed("1").await;
    let id = here.deploy().await;
    let error = here.engine.export(&id.0.parse().unwrap(), true).await.unwrap_err();
    assert!(conflict(error).contains("has not ended"));
    here.end_of(&id).await;
    sound(&exported(&here, &id).await);
    let set = here.engine.deployment(&id).await.unwrap().request.set.to_string();
    let error = here.engine.export(&set.parse().unwrap(), true).await.unwrap_err();
    assert!(error.to_string().contains("a set is no deployment"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_archive_that_is_not_sound_is_refused_wholly() {
    let here = Stage::new().await;
    let first = here.deployed("1").await;
    let archive = exported(&here, &first.id).await;
    let there = elsewhere().await;
    let mut damaged = archive.clone();
    let place = archive.len() - 1024 - 600;
    damaged[place] ^= 1;
    let told = refused(&there, damaged).await;
    assert!(told[0].contains("damaged: found"), "{told:#?}");
    for bytes in [Vec::new(), b"no archive".to_vec(), archive[..archive.len() / 2].to_vec()] {
        assert!(!refused(&there, bytes).await.is_empty());
    }
    assert_eq!(there.engine.imports(None, 10).await.unwrap().imports, []);
    let error = there.engine.deployment(&first.id).await.unwrap_err();
    assert!(matches!(error, EngineError::NotFound { .. }), "{error}");
}

/// The archive, with its record changed by somebody who knows how to.
fn forged(archive: &[u8], comment: &str) -> Vec<u8> {
    let Archive { index, mut contents, .. } = sound(archive);
    let mut index = index.unwrap();
    let bytes = contents.remove(&index.deployments[0].record).unwrap();
    let mut record: DeploymentRecord = serde_json::from_slice(&bytes).unwrap();
    record.fault = Some(deployd_core::Fault::permanent("made-up", comment));
    let bytes = canonical_json(&record).unwrap();
    let digest = Digest::of(&bytes);
    let old = std::mem::replace(&mut index.deployments[0].record, digest);
    contents.insert(digest, bytes);
    let all: Vec<Content> = index
        .members
        .iter()
        .map(|member| {
            let digest = if member.digest == old { digest } else { member.digest };
            Content { kind: member.kind, digest, bytes: contents[&digest].clone() }
        })
        .collect();
    write(index, &all).unwrap()
}

#[tokio::test(start_paused = true)]
async fn two_stories_of_one_deployment_are_not_both_believed() {
    let here = Stage::new().await;
    let first = here.deployed("1").await;
    let archive = exported(&here, &first.id).await;
    let there = elsewhere().await;
    imported(&there, &archive).await;
    for stage in [&there, &here] {
        let before = stage.world.events().await;
        let error = stage.engine.import(&caller(), forged(&archive, "x")).await.unwrap_err();
        assert!(conflict(error).contains("with another record"));
        assert_eq!(stage.world.events().await, before);
    }
}

#[tokio::test(start_paused = true)]
async fn a_plugin_that_can_not_be_loaded_here_keeps_nothing_else_out() {
    let here = Stage::new().await;
    let marked = plugin("templater", "templater", json!({"version": "marks"}));
    here.apply(vec![marked]).await;
    let first = here.deployed("1").await;
    let Archive { index, contents, .. } = sound(&exported(&here, &first.id).await);
    let mut index = index.unwrap();
    let manifest = Content {
        kind: MemberKind::PluginManifest,
        digest: Digest::of(b"broken"),
        bytes: b"broken".to_vec(),
    };
    index.plugins[1].manifest = manifest.digest;
    let name = index.plugins[1].plugin.name.clone();
    let mut all: Vec<Content> = index
        .members
        .iter()
        .map(|member| Content {
            kind: member.kind,
            digest: member.digest,
            bytes: contents[&member.digest].clone(),
        })
        .collect();
    all.push(manifest);
    let there = elsewhere().await;
    let view = imported(&there, &write(index, &all).unwrap()).await;
    assert_eq!(view.deployments[0].outcome, ImportOutcome::Imported);
    assert!(view.notes[0].contains(&format!("the plugin {name} can't be loaded")), "{view:#?}");
}
