//! Sets for properties: with several containers, files, shared resources, and
//! names that pointers have to escape.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::score::{Container, File, Resource, Workload};
use crate::set::DeploymentSet;

/// Names of few letters, so that two sets have some in common.
const KEYS: &str = "[ab/~]{1,2}";

fn container() -> impl Strategy<Value = Container> {
    (
        "[a-c.]{1,2}",
        prop::collection::btree_map("[A-B/~]{1,2}", "[a-z$]{0,2}", 0..3),
        prop::collection::btree_map(KEYS, file(), 0..2),
        prop::option::of(prop::collection::vec("[a-b]{0,1}", 0..3)),
    )
        .prop_map(|(image, variables, files, args)| Container {
            image,
            variables,
            files,
            args,
            ..Container::default()
        })
}

fn file() -> impl Strategy<Value = File> {
    (prop::option::of("0?[67]44"), "[a-b\n]{0,4}").prop_map(|(mode, content)| File {
        mode,
        content: Some(content),
        ..File::default()
    })
}

fn resource() -> impl Strategy<Value = Resource> {
    let params = prop::collection::btree_map(KEYS, value(), 0..3);
    ("(postgres|dns)", prop::option::of("[a-b]{2}"), params).prop_map(
        |(resource_type, id, params)| Resource {
            resource_type,
            class: None,
            id,
            metadata: None,
            params,
        },
    )
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..3i64).prop_map(Value::from),
        "[a-b]{0,1}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 6, 2, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..2).prop_map(Value::from),
            prop::collection::btree_map(KEYS, inner, 0..2).prop_map(|map| json!(map)),
        ]
    })
}

fn workload() -> impl Strategy<Value = Workload> {
    (
        prop::collection::btree_map("(main|side|init)", container(), 1..3),
        prop::collection::btree_map("(db|dns)", resource(), 0..2),
        prop::collection::btree_map(KEYS, "[a-b]{0,1}", 0..2),
    )
        .prop_map(|(containers, resources, annotations)| {
            let mut workload = empty("web");
            workload.containers = containers;
            workload.resources = resources;
            workload.metadata.annotations = annotations;
            workload
        })
}

/// A workload without containers.
pub(crate) fn empty(name: &str) -> Workload {
    serde_json::from_value(json!({
        "apiVersion": "score.dev/v1b1", "metadata": {"name": name}, "containers": {}
    }))
    .unwrap()
}

/// Sets that have something in common, and something not.
pub(crate) fn sets() -> impl Strategy<Value = DeploymentSet> {
    let workloads = prop::collection::btree_map("(web|api|job/~1)", workload(), 0..3);
    let resources = prop::collection::btree_map("(db|cache|a/~b)", resource(), 0..3);
    (workloads, resources).prop_map(|(workloads, resources)| DeploymentSet {
        application: "shop".parse().unwrap(),
        workloads,
        resources,
    })
}

/// A set of one workload of one container.
pub(crate) fn shop(image: &str, variables: &[(&str, &str)]) -> DeploymentSet {
    let mut workload = empty("web");
    let variables =
        variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let container = Container { image: image.to_owned(), variables, ..Container::default() };
    workload.containers.insert("main".to_owned(), container);
    DeploymentSet {
        application: "shop".parse().unwrap(),
        workloads: BTreeMap::from([("web".to_owned(), workload)]),
        resources: BTreeMap::new(),
    }
}
