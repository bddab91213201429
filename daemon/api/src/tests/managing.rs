//! Documents, tokens, secrets, plugins, the journal.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deployd_core::views::TokenScope;
use http::Method;
use serde_json::json;

use super::fakes::Scratch;
use super::stage::Stage;

#[tokio::test]
async fn documents_are_kept_with_their_versions() {
    let stage = Stage::shop().await;
    let all = stage.get("/v1/documents").send().await.is(200, "").json();
    assert_eq!(all.as_array().unwrap().len(), 12);
    let plugins = stage.get("/v1/documents?kind=Plugin").send().await.is(200, "").json();
    assert_eq!(plugins.as_array().unwrap().len(), 4);
    stage.get("/v1/documents/Plugin/driver").send().await.is(200, "");
    let path = "/v1/documents/Workload/shop/frontend";
    let workload = stage.get(path).send().await.is(200, "").json();
    assert_eq!((&workload["version"], &workload["actor"]), (&json!(1), &json!("admin")));
    assert_eq!(
        stage.get("/v1/plugins").send().await.is(200, "").json().as_array().unwrap().len(),
        4
    );
    let schemas = stage.get("/v1/schemas").send().await.is(200, "").json();
    for path in schemas.as_object().unwrap().values() {
        let schema = stage.get(path.as_str().unwrap()).send().await.is(200, "").json();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    }
    stage.get("/v1/schemas/document.json").send().await.is(200, "");
}

#[tokio::test]
async fn what_is_in_use_is_not_taken_away_by_the_way() {
    let stage = Stage::shop().await;
    stage.deployed().await;
    let all = stage.get("/v1/resources").send().await.is(200, "").json();
    let cluster = all.as_array().unwrap().iter().find(|it| it["type"] == "k8s-cluster").unwrap();
    assert_eq!(cluster["environment"], "shop/development");
    assert_eq!(cluster["driver"]["name"], "driver");
    assert_eq!(cluster["definitionIsCurrent"], true);
    let none = stage.get("/v1/resources?application=blog").send().await.is(200, "").json();
    assert_eq!(none, json!([]));
    stage.get("/v1/resources?kind=x").send().await.is(400, "invalid-parameter");

    let definition = cluster["definition"].as_str().unwrap();
    let path = |query: &str| format!("/v1/documents/ResourceDefinition/{definition}{query}");
    let remove = |query: &str| stage.ask(Method::DELETE, &path(query)).scope(TokenScope::Admin);
    let dry = remove("?dry_run=true").send().await.is(200, "").json();
    assert_eq!(dry["affected"][0]["name"], "k8s-cluster#environment");
    let refused = remove("").send().await.is(409, "resources-affected").json();
    assert_eq!(refused["errors"][0]["field"], "shop/development k8s-cluster#environment");
    remove("?force=true").send().await.is(200, "");
    remove("?force=true").send().await.is(404, "not-found");
}

#[tokio::test]
async fn an_environment_is_taken_away_and_its_history_stays() {
    let stage = Stage::shop().await;
    let earlier = stage.deployed().await;
    let path = "/v1/environments/shop/development/delete";
    let deploy = stage.ask(Method::POST, path).scope(TokenScope::Deploy);
    deploy.send().await.is(403, "forbidden");
    let planned = format!("{path}?dry_run=true");
    let plan = stage.post(&planned).send().await.is(200, "").json();
    assert_eq!(plan["plan"]["teardown"], true);
    stage.post(path).json(&json!({"keep": ["mysql"]})).send().await.is(422, "invalid-request");
    let asked = stage.post(path).json(&json!({"expectedPlan": plan["digest"]})).send().await;
    let id = asked.is(202, "").json()["id"].as_str().unwrap().to_owned();
    // The stream ends with the deployment.
    stage.get(&format!("/v1/deployments/{id}/events")).send().await.is(200, "");
    stage.get("/v1/environments/shop/development").send().await.is(404, "not-found");
    stage.post(path).send().await.is(404, "not-found");
    stage.get(&format!("/v1/deployments/{earlier}/manifests")).send().await.is(200, "");
    let history = stage.get("/v1/deployments?environment=shop/development").send().await;
    let history = history.is(200, "").json();
    assert_eq!(history["deployments"][0]["outcome"], "succeeded");
    assert_eq!(stage.get("/v1/resources").send().await.is(200, "").json(), json!([]));
}

#[tokio::test]
async fn tokens_are_made_used_and_revoked() {
    let stage = Stage::empty().await;
    let new = json!({"name": "robot", "scope": "ci"});
    let made = stage.post("/v1/tokens").json(&new).send().await.is(201, "").json();
    let secret = format!("Bearer {}", made["secret"].as_str().unwrap());
    stage.post("/v1/tokens").json(&new).send().await.is(409, "conflict");
    let who = stage.ask(Method::GET, "/v1/whoami").header("authorization", &secret);
    assert_eq!(who.send().await.is(200, "").json()["name"], "robot");
    let list = stage.get("/v1/tokens").send().await.is(200, "");
    assert!(!list.text.contains("dpl_") && list.text.contains("robot"));
    stage.ask(Method::DELETE, "/v1/tokens/robot").scope(TokenScope::Admin).send().await.is(204, "");
    let who = stage.ask(Method::GET, "/v1/whoami").header("authorization", &secret);
    who.send().await.is(401, "unauthenticated");
}

