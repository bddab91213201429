//! A pull request is opened once, however often it is asked for.

use deployd_core::ports::{LogLevel, Proposal, PullRequestState};
use fixtures::forges::{Kind, Standing, Trouble};

use crate::support::{BRANCH, KINDS, Stage, assert_fault, proposal};

#[tokio::test]
async fn a_pull_request_is_opened_and_found_again() {
    for kind in KINDS {
        let stage = Stage::new(kind);
        let opened = stage.propose().await.unwrap();
        assert_eq!((opened.number, &opened.state), (1, &PullRequestState::Open), "{kind:?}");
        assert!(opened.url.starts_with("http://127.0.0.1:"), "{opened:?}");
        let told = stage.log.take();
        let is_told = told
            .iter()
            .any(|line| line.level == LogLevel::Info && line.message.contains(&opened.url));
        assert!(is_told, "{told:?}");
        assert_eq!(stage.propose().await.unwrap(), opened);
        assert_eq!(stage.look(1).await.unwrap(), opened);
        let pulls = stage.server.pulls();
        assert_eq!(pulls.len(), 1, "{kind:?}");
        let Proposal { from, into, title, body } = proposal();
        assert_eq!((&pulls[0].head, &pulls[0].base), (&from, &into));
        assert_eq!((&pulls[0].title, &pulls[0].body), (&title, &body));
        assert_eq!(stage.asked("POST"), 1);
        let uses = stage.uses.0.lock().unwrap();
        assert_eq!(uses.len(), stage.server.asked().len(), "each request is a use");
    }
}

#[tokio::test]
async fn one_whose_answer_was_lost_is_found_again() {
    for kind in KINDS {
        let stage = Stage::new(kind);
        stage.server.trouble(Some("POST"), Trouble::AnswerLost);
        let came = stage.propose().await;
        assert_fault(&stage, came, "forge-unreachable", true);
        assert_eq!(stage.propose().await.unwrap().number, 1);
        assert_eq!(stage.server.pulls().len(), 1, "{kind:?}");
    }
}

#[tokio::test]
async fn one_that_somebody_has_opened_meanwhile_is_taken() {
    for kind in KINDS {
        let stage = Stage::new(kind);
        let number = stage.server.open(BRANCH, "main", "mine");
        nothing_is_listed(&stage);
        assert_eq!(stage.propose().await.unwrap().number, number, "{kind:?}");
        assert_eq!(stage.server.pulls().len(), 1);
        // A list that is behind may have it later.
        nothing_is_listed(&stage);
        nothing_is_listed(&stage);
        let came = stage.propose().await;
        assert_fault(&stage, came, "forge-unreachable", true);
    }
}

/// Has lists be as they were before.
fn nothing_is_listed(stage: &Stage) {
    let nothing = |status, body: &str| Trouble::Answer(status, Vec::new(), body.into());
    stage.server.trouble(Some("GET"), nothing(200, "[]"));
    if stage.kind == Kind::Gitea {
        stage.server.trouble(Some("GET"), nothing(404, "{}"));
    }
}

#[tokio::test]
async fn of_several_the_open_one_is_taken_and_none_of_other_branches() {
    for kind in KINDS {
        let stage = Stage::new(kind);
        stage.server.open("same", "main", "another");
        stage.server.open(BRANCH, "same", "elsewhere");
        let open = stage.server.open(BRANCH, "main", "open");
        // More than one page has. Of Gitea, newer ones that are not open are found first.
        for _ in 0..25 {
            let into = if kind == Kind::Gitea { "same" } else { "main" };
            let number = stage.server.open(BRANCH, into, "closed");
            stage.server.close(number, "mia").unwrap();
        }
        assert_eq!(stage.propose().await.unwrap().number, open, "{kind:?}");
        assert_eq!(stage.asked("POST"), 0);
    }
}

#[tokio::test]
async fn a_text_that_is_too_long_is_cut_and_says_so() {
    for kind in KINDS {
        let stage = Stage::new(kind);
        let title = "Ü".repeat(1_000);
        let body = format!("```diff\n{}```\n", "+ 😀 a line of many\n".repeat(80_000));
        let opened = stage.propose_this(&Proposal { title, body, ..proposal() }).await.unwrap();
        assert_eq!(opened.state, PullRequestState::Open);
        let pull = stage.server.pulls().remove(0);
        assert_eq!(pull.title.chars().count(), 255);
        assert!(pull.body.contains("many\n```\n\n(Cut here: "), "{kind:?}");
    }
}

#[tokio::test]
async fn no_text_is_a_command_to_gitlab() {
    let stage = Stage::new(Kind::Gitlab);
    let body = "Deploys web.\n\n/close\n".to_owned();
    let opened = stage.propose_this(&Proposal { body, ..proposal() }).await.unwrap();
    assert_eq!(opened.state, PullRequestState::Open);
    assert_eq!(stage.server.pulls()[0].standing, Standing::Open);
}
