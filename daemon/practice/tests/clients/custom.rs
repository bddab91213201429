//! kubectl: resources that a definition adds.

use crate::stage::{Stage, has};

fn definition(group: &str) -> String {
    format!(
        r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: widgets.{group}}}
spec:
  group: {group}
  scope: Namespaced
  names: {{plural: widgets, singular: widget, kind: Widget, shortNames: [wd]}}
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {{}}
      scale: {{specReplicasPath: .spec.size, statusReplicasPath: .status.size}}
    additionalPrinterColumns:
    - {{name: Size, type: integer, jsonPath: .spec.size}}
    - {{name: Ready, type: string, jsonPath: '.status.conditions[?(@.type=="Ready")].status'}}
    - {{name: Age, type: date, jsonPath: .metadata.creationTimestamp}}
    schema:
      openAPIV3Schema:
        type: object
        required: [spec]
        properties:
          spec:
            type: object
            description: What the widget should be.
            required: [size]
            properties:
              size: {{type: integer, minimum: 1, maximum: 9}}
              colour: {{type: string, enum: [red, blue], default: red}}
              code: {{type: string, pattern: '^[a-z]+-[0-9]+$'}}
              parts:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [name]
                items: {{type: object, required: [name], properties: {{name: {{type: string}}, count: {{type: integer}}}}}}
          status: {{type: object, x-kubernetes-preserve-unknown-fields: true}}
"#
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_is_as_good_as_a_built_in_kind() {
    let stage = Stage::new("custom").await;
    let group = format!("{}.example.com", stage.namespace);
    stage.apply(&definition(&group));
    let name = format!("crd/widgets.{group}");
    stage.wait(&name, "condition=Established");
    let widget = |spec: &str| {
        format!("apiVersion: {group}/v1\nkind: Widget\nmetadata: {{name: w}}\nspec: {{{spec}}}\n")
    };
    let create = |spec: &str| stage.kubectl_with(&["create", "-f", "-"], &widget(spec));
    for (spec, said) in [
        ("colour: red", "spec.size: Required value"),
        (
            "size: 0",
            "spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1",
        ),
        (
            "size: 1, colour: green",
            "spec.colour: Unsupported value: \"green\": supported values: \"red\", \"blue\"",
        ),
        (
            "size: 1, code: x",
            "spec.code: Invalid value: \"x\": spec.code in body should match '^[a-z]+-[0-9]+$'",
        ),
        (
            "size: many",
            "spec.size: Invalid value: \"string\": spec.size in body must be of type integer: \"string\"",
        ),
    ] {
        let refused = create(spec).refused();
        has(&refused, "The Widget \"w\" is invalid: ");
        has(&refused, said);
    }
    has(&create("size: 1, sise: 2").refused(), "unknown field \"spec.sise\"");

    create("size: 2, code: a-1").ok();
    assert_eq!(stage.field("wd/w", ".spec.colour"), "red");
    let status = r#"{"status":{"size":2,"conditions":[{"type":"Ready","status":"True"}]}}"#;
    stage.kubectl(&["patch", "wd/w", "--subresource=status", "--type=merge", "-p", status]).ok();
    has(&stage.kubectl(&["get", "widgets"]).ok(), "w      2      True    ");
    stage.kubectl(&["scale", "wd/w", "--replicas=3"]).ok();
    assert_eq!(stage.field("wd/w", ".spec.size"), "3");
    assert_eq!(stage.field("wd/w", ".metadata.generation"), "2");
    stage.wait("wd/w", "condition=Ready");
    let path = format!("widgets.{group}.spec");
    has(&stage.kubectl(&["explain", &path]).ok(), "What the widget should be.");

    let apply = |manager: &str, spec: &str| {
        let manager = format!("--field-manager={manager}");
        let all = ["apply", "--server-side", manager.as_str(), "-f", "-"];
        stage.kubectl_with(&all, &widget(spec))
    };
    apply("one", "size: 3, parts: [{name: a, count: 1}]").ok();
    apply("two", "size: 3, parts: [{name: b, count: 1}]").ok();
    assert_eq!(stage.field("wd/w", ".spec.parts[*].name"), "a b");
    let said = apply("two", "size: 3, parts: [{name: a, count: 2}]").refused();
    has(&said, "conflict with \"one\": .spec.parts[name=\"a\"].count");

    stage.kubectl(&["delete", &name]).ok();
    // kubectl may still remember the kind; the server does not serve it.
    stage.kubectl(&["get", "widgets"]).refused();
}
