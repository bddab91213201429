//! When it may be deployed, over HTTP.

use serde_json::json;

use super::stage::Stage;

const FREEZE: &str = "\
apiVersion: deployd.dev/v1
kind: Calendar
metadata: {name: holidays}
spec:
  timeZone: Europe/Berlin
  freezes:
    - {name: for-ever, from: 2020-01-01T00:00, to: 2199-01-01T00:00, reason: nobody is here}
";

#[tokio::test]
async fn what_a_calendar_keeps_is_told_everywhere() {
    let stage = Stage::shop().await;
    stage.deployed().await;
    stage.apply(&[("holidays.yaml", FREEZE)]).await.is(200, "");
    let check = "/v1/environments/shop/development/calendar";
    let found = stage.get(check).send().await.is(200, "").json();
    assert_eq!(found["deployments"]["state"], "closed", "{found:#}");
    assert_eq!(found["rollbacks"]["state"], "open");
    assert_eq!(found["calendars"], json!(["holidays"]));
    let before = stage.get(&format!("{check}?at=2019-12-31")).send().await.is(200, "").json();
    assert_eq!(before["deployments"]["state"], "open", "{before:#}");
    let plan = json!({"environment": "shop/development"});
    let view = stage.post("/v1/deployments?dry_run=true").json(&plan).send().await.is(200, "");
    assert_eq!(view.json()["calendar"]["state"], "closed");

    let asked = stage.post("/v1/deployments").json(&plan).send().await.is(202, "").json();
    let path = format!("/v1/deployments/{}", asked["id"].as_str().unwrap());
    let mut record = stage.get(&path).send().await.json();
    while record["deferred"].is_null() {
        record = stage.get(&path).send().await.json();
    }
    assert_eq!(record["deferred"]["reasons"][0]["because"], "nobody is here", "{record:#}");
    let view = stage.get("/v1/calendar?environment=shop/development").send().await.is(200, "");
    assert_eq!(view.json()["planned"][0]["deployment"], asked["id"]);
    assert_eq!(view.json()["closures"][0]["reason"]["freeze"], "for-ever");

    let feed = stage.get("/v1/calendar.ics").send().await.is(200, "");
    assert_eq!(feed.header("content-type"), "text/calendar; charset=utf-8");
    assert!(feed.text.contains("SUMMARY:Closed: freeze for-ever of calendar holidays"));
    assert!(feed.text.contains("SUMMARY:shop/development #1: succeeded"), "{}", feed.text);

    for bad in ["/v1/calendar?from=tomorrow", "/v1/calendar?from=2026-01-01&to=2027-02-01"] {
        stage.get(bad).send().await.is(422, "invalid-request");
    }
    stage.get("/v1/environments/shop/nowhere/calendar").send().await.is(404, "not-found");
    stage.post("/v1/calendar/resume").json(&json!({})).send().await.is(409, "conflict");
    let no_reason = json!({"reason": ""});
    stage.post("/v1/calendar/stop").json(&no_reason).send().await.is(422, "invalid-request");
}
