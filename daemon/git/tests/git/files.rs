//! Files are read at any commit, with filters and without.

use deployd_core::ports::{BlobId, Branch, CallLog, CommitId, Repositories as _, Revision};

use fixtures::git_server::git_with;

use crate::support::{Stage, after, blob, git_import, us};

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
    git_with(&stage.bare, &["update-ref", "--stdin"], updates.as_bytes()).unwrap();
    stage.bare(&["pack-refs", "--all"]);
    let done = stage.commit(&stage.request("1", &[("a", "1\n")])).await.unwrap();
    assert_eq!(stage.bare(&["rev-parse", "main"]), done.commit.0);
    let listed =
        stage.git.files(&stage.main(), &Revision::Head, "", &CallLog::default()).await.unwrap();
    assert_eq!(listed.files.len(), 2);
}

#[tokio::test]
async fn objects_that_are_deltas_of_deltas_are_read() {
    const COMMITS: usize = 150;
    let stage = Stage::new();
    let mut stream = String::new();
    for number in 0..COMMITS {
        stream.push_str("commit refs/heads/main\n");
        let seconds = 1_790_000_000 + number;
        stream.push_str(&format!("committer Jane <jane@example.com> {seconds} +0000\ndata 1\nx\n"));
        let files = if number == 0 { 100 } else { 1 };
        for file in 0..files {
            let file = (file + number) % 100;
            let text = format!("{}\n{number}\n", "line\n".repeat(200));
            stream.push_str(&format!("M 644 inline dir/f{file:03}\ndata {}\n{text}\n", text.len()));
        }
    }
    git_with(&stage.bare, &["fast-import", "--quiet"], stream.as_bytes()).unwrap();
    stage.bare(&["repack", "-adfq", "--depth=200", "--window=50"]);
    let git = us(&stage.egress);
    let log = CallLog::default();
    for back in [0, 1, 75, COMMITS - 1] {
        let revision = stage.bare(&["rev-parse", &format!("main~{back}")]);
        let at = Revision::Commit(CommitId(revision.clone()));
        let found = git.files(&stage.main(), &at, "dir", &log).await.unwrap();
        let listed: Vec<String> =
            found.files.iter().map(|(path, id)| format!("100644 blob {}\t{path}", id.0)).collect();
        assert_eq!(listed, stage.listed(&revision), "{back}");
        let blobs: Vec<BlobId> = found.files.into_values().collect();
        let contents = git.contents(&stage.main(), &blobs, 10_000_000, &log).await.unwrap();
        for (id, content) in contents {
            assert_eq!(blob(std::str::from_utf8(&content).unwrap()), id);
        }
    }
}
