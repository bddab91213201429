//! Deployments and the journal, taken along.

use deployd_core::views::TokenScope;
use http::Method;
use serde_json::json;

use super::stage::Stage;

/// An installation with a deployment that has ended, and its archive.
async fn exported() -> (String, Vec<u8>) {
    let stage = Stage::shop().await;
    let id = stage.deployed().await;
    let path = format!("/v1/archive?of={id}");
    let got = stage.get(&path).send().await.is(200, "");
    assert_eq!(got.header("content-type"), "application/x-tar");
    let disposition = "attachment; filename=\"shop-development-1.tar\"";
    assert_eq!(got.header("content-disposition"), disposition);
    // Events tell from where somebody asked.
    let got = stage.ask(Method::GET, &path).scope(TokenScope::Deploy).send().await;
    got.is(403, "forbidden");
    let subject = id.parse().unwrap();
    (id, stage.api.engine().export(&subject, true).await.unwrap().archive)
}

#[tokio::test]
async fn an_archive_is_imported_and_shown_with_where_it_is_from() {
    let (id, archive) = exported().await;
    let stage = Stage::empty().await;
    let import = async || stage.post("/v1/imports").body(archive.clone()).send().await;
    let view = import().await.is(200, "").json();
    assert_eq!(view["deployments"][0]["outcome"], "imported");
    assert_eq!(view["deployments"][0]["id"], id.as_str());
    assert_eq!(import().await.is(200, "").json()["deployments"][0]["outcome"], "there-already");
    let record = stage.get(&format!("/v1/deployments/{id}")).send().await.is(200, "").json();
    assert_eq!(record["imported"]["archive"], view["archive"]);
    assert_eq!(record["imported"]["by"], "admin");
    let listed = stage.get("/v1/imports").send().await.is(200, "").json();
    assert_eq!(listed["imports"][0]["id"], id.as_str());
    for part in ["manifests", "plan", "debug", "rollout", "logs", "events"] {
        stage.get(&format!("/v1/deployments/{id}/{part}")).send().await.is(200, "");
    }
    for verb in ["cancel", "resume"] {
        let path = format!("/v1/deployments/{id}/{verb}");
        let refused = stage.post(&path).send().await.is(409, "conflict").text;
        assert!(refused.contains("was imported"), "{refused}");
    }
    let again = json!({"redeploy": id});
    let refused = stage.post("/v1/deployments").json(&again).send().await.is(409, "conflict").text;
    assert!(refused.contains("was imported"), "{refused}");
    let history = stage.get("/v1/deployments").send().await.is(200, "").json();
    assert_eq!(history["deployments"], json!([]));
}

#[tokio::test]
async fn what_is_wrong_with_an_archive_is_told_member_by_member() {
    let (_, mut archive) = exported().await;
    let stage = Stage::empty().await;
    let import = stage.ask(Method::POST, "/v1/imports").scope(TokenScope::Deploy);
    import.body(archive.clone()).send().await.is(403, "forbidden");
    let place = archive.len() - 1024 - 600;
    archive[place] ^= 1;
    let problem = stage.post("/v1/imports").body(archive).send().await.is(422, "invalid-request");
    let error = problem.json()["errors"][0].clone();
    assert!(error["message"].as_str().unwrap().contains(".zst: damaged: found"), "{error}");
    stage.post("/v1/imports").body("no archive").send().await.is(422, "invalid-request");
    for (path, status, code) in [
        ("/v1/archive", 400, "invalid-parameter"),
        ("/v1/archive?of=shop/nowhere", 404, "not-found"),
        ("/v1/archive?of=x&plugins=2", 400, "invalid-parameter"),
        ("/v1/archive?of=%23%23", 422, "invalid-request"),
    ] {
        stage.get(path).send().await.is(status, code);
    }
}

#[tokio::test]
async fn one_stream_of_the_journal_is_read_by_its_versions() {
    let stage = Stage::shop().await;
    stage.deployed().await;
    let stream = "environment/shop/development";
    let path = format!("/v1/journal?stream={stream}");
    let all = stage.get(&format!("{path}&limit=500")).send().await.is(200, "").json();
    let all = all.as_array().unwrap();
    assert!(all.iter().all(|event| event["stream"] == stream && event["position"].is_null()));
    let head = stage.get(&format!("/v1/journal/head?stream={stream}")).send().await.is(200, "");
    let head = head.json();
    let last = all.last().unwrap();
    assert_eq!((&head["version"], &head["hash"]), (&last["version"], &last["hash"]));
    // Page by page it is the same.
    let (mut pages, mut next) = (Vec::new(), format!("{path}&from=2&to=6&limit=2"));
    loop {
        let got = stage.get(&next).send().await.is(200, "");
        pages.extend(got.json().as_array().unwrap().clone());
        let link = got.header("link").to_owned();
        let Some(link) = link.strip_prefix('<').and_then(|link| link.split('>').next()) else {
            break;
        };
        next = link.to_owned();
    }
    assert_eq!(pages, all[1..6]);
    for (query, status, code) in [
        ("stream=environment/shop/nowhere", 404, "not-found"),
        ("stream=", 404, "not-found"),
        ("stream=a%26b", 404, "not-found"),
        ("from=2", 422, "invalid-request"),
        ("stream=configuration&after=2", 422, "invalid-request"),
    ] {
        stage.get(&format!("/v1/journal?{query}")).send().await.is(status, code);
    }
    stage.get("/v1/journal/head?stream=nobody").send().await.is(404, "not-found");
}
