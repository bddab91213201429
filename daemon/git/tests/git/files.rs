//! Files are read at any commit, with filters and without.

use deployd_core::ports::{BlobId, Branch, CallLog, CommitId, Repositories as _, Revision};

use crate::support::{Stage, after, blob, us};

#[tokio::test]
async fn files_and_contents_are_read_at_any_commit() {
    for filters in ["true", "false"] {
        let stage = Stage::new();
        stage.bare(&["config", "uploadpack.allowFilter", filters]);
        let first =
            stage.commit(&stage.request("1", &[("a/x", "1\n"), ("b", "2\n")])).await.unwrap();
        let second = after(&first, stage.request("2", &[("a/x", "3\n"), ("a/y/z", "4\n")]));
        let second = stage.commit(&second).await.unwrap();
        let (branch, log) = (stage.main(), CallLog::default());
        for git in [us(&stage.egress), stage.git] {
            let at = |revision: Revision, directory: &'static str| {
                let (git, branch, log) = (&git, &branch, &log);
                async move { git.files(branch, &revision, directory, log).await }
            };
            let head = at(Revision::Head, "").await.unwrap();
            assert_eq!(head.commit.commit, second.commit, "{filters}");
            assert_eq!(head.commit.subject, "shop: 2");
            assert_eq!(head.files, second.files);
            let old = at(Revision::Commit(first.commit.clone()), "").await.unwrap();
            assert_eq!(old.files, first.files);
            let below = at(Revision::Head, "a/y").await.unwrap();
            assert_eq!(below.files.keys().collect::<Vec<_>>(), ["a/y/z"]);
            let one = at(Revision::Head, "a/x").await.unwrap();
            assert_eq!(
                one.files.into_iter().collect::<Vec<_>>(),
                [("a/x".to_owned(), blob("3\n"))]
            );
            assert!(at(Revision::Head, "none").await.unwrap().files.is_empty());
            let blobs = [blob("1\n"), blob("3\n"), blob("4\n"), blob("3\n")];
            let contents = git.contents(&branch, &blobs, 100, &log).await.unwrap();
            assert_eq!((contents.len(), contents[&blob("4\n")].as_slice()), (3, &b"4\n"[..]));
            let fault = git.contents(&branch, &blobs, 5, &log).await.unwrap_err();
            assert_eq!(fault.code, "git-too-large");
        }
    }
}

#[tokio::test]
async fn what_is_not_there_is_said() {
    let stage = Stage::new();
    let done = stage.commit(&stage.request("1", &[("a", "1\n")])).await.unwrap();
    let log = CallLog::default();
    let other = Branch { name: "other".to_owned(), ..stage.main() };
    let fault = stage.git.files(&other, &Revision::Head, "", &log).await.unwrap_err();
    assert_eq!(fault.code, "git-not-found", "{fault}");
    for id in ["1".repeat(40), done.files["a"].0.clone()] {
        let revision = Revision::Commit(CommitId(id));
        let fault = us(&stage.egress).files(&stage.main(), &revision, "", &log).await.unwrap_err();
        assert_eq!(fault.code, "git-not-found", "{fault}");
    }
    let missing = [BlobId("2".repeat(40))];
    let fault = stage.git.contents(&stage.main(), &missing, 100, &log).await.unwrap_err();
    assert_eq!(fault.code, "git-not-found", "{fault}");
    for text in ["", "xyz", "../x"] {
        let revision = Revision::Commit(CommitId(text.to_owned()));
        let fault = stage.git.files(&stage.main(), &revision, "", &log).await.unwrap_err();
        assert_eq!(fault.code, "git-invalid", "{fault}");
    }
    let fault = stage.git.files(&stage.main(), &Revision::Head, "../x", &log).await.unwrap_err();
    assert_eq!(fault.code, "git-invalid", "{fault}");
    let gone = stage.at(&stage.server.url("none.git"), stage.server.address.port());
    let fault = stage.git.files(&gone, &Revision::Head, "", &log).await.unwrap_err();
    assert_eq!(fault.code, "git-not-found", "{fault}");
}

#[tokio::test]
async fn a_large_repository_is_read_by_what_is_needed_of_it() {
    use crate::support::git_import;
    let stage = Stage::new();
    // Contents that no pack makes small: more than is taken at once.
    git_import::large(&stage, 70);
    let done = stage.commit(&stage.request("1", &[("envs/a", "1\n")])).await.unwrap();
    assert!(done.changed);
    let listed = stage.git.files(&stage.main(), &Revision::Head, "envs", &CallLog::default()).await;
    assert_eq!(listed.unwrap().files, done.files);
    stage.bare(&["config", "uploadpack.allowFilter", "false"]);
    let fault = us(&stage.egress)
        .files(&stage.main(), &Revision::Head, "envs", &CallLog::default())
        .await
        .unwrap_err();
    assert_eq!(fault.code, "git-too-large");
    assert!(fault.message.contains("uploadpack.allowFilter"), "{fault}");
}

#[tokio::test]
async fn a_branch_is_found_among_ten_thousand() {
    let stage = Stage::new();
    let head = stage.pushed_by_jane("others", &[("x", Some("1\n"))]);
    let mut updates = String::new();
    for number in 0..10_000 {
        updates.push_str(&format!("create refs/heads/b/{number} {head}\n"));
    }
    fixtures::git_server::git_with(&stage.bare, &["update-ref", "--stdin"], updates.as_bytes())
        .unwrap();
    stage.bare(&["pack-refs", "--all"]);
    let done = stage.commit(&stage.request("1", &[("a", "1\n")])).await.unwrap();
    assert_eq!(stage.bare(&["rev-parse", "main"]), done.commit.0);
    let listed =
        stage.git.files(&stage.main(), &Revision::Head, "", &CallLog::default()).await.unwrap();
    assert_eq!(listed.files.len(), 2);
}
