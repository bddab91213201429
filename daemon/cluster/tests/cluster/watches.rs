//! Watches that end, lie, stall, or are cut off.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use deployd_core::ports::Readiness;
use deployd_practice::Behaviour;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::stage::{LONG, Stage, on_a_simulated_cluster};
use crate::things::{config_map, deployment};
use crate::wire::{Act, Wire, line, lines, silent, status_document};

/// Waits for a deployment that becomes ready after a while, over watches whose
/// lines are changed.
async fn over(change: impl FnMut(Value) -> Vec<Bytes> + Clone + Send + 'static) {
    on_a_simulated_cluster(async |stage, wire| {
        wire.rule(move |_, path| {
            let change = change.clone();
            path.contains("watch=true")
                .then(|| Act::Change(Box::new(move |body| lines(body, change))))
        });
        becomes_ready(stage).await;
    })
    .await;
}

async fn becomes_ready(stage: &Stage) {
    stage.behave("web", Behaviour::NeverReady);
    let applied = stage.apply(vec![deployment("web")]).await.unwrap();
    let waiting = stage.await_ready(&applied, LONG);
    let meddling = async {
        stage.until_line("not ready").await;
        tokio::time::sleep(Duration::from_secs(20)).await;
        stage.behave("web", Behaviour::Ready { after: Duration::ZERO });
    };
    let (ready, ()) = tokio::join!(waiting, meddling);
    assert_eq!(ready, Ok(Readiness::Ready));
}

/// The first so many watches.
fn first(wire: &Wire, times: usize, act: impl Fn() -> Act + Send + 'static) -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    wire.rule(move |_, path| {
        let is_watch = path.contains("watch=true");
        (is_watch && counted.fetch_add(1, Ordering::Relaxed) < times).then(&act)
    });
    count
}

#[tokio::test(start_paused = true)]
async fn every_event_twice() {
    over(|event| vec![line(&event), line(&event)]).await;
}

