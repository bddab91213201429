//! Manifests of Kubernetes: what is read, and what is told of what can't be.

use deployd_config::{SourceFile, manifests};
use deployd_core::adopt::Source;
use serde_json::json;

fn read(text: &str) -> Result<Vec<Source>, String> {
    let file = SourceFile { path: "shop.yaml".into(), text: text.to_owned() };
    manifests(&[file]).map_err(|errors| deployd_config::render(&errors))
}

#[test]
fn lists_are_opened_and_places_known() {
    let text = "\
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
---
# empty
---
apiVersion: v1
kind: List
items:
  - apiVersion: v1
    kind: ConfigMap
    metadata: {name: b}
  - {apiVersion: v1, kind: ConfigMap, metadata: {name: c}}
";
    let found: Vec<(String, String)> = read(text)
        .unwrap()
        .into_iter()
        .map(|it| (it.object["metadata"]["name"].as_str().unwrap().to_owned(), it.place))
        .collect();
    let expected = [("a", "shop.yaml:1"), ("b", "shop.yaml:10"), ("c", "shop.yaml:13")];
    assert_eq!(found, expected.map(|(name, place)| (name.to_owned(), place.to_owned())));
}

#[test]
fn numbers_are_what_kubectl_reads() {
    let text = "apiVersion: v1\nkind: X\nmetadata: {name: a}\nspec: {mode: 0644, zero: 0, text: '0644', odd: 089, ten: 10}\n";
    let object = &read(text).unwrap()[0].object;
    assert_eq!(
        object["spec"],
        json!({"mode": 420, "zero": 0, "text": "0644", "odd": 89, "ten": 10})
    );
}

#[test]
fn texts_of_secrets_are_decoded() {
    let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {a: aGFsbG8=, b: /w==, c: '?', d: eA==}\nstringData: {d: y}\n";
    let object = &read(text).unwrap()[0].object;
    assert_eq!(object["stringData"], json!({"a": "hallo", "d": "y"}));
    assert_eq!(object["data"], json!({"b": "/w==", "c": "?"}));
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (text, expected) in [
        (
            "just: this\n",
            "shop.yaml:1:1: apiVersion: found nothing, expected an object of Kubernetes",
        ),
        ("- a\n", "shop.yaml:1:1: found a list"),
        ("apiVersion: v1\nkind: 3\n", "shop.yaml:2:7: kind: found 3"),
        (
            "apiVersion: v1\nkind: X\nmetadata:\n  name: 7\n",
            "shop.yaml:4:9: metadata.name: found 7, expected a name",
        ),
        ("apiVersion: v1\nkind: X\nmetadata: text\n", "metadata.name: found nothing"),
        ("apiVersion: v1\nkind: X\n  wrong: 1\n", "text that is no YAML"),
        ("a: &a [*a]\n", "an alias to a value that it is a part of"),
        (
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: []\n",
            "kustomize build DIRECTORY | deployd import --manifests -",
        ),
        ("apiVersion: score.dev/v1b1\nmetadata: {name: a}\n", "`deployd apply` takes it"),
    ] {
        let error = read(text).err().unwrap_or_else(|| panic!("{text}"));
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn what_is_too_much_is_refused_at_once() {
    let many = "apiVersion: v1\nkind: X\nmetadata: {name: a}\n---\n".repeat(10_000);
    assert!(read(&many).unwrap_err().contains("expected at most 2000 documents in a file"));
    let giant =
        format!("apiVersion: v1\nkind: X\nmetadata: {{name: a}}\nx: {}\n", "y".repeat(9 << 20));
    assert!(read(&giant).unwrap_err().contains("expected at most 8388608 bytes"));
    let mut laughs =
        "apiVersion: v1\nkind: X\nmetadata: {name: a}\na: &a [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for (one, next) in "abcdefgh".chars().zip("bcdefghi".chars()) {
        laughs.push_str(&format!("{next}: &{next} [{}*{one}]\n", format!("*{one},").repeat(8)));
    }
    let error = read(&laughs).unwrap_err();
    assert!(error.contains("shop.yaml:") && error.contains("aliases"), "{error}");
    let deep = format!("apiVersion: v1\nkind: X\nx: {}{}\n", "[".repeat(5000), "]".repeat(5000));
    assert!(read(&deep).unwrap_err().contains("within each other"));
    let list = "{apiVersion: v1, kind: List, items: [".repeat(5) + &"]}".repeat(5);
    assert!(read(&list).unwrap_err().contains("more than 3 lists"));
}
