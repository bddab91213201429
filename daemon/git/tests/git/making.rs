//! Commits are made as they should be, and of nothing else.

use crate::support::{Stage, after, blob, us};

#[tokio::test]
async fn the_first_commit_of_an_empty_repository() {
    let stage = Stage::new();
    let files = [("shop/production/web.yaml", "a: 1\n"), ("shop/README", "hello\n")];
    let done = stage.commit(&stage.request("d-1/render", &files)).await.unwrap();
    assert!(done.changed && done.taken_over.is_empty());
    assert_eq!(done.files["shop/README"], blob("hello\n"));
    assert_eq!(stage.bare(&["rev-parse", "main"]), done.commit.0);
    assert_eq!(stage.content("shop/production/web.yaml"), "a: 1");
    let shown = stage.bare(&["log", "-1", "--format=%an <%ae> %at|%cn <%ce> %ct %ai|%B", "main"]);
    let expected = "deployd <deployd@example.com> 1790000000|deployd <deployd@example.com> 1790000000 \
                    2026-09-21 14:13:20 +0000|shop: d-1/render\n\nDeployd-Application: shop\nDeployd-Key: d-1/render";
    assert_eq!(shown, expected);
    let trailers = stage.bare(&["log", "-1", "--format=%(trailers:only)", "main"]);
    assert_eq!(trailers.trim(), "Deployd-Application: shop\nDeployd-Key: d-1/render");
    stage.sound();
}

#[tokio::test]
async fn what_is_of_others_stays_bit_for_bit() {
    let stage = Stage::new();
    let blob = stage.object("blob", b"x\n");
    let commit = "1".repeat(40);
    let below = format!("100644 blob {blob}\tours-not.yaml\n100755 blob {blob}\trun.sh\n");
    let below = fixtures::git_server::git_with(&stage.bare, &["mktree"], below.as_bytes()).unwrap();
    let tree = format!(
        "100644 blob {blob}\t.gitattributes\n100644 blob {blob}\t.gitmodules\n040000 tree {below}\tenvs\n\
         120000 blob {blob}\tlink\n160000 commit {commit}\tmodule\n100755 blob {blob}\tz.sh\n"
    );
    let tree =
        fixtures::git_server::git_with(&stage.bare, &["mktree", "--missing"], tree.as_bytes())
            .unwrap();
    let head = stage.bare(&["commit-tree", &tree, "-m", "others"]);
    stage.bare(&["update-ref", "refs/heads/main", &head]);
    let before = stage.listed("main");
    let files = [("envs/web.yaml", "1\n"), ("envs/a/b/c.yaml", "2\n"), ("new", "3\n")];
    let done = stage.commit(&stage.request("k", &files)).await.unwrap();
    let changed = stage.bare(&["diff", "--name-status", &head, "main"]);
    assert_eq!(changed, "A\tenvs/a/b/c.yaml\nA\tenvs/web.yaml\nA\tnew");
    let others: Vec<String> = stage
        .listed("main")
        .into_iter()
        .filter(|line| !files.iter().any(|(path, _)| line.ends_with(&format!("\t{path}"))))
        .collect();
    assert_eq!(others, before);
    assert_eq!(stage.bare(&["rev-parse", "main^"]), head);
    assert_eq!(stage.bare(&["rev-parse", "main"]), done.commit.0);
    for (path, _) in files {
        assert!(
            stage.listed("main").iter().any(|line| {
                line.starts_with("100644 ") && line.ends_with(&format!("\t{path}"))
            })
        );
    }
}

#[tokio::test]
async fn what_is_as_it_should_be_makes_no_commit() {
    let stage = Stage::new();
    let files = [("a/x.yaml", "1\n")];
    let first = stage.commit(&stage.request("1", &files)).await.unwrap();
    let second = stage.commit(&after(&first, stage.request("2", &files))).await.unwrap();
    assert!(!second.changed);
    assert_eq!((second.commit, second.files), (first.commit.clone(), first.files.clone()));
    // What somebody else has written is ours as well, when it is the same.
    let third = us(&stage.egress);
    use deployd_core::ports::Repositories as _;
    let request = stage.request("3", &files);
    let third = third.commit(&request, &Default::default()).await.unwrap();
    assert!(!third.changed);
    assert_eq!(stage.bare(&["rev-parse", "main"]), first.commit.0);
}

