#![expect(clippy::needless_pass_by_value, reason = "json!(…) reads better without a & before it")]

use super::*;
use deployd_plugin_sdk::testing::{self, FakeHost};
use serde_json::json;

fn request(params: Value, inputs: Value) -> Request<Template> {
    testing::request(&params, &inputs).unwrap()
}

fn provision(host: &FakeHost, params: Value, inputs: Value) -> Result<Provisioned<State>, Fault> {
    match Template::provision(&request(params, inputs), None, host)? {
        Progress::Done(provisioned) => Ok(provisioned),
        Progress::Pending(_) => panic!("nothing to wait for"),
    }
}

fn outputs(params: Value, outputs: Value) -> Result<Value, Fault> {
    let host = FakeHost::new();
    let provisioned = provision(&host, params, json!({"outputs": outputs}))?;
    Ok(Value::Object(provisioned.outputs))
}

fn redis() -> Value {
    json!({
        "values": {"image": "redis:7.4"},
        "secrets": {"password": {"length": 24}},
        "outputs": {"host": "redis-{{ short }}", "port": 6379, "password": "{{ secrets.password }}"},
        "manifests": [
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "{{ outputs.host }}"},
                "stringData": {"url": "redis://:{{ secrets.password }}@{{ outputs.host }}"},
            },
            "{{ none if not params.metrics }}",
        ],
    })
}

#[test]
fn a_resource_is_made_from_its_definition_alone() {
    let host = FakeHost::new();
    let provisioned = provision(&host, json!({}), redis()).unwrap();
    let name = provisioned.outputs["host"].as_str().unwrap();
    assert_eq!(provisioned.outputs["port"], 6379);
    assert_eq!(provisioned.manifests.len(), 1);
    assert_eq!(provisioned.manifests[0]["metadata"]["name"], name);
    assert_eq!(
        provisioned.manifests[0]["stringData"]["url"],
        format!("redis://:⟦secret:generated/password⟧@{name}")
    );
    assert_eq!(host.generated()["password"].length, 24);
}

#[test]
fn a_plan_shows_outputs_and_generates_nothing() {
    let host = FakeHost::new();
    let planned = Template::plan(&request(json!({}), redis()), &host).unwrap();
    assert_eq!(planned.action, Action::Create);
    assert_eq!(planned.outputs["port"], 6379);
    assert!(!planned.outputs.contains_key("password"), "known only after provisioning");
    assert!(planned.summary[0].starts_with("Secret redis-"), "{:?}", planned.summary);
    assert!(host.generated().is_empty());
}

#[test]
fn a_plan_tells_whether_anything_changes() {
    let host = FakeHost::new();
    let state = provision(&host, json!({}), redis()).unwrap().state;
    let mut same = request(json!({}), redis());
    same.state = Some(state);
    assert_eq!(Template::plan(&same, &host).unwrap().action, Action::None);
    same.inputs = request(json!({}), json!({"outputs": {"host": "other"}})).inputs;
    assert_eq!(Template::plan(&same, &host).unwrap().action, Action::Update);
}

#[test]
fn one_expression_keeps_its_type_and_text_is_text() {
    let params = json!({"size": 5, "on": true, "tags": ["a"], "name": "x"});
    let rendered = outputs(
        params,
        json!({
            "size": "{{ params.size }}",
            "on": "{{ params.on }}",
            "tags": "{{ params.tags }}",
            "object": "{{ {'a': {'b': params.size}} }}",
            "text": "{{ params.size }}Gi",
            "two": "{{ params.name }}-{{ params.size }}",
            "plain": "no template",
        }),
    )
    .unwrap();
    assert_eq!(
        rendered,
        json!({
            "size": 5,
            "on": true,
            "tags": ["a"],
            "object": {"a": {"b": 5}},
            "text": "5Gi",
            "two": "x-5",
            "plain": "no template",
        })
    );
}

#[test]
fn what_is_undefined_is_named_by_its_place() {
    for leaf in ["{{ params.size }}", "{{ params.size }}Gi", "{{ size | dns_label }}"] {
        let fault = outputs(json!({}), json!({"disk": {"a/b": [leaf]}})).unwrap_err();
        let text = fault.to_string();
        assert!(text.contains("/inputs/outputs/disk/a~1b/0: undefined value"), "{text}");
    }
}

#[test]
fn a_broken_template_is_named_by_its_place() {
    let fault = outputs(json!({}), json!({"x": "{{ 1 + }} {% if %}"})).unwrap_err();
    assert!(fault.to_string().contains("/inputs/outputs/x: syntax error"), "{fault}");
}

#[test]
fn a_manifest_that_is_no_object_of_kubernetes_is_refused() {
    let inputs = json!({"manifests": [{"apiVersion": "v1", "kind": "Secret"}]});
    let fault = provision(&FakeHost::new(), json!({}), inputs).unwrap_err();
    assert!(fault.to_string().contains("/inputs/manifests/0/metadata/name"), "{fault}");
}

#[test]
fn filters_make_names_and_base64() {
    let rendered = outputs(
        json!({"name": "My DB!"}),
        json!({"label": "{{ params.name | dns_label }}", "b64": "{{ params.name | b64encode }}"}),
    )
    .unwrap();
    assert_eq!(rendered, json!({"label": "my-db", "b64": "TXkgREIh"}));
}

#[test]
fn every_render_is_the_same() {
    let once = provision(&FakeHost::new(), json!({}), redis()).unwrap();
    let twice = provision(&FakeHost::new(), json!({}), redis()).unwrap();
    assert_eq!(once, twice);
}

#[test]
fn a_secret_can_not_be_hidden_in_base64() {
    let inputs = json!({
        "secrets": {"key": {}},
        "outputs": {"b64": "{{ secrets.key | b64encode }}"},
    });
    let fault = provision(&FakeHost::new(), json!({}), inputs).unwrap_err();
    assert!(fault.to_string().contains("stringData"), "{fault}");
}

#[test]
fn the_last_newline_of_a_file_stays() {
    let rendered = outputs(json!({"a": 1}), json!({"file": "a = {{ params.a }}\n"})).unwrap();
    assert_eq!(rendered["file"], "a = 1\n");
}

#[test]
fn a_secret_of_the_operator_is_referred_to_and_never_generated() {
    let inputs = || {
        json!({
            "secrets": {"db.password": {"granted": "shop-db"}},
            "manifests": [{
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "db"},
                "stringData": {"db.password": "{{ secrets['db.password'] }}"},
            }],
        })
    };
    let host = FakeHost::new().grant_secret("shop-db", "s3cr3t");
    let made = provision(&host, json!({}), inputs()).unwrap();
    assert_eq!(made.manifests[0]["stringData"]["db.password"], "⟦secret:granted/shop-db⟧");
    assert!(host.generated().is_empty());
    let mut again = request(json!({}), inputs());
    again.state = Some(made.state);
    assert_eq!(Template::plan(&again, &FakeHost::new()).unwrap().action, Action::None);
    let other = json!({"secrets": {"db.password": {"granted": "other"}},
        "manifests": inputs()["manifests"]});
    again.inputs = request(json!({}), other).inputs;
    assert_eq!(Template::plan(&again, &host).unwrap().action, Action::Update);
    assert!(provision(&FakeHost::new(), json!({}), inputs()).is_err(), "it is not granted");
}
