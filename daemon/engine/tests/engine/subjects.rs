//! What runs, what ran and what was asked for, by the names that people use.

use std::time::Duration;

use deployd_core::set::DeploymentSet;
use deployd_core::subject::{Subject, Which};
use deployd_core::views::TeardownRequest;
use deployd_core::{DeploymentId, Timestamp};
use deployd_engine::EngineError;

use crate::world::{Stage, assert_succeeded, caller, development};

async fn named(stage: &Stage, text: &str) -> Result<DeploymentId, String> {
    let subject: Subject = text.parse().map_err(|error| format!("{error}"))?;
    match stage.engine.resolve(&subject).await {
        Ok(found) => Ok(found.deployment().unwrap().id.clone()),
        Err(error @ EngineError::NotFound { .. }) => Err(error.to_string()),
        Err(error) => Err(format!("{error:?}")),
    }
}

fn at(time: Timestamp) -> String {
    Subject::Environment { environment: development(), which: Which::At(time) }.to_string()
}

#[tokio::test(start_paused = true)]
async fn deployments_are_found_by_all_their_names() {
    let stage = Stage::new().await;
    let beginning = Timestamp(stage.world.now().0 - 60_000);
    let first = stage.deployed("1").await;
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    let second = stage.deployed("2").await;
    for (name, record) in [
        ("shop/development".to_owned(), &second),
        ("shop/development#1".to_owned(), &first),
        ("shop/development#2".to_owned(), &second),
        (first.id.0.clone(), &first),
        (second.id.0[..20].to_uppercase(), &second),
        (at(first.ended.unwrap()), &first),
        (at(Timestamp(second.ended.unwrap().0 - 60_000)), &first),
        (at(stage.world.now()), &second),
        ("shop/development@30min".to_owned(), &first),
        ("shop/development@0m".to_owned(), &second),
    ] {
        assert_eq!(named(&stage, &name).await.as_ref(), Ok(&record.id), "{name}");
    }
    let set = stage.engine.set(first.request.set).await.unwrap();
    for text in [first.request.set.to_string(), first.request.set.to_string()[..20].to_owned()] {
        let found = stage.engine.resolve(&text.parse().unwrap()).await.unwrap();
        assert_eq!(found.set, DeploymentSet::digest(&set).unwrap());
        assert!(matches!(found.deployment(), Err(EngineError::Invalid { .. })));
    }
    let common: String = first
        .id
        .0
        .chars()
        .zip(second.id.0.chars())
        .take_while(|(a, b)| a == b)
        .map(|(a, _)| a)
        .collect();
    let future = at(Timestamp(stage.world.now().0 + 60_000));
    for (name, said) in [
        (common, vec!["no single deployment", "shop/development#1)", "shop/development#2)"]),
        ("0zzzz".to_owned(), vec!["no deployment 0zzzz", second.id.0.as_str()]),
        ("shop/development#3".to_owned(), vec!["shop/development#2, its newest"]),
        ("shop/developmnet".to_owned(), vec!["no environment", "there is shop/development"]),
        ("shap/development#1".to_owned(), vec!["no environment", "there is shop/development"]),
        ("shop/x".to_owned(), vec!["there is shop/development"]),
        ("other-app/y".to_owned(), vec!["no environment other-app/y"]),
        (at(beginning), vec!["no deployment that ran", "its first"]),
        (future, vec!["no later time than now"]),
    ] {
        let error = named(&stage, &name).await.unwrap_err();
        assert!(said.iter().all(|said| error.contains(said)), "{name}: {error}");
    }
    let none = format!("sha256:{}", "0".repeat(10)).parse().unwrap();
    assert!(stage.engine.resolve(&none).await.unwrap_err().to_string().contains("no set"));
}

#[tokio::test(start_paused = true)]
async fn an_environment_that_is_gone_is_found_at_a_time_and_by_number() {
    let stage = Stage::new().await;
    let first = stage.deployed("1").await;
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    let teardown =
        stage.engine.teardown(&caller(), &development(), TeardownRequest::default()).await.unwrap();
    assert_succeeded(&stage.end_of(&teardown.id).await);
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    let then = at(Timestamp(first.ended.unwrap().0 + 60_000));
    assert_eq!(named(&stage, &then).await.as_ref(), Ok(&first.id));
    assert_eq!(named(&stage, "shop/development#1").await.as_ref(), Ok(&first.id));
    for gone in ["shop/development".to_owned(), at(stage.world.now())] {
        let error = named(&stage, &gone).await.unwrap_err();
        assert!(error.contains("the last that ran there"), "{error}");
        // What it offers leads to what ran there last.
        let offered = error.split("there is ").nth(2).unwrap().split(',').next().unwrap();
        assert_eq!(named(&stage, offered).await.as_ref(), Ok(&first.id), "{error}");
    }
}