#[tokio::test]
async fn what_is_not_wanted_any_more_goes_and_empty_directories_with_it() {
    let stage = Stage::new();
    stage.pushed_by_jane("others", &[("keep/theirs", Some("t\n"))]);
    let files = [("gone/deep/a", "1\n"), ("gone/b", "2\n"), ("keep/ours", "3\n"), ("turns", "4\n")];
    let first = stage.commit(&stage.request("1", &files)).await.unwrap();
    // A file of ours becomes a directory of ours.
    let request = after(&first, stage.request("2", &[("turns/into", "5\n")]));
    let second = stage.commit(&request).await.unwrap();
    let names = stage.bare(&["ls-tree", "-r", "--name-only", "main"]);
    assert_eq!(names, "keep/theirs\nturns/into");
    assert_eq!(second.files.keys().collect::<Vec<_>>(), ["turns/into"]);
    // And back.
    let request = after(&second, stage.request("3", &[("turns", "4\n")]));
    let third = stage.commit(&request).await.unwrap();
    assert_eq!(stage.bare(&["ls-tree", "-r", "--name-only", "main"]), "keep/theirs\nturns");
    let last = stage.commit(&after(&third, stage.request("4", &[]))).await.unwrap();
    assert!(last.changed && last.files.is_empty());
    assert_eq!(stage.bare(&["ls-tree", "-r", "--name-only", "main"]), "keep/theirs");
    stage.sound();
}

#[tokio::test]
async fn all_of_a_repository_may_be_ours_and_go() {
    let stage = Stage::new();
    let first = stage.commit(&stage.request("1", &[("a", "1\n")])).await.unwrap();
    stage.commit(&after(&first, stage.request("2", &[]))).await.unwrap();
    assert_eq!(stage.listed("main"), Vec::<String>::new());
    stage.commit(&stage.request("3", &[("a", "1\n")])).await.unwrap();
    assert_eq!(stage.content("a"), "1");
}

#[tokio::test]
async fn the_same_request_makes_the_same_commit() {
    let (one, other) = (Stage::new(), Stage::new());
    let files = [("a/b", "1\n"), ("c", "2\n")];
    let first = one.commit(&one.request("k", &files)).await.unwrap();
    let second = other.commit(&other.request("k", &files)).await.unwrap();
    assert_eq!(first, second);
}

#[tokio::test]
async fn a_key_makes_one_commit_also_when_nobody_remembers() {
    use deployd_core::ports::Repositories as _;
    let stage = Stage::new();
    let first = stage.commit(&stage.request("1", &[("a", "1\n")])).await.unwrap();
    // Others go on, and change it.
    let changed = stage.pushed_by_jane("mine now", &[("a", Some("2\n")), ("b", Some("3\n"))]);
    let mut again = stage.request("1", &[("a", "1\n")]);
    again.again = true;
    let found = us(&stage.egress).commit(&again, &Default::default()).await.unwrap();
    assert_eq!(found, first);
    // The same process remembers by itself.
    again.again = false;
    assert_eq!(stage.commit(&again).await.unwrap(), first);
    assert_eq!(stage.bare(&["rev-parse", "main"]), changed);
    // Another key is another request.
    let mut other = after(&first, stage.request("2", &[("c", "1\n")]));
    (other.again, other.take_over) = (true, true);
    assert!(us(&stage.egress).commit(&other, &Default::default()).await.unwrap().changed);
}

