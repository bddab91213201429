//! Sets and deployments, named, compared and made of one another.

use serde_json::{Value, json};

use super::stage::Stage;

#[tokio::test]
async fn what_changed_is_told_and_carried_on() {
    let stage = Stage::shop().await;
    let first = stage.deployed().await;
    let subject = stage.get("/v1/subject?name=shop/development").send().await.is(200, "").json();
    assert_eq!((&subject["deployment"], &subject["number"]), (&json!(first), &json!(1)));
    let patch = |image: &str| {
        let operation = json!({"op": "replace", "path": "/containers/web/image", "value": image});
        json!({
            "from": "shop/development",
            "delta": {"workloads": {"update": {"frontend": [operation]}}},
        })
    };
    let made = stage.post("/v1/sets").json(&patch("r.test/f:2")).send().await.is(201, "");
    let digest = made.json()["digest"].as_str().unwrap().to_owned();
    assert_eq!(made.header("location"), format!("/v1/sets/{digest}"));
    let sets = stage.get("/v1/sets?application=shop&limit=1").send().await.is(200, "").json();
    assert_eq!(sets["sets"][0]["digest"], digest);
    let next = sets["next"].as_str().unwrap();
    let sets = stage.get(&format!("/v1/sets?application=shop&cursor={next}")).send().await;
    assert_eq!(sets.is(200, "").json()["sets"][0]["runsIn"], json!(["shop/development"]));

    let path = format!("/v1/comparison?a={first}&b={digest}&part=set");
    let found = stage.get(&path).send().await.is(200, "").json();
    let field = &found["parts"][0]["items"][0]["fields"][0];
    assert_eq!(
        (&field["path"], &field["to"]),
        (&json!("/containers/web/image"), &json!("r.test/f:2"))
    );
    assert_eq!(found["parts"][0]["items"][0]["after"], Value::Null);
    let whole = stage.get(&format!("{path}&documents=true")).send().await.is(200, "").json();
    assert!(whole["parts"][0]["items"][0]["after"].is_object());
    let itself = stage.get("/v1/comparison?a=shop/development&b=shop/development%231").send().await;
    assert_eq!(itself.is(200, "").json()["equal"], true);

    // What both have changed is refused, and says what everybody has.
    let other = stage.post("/v1/sets").json(&patch("r.test/f:3")).send().await.is(201, "").json();
    let merge = |prefer: Value| json!({"base": first, "theirs": digest, "onto": other["digest"], "prefer": prefer});
    let refused = stage.post("/v1/sets/merge").json(&merge(Value::Null)).send().await;
    let refused = refused.is(409, "unmerged").json();
    assert_eq!(refused["errors"][0]["field"], "/workloads/frontend/containers/web/image");
    assert_eq!(refused["errors"][0]["found"], "\"r.test/f:3\"");
    let merged = stage.post("/v1/sets/merge").json(&merge(json!("theirs"))).send().await;
    assert_eq!(merged.is(201, "").json()["set"]["digest"], digest);
    let absent = stage.post("/v1/sets").json(&json!({
        "from": "shop/development", "delta": {"workloads": {"remove": ["none"]}},
    }));
    absent.send().await.is(422, "invalid-request");
}
