use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Refusal, Writer, track};
use crate::json;
use crate::schema::Type;

const DEPLOYMENT: Type = Type::Named("Deployment");

fn by(manager: &str) -> Writer<'_> {
    Writer {
        manager,
        api_version: "apps/v1",
        subresource: "",
        has_status: true,
        time: "2026-01-01T00:00:00Z",
    }
}

fn apply(
    live: &Value,
    config: &Value,
    ty: &Type,
    writer: Writer<'_>,
    force: bool,
) -> Result<Value, Refusal> {
    super::apply(live, config.clone(), ty, writer, force)
}

fn config(spec: &Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "shop", "namespace": "a"}, "spec": spec})
}

fn container(fields: &Value) -> Value {
    json!({"template": {"spec": {"containers": [fields]}}})
}

fn owned(object: &Value, manager: &str) -> Vec<String> {
    super::managed::read(object)
        .into_iter()
        .filter(|owner| owner.manager == manager)
        .flat_map(|owner| owner.fields.paths())
        .collect()
}

#[test]
fn an_applier_owns_what_it_sends() {
    let object = apply(
        &json!({}),
        &config(&container(
            &json!({"name": "app", "image": "x:1", "ports": [{"containerPort": 80}]}),
        )),
        &DEPLOYMENT,
        by("a"),
        false,
    )
    .unwrap();
    assert_eq!(
        owned(&object, "a"),
        [
            ".spec.template.spec.containers[name=\"app\"]",
            ".spec.template.spec.containers[name=\"app\"].image",
            ".spec.template.spec.containers[name=\"app\"].name",
            ".spec.template.spec.containers[name=\"app\"].ports[containerPort=80,protocol=\"TCP\"]",
            ".spec.template.spec.containers[name=\"app\"].ports[containerPort=80,protocol=\"TCP\"].containerPort",
        ]
    );
    assert_eq!(object["metadata"]["managedFields"][0]["operation"], "Apply");
}

#[test]
fn a_field_that_is_no_longer_sent_goes() {
    let first = config(&container(&json!({"name": "app", "image": "x:1",
        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]})));
    let second = config(&container(&json!({"name": "app", "image": "x:1",
        "env": [{"name": "B", "value": "2"}]})));
    let object = apply(&json!({}), &first, &DEPLOYMENT, by("a"), false).unwrap();
    let object = apply(&object, &second, &DEPLOYMENT, by("a"), false).unwrap();
    let env = object.pointer("/spec/template/spec/containers/0/env");
    assert_eq!(env, Some(&json!([{"name": "B", "value": "2"}])));
}

#[test]
fn a_struct_goes_with_its_defaults_when_its_applier_lets_go() {
    let first = config(&json!({"replicas": 1, "strategy": {"rollingUpdate": {"maxSurge": 2}}}));
    let mut object = apply(&json!({}), &first, &DEPLOYMENT, by("a"), false).unwrap();
    json::put(&mut object, &["spec", "strategy", "type"], "RollingUpdate");
    let second = config(&json!({"replicas": 1}));
    let object = apply(&object, &second, &DEPLOYMENT, by("a"), false).unwrap();
    assert_eq!(object["spec"], json!({"replicas": 1}));
}

#[test]
fn another_owner_keeps_its_field() {
    let first = config(&json!({"replicas": 1, "paused": true}));
    let object = apply(&json!({}), &first, &DEPLOYMENT, by("a"), false).unwrap();
    let object =
        apply(&object, &config(&json!({"paused": true})), &DEPLOYMENT, by("b"), false).unwrap();
    let object =
        apply(&object, &config(&json!({"replicas": 1})), &DEPLOYMENT, by("a"), false).unwrap();
    assert_eq!(object["spec"], json!({"replicas": 1, "paused": true}));
    assert_eq!(owned(&object, "b"), [".spec.paused"]);
}

