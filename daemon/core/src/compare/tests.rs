use proptest::prelude::*;
use serde_json::json;

use super::samples::{sets, shop};
use super::*;
use crate::plan::{Manifest, ObjectOwner};
use crate::set::patch;

fn side(set: &DeploymentSet) -> Side {
    Side {
        subject: "shop/production".parse().unwrap(),
        set: set.digest().unwrap(),
        deployment: None,
        environment: None,
        number: None,
        ended: None,
        imported: None,
    }
}

fn alone(set: DeploymentSet) -> Content {
    Content { set, resolved: Err("a set alone has none".to_owned()) }
}

fn compared(a: &Content, b: &Content, wanted: Wanted) -> Comparison {
    compare((side(&a.set), a), (side(&b.set), b), wanted).unwrap()
}

proptest! {
    #[test]
    fn what_is_shown_of_sets_is_empty_only_for_equal_ones(a in sets(), b in sets()) {
        let wanted = Wanted { part: Some(PartName::Set), documents: false };
        let (one, other) = (alone(a.clone()), alone(b.clone()));
        let found = compared(&one, &other, wanted);
        prop_assert_eq!(found.equal, a == b);
        prop_assert_eq!(found.delta.is_empty(), a == b);
        prop_assert_eq!(patch(&a, &found.delta).unwrap(), b);
        let itself = compared(&one, &one, wanted);
        prop_assert!(itself.equal && itself.delta.is_empty());
    }
}

fn plan(environment: &str, values: &Value, password: &str) -> Resolved {
    let uid = Uid(format!("{environment}-uid"));
    let secret = SecretRef { owner: uid.0.clone(), name: "password".into() };
    let plan: Plan = serde_json::from_value(json!({
        "version": 1, "environment": format!("shop/{environment}"), "environmentType": "prod",
        "set": Digest::of(b""), "workloads": [], "resources": {
            uid.0.clone(): {
                "driver": {"name": "postgres", "digest": Digest::of(b"driver")},
                "effect": "idempotent", "action": "create",
            }
        },
        "graph": {"names": {}, "nodes": {uid.0.clone(): {
            "key": {"type": "postgres", "class": "default", "id": "web.db"},
            "usedBy": ["web"], "params": {}, "definition": "pg",
            "definitionDigest": Digest::of(environment.as_bytes()), "driver": "postgres",
            "inputs": {"size": 1}, "after": [], "whenUnused": "keep",
        }}},
        "values": values, "takeOverFields": false,
    }))
    .unwrap();
    let text = |place: &str| format!("{place}{secret}");
    let object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": "web", "namespace": format!("shop-{environment}"), "uid": environment,
            "labels": {
                "deployd.dev/environment": environment, "app": "web",
                "app.kubernetes.io/instance": format!("shop-{environment}"),
            },
        },
        "spec": {"replicas": values["replicas"], "url": text("pg://")},
        "status": {"of": environment},
    });
    Resolved {
        plan,
        outputs: BTreeMap::from([(
            uid,
            json!({"host": format!("{environment}.db"), "password": text("")}),
        )]),
        fingerprints: BTreeMap::from([(secret, Digest::of(password.as_bytes()))]),
        manifests: Ok(Manifests {
            namespace: format!("shop-{environment}"),
            objects: vec![Manifest { owner: ObjectOwner::Environment, object }],
            jobs: Vec::new(),
        }),
    }
}

fn paths(comparison: &Comparison, part: PartName) -> Vec<String> {
    let part = comparison.parts.iter().find(|found| found.part == part).unwrap();
    let fields = |item: &ItemChange| -> Vec<String> {
        item.fields.iter().map(|field| format!("{}{}", item.name, field.path)).collect()
    };
    part.items.iter().flat_map(fields).collect()
}

#[test]
fn environments_differ_by_what_is_theirs() {
    let set = shop("r/web:1", &[]);
    let content = |environment: &str, replicas: u32, password: &str| Content {
        set: set.clone(),
        resolved: Ok(plan(environment, &json!({"replicas": replicas}), password)),
    };
    let (staging, production) = (content("staging", 1, "a"), content("production", 3, "b"));
    let found = compared(&staging, &production, Wanted::default());
    assert!(!found.equal && found.delta.is_empty());
    assert!(paths(&found, PartName::Set).is_empty());
    assert_eq!(
        paths(&found, PartName::Values),
        ["value replicas", "secret postgres#web.db/password"]
    );
    assert_eq!(
        paths(&found, PartName::Resources),
        ["postgres#web.db/definition/digest", "postgres#web.db/outputs/host"]
    );
    // Neither what a server wrote nor labels with the environment's name, and
    // references to secrets are the same in both.
    assert_eq!(
        paths(&found, PartName::Manifests),
        ["Deployment web/metadata/namespace", "Deployment web/spec/replicas"]
    );
    let text = serde_json::to_string(&found).unwrap();
    assert!(!text.contains(&Digest::of(b"a").hex()), "a hash of a secret is nobody's business");
    let itself = compared(&staging, &staging, Wanted::default());
    assert!(itself.equal && !itself.is_partial(), "{itself:#?}");
}

#[test]
fn the_same_secret_is_the_same_and_one_that_is_not_known_is_said_to_be() {
    let set = shop("r/web:1", &[]);
    let content = |resolved: Resolved| Content { set: set.clone(), resolved: Ok(resolved) };
    let staging = content(plan("staging", &json!({}), "same"));
    let production = content(plan("production", &json!({}), "same"));
    let wanted = Wanted { part: Some(PartName::Values), documents: false };
    assert!(compared(&staging, &production, wanted).equal);
    let mut unknown = plan("production", &json!({}), "same");
    unknown.fingerprints.clear();
    let found = compared(&staging, &content(unknown), wanted);
    assert_eq!(found.parts[0].unknown, ["secret postgres#web.db/password"]);
}

#[test]
fn a_set_has_nothing_but_itself_to_compare() {
    let set = shop("r/web:1", &[]);
    let deployed = Content { set: set.clone(), resolved: Ok(plan("staging", &json!({}), "a")) };
    let found = compared(&alone(set.clone()), &deployed, Wanted { part: None, documents: true });
    let missing: Vec<bool> = found.parts.iter().map(|part| part.missing.is_some()).collect();
    assert_eq!(missing, [false, true, true, true]);
    assert!(found.equal && found.is_partial(), "nothing differs of what could be compared");
    let sets = compared(&alone(set.clone()), &alone(set), Wanted::default());
    assert!(sets.equal && !sets.is_partial(), "two sets are compared as a whole");
}
