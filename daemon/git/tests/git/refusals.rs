//! What servers refuse, in words that help.

use std::os::unix::fs::PermissionsExt as _;

use deployd_core::FaultClass;
use deployd_core::ports::{CallLog, Repositories as _, Revision};

use crate::support::{Stage, after, request, us};

fn hook(stage: &Stage, name: &str, text: &str) {
    let path = stage.bare.join("hooks").join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn a_protected_branch_is_not_tried_again() {
    let stage = Stage::new();
    let head = stage.pushed_by_jane("others", &[("x", Some("1\n"))]);
    hook(
        &stage,
        "pre-receive",
        "echo x >> tries; echo 'GH006: Protected branch update failed' >&2; exit 1",
    );
    let fault = stage.commit(&stage.request("1", &[("a", "1\n")])).await.unwrap_err();
    assert_eq!((fault.code.as_str(), fault.class), ("git-protected", FaultClass::Denied));
    for part in ["pre-receive hook declined", "GH006", "pullRequest"] {
        assert!(fault.message.contains(part), "{part}: {fault}");
    }
    let tries = || std::fs::read_to_string(stage.bare.join("tries")).unwrap().lines().count();
    assert_eq!(tries(), 1);
    // Nor once for each of many.
    let requests: Vec<_> = (0..64)
        .map(|number| stage.request(&number.to_string(), &[(&format!("{number}/x"), "1\n")]))
        .collect();
    let results = futures::future::join_all(requests.iter().map(|one| stage.commit(one))).await;
    for result in results {
        assert_eq!(result.unwrap_err().code, "git-protected");
    }
    assert!(tries() < 20, "{}", tries());
    assert_eq!(stage.bare(&["rev-parse", "main"]), head);
}

#[tokio::test]
async fn a_hook_that_refuses_one_of_several_refuses_that_one() {
    let stage = Stage::new();
    hook(
        &stage,
        "pre-receive",
        "while read old new ref; do case $old in 0*) range=$new;; *) range=$old..$new;; esac; \
         git log --format=%s $range | grep -q wrong && exit 1; done; exit 0",
    );
    let names = ["first", "a", "wrong", "b", "c"];
    let requests: Vec<_> = names
        .iter()
        .map(|name| {
            let path = format!("{name}/x");
            stage.request(name, &[(&path, "1\n")])
        })
        .collect();
    let results = futures::future::join_all(requests.iter().map(|one| stage.commit(one))).await;
    for (name, result) in names.iter().zip(results) {
        assert_eq!(
            result.err().map(|fault| fault.code),
            (*name == "wrong").then(|| "git-protected".to_owned())
        );
    }
    let made = stage.bare(&["ls-tree", "--name-only", "main"]);
    assert_eq!(made, "a\nb\nc\nfirst");
}

#[tokio::test]
async fn a_branch_that_is_checked_out_and_forced_pushes_that_are_denied() {
    let stage = Stage::new();
    stage.bare(&["config", "receive.denyNonFastForwards", "true"]);
    let done = stage.commit(&stage.request("1", &[("a", "1\n")])).await.unwrap();
    stage.bare(&["config", "core.bare", "false"]);
    stage.bare(&["config", "receive.denyCurrentBranch", "refuse"]);
    let fault = stage.commit(&after(&done, stage.request("2", &[("a", "2\n")]))).await.unwrap_err();
    assert_eq!(fault.code, "git-protected");
    assert!(fault.message.contains("checked out"), "{fault}");
}

#[tokio::test]
async fn credentials_that_are_wrong_or_missing() {
    let stage = Stage::new();
    stage.commit(&stage.request("1", &[("a", "1\n")])).await.unwrap();
    // The one that was right has expired.
    stage.server.let_in(&["bm90OnVz"]);
    let expired = stage.commit(&stage.request("2", &[("b", "1\n")])).await.unwrap_err();
    assert_eq!((expired.code.as_str(), expired.class), ("git-denied", FaultClass::Denied));
    assert!(expired.message.contains("expired"), "{expired}");
    let mut grant = stage.main().grants[0].clone();
    grant.credential = None;
    let mut branch = stage.main();
    branch.grants = [grant].into();
    let missing =
        stage.git.files(&branch, &Revision::Head, "", &CallLog::default()).await.unwrap_err();
    assert_eq!(missing.code, "git-denied");
    assert!(missing.message.contains("wants a credential"), "{missing}");
    for fault in [expired, missing] {
        assert!(!fault.message.contains("hush"), "{fault}");
    }
    // What one login has seen is shown to no other.
    let at = Revision::Commit(deployd_core::ports::CommitId(stage.bare(&["rev-parse", "main"])));
    assert!(stage.git.files(&branch, &at, "", &CallLog::default()).await.is_err());
    // Nobody is asked without a grant.
    branch.grants = [].into();
    let fault =
        stage.git.files(&branch, &Revision::Head, "", &CallLog::default()).await.unwrap_err();
    assert_eq!((fault.code.as_str(), fault.class), ("host-not-granted", FaultClass::Denied));
}

#[tokio::test]
async fn a_login_that_may_read_and_not_write() {
    let stage = Stage::new();
    stage.commit(&stage.request("1", &[("a", "1\n")])).await.unwrap();
    stage.bare(&["config", "http.receivepack", "false"]);
    let fault = stage.commit(&stage.request("2", &[("b", "1\n")])).await.unwrap_err();
    assert_eq!(fault.code, "git-denied");
    assert!(fault.message.contains("write to"), "{fault}");
    stage.git.files(&stage.main(), &Revision::Head, "", &CallLog::default()).await.unwrap();
}

#[tokio::test]
async fn redirects_and_servers_of_something_else() {
    let stage = Stage::new();
    let port = stage.server.address.port();
    let moved = stage.at(&format!("http://127.0.0.1:{port}/moved/a.git"), port);
    let fault =
        stage.git.files(&moved, &Revision::Head, "", &CallLog::default()).await.unwrap_err();
    assert_eq!(fault.code, "git-invalid");
    assert!(fault.message.contains("https://elsewhere.example/a.git\""), "{fault}");
    let fault = stage.commit(&request(moved, "1", &[("a", "1\n")])).await.unwrap_err();
    assert_eq!(fault.code, "git-invalid");
}

#[tokio::test]
async fn a_server_that_is_away_may_come_back() {
    let stage = Stage::new();
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = gone.local_addr().unwrap().port();
    drop(gone);
    let away = stage.at(&format!("http://127.0.0.1:{port}/x.git"), port);
    let fault = stage.commit(&request(away, "1", &[("a", "1\n")])).await.unwrap_err();
    assert_eq!((fault.code.as_str(), fault.class), ("git-unreachable", FaultClass::Transient));
}

#[tokio::test]
async fn a_repository_of_sha_256_is_none_of_ours() {
    let stage = Stage::new();
    std::fs::remove_dir_all(&stage.bare).unwrap();
    let parent = stage.bare.parent().unwrap();
    let name = stage.bare.file_name().unwrap().to_str().unwrap();
    fixtures::git_server::git(
        parent,
        &["init", "--quiet", "--bare", "--object-format=sha256", name],
    )
    .unwrap();
    stage.bare(&["config", "http.receivepack", "true"]);
    for fault in [
        stage.commit(&stage.request("1", &[("a", "1\n")])).await.unwrap_err(),
        stage.git.files(&stage.main(), &Revision::Head, "", &CallLog::default()).await.unwrap_err(),
    ] {
        assert_eq!(fault.code, "git-invalid");
        assert!(fault.message.contains("sha256"), "{fault}");
    }
}

#[tokio::test]
async fn requests_that_make_no_sense() {
    let stage = Stage::new();
    let wrong = |change: &dyn Fn(&mut deployd_core::ports::CommitRequest)| {
        let mut request = stage.request("1", &[("a", "1\n")]);
        change(&mut request);
        request
    };
    let requests = [
        wrong(&|one| drop(one.files.insert("../a".to_owned(), Vec::new()))),
        wrong(&|one| drop(one.files.insert("b/.GIT/config".to_owned(), Vec::new()))),
        wrong(&|one| drop(one.files.insert("a/b".to_owned(), Vec::new()))),
        wrong(&|one| one.branch.name = "a..b".to_owned()),
        wrong(&|one| one.branch.repository = "https://me:hush@host/x.git".to_owned()),
        wrong(&|one| one.proposal = Some("main".to_owned())),
        wrong(&|one| one.key = "a\nDeployd-Key: b".to_owned()),
        wrong(&|one| {
            one.signing_key = Some(deployd_core::secret::SecretValue::new(b"hush".to_vec()))
        }),
    ];
    for request in &requests {
        let fault = us(&stage.egress).commit(request, &CallLog::default()).await.unwrap_err();
        assert_eq!(fault.code, "git-invalid", "{fault}");
        assert!(!fault.message.contains("hush"), "{fault}");
    }
}