#[tokio::test(start_paused = true)]
async fn every_event_again_after_the_next_one() {
    // Also an old state after a new one: it must not be believed.
    let mut before: Option<Value> = None;
    over(move |event| {
        let mut told = vec![line(&event)];
        told.extend(before.replace(event).as_ref().map(line));
        told
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn events_in_pairs_the_wrong_way_round() {
    let mut held: Option<Value> = None;
    over(move |event| {
        // Bookmarks come every few seconds, so that none is held for ever.
        match held.take() {
            Some(earlier) => vec![line(&event), line(&earlier)],
            None => {
                held = Some(event);
                Vec::new()
            }
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn bookmarks_move_the_beginning_of_the_next_watch() {
    on_a_simulated_cluster(async |stage, wire| {
        let versions = Arc::new(std::sync::Mutex::new(Vec::new()));
        let seen = Arc::clone(&versions);
        wire.rule(move |_, path| {
            let (_, rest) = path.split_once("resourceVersion=")?;
            if path.contains("watch=true") && path.contains("/deployments") {
                let version: u64 = rest.split('&').next()?.parse().ok()?;
                seen.lock().unwrap().push(version);
            }
            None
        });
        stage.behave("web", Behaviour::NeverReady);
        let applied = stage.apply(vec![deployment("web")]).await.unwrap();
        let waiting = stage.await_ready(&applied, LONG);
        let meddling = async {
            stage.until_line("not ready").await;
            // Things happen that are not of interest, and then a bookmark comes.
            for n in 0..20 {
                let others = config_map("others", json!({"n": n.to_string()}));
                stage.apply_as("somebody", "configmaps", others).await;
            }
            tokio::time::sleep(Duration::from_secs(30)).await;
            stage.practiced().faults().drop_watches();
            tokio::time::sleep(Duration::from_secs(1)).await;
            stage.behave("web", Behaviour::Ready { after: Duration::ZERO });
        };
        let (ready, ()) = tokio::join!(waiting, meddling);
        assert_eq!(ready, Ok(Readiness::Ready));
        let versions = versions.lock().unwrap();
        assert!(versions.last().unwrap() >= &(versions[0] + 20), "{versions:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_expired_is_listed_anew_whether_status_or_event_says_so() {
    let gone = || status_document(410, "Expired", "too old resource version: 1 (2)");
    let as_event = move || {
        let event = json!({"type": "ERROR", "object": gone()});
        Act::Body(line(&event))
    };
    for as_status in [true, false] {
        on_a_simulated_cluster(async |stage, wire| {
            let acts = move || if as_status { Act::Status(410, gone()) } else { as_event() };
            first(wire, 6, acts);
            becomes_ready(stage).await;
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_expires_between_its_pages_begins_anew() {
    on_a_simulated_cluster(async |stage, wire| {
        let mut left = 3;
        wire.rule(move |_, path| {
            (path.contains("/pods?limit") && left > 0).then(|| {
                left -= 1;
                // The first page says that there is more, the second that it is too late.
                if left % 2 == 0 {
                    let page = json!({"kind": "PodList", "items": [],
                        "metadata": {"resourceVersion": "1", "continue": "next"}});
                    Act::Body(page.to_string().into())
                } else {
                    Act::Status(410, status_document(410, "Expired", "the continue parameter"))
                }
            })
        });
        becomes_ready(stage).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_silent_is_listed_anew() {
    on_a_simulated_cluster(async |stage, wire| {
        let count = first(wire, 3, || Act::Change(Box::new(|_| silent())));
        stage.behave("web", Behaviour::Ready { after: Duration::from_secs(5) });
        let applied = stage.apply(vec![deployment("web")]).await.unwrap();
        let begun = Instant::now();
        let ready = stage.await_ready(&applied, 4 * LONG).await;
        assert_eq!(ready, Ok(Readiness::Ready));
        let took = begun.elapsed();
        assert!(took >= Duration::from_secs(100) && took < Duration::from_secs(120), "{took:?}");
        assert!(count.load(Ordering::Relaxed) > 3);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn lines_that_are_cut_off_come_again() {
    let count = Arc::new(AtomicUsize::new(0));
    over(move |event| {
        let line = line(&event);
        // Every third is cut off in its middle; what follows is its rest no more.
        if count.fetch_add(1, Ordering::Relaxed) % 3 == 1 {
            vec![line.slice(..line.len() / 2), Bytes::from_static(b"\n")]
        } else {
            vec![line]
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_huge_event_is_read_and_an_endless_one_is_not() {
    on_a_simulated_cluster(async |stage, wire| {
        let huge = |event: Value| {
            let mut event = event;
            event["object"]["metadata"]["annotations"]["huge"] = json!("x".repeat(2 << 20));
            vec![line(&event)]
        };
        wire.rule(move |_, path| {
            path.contains("watch=true")
                .then(|| Act::Change(Box::new(move |body| lines(body, huge))))
        });
        let endless = || {
            let part = Bytes::from(vec![b'x'; 1 << 20]);
            let frames =
                futures::stream::repeat_with(move || Ok(hyper::body::Frame::data(part.clone())));
            Act::Change(Box::new(move |_| {
                http_body_util::BodyExt::boxed_unsync(http_body_util::StreamBody::new(frames))
            }))
        };
        first(wire, 1, endless);
        becomes_ready(stage).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_closes_every_watch_at_once_is_not_asked_in_a_circle() {
    on_a_simulated_cluster(async |stage, wire| {
        let count = first(wire, usize::MAX, || Act::Body(Bytes::new()));
        stage.behave("web", Behaviour::Ready { after: Duration::from_secs(30) });
        let applied = stage.apply(vec![deployment("web")]).await.unwrap();
        // All that it has to say comes with lists, which are asked for at times.
        assert_eq!(stage.await_ready(&applied, LONG).await, Ok(Readiness::Ready));
        let watches = count.load(Ordering::Relaxed);
        assert!(watches < 100, "{watches}");
    })
    .await;
}
