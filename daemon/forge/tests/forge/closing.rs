//! A pull request is closed once, with one comment, unless it has ended.

use deployd_core::ports::{LogLevel, PullRequestState};
use fixtures::forges::{Kind, Trouble, Way};

use crate::support::{KINDS, Stage, assert_fault};

fn comments(stage: &Stage) -> usize {
    stage.server.pulls()[0].comments.len()
}

#[tokio::test]
async fn who_closes_says_why_and_only_once() {
    for kind in KINDS {
        let stage = Stage::new(kind);
        let number = stage.propose().await.unwrap().number;
        let write = if kind == Kind::Gitlab { "PUT" } else { "PATCH" };
        stage.server.trouble(Some(write), Trouble::Away);
        let came = stage.close(number).await;
        assert_fault(&stage, came, "forge-unreachable", true);
        stage.server.trouble(Some(write), Trouble::AnswerLost);
        let came = stage.close(number).await;
        assert_fault(&stage, came, "forge-unreachable", true);
        let closed = stage.close(number).await.unwrap();
        assert!(matches!(closed.state, PullRequestState::Closed { .. }), "{kind:?}: {closed:?}");
        assert_eq!(stage.close(number).await.unwrap(), closed);
        let pull = stage.server.pulls().remove(0);
        assert_eq!(pull.comments.len(), 1, "{kind:?}: {:?}", pull.comments);
        assert_eq!(pull.comments[0].1, "deployment cancelled");
    }
}

#[tokio::test]
async fn what_was_merged_is_not_closed() {
    for kind in KINDS {
        let stage = Stage::new(kind);
        let number = stage.propose().await.unwrap().number;
        stage.server.merge(number, "mia", Way::Squash).unwrap();
        let found = stage.close(number).await.unwrap();
        assert!(matches!(found.state, PullRequestState::Merged { .. }), "{kind:?}: {found:?}");
        assert_eq!(comments(&stage), 0);
    }
}

#[tokio::test]
async fn what_is_merged_while_it_is_closed_is_told_as_merged() {
    let stage = Stage::new(Kind::Github);
    let number = stage.propose().await.unwrap().number;
    stage.server.merge(number, "mia", Way::Squash).unwrap();
    let before = format!(
        r#"{{"number":{number},"html_url":"http://forge.example/1","state":"open",
            "head":{{"ref":"a","repo":null}},"base":{{"ref":"main","repo":null}}}}"#
    );
    stage.server.trouble(Some("GET"), Trouble::Answer(200, Vec::new(), before.into_bytes()));
    let found = stage.close(number).await.unwrap();
    assert!(matches!(found.state, PullRequestState::Merged { .. }), "{found:?}");
}

#[tokio::test]
async fn a_comment_that_is_refused_keeps_nothing_open() {
    for kind in KINDS {
        let stage = Stage::new(kind);
        let number = stage.propose().await.unwrap().number;
        stage.log.take();
        let locked = br#"{"message":"Unable to create comment because issue is locked."}"#;
        stage.server.trouble(Some("POST"), Trouble::Answer(403, Vec::new(), locked.to_vec()));
        let closed = stage.close(number).await.unwrap();
        assert!(matches!(closed.state, PullRequestState::Closed { .. }), "{kind:?}: {closed:?}");
        let lines = stage.log.take();
        let is_told = |line: &deployd_core::ports::LogLine| {
            line.level == LogLevel::Warn && line.message.contains("issue is locked")
        };
        assert!(lines.iter().any(is_told), "{lines:?}");
    }
}
