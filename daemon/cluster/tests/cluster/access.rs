//! Reaching clusters.

use deployd_core::FaultClass;
use deployd_core::ports::{Cluster, ClusterAccess, Target};
use deployd_core::secret::SecretValue;
use serde_json::json;

use crate::stage::{on_a_cluster, on_the_practice_cluster};
use crate::things::config_map;

#[tokio::test]
async fn the_version() {
    on_a_cluster(async |stage| {
        let version = stage.cluster.version(&stage.target).await.unwrap();
        assert!(version.starts_with('v'), "{version}");
    })
    .await;
}

#[tokio::test]
async fn a_server_and_a_token() {
    // A real cluster's kubeconfig need not have a token.
    on_the_practice_cluster(async |stage, practice| {
        let objects = stage.apply(vec![config_map("a", json!({}))]).await.unwrap();
        let with = |token: &str| Target {
            access: ClusterAccess::Token {
                server: practice.url(),
                ca: None,
                token: SecretValue::new(token.as_bytes().to_vec()),
            },
            ..stage.target.clone()
        };
        stage.cluster.prune(&with(practice.token()), &objects, &stage.log).await.unwrap();
        let wrong = with("wrong");
        let fault = stage.cluster.prune(&wrong, &objects, &stage.log).await.unwrap_err();
        assert_eq!(
            (fault.class, fault.code.as_str()),
            (FaultClass::Denied, "cluster-unauthorized")
        );
        assert!(!fault.message.contains("wrong"), "{}", fault.message);
    })
    .await;
}

#[tokio::test]
async fn nobody_there() {
    on_the_practice_cluster(async |stage, practice| {
        practice.faults().go_away();
        let fault = stage.cluster.version(&stage.target).await.unwrap_err();
        assert_eq!(
            (fault.class, fault.code.as_str()),
            (FaultClass::Transient, "cluster-unreachable")
        );
        assert!(fault.message.contains("Cluster stage can't be reached"), "{}", fault.message);
    })
    .await;
}

#[tokio::test]
async fn somebody_who_does_not_speak_tls() {
    on_the_practice_cluster(async |stage, practice| {
        let target = Target {
            access: ClusterAccess::Token {
                server: practice.url().replace("http://", "https://"),
                ca: None,
                token: SecretValue::new(b"token".to_vec()),
            },
            ..stage.target.clone()
        };
        let fault = stage.cluster.version(&target).await.unwrap_err();
        assert_eq!(
            (fault.class, fault.code.as_str()),
            (FaultClass::Permanent, "cluster-untrusted"),
            "{fault:?}"
        );
    })
    .await;
}
