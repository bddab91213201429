//! Watches.

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::runtime::watcher;
use serde_json::json;

use crate::stage::{GUARD, Stage, read};

fn kind<T>(event: &WatchEvent<T>) -> &'static str {
    match event {
        WatchEvent::Added(_) => "ADDED",
        WatchEvent::Modified(_) => "MODIFIED",
        WatchEvent::Deleted(_) => "DELETED",
        WatchEvent::Bookmark(_) => "BOOKMARK",
        WatchEvent::Error(_) => "ERROR",
    }
}

#[tokio::test]
async fn an_object_that_leaves_a_selector_is_deleted() {
    let stage = Stage::with_namespace("a").await;
    let api = Api::<ConfigMap>::namespaced(stage.client.clone(), "a");
    let object = read(json!({"metadata": {"name": "x", "labels": {"on": "yes"}}}));
    let made = api.create(&PostParams::default(), &object).await.unwrap();
    let version = made.metadata.resource_version.unwrap();
    let label = |value: &str| Patch::Merge(json!({"metadata": {"labels": {"on": value}}}));
    let params = PatchParams::default();
    api.patch("x", &params, &Patch::Merge(json!({"data": {"a": "1"}}))).await.unwrap();
    api.patch("x", &params, &label("no")).await.unwrap();
    api.patch("x", &params, &label("yes")).await.unwrap();
    api.delete("x", &DeleteParams::default()).await.unwrap();
    let watch = WatchParams::default().labels("on=yes");
    let events = api.watch(&watch, &version).await.unwrap();
    let seen: Vec<_> =
        tokio::time::timeout(GUARD, events.take(4).map_ok(|event| kind(&event)).try_collect())
            .await
            .unwrap()
            .unwrap();
    assert_eq!(seen, ["MODIFIED", "DELETED", "ADDED", "DELETED"]);
}

#[tokio::test]
async fn a_watch_from_before_the_history_is_gone() {
    let stage = Stage::with_namespace("a").await;
    let api = Api::<ConfigMap>::namespaced(stage.client.clone(), "a");
    let object = read(json!({"metadata": {"name": "x"}}));
    let made = api.create(&PostParams::default(), &object).await.unwrap();
    let version = made.metadata.resource_version.unwrap();
    let open = api.watch(&WatchParams::default(), &version).await.unwrap();
    let mut open = std::pin::pin!(open);
    stage.practice.faults().expire_watches();
    for old in [open.next().await, {
        let events = api.watch(&WatchParams::default(), "1").await.unwrap();
        std::pin::pin!(events).next().await
    }] {
        let Some(Ok(WatchEvent::Error(status))) = old else {
            panic!("{old:?}");
        };
        assert_eq!((status.code, status.reason.as_str()), (410, "Expired"));
        assert!(status.message.starts_with("too old resource version: "));
    }
}

#[tokio::test]
async fn a_watcher_survives_what_happens_to_its_watch() {
    let stage = Stage::with_namespace("a").await;
    let api = Api::<ConfigMap>::namespaced(stage.client.clone(), "a");
    let config = watcher::Config::default().labels("seen=yes");
    let mut events = std::pin::pin!(watcher(api.clone(), config));
    for (number, trouble) in ["none", "drop", "expire", "away"].iter().enumerate() {
        match *trouble {
            "drop" => stage.practice.faults().drop_watches(),
            "expire" => stage.practice.faults().expire_watches(),
            "away" => {
                stage.practice.faults().go_away();
                stage.practice.faults().come_back();
            }
            _ => {}
        }
        let name = format!("x{number}");
        let object: ConfigMap =
            read(json!({"metadata": {"name": name, "labels": {"seen": "yes"}}}));
        let create = async {
            while api.create(&PostParams::default(), &object).await.is_err() {
                if stage.practice.objects().get("configmaps", "a", &name).is_some() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        };
        let see = async {
            loop {
                // A broken watch tells its error and goes on.
                let event = events.next().await.unwrap();
                if let Ok(watcher::Event::Apply(found) | watcher::Event::InitApply(found)) = event
                    && found.metadata.name.as_deref() == Some(&name)
                {
                    return;
                }
            }
        };
        tokio::time::timeout(GUARD, async { tokio::join!(create, see) })
            .await
            .unwrap_or_else(|_| panic!("not seen after {trouble}"));
    }
}

#[tokio::test]
async fn streaming_lists_end_with_a_bookmark() {
    let stage = Stage::with_namespace("a").await;
    let api = Api::<ConfigMap>::namespaced(stage.client.clone(), "a");
    let object = read(json!({"metadata": {"name": "x"}}));
    api.create(&PostParams::default(), &object).await.unwrap();
    let config = watcher::Config::default().streaming_lists();
    let events = watcher(api, config);
    let see = async {
        let mut events = std::pin::pin!(events);
        while let Some(event) = events.try_next().await.unwrap() {
            if matches!(event, watcher::Event::InitDone) {
                return;
            }
        }
    };
    tokio::time::timeout(GUARD, see).await.unwrap();
}
