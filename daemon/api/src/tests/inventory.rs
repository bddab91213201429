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