#[test]
fn conflicts_are_told_as_the_api_server_tells_them() {
    let object = apply(
        &json!({}),
        &config(&json!({"replicas": 1, "paused": true})),
        &DEPLOYMENT,
        by("a"),
        false,
    )
    .unwrap();
    let wanted = config(&json!({"replicas": 2}));
    let refusal = apply(&object, &wanted, &DEPLOYMENT, by("b"), false).unwrap_err();
    let Refusal::Conflicts { message, causes } = refusal else {
        panic!("{refusal:?}");
    };
    assert_eq!(message, "Apply failed with 1 conflict: conflict with \"a\": .spec.replicas");
    assert_eq!(
        causes,
        [json!({"reason": "FieldManagerConflict", "message": "conflict with \"a\"",
            "field": ".spec.replicas"})]
    );
    let wanted = config(&json!({"replicas": 2, "paused": false}));
    let Err(Refusal::Conflicts { message, .. }) =
        apply(&object, &wanted, &DEPLOYMENT, by("b"), false)
    else {
        panic!("no conflict");
    };
    assert_eq!(
        message,
        "Apply failed with 2 conflicts: conflicts with \"a\":\n- .spec.paused\n- .spec.replicas"
    );
    let forced = apply(&object, &wanted, &DEPLOYMENT, by("b"), true).unwrap();
    assert_eq!(forced["spec"]["replicas"], 2);
    assert!(owned(&forced, "a").is_empty());
}

#[test]
fn an_update_takes_fields_and_conflicts_with_its_version() {
    let object =
        apply(&json!({}), &config(&json!({"replicas": 1})), &DEPLOYMENT, by("a"), false).unwrap();
    let mut scaled = object.clone();
    json::put(&mut scaled, &["spec", "replicas"], 5);
    track(&object, &mut scaled, &DEPLOYMENT, by("kubectl-scale"));
    assert_eq!(owned(&scaled, "kubectl-scale"), [".spec.replicas"]);
    assert!(owned(&scaled, "a").is_empty());
    let Err(Refusal::Conflicts { message, .. }) =
        apply(&scaled, &config(&json!({"replicas": 1})), &DEPLOYMENT, by("a"), false)
    else {
        panic!("no conflict");
    };
    assert_eq!(
        message,
        "Apply failed with 1 conflict: conflict with \"kubectl-scale\" using apps/v1: .spec.replicas"
    );
}

#[test]
fn a_malformed_configuration_is_refused() {
    for (spec, expected) in [
        (json!({"replica": 1}), ".spec.replica: field not declared in schema"),
        (
            json!({"template": {"spec": {"containers": [{"name": "a"}, {"name": "a"}]}}}),
            ".spec.template.spec.containers: duplicate entries for key [name=\"a\"]",
        ),
        (json!({"replicas": "1"}), ".spec.replicas: expected numeric (int or float), got &{1}"),
    ] {
        let refusal = apply(&json!({}), &config(&spec), &DEPLOYMENT, by("a"), false).unwrap_err();
        assert_eq!(refusal, Refusal::Malformed(expected.to_owned()));
    }
}

#[test]
fn items_keep_their_order_and_take_new_ones_in_theirs() {
    let list = |names: &[&str]| {
        let items: Vec<Value> = names.iter().map(|n| json!({"name": n, "image": "x"})).collect();
        config(&json!({"template": {"spec": {"containers": items}}}))
    };
    let names = |object: &Value| -> Vec<String> {
        json::items(object, "/spec/template/spec/containers")
            .iter()
            .map(|item| json::text(item, "/name").to_owned())
            .collect()
    };
    let object = apply(&json!({}), &list(&["a", "b"]), &DEPLOYMENT, by("x"), false).unwrap();
    let object = apply(&object, &list(&["c", "a"]), &DEPLOYMENT, by("y"), false).unwrap();
    assert_eq!(names(&object), ["c", "a", "b"]);
    let object = apply(&object, &list(&["b"]), &DEPLOYMENT, by("x"), false).unwrap();
    assert_eq!(names(&object), ["c", "a", "b"]);
    let object = apply(&object, &list(&["c"]), &DEPLOYMENT, by("y"), false).unwrap();
    assert_eq!(names(&object), ["c", "b"]);
}

