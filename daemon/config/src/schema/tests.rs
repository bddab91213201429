use super::*;

#[test]
fn every_kind_has_one_with_a_name_and_words() {
    for kind in DocumentKind::ALL {
        let schema = schema_for(kind);
        assert_eq!(schema["$id"], format!("https://deployd.dev/schemas/v1/{kind}.json"));
        assert!(schema["title"].is_string(), "{kind}");
        let description = schema["description"].as_str().unwrap();
        assert!(!description.contains("spec `S`"), "{kind}: {description}");
        jsonschema::draft202012::meta::validate(schema).unwrap();
        jsonschema::draft202012::new(schema).unwrap();
    }
}

#[test]
fn nothing_in_them_is_for_rust_alone() {
    let text = serde_json::to_string(schemas()).unwrap();
    assert!(!text.contains("\"null\""), "{text}");
    assert!(!text.contains("\"uint"), "{text}");
}

#[test]
fn the_combined_one_speaks_of_the_kind_at_hand() {
    let schema = combined_schema();
    jsonschema::draft202012::meta::validate(schema).unwrap();
    let validator = jsonschema::draft202012::new(schema).unwrap();
    let document = json!({
        "apiVersion": API_VERSION,
        "kind": "Environment",
        "metadata": {"name": "development"},
        "spec": {"application": "shop", "type": "development"},
    });
    assert!(validator.is_valid(&document));
    let mut wrong = document.clone();
    wrong["spec"]["typ"] = json!("x");
    assert_eq!(validator.iter_errors(&wrong).count(), 1);
    let mut wrong = document;
    wrong["kind"] = json!("Nothing");
    assert!(!validator.is_valid(&wrong));
    // No definition of one kind hides that of another.
    for (kind, own) in schemas() {
        for (name, definition) in own["$defs"].as_object().unwrap() {
            assert_eq!(&schema["$defs"][name], definition, "{kind}: {name}");
        }
    }
}
