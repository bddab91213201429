//! What others change of our files is neither undone nor overlooked.

use deployd_core::ports::{CommitRequest, Committed, EDITED, ForeignChange, ForeignEdit};
use deployd_core::{Fault, FaultClass};

use crate::support::{Stage, after};

/// Two files of ours, and one that we want to write next.
async fn stage() -> (Stage, Committed) {
    let stage = Stage::new();
    let files = [("envs/a.yaml", "1\n"), ("envs/b.yaml", "2\n")];
    let done = stage.commit(&stage.request("1", &files)).await.unwrap();
    (stage, done)
}

fn next(stage: &Stage, done: &Committed) -> CommitRequest {
    after(done, stage.request("2", &[("envs/a.yaml", "10\n"), ("envs/b.yaml", "2\n")]))
}

fn edits(fault: &Fault) -> Vec<ForeignEdit> {
    assert_eq!((fault.code.as_str(), fault.class), (EDITED, FaultClass::Conflict), "{fault}");
    serde_json::from_value(fault.detail.clone()).unwrap()
}

#[tokio::test]
async fn edits_of_each_form_are_told_and_may_be_taken_over() {
    for (content, change) in
        [(Some("mine\n"), ForeignChange::Changed), (None, ForeignChange::Removed)]
    {
        let (stage, done) = stage().await;
        let edit = stage.pushed_by_jane("I know better", &[("envs/a.yaml", content)]);
        let head = stage.pushed_by_jane("something else", &[("x", Some("y\n"))]);
        let mut request = next(&stage, &done);
        let fault = stage.commit(&request).await.unwrap_err();
        let [found] = edits(&fault).try_into().unwrap();
        assert_eq!((found.path.as_str(), found.change), ("envs/a.yaml", change));
        let commit = found.commit.unwrap();
        assert_eq!((commit.commit.0, commit.subject.as_str()), (edit, "I know better"));
        assert_eq!(commit.author, "Jane <jane@example.com>");
        for part in ["envs/a.yaml", "Jane", "takeOverFields", "I know better"] {
            assert!(fault.message.contains(part), "{part}: {fault}");
        }
        assert_eq!(stage.bare(&["rev-parse", "main"]), head);
        request.take_over = true;
        let done = stage.commit(&request).await.unwrap();
        assert_eq!(
            (done.taken_over[0].path.as_str(), done.taken_over[0].change),
            ("envs/a.yaml", change)
        );
        assert_eq!(stage.content("envs/a.yaml"), "10");
        stage.sound();
    }
}

#[tokio::test]
async fn a_file_that_never_was_ours_is_not_overwritten() {
    let (stage, done) = stage().await;
    stage.pushed_by_jane("mine", &[("envs/c.yaml", Some("mine\n"))]);
    let mut request = next(&stage, &done);
    request.files.insert("envs/c.yaml".to_owned(), b"3\n".to_vec());
    let fault = stage.commit(&request).await.unwrap_err();
    assert_eq!(edits(&fault)[0].change, ForeignChange::Added);
    // Unless it is what we want it to be.
    request.files.insert("envs/c.yaml".to_owned(), b"mine\n".to_vec());
    assert!(stage.commit(&request).await.unwrap().taken_over.is_empty());
}

#[tokio::test]
async fn what_is_executable_or_a_link_is_no_file_of_ours() {
    for mode in ["100755", "120000"] {
        let (stage, done) = stage().await;
        let blob = &done.files["envs/a.yaml"].0;
        let other = &done.files["envs/b.yaml"].0;
        let tree = format!("{mode} blob {blob}\ta.yaml\n100644 blob {other}\tb.yaml\n");
        let tree =
            fixtures::git_server::git_with(&stage.bare, &["mktree"], tree.as_bytes()).unwrap();
        let root = format!("040000 tree {tree}\tenvs\n");
        let root =
            fixtures::git_server::git_with(&stage.bare, &["mktree"], root.as_bytes()).unwrap();
        let head = stage.bare(&["commit-tree", &root, "-p", "main", "-m", "mode"]);
        stage.bare(&["update-ref", "refs/heads/main", &head]);
        let mut request = next(&stage, &done);
        let fault = stage.commit(&request).await.unwrap_err();
        assert_eq!(edits(&fault)[0].change, ForeignChange::Changed, "{mode}");
        request.take_over = true;
        stage.commit(&request).await.unwrap();
        assert!(stage.listed("main")[0].starts_with("100644 "));
    }
}

#[tokio::test]
async fn what_others_removed_and_we_do_not_want_is_no_edit() {
    let (stage, done) = stage().await;
    stage.pushed_by_jane("gone", &[("envs/a.yaml", None)]);
    let request = after(&done, stage.request("2", &[("envs/b.yaml", "2\n")]));
    assert!(!stage.commit(&request).await.unwrap().changed);
}

#[tokio::test]
async fn a_rewritten_history_is_told() {
    let (stage, done) = stage().await;
    // Somebody begins anew, without our files.
    let tree = stage.bare(&["rev-parse", "main^{tree}"]);
    stage.bare(&["update-ref", "-d", "refs/heads/main"]);
    let head = stage.pushed_by_jane("anew", &[("envs/a.yaml", Some("theirs\n"))]);
    assert_ne!(stage.bare(&["rev-parse", "main^{tree}"]), tree);
    let mut request = next(&stage, &done);
    let fault = stage.commit(&request).await.unwrap_err();
    let found = edits(&fault);
    let changes: Vec<ForeignChange> = found.iter().map(|edit| edit.change).collect();
    assert_eq!(changes, [ForeignChange::Changed, ForeignChange::Removed], "{fault}");
    assert_eq!(found[0].commit.as_ref().unwrap().commit.0, head);
    assert!(fault.message.contains("rewritten"), "{fault}");
    request.take_over = true;
    assert_eq!(stage.commit(&request).await.unwrap().taken_over.len(), 2);
    assert_eq!(stage.bare(&["rev-parse", "main^"]), head);
}

#[tokio::test]
async fn a_rewritten_history_with_our_files_in_it_is_fine() {
    let (stage, done) = stage().await;
    let head = stage.bare(&["commit-tree", "main^{tree}", "-m", "squashed"]);
    stage.bare(&["update-ref", "refs/heads/main", &head]);
    let second = stage.commit(&next(&stage, &done)).await.unwrap();
    assert!(second.changed && second.taken_over.is_empty());
    assert_eq!(stage.bare(&["rev-parse", "main^"]), head);
}

#[tokio::test]
async fn one_edit_holds_up_no_other_request() {
    use std::sync::Arc;
    let stage = Arc::new(Stage::new());
    let mut done = Vec::new();
    for name in ["a", "b", "c"] {
        let path = format!("{name}/x");
        done.push(stage.commit(&stage.request(name, &[(&path, "1\n")])).await.unwrap());
    }
    stage.pushed_by_jane("mine", &[("b/x", Some("2\n"))]);
    let requests = ["a", "b", "c"].iter().zip(&done).map(|(name, done)| {
        let path = format!("{name}/x");
        after(done, stage.request(&format!("{name}2"), &[(&path, "3\n")]))
    });
    let requests: Vec<_> = requests.collect();
    let results = futures::future::join_all(requests.iter().map(|one| stage.commit(one))).await;
    let codes: Vec<Option<String>> =
        results.into_iter().map(|result| result.err().map(|fault| fault.code)).collect();
    assert_eq!(codes, [None, Some(EDITED.to_owned()), None]);
    assert_eq!([stage.content("a/x"), stage.content("b/x"), stage.content("c/x")], ["3", "2", "3"]);
}
