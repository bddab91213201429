//! Strikes, quarantine, and the way out of it.

use std::time::Duration;

use deployd_core::FaultClass;
use serde_json::json;

use crate::support::{Stage, input};

#[tokio::test]
async fn three_strikes_quarantine_one_plugin_and_no_other() {
    let stage = Stage::new();
    let (good, bad) =
        (stage.templater("good").await.unwrap(), stage.templater("trap").await.unwrap());
    for strikes in 1..=3 {
        assert_eq!(stage.render(&bad).await.code(), "plugin-trapped");
        assert_eq!(status(&stage, "trap").strikes, strikes);
    }
    let fault = stage.render(&bad).await.result.unwrap_err();
    assert_eq!((fault.code.as_str(), fault.class), ("plugin-quarantined", FaultClass::Transient));
    assert!(fault.message.contains("tried again in 60 s"), "{fault}");
    assert!(fault.message.contains("panicked or aborted"), "{fault}");
    assert!(fault.retry_after_ms.is_some_and(|ms| (50_000..=60_000).contains(&ms)));
    let seen = status(&stage, "trap");
    assert_eq!((seen.counts.calls, seen.counts.refused), (3, 1));
    assert!(seen.quarantined_until.is_some());
    assert_eq!(stage.render(&good).await.code(), "done");

    assert!(stage.host.clear_quarantine(&bad));
    assert_eq!(status(&stage, "trap").quarantined_until, None);
    assert_eq!(stage.render(&bad).await.code(), "plugin-trapped");
}

#[tokio::test]
async fn after_a_while_it_is_tried_again() {
    let stage = Stage::with_quarantine(Duration::from_millis(50));
    let moody = stage.templater("moody").await.unwrap();
    for _ in 0..3 {
        assert_eq!(stage.render(&moody).await.code(), "plugin-trapped");
    }
    assert_eq!(stage.render(&moody).await.code(), "plugin-quarantined");
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(stage.render_input(&moody, &input(&json!([]))).await.code(), "done");
    let status = status(&stage, "moody");
    assert_eq!((status.strikes, status.quarantined_until), (0, None));
}

#[tokio::test]
async fn a_success_resets_strikes() {
    let stage = Stage::new();
    let moody = stage.templater("moody").await.unwrap();
    for _ in 0..4 {
        for _ in 0..2 {
            assert_eq!(stage.render(&moody).await.code(), "plugin-trapped");
        }
        assert_eq!(stage.render_input(&moody, &input(&json!([]))).await.code(), "done");
    }
}

fn status(stage: &Stage, name: &str) -> deployd_host::PluginStatus {
    stage.host.status().into_iter().find(|status| status.plugin.name == name).unwrap()
}
