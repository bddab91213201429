//! Thousands of objects, and clusters that are slow while others are not.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use deployd_cluster::ClusterOptions;
use deployd_core::ports::{Cluster, ObjectRef, Readiness, Target};
use futures::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::stage::{
    LONG, on_a_simulated_cluster, on_a_simulated_cluster_with, on_the_practice_cluster_with,
    options,
};
use crate::things::{config_map, deployment, service};
use crate::wire::Act;

/// Five sixths of them config maps, and as many services as deployments.
fn objects(count: usize) -> Vec<Value> {
    let each = count / 12;
    let maps = (0..count - 2 * each).map(|n| config_map(&format!("m-{n:04}"), json!({"n": "1"})));
    let services = (0..each).map(|n| service(&format!("s-{n:04}")));
    let idle = (0..each).map(|n| {
        let mut idle = deployment(&format!("d-{n:04}"));
        idle["spec"]["replicas"] = json!(0);
        idle
    });
    // What is needed first is given last.
    idle.chain(services).chain(maps).collect()
}

fn count(practice: &deployd_practice::Practice, method: &str, part: &str) -> usize {
    let seen = practice.requests();
    let fits = |path: &str, query: &str| format!("{path}?{query}").contains(part);
    seen.iter().filter(|r| r.method == method && fits(&r.path, &r.query)).count()
}

#[tokio::test(start_paused = true)]
async fn three_thousand_objects_are_applied_in_order_with_few_requests_at_a_time() {
    on_a_simulated_cluster(async |stage, wire| {
        // All that matters of the answer is that there is one, after a while.
        let sent = Arc::new(Mutex::new(Vec::new()));
        let order = Arc::clone(&sent);
        wire.rule(move |method, path| {
            (method == "PATCH").then(|| {
                order.lock().unwrap().push(path.split('/').rev().nth(1).unwrap().to_owned());
                Act::Late(Duration::from_millis(10))
            })
        });
        wire.answer("PATCH", "{}");
        let applied = stage.apply(objects(3_000)).await.unwrap();
        assert_eq!(applied.len(), 3_000);
        let rank = |plural: &String| {
            ["configmaps", "services", "deployments"].iter().position(|each| each == plural)
        };
        let sent = sent.lock().unwrap();
        assert_eq!(sent.len(), 3_000);
        assert!(sent.iter().map(rank).is_sorted());
        assert_eq!(wire.most(), ClusterOptions::default().parallel);
    })
    .await;
}

/// The text of a page that was sent. It counts until its reader lets go of it.
struct Text {
    text: Vec<u8>,
    alive: Arc<AtomicUsize>,
}

