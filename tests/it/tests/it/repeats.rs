//! The past made once more, with the real plugins.

use serde_json::{Value, json};

use crate::stage::Stage;

fn part<'r>(replay: &'r Value, which: &str) -> &'r Value {
    let parts = replay["parts"].as_array().unwrap();
    parts.iter().find(|part| part["part"] == which).unwrap_or_else(|| panic!("{replay:#}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn i12_real_plugins_make_the_same_bytes_of_the_past() {
    let mut stage = Stage::set().await;
    let first = stage.deployed('1').await;
    let second = stage.deployed('2').await;
    assert!(stage.daemon.stop().await.success());
    stage.start_again().await;
    stage.client = stage.daemon.client();
    for id in [&first, &second] {
        let rendered = stage.deployment(id).await;
        let steps = rendered["work"]["steps"].as_array().unwrap();
        let rendered = steps.iter().find(|step| step["id"] == "render").unwrap();
        let replay = stage.client.get(&format!("/v1/replay?of={id}")).await.ok();
        assert_eq!(replay["verdict"], "identical", "{replay:#}");
        for which in ["plan", "manifests", "decisions"] {
            assert_eq!(part(&replay, which)["verdict"], "identical", "{replay:#}");
        }
        assert_eq!(part(&replay, "manifests")["replayed"], rendered["result"]);
    }

    // What another baseline would have made is another plan's matter; the same
    // version of the templater by its first digits is itself.
    let plan = stage.client.get(&format!("/v1/deployments/{first}/plan")).await.ok();
    let templater = &plan["templater"]["plugin"];
    let (name, digest) =
        (templater["name"].as_str().unwrap(), templater["digest"].as_str().unwrap());
    let with = format!("{name}@{}", &digest["sha256:".len()..][..12]);
    let replay = stage.client.get(&format!("/v1/replay?of={first}&with={with}")).await.ok();
    assert_eq!(replay["verdict"], "identical", "{replay:#}");
    assert_eq!(replay["with"], *templater);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ran_before_runs_again_and_an_environment_is_cloned() {
    let stage = Stage::set().await;
    let first = stage.deployed('1').await;
    let plan = stage.client.get(&format!("/v1/deployments/{first}/plan")).await.ok();
    stage.deployed('2').await;
    let path = "/v1/environments/shop/development/rollback";
    let view = stage.client.post(&format!("{path}?dry_run=true"), &json!({})).await.ok();
    assert_eq!((&view["to"], &view["exact"]), (&json!(first), &json!(true)), "{view:#}");
    assert!(stage.image_of("frontend").ends_with(&"2".repeat(64)), "nothing was done");
    let expected = json!({"expectedPlan": view["plan"]["digest"]});
    let accepted = stage.client.post(path, &expected).await.ok();
    let record = stage.ended(accepted["id"].as_str().unwrap()).await;
    assert_eq!(record["outcome"], "succeeded", "{record:#}");
    assert_eq!(record["request"]["origin"]["kind"], "rollback");
    assert!(stage.image_of("frontend").ends_with(&"1".repeat(64)));
    let provisions = |step: &&Value| step["id"].as_str().unwrap().starts_with("provision:");
    let steps = record["work"]["steps"].as_array().unwrap();
    assert_eq!(steps.iter().filter(provisions).count(), 0, "no driver is asked: {record:#}");
    let replay = format!("/v1/replay?of={}", record["id"].as_str().unwrap());
    assert_eq!(stage.client.get(&replay).await.ok()["verdict"], "identical");
    let again = stage.client.post(path, &json!({})).await;
    assert_eq!(again.status, 409, "{again:?}");
    assert!(again.text.contains("has nothing to go back to"), "{again:?}");

    let path = "/v1/environments/shop/development/clone";
    let accepted = stage.client.post(path, &json!({"name": "copy"})).await.ok();
    let record = stage.ended(accepted["id"].as_str().unwrap()).await;
    assert_eq!(record["environment"], "shop/copy");
    assert_eq!(record["request"]["set"], plan["set"]);
    assert_eq!(stage.client.post(path, &json!({"name": "copy"})).await.status, 409);
}
