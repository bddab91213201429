//! Custom resources.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::wait::{await_condition, conditions};
use serde_json::{Value, json};

use crate::stage::{GUARD, Stage, read, refusal};

fn definition() -> Value {
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "tills.shop.test"},
        "spec": {"group": "shop.test", "scope": "Namespaced",
            "names": {"plural": "tills", "kind": "Till", "shortNames": ["tl"]},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "required": ["size"], "properties": {
                        "size": {"type": "integer", "minimum": 1},
                        "mode": {"type": "string", "enum": ["on", "off"], "default": "on"},
                        "slots": {"type": "array", "x-kubernetes-list-type": "map",
                            "x-kubernetes-list-map-keys": ["id"],
                            "items": {"type": "object", "required": ["id"], "properties": {
                                "id": {"type": "string"}, "label": {"type": "string"}}}},
                        "rest": {"type": "array", "items": {"type": "string"}}}},
                    "status": {"type": "object",
                        "x-kubernetes-preserve-unknown-fields": true}}}}}]}})
}

async fn established(stage: &Stage) {
    let api = Api::<CustomResourceDefinition>::all(stage.client.clone());
    api.create(&PostParams::default(), &read(definition())).await.unwrap();
    let wait = await_condition(api, "tills.shop.test", conditions::is_crd_established());
    tokio::time::timeout(GUARD, wait).await.unwrap().unwrap();
}

fn till(spec: &Value) -> Value {
    json!({"apiVersion": "shop.test/v1", "kind": "Till", "metadata": {"name": "t"}, "spec": spec})
}

#[tokio::test]
async fn a_definition_is_established_and_its_objects_served() {
    let stage = Stage::with_namespace("a").await;
    let api = stage.any("shop.test", "v1", "Till", "a");
    let object = read(till(&json!({"size": 2, "unknown": 1})));
    assert_eq!(refusal(api.create(&PostParams::default(), &object).await).code, 404);
    established(&stage).await;
    let made = api.create(&PostParams::default(), &object).await.unwrap();
    assert_eq!(made.data["spec"], json!({"size": 2, "mode": "on"}));
    assert_eq!(made.metadata.generation, Some(1));
    let status = json!({"apiVersion": "shop.test/v1", "kind": "Till",
        "status": {"open": true}, "spec": {"size": 9}});
    let found =
        api.patch_status("t", &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    assert_eq!(found.data["status"], json!({"open": true}));
    assert_eq!(found.data["spec"]["size"], 2);
    assert_eq!(found.metadata.generation, Some(1));

    let bad = read(till(&json!({"size": 0, "mode": "maybe"})));
    let mut bad: kube::api::DynamicObject = bad;
    bad.metadata.name = Some("u".to_owned());
    let status = refusal(api.create(&PostParams::default(), &bad).await);
    assert_eq!(status.code, 422);
    assert!(
        status
            .message
            .contains("spec.mode: Unsupported value: \"maybe\": supported values: \"on\", \"off\""),
        "{}",
        status.message
    );
    assert!(status.message.contains("should be greater than or equal to 1"), "{}", status.message);

    let definitions = Api::<CustomResourceDefinition>::all(stage.client.clone());
    definitions.delete("tills.shop.test", &DeleteParams::default()).await.unwrap();
    stage
        .wait("the definition gone", |o| {
            o.get("customresourcedefinitions.apiextensions.k8s.io", "", "tills.shop.test").is_none()
        })
        .await;
    assert_eq!(refusal(api.get("t").await).code, 404);
}

#[tokio::test]
async fn lists_merge_as_the_schema_says() {
    let stage = Stage::with_namespace("a").await;
    established(&stage).await;
    let api = stage.any("shop.test", "v1", "Till", "a");
    let ours = till(&json!({"size": 1, "slots": [{"id": "a", "label": "x"}], "rest": ["1"]}));
    let theirs = till(&json!({"size": 1, "slots": [{"id": "b"}]}));
    let one = PatchParams::apply("one");
    api.patch("t", &one, &Patch::Apply(&ours)).await.unwrap();
    let found = api.patch("t", &PatchParams::apply("two"), &Patch::Apply(&theirs)).await.unwrap();
    assert_eq!(found.data["spec"]["slots"], json!([{"id": "a", "label": "x"}, {"id": "b"}]));
    let clash = till(&json!({"size": 1, "rest": ["2"]}));
    let status = refusal(api.patch("t", &PatchParams::apply("two"), &Patch::Apply(&clash)).await);
    assert_eq!(status.message, "Apply failed with 1 conflict: conflict with \"one\": .spec.rest");
}