/// A configuration over a few fields, labels and containers.
fn any_config(prefix: &'static str) -> impl Strategy<Value = Value> {
    let labels = prop::collection::btree_map("[a-c]", "[x-z]", 0..3);
    let containers = prop::collection::btree_map("[a-c]", ("[x-z]", any::<bool>()), 0..3);
    let tolerations = prop::collection::vec("[a-c]", 0..3);
    (labels, containers, tolerations, any::<Option<bool>>()).prop_map(
        move |(labels, containers, tolerations, paused)| {
            let labels: serde_json::Map<String, Value> = labels
                .into_iter()
                .map(|(key, value)| (format!("{prefix}{key}"), Value::from(value)))
                .collect();
            let containers: Vec<Value> = containers
                .into_iter()
                .map(|(name, (image, tty))| {
                    json!({"name": format!("{prefix}{name}"), "image": image, "tty": tty,
                        "env": [{"name": image, "value": name}]})
                })
                .collect();
            let mut spec = json!({"template": {"metadata": {"labels": labels},
                "spec": {"containers": containers}}});
            if prefix.is_empty() {
                let tolerations: Vec<Value> =
                    tolerations.iter().map(|key| json!({"key": key})).collect();
                json::put(&mut spec, &["template", "spec", "tolerations"], tolerations);
                if let Some(paused) = paused {
                    json::put(&mut spec, &["paused"], paused);
                }
            }
            config(&spec)
        },
    )
}

/// Everything of a configuration is in an object.
fn contains(object: &Value, part: &Value) -> bool {
    match (object, part) {
        (Value::Object(all), Value::Object(some)) => {
            some.iter().all(|(key, value)| all.get(key).is_some_and(|found| contains(found, value)))
        }
        (Value::Array(all), Value::Array(some)) => {
            some.iter().all(|value| all.iter().any(|found| contains(found, value)))
        }
        (object, part) => object == part,
    }
}

fn spec_of(object: &Value) -> Value {
    let mut object = object.clone();
    json::take(&mut object, &["metadata"]);
    object
}

proptest! {
    #[test]
    fn applying_twice_changes_nothing(config in any_config("")) {
        let once = apply(&json!({}), &config, &DEPLOYMENT, by("a"), false).unwrap();
        let twice = apply(&once, &config, &DEPLOYMENT, by("a"), false).unwrap();
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn the_last_configuration_of_a_lone_applier_is_the_object(
        first in any_config(""), second in any_config("")
    ) {
        let object = apply(&json!({}), &first, &DEPLOYMENT, by("a"), false).unwrap();
        let object = apply(&object, &second, &DEPLOYMENT, by("a"), false).unwrap();
        let fresh = apply(&json!({}), &second, &DEPLOYMENT, by("a"), false).unwrap();
        prop_assert!(contains(&spec_of(&object), &spec_of(&fresh)));
        prop_assert!(contains(&spec_of(&fresh), &spec_of(&object)));
    }

    #[test]
    fn disjoint_appliers_keep_both(
        ours in any_config("a"), theirs in any_config("b"), later in any_config("a")
    ) {
        let object = apply(&json!({}), &ours, &DEPLOYMENT, by("a"), false).unwrap();
        let object = apply(&object, &theirs, &DEPLOYMENT, by("b"), false).unwrap();
        prop_assert!(contains(&object, &ours));
        prop_assert!(contains(&object, &theirs));
        let object = apply(&object, &later, &DEPLOYMENT, by("a"), false).unwrap();
        prop_assert!(contains(&object, &later));
        prop_assert!(contains(&object, &theirs));
    }

    #[test]
    fn forcing_always_wins(ours in any_config(""), theirs in any_config("")) {
        let object = apply(&json!({}), &ours, &DEPLOYMENT, by("a"), false).unwrap();
        let object = apply(&object, &theirs, &DEPLOYMENT, by("b"), true).unwrap();
        prop_assert!(contains(&object, &theirs));
    }
}
