//! Answers that are no success, come late, or are not what they should be.

use std::io::ErrorKind;
use std::time::Duration;

use bytes::Bytes;
use deployd_core::FaultClass;
use deployd_core::ports::Cluster;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::stage::on_a_simulated_cluster;
use crate::things::{config_map, deployment, widgets};
use crate::wire::{Act, cut, status_document, trickled};

#[tokio::test(start_paused = true)]
async fn a_conflict_of_versions_is_tried_again_but_not_for_ever() {
    on_a_simulated_cluster(async |stage, wire| {
        let changed =
            || Act::Status(409, status_document(409, "Conflict", "the object has been modified"));
        wire.next(5, "PATCH", "configmaps", changed);
        stage.apply(vec![config_map("a", json!({}))]).await.unwrap();
        wire.next(1_000, "PATCH", "configmaps", changed);
        let fault = stage.apply(vec![config_map("a", json!({}))]).await.unwrap_err();
        assert_eq!((fault.class, fault.code.as_str()), (FaultClass::Conflict, "object-changed"));
        assert!(fault.message.contains("ConfigMap"), "{}", fault.message);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_invalid_object_is_told_with_cause_field_and_value() {
    on_a_simulated_cluster(async |stage, _| {
        let mut wrong = deployment("web");
        wrong["spec"]["replicas"] = json!(-7);
        let fault = stage.apply(vec![wrong]).await.unwrap_err();
        assert_eq!((fault.class, fault.code.as_str()), (FaultClass::Invalid, "object-invalid"));
        for part in ["Deployment", "web", "spec.replicas", "-7", "greater than or equal to 0"] {
            assert!(fault.message.contains(part), "{part}: {}", fault.message);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_throttles_is_given_the_time_it_asks_for() {
    on_a_simulated_cluster(async |stage, wire| {
        wire.next(2, "PATCH", "configmaps", || Act::RetryAfter(429, 20));
        let begun = Instant::now();
        stage.apply(vec![config_map("a", json!({}))]).await.unwrap();
        let took = begun.elapsed();
        assert!(took >= Duration::from_secs(40) && took < Duration::from_secs(60), "{took:?}");
        // What is asked for beyond the budget is handed on, at once.
        wire.next(1, "PATCH", "configmaps", || Act::RetryAfter(429, 3_600));
        let begun = Instant::now();
        let fault = stage.apply(vec![config_map("a", json!({}))]).await.unwrap_err();
        assert_eq!(
            (fault.class, fault.code.as_str(), fault.retry_after_ms),
            (FaultClass::Transient, "cluster-throttled", Some(3_600_000))
        );
        assert!(begun.elapsed() < Duration::from_secs(1));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_fails_is_asked_again() {
    on_a_simulated_cluster(async |stage, wire| {
        for code in [500, 502, 503, 504] {
            let failing = move || Act::Status(code, status_document(code, "", "etcd is away"));
            wire.next(4, "PATCH", "configmaps", failing);
            stage.apply(vec![config_map("a", json!({"n": code.to_string()}))]).await.unwrap();
            wire.next(1_000, "PATCH", "configmaps", failing);
            let fault = stage.apply(vec![config_map("a", json!({}))]).await.unwrap_err();
            let expected = (FaultClass::Transient, "cluster-failing");
            assert_eq!((fault.class, fault.code.as_str()), expected);
            wire.clear();
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn connections_that_are_refused_or_break_are_made_again() {
    on_a_simulated_cluster(async |stage, wire| {
        let kinds = [
            ErrorKind::ConnectionRefused,
            ErrorKind::ConnectionReset,
            ErrorKind::BrokenPipe,
            ErrorKind::UnexpectedEof,
        ];
        for kind in kinds {
            wire.next(3, "PATCH", "configmaps", move || Act::Refuse(kind));
            stage.apply(vec![config_map("a", json!({"k": kind.to_string()}))]).await.unwrap();
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_on_which_nothing_comes_is_left() {
    on_a_simulated_cluster(async |stage, wire| {
        wire.next(1, "PATCH", "configmaps", || Act::Hang);
        let begun = Instant::now();
        stage.apply(vec![config_map("a", json!({}))]).await.unwrap();
        let took = begun.elapsed();
        assert!(took >= Duration::from_secs(30) && took < Duration::from_secs(40), "{took:?}");
        wire.next(1_000, "PATCH", "configmaps", || Act::Hang);
        let fault = stage.apply(vec![config_map("a", json!({}))]).await.unwrap_err();
        let expected = (FaultClass::Transient, "cluster-timeout");
        assert_eq!((fault.class, fault.code.as_str()), expected, "{fault:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn slow_answers_are_waited_for() {
    on_a_simulated_cluster(async |stage, wire| {
        wire.rule(|_, path| {
            (!path.contains("watch=true")).then_some(Act::Late(Duration::from_secs(4)))
        });
        let objects = vec![config_map("a", json!({})), deployment("web")];
        let applied = stage.roll_out(objects).await;
        assert_eq!(stage.prune(&applied).await.unwrap().len(), 2);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_byte_by_byte_is_read_to_its_end_or_given_up() {
    on_a_simulated_cluster(async |stage, wire| {
        let trickle = |pause| move || Act::Change(Box::new(move |body| trickled(body, pause)));
        wire.next(1, "PATCH", "configmaps", trickle(Duration::from_millis(20)));
        stage.apply(vec![config_map("a", json!({}))]).await.unwrap();
        // So slow that the time for a request is over before: once more, then.
        wire.next(1, "PATCH", "configmaps", trickle(Duration::from_secs(5)));
        stage.apply(vec![config_map("a", json!({"b": "1"}))]).await.unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_cut_off_is_no_answer() {
    on_a_simulated_cluster(async |stage, wire| {
        wire.next(1, "PATCH", "configmaps", || Act::Change(Box::new(|body| cut(body, 40))));
        let fault = stage.apply(vec![config_map("a", json!({}))]).await.unwrap_err();
        assert_eq!(fault.code, "cluster-answer-unreadable", "{fault:?}");
        wire.next(1, "PATCH", "configmaps", || Act::Body(Bytes::from_static(b"<html>")));
        let fault = stage.apply(vec![config_map("a", json!({}))]).await.unwrap_err();
        assert_eq!(fault.code, "cluster-answer-unreadable", "{fault:?}");
        stage.apply(vec![config_map("a", json!({}))]).await.unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_object_of_the_largest_size_gets_through_and_a_larger_one_is_refused() {
    on_a_simulated_cluster(async |stage, _| {
        let large = |bytes: usize| config_map("large", json!({"a": "x".repeat(bytes)}));
        let applied = stage.roll_out(vec![large(1 << 20)]).await;
        assert_eq!(applied.len(), 1);
        let fault = stage.apply(vec![large(4 << 20)]).await.unwrap_err();
        assert_eq!((fault.class, fault.code.as_str()), (FaultClass::Invalid, "object-invalid"));
        assert!(fault.message.len() < 1_000, "{}", fault.message.len());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_endless_answer_is_not_read_to_its_end() {
    on_a_simulated_cluster(async |stage, wire| {
        let endless = || {
            let zeros = Bytes::from(vec![b' '; 1 << 20]);
            let frames =
                futures::stream::repeat_with(move || Ok(hyper::body::Frame::data(zeros.clone())));
            http_body_util::StreamBody::new(frames).boxed_unsync()
        };
        wire.next(1, "GET", "/version", move || Act::Change(Box::new(move |_| endless())));
        let fault = stage.cluster.version(&stage.target).await.unwrap_err();
        assert_eq!(fault.code, "cluster-answer-unreadable", "{fault:?}");
        assert!(fault.message.contains("more than"), "{}", fault.message);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_denies_is_told_from_a_missing_permission() {
    on_a_simulated_cluster(async |stage, wire| {
        let message = "admission webhook \"tags.example.com\" denied the request: tag latest";
        wire.next(1, "PATCH", "deployments", move || {
            Act::Status(403, status_document(403, "Forbidden", message))
        });
        let fault = stage.apply(vec![deployment("web")]).await.unwrap_err();
        assert_eq!((fault.class, fault.code.as_str()), (FaultClass::Denied, "admission-denied"));
        assert!(fault.message.contains("denied the request: tag latest"), "{}", fault.message);
        assert!(!fault.message.contains("permission"), "{}", fault.message);
        let message = "deployments.apps is forbidden: User \"x\" cannot patch resource";
        wire.next(1, "PATCH", "deployments", move || {
            Act::Status(403, status_document(403, "Forbidden", message))
        });
        let fault = stage.apply(vec![deployment("web")]).await.unwrap_err();
        assert_eq!(fault.code, "cluster-forbidden");
        assert!(fault.message.contains("permission"), "{}", fault.message);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_does_not_answer_is_waited_for() {
    on_a_simulated_cluster(async |stage, wire| {
        let down = || {
            let message = "Internal error occurred: failed calling webhook \"tags.example.com\": \
                           context deadline exceeded";
            Act::Status(500, status_document(500, "InternalError", message))
        };
        wire.next(5, "PATCH", "deployments", down);
        stage.apply(vec![deployment("web")]).await.unwrap();
        wire.next(1_000, "PATCH", "deployments", down);
        let fault = stage.apply(vec![deployment("web")]).await.unwrap_err();
        let expected = (FaultClass::Transient, "admission-unavailable");
        assert_eq!((fault.class, fault.code.as_str()), expected);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_definition_that_takes_a_while_is_waited_for() {
    on_a_simulated_cluster(async |stage, wire| {
        let (definition, widget) = widgets("late.example.com");
        // Established, but not served by this API server yet.
        wire.next(20, "GET", "/apis/late.example.com/v1", || {
            Act::Status(404, status_document(404, "NotFound", "the server could not find it"))
        });
        let applied = stage.roll_out(vec![widget, definition]).await;
        assert_eq!(applied[1].kind, "Widget");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_another_server_does_not_know_yet_is_waited_for() {
    on_a_simulated_cluster(async |stage, wire| {
        wire.next(3, "PATCH", "configmaps", || {
            let mut status =
                status_document(404, "NotFound", "namespaces \"deployd-test\" not found");
            status["details"] = json!({"name": "deployd-test", "kind": "namespaces"});
            Act::Status(404, status)
        });
        stage.apply(vec![config_map("a", json!({}))]).await.unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_quota_without_room_is_told_with_its_numbers() {
    on_a_simulated_cluster(async |stage, _| {
        let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota",
            "metadata": {"name": "q"}, "spec": {"hard": {"configmaps": "0"}}});
        stage.apply(vec![quota]).await.unwrap();
        let fault = stage.apply(vec![config_map("a", json!({}))]).await.unwrap_err();
        assert_eq!((fault.class, fault.code.as_str()), (FaultClass::Denied, "quota-exceeded"));
        for part in ["exceeded quota: q", "configmaps=", "Raise the namespace's quota"] {
            assert!(fault.message.contains(part), "{part}: {}", fault.message);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_prune_whose_requests_fail_goes_on_until_all_is_gone() {
    on_a_simulated_cluster(async |stage, wire| {
        let objects = vec![config_map("a", json!({})), config_map("b", json!({}))];
        let applied = stage.apply(objects).await.unwrap();
        for method in ["GET", "DELETE"] {
            wire.next(2, method, "configmaps/a", || {
                Act::Status(503, status_document(503, "ServiceUnavailable", "away"))
            });
            wire.next(2, method, "configmaps/b", || Act::Refuse(ErrorKind::ConnectionReset));
        }
        // The first answer to a removal is lost: it was removed all the same.
        wire.next(1, "DELETE", "configmaps/b", || Act::Change(Box::new(|body| cut(body, 3))));
        match stage.prune(&applied).await {
            Ok(removed) => assert!(!removed.is_empty()),
            Err(fault) => assert_eq!(fault.code, "cluster-answer-unreadable"),
        }
        // A step that failed is taken again, and finds what is left.
        stage.prune(&applied).await.unwrap();
        for name in ["a", "b"] {
            assert!(stage.get("v1", "ConfigMap", "configmaps", name).await.is_null(), "{name}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_can_t_be_seen_whole_is_not_pruned() {
    on_a_simulated_cluster(async |stage, wire| {
        let applied = stage.apply(vec![config_map("a", json!({}))]).await.unwrap();
        // Somebody in between leaves out who owns what.
        wire.next(1, "GET", "configmaps/a", || {
            Act::Body(Bytes::from_static(br#"{"metadata": {"name": "a", "uid": "u"}}"#))
        });
        assert_eq!(stage.prune(&applied).await.unwrap(), []);
        // An answer without sense is a fault, and no removal.
        wire.next(1, "GET", "configmaps/a", || Act::Body(Bytes::from_static(b"{\"metadata\"")));
        assert_eq!(stage.prune(&applied).await.unwrap_err().code, "cluster-answer-unreadable");
        assert!(!stage.get("v1", "ConfigMap", "configmaps", "a").await.is_null());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn another_object_under_the_same_name_is_not_pruned() {
    on_a_simulated_cluster(async |stage, wire| {
        let applied = stage.apply(vec![config_map("a", json!({}))]).await.unwrap();
        let seen: Value = stage.get("v1", "ConfigMap", "configmaps", "a").await;
        let before = Bytes::from(seen.to_string());
        stage.delete("v1", "ConfigMap", "configmaps", "a").await.unwrap();
        stage.apply_as("somebody", "configmaps", config_map("a", json!({"theirs": "1"}))).await;
        // It was looked at just before.
        wire.next(1, "GET", "configmaps/a", move || Act::Body(before.clone()));
        assert_eq!(stage.prune(&applied).await.unwrap(), []);
        let there = stage.get("v1", "ConfigMap", "configmaps", "a").await;
        assert_eq!(there["data"]["theirs"], "1");
    })
    .await;
}
