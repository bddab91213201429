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
        ("/v1/inventory/where?image=sha256:12", 400, "invalid-parameter"),
        ("/v1/inventory/where", 400, "invalid-parameter"),
        ("/v1/inventory/where?image=a/b&cursor=x", 422, "invalid-request"),
        ("/v1/inventory?at=yesterday", 400, "invalid-parameter"),
        ("/v1/environments/shop/development/then?at=soon", 400, "invalid-parameter"),
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
        ("/v1/audit?since=yesterday", 400, "invalid-parameter"),
        ("/v1/audit?cursor=x", 422, "invalid-request"),
        ("/v1/audit?environment=shop", 400, "invalid-parameter"),
    ] {
        stage.get(path).send().await.is(status, code);
    }
    let asked = stage.ask(Method::GET, "/v1/audit").scope(TokenScope::Deploy);
    asked.send().await.is(403, "forbidden");
}
