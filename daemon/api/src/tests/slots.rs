//! Slots, over HTTP: who may ask, who may answer.

use deployd_core::views::TokenScope;
use http::Method;
use serde_json::{Value, json};

use super::stage::{Ask, Stage};

impl Stage {
    fn by(&self, scope: TokenScope, path: &str, body: &Value) -> Ask<'_> {
        self.ask(Method::POST, path).scope(scope).json(body)
    }

    fn hour_ahead(&self, hours: u64) -> Value {
        let from = self.api.engine().now().plus_ms(hours * 3_600_000);
        json!({"environment": "shop/development", "from": from,
            "to": from.plus_ms(3_600_000), "reason": "the database moves"})
    }
}

const SLOTS: &str = "/v1/calendar/slots";

#[tokio::test]
async fn who_may_deploy_asks_and_somebody_else_who_may_approve_answers() {
    let stage = Stage::shop().await;
    let wanted = stage.hour_ahead(1);
    stage.by(TokenScope::Read, SLOTS, &wanted).send().await.is(403, "forbidden");
    let asked = stage.by(TokenScope::Deploy, SLOTS, &wanted).send().await.is(201, "");
    let slot = asked.json();
    let path = asked.header("location").to_owned();
    assert_eq!(path, format!("{SLOTS}/{}", slot["id"].as_str().unwrap()));
    assert_eq!((&slot["state"], &slot["by"]), (&json!("requested"), &json!("deploy")));

    let (grant, withdraw) = (format!("{path}/grant"), format!("{path}/withdraw"));
    let own = stage.by(TokenScope::Deploy, &grant, &json!({})).send().await;
    assert_eq!(own.status, 403, "{}", own.text);
    assert!(own.text.contains("somebody else has to answer"), "{}", own.text);
    stage.by(TokenScope::Ci, &grant, &json!({})).send().await.is(403, "forbidden");
    stage.by(TokenScope::Admin, &grant, &json!({})).send().await.is(200, "");
    stage.by(TokenScope::Admin, &grant, &json!({})).send().await.is(409, "conflict");
    let refuse = format!("{path}/refuse");
    stage.by(TokenScope::Admin, &refuse, &json!({})).send().await.is(422, "invalid-request");

    let check = "/v1/environments/shop/development/calendar";
    let from = wanted["from"].as_str().unwrap();
    let then = stage.get(&format!("{check}?at={from}")).send().await.is(200, "").json();
    assert_eq!(then["deployments"]["reasons"][0]["because"], "the database moves", "{then:#}");
    assert_eq!(then["slots"][0]["decision"]["state"], "open", "{then:#}");
    let feed = stage.get("/v1/calendar.ics").send().await.is(200, "").text.clone();
    assert!(
        feed.contains("SUMMARY:Slot of shop/development for deploy: the database moves"),
        "{feed}"
    );

    // It is for who has asked, and who may grant it, to take it back.
    stage.by(TokenScope::Ci, &withdraw, &json!({})).send().await.is(403, "forbidden");
    let schedule = json!({"environment": "shop/development", "schedule": {"slot": slot["id"]}});
    stage.deployed().await;
    let theirs = stage.by(TokenScope::Admin, "/v1/deployments", &schedule).send().await;
    assert_eq!(theirs.status, 403, "{}", theirs.text);
    stage.by(TokenScope::Deploy, "/v1/deployments", &schedule).send().await.is(202, "");
    stage.by(TokenScope::Deploy, &withdraw, &json!({})).send().await.is(200, "");
    stage.by(TokenScope::Deploy, "/v1/deployments", &schedule).send().await.is(409, "conflict");

    let open = stage.get(SLOTS).send().await.is(200, "").json();
    let all = stage.get(&format!("{SLOTS}?all=true&application=shop")).send().await.is(200, "");
    assert_eq!((open, &all.json()[0]["state"]), (json!([]), &json!("withdrawn")));
    stage.get(&format!("{SLOTS}/none")).send().await.is(404, "not-found");
    let long = json!({"environment": "shop/development", "from": wanted["from"],
        "to": "2099-01-01T00:00:00Z", "reason": "for ever"});
    stage.by(TokenScope::Deploy, SLOTS, &long).send().await.is(422, "invalid-request");
}
