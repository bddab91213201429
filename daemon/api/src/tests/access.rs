//! Who may do what: every operation of the document, by every role, held against a
//! table that is read by people.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use deployd_core::views::TokenScope;
use deployd_core::{Digest, Timestamp};
use http::Method;
use serde_json::{Value, json};

use super::stage::{Got, PLATFORM, SCOPES, SHOP, Stage};

/// Each line: an operation, and then who may do it. `-` is refused as unknown (401) or
/// as not allowed (403), `y` is neither. `own` and `other` are asked by somebody who is
/// `admin` of the shop alone, about the shop and about another application.
const TABLE: &str = include_str!("access.txt");

/// An application like the shop.
fn bank() -> String {
    SHOP.replace("application: shop", "application: bank")
        .replace("{name: shop}", "{name: bank}")
        .replace("registry.test/shop/", "registry.test/bank/")
        .replace("workload: frontend}", "workload: counter}")
        .replace("[frontend]", "[counter]")
        .replace("metadata: {name: frontend}", "metadata: {name: counter}")
}

/// Admins of the shop, and of nothing else.
const TEAM: &str = r#"
{apiVersion: deployd.dev/v1, kind: Group, metadata: {name: shop-team}, spec: {members: [ada]}}
---
{apiVersion: deployd.dev/v1, kind: RoleBinding, metadata: {name: shop-team}, spec: {role: admin, subjects: {groups: [shop-team]}, within: {applications: [shop]}}}
"#;

/// What there is of an application.
struct Things {
    application: &'static str,
    deployment: String,
    draft: String,
    slot: String,
    set: String,
}

/// Two applications, and a token of somebody who is bound to one.
struct Two {
    stage: Stage,
    token: String,
    shop: Things,
    bank: Things,
}

impl Two {
    async fn new() -> Self {
        let stage = Stage::empty().await;
        let bank = bank();
        let files =
            [("platform.yaml", PLATFORM), ("shop.yaml", SHOP), ("bank.yaml", &bank), ("t", TEAM)];
        stage.apply(&files).await.is(200, "");
        let token = json!({"name": "ada", "scope": "bound"});
        let token = stage.post("/v1/tokens").json(&token).send().await.is(201, "").json();
        let shop = things(&stage, "shop", "shop/frontend").await;
        let bank = things(&stage, "bank", "bank/frontend").await;
        Self { stage, token: token["secret"].as_str().unwrap().to_owned(), shop, bank }
    }

    fn ask(&self, method: Method, path: &str) -> super::stage::Ask<'_> {
        self.stage.ask(method, path).header("authorization", &format!("Bearer {}", self.token))
    }

    async fn get(&self, path: &str) -> Got {
        self.ask(Method::GET, path).send().await
    }
}

async fn things(stage: &Stage, application: &'static str, image: &str) -> Things {
    let digest = Digest::of(b"image");
    let artifact = json!({
        "repository": format!("registry.test/{image}"), "digest": digest, "ref": "refs/heads/main",
    });
    let announced = stage.post("/v1/artifacts").json(&artifact).send().await.is(200, "").json();
    let deployment = announced["routes"][0]["deployment"].as_str().unwrap().to_owned();
    // The stream ends with the deployment.
    stage.get(&format!("/v1/deployments/{deployment}/events")).send().await.is(200, "");
    let draft = json!({"environment": format!("{application}/development")});
    let draft = stage.post("/v1/drafts").json(&draft).send().await.is(201, "").json();
    let slot = slot(stage.api.engine().now(), application);
    let slot = stage.post("/v1/calendar/slots").json(&slot).send().await.is(201, "").json();
    let path = format!("/v1/sets?application={application}");
    let sets = stage.get(&path).send().await.is(200, "").json();
    Things {
        application,
        deployment,
        draft: draft["id"].as_str().unwrap().to_owned(),
        slot: slot["id"].as_str().unwrap().to_owned(),
        set: sets["sets"][0]["digest"].as_str().unwrap().to_owned(),
    }
}

/// Somebody wants an hour tomorrow.
fn slot(now: Timestamp, application: &str) -> Value {
    let from = now.plus_ms(86_400_000);
    json!({"environment": format!("{application}/development"), "from": from,
        "to": from.plus_ms(3_600_000), "reason": "the database moves"})
}

