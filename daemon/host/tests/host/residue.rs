//! What a call has written is nobody else's to see: memories, tables and globals
//! are taken from one block, again and again, and begin empty each time.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use deployd_core::config::Grant;
use rustix::process::{Resource, Rlimit};

use crate::support::Stage;

/// Calls of tenants that write all over what they were given. Each looks first,
/// and traps when anything is not as it should be at the beginning.
const TENANTS: usize = 10_000;
/// Calls at the same time: so that all places of the pool are used, and each by
/// many.
const AT_ONCE: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn residue_10_000_alternating_tenants_see_nothing_of_each_other() {
    let stage = Stage::new();
    // One component under several names is several tenants.
    let bytes = crate::support::component("residue");
    let mut tenants = Vec::new();
    for name in ["one", "two", "three"] {
        let kind = deployd_core::config::PluginKind::Templater;
        let grant = Grant::default();
        tenants.push(stage.register(name, &bytes, kind, "", &grant).await.unwrap().plugin);
    }
    let calls = AtomicUsize::new(0);
    let caller = || async {
        loop {
            let call = calls.fetch_add(1, Ordering::Relaxed);
            if call >= TENANTS {
                return;
            }
            let tenant = &tenants[call % tenants.len()];
            let rendered = stage.render(tenant).await;
            assert_eq!(rendered.code(), "done", "call {call}: {:?}", rendered.result);
        }
    };
    let callers: [_; AT_ONCE] = std::array::from_fn(|_| caller());
    let [a, b, c, d, e, f, g, h] = callers;
    tokio::join!(a, b, c, d, e, f, g, h);
    let status = stage.host.status();
    let made: u64 = status.iter().map(|status| status.counts.calls).sum();
    assert_eq!(made, TENANTS as u64);
    assert!(status.iter().all(|status| status.strikes == 0));
}

/// The pool leaked from one place to the next in versions up to 43.0.0
/// (GHSA-6wgr-89rj-399p); later lines have the fix.
#[test]
fn residue_wasmtime_has_the_fix() {
    let lock = crate::support::repository().join("Cargo.lock");
    let lock = std::fs::read_to_string(lock).unwrap();
    let version = lock.split("name = \"wasmtime\"\nversion = \"").nth(1).unwrap();
    let version = version.split('"').next().unwrap();
    let major: u32 = version.split('.').next().unwrap().parse().unwrap();
    assert!(major >= 44, "wasmtime {version} may have the leak");
}

/// Set for the process that runs with little address space.
const LIMITED: &str = "DEPLOYD_TEST_LIMITED";

/// Where the pool does not fit, calls go on without one.
#[tokio::test]
async fn with_little_address_space_plugins_are_called_all_the_same() {
    let limited = std::env::var_os(LIMITED).is_some();
    if !limited {
        let name = "residue::with_little_address_space_plugins_are_called_all_the_same";
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(LIMITED, "yes")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{output:?}");
        return;
    }
    let space = 3 * 1024 * 1024 * 1024;
    let limit = Rlimit { current: Some(space), maximum: Some(space) };
    rustix::process::setrlimit(Resource::As, limit).unwrap();
    let stage = Stage::with_quarantine(Duration::from_secs(60));
    let good = stage.templater("good").await.unwrap();
    let tenant = stage.templater("residue").await.unwrap();
    for _ in 0..20 {
        assert_eq!(stage.render(&good).await.code(), "done");
        assert_eq!(stage.render(&tenant).await.code(), "done");
    }
    for (fixture, code) in [
        ("reads-outside", "plugin-trapped"),
        ("memory", "plugin-out-of-memory"),
        ("recursion", "plugin-stack-overflow"),
    ] {
        let bad = stage.templater(fixture).await.unwrap();
        assert_eq!(stage.render(&bad).await.code(), code);
    }
}