impl Text {
    fn of(text: Vec<u8>, alive: &Arc<AtomicUsize>, most: &AtomicUsize) -> Self {
        most.fetch_max(alive.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        Self { text, alive: Arc::clone(alive) }
    }
}

impl AsRef<[u8]> for Text {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

#[tokio::test(start_paused = true)]
async fn three_thousand_objects_that_are_there_take_the_memory_of_a_few_pages() {
    const OF_A_NAMESPACE: usize = 150;
    const OF_A_PAGE: usize = 50;
    on_a_simulated_cluster(async |stage, wire| {
        // Twenty lists of three pages each.
        let pages = Arc::new(AtomicUsize::new(0));
        let (alive, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (counted, seen, greatest) = (pages.clone(), alive.clone(), most.clone());
        wire.answer("GET", "{}");
        wire.rule(move |method, path| {
            if method != "GET" || !path.contains("configmaps?") {
                assert_ne!(method, "PATCH", "nothing has changed");
                return None;
            }
            counted.fetch_add(1, Ordering::Relaxed);
            let token = path.split('&').find_map(|part| part.strip_prefix("continue="));
            let from: usize = token.map_or(0, |from| from.parse().unwrap());
            let items = (from..from + OF_A_PAGE).map(|n| {
                let mut live = config_map(&format!("m-{n}"), json!({"n": "1"}));
                let labels = json!({"app.kubernetes.io/managed-by": "deployd"});
                live["metadata"]["labels"] = labels;
                live["metadata"]["managedFields"] = json!([{"manager": "deployd",
                    "operation": "Apply", "apiVersion": "v1", "fieldsV1": {
                        "f:metadata": {"f:labels": {"f:app.kubernetes.io/managed-by": {}}},
                        "f:data": {"f:n": {}}}}]);
                live
            });
            let mut page = json!({"metadata": {}, "items": items.collect::<Vec<_>>()});
            let next = from + OF_A_PAGE;
            if next < OF_A_NAMESPACE {
                page["metadata"]["continue"] = json!(next.to_string());
            }
            let text = Text::of(page.to_string().into_bytes(), &seen, &greatest);
            Some(Act::Change(Box::new(move |_| {
                let late = async move {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    Ok(Frame::data(Bytes::from_owner(text)))
                };
                StreamBody::new(stream::once(late)).boxed_unsync()
            })))
        });
        let objects = (0..20).flat_map(|namespace| {
            (0..OF_A_NAMESPACE).map(move |n| {
                let mut map = config_map(&format!("m-{n}"), json!({"n": "1"}));
                map["metadata"]["namespace"] = json!(format!("n-{namespace}"));
                map
            })
        });
        assert_eq!(stage.apply(objects.collect()).await.unwrap().len(), 3_000);
        assert_eq!(pages.load(Ordering::Relaxed), 60);
        let most = most.load(Ordering::Relaxed);
        assert!(most <= 8, "{most} pages at a time");
        assert_eq!(alive.load(Ordering::Relaxed), 0);
    })
    .await;
}

#[tokio::test]
async fn many_objects_are_looked_at_and_watched_together() {
    on_a_simulated_cluster(async |stage, wire| {
        let applied = stage.apply(objects(600)).await.unwrap();
        assert!(wire.most() <= ClusterOptions::default().parallel, "{}", wire.most());

        stage.practiced().forget_requests();
        assert_eq!(stage.await_ready(&applied, LONG).await, Ok(Readiness::Ready));
        let asked = stage.practiced().requests().len();
        assert!(asked < 30, "{asked}");

        // Again, when nothing has changed: lists, and nothing applied.
        stage.practiced().forget_requests();
        assert_eq!(stage.apply(objects(600)).await.unwrap(), applied);
        assert_eq!(count(stage.practiced(), "PATCH", ""), 0);
        let asked = stage.practiced().requests().len();
        assert!(asked < 10, "{asked}");

        // And away with them; those that stay for a while are watched together.
        stage.practiced().forget_requests();
        assert_eq!(stage.prune(&applied).await.unwrap().len(), 600);
        let watches = count(stage.practiced(), "GET", "watch=true");
        assert!(watches < 10, "{watches}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn all_calls_to_a_cluster_share_its_turns() {
    let few = ClusterOptions { requests_per_cluster: 5, ..ClusterOptions::default() };
    on_a_simulated_cluster_with(few, async |stage, wire| {
        wire.rule(|_, _| Some(Act::Late(Duration::from_millis(50))));
        let call = |part: &'static str| async move {
            let objects = (0..40).map(|n| config_map(&format!("{part}-{n}"), json!({})));
            stage.apply(objects.collect()).await.unwrap()
        };
        tokio::join!(call("a"), call("b"), call("c"));
        assert!(wire.most() <= 5, "{}", wire.most());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_small_deployment_is_not_held_up_by_a_large_one() {
    on_a_simulated_cluster(async |stage, wire| {
        // Each request takes a second: the large one will take three minutes.
        wire.rule(|_, _| Some(Act::Late(Duration::from_secs(1))));
        wire.answer("PATCH", "{}");
        let large = async {
            let objects = (0..3_000).map(|n| config_map(&format!("large-{n}"), json!({})));
            stage.apply(objects.collect()).await.unwrap();
            Instant::now()
        };
        let small = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            let begun = Instant::now();
            stage.apply(vec![config_map("small", json!({}))]).await.unwrap();
            (begun.elapsed(), Instant::now())
        };
        let (large, (took, small)) = tokio::join!(large, small);
        assert!(small < large);
        assert!(took < Duration::from_secs(10), "{took:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn watches_that_can_not_be_opened_hold_up_no_change() {
    on_a_simulated_cluster(async |stage, wire| {
        let applied = stage.roll_out(vec![deployment("web")]).await;
        wire.rule(|_, path| path.contains("watch=true").then_some(Act::Hang));
        let guards = futures::future::join_all(
            (0..200).map(|_| stage.cluster.await_failure(&stage.target, &applied, &stage.log)),
        );
        let changes = async {
            // All of them want in by now.
            tokio::time::sleep(Duration::from_secs(10)).await;
            let begun = Instant::now();
            stage.apply(vec![config_map("m", json!({}))]).await.unwrap();
            begun.elapsed()
        };
        tokio::select! {
            _ = guards => panic!("nothing has failed"),
            took = changes => assert!(took < Duration::from_secs(1), "{took:?}"),
        }
    })
    .await;
}

#[tokio::test]
async fn a_cluster_that_hangs_holds_up_nobody_but_who_wants_it() {
    on_the_practice_cluster_with(options(), async |stage, practice| {
        // Another cluster, of which nothing comes: its port is open, and that is all.
        let hung = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = hung.local_addr().unwrap();
        let target = Target {
            name: "hung".to_owned(),
            access: deployd_core::ports::ClusterAccess::Token {
                server: format!("http://{address}"),
                ca: None,
                token: deployd_core::secret::SecretValue::new(b"t".to_vec()),
            },
            ..stage.target.clone()
        };
        let object = ObjectRef {
            api_version: "v1".to_owned(),
            kind: "ConfigMap".to_owned(),
            namespace: None,
            name: "a".to_owned(),
        };
        let many = vec![object; 200];
        let stuck = futures::future::join_all(
            (0..20).map(|_| stage.cluster.prune(&target, &many, &stage.log)),
        );
        let others = async {
            for n in 0..20 {
                let map = config_map(&format!("m-{n}"), json!({}));
                let applied = stage.apply(vec![map]).await.unwrap();
                stage.prune(&applied).await.unwrap();
            }
        };
        tokio::select! {
            _ = stuck => panic!("nobody answers there"),
            () = others => {}
        }
        assert!(practice.requests().len() >= 60);
    })
    .await;
}
