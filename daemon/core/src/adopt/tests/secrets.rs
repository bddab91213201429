//! Values of secrets go nowhere.

use super::*;

fn secret(values: &Value, annotations: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {"name": "db.credentials", "annotations": annotations},
        "stringData": values,
    })
}

#[test]
fn a_secret_becomes_secrets_of_the_operator() {
    let values = json!({"password": "s3cr3t-value", "tls.crt": "another-value"});
    let adoption = proposal(&[secret(&values, &json!({"team": "shop"}))]);
    let definition = adoption.definitions.last().unwrap();
    assert_eq!(definition.spec.driver.as_ref().unwrap().as_str(), "shop-live-secrets");
    let name = "shop-live-db-credentials-tls-crt";
    assert_eq!(definition.spec.inputs["secrets"]["tls.crt"], json!({"granted": name}));
    let manifest = &definition.spec.inputs["manifests"][0];
    assert_eq!(manifest["stringData"]["tls.crt"], "{{ secrets['tls.crt'] }}");
    assert_eq!(manifest["metadata"]["annotations"], json!({"team": "shop"}));
    let grant = &adoption.plugins.last().unwrap().spec.grant;
    assert_eq!(grant.secrets[name], name);
    assert_eq!(
        adoption.secrets[1].command(),
        "kubectl get secret db.credentials --namespace shop --output go-template='{{index .data \"tls.crt\" | base64decode}}' | deployd secret set shop-live-db-credentials-tls-crt"
    );
}

#[test]
fn commands_are_safe_for_shells() {
    let set = SecretToSet {
        name: "a".parse().unwrap(),
        secret: "x'; rm -rf ~ #".to_owned(),
        namespace: "$(id)".to_owned(),
        key: "k".to_owned(),
    };
    let command = set.command();
    assert!(command.contains(r"'x'\''; rm -rf ~ #'"), "{command}");
    assert!(command.contains("'$(id)'"), "{command}");
}

#[test]
fn what_can_not_be_a_secret_of_the_operator_stays() {
    let mut binary = secret(&json!({"a": "text-value"}), &json!({}));
    binary["data"] = json!({"b": "/w=="});
    let told = secret(&json!({"a": "text-value"}), &json!({"note": "is text-value"}));
    let marked = secret(&json!({"a": "text-value"}), &json!({"note": "⟦secret:operator/x⟧"}));
    for (object, expected) in
        [(binary, "no text"), (told, "tell a value"), (marked, "reference to a secret")]
    {
        let adoption = proposal(&[simple("web", json!({})), object]);
        let Place::NotCarriedOver { why, .. } = place_of(&adoption, "Secret") else {
            panic!("{:?}", adoption.placed)
        };
        assert!(why.contains(expected), "{why}");
        assert!(adoption.secrets.is_empty());
        let found = check(&adoption, &[], &options());
        let secret = found.iter().find(|it| it.object.kind == "Secret").unwrap();
        assert_eq!(secret.outcome, Outcome::NotCarriedOver { why: why.clone() });
    }
}

proptest! {
    #[test]
    fn no_value_of_a_secret_is_told(
        values in prop::collection::btree_map("[a-zA-Z0-9._-]{1,12}", "[a-zA-Z0-9/+${}\\n ]{12,40}", 1..5),
        noted in any::<bool>(),
        kind in "[a-z]{0,8}",
    ) {
        let values: Value = values.into_iter().map(|(key, value)| (key, Value::from(value))).collect::<Map<_, _>>().into();
        let applied = json!({"kubectl.kubernetes.io/last-applied-configuration": values.to_string()});
        let mut object = secret(&values, &json!({}));
        if noted {
            object["metadata"]["annotations"] = applied;
        }
        object["type"] = json!(kind);
        let adoption = proposal(&[simple("web", json!({"envFrom": [{"secretRef": {"name": "db.credentials"}}]})), object]);
        let commands: Vec<String> = adoption.secrets.iter().map(SecretToSet::command).collect();
        let told = json!([
            adoption.workloads, adoption.application, adoption.environment,
            adoption.environment_type, adoption.definitions, adoption.plugins,
            adoption.secrets, adoption.placed, adoption.notes, commands,
            check(&adoption, &[], &options()),
        ]);
        let mut texts = Vec::new();
        strings(&told, &mut texts);
        for value in values.as_object().unwrap().values().filter_map(Value::as_str) {
            prop_assert!(!texts.iter().any(|text| text.contains(value)), "{value}");
        }
    }
}

fn strings<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(items) => items.iter().for_each(|item| strings(item, found)),
        Value::Object(fields) => fields.iter().for_each(|(key, field)| {
            found.push(key);
            strings(field, found);
        }),
        _ => {}
    }
}
