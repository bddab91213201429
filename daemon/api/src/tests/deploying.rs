//! The main job: from artifacts to deployments, watched.

use deployd_core::views::TokenScope;
use http::Method;
use serde_json::{Value, json};

use super::stage::Stage;

/// Events of a stream: names, ids and data.
fn events(text: &str) -> Vec<(String, String, Value)> {
    let blocks = text.split("\n\n").filter(|block| block.contains("data:"));
    blocks
        .map(|block| {
            let field = |name: &str| {
                let prefix = format!("{name}: ");
                let line = block.lines().find_map(|line| line.strip_prefix(&prefix));
                line.unwrap_or_default().to_owned()
            };
            (field("event"), field("id"), serde_json::from_str(&field("data")).unwrap())
        })
        .collect()
}

#[tokio::test]
async fn an_artifact_is_deployed_and_watched() {
    let stage = Stage::shop().await;
    let id = stage.deployed().await;
    let path = format!("/v1/deployments/{id}");
    let record = stage.get(&path).send().await.is(200, "").json();
    assert_eq!(record["outcome"], "succeeded", "{record:#}");

    // The whole of it again, as events.
    let got = stage.get(&format!("{path}/events")).send().await.is(200, "");
    let seen = events(&got.text);
    let schema = json!({"$ref": "#/components/schemas/WatchUpdate"});
    for (name, _, data) in &seen {
        assert_eq!(name, "update");
        stage.validate(&schema, data);
    }
    let (_, last, data) = seen.last().unwrap();
    assert!(last.ends_with(".end") && data["record"]["outcome"] == "succeeded", "{last}");
    let lines: Vec<u64> = seen
        .iter()
        .flat_map(|(_, _, data)| data["logs"].as_array().cloned().unwrap_or_default())
        .map(|line| line["sequence"].as_u64().unwrap())
        .collect();
    assert!(!lines.is_empty() && lines.is_sorted());

    // Who comes back gets no line twice, and nothing when all is over.
    let middle = lines[lines.len() / 2].to_string();
    let again = stage.get(&format!("{path}/events")).header("last-event-id", &middle).send().await;
    let first =
        events(&again.text).iter().find_map(|(_, _, data)| data["logs"][0]["sequence"].as_u64());
    assert_eq!(first, lines.get(lines.len() / 2 + 1).copied());
    stage.get(&format!("{path}/events")).header("last-event-id", last).send().await.is(204, "");

    // Logs in pages lead to the same lines.
    let mut next = format!("{path}/logs?limit=2");
    let mut paged = Vec::new();
    while !next.is_empty() {
        let got = stage.get(&next).send().await.is(200, "");
        let page = got.json();
        paged
            .extend(page.as_array().unwrap().iter().map(|line| line["sequence"].as_u64().unwrap()));
        let link = got.header("link").strip_prefix('<').and_then(|link| link.split_once('>'));
        next = link.map(|(next, _)| next.to_owned()).unwrap_or_default();
    }
    assert_eq!(paged, lines);

    stage.get(&format!("{path}/plan")).send().await.is(200, "");
    let json = stage.get(&format!("{path}/manifests")).send().await.is(200, "").json();
    assert_eq!(json["objects"][0]["object"]["kind"], "Deployment", "{json:#}");
    let yaml = stage.get(&format!("{path}/manifests")).header("accept", "application/yaml");
    let yaml = yaml.send().await.is(200, "");
    assert_eq!(yaml.header("content-type"), "application/yaml; charset=utf-8");
    assert!(yaml.text.contains("kind: Deployment"), "{}", yaml.text);

    let set = record["request"]["set"].as_str().unwrap();
    stage.get(&format!("/v1/sets/{set}")).send().await.is(200, "");
    let environments = stage.get("/v1/environments").send().await.is(200, "").json();
    assert_eq!(environments[0]["id"], "shop/development");
    let environment = stage.get("/v1/environments/shop/development").send().await.is(200, "");
    assert_eq!(environment.json(), environments[0]);
    let resources = stage.get("/v1/environments/shop/development/resources").send().await;
    assert_eq!(resources.is(200, "").json().as_array().unwrap().len(), 3);
    let history = stage.get("/v1/deployments?environment=shop/development&limit=1").send().await;
    assert_eq!(history.is(200, "").json()["deployments"][0]["id"], id);

    let messages = stage.get("/v1/notifications?limit=500").send().await.is(200, "").json();
    let message = messages[0]["id"].as_str().unwrap();
    stage.get(&format!("/v1/notifications/{message}")).send().await.is(200, "");
    let about = format!("/v1/notifications?deployment={id}");
    let about = stage.get(&about).send().await.is(200, "").json();
    assert!(about.as_array().unwrap().iter().any(|one| one["id"] == message), "{about:#}");
    let again = stage.post(&format!("/v1/notifications/{message}/redeliver")).send().await;
    assert!(again.status == 202 || again.status == 409, "{}", again.text);
}

#[tokio::test]
async fn a_request_is_planned_accepted_repeated_and_cancelled() {
    let stage = Stage::shop().await;
    let earlier = stage.deployed().await;
    let body = json!({"environment": "shop/development", "comment": "by hand"});
    let plan =
        stage.post("/v1/deployments?dry_run=true").json(&body).send().await.is(200, "").json();
    assert!(plan["digest"].as_str().unwrap().starts_with("sha256:"));

    let deploy = |key: &str, body: &Value| {
        stage
            .ask(Method::POST, "/v1/deployments")
            .scope(TokenScope::Deploy)
            .header("idempotency-key", key)
            .json(body)
    };
    let first = deploy("one", &body).send().await.is(202, "");
    let record = first.json();
    let path = format!("/v1/deployments/{}", record["id"].as_str().unwrap());
    assert_eq!(first.header("location"), path);
    assert_eq!(record["actor"], "deploy");
    let second = deploy("one", &body).send().await.is(202, "");
    assert_eq!(second.text, first.text);
    assert_eq!(second.header("location"), path);
    let other = json!({"environment": "shop/development", "comment": "something else"});
    deploy("one", &other).send().await.is(422, "idempotency-key-reuse");
    // A key is its actor's: another one's is another request.
    let admin = stage.post("/v1/deployments").header("idempotency-key", "one").json(&body);
    assert_ne!(admin.send().await.is(202, "").json()["id"], record["id"]);

    let again = json!({"redeploy": earlier, "comment": "back"});
    let record = stage.post("/v1/deployments").json(&again).send().await.is(202, "").json();
    assert_eq!(record["request"]["origin"]["of"], earlier);
    let end = format!("/v1/deployments/{}/cancel", record["id"].as_str().unwrap());
    let cancelled = stage.post(&end).json(&json!({"reason": "a mistake"})).send().await;
    assert!(cancelled.status == 202 || cancelled.status == 409, "{}", cancelled.text);
    let resumed = stage.post(&format!("/v1/deployments/{earlier}/resume")).send().await;
    assert!(!resumed.status.is_success() && !resumed.status.is_server_error(), "{}", resumed.text);
}
