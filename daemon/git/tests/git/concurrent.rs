//! Many write to one branch, and nobody loses anything.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use deployd_core::ports::{CallLog, Repositories as _};
use fixtures::git_server::git;

use crate::support::{Stage, request, us};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixteen_writers_and_one_with_git_itself() {
    const COMMITS: usize = 4;
    let stage = Arc::new(Stage::new());
    stage.pushed_by_jane("first", &[("jane", Some("0"))]);
    let over = Arc::new(AtomicBool::new(false));
    let (clone, done) = (stage.clone_of("jane"), Arc::clone(&over));
    // Pushes whenever somebody else has, until all others are through; what is refused is
    // tried again.
    let bare = stage.bare.clone();
    let jane = tokio::task::spawn_blocking(move || {
        let mut pushed = 0;
        while !done.load(Ordering::Relaxed) {
            std::fs::write(clone.join("jane"), format!("{}\n", pushed + 1)).unwrap();
            git(&clone, &["commit", "--quiet", "-am", "jane"]).unwrap();
            while git(&clone, &["push", "--quiet", "origin", "main"]).is_err() {
                git(&clone, &["pull", "--quiet", "--rebase"]).unwrap();
            }
            pushed += 1;
            let mine = git(&clone, &["rev-parse", "HEAD"]).unwrap();
            while !done.load(Ordering::Relaxed)
                && git(&bare, &["rev-parse", "main"]).unwrap() == mine
            {}
        }
        pushed
    });
    // Each of four processes has four environments.
    let mut writers = Vec::new();
    for process in 0..4 {
        let git = Arc::new(us(&stage.egress));
        for environment in 0..4 {
            let (git, branch) = (Arc::clone(&git), stage.main());
            writers.push(tokio::spawn(async move {
                let path = format!("envs/{process}-{environment}/x.yaml");
                let mut owned = std::collections::BTreeMap::new();
                for number in 0..COMMITS {
                    let key = format!("{process}-{environment}-{number}");
                    let mut one = request(branch.clone(), &key, &[(&path, &key)]);
                    one.owned = owned;
                    let done = git.commit(&one, &CallLog::default()).await.unwrap();
                    assert!(done.changed);
                    owned = done.files;
                }
            }));
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
    over.store(true, Ordering::Relaxed);
    let pushed = jane.await.unwrap();
    assert!(pushed > 0);
    let keys =
        stage.bare(&["log", "--format=%(trailers:key=Deployd-Key,valueonly,separator=)", "main"]);
    let keys: Vec<&str> = keys.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(keys.len(), 16 * COMMITS);
    assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), 16 * COMMITS);
    assert_eq!(stage.content("jane"), pushed.to_string());
    // One after the other: no merges.
    assert_eq!(stage.bare(&["rev-list", "--merges", "--count", "main"]), "0");
    stage.sound();
}

#[tokio::test]
async fn what_waits_is_pushed_together_as_one_commit_each() {
    const MANY: usize = 60;
    let stage = Stage::new();
    let requests: Vec<_> = (0..MANY)
        .map(|number| stage.request(&format!("k{number}"), &[(&format!("envs/{number}/x"), "1\n")]))
        .collect();
    let logs: Vec<CallLog> = requests.iter().map(|_| CallLog::default()).collect();
    let all = requests.iter().zip(&logs).map(|(one, log)| stage.git.commit(one, log));
    for result in futures::future::join_all(all).await {
        assert!(result.unwrap().changed);
    }
    assert_eq!(stage.bare(&["rev-list", "--count", "main"]), MANY.to_string());
    let pushes: BTreeSet<String> = logs
        .iter()
        .flat_map(CallLog::take)
        .map(|line| line.message)
        .filter(|message| message.starts_with("pushed "))
        .collect();
    assert!(pushes.len() < MANY / 4, "{pushes:?}");
    stage.sound();
}

#[tokio::test]
async fn a_key_that_comes_twice_at_once_makes_one_commit() {
    let stage = Stage::new();
    let same = stage.request("same", &[("a", "1\n")]);
    let other = stage.request("other", &[("b", "1\n")]);
    let all = [&other, &same, &same, &same].map(|one| stage.commit(one));
    let mut results = Vec::new();
    for result in futures::future::join_all(all).await {
        results.push(result.unwrap());
    }
    assert_eq!(results[1], results[2]);
    assert_eq!(results[1], results[3]);
    assert_eq!(stage.made_by("same"), 1);
}

#[tokio::test]
async fn branches_do_not_wait_for_each_other() {
    let stage = Stage::new();
    stage.pushed_by_jane("first", &[("x", Some("1\n"))]);
    let hook = stage.bare.join("hooks/pre-receive");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    let go = stage.folder.path().join("go");
    // A push to main waits for the other branch.
    let text = format!(
        "#!/bin/sh\nread old new ref\n[ $ref = refs/heads/main ] || exit 0\nwhile [ ! -e {} ]; do sleep 0.01; done\n",
        go.display()
    );
    std::fs::write(&hook, text).unwrap();
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let slow = stage.request("slow", &[("a", "1\n")]);
    let mut quick = stage.request("quick", &[("b", "1\n")]);
    quick.branch.name = "quick".to_owned();
    let (slow, ()) = tokio::join!(stage.commit(&slow), async {
        stage.commit(&quick).await.unwrap();
        std::fs::write(&go, "").unwrap();
    });
    slow.unwrap();
    assert_eq!(stage.bare(&["branch", "--format=%(refname:short)"]), "main\nquick");
}
