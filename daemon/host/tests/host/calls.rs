//! Calls of plugins that misbehave: each ends in a fault that says what happened,
//! counts a strike, and leaves everybody else alone.

use deployd_core::FaultClass;
use deployd_core::config::{Grant, LimitOverrides};
use deployd_host::limits;
use serde_json::json;

use crate::support::{Rendered, Stage, input};

#[tokio::test]
async fn a_good_plugin_is_called() {
    let stage = Stage::new();
    let good = stage.templater("good").await.unwrap();
    let rendered = stage.render(&good).await;
    assert_eq!(rendered.result.unwrap()[0]["kind"], "ConfigMap");
    assert_eq!(rendered.log[0].message, "rendered");
    let status = &stage.host.status()[0];
    assert_eq!((status.counts.calls, status.counts.broken, status.strikes), (1, 0, 0));
    assert!(status.counts.memory_peak >= 128 * 1024 && status.p50.is_some());
}

/// Calls a fixture and then, on the same host, a good plugin.
async fn misbehaves(fixture: &str, code: &str, says: &str) -> Rendered {
    let stage = Stage::new();
    let good = stage.templater("good").await.unwrap();
    let bad = stage.templater(fixture).await.unwrap();
    let rendered = stage.render(&bad).await;
    let fault = rendered.result.as_ref().unwrap_err();
    assert_eq!(fault.code, code, "{fault}");
    assert_eq!(fault.class, FaultClass::Bug);
    assert!(fault.message.contains(says), "{fault}");
    assert!(fault.message.starts_with(&format!("plugin {fixture}, render: ")), "{fault}");
    assert_eq!(fault.detail["plugin"]["digest"], bad.digest.to_string());
    let status = stage.host.status();
    let bad = status.iter().find(|status| status.plugin == bad).unwrap();
    assert_eq!((bad.strikes, bad.counts.broken), (1, 1));
    assert_eq!(bad.last_strike.as_deref(), Some(fault.message.as_str()));
    assert_eq!(stage.render(&good).await.code(), "done");
    rendered
}

macro_rules! misbehaving {
    ($($test:ident: $fixture:literal => $code:literal, $says:literal;)*) => {
        $(
            #[tokio::test]
            async fn $test() {
                misbehaves($fixture, $code, $says).await;
            }
        )*
    };
}

misbehaving! {
    an_endless_loop: "loop" => "plugin-cpu-exhausted", "2000 ms";
    memory_without_end: "memory" => "plugin-out-of-memory", "may have 64 MiB";
    tables_without_end: "table" => "plugin-table-too-large", "40000";
    an_endless_recursion: "recursion" => "plugin-stack-overflow", "512 KiB";
    a_trap: "trap" => "plugin-trapped", "panicked or aborted";
    host_calls_without_end: "host-call-loop" => "plugin-cpu-exhausted", "processor time";
    a_large_result: "large-result" => "plugin-output-too-large", "4 MiB";
    an_amplified_result: "amplified-result" => "plugin-output-too-large", "8 MiB";
    many_manifests: "many-manifests" => "plugin-output-too-large", "1500 manifests, and at most 1000";
    nonsense: "nonsense-json" => "plugin-invalid-json", "manifest 0 is no JSON";
    an_empty_text: "empty-text" => "plugin-invalid-json", "manifest 0 is no JSON";
    no_object: "not-an-object" => "plugin-wrong-shape", "must be an object, and is a list";
    deep_nesting: "deep-json" => "plugin-document-too-deep", "96 levels";
    bytes_that_are_no_text: "bad-utf8" => "plugin-trapped", "utf-8";
    a_pointer_outside: "bad-pointer" => "plugin-trapped", "out of bounds";
    a_tag_that_is_none: "bad-tag" => "plugin-trapped", "discriminant";
    a_secret_of_others: "foreign-reference" => "plugin-foreign-secret", "operator/root";
}

#[tokio::test]
async fn no_manifests_are_a_good_answer() {
    let stage = Stage::new();
    let empty = stage.templater("empty").await.unwrap();
    assert_eq!(stage.render(&empty).await.result.unwrap(), Vec::<serde_json::Value>::new());
}

#[tokio::test]
async fn a_flood_of_lines_is_cut_and_counted() {
    let stage = Stage::new();
    let flood = stage.templater("log-flood").await.unwrap();
    let rendered = stage.render(&flood).await;
    assert_eq!(rendered.code(), "done");
    assert_eq!(rendered.log.len(), limits::LOG_LINES + 1);
    assert!(rendered.log[limits::LOG_LINES].message.starts_with("4000 more lines (20000 bytes)"));
    assert_eq!(stage.host.status()[0].counts.lines_dropped, 4000);
}

#[tokio::test]
async fn a_long_line_is_cut() {
    let stage = Stage::new();
    let long = stage.templater("long-line").await.unwrap();
    let rendered = stage.render(&long).await;
    assert_eq!(rendered.log.len(), 1);
    assert!(rendered.log[0].message.ends_with("x… (100000 bytes)"));
}

