//! Calls that take long are in nobody's way.

use std::sync::Arc;

use deployd_core::config::{Grant, LimitOverrides};
use deployd_host::limits;
use tokio::task::JoinSet;

use crate::support::Stage;

fn patient() -> Grant {
    let limits = LimitOverrides {
        cpu_ms: Some(60_000),
        wall_ms: Some(60_000),
        concurrency: Some(64),
        ..LimitOverrides::default()
    };
    Grant { limits, ..Grant::default() }
}

/// As many endless loops as there are places of both lanes: a good plugin has
/// its answer all the same, because those who take long give their places back.
#[tokio::test]
async fn i14_a_good_plugin_is_called_beside_as_many_loops_as_there_are_places() {
    let stage = Arc::new(Stage::new());
    let good = stage.templater("good").await.unwrap();
    let bad = stage.granted("loop", &patient()).await.unwrap().plugin;
    let mut loops = JoinSet::new();
    for _ in 0..limits::CALLS + limits::SLOW_CALLS {
        let (stage, bad) = (Arc::clone(&stage), bad.clone());
        loops.spawn(async move { stage.render(&bad).await.code().to_owned() });
    }
    // All but those that the slow lane has places for give up.
    let mut crowded = 0;
    let mut answers = 0;
    while answers < 50 || crowded < limits::CALLS {
        while let Some(ended) = loops.try_join_next() {
            assert_eq!(ended.unwrap(), "plugin-busy");
            crowded += 1;
        }
        assert_eq!(stage.render(&good).await.code(), "done");
        answers += 1;
    }
    assert_eq!(loops.len(), limits::SLOW_CALLS);
    loops.shutdown().await;
    let status = stage.host.status();
    assert!(status.iter().all(|one| one.counts.running == 0 && one.strikes == 0));
}
