//! An API that fails: only the practice cluster does so on request.

use std::time::Duration;

use deployd_cluster::ClusterOptions;
use deployd_core::FaultClass;
use deployd_core::ports::Readiness;
use deployd_practice::{Behaviour, Fault, Practice, RequestMatch};
use serde_json::json;

use crate::stage::{LONG, Stage, on_the_practice_cluster, on_the_practice_cluster_with, options};
use crate::things::{config_map, deployment};

fn patches() -> RequestMatch {
    RequestMatch::any().method("PATCH")
}

#[tokio::test]
async fn what_passes_is_tried_again() {
    on_the_practice_cluster(async |stage, practice| {
        for fault in [
            Fault::Conflict,
            Fault::InternalError,
            Fault::Unavailable,
            Fault::Timeout,
            Fault::Disconnect,
            Fault::TooManyRequests { retry_after: 1 },
        ] {
            practice.faults().inject(patches(), fault, 2);
            let name = format!("{fault:?}").to_lowercase();
            let name: String = name.chars().filter(char::is_ascii_alphabetic).collect();
            stage.apply(vec![config_map(&name, json!({}))]).await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn retry_after_is_honoured() {
    on_the_practice_cluster(async |stage, practice| {
        practice.faults().inject(patches(), Fault::TooManyRequests { retry_after: 2 }, 1);
        let begun = std::time::Instant::now();
        stage.apply(vec![config_map("a", json!({}))]).await.unwrap();
        assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
        // Longer than the budget: handed on at once.
        practice.faults().inject(patches(), Fault::TooManyRequests { retry_after: 600 }, 1);
        let fault = stage.apply(vec![config_map("a", json!({}))]).await.unwrap_err();
        assert_eq!((fault.class, fault.retry_after_ms), (FaultClass::Transient, Some(600_000)));
    })
    .await;
}

#[tokio::test]
async fn what_does_not_pass_is_a_fault_at_once() {
    on_the_practice_cluster(async |stage, practice| {
        practice.faults().inject(patches(), Fault::Forbidden, 1);
        let fault = stage.apply(vec![config_map("a", json!({}))]).await.unwrap_err();
        assert_eq!((fault.class, fault.code.as_str()), (FaultClass::Denied, "cluster-forbidden"));
    })
    .await;
}

#[tokio::test]
async fn a_server_that_stays_away_is_a_transient_fault() {
    let short = ClusterOptions { retry_budget: Duration::from_secs(2), ..options() };
    on_the_practice_cluster_with(short, async |stage, practice| {
        practice.faults().go_away();
        let fault = stage.apply(vec![config_map("a", json!({}))]).await.unwrap_err();
        assert_eq!(
            (fault.class, fault.code.as_str()),
            (FaultClass::Transient, "cluster-unreachable")
        );
        practice.faults().come_back();
        stage.apply(vec![config_map("a", json!({}))]).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn slow_answers_are_given_up_and_asked_for_again() {
    let short = ClusterOptions { request_timeout: Duration::from_millis(500), ..options() };
    on_the_practice_cluster_with(short, async |stage, practice| {
        practice.faults().inject(patches(), Fault::Latency(Duration::from_secs(30)), 1);
        stage.apply(vec![config_map("a", json!({}))]).await.unwrap();
    })
    .await;
}

/// Waits for a deployment while something happens to the API, then lets it
/// become ready.
async fn through(stage: &Stage, practice: &Practice, trouble: impl AsyncFnOnce()) {
    stage.behave("web", Behaviour::NeverReady);
    let applied = stage.apply(vec![deployment("web")]).await.unwrap();
    let waiting = stage.await_ready(&applied, LONG);
    let meddling = async {
        stage.until_line("not ready").await;
        trouble().await;
        stage.behave("web", Behaviour::Ready { after: Duration::ZERO });
    };
    let (ready, ()) = tokio::join!(waiting, meddling);
    assert_eq!(ready, Ok(Readiness::Ready), "{:#?}", practice.requests());
}

#[tokio::test]
async fn dropped_watches_go_on() {
    on_the_practice_cluster(async |stage, practice| {
        through(stage, practice, async || practice.faults().drop_watches()).await;
    })
    .await;
}

#[tokio::test]
async fn expired_watches_begin_anew() {
    on_the_practice_cluster(async |stage, practice| {
        through(stage, practice, async || practice.faults().expire_watches()).await;
    })
    .await;
}

#[tokio::test]
async fn a_server_that_is_away_while_it_is_watched() {
    on_the_practice_cluster(async |stage, practice| {
        through(stage, practice, async || {
            practice.faults().go_away();
            stage.until_line("can't be reached").await;
            practice.faults().come_back();
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn what_heals_within_its_grace_is_no_failure() {
    // On request only: a registry that fails once, a start that fails once.
    on_the_practice_cluster(async |stage, _| {
        for (app, behaviour, line) in [
            ("pulled", Behaviour::image_not_found(), "can't be pulled"),
            ("started", Behaviour::crash_loop(), "ends again and again"),
        ] {
            stage.behave(app, behaviour);
            let applied = stage.apply(vec![deployment(app)]).await.unwrap();
            let waiting = stage.await_ready(&applied, LONG);
            let healing = async {
                stage.until_line(line).await;
                stage.behave(app, Behaviour::Ready { after: Duration::ZERO });
            };
            let (ready, ()) = tokio::join!(waiting, healing);
            assert_eq!(ready, Ok(Readiness::Ready), "{app}");
        }
    })
    .await;
}

#[tokio::test]
async fn nothing_is_said_about_what_could_not_be_seen() {
    let short = ClusterOptions { outage_budget: Duration::from_secs(2), ..options() };
    on_the_practice_cluster_with(short, async |stage, practice| {
        stage.behave("web", Behaviour::NeverReady);
        let applied = stage.apply(vec![deployment("web")]).await.unwrap();
        let waiting = stage.await_ready(&applied, Duration::from_secs(4));
        let leaving = async {
            stage.until_line("not ready").await;
            practice.faults().go_away();
        };
        let (outcome, ()) = tokio::join!(waiting, leaving);
        let fault = outcome.unwrap_err();
        assert_eq!(fault.class, FaultClass::Transient, "{fault:?}");
    })
    .await;
}

#[tokio::test]
async fn what_only_explains_may_be_forbidden() {
    on_the_practice_cluster(async |stage, practice| {
        for what in ["/pods", "/replicasets", "/events"] {
            practice
                .faults()
                .always(RequestMatch::any().method("GET").path(what), Fault::Forbidden);
        }
        stage.roll_out(vec![deployment("web")]).await;
    })
    .await;
}

#[tokio::test]
async fn a_namespace_on_its_way_out_is_a_transient_fault() {
    on_the_practice_cluster(async |stage, _| {
        let held = config_map("held", json!({}));
        let mut held = held;
        held["metadata"]["finalizers"] = json!(["example.com/hold"]);
        stage.apply(vec![held]).await.unwrap();
        stage.delete("v1", "Namespace", "namespaces", stage.namespace()).await.unwrap();
        let fault = stage.apply(vec![config_map("new", json!({}))]).await.unwrap_err();
        assert_eq!(
            (fault.class, fault.code.as_str()),
            (FaultClass::Transient, "namespace-terminating"),
            "{fault:?}"
        );
        let fault = stage.apply(vec![stage.namespace_object()]).await.unwrap_err();
        assert_eq!(fault.code, "namespace-terminating");
    })
    .await;
}