#[tokio::test]
async fn secrets_go_in_and_never_come_out() {
    let stage = Stage::empty().await;
    let put = stage.ask(Method::PUT, "/v1/secrets/kubeconfig").scope(TokenScope::Admin);
    assert_eq!(put.body("hunter2-of-the-cluster").send().await.is(204, "").text, "");
    let names = stage.get("/v1/secrets").send().await.is(200, "").json();
    assert_eq!(names, json!([{"name": "kubeconfig"}]));
    let journal = stage.get("/v1/journal").send().await.is(200, "").text;
    assert!(!journal.contains("hunter2"));
    let began = journal.find("\"secret-set-began\"").unwrap();
    assert!(began < journal.find("\"secret-set\"").unwrap(), "{journal}");
}

#[tokio::test]
async fn secrets_are_linked_to_where_they_are_kept() {
    let stage = Stage::empty().await;
    let link = |from: &str| {
        let put = stage.ask(Method::PUT, "/v1/secrets/db/link").scope(TokenScope::Admin);
        put.json(&json!({"from": from}))
    };
    let linked = link("vault:kv/shop/db#password").send().await.is(200, "").json();
    assert_eq!(linked["from"], "vault:kv/shop/db#password");
    // It is made all the same, and said at once.
    assert!(linked["problem"].as_str().unwrap().contains("operator/db"), "{linked}");
    let all = stage.get("/v1/secrets").send().await.is(200, "").json();
    assert_eq!(all, json!([{"name": "db", "from": "vault:kv/shop/db#password"}]));
    let denied = link("env:DB").send().await.is(403, "denied").json();
    let detail = denied["detail"].as_str().unwrap();
    assert!(detail.contains("env:DB") && detail.contains("no variable is allowed"), "{denied}");
    // Whoever takes it for the value is not repeated.
    let invalid = link("hunter2-of-the-db").send().await.is(422, "invalid-request").text;
    assert!(invalid.contains("vault:MOUNT/PATH#FIELD") && !invalid.contains("hunter2"));
    let journal = stage.get("/v1/journal").send().await.is(200, "").text;
    assert!(journal.contains("secret-linked") && journal.contains("vault:kv/shop/db#password"));
    // What is about to be done is journalled first, and so also what is refused then.
    let events: Vec<serde_json::Value> = serde_json::from_str(&journal).unwrap();
    let kinds = events.iter().filter_map(|event| event["kind"].as_str());
    let kinds: Vec<&str> = kinds.filter(|kind| kind.starts_with("secret")).collect();
    assert_eq!(kinds, ["secret-link-began", "secret-linked", "secret-link-began"]);
    assert_eq!(events.last().unwrap()["body"]["from"], "env:DB");
    let read = stage.ask(Method::PUT, "/v1/secrets/db/link").scope(TokenScope::Deploy);
    read.json(&json!({"from": "env:A"})).send().await.is(403, "forbidden");
}

#[tokio::test]
async fn the_key_of_secrets_is_rotated() {
    let stage = Stage::empty().await;
    let keys = stage.get("/v1/secret-keys").send().await.is(200, "").json();
    assert_eq!(keys["keys"][0]["use"], "newest");
    let rotated = stage.post("/v1/secret-keys/rotate").send().await.is(200, "").json();
    assert_eq!(
        rotated["keys"][1],
        json!({
            "id": keys["keys"][0]["id"], "from": "file 0", "use": "removable",
        })
    );
    let journal = stage.get("/v1/journal").send().await.is(200, "").text;
    assert!(
        journal.contains("secret-key-rotation-began") && journal.contains("secret-key-rotated")
    );
    let ci = stage.ask(Method::POST, "/v1/secret-keys/rotate").scope(TokenScope::Deploy);
    ci.send().await.is(403, "forbidden");
}

#[tokio::test]
async fn plugins_are_uploaded() {
    let stage = Stage::empty().await;
    let upload = json!({"manifest": "mine", "component": STANDARD.encode(b"\0asm")});
    let info = stage.post("/v1/plugins").json(&upload).send().await.is(201, "").json();
    assert_eq!(info["plugin"]["name"], "mine");
}

#[tokio::test]
async fn the_journal_is_read_verified_and_copied() {
    let stage = Stage::shop().await;
    let first = stage.get("/v1/journal?limit=3").send().await.is(200, "");
    assert_eq!(first.header("link"), "</v1/journal?after=3&limit=3>; rel=\"next\"");
    let entry = &first.json()[0];
    assert_eq!((&entry["position"], &entry["version"]), (&json!(1), &json!(1)));
    let report = stage.post("/v1/journal/verify").send().await.is(200, "").json();
    assert_eq!((&report["broken"], &report["damaged"]), (&json!([]), &json!([])));
    let scratch = Scratch::new("backup");
    let path = json!({"path": scratch.join("copy")});
    stage.post("/v1/backup").json(&path).send().await.is(200, "");
    stage.post("/v1/backup").json(&path).send().await.is(422, "failed");
}

#[tokio::test]
async fn probes_say_how_it_is() {
    let stage = Stage::empty().await;
    let open = |path: &'static str| stage.ask(Method::GET, path);
    assert_eq!(open("/healthz").send().await.is(200, "").json(), json!({"status": "ok"}));
    assert_eq!(open("/readyz").send().await.is(200, "").json(), json!({"status": "ready"}));
    assert_eq!(open("/openapi.json").send().await.is(200, "").json(), *stage.document());
}
