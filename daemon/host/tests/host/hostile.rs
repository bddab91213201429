//! Guests that misbehave in a call, all on one host: each gets a fault whose
//! sentence says what it did, three of them quarantine it, and a good plugin
//! beside them never notices.

use deployd_core::FaultClass;
use deployd_core::config::{Grant, LimitOverrides};

use crate::support::Stage;

/// Fixture, the code of its fault, and what the fault says.
const HOSTILE: &[(&str, &str, &str)] = &[
    ("amplified-result", "plugin-output-too-large", "8 MiB"),
    ("bad-fault-tag", "plugin-trapped", "no such case"),
    ("bad-level", "plugin-trapped", "no such case"),
    ("bad-pointer", "plugin-trapped", "outside"),
    ("bad-tag", "plugin-trapped", "no such case"),
    ("bad-utf8", "plugin-trapped", "UTF-8"),
    ("bad-utf8-line", "plugin-trapped", "UTF-8"),
    ("calls-another-type", "plugin-trapped", "function pointer"),
    ("calls-nothing", "plugin-trapped", "function pointer"),
    ("calls-outside", "plugin-trapped", "function pointer"),
    ("converts-nothing", "plugin-trapped", "NaN"),
    ("copies-outside", "plugin-trapped", "outside of its memory"),
    ("deep-json", "plugin-document-too-deep", "96 levels"),
    ("divides-by-zero", "plugin-trapped", "divided by zero"),
    ("divides-too-far", "plugin-trapped", "overflow"),
    ("empty-text", "plugin-invalid-json", "manifest 0 is no JSON"),
    ("endless-list", "plugin-trapped", "outside"),
    ("exits", "plugin-trapped", "exit status 1"),
    ("fills-outside", "plugin-trapped", "outside of its memory"),
    ("fills-without-end", "plugin-cpu-exhausted", "processor time"),
    ("foreign-reference", "plugin-foreign-secret", "operator/root"),
    ("half-a-character", "plugin-invalid-json", "manifest 0 is no JSON"),
    ("host-call-loop", "plugin-cpu-exhausted", "processor time"),
    ("huge-line", "plugin-output-too-large", "8 MiB"),
    ("huge-number", "plugin-invalid-json", "manifest 0 is no JSON"),
    ("large-result", "plugin-output-too-large", "4 MiB"),
    ("line-outside", "plugin-trapped", "outside"),
    ("loop", "plugin-cpu-exhausted", "processor time"),
    ("many-manifests", "plugin-output-too-large", "at most 1000"),
    ("memory", "plugin-out-of-memory", "64 MiB"),
    ("nonsense-json", "plugin-invalid-json", "manifest 0 is no JSON"),
    ("not-an-object", "plugin-wrong-shape", "an object"),
    ("polls-without-end", "plugin-too-many-handles", "1024"),
    ("post-return-loop", "plugin-cpu-exhausted", "processor time"),
    ("post-return-trap", "plugin-trapped", "panicked or aborted"),
    ("random-bomb", "plugin-trapped", "random"),
    ("reads-outside", "plugin-trapped", "outside of its memory"),
    ("realloc-calls-host", "plugin-trapped", "allocator"),
    ("realloc-loop", "plugin-cpu-exhausted", "processor time"),
    ("realloc-memory", "plugin-out-of-memory", "64 MiB"),
    ("realloc-outside", "plugin-trapped", "outside"),
    ("realloc-trap", "plugin-trapped", "panicked or aborted"),
    ("realloc-unaligned", "plugin-trapped", "aligned"),
    ("recursion", "plugin-stack-overflow", "512 KiB"),
    ("sleeps", "plugin-timeout", "`pending`"),
    ("table", "plugin-table-too-large", "40000"),
    ("table-outside", "plugin-trapped", "table"),
    ("trap", "plugin-trapped", "panicked or aborted"),
    ("unaligned-list", "plugin-trapped", "aligned"),
    ("unaligned-result", "plugin-trapped", "aligned"),
];

#[tokio::test]
async fn i14_each_hostile_plugin_is_quarantined_and_no_other_notices() {
    let stage = Stage::new();
    let good = stage.templater("good").await.unwrap();
    let limits =
        LimitOverrides { cpu_ms: Some(50), wall_ms: Some(3000), ..LimitOverrides::default() };
    let grant = Grant { limits, ..Grant::default() };
    let mut wrong = Vec::new();
    for (fixture, code, says) in HOSTILE {
        let bad = match stage.granted(fixture, &grant).await {
            Ok(info) => info.plugin,
            Err(error) => {
                wrong.push(format!("{fixture} is not loaded: {error}"));
                continue;
            }
        };
        for _ in 0..3 {
            let fault = match stage.render(&bad).await.result {
                Ok(_) => {
                    wrong.push(format!("{fixture} has no fault"));
                    continue;
                }
                Err(fault) => fault,
            };
            let named = fault.message.starts_with(&format!("plugin {fixture}, render: "));
            let fits = fault.code == *code && fault.message.contains(says) && named;
            if wrong.len() < 100 && (!fits || fault.class != FaultClass::Bug) {
                wrong.push(format!("{fixture}: {} {}", fault.code, fault.message));
            }
        }
        let quarantined = stage.render(&bad).await;
        if quarantined.code() != "plugin-quarantined" {
            wrong.push(format!("{fixture}: the fourth call is {}", quarantined.code()));
        }
        assert_eq!(stage.render(&good).await.code(), "done", "after {fixture}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let status = stage.host.status();
    let good = status.iter().find(|status| status.plugin == good).unwrap();
    assert_eq!((good.strikes, good.counts.broken), (0, 0));
    assert_eq!(status.iter().filter(|one| one.strikes == 3).count(), HOSTILE.len());
    assert!(status.iter().all(|one| one.counts.running == 0));
}

/// What looks like misbehaviour, and is an answer: cut to size, and no strike.
#[tokio::test]
async fn large_faults_are_cut_and_no_strikes() {
    let stage = Stage::new();
    let huge = stage.templater("huge-fault").await.unwrap();
    let fault = stage.render(&huge).await.result.unwrap_err();
    assert_eq!(fault.code, "plugin-permanent");
    assert!(fault.message.len() < 8 * 1024 && fault.message.ends_with("(2097152 bytes)"));
    let many = stage.templater("many-field-faults").await.unwrap();
    let fault = stage.render(&many).await.result.unwrap_err();
    assert_eq!(fault.code, "plugin-invalid");
    assert_eq!(fault.detail["fields"].as_array().unwrap().len(), 100);
    assert!(stage.host.status().iter().all(|status| status.strikes == 0));
}

/// The empty WASI that runtimes get has no folders to open.
#[tokio::test]
async fn there_are_no_files() {
    let stage = Stage::new();
    let files = stage.templater("wasi-files").await.unwrap();
    assert_eq!(stage.render(&files).await.code(), "done");
}
