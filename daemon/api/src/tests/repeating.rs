//! The past, made once more.

use super::stage::Stage;

#[tokio::test]
async fn a_replay_is_a_question_about_a_deployment_by_any_of_its_names() {
    let stage = Stage::shop().await;
    let id = stage.deployed().await;
    for of in [id.as_str(), "shop/development", "shop/development%231"] {
        let replay = stage.get(&format!("/v1/replay?of={of}")).send().await.is(200, "").json();
        assert_eq!(replay["verdict"], "identical", "{replay:#}");
        assert_eq!(replay["deployment"], *id);
        let parts: Vec<&str> = replay["parts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|part| part["part"].as_str().unwrap())
            .collect();
        assert_eq!(parts, ["plan", "manifests", "decisions"]);
    }
    let of = format!("/v1/replay?of={id}");
    for (query, status, code, hint) in [
        ("/v1/replay".to_owned(), 400, "invalid-parameter", "of"),
        ("/v1/replay?of=shop/developmemt".to_owned(), 404, "not-found", "shop/development"),
        ("/v1/replay?of=sha256:0000".to_owned(), 404, "not-found", "sha256:0000"),
        (format!("{of}&with=templater"), 400, "invalid-parameter", "NAME@DIGEST"),
        (format!("{of}&with=templater@000000"), 422, "invalid-request", "no version of templater"),
    ] {
        let got = stage.get(&query).send().await.is(status, code);
        assert!(got.text.contains(hint), "{query}: {}", got.text);
    }
    let set =
        stage.get(&format!("/v1/deployments/{id}")).send().await.ok().json()["request"]["set"]
            .as_str()
            .unwrap()
            .to_owned();
    let got = stage.get(&format!("/v1/replay?of={set}")).send().await.is(422, "invalid-request");
    assert!(got.text.contains("a set is no deployment"), "{}", got.text);
}
