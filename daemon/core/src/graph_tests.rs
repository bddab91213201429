use serde_json::json;

use super::*;

#[allow(clippy::needless_pass_by_value)]
fn set(workloads: Value) -> DeploymentSet {
    serde_json::from_value(json!({"application": "shop", "workloads": workloads})).unwrap()
}

#[allow(clippy::needless_pass_by_value)]
fn workload(name: &str, resources: Value) -> Value {
    json!({
        "apiVersion": "score.dev/v1b1",
        "metadata": {"name": name},
        "containers": {"main": {"image": "x"}},
        "resources": resources,
    })
}

fn definitions(list: &[(&str, &str, Value)]) -> BTreeMap<Name, ResourceDefinitionSpec> {
    let mut all = vec![
        ("cluster", CLUSTER, json!({})),
        ("namespace", NAMESPACE, json!({"name": "${context.application}"})),
    ];
    all.extend_from_slice(list);
    all.into_iter()
        .map(|(name, resource_type, inputs)| {
            let spec = json!({"type": resource_type, "driver": "template", "inputs": inputs});
            (name.parse().unwrap(), serde_json::from_value(spec).unwrap())
        })
        .collect()
}

fn graph(workloads: Value, list: &[(&str, &str, Value)]) -> Result<ResourceGraph, Vec<GraphError>> {
    build(&GraphInput {
        environment: &"shop/development".parse().unwrap(),
        environment_type: &"development".parse().unwrap(),
        set: &set(workloads),
        definitions: &definitions(list),
        made_by: &BTreeMap::new(),
        values: &BTreeMap::new(),
    })
}

fn keys_in_order(graph: &ResourceGraph) -> Vec<String> {
    order(graph).unwrap().iter().map(|uid| graph.nodes[uid].key.to_string()).collect()
}

#[test]
fn placeholders_order_resources() {
    let graph = graph(
        json!({"web": workload("web", json!({
            "site": {"type": "dns"},
            "route": {"type": "route", "params": {"host": "${resources.site.host}"}},
        }))}),
        &[
            ("dns", "dns", json!({"zone": "${values.domain}"})),
            ("route", "route", json!({"namespace": "${resources.k8s-namespace.name}"})),
        ],
    )
    .unwrap();
    let keys = keys_in_order(&graph);
    let place = |key: &str| keys.iter().position(|k| k == key).unwrap();
    assert_eq!(keys.len(), 4);
    assert!(place("dns#web.site") < place("route#web.route"));
    assert!(place("k8s-namespace#environment") < place("route#web.route"));
}

#[test]
fn the_same_type_class_and_id_is_one_resource() {
    let shared = json!({"db": {"type": "postgres", "id": "main"}});
    let graph = graph(
        json!({"a": workload("a", shared.clone()), "b": workload("b", shared)}),
        &[("postgres", "postgres", json!({}))],
    )
    .unwrap();
    assert_eq!(graph.names["a"]["db"], graph.names["b"]["db"]);
    assert_eq!(graph.nodes[&graph.names["a"]["db"]].used_by.len(), 2);
}

#[test]
fn contradictions_unknown_types_and_bad_placeholders_are_reported_together() {
    let errors = graph(
        json!({
            "a": workload("a", json!({"db": {"type": "postgres", "id": "x", "params": {"v": 1}}})),
            "b": workload("b", json!({
                "db": {"type": "postgres", "id": "x", "params": {"v": 2}},
                "q": {"type": "amqp"},
                "r": {"type": "postgres", "params": {"h": "${resources.none.host} ${other}"}},
            })),
        }),
        &[("postgres", "postgres", json!({"x": "${nonsense.y}"}))],
    )
    .unwrap_err();
    let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let has = |part: &str| text.iter().any(|line| line.contains(part));
    assert!(has("different params"), "{text:?}");
    assert!(has("amqp#b.q (asked for by b)"), "{text:?}");
    assert!(has("declares no resource \"none\""), "{text:?}");
    assert!(has("${other}"), "{text:?}");
    assert!(has("${nonsense.y}"), "{text:?}");
}

#[test]
fn cycles_are_named() {
    let errors = graph(
        json!({"a": workload("a", json!({
            "x": {"type": "t", "params": {"v": "${resources.y.o}"}},
            "y": {"type": "t", "params": {"v": "${resources.x.o}"}},
        }))}),
        &[("t", "t", json!({}))],
    )
    .unwrap_err();
    let text = errors[0].to_string();
    assert!(text.contains("t#a.x") && text.contains("t#a.y"), "{text}");
}

#[test]
fn the_uid_of_a_resource_never_changes() {
    let key = ResourceKey::of_environment(NAMESPACE);
    let uid = key.uid(&"shop/development".parse().unwrap());
    assert_eq!(uid.0, "ff5aa9019cce7603");
}

#[test]
fn i8_dependents_are_taken_away_first() {
    let uid = |text: &str| Uid(text.to_owned());
    let needs = |of: &[(&str, &[&str])]| {
        of.iter()
            .map(|(name, after)| (uid(name), after.iter().map(|name| uid(name)).collect()))
            .collect()
    };
    let order = |of: &[(&str, &[&str])]| -> Vec<String> {
        dependents_first(&needs(of)).into_iter().map(|uid| uid.0).collect()
    };
    assert_eq!(order(&[("a", &[]), ("b", &["a"]), ("c", &["b", "elsewhere"])]), ["c", "b", "a"]);
    assert_eq!(order(&[("a", &["b"]), ("b", &["a"])]).len(), 2, "a cycle is cut");
}
