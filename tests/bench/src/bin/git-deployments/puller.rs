//! Somebody who pulls: applies what is new on the branch.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use deployd_practice::Practice;
use fixtures::git_server::{git, git_with};
use futures::StreamExt;
use pullers::Api;
use serde_json::Value;
use tokio::task::JoinHandle;

/// Between looks at the branch.
const LOOK: Duration = Duration::from_millis(50);

/// Requests to the cluster at the same time.
const AT_ONCE: usize = 16;

/// What a repository is compared with that has nothing yet.
const EMPTY_TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

/// Pulls until it is aborted.
pub(crate) fn start(repository: &Path, practice: &Practice) -> JoinHandle<anyhow::Result<()>> {
    let (repository, api) = (repository.to_owned(), Api::new(&practice.url(), practice.token()));
    tokio::spawn(async move {
        let mut brought = EMPTY_TREE.to_owned();
        loop {
            let (at, since) = (repository.clone(), brought.clone());
            let (head, mut objects) =
                tokio::task::spawn_blocking(move || news(&at, &since)).await??;
            // Namespaces come before what is in them.
            objects.sort_by_key(|object| object["kind"] != "Namespace");
            let first = objects.iter().take_while(|object| object["kind"] == "Namespace").count();
            let (namespaces, others) = objects.split_at(first);
            for some in [namespaces, others] {
                let calls: Vec<_> = some
                    .iter()
                    .cloned()
                    .map(|object| {
                        let api = api.clone();
                        async move { api.apply("puller", &object, "default").await }
                    })
                    .collect();
                let mut applied = futures::stream::iter(calls).buffer_unordered(AT_ONCE);
                while let Some(done) = applied.next().await {
                    done.map_err(anyhow::Error::msg)?;
                }
            }
            brought = head;
            tokio::time::sleep(LOOK).await;
        }
    })
}

/// The branch's head, and the objects that have changed since.
fn news(repository: &Path, since: &str) -> anyhow::Result<(String, Vec<Value>)> {
    let head = git(repository, &["rev-parse", "main"])?;
    if head == since {
        return Ok((head, Vec::new()));
    }
    let changed = ["diff", "--name-only", "--diff-filter=d", since, &head, "--", "apps"];
    let changed = git(repository, &changed)?;
    let asked: String = changed
        .lines()
        .filter(|path| path.ends_with(".yaml"))
        .map(|path| format!("{head}:{path}\n"))
        .collect();
    let said = git_with(repository, &["cat-file", "--batch"], asked.as_bytes())?;
    let mut objects = Vec::new();
    let mut rest = said.as_str();
    while let Some((line, after)) = rest.split_once('\n') {
        let size = line.rsplit(' ').next().and_then(|size| size.parse::<usize>().ok());
        let size = size.with_context(|| format!("git said {line:?}"))?.min(after.len());
        let text = after.get(..size).context("a file that is no text")?;
        objects.push(serde_saphyr::from_str(text)?);
        rest = after.get(size..).unwrap_or_default().trim_start_matches('\n');
    }
    Ok((head, objects))
}
