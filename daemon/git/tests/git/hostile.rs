//! Repositories that were made to do harm.

use deployd_core::ports::{CallLog, Repositories as _, Revision};
use fixtures::git_server::git_with;

use crate::support::{Stage, us};

/// A commit on `main` with this tree, made by hand.
fn head(stage: &Stage, tree: &str) {
    let text = format!("tree {tree}\nauthor a <b> 1 +0000\ncommitter a <b> 1 +0000\n\nhostile\n");
    let commit = stage.object("commit", text.as_bytes());
    stage.bare(&["update-ref", "refs/heads/main", &commit]);
}

fn tree(stage: &Stage, entries: &[(&str, &[u8], &str)]) -> String {
    let mut content = Vec::new();
    for (mode, name, id) in entries {
        content.extend_from_slice(mode.as_bytes());
        content.push(b' ');
        content.extend_from_slice(name);
        content.push(0);
        for at in (0..40).step_by(2) {
            content.push(u8::from_str_radix(&id[at..at + 2], 16).unwrap());
        }
    }
    stage.object("tree", &content)
}

#[tokio::test]
async fn what_is_no_directory_leads_nowhere() {
    let stage = Stage::new();
    let blob = stage.object("blob", b"/etc");
    let module = "1".repeat(40);
    let entries: [(&str, &[u8], &str); 3] =
        [("100644", b"file", &blob), ("120000", b"link", &blob), ("160000", b"module", &module)];
    head(&stage, &tree(&stage, &entries));
    let before = stage.bare(&["rev-parse", "main"]);
    for (name, what) in [("file", "a file"), ("link", "a symbolic link"), ("module", "a submodule")]
    {
        for take_over in [false, true] {
            let mut request = stage.request(name, &[(&format!("{name}/x"), "1\n")]);
            request.take_over = take_over;
            let fault = stage.commit(&request).await.unwrap_err();
            assert_eq!(fault.code, "git-invalid");
            assert!(fault.message.contains(&format!("{name} is {what}")), "{fault}");
        }
    }
    // Nor is a directory with files of others overwritten by a file.
    head(&stage, &tree(&stage, &[("40000", b"dir", &tree(&stage, &entries))]));
    let mut request = stage.request("dir", &[("dir", "1\n")]);
    request.take_over = true;
    let fault = stage.commit(&request).await.unwrap_err();
    assert!(fault.code == "git-invalid" && fault.message.contains("is a directory"), "{fault}");
    assert_ne!(stage.bare(&["rev-parse", "main"]), before);
}

#[tokio::test]
async fn names_that_lead_elsewhere_are_left_out_and_left_alone() {
    let stage = Stage::new();
    let blob = stage.object("blob", b"x");
    let names: [&[u8]; 7] = [b"..", b".", b".git", b"a/b", b"GIT~1", b"\xff", b"ok"];
    let entries: Vec<(&str, &[u8], &str)> =
        names.iter().map(|name| ("100644", *name, blob.as_str())).collect();
    let inner = tree(&stage, &entries);
    let root = tree(
        &stage,
        &[("40000", b"..", &inner), ("40000", b".git", &inner), ("40000", b"dir", &inner)],
    );
    head(&stage, &root);
    let log = CallLog::default();
    let listed = stage.git.files(&stage.main(), &Revision::Head, "", &log).await.unwrap();
    assert_eq!(listed.files.keys().collect::<Vec<_>>(), ["dir/ok"]);
    assert!(!log.take().is_empty());
    let done = stage.commit(&stage.request("1", &[("dir/new", "1\n")])).await.unwrap();
    assert!(done.changed);
    let raw = stage.bare(&["ls-tree", "main:dir"]);
    assert_eq!(raw.lines().count(), names.len() + 1);
}

#[tokio::test]
async fn trees_that_are_none_are_refused() {
    for content in [&b"100644 a"[..], b"100644 a\0short", b"999 a\0aaaaaaaaaaaaaaaaaaaa", b"\0\0\0"]
    {
        let stage = Stage::new();
        let broken = stage.object("tree", content);
        head(&stage, &tree(&stage, &[("40000", b"dir", &broken)]));
        let fault = stage.commit(&stage.request("1", &[("dir/a", "1\n")])).await.unwrap_err();
        // Its own server may not be able to send it.
        assert!(["git-invalid", "git-unreachable"].contains(&fault.code.as_str()), "{fault}");
    }
}

#[tokio::test]
async fn directories_without_end_are_not_walked_to_it() {
    let stage = Stage::new();
    let blob = stage.object("blob", b"x");
    let names: Vec<String> = (0..10).map(|n| format!("f{n}")).collect();
    let mut id = {
        let files: Vec<(&str, &[u8], &str)> =
            names.iter().map(|name| ("100644", name.as_bytes(), blob.as_str())).collect();
        tree(&stage, &files)
    };
    for _ in 0..20 {
        let below: Vec<(&str, &[u8], &str)> =
            names.iter().map(|name| ("40000", name.as_bytes(), id.as_str())).collect();
        id = tree(&stage, &below);
    }
    head(&stage, &id);
    let fault =
        stage.git.files(&stage.main(), &Revision::Head, "", &CallLog::default()).await.unwrap_err();
    assert_eq!(fault.code, "git-too-large", "{fault}");
    // What is asked of it is done all the same.
    assert!(stage.commit(&stage.request("1", &[("ours/a", "1\n")])).await.unwrap().changed);
}

#[tokio::test]
async fn a_huge_directory_is_edited_like_another() {
    let stage = Stage::new();
    let blob = stage.object("blob", b"x");
    let mut listing = String::new();
    for number in 0..100_000 {
        listing.push_str(&format!("100644 blob {blob}\tfile-{number:06}\n"));
    }
    let huge = git_with(&stage.bare, &["mktree"], listing.as_bytes()).unwrap();
    head(&stage, &huge);
    stage.commit(&stage.request("1", &[("file-050000x", "1\n")])).await.unwrap();
    assert_eq!(stage.bare(&["diff", "--name-status", "main^", "main"]), "A\tfile-050000x");
    stage.sound();
}

#[tokio::test]
async fn contents_that_are_bombs_are_not_held() {
    let stage = Stage::new();
    let zeros = vec![0; 60 * 1024 * 1024];
    let blob = stage.object("blob", &zeros);
    head(&stage, &tree(&stage, &[("100644", b"zeros", &blob)]));
    // Where they come with everything else, they are thrown away.
    stage.bare(&["config", "uploadpack.allowFilter", "false"]);
    let listed =
        stage.git.files(&stage.main(), &Revision::Head, "", &CallLog::default()).await.unwrap();
    assert_eq!(listed.files.len(), 1);
    let blobs: Vec<_> = listed.files.into_values().collect();
    let fault = us(&stage.egress)
        .contents(&stage.main(), &blobs, 1_000_000, &CallLog::default())
        .await
        .unwrap_err();
    assert_eq!(fault.code, "git-too-large", "{fault}");
}