#[tokio::test]
async fn faults_of_a_plugin_are_no_strikes() {
    let stage = Stage::new();
    let unavailable = stage.templater("unavailable").await.unwrap();
    let fault = stage.render(&unavailable).await.result.unwrap_err();
    assert_eq!((fault.code.as_str(), fault.class), ("plugin-unavailable", FaultClass::Transient));
    assert_eq!(fault.retry_after_ms, Some(1500));
    assert_eq!(fault.message, "plugin unavailable, render: the registry sleeps");

    let invalid = stage.templater("invalid").await.unwrap();
    let fault = stage.render(&invalid).await.result.unwrap_err();
    assert_eq!((fault.code.as_str(), fault.class), ("plugin-invalid", FaultClass::Invalid));
    assert_eq!(fault.message, "plugin invalid, render: /containers/web: has no image");
    assert_eq!(
        fault.detail["fields"],
        json!([{"path": "/containers/web", "message": "has no image"}])
    );
    for status in stage.host.status() {
        assert_eq!((status.strikes, status.counts.faults, status.counts.broken), (0, 1, 0));
    }
}

#[tokio::test]
async fn a_call_ends_when_its_time_by_the_clock_is_over() {
    let stage = Stage::new();
    let limits = LimitOverrides { wall_ms: Some(100), cpu_ms: Some(60_000), ..Default::default() };
    let slow = stage.granted("loop", &Grant { limits, ..Grant::default() }).await.unwrap();
    let started = std::time::Instant::now();
    assert_eq!(stage.render(&slow.plugin).await.code(), "plugin-timeout");
    assert!(started.elapsed().as_secs() < 5);
}

#[tokio::test]
async fn calls_wait_for_a_place_and_not_for_ever() {
    let stage = Stage::new();
    let limits = LimitOverrides {
        wall_ms: Some(300),
        cpu_ms: Some(60_000),
        concurrency: Some(1),
        ..Default::default()
    };
    let slow = stage.granted("loop", &Grant { limits, ..Grant::default() }).await.unwrap();
    let call = || stage.render(&slow.plugin);
    let (one, two, three) = tokio::join!(call(), call(), call());
    assert_eq!(one.code(), "plugin-timeout");
    let busy = [two, three].into_iter().find(|call| call.code() == "plugin-busy").unwrap();
    let fault = busy.result.unwrap_err();
    assert_eq!(fault.class, FaultClass::Transient);
    assert!(fault.message.contains("1 of this plugin"), "{fault}");
    assert!(stage.host.status()[0].counts.crowded_out > 0);
}

#[tokio::test]
async fn an_operator_raises_and_lowers_limits() {
    let stage = Stage::new();
    let limits = LimitOverrides { memory_mib: Some(1), cpu_ms: Some(50), ..Default::default() };
    let grant = Grant { limits, ..Grant::default() };
    let memory = stage.granted("memory", &grant).await.unwrap();
    let fault = stage.render(&memory.plugin).await.result.unwrap_err();
    assert!(fault.message.contains("may have 1 MiB"), "{fault}");
    let looping = stage.granted("loop", &grant).await.unwrap();
    let fault = stage.render(&looping.plugin).await.result.unwrap_err();
    assert!(fault.message.contains("50 ms for a call"), "{fault}");
}

/// A guest that loops lets go of its thread with every tick: on one thread, two
/// calls still go on at the same time.
#[tokio::test(flavor = "current_thread")]
async fn a_looping_guest_does_not_hold_its_thread() {
    let stage = Stage::new();
    let (good, bad) =
        (stage.templater("good").await.unwrap(), stage.templater("loop").await.unwrap());
    let looping = stage.render(&bad);
    let meanwhile = async {
        tokio::task::yield_now().await;
        let started = std::time::Instant::now();
        assert_eq!(stage.render(&good).await.code(), "done");
        started.elapsed()
    };
    let (looped, took) = tokio::join!(looping, meanwhile);
    assert_eq!(looped.code(), "plugin-cpu-exhausted");
    assert!(took.as_millis() < 1000, "{took:?}");
}

#[tokio::test]
async fn what_a_call_may_refer_to_came_with_it() {
    let stage = Stage::new();
    let good = stage.templater("good").await.unwrap();
    let reference = "\u{27e6}secret:uid-1/password\u{27e7}";
    let rendered =
        stage.render_input(&good, &input(&json!([{"stringData": {"url": reference}}]))).await;
    assert_eq!(rendered.result.unwrap()[0]["stringData"]["url"], reference);
}

/// Runtimes want random numbers and the time; a pure plugin gets the same each time.
#[tokio::test]
async fn wasi_is_deterministic_for_pure_kinds() {
    let stage = Stage::new();
    let info = stage.granted("wasi", &Grant::default()).await.unwrap();
    assert!(info.imports.contains(&"wasi:random/random@0.2.0".to_owned()));
    let once = stage.render(&info.plugin).await.result.unwrap();
    assert!(once[0]["r"].as_u64().unwrap() > 0);
    let other = Stage::new();
    let again = other.templater("wasi").await.unwrap();
    for _ in 0..3 {
        assert_eq!(stage.render(&info.plugin).await.result.unwrap(), once);
        assert_eq!(other.render(&again).await.result.unwrap(), once);
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_nothing_behind() {
    let stage = Stage::new();
    let bad = stage.templater("loop").await.unwrap();
    for _ in 0..limits::PLUGIN_CALLS * 2 {
        let call = stage.render(&bad);
        assert!(tokio::time::timeout(std::time::Duration::from_millis(30), call).await.is_err());
    }
    let status = &stage.host.status()[0];
    assert_eq!((status.counts.running, status.strikes), (0, 0));
    assert_eq!(stage.render(&bad).await.code(), "plugin-cpu-exhausted");
}
