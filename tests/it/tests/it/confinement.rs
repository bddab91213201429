//! What the daemon has taken away from itself, seen from outside.

use std::fs;

use serde_json::json;

use crate::daemon::Start;
use crate::program::Build;

/// Fields of `/proc/PID/status`, of the process and of each of its threads.
fn statuses(pid: u32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("status")).ok()).collect()
}

fn has(status: &str, field: &str, value: &str) -> bool {
    status.lines().any(|line| {
        line.strip_prefix(field).is_some_and(|found| found.trim_start_matches(':').trim() == value)
    })
}

/// Whether this kernel has seccomp, which the daemon says as well.
fn kernel_has_seccomp() -> bool {
    fs::read_to_string("/proc/self/status").unwrap().contains("Seccomp:")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_thread_of_a_daemon_is_confined_and_it_writes_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Start::new(Build::Plain, folder.path()).ready().await;
    let threads = statuses(daemon.pid());
    assert!(threads.len() > 2);
    if kernel_has_seccomp() {
        for status in &threads {
            assert!(has(status, "Seccomp", "2") && has(status, "NoNewPrivs", "1"), "{status}");
        }
    }
    // One child, which compiles when it is asked to.
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", daemon.pid()));
    if let Ok(children) = children {
        assert_eq!(children.split_whitespace().count(), 1, "{children}");
    }
    if !daemon.log().contains("no Landlock") {
        let elsewhere = folder.path().join("backup");
        let backup = json!({"path": elsewhere.display().to_string()});
        let refused = daemon.client().post("/v1/backup", &backup).await;
        assert!(refused.status >= 400 && !elsewhere.exists(), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sandbox_can_be_turned_off_and_opened() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("deployd.toml");
    fs::write(&settings, "[sandbox]\nenabled = false\n").unwrap();
    let start = Start::new(Build::Plain, folder.path());
    let start = start.env("DEPLOYD_CONFIG", settings.display().to_string());
    let daemon = start.ready().await;
    assert!(statuses(daemon.pid()).iter().all(|status| has(status, "Seccomp", "0")));
    assert!(daemon.log().contains("sandbox.enabled is false"), "{}", daemon.log());
    drop(daemon);

    let backups = folder.path().join("backups");
    fs::create_dir(&backups).unwrap();
    fs::write(&settings, format!("[sandbox]\nwrite = [{:?}]\n", backups.display().to_string()))
        .unwrap();
    let daemon = start.ready().await;
    let backup = backups.join("today");
    let body = json!({"path": backup.display().to_string()});
    daemon.client().post("/v1/backup", &body).await.ok();
    assert!(backup.exists());
}
