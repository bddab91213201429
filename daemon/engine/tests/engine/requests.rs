//! What is asked for: once per key, in order, refused where it can't be.

use deployd_core::deployment::Outcome;
use deployd_core::set::Delta;
use deployd_core::views::{DeployRequest, TokenScope};
use deployd_core::{DeploymentId, Digest};
use deployd_engine::EngineError;
use serde_json::json;

use crate::documents::{artifact, definition, document, environment_type, image, plugin, workload};
use crate::history::judge;
use crate::world::{Stage, assert_succeeded, caller, deployment_of, development, keyed, request};

#[tokio::test(start_paused = true)]
async fn i2_the_same_key_gives_the_same_answer_and_does_nothing_more() {
    let stage = Stage::new().await;
    let artifacts = vec![artifact("frontend", "1"), artifact("backend", "1")];
    let ci = keyed("delivery-1", "body");
    let first = stage.engine.announce(&ci, artifacts.clone()).await.unwrap();
    assert_eq!(stage.engine.announce(&ci, artifacts.clone()).await.unwrap(), first);
    assert_succeeded(&stage.end_of(&deployment_of(&first)).await);
    assert_eq!(stage.engine.announce(&ci, artifacts.clone()).await.unwrap(), first);
    let other = stage.engine.announce(&keyed("delivery-1", "other body"), artifacts).await;
    assert!(matches!(other, Err(EngineError::KeyReuse)));

    let deploy = keyed("deploy-1", "body");
    let record = stage.engine.deploy(&deploy, request()).await.unwrap();
    let (again, once_more) = tokio::join!(
        stage.engine.deploy(&deploy, request()),
        stage.engine.deploy(&deploy, request()),
    );
    assert_eq!((again.unwrap(), once_more.unwrap()), (record.clone(), record));
    let cancel = keyed("cancel-1", "body");
    let waiting = stage.deploy().await;
    let answer = stage.engine.cancel(&cancel, &waiting, None).await.unwrap();
    assert_eq!(stage.engine.cancel(&cancel, &waiting, None).await.unwrap(), answer);
    let history = stage.engine.history(None, None, 10).await.unwrap();
    assert_eq!(history.deployments.len(), 3);

    let documents = vec![environment_type("other", json!({}))];
    let apply = keyed("apply-1", "body");
    let applied = stage.engine.apply(&apply, documents.clone(), false).await.unwrap();
    assert_eq!(stage.engine.apply(&apply, documents, false).await.unwrap(), applied);
}