#[tokio::test]
async fn what_others_of_its_step_follow_is_past_whether_it_was_made_or_not() {
    use deployd_core::ports::Repositories as _;
    let stage = Stage::new();
    let first = stage.commit(&stage.request("1", &[("a", "1\n")])).await.unwrap();
    let second = after(&first, stage.request("2", &[("a", "2\n")]));
    let second = stage.commit(&second).await.unwrap();
    for key in ["1", "0"] {
        let mut again = stage.request(key, &[("a", "1\n")]);
        (again.again, again.later) = (true, vec!["3".to_owned(), "2".to_owned()]);
        for egress in [None, Some(us(&stage.egress))] {
            let found = match &egress {
                Some(anew) => anew.commit(&again, &Default::default()).await.unwrap(),
                // The same process remembers by itself.
                None => stage.commit(&again).await.unwrap(),
            };
            assert!(found.past, "{key}");
            assert_eq!((&found.commit, &found.files), (&second.commit, &second.files), "{key}");
        }
    }
    assert_eq!(stage.bare(&["rev-parse", "main"]), second.commit.0, "nothing was made");
}

#[tokio::test]
async fn a_key_is_found_behind_many_commits_of_others() {
    use deployd_core::ports::Repositories as _;
    let stage = Stage::new();
    let first = stage.commit(&stage.request("1", &[("a", "1\n")])).await.unwrap();
    let mut stream = Vec::new();
    for number in 0..300 {
        let from = if number == 0 { format!("from {}\n", first.commit.0) } else { String::new() };
        let line = format!(
            "commit refs/heads/main\ncommitter Jane <jane@example.com> {} +0000\ndata 1\nx\n{from}M 644 inline n\ndata 3\n{number:3}\n",
            1_790_000_100 + number
        );
        stream.extend(line.into_bytes());
    }
    fixtures::git_server::git_with(&stage.bare, &["fast-import", "--quiet"], &stream).unwrap();
    let mut again = stage.request("1", &[("a", "1\n")]);
    again.again = true;
    let found = us(&stage.egress).commit(&again, &Default::default()).await.unwrap();
    assert_eq!(found, first);
}

#[tokio::test]
async fn a_proposal_is_a_branch_of_its_own() {
    use deployd_core::ports::{Branch, Repositories as _};
    let stage = Stage::new();
    let base = stage.pushed_by_jane("others", &[("x", Some("1\n"))]);
    let mut request = stage.request("1", &[("a/b", "1\n")]);
    request.proposal = Some("deployd/shop-1".to_owned());
    let done = stage.commit(&request).await.unwrap();
    assert!(done.changed);
    assert_eq!(stage.bare(&["rev-parse", "main"]), base);
    assert_eq!(stage.bare(&["rev-parse", "deployd/shop-1"]), done.commit.0);
    assert_eq!(stage.bare(&["rev-parse", "deployd/shop-1^"]), base);
    // It is there already: that one, whoever asks.
    assert_eq!(us(&stage.egress).commit(&request, &Default::default()).await.unwrap(), done);
    // Somebody else's branch is not taken for it.
    let mut other = stage.request("2", &[("a/c", "1\n")]);
    other.proposal = Some("deployd/shop-1".to_owned());
    assert_eq!(stage.commit(&other).await.unwrap_err().code, "git-invalid");
    // Nothing to propose.
    let mut same = stage.request("3", &[("x", "1\n")]);
    same.proposal = Some("deployd/shop-3".to_owned());
    let same = stage.commit(&same).await.unwrap();
    assert_eq!((same.changed, same.commit.0), (false, base.clone()));
    assert_eq!(stage.bare(&["branch", "--format=%(refname:short)"]), "deployd/shop-1\nmain");
    // It goes, and no other does.
    let named = |name: &str| Branch { name: name.to_owned(), ..stage.main() };
    stage.bare(&["branch", "theirs", &base]);
    for name in ["deployd/shop-1", "deployd/shop-1", "theirs", "none", "main"] {
        stage.git.remove_branch(&named(name), &Default::default()).await.unwrap();
    }
    assert_eq!(stage.bare(&["branch", "--format=%(refname:short)"]), "main\ntheirs");
    // Not even the repository's own, when its last commit is ours.
    stage.commit(&stage.request("4", &[("a/d", "1\n")])).await.unwrap();
    stage.git.remove_branch(&named("main"), &Default::default()).await.unwrap();
    assert_eq!(stage.bare(&["branch", "--format=%(refname:short)"]), "main\ntheirs");
}
