//! The main job: images are announced, and the shop runs.

use deployd_core::deployment::Outcome;
use deployd_core::outbox::MessageStatus;
use deployd_core::ports::Store as _;
use deployd_core::views::Route;

use crate::documents::{artifact, image};
use crate::fakes::drivers::canary;
use crate::world::{Stage, assert_succeeded, caller, deployment_of, development};

#[tokio::test(start_paused = true)]
async fn images_are_announced_and_the_shop_runs() {
    let stage = Stage::new().await;
    let announced =
        stage.engine.announce(&caller(), vec![artifact("frontend", "1")]).await.unwrap();
    let held = Route {
        environment: development(),
        deployment: None,
        waits_for: vec!["backend/main".to_owned()],
        superseded: Vec::new(),
        quarantined: Vec::new(),
        problem: None,
    };
    assert_eq!(announced.routes, [held]);
    assert!(stage.engine.history(None, None, 10).await.unwrap().deployments.is_empty());

    let announced = stage.engine.announce(&caller(), vec![artifact("backend", "1")]).await.unwrap();
    let record = stage.end_of(&deployment_of(&announced)).await;
    assert_succeeded(&record);
    assert_eq!(record.number, 1);

    let world = &stage.world;
    {
        let cluster = world.cluster();
        let expected = [
            "ConfigMap platform",
            "Deployment backend",
            "Deployment frontend",
            "Secret backend-env",
            "StatefulSet db",
        ];
        assert_eq!(cluster.names().into_iter().collect::<Vec<_>>(), expected);
        let frontend = cluster.object("Deployment", "frontend").unwrap();
        assert_eq!(frontend["spec"]["images"][0], image("frontend", "1"));
        assert_eq!(frontend["spec"]["env"]["HOST"], "shop.test");
        assert_eq!(frontend["spec"]["env"]["API"], "http://backend:8080");
        // The backend first: the frontend calls it.
        let calls: Vec<String> = cluster
            .calls
            .iter()
            .map(|(what, names)| format!("{what} {}", names.join(",")))
            .collect();
        assert_eq!(
            calls,
            [
                "apply db,platform",
                "await db,platform",
                "apply backend-env,backend",
                "await backend-env,backend",
                "apply frontend",
                "await frontend",
            ]
        );
    }
    let state = stage.state().await;
    assert_eq!(state.deployed.unwrap().deployment, record.id);
    assert_eq!(state.resources.len(), 5);
    assert!(state.active.is_none() && state.queue.is_empty());
    assert!(stage.world.store.verify().await.unwrap().is_sound());
    assert_eq!(stage.engine.counters().succeeded, 1);

    stage.all_told().await;
    let told: Vec<String> = world
        .receivers()
        .received
        .iter()
        .map(|received| received.event()["type"].as_str().unwrap().to_owned())
        .collect();
    let expected = ["queued", "started", "planned", "succeeded"];
    assert_eq!(told, expected.map(|what| format!("deployment.{what}")));
    assert_eq!(world.messages(Some(MessageStatus::Delivered)).await.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn what_is_ready_is_provisioned_at_the_same_time_and_the_rest_in_order() {
    let stage = Stage::new().await;
    {
        let mut drivers = stage.world.drivers();
        for script in drivers.scripts.values_mut() {
            script.takes_ms = 1_000;
        }
    }
    assert_succeeded(&stage.deployed("1").await);
    let drivers = stage.world.drivers();
    let span = |resource_type: &str| {
        let call = drivers.calls_of("provision", resource_type)[0].clone();
        (call.at, call.ended.unwrap())
    };
    let (cluster, dns) = (span("k8s-cluster"), span("dns"));
    let (namespace, postgres) = (span("k8s-namespace"), span("postgres"));
    assert!(dns.0 < cluster.1 && cluster.0 < dns.1, "they do not need each other");
    assert!(namespace.0 >= cluster.1, "the namespace is in the cluster");
    assert!(postgres.0 >= namespace.1, "the database is in the namespace");
    let call = &drivers.calls_of("provision", "postgres")[0];
    assert_eq!(call.request.inputs["namespace"], "shop-development");
}

#[tokio::test(start_paused = true)]
async fn secrets_reach_the_cluster_and_nothing_else() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    let cluster = stage.world.cluster();
    let uid = stage.world.drivers().calls_of("provision", "postgres")[0].request.uid.clone();
    let secret = cluster.object("Secret", "backend-env").unwrap();
    let url = format!("postgres://app:{}@db.test/app", canary(&uid, "password"));
    assert_eq!(secret["stringData"]["DB"], url);
    let uid = stage.world.drivers().calls_of("provision", "k8s-cluster")[0].request.uid.clone();
    assert_eq!(cluster.kubeconfig, Some(canary(&uid, "kubeconfig")));
}

#[tokio::test(start_paused = true)]
async fn a_second_version_changes_what_changed_and_keeps_its_keys_apart() {
    let stage = Stage::new().await;
    let first = stage.deployed("1").await;
    let second = stage.deployed("2").await;
    assert_succeeded(&second);
    assert_eq!((first.number, second.number), (1, 2));
    let cluster = stage.world.cluster();
    let backend = cluster.object("Deployment", "backend").unwrap();
    assert_eq!(backend["spec"]["images"][0], image("backend", "2"));
    let drivers = stage.world.drivers();
    let calls = drivers.calls_of("provision", "postgres");
    assert_eq!(calls.len(), 2);
    assert_ne!(calls[0].request.idempotency_key, calls[1].request.idempotency_key);
    assert_eq!(calls[0].request.uid, calls[1].request.uid);
    assert!(calls[1].request.state.is_some(), "the driver is told what it made");
    assert_eq!(second.outcome, Some(Outcome::Succeeded));
}
