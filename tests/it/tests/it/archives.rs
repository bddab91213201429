//! A deployment taken from one installation to another, with the real plugins.

use serde_json::Value;

use crate::compiled;
use crate::daemon::{Daemon, Start};
use crate::program::{Build, Said, deployd, ended};
use crate::stage::{ENVIRONMENT, Stage};

async fn run(daemon: &Daemon, arguments: &[&str]) -> Said {
    let mut command = Build::Plain.command();
    command
        .args(arguments)
        .env("DEPLOYD_SERVER", daemon.base())
        .env("DEPLOYD_TOKEN_FILE", daemon.data().join("admin-token"));
    ended(command).await
}

#[track_caller]
fn ends(said: &Said, code: i32) {
    assert_eq!(said.code, Some(code), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn i12_what_was_deployed_here_is_made_again_there_when_nothing_is_left_of_here() {
    let mut stage = Stage::set().await;
    stage.deployed('1').await;
    let id = stage.deployed('2').await;
    let file = stage.folder().join("shop.tar");
    let file = file.display().to_string();
    ends(&run(&stage.daemon, &["export", ENVIRONMENT, "--out", &file]).await, 0);
    let record = stage.deployment(&id).await;
    let stream = format!("environment/{ENVIRONMENT}");
    let journal = stage.folder().join("journal.jsonl").display().to_string();
    let line = ["journal", "export", "--stream", &stream, "--from", "3", "--out", &journal];
    ends(&run(&stage.daemon, &line).await, 0);
    assert!(stage.daemon.stop().await.success());

    // Without a daemon: whole as it is, and named where it is damaged.
    ends(&deployd(["export", "verify", &file]).await, 0);
    let bytes = std::fs::read(&file).unwrap();
    let mut damaged = bytes.clone();
    damaged[bytes.len() / 2] ^= 4;
    let other = stage.folder().join("damaged.tar");
    std::fs::write(&other, damaged).unwrap();
    let other = other.display().to_string();
    let said = deployd(["export", "verify", &other]).await;
    ends(&said, 1);
    assert!(said.out.contains("damaged: found") && said.out.contains("not sound"), "{said:?}");
    let said = deployd(["journal", "verify", "--offline", &journal]).await;
    ends(&said, 0);
    assert!(said.err.contains("begins with event 3"), "{said:?}");
    let text = std::fs::read_to_string(&journal).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let cut = [&lines[..lines.len() - 2], &lines[lines.len() - 1..]].concat().join("\n");
    std::fs::write(&journal, cut).unwrap();
    ends(&deployd(["journal", "verify", "--offline", &journal]).await, 1);

    // Another installation, to which nothing was ever applied.
    let folder = tempfile::tempdir().unwrap();
    let start = Start::new(Build::Plain, folder.path());
    compiled::give(&start.data);
    let there = start.ready().await;
    let said = run(&there, &["import", &other]).await;
    ends(&said, 6);
    assert!(said.err.contains(".zst"), "{said:?}");
    let said = run(&there, &["import", &file]).await;
    ends(&said, 0);
    assert!(said.out.contains(&format!("imported {ENVIRONMENT}#2 ({id})")), "{said:?}");
    let said = run(&there, &["import", &file]).await;
    ends(&said, 0);
    assert!(said.out.contains("nothing was changed"), "{said:?}");
    let said = run(&there, &["replay", &id, "-o", "json"]).await;
    ends(&said, 0);
    let replay: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(replay["verdict"], "identical", "{replay:#}");
    assert_eq!(replay["parts"].as_array().unwrap().len(), 3, "{replay:#}");
    let client = there.client();
    let mut shown = client.get(&format!("/v1/deployments/{id}")).await.ok();
    let from = shown.as_object_mut().unwrap().remove("imported").unwrap();
    assert_eq!(from["made"]["deployd"], env!("CARGO_PKG_VERSION"), "{from:#}");
    assert_eq!(shown, record);
    for (arguments, code) in [
        (vec!["manifests", &*id], 0),
        (vec!["show", &*id], 0),
        (vec!["debug", &*id], 0),
        (vec!["redeploy", &*id], 7),
        (vec!["journal", "verify"], 0),
    ] {
        let said = run(&there, &arguments).await;
        ends(&said, code);
    }
    let history = client.get("/v1/deployments").await.ok();
    assert_eq!(history["deployments"], serde_json::json!([]));
}
