//! Deliveries of forges and registries, as these send them.

use http::Method;
use serde_json::json;

use super::stage::{HOOK, Stage};

#[tokio::test]
async fn a_delivery_is_taken_read_shown_and_read_again() {
    let stage = Stage::shop().await;
    stage.hooked().await;
    let digest = deployd_core::Digest::of(b"image");
    let told = json!([{
        "kind": "artifact", "repository": "registry.test/shop/frontend", "digest": digest,
        "ref": "refs/heads/main",
    }]);
    let got = stage.delivered("s3cret", &told).await.is(202, "");
    let path = got.header("location").to_owned();
    // Whoever sends it twice is answered alike.
    let again = stage.delivered("s3cret", &told).await.is(202, "");
    assert_eq!(again.header("location"), path);
    while !stage.get(&path).send().await.is(200, "").text.contains("\"read\"") {}
    let delivery = stage.get(&path).send().await.json();
    assert_eq!(delivery["routes"][0]["environment"], "shop/development", "{delivery:#}");
    assert!(!delivery.to_string().contains("s3cret"), "{delivery:#}");
    let captured = stage.get(&format!("{path}/captured")).send().await.is(200, "").json();
    assert_eq!(captured["body"], told.to_string());
    let list = stage.get("/v1/hooks/registry/deliveries?limit=1").send().await.is(200, "");
    assert_eq!(list.json()[0], delivery);
    let next = list.header("link").split(['<', '>']).nth(1).unwrap().to_owned();
    let older = stage.get(&next).send().await.is(200, "").json();
    assert_eq!(older.as_array().unwrap().len(), 1, "{older:#}");
    let dead = stage.get("/v1/hooks/registry/deliveries?status=dead").send().await.is(200, "");
    assert_eq!(dead.json(), json!([]));
    let again = stage.post(&format!("{path}/replay")).send().await.is(202, "").json();
    assert_eq!(again["replays"], 1);
}

#[tokio::test]
async fn who_does_not_know_the_secret_is_refused_and_that_is_journalled() {
    let stage = Stage::shop().await;
    stage.hooked().await;
    let refused = stage.delivered("s3cre", &json!([])).await.is(403, "denied");
    // Nobody learns how near they were.
    assert!(!refused.text.contains("header"), "{}", refused.text);
    let ask = stage.ask(Method::POST, "/v1/hooks/registry");
    ask.body("[]").send().await.is(403, "denied");
    let ask = stage.ask(Method::POST, "/v1/hooks/none");
    let unknown = ask.body("[]").send().await.is(403, "denied");
    assert_eq!(unknown.json()["detail"], refused.json()["detail"], "nobody learns what there is");
    let audit = stage.get("/v1/audit?limit=500").send().await.is(200, "").text;
    assert!(audit.contains("no secret of the hook fits its header with the secret"), "{audit}");
}

#[tokio::test]
async fn a_hook_without_its_secret_asks_to_come_again() {
    let stage = Stage::shop().await;
    stage.apply(&[("hook.yaml", HOOK)]).await.is(200, "");
    let got = stage.delivered("s3cret", &json!(["new"])).await.is(503, "unavailable");
    assert!(got.text.contains("hook's secret"), "{}", got.text);
}

#[tokio::test]
async fn deliveries_that_are_not_there() {
    let stage = Stage::shop().await;
    let id = stage.hooked().await;
    for path in [
        "/v1/hooks/none/deliveries".to_owned(),
        "/v1/hooks/registry/deliveries/none".to_owned(),
        "/v1/hooks/registry/deliveries/none/captured".to_owned(),
        format!("/v1/hooks/other/deliveries/{id}"),
    ] {
        stage.get(&path).send().await.is(404, "not-found");
    }
    stage.post("/v1/hooks/registry/deliveries/none/replay").send().await.is(404, "not-found");
}
