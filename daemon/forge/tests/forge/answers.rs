//! Answers that are none: what can't be read makes nothing happen, and nothing panic.

use fixtures::forges::{Kind, Trouble};
use serde_json::{Value, json};

use crate::support::{BRANCH, KINDS, Stage, assert_fault};

/// A pull request as the forge tells of one that is merged, without anything else.
fn merged(kind: Kind) -> Value {
    let commit = "0123456789abcdef0123456789abcdef01234567";
    match kind {
        Kind::Github => json!({
            "number": 1, "html_url": "https://forge.example/1", "state": "closed", "merged": true,
            "merge_commit_sha": commit,
            "head": {"ref": BRANCH, "repo": null}, "base": {"ref": "main", "repo": null},
        }),
        Kind::Gitlab => json!({
            "iid": 1, "web_url": "https://forge.example/1", "state": "merged", "sha": commit,
            "source_branch": BRANCH, "target_branch": "main", "target_project_id": 3,
        }),
        Kind::Gitea => json!({
            "number": 1, "html_url": "https://forge.example/1", "state": "closed", "merged": true,
            "merge_commit_sha": commit,
            "head": {"label": BRANCH, "repo_id": 1}, "base": {"label": "main", "repo_id": 1},
        }),
    }
}

fn answer(status: u16, body: impl Into<Vec<u8>>) -> Trouble {
    Trouble::Answer(status, Vec::new(), body.into())
}

#[tokio::test]
async fn what_is_no_pull_request_is_not_taken_for_one() {
    for kind in KINDS {
        let stage = Stage::new(kind);
        let whole = merged(kind);
        stage.server.trouble(None, answer(200, whole.to_string()));
        assert_eq!(stage.look(1).await.unwrap().url, "https://forge.example/1", "{kind:?}");
        let (commit, page, number) = match kind {
            Kind::Gitlab => ("sha", "web_url", "iid"),
            _ => ("merge_commit_sha", "html_url", "number"),
        };
        let state = if kind == Kind::Gitlab { "state" } else { "merged" };
        let changed = [
            (commit, Value::Null),
            (commit, json!("")),
            (commit, json!("refs/heads/main")),
            (commit, json!(["a"])),
            (page, json!("javascript:alert(1)")),
            (page, json!("x".repeat(3_000))),
            (page, Value::Null),
            (number, json!(-1)),
            (number, json!("1")),
            (state, json!({"a": 1})),
            ("state", json!(7)),
        ];
        let mut bodies: Vec<String> = changed
            .into_iter()
            .map(|(field, value)| {
                let mut one = whole.clone();
                one[field] = value;
                one.to_string()
            })
            .collect();
        let texts = ["", "null", "[]", "{}", "1e999", "<html>", "{\"number\":1", "\u{0}\u{1}"];
        bodies.extend(texts.map(str::to_owned));
        bodies.push("[".repeat(10_000));
        for body in bodies {
            stage.server.trouble(None, answer(200, body.clone()));
            let fault = stage.look(1).await.unwrap_err();
            let found = (fault.code.as_str(), fault.is_transient());
            assert_eq!(found, ("forge-unreachable", true), "{kind:?} {body:.80}: {fault}");
        }
    }
}

#[tokio::test]
async fn a_state_that_nobody_knows_is_none() {
    for kind in KINDS {
        let stage = Stage::new(kind);
        let mut one = merged(kind);
        one["state"] = json!("half");
        one["merged"] = json!(false);
        stage.server.trouble(None, answer(200, one.to_string()));
        let came = stage.look(1).await;
        assert_fault(&stage, came, "forge-unreachable", true);
    }
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    for kind in KINDS {
        let stage = Stage::new(kind);
        stage.server.trouble(None, answer(200, vec![b' '; 9 * 1024 * 1024]));
        let came = stage.propose().await;
        assert_fault(&stage, came, "forge-unreachable", true);
        stage.server.trouble(None, answer(422, vec![b'x'; 9 * 1024 * 1024]));
        let came = stage.propose().await;
        assert_fault(&stage, came, "forge-unreachable", true);
    }
}

#[tokio::test]
async fn a_refusal_in_strange_words_is_cut_and_has_no_lines() {
    for kind in KINDS {
        let stage = Stage::new(kind);
        let words = format!("a\n\u{1b}[31m{}", "x".repeat(10_000));
        stage.server.trouble(None, answer(400, json!({"message": words}).to_string()));
        let came = stage.look(1).await;
        let fault = assert_fault(&stage, came, "forge-refused", false);
        assert!(fault.message.chars().count() < 700, "{fault}");
        assert!(!fault.message.chars().any(char::is_control), "{fault}");
    }
}

#[tokio::test]
async fn nobody_is_followed_elsewhere() {
    for kind in KINDS {
        for status in [301, 302, 307, 308] {
            let stage = Stage::new(kind);
            let location = ("location".to_owned(), format!("{}/elsewhere", stage.server.api()));
            let moved = br#"{"message":"Moved Permanently"}"#.to_vec();
            stage.server.trouble(None, Trouble::Answer(status, vec![location], moved));
            let came = stage.look(1).await;
            let fault = assert_fault(&stage, came, "forge-refused", false);
            assert!(fault.message.contains("as they are now"), "{fault}");
            assert_eq!(stage.server.asked().len(), 1);
        }
    }
}

#[tokio::test]
async fn an_answer_with_the_token_in_it_is_shown_to_nobody() {
    for kind in KINDS {
        let stage = Stage::new(kind);
        let words = json!({"message": format!("no such token: {}", stage.server.token)});
        stage.server.trouble(None, answer(400, words.to_string()));
        let came = stage.look(1).await;
        assert_fault(&stage, came, "forge-unreachable", true);
    }
}
