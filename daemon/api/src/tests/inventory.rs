//! The inventory, the audit and the figures over HTTP.

use deployd_core::views::TokenScope;
use http::Method;
use serde_json::json;

use super::stage::Stage;

#[tokio::test]
async fn an_image_is_found_where_it_runs() {
    let stage = Stage::shop().await;
    let id = stage.deployed().await;
    let digest = deployd_core::Digest::of(b"image");
    let list = stage.get("/v1/inventory?application=shop&type=development").send().await;
    let list = list.is(200, "").json();
    assert_eq!(list["locations"][0]["deployment"], json!(id), "{list:#}");
    let other = stage.get("/v1/inventory?application=other").send().await.is(200, "").json();
    assert_eq!(other["locations"], json!([]));

    for image in [digest.to_string(), "registry.test/shop/frontend".to_owned()] {
        let found = stage.get(&format!("/v1/inventory/where?image={image}&when=now")).send().await;
        let found = found.is(200, "").json();
        assert_eq!(found["locations"][0]["environment"], "shop/development", "{found:#}");
        assert_eq!(found["announced"][0]["by"], "admin", "{found:#}");
    }
    let path =
        format!("/v1/inventory/path?image=registry.test/shop/frontend@{digest}&before=shop/other");
    let path = stage.get(&path).send().await.is(200, "").json();
    assert_eq!(path["stations"][0]["environment"], "shop/development", "{path:#}");

    let then = "/v1/environments/shop/development/then?at=";
    stage.get(&format!("{then}2000-01-01")).send().await.is(404, "not-found");
    for (path, status, code) in [
        ("/v1/inventory/where?image=registry.test/none", 404, "not-found"),
        ("/v1/inventory/where?image=sha256:12", 422, "invalid-request"),
        ("/v1/inventory/where", 400, "invalid-parameter"),
        ("/v1/inventory/where?image=a/b&cursor=x", 422, "invalid-request"),
        ("/v1/inventory?at=yesterday", 422, "invalid-request"),
        ("/v1/environments/shop/development/then?at=soon", 422, "invalid-request"),
    ] {
        stage.get(path).send().await.is(status, code);
    }
    let asked = stage.ask(Method::GET, "/v1/inventory").scope(TokenScope::Read);
    asked.send().await.is(200, "");
}

#[tokio::test]
async fn the_audit_says_who_asked_from_where_and_what_was_refused() {
    let stage = Stage::shop().await;
    let asked = stage.ask(Method::DELETE, "/v1/tokens/read").scope(TokenScope::Ci);
    let asked = asked.header("user-agent", "curl/8").header("x-request-id", "build-17");
    asked.header("x-forwarded-for", "203.0.113.7").send().await.is(403, "forbidden");
    let refused = stage.get("/v1/audit?refused=true").send().await.is(200, "").json();
    let entry = &refused["entries"][0];
    assert_eq!(entry["actor"], "ci", "{refused:#}");
    let source =
        json!({"forwardedFor": "203.0.113.7", "request": "build-17", "userAgent": "curl/8"});
    assert_eq!(entry["source"], source);
    // What is told is what the journal has.
    let journal = stage.get("/v1/journal?limit=500").send().await.is(200, "").json();
    let of_it = |event: &&serde_json::Value| event["hash"] == entry["hash"];
    let event = journal.as_array().unwrap().iter().find(of_it).unwrap();
    assert_eq!(event["source"], source);
    let applied = "/v1/audit?actor=admin&application=shop&kind=document-applied&limit=2";
    let page = stage.get(applied).send().await.is(200, "").json();
    assert_eq!(page["entries"].as_array().unwrap().len(), 2, "{page:#}");
    for (path, status, code) in [
        ("/v1/audit?since=yesterday", 422, "invalid-request"),
        ("/v1/audit?cursor=x", 422, "invalid-request"),
        ("/v1/audit?environment=shop", 400, "invalid-parameter"),
    ] {
        stage.get(path).send().await.is(status, code);
    }
    let asked = stage.ask(Method::GET, "/v1/audit").scope(TokenScope::Deploy);
    asked.send().await.is(403, "forbidden");
}

#[tokio::test]
async fn figures_and_bills_of_materials_are_told() {
    let stage = Stage::shop().await;
    stage.deployed().await;
    let report = stage.get("/v1/dora?application=shop").send().await.is(200, "").json();
    assert_eq!(report["groups"][0]["deployments"], 1, "{report:#}");
    assert_eq!(report["groups"][0]["leadTimesFromAnnouncement"], 1, "{report:#}");
    let metrics = stage.get("/metrics").send().await.ok();
    let line = r#"deployd_dora_deployments_per_day{environment_type="development"} 0.03"#;
    assert!(metrics.text.contains(line), "{}", metrics.text);
    let wrong = "/v1/dora?since=2026-01-02&until=2026-01-01";
    stage.get(wrong).send().await.is(422, "invalid-request");

    let digest = deployd_core::Digest::of(b"image");
    let path = format!("/v1/artifacts/{digest}/sbom");
    stage.get(&path).send().await.is(404, "not-found");
    let document = r#"{"spdxVersion":"SPDX-2.3","packages":[{"name":"zlib","versionInfo":"1.3"}]}"#;
    let attach = || stage.ask(Method::PUT, &path).scope(TokenScope::Ci);
    let attached = attach().body(document).send().await.is(200, "").json();
    assert_eq!(attached["packages"], 1, "{attached:#}");
    assert_eq!(stage.get(&path).send().await.is(200, "").text, document);
    let found = stage.get("/v1/inventory/packages?name=ZLib&version=1.3&now=true").send().await;
    let found = found.is(200, "").json();
    let place = &found["found"][0]["locations"][0]["environment"];
    assert_eq!(place, "shop/development", "{found:#}");
    for body in ["", "{}", "[1]", "\u{1}"] {
        attach().body(body).send().await.is(422, "invalid-request");
    }
    let large = vec![b' '; deployd_core::sbom::SBOM_BYTES_MAX + 1];
    attach().body(large).send().await.is(413, "body-too-large");
}

#[tokio::test]
async fn the_configuration_of_an_environment_is_told_in_one_place() {
    let stage = Stage::shop().await;
    stage.deployed().await;
    let document = "{apiVersion: deployd.dev/v1, kind: Environment, metadata: {name: development, description: 'For trying things', annotations: {owner: team-shop, capabilities: 'gpu, tls'}}, spec: {application: shop, type: development, ttl: 14d}}";
    stage.apply(&[("environment.yaml", document)]).await.is(200, "");
    let path = "/v1/environments/shop/development/report";
    let report = stage.get(path).send().await.is(200, "").json();
    assert_eq!(report["use"], "For trying things", "{report:#}");
    assert_eq!(report["owner"], "team-shop");
    assert_eq!(report["capabilities"], json!(["gpu", "tls"]));
    assert_eq!((&report["ttl"], &report["document"]["version"]), (&json!("14d"), &json!(2)));
    assert_eq!(report["arrival"]["automatic"]["ref"], "refs/heads/main");
    assert_eq!(report["strategy"]["plugin"], "rolling");
    let types = |field: &str| -> Vec<String> {
        let list = report[field].as_array().unwrap();
        list.iter().map(|one| one["type"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(types("offers"), ["dns", "k8s-cluster", "k8s-namespace"]);
    assert!(types("resources").contains(&"dns".to_owned()), "{report:#}");
    stage.get("/v1/environments/shop/none/report").send().await.is(404, "not-found");
}
