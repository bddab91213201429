//! `deployd demo --once`: what a person tries first.

use std::path::Path;

use serde_json::Value;

use crate::program::{Build, ended};

fn entries(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Processes that have this text in their environment.
fn processes_with(text: &str) -> Vec<String> {
    let own = std::process::id().to_string();
    entries(Path::new("/proc"))
        .into_iter()
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()) && *name != own)
        .filter(|pid| {
            // A process that has ended, or of somebody else, can't be read.
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            String::from_utf8_lossy(&environment).contains(text)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_keeps_what_it_claims_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Build::Plain.command();
    command.args(["demo", "--once"]).env("TMPDIR", folder.path());
    let said = ended(command).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let last = said.out.lines().last().unwrap();
    let summary: Value = serde_json::from_str(last).unwrap_or_else(|_| panic!("{last}"));
    assert_eq!(summary["ok"], true, "{summary:#}");
    assert_eq!(summary["outcome"], "succeeded", "{summary:#}");
    let claims = summary["claims"].as_array().unwrap();
    assert!(claims.len() >= 10, "{summary:#}");
    for claim in claims {
        assert_eq!(claim["holds"], true, "{claim:#}");
    }
    assert_eq!(entries(folder.path()), Vec::<String>::new());
    let marker = folder.path().display().to_string();
    assert_eq!(processes_with(&marker), Vec::<String>::new());
}
