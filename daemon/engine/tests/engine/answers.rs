//! Others answer checks that wait for them.

use deployd_core::config::DocumentKind;
use deployd_core::ports::CheckAnswer;
use deployd_core::{DeploymentId, Name};
use deployd_engine::EngineError;
use serde_json::{Value, json};

use crate::checks::index;
use crate::documents::document;
use crate::rollouts::{apply, ready, retire, running, shift};
use crate::world::{Stage, assert_succeeded};

fn answer(id: &str) -> CheckAnswer {
    CheckAnswer {
        id: id.to_owned(),
        timestamp: "1700000000".to_owned(),
        signature: "v1,c2lnbmVk".to_owned(),
        body: json!({"data": {"verdict": "passed"}}).to_string(),
        received_ms: 1_700_000_000_000,
    }
}

/// A canary whose check is measured every second, for a while.
async fn checked() -> (Stage, DeploymentId) {
    let run = json!({"do": "run-checks", "checks": ["suite"], "track": "canary"});
    let program = json!([
        apply("canary"),
        ready("canary"),
        shift(25),
        run,
        apply("stable"),
        ready("stable"),
        shift(0),
        retire(),
    ]);
    let check = json!({"plugin": "check", "config": {}, "intervalMs": 1_000, "count": 20});
    let stage = running(program, json!({ "suite": check })).await;
    stage.engine.reached_at("https://deployd.example/".to_owned());
    let id = stage.announce("2").await;
    asked(&stage, 2).await;
    (stage, id)
}

/// What checks were asked, once it is so often.
async fn asked(stage: &Stage, count: usize) -> Vec<Value> {
    loop {
        let asked = stage.world.asked_of_checks.lock().unwrap().clone();
        if asked.len() >= count {
            return asked;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_is_told_where_others_answer_and_what_they_have() {
    let (stage, id) = checked().await;
    let suite: Name = "suite".parse().unwrap();
    let before = asked(&stage, 2).await;
    let url = format!("https://deployd.example/v1/deployments/{id}/checks/suite/answers");
    assert_eq!(before[0]["callback"], json!({"url": url, "answers": []}));
    for one in ["b", "a", "b"] {
        stage.engine.answer_check(&id, &suite, answer(one)).await.unwrap();
    }
    let after = asked(&stage, before.len() + 2).await;
    let answers = after.last().unwrap()["callback"]["answers"].as_array().unwrap().clone();
    assert_eq!(answers.len(), 2, "a repeat is known by its id: {answers:#?}");
    assert_eq!(answers[0], json!(answer("a")));

    assert_succeeded(&stage.end_of(&id).await);
    assert!(index(&stage.world, "check-answers").await.is_empty(), "nothing is left of it");
}

#[tokio::test(start_paused = true)]
async fn who_is_not_waited_for_is_told_so() {
    let (stage, id) = checked().await;
    let suite: Name = "suite".parse().unwrap();
    let refused = |given: Result<(), EngineError>| given.unwrap_err().to_string();
    let other: Name = "other".parse().unwrap();
    let error = refused(stage.engine.answer_check(&id, &other, answer("a")).await);
    assert!(error.contains("does not wait for an answer to check other"), "{error}");
    let nobody = DeploymentId("nobody".to_owned());
    assert!(matches!(
        stage.engine.answer_check(&nobody, &suite, answer("a")).await,
        Err(EngineError::NotFound { .. })
    ));
    let unsigned = CheckAnswer { signature: String::new(), ..answer("a") };
    let error = refused(stage.engine.answer_check(&id, &suite, unsigned).await);
    assert!(error.contains("webhook-signature"), "{error}");
    for n in 0..64 {
        stage.engine.answer_check(&id, &suite, answer(&n.to_string())).await.unwrap();
    }
    let error = refused(stage.engine.answer_check(&id, &suite, answer("more")).await);
    assert!(error.contains("64 answers already"), "{error}");
    assert_succeeded(&stage.end_of(&id).await);
    let error = refused(stage.engine.answer_check(&id, &suite, answer("late")).await);
    assert!(error.contains("does not wait"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn who_is_granted_it_is_told_how_the_pods_are() {
    let run = json!({"do": "run-checks", "checks": ["suite"], "track": "canary"});
    let program = json!([
        apply("canary"),
        ready("canary"),
        run,
        apply("stable"),
        ready("stable"),
        shift(0),
        retire(),
    ]);
    let stage = running(program, json!({"suite": {"plugin": "check", "count": 1}})).await;
    assert_succeeded(&stage.deployed("2").await);
    assert_eq!(asked(&stage, 1).await[0]["observed"], Value::Null, "it was not granted");
    stage.world.asked_of_checks.lock().unwrap().clear();

    let granted = document(
        DocumentKind::Plugin,
        "check",
        json!({"kind": "check", "source": {"shipped": "check"}, "grant": {"pods": true}}),
    );
    stage.apply(vec![granted]).await;
    assert_succeeded(&stage.deployed("3").await);
    let observed = asked(&stage, 1).await[0]["observed"].clone();
    let names: Vec<&str> = observed
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["object"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["backend-canary", "frontend-canary"]);
}
