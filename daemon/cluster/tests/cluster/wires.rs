//! Real connections that are reset, half open, or not what they should be.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use deployd_cluster::ClusterOptions;
use deployd_core::FaultClass;
use deployd_core::ports::{
    ApplyRequest, Cluster, ClusterAccess, Readiness, SensitiveObjects, Target,
};
use deployd_core::secret::SecretValue;
use deployd_practice::{Behaviour, Practice};
use serde_json::json;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::stage::{LONG, Stage, on_the_practice_cluster_with, options};
use crate::things::{config_map, deployment};

/// Passes bytes on, until it is told to hold them back.
struct Proxy {
    address: SocketAddr,
    frozen: watch::Sender<u64>,
    resets: Arc<AtomicUsize>,
}

impl Proxy {
    async fn to(practice: &Practice) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = practice.url().replace("http://", "");
        let frozen = watch::Sender::new(0_u64);
        let resets = Arc::new(AtomicUsize::new(0));
        let (orders, left) = (frozen.clone(), Arc::clone(&resets));
        tokio::spawn(async move {
            while let Ok((mut inside, _)) = listener.accept().await {
                let is_reset = left.load(Ordering::Relaxed) > 0;
                if is_reset {
                    left.fetch_sub(1, Ordering::Relaxed);
                    // Closed with something unread: a reset.
                    tokio::spawn(async move { inside.readable().await });
                    continue;
                }
                let mut outside = TcpStream::connect(&server).await.unwrap();
                let mut orders = orders.subscribe();
                tokio::spawn(async move {
                    tokio::select! {
                        _ = copy_bidirectional(&mut inside, &mut outside) => {}
                        _ = orders.changed() => {
                            // Open on our side, and nothing comes any more.
                            std::future::pending::<()>().await;
                        }
                    }
                });
            }
        });
        Self { address, frozen, resets }
    }

    /// From now on nothing comes over the connections that are open.
    fn freeze(&self) {
        self.frozen.send_modify(|times| *times += 1);
    }

    fn target(&self, stage: &Stage, practice: &Practice) -> Target {
        Target {
            access: ClusterAccess::Token {
                server: format!("http://{}", self.address),
                ca: None,
                token: SecretValue::new(practice.token().as_bytes().to_vec()),
            },
            ..stage.target.clone()
        }
    }
}

fn quick() -> ClusterOptions {
    ClusterOptions {
        request_timeout: Duration::from_millis(500),
        watch_silence: Duration::from_secs(2),
        ..options()
    }
}

async fn apply(stage: &Stage, target: &Target, name: &str) {
    let objects = SensitiveObjects::new(vec![config_map(name, json!({}))]);
    let request = ApplyRequest { target: target.clone(), objects, force: false };
    stage.cluster.apply(&request, &stage.log).await.unwrap();
}

#[tokio::test]
async fn connections_that_are_reset() {
    on_the_practice_cluster_with(quick(), async |stage, practice| {
        let proxy = Proxy::to(practice).await;
        let target = proxy.target(stage, practice);
        proxy.resets.store(3, Ordering::Relaxed);
        apply(stage, &target, "a").await;
        assert_eq!(proxy.resets.load(Ordering::Relaxed), 0);
    })
    .await;
}

#[tokio::test]
async fn connections_that_are_half_open() {
    on_the_practice_cluster_with(quick(), async |stage, practice| {
        let proxy = Proxy::to(practice).await;
        let target = proxy.target(stage, practice);
        apply(stage, &target, "a").await;
        // The one that is kept for the next request is dead by then.
        proxy.freeze();
        apply(stage, &target, "b").await;
    })
    .await;
}

#[tokio::test]
async fn watches_on_connections_that_are_half_open() {
    on_the_practice_cluster_with(quick(), async |stage, practice| {
        let proxy = Proxy::to(practice).await;
        let target = proxy.target(stage, practice);
        stage.behave("web", Behaviour::NeverReady);
        let applied = stage.apply(vec![deployment("web")]).await.unwrap();
        let limit = u64::try_from(LONG.as_millis()).unwrap();
        let waiting = stage.cluster.await_ready(&target, &applied, limit, &stage.log);
        let meddling = async {
            stage.until_line("not ready").await;
            proxy.freeze();
            stage.behave("web", Behaviour::Ready { after: Duration::ZERO });
        };
        let (ready, ()) = tokio::join!(waiting, meddling);
        assert_eq!(ready, Ok(Readiness::Ready));
    })
    .await;
}

#[tokio::test]
async fn a_handshake_that_never_ends() {
    let short = ClusterOptions { retry_budget: Duration::from_secs(1), ..quick() };
    on_the_practice_cluster_with(short, async |stage, _| {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Target {
            access: ClusterAccess::Token {
                server: format!("https://{}", silent.local_addr().unwrap()),
                ca: None,
                token: SecretValue::new(b"t".to_vec()),
            },
            ..stage.target.clone()
        };
        let objects = SensitiveObjects::new(vec![config_map("a", json!({}))]);
        let request = ApplyRequest { target, objects, force: false };
        let fault = stage.cluster.apply(&request, &stage.log).await.unwrap_err();
        assert_eq!(
            (fault.class, fault.code.as_str()),
            (FaultClass::Transient, "cluster-timeout"),
            "{fault:?}"
        );
    })
    .await;
}