/// A request for an operation about an application, as somebody would ask.
fn example(id: &str, path: &str, of: &Things) -> (String, Option<Value>) {
    let Things { application, deployment, draft, slot: slot_id, set } = of;
    let place = format!("{application}/development");
    let id_in_path = match path {
        path if path.starts_with("/v1/drafts") => draft,
        path if path.starts_with("/v1/calendar/slots") => slot_id,
        _ => deployment,
    };
    let kind = if id == "getDocument" { "Application" } else { "Environment" };
    let name = if id == "getDocument" { application } else { "development" };
    let path = path
        .replace("{kind}", kind)
        .replace("{application}", application)
        .replace("{environment}", "development")
        .replace("{digest}", set)
        .replace("{id}", id_in_path)
        .replace("{name}", name);
    let query = match id {
        "getCalendar" | "getCalendarFeed" => format!("?environment={place}"),
        "getPassage" => format!("?image=registry.test/x&before={place}"),
        "getDora" | "listSets" | "listDrafts" => format!("?application={application}"),
        "listNotifications" => format!("?deployment={deployment}"),
        "exportDeployment" | "replay" => format!("?of={place}"),
        "compare" => format!("?a={place}&b={place}"),
        "getSubject" => format!("?name={set}"),
        "getWhy" => "?subject=abcd".to_owned(),
        "deleteEnvironment" => "?dry_run=true".to_owned(),
        _ => String::new(),
    };
    let body = match id {
        "deploy" => Some(json!({"environment": place})),
        "createDraft" => Some(json!({"environment": place})),
        "requestSlot" => Some(slot(Timestamp(0), application)),
        "patchSet" => Some(json!({"from": place, "delta": {}})),
        "mergeSets" => Some(json!({"base": place, "theirs": place, "onto": place})),
        "cloneEnvironment" => Some(json!({"name": "another"})),
        "announceArtifacts" => Some(json!({
            "repository": format!("registry.test/{application}/frontend"),
            "digest": Digest::of(b"other"),
        })),
        _ => None,
    };
    (format!("{path}{query}"), body)
}

fn cell(got: &Got) -> &'static str {
    if got.status == 401 || got.status == 403 { "-" } else { "y" }
}

/// Operations of the document: id, method and path.
fn operations(document: &Value) -> Vec<(String, Method, String)> {
    let mut all = Vec::new();
    for (path, verbs) in document["paths"].as_object().unwrap() {
        for (verb, operation) in verbs.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap().to_owned();
            all.push((id, verb.to_uppercase().parse().unwrap(), path.clone()));
        }
    }
    all
}

#[tokio::test]
async fn every_operation_by_every_role_is_as_the_table_says() {
    let empty = Stage::empty().await;
    let two = Two::new().await;
    let nothing = Things {
        application: "none",
        deployment: "01aryz6s410000000000000000".to_owned(),
        draft: "01aryz6s410000000000000000".to_owned(),
        slot: "01aryz6s410000000000000000".to_owned(),
        set: Digest::of(b"").to_string(),
    };
    let mut found = BTreeMap::new();
    for (id, method, path) in operations(empty.document()) {
        let mut cells = Vec::new();
        let (asked, _) = example(&id, &path, &nothing);
        let got = empty.ask(method.clone(), &asked).send().await;
        let is_open = got.status != 401;
        if !is_open {
            assert_eq!(got.header("www-authenticate"), r#"Bearer realm="deployd""#);
            let unknown = empty.ask(method.clone(), &asked).header("authorization", "Bearer no");
            unknown.send().await.is(401, "unauthenticated");
        }
        // A delivery that nobody has signed is refused by its hook.
        cells.push(if is_open { "y" } else { "-" });
        for scope in SCOPES {
            let got = empty.ask(method.clone(), &asked).scope(scope).send().await;
            if got.status == 403 && !is_open {
                assert_eq!(got.json()["code"], "forbidden", "{asked}");
            }
            cells.push(if is_open { "y" } else { cell(&got) });
        }
        // The other's first: what is done to one's own is done.
        let mut bound = Vec::new();
        for things in [&two.bank, &two.shop] {
            let (asked, body) = example(&id, &path, things);
            let mut ask = two.ask(method.clone(), &asked);
            if let Some(body) = body {
                ask = ask.json(&body);
            }
            bound.push(if is_open { "y" } else { cell(&ask.send().await) });
        }
        cells.extend(bound.into_iter().rev());
        found.insert(format!("{method} {path}"), cells);
    }
    let mut table = format!(
        "{:66} nobody bound read ci deploy admin | own other\n",
        "# who may do what: y, or - where it is refused",
    );
    for (operation, cells) in &found {
        let [nobody, bound, read, ci, deploy, admin, own, other] = cells.as_slice() else {
            panic!("{cells:?}");
        };
        table.push_str(&format!(
            "{operation:66} {nobody:6} {bound:5} {read:4} {ci:2} {deploy:6} {admin:5} | {own:3} {other}\n"
        ));
    }
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/tests/access.txt"), &table)
            .unwrap();
    }
    assert_eq!(table, TABLE, "{table}");
}

