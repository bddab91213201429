//! How a pull request has ended: by whom, when, and by which commit.

use deployd_core::ports::{PullRequest, PullRequestState};
use fixtures::forges::{BOT, Way};

use crate::support::{BRANCH, KINDS, Stage};

#[tokio::test]
async fn merged_in_each_way_it_names_what_the_branch_is_at() {
    for kind in KINDS {
        for (way, commits, parents) in
            [(Way::Merge, 5, 2), (Way::Squash, 3, 1), (Way::Rebase, 4, 1)]
        {
            let stage = Stage::new(kind);
            let number = stage.propose().await.unwrap().number;
            let commit = stage.server.merge(number, "mia", way).unwrap();
            let found = stage.look(number).await.unwrap();
            let PullRequestState::Merged { commit: told, by, at } = &found.state else {
                panic!("{kind:?} {way:?}: {found:?}");
            };
            assert_eq!(
                (told.0.as_str(), by.as_deref()),
                (commit.as_str(), Some("mia")),
                "{kind:?} {way:?}"
            );
            assert!(at.is_some());
            assert_eq!(stage.git(&["rev-parse", "main"]), commit);
            assert_eq!(
                stage.git(&["rev-list", "--count", "main"]),
                commits.to_string(),
                "{kind:?} {way:?}"
            );
            let shown = stage.git(&["rev-list", "--parents", "-n", "1", "main"]);
            assert_eq!(shown.split(' ').count(), parents + 1, "{kind:?} {way:?}");
            let files = stage.git(&["ls-tree", "--name-only", "main"]);
            assert_eq!(files, "database.yaml\nfirst\nother\nweb.yaml");
            // Also once its branch is gone, and is not opened again.
            stage.server.remove_branch(number).unwrap();
            assert_eq!(stage.propose().await.unwrap(), found);
            assert_eq!(stage.asked("POST"), 1);
        }
    }
}

#[tokio::test]
async fn one_that_was_closed_stays_closed() {
    for kind in KINDS {
        let stage = Stage::new(kind);
        let opened = stage.propose().await.unwrap();
        stage.server.close(opened.number, "mia").unwrap();
        let found = stage.look(opened.number).await.unwrap();
        let PullRequestState::Closed { by, at } = &found.state else {
            panic!("{kind:?}: {found:?}");
        };
        assert_eq!((by.as_deref(), at.is_some()), (Some("mia"), true), "{kind:?}");
        assert_eq!(stage.propose().await.unwrap(), found);
        assert_eq!(stage.asked("POST"), 1);
    }
}

#[tokio::test]
async fn one_that_the_daemon_has_closed_is_told_as_its_own() {
    for kind in KINDS {
        let stage = Stage::new(kind);
        let number = stage.propose().await.unwrap().number;
        let PullRequest { state, .. } = stage.close(number).await.unwrap();
        let PullRequestState::Closed { by, .. } = state else { panic!("{kind:?}: {state:?}") };
        assert_eq!(by.as_deref(), Some(BOT));
        assert_eq!(stage.server.pulls()[0].head, BRANCH);
    }
}