#[tokio::test(start_paused = true)]
async fn i2_two_at_the_same_time_with_one_key_are_one() {
    let stage = Stage::new().await;
    stage.deployed("1").await;
    let caller = keyed("both", "body");
    let both = [0; 8].map(|_| stage.engine.deploy(&caller, request()));
    let ids: Vec<DeploymentId> =
        futures::future::join_all(both).await.into_iter().map(|r| r.unwrap().id).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[tokio::test(start_paused = true)]
async fn an_automatic_one_that_waits_is_superseded_and_manual_ones_are_not() {
    let stage = Stage::new().await;
    stage.world.drivers().script("dns").takes_ms = 10_000;
    let active = stage.announce("1").await;
    stage.until("it is active", |w| !w.drivers().calls_of("provision", "dns").is_empty()).await;
    let older = stage.announce("2").await;
    let manual = [stage.deploy().await, stage.deploy().await];
    let newer = stage.announce("3").await;
    assert_eq!(stage.end_of(&older).await.outcome, Some(Outcome::Superseded));
    for id in [&active, &manual[0], &manual[1], &newer] {
        assert_succeeded(&stage.end_of(id).await);
    }
    let records = stage.engine.history(Some(&development()), None, 10).await.unwrap().deployments;
    let numbers: Vec<u64> = records.iter().map(|record| record.number).collect();
    assert_eq!(numbers, [5, 4, 3, 2, 1]);
    let mut spans: Vec<_> =
        records.iter().filter_map(|r| Some((r.work.as_ref()?.started, r.ended?))).collect();
    spans.sort();
    assert!(spans.windows(2).all(|pair| pair[0].1 <= pair[1].0), "I4: one at a time");
}

#[tokio::test(start_paused = true)]
async fn i4_who_waits_is_served_in_the_order_of_coming() {
    let stage = Stage::new().await;
    stage.deployed("1").await;
    let asked = [stage.deploy().await, stage.deploy().await, stage.deploy().await];
    let mut ends = Vec::new();
    for id in &asked {
        ends.push(stage.end_of(id).await.ended.unwrap());
    }
    assert!(ends.is_sorted(), "{ends:?}");
    judge(&stage.world.trace.lock().unwrap().entries).unwrap();
}

#[tokio::test(start_paused = true)]
async fn i13_a_queue_has_an_end() {
    let stage = Stage::new().await;
    stage.deployed("1").await;
    stage.world.drivers().script("dns").takes_ms = 1_000_000;
    stage.deploy().await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    for _ in 0..deployd_core::deployment::QUEUE_MAX {
        stage.deploy().await;
    }
    let refused = stage.engine.deploy(&caller(), request()).await;
    assert!(matches!(refused, Err(EngineError::Conflict { .. })));
}

#[tokio::test(start_paused = true)]
async fn only_the_plan_that_was_seen_is_executed() {
    let stage = Stage::new().await;
    stage.deployed("1").await;
    let view = stage.engine.plan(&request()).await.unwrap();
    let expected = DeployRequest { expected_plan: Some(view.digest), ..request() };
    // A definition changes in between.
    stage.apply(vec![definition("dns", "dns", "dns", json!({"zone": "other.test"}))]).await;
    let id = stage.engine.deploy(&caller(), expected).await.unwrap().id;
    let record = stage.end_of(&id).await;
    assert_eq!(record.outcome, Some(Outcome::Failed));
    assert_eq!(record.fault.unwrap().code, "plan-changed");

    let view = stage.engine.plan(&request()).await.unwrap();
    let expected = DeployRequest { expected_plan: Some(view.digest), ..request() };
    let id = stage.engine.deploy(&caller(), expected).await.unwrap().id;
    assert_succeeded(&stage.end_of(&id).await);
    assert_eq!(stage.engine.plan_of(&id).await.unwrap(), view.plan);
}

#[tokio::test(start_paused = true)]
async fn a_plan_changes_nothing_and_shows_what_is_known() {
    let stage = Stage::new().await;
    stage.engine.announce(&caller(), vec![artifact("frontend", "1")]).await.unwrap();
    stage.engine.announce(&caller(), vec![artifact("backend", "1")]).await.unwrap();
    let before = stage.world.events().await.len();
    let text = |view: &deployd_core::views::PlanView| {
        serde_json::to_string(&view.preview.manifests).unwrap()
    };
    let id = stage.engine.history(None, None, 1).await.unwrap().deployments[0].id.clone();
    let view = stage.engine.plan(&request()).await.unwrap();
    assert!(text(&view).contains("known after provisioning"), "{}", text(&view));
    let planned = stage.world.drivers().calls_of("plan", "dns").len();
    stage.engine.plan(&request()).await.unwrap();
    let asked = stage.world.drivers().calls_of("plan", "dns").len() - planned;
    assert_eq!(asked, 1, "a driver is asked once for a plan");
    assert_eq!(stage.world.events().await.len(), before);
    assert_succeeded(&stage.end_of(&id).await);
    let view = stage.engine.plan(&request()).await.unwrap();
    assert!(view.preview.changes.is_empty(), "{:#?}", view.preview.changes);
}

#[tokio::test(start_paused = true)]
async fn sets_deltas_and_earlier_deployments_can_be_deployed() {
    let stage = Stage::new().await;
    let first = stage.deployed("1").await;
    let second = stage.deployed("2").await;
    let images = [(("backend".to_owned(), "main".to_owned()), image("backend", "3"))];
    let delta = Some(Delta::of_images(&images.into_iter().collect()));
    let to = |request: DeployRequest| DeployRequest { environment: Some(development()), ..request };
    let requests = [
        (to(DeployRequest { delta, ..DeployRequest::default() }), "3", "2"),
        (DeployRequest { redeploy: Some(first.id.clone()), ..DeployRequest::default() }, "1", "1"),
        (
            to(DeployRequest { set_digest: Some(second.request.set), ..DeployRequest::default() }),
            "2",
            "2",
        ),
        (
            to(DeployRequest {
                set: Some(stage.engine.set(first.request.set).await.unwrap()),
                ..DeployRequest::default()
            }),
            "1",
            "1",
        ),
    ];
    for (request, backend, frontend) in requests {
        let id = stage.engine.deploy(&caller(), request).await.unwrap().id;
        assert_succeeded(&stage.end_of(&id).await);
        let cluster = stage.world.cluster();
        let shown =
            |name: &str| cluster.object("Deployment", name).unwrap()["spec"]["images"][0].clone();
        assert_eq!(shown("backend"), image("backend", backend));
        assert_eq!(shown("frontend"), image("frontend", frontend));
    }
}

/// A request that is refused at once, and a word of why.
#[tokio::test(start_paused = true)]
async fn what_can_t_be_is_refused_at_once() {
    let stage = Stage::new().await;
    let at = |environment: &str| DeployRequest {
        environment: Some(environment.parse().unwrap()),
        ..DeployRequest::default()
    };
    let set = || -> deployd_core::set::DeploymentSet {
        serde_json::from_value(json!({"application": "shop", "workloads": {}})).unwrap()
    };
    let marked = workload(
        "shop",
        "backend",
        json!({"X": "\u{27e6}secret:operator/signing\u{27e7}"}),
        json!({}),
    );
    let deployd_core::config::Document::Workload(mut marked) = marked else { panic!() };
    marked.workload.containers.get_mut("main").unwrap().image = "x@y".to_owned();
    let mut stolen = set();
    stolen.workloads.insert("backend".to_owned(), marked.workload);
    let table: Vec<(DeployRequest, &str)> = vec![
        (request(), "no artifact was announced yet for backend/main, frontend/main"),
        (at("shop/nowhere"), "there is no environment shop/nowhere"),
        (at("nobody/development"), "there is no environment nobody/development"),
        (
            DeployRequest { set: Some(set()), ..at("shop/nowhere") },
            "there is no environment shop/nowhere",
        ),
        (DeployRequest::default(), "expected application/environment"),
        (DeployRequest { set_digest: Some(Digest::of(b"x")), ..request() }, "there is no set"),
        (
            DeployRequest { redeploy: Some(DeploymentId("x".into())), ..request() },
            "there is no deployment x",
        ),
        (
            DeployRequest { set: Some(set()), set_digest: Some(Digest::of(b"x")), ..request() },
            "at most one of",
        ),
        (DeployRequest { set: Some(stolen), ..request() }, "can't be written by hand"),
    ];
    for (request, expected) in table {
        let error = stage.engine.deploy(&caller(), request.clone()).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{request:?}: {error}");
        let error = stage.engine.plan(&request).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{request:?}: {error}");
    }
    let history = stage.engine.history(None, None, 10).await.unwrap();
    assert!(history.deployments.is_empty(), "nothing of it was accepted");
    assert!(stage.engine.announce(&caller(), Vec::new()).await.is_err());
    let tagged =
        deployd_core::artifact::Artifact { repository: "a:b".into(), ..artifact("frontend", "1") };
    assert!(stage.engine.announce(&caller(), vec![tagged]).await.is_err());
    assert!(stage.engine.cancel(&caller(), &DeploymentId("x".into()), None).await.is_err());
}

/// Configuration that makes every plan impossible, and a word of why.
#[tokio::test(start_paused = true)]
async fn a_plan_that_can_t_be_made_says_all_that_is_wrong() {
    let cyclic = |name: &str, other: &str| {
        definition(
            name,
            name,
            "template",
            json!({"x": format!("${{resources.{other}#shared.name}}")}),
        )
    };
    let asking = |resource: &str| {
        workload("shop", "backend", json!({}), json!({"it": {"type": resource, "id": "shared"}}))
    };
    let strategy = |plugin: &str| {
        let spec = json!({"templater": {"plugin": "templater"}, "strategy": {"plugin": plugin}});
        document(deployd_core::config::DocumentKind::EnvironmentType, "development", spec)
    };
    let table = vec![
        (vec![asking("unheard")], "no resource definition matches"),
        (
            vec![asking("chicken"), cyclic("chicken", "egg"), cyclic("egg", "chicken")],
            "wait for each other",
        ),
        (vec![definition("dns", "dns", "nobody", json!({}))], "there is no plugin nobody"),
        (
            vec![definition("dns", "dns", "templater", json!({}))],
            "is a templater, and a driver is needed",
        ),
        (vec![strategy("nobody")], "there is no plugin nobody"),
        (vec![strategy("templater")], "is a templater, and a strategy is needed"),
        (
            vec![workload("shop", "backend", json!({"X": "${resources.db.x}"}), json!({}))],
            "no resource \"db\"",
        ),
    ];
    for (documents, expected) in table {
        let stage = Stage::new().await;
        stage.apply(documents).await;
        let record = stage.deployed("1").await;
        let fault = record.fault.unwrap();
        assert!(fault.message.contains(expected), "{fault}");
        assert_eq!(record.outcome, Some(Outcome::Failed));
        assert!(stage.world.cluster().objects.is_empty());
        assert!(stage.engine.plan(&request()).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn documents_that_contradict_each_other_are_refused_whole() {
    let stage = Stage::new().await;
    let before = stage.world.events().await.len();
    let tie = definition("dns-too", "dns", "dns", json!({}));
    let error = stage.engine.apply(&caller(), vec![tie], false).await.unwrap_err();
    assert!(error.to_string().contains("equally well"), "{error}");
    let mut broken = plugin("other", "driver", json!({}));
    if let deployd_core::config::Document::Plugin(plugin) = &mut broken {
        plugin.spec.source.shipped = Some("broken".to_owned());
    }
    let fine = environment_type("fine", json!({}));
    let error = stage.engine.apply(&caller(), vec![fine, broken], false).await.unwrap_err();
    assert!(error.to_string().contains("no component"), "{error}");
    assert_eq!(stage.world.events().await.len(), before);
    let dry = vec![environment_type("fine", json!({}))];
    assert!(stage.engine.apply(&caller(), dry, true).await.unwrap().dry_run);
    assert_eq!(stage.world.events().await.len(), before);
}

#[tokio::test(start_paused = true)]
async fn i4_a_name_is_of_one_token_also_when_two_are_made_at_once() {
    let stage = Stage::new().await;
    let name: deployd_core::Name = "ci".parse().unwrap();
    let (engine, of) = (stage.engine.clone(), name.clone());
    stage.world.before("head", async move {
        engine.create_token(&caller(), &of, TokenScope::Ci).await.unwrap();
    });
    let second = stage.engine.create_token(&caller(), &name, TokenScope::Ci).await;
    assert!(matches!(second, Err(EngineError::Conflict { .. })), "a token without a name");
    assert_eq!(stage.engine.tokens().await.unwrap().len(), 1);
}