#[tokio::test]
async fn lists_show_what_one_may_see() {
    let two = Two::new().await;
    for path in
        ["/v1/environments", "/v1/deployments", "/v1/inventory", "/v1/resources", "/v1/documents"]
    {
        let all = two.stage.get(path).send().await.is(200, "");
        assert!(all.text.contains("bank") && all.text.contains("shop"), "{path}: {}", all.text);
        let seen = two.get(path).await.is(200, "");
        assert!(!seen.text.contains("bank") && seen.text.contains("shop"), "{path}: {}", seen.text);
    }
}

/// Kargo's REST interface forgot the verb `promote` that its other one asked for
/// (CVE-2026-27111): to promote is another action than to deploy, and reads from where.
#[tokio::test]
async fn cve_2026_27111_a_promotion_needs_to_be_allowed_as_one() {
    let two = Two::new().await;
    let rules = |actions: &str, from: &str| {
        format!(
            r#"
{{apiVersion: deployd.dev/v1, kind: Role, metadata: {{name: some}}, spec: {{actions: [{actions}]}}}}
---
{{apiVersion: deployd.dev/v1, kind: RoleBinding, metadata: {{name: shop-team}}, spec: {{role: some, subjects: {{actors: [ada]}}, within: {{environments: [{from}]}}}}}}
"#
        )
    };
    let promote = json!({"environment": "shop/development", "promote": "staging"});
    let deploy = json!({"environment": "shop/development"});
    for (actions, environments, may_promote, may_deploy) in [
        ("read, deploy", "development, staging", false, true),
        ("read, promote", "development, staging", true, false),
        ("read, promote", "development", false, false),
        ("promote", "development, staging", false, false),
    ] {
        let rules = rules(actions, environments);
        two.stage.apply(&[("rules.yaml", &rules)]).await.is(200, "");
        for (body, may) in [(&promote, may_promote), (&deploy, may_deploy)] {
            let ask = two.ask(Method::POST, "/v1/deployments?dry_run=true").json(body);
            let got = ask.send().await;
            assert_eq!(got.status != 403, may, "{actions} {environments} {body}: {}", got.text);
        }
    }
}

#[tokio::test]
async fn who_may_configure_may_not_say_who_may_do_what() {
    let two = Two::new().await;
    let platform = r#"
{apiVersion: deployd.dev/v1, kind: Role, metadata: {name: platform}, spec: {actions: [configure]}}
---
{apiVersion: deployd.dev/v1, kind: RoleBinding, metadata: {name: platform}, spec: {role: platform, subjects: {actors: [ada]}}}
"#;
    two.stage.apply(&[("platform.yaml", platform)]).await.is(200, "");
    let apply = |text: &str| {
        let body = json!({"files": [{"path": "a.yaml", "text": text}]});
        two.ask(Method::POST, "/v1/documents:apply").json(&body)
    };
    apply(PLATFORM).send().await.is(200, "");
    let mine = platform.replace("[configure]", "[access]");
    let got = apply(&mine).send().await.is(403, "forbidden").json();
    let detail = "ada is not allowed to access in the installation. Roles that allow it: admin.";
    assert_eq!(got["detail"], detail);
    apply(TEAM).send().await.is(403, "forbidden");
    let remove = two.ask(Method::DELETE, "/v1/documents/RoleBinding/shop-team");
    remove.send().await.is(403, "forbidden");
    let key = "/v1/documents/RoleBinding/platform";
    let remove = two.stage.ask(Method::DELETE, key).scope(TokenScope::Admin);
    remove.send().await.is(200, "");
    apply(PLATFORM).send().await.is(403, "forbidden");
}

