//! The command line against a daemon, as people and scripts use it.

use serde_json::Value;

use crate::program::{Build, Said, deployd, ended};
use crate::sample;
use crate::stage::{ENVIRONMENT, Stage};

/// Runs a command with the stage's daemon and the token of its admin.
async fn run<const N: usize>(stage: &Stage, arguments: [&str; N]) -> Said {
    let mut command = Build::Plain.command();
    command
        .args(arguments)
        .env("DEPLOYD_SERVER", stage.daemon.base())
        .env("DEPLOYD_TOKEN_FILE", stage.daemon.data().join("admin-token"));
    ended(command).await
}

/// That a command has ended with this code.
#[track_caller]
fn ends(said: &Said, code: i32) {
    assert_eq!(said.code, Some(code), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn from_documents_to_history() {
    let stage = Stage::set().await;
    let folder = stage.folder().join("sample");
    sample::write(&folder, stage.receiver.url());
    let folder = folder.display().to_string();
    let said = run(&stage, ["apply", "-f", &folder]).await;
    ends(&said, 0);
    let mut deployment = None;
    for workload in ["frontend", "backend"] {
        let digest = "4".repeat(64);
        let image = format!("registry.example.com/shop/{workload}@sha256:{digest}");
        let announce = ["artifact", "announce", &image, "--ref", "refs/heads/main", "-o", "json"];
        let said = run(&stage, announce).await;
        ends(&said, 0);
        let announced: Value = serde_json::from_str(&said.out).unwrap();
        deployment = announced["routes"][0]["deployment"].as_str().map(str::to_owned);
    }
    let id = deployment.unwrap();
    let said = run(&stage, ["watch", &id]).await;
    ends(&said, 0);
    for arguments in [["show", &id], ["logs", &id], ["manifests", &id], ["plan", ENVIRONMENT]] {
        let said = run(&stage, arguments).await;
        ends(&said, 0);
        assert!(!said.out.is_empty(), "{arguments:?}: {said:?}");
    }
    let said = run(&stage, ["history", "-o", "json"]).await;
    assert!(said.out.contains(&id), "{said:?}");

    // The journal is whole, here and elsewhere; an export that was changed is not.
    ends(&run(&stage, ["journal", "verify"]).await, 0);
    let export = stage.folder().join("journal.jsonl");
    let file = export.display().to_string();
    ends(&run(&stage, ["journal", "export", "--out", &file]).await, 0);
    ends(&deployd(["journal", "verify", "--offline", &file]).await, 0);
    let text = std::fs::read_to_string(&export).unwrap();
    let changed = text.replacen("refs/heads/main", "refs/heads/evil", 1);
    assert_ne!(changed, text);
    std::fs::write(&export, changed).unwrap();
    ends(&deployd(["journal", "verify", "--offline", &file]).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_has_an_exit_code_and_a_sentence() {
    let stage = Stage::set().await;
    let file = stage.folder().join("bad.yaml");
    std::fs::write(&file, "apiVersion: deployd.dev/v1\nkind: Nonsense\n").unwrap();
    let path = file.display().to_string();
    let said = run(&stage, ["apply", "-f", &path]).await;
    ends(&said, 6);
    assert!(said.err.contains("bad.yaml:2:7") && said.err.contains("Nonsense"), "{said:?}");
    let none = "01aryz6s41tsv4rrffq69g5fav";
    let said = run(&stage, ["show", none]).await;
    ends(&said, 5);
    assert!(said.err.contains(none), "{said:?}");
    let manifest = stage.folder().join("plugin.toml");
    std::fs::write(&manifest, "id = \"x\"\nversion = \"1.0.0\"\nkind = \"driver\"\n").unwrap();
    let manifest = manifest.display().to_string();
    let said = run(&stage, ["plugin", "push", &path, "--manifest", &manifest]).await;
    ends(&said, 6);
    assert!(!said.err.is_empty(), "{said:?}");
    let said = run(&stage, ["history", "--token", "dpl_nonsense"]).await;
    ends(&said, 4);
    let said = run(&stage, ["history", "--server", "http://127.0.0.1:1"]).await;
    ends(&said, 3);
    assert!(said.err.contains("127.0.0.1:1"), "{said:?}");
    ends(&run(&stage, ["histroy"]).await, 2);
}