#[tokio::test]
async fn a_parameter_that_is_there_twice_names_nothing() {
    let two = Two::new().await;
    let path = "/v1/calendar?environment=shop/development&environment=bank/development";
    two.get(path).await.is(400, "invalid-parameter");
    let body = r#"{"environment": "bank/development", "environment": "shop/development"}"#;
    let ask = two.ask(Method::POST, "/v1/deployments").header("content-type", "application/json");
    ask.body(body).send().await.is(422, "invalid-request");
}

#[tokio::test]
async fn a_token_that_is_refused_is_journalled_and_a_session_is_a_bearer() {
    let two = Two::new().await;
    let issuer = r#"
{apiVersion: deployd.dev/v1, kind: Issuer, metadata: {name: forge}, spec: {issuer: "https://forge.test", audience: us, login: {scopes: [email]}}}
---
{apiVersion: deployd.dev/v1, kind: RoleBinding, metadata: {name: forge}, spec: {role: deploy, subjects: {issuers: [forge]}, within: {applications: [shop]}}}
"#;
    two.stage.apply(&[("issuer.yaml", issuer)]).await.is(200, "");
    let exchange = |audience: &str| {
        let claims = json!({
            "iss": "https://forge.test", "aud": audience, "sub": "robot", "exp": 4_000_000_000_u64,
        });
        let token = format!("e30.{}.x", URL_SAFE_NO_PAD.encode(claims.to_string()));
        two.stage.ask(Method::POST, "/v1/auth/exchange").json(&json!({"token": token}))
    };
    exchange("them").send().await.is(401, "unauthenticated");
    let refusals = two.stage.get("/v1/audit?refused=true").send().await.is(200, "").json();
    let what = refusals["entries"][0]["what"].as_str().unwrap().to_owned();
    assert_eq!(what, r#"exchangeToken: forge: `aud` is "them", expected us"#);
    let session = exchange("us").send().await.is(201, "").json();
    exchange("us").send().await.is(401, "unauthenticated");
    let secret = format!("Bearer {}", session["secret"].as_str().unwrap());
    let ask =
        |method: Method, path: &str| two.stage.ask(method, path).header("authorization", &secret);
    let who = ask(Method::GET, "/v1/whoami").send().await.is(200, "").json();
    assert_eq!((&who["name"], &who["issuer"]), (&json!("forge:robot"), &json!("forge")));
    ask(Method::GET, "/v1/environments/shop/development").send().await.is(200, "");
    ask(Method::GET, "/v1/environments/bank/development").send().await.is(403, "forbidden");
    let logins = two.stage.ask(Method::GET, "/v1/auth/logins").send().await.is(200, "").json();
    assert_eq!(logins[0]["clientId"], "us");
    ask(Method::POST, "/v1/auth/logout").send().await.is(204, "");
    ask(Method::GET, "/v1/whoami").send().await.is(401, "unauthenticated");
}

#[tokio::test]
async fn who_asks_learns_what_they_may_and_who_may() {
    let two = Two::new().await;
    let can = async |query: &str| {
        let answer = two.get(&format!("/v1/auth/can-i?{query}")).await.is(200, "").json();
        (answer["by"]["binding"].as_str().map(str::to_owned), answer["roles"].clone())
    };
    let shop = can("action=deploy&environment=shop/development").await;
    assert_eq!(shop, (Some("shop-team".to_owned()), Value::Null));
    let bank = can("action=deploy&environment=bank/development").await;
    assert_eq!(bank, (None, json!(["deploy", "admin"])));
    assert_eq!(can("action=configure").await, (None, json!(["admin"])));
    two.get("/v1/auth/can-i?action=fly").await.is(400, "invalid-parameter");
    two.get("/v1/auth/who-can?action=deploy").await.is(403, "forbidden");
    let who = two.stage.get("/v1/auth/who-can?action=deploy&environment=shop/development");
    let who = who.send().await.is(200, "").json();
    let names: Vec<(&str, &str)> = who["who"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["kind"].as_str().unwrap(), one["name"].as_str().unwrap()))
        .collect();
    assert_eq!(names, [("token", "admin"), ("token", "deploy"), ("group", "shop-team")]);
}
