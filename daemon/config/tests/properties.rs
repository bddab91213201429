//! Whatever is given, an answer comes, soon, and without a panic.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that can't go on should fail where it is"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use deployd_config::{NoFiles, Sent, SourceFile, named_files, read, to_yaml, to_yaml_documents};
use proptest::prelude::*;
use serde_json::{Value, json};

fn file(text: impl Into<String>) -> SourceFile {
    SourceFile { path: "config/a.yaml".into(), text: text.into() }
}

/// Reads a text in every way there is.
fn survives(text: &str) {
    let files = [file(text)];
    named_files(&files);
    if let Err(errors) = read(&files, &Sent(BTreeMap::new())) {
        assert!(!errors.is_empty());
        for error in errors {
            // Messages are one line and a help, whatever is in the text.
            assert!(error.to_string().lines().count() <= 2, "{error}");
        }
    }
}

fn fixtures() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/documents");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == "yaml"))
        .collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

/// What YAML is made of, so that random texts get past the scanner.
fn yaml_like() -> impl Strategy<Value = String> {
    let pieces = [
        "a: ",
        "b:",
        "- ",
        "? ",
        ": ",
        "\n",
        "\n  ",
        "\n    ",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "&x ",
        "*x",
        "!!str ",
        "!t ",
        "|\n",
        ">-\n",
        "'",
        "\"",
        "#",
        " ",
        "\t",
        "---\n",
        "...\n",
        "%YAML 1.2\n",
        "~",
        "1",
        "0x1",
        ".inf",
        "ä",
        "🦀",
        "\u{feff}",
        "\\",
        "$",
        "${metadata.name}",
        "\r\n",
        "\0",
        "<<: ",
        "apiVersion: score.dev/v1b1\n",
        "apiVersion: deployd.dev/v1\n",
        "kind: Application\n",
        "metadata: {name: shop}\n",
        "spec:\n",
        "containers:\n",
        "  api:\n",
        "    files:\n",
        "    image: .\n",
        "resources:\n",
        "workloads: [shop]\n",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..60).prop_map(|all| all.concat())
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("JSON has no others", |n| n.is_finite()).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        yaml_like().prop_map(Value::from),
        "[-+0-9.eExob_:~]{0,8}".prop_map(Value::from),
        "(?s)[ \na-c#:\\-]{0,40}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(
                prop_oneof![any::<String>(), "[-+0-9.eExob_:~ #]{0,6}", Just("<<".to_owned())],
                inner,
                0..6
            )
            .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// A document that may hold any value at all.
fn carrier(value: &Value) -> Value {
    json!({
        "apiVersion": "deployd.dev/v1",
        "kind": "ResourceDefinition",
        "metadata": {"name": "carrier"},
        "spec": {"type": "x", "driver": "template", "inputs": {"value": value}},
    })
}

const DRIVER: &str = "---\napiVersion: deployd.dev/v1\nkind: Plugin\nmetadata: {name: template}\n\
                      spec: {kind: driver, source: {shipped: template}}\n";

/// What reading a carrier gives back.
fn carried(text: &str) -> Result<Value, String> {
    let documents = read(&[file(format!("{text}\n{DRIVER}"))], &NoFiles)
        .map_err(|errors| deployd_config::render(&errors))?;
    let document = serde_json::to_value(&documents[0].document).unwrap();
    Ok(document["spec"]["inputs"]["value"].clone())
}

/// Placeholders and references to secrets are looked at, which is not the point here.
fn is_plain(value: &Value) -> bool {
    let text = value.to_string();
    !text.contains("${") && !text.contains('\u{27e6}')
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_survived(text in any::<String>()) {
        survives(&text);
    }

    #[test]
    fn anything_like_yaml_is_survived(text in yaml_like()) {
        survives(&text);
    }

    #[test]
    fn any_change_of_a_fixture_is_survived(
        which in any::<prop::sample::Index>(),
        from in any::<prop::sample::Index>(),
        length in 0_usize..40,
        instead in yaml_like(),
    ) {
        let fixtures = fixtures();
        let mut text: Vec<char> = which.get(&fixtures).chars().collect();
        let from = from.index(text.len());
        let to = (from + length).min(text.len());
        text.splice(from..to, instead.chars());
        survives(&text.into_iter().collect::<String>());
    }

    #[test]
    fn what_is_written_is_read_back(value in any_json().prop_filter("plain", is_plain)) {
        let text = to_yaml(&carrier(&value)).unwrap();
        prop_assert_eq!(carried(&text), Ok(value), "{}", text);
    }

    #[test]
    fn json_is_yaml(value in any_json().prop_filter("plain", is_plain)) {
        let text = serde_json::to_string_pretty(&carrier(&value)).unwrap();
        prop_assert_eq!(carried(&text), Ok(value), "{}", text);
    }
}

#[test]
fn json_of_other_writers_is_read() {
    // Half a character each, as JSON in ASCII has them; and what only looks so.
    let text = serde_json::to_string(&carrier(&json!(["X", "Y"]))).unwrap();
    let text = text.replace('X', "a\\ud83e\\udd80\\/z\\u00e4").replace('Y', "\\\\ud83e\\\\udd80");
    let text = text.replace("{\"apiVersion", "\n{\"apiVersion");
    let files = [file(text), file(DRIVER)];
    let documents =
        read(&files, &NoFiles).unwrap_or_else(|e| panic!("{}", deployd_config::render(&e)));
    let document = serde_json::to_value(&documents[0].document).unwrap();
    assert_eq!(document["spec"]["inputs"]["value"], json!(["a🦀/zä", "\\ud83e\\udd80"]));
}

#[test]
fn strings_that_look_like_something_else_are_quoted() {
    for text in [
        "true",
        "False",
        "yes",
        "no",
        "on",
        "off",
        "y",
        "n",
        "null",
        "~",
        "",
        "12",
        "012",
        "0x1f",
        "0o17",
        "1_000",
        "1e3",
        "1.5",
        ".5",
        ".inf",
        ".nan",
        "12:30:45",
        "2026-07-01",
        "<<",
        "=",
        "-",
        "?",
        ":",
        "#",
        "- a",
        "a: b",
        "a #b",
        "@a",
        "`a",
        "*a",
        "&a",
        "!a",
        "|",
        ">",
        "%a",
        "{a}",
        "[a]",
        "'a'",
        "\"a\"",
        " a",
        "a ",
        "---",
        "...",
        "a\tb",
        "\u{feff}",
    ] {
        let yaml = to_yaml(&json!({ "a": text })).unwrap();
        let written = yaml.trim_end().strip_prefix("a: ").unwrap_or(&yaml);
        assert!(written.starts_with(['"', '\'']), "{text:?} is written {written}");
    }
}

#[test]
fn exports_look_as_people_write_them() {
    let object = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "labels": {}},
        "data": {"app.conf": "a = 1\nb = 2\n", "long": "word ".repeat(40), "port": "8080"},
        "list": [{"name": "x", "value": 1}, []],
    });
    let expected = format!(
        "---\napiVersion: v1\ndata:\n  app.conf: |\n    a = 1\n    b = 2\n  long: \"{}\"\n  port: \"8080\"\n\
         kind: ConfigMap\nlist:\n- name: x\n  value: 1\n- []\nmetadata:\n  labels: {{}}\n  name: a\n",
        "word ".repeat(40)
    );
    assert_eq!(to_yaml_documents(&[object]).unwrap(), expected);
}

#[test]
fn hostile_texts_are_answered_soon() {
    let size = deployd_config::limits::FILE_BYTES_MAX - 1024;
    let filled = |piece: &str| piece.repeat(size / piece.len());
    let keys = |line: fn(usize) -> String| {
        let mut text = String::new();
        while text.len() < size {
            text.push_str(&line(text.len()));
        }
        text
    };
    let head = "apiVersion: deployd.dev/v1\nkind: Application\nmetadata: {name: a}\n";
    let texts = [
        filled("["),
        filled("{"),
        filled("- "),
        filled("? "),
        filled("{a: "),
        filled("[[],"),
        filled("a"),
        filled("a: "),
        filled("a:\n"),
        filled("\n"),
        filled(" "),
        filled("\t"),
        filled("#\n"),
        filled("---\n"),
        filled("--- a\n"),
        filled("&a "),
        filled("*a "),
        filled("! "),
        filled("!!str "),
        filled("'"),
        filled("\""),
        filled("\"\\u0000"),
        filled("|\n"),
        filled("| \n a\n"),
        filled("%TAG ! a\n"),
        filled("🦀"),
        filled("\\"),
        filled("- a\n"),
        filled("a b\n"),
        format!("[{}]", filled("a,")),
        format!("{{{}}}", keys(|n| format!("k{n}: 1,"))),
        format!("{head}spec:\n{}", keys(|n| format!("  workload{n}: 1\n"))),
        format!("{head}spec:\n  workloads: [{}]", keys(|n| format!("w{n},"))),
        format!("{head}spec:\n  workloads: [{}]", filled("W,")),
        format!(
            "{head}spec: {{workloads: [a], resources: {{a: {{type: bb, params: {{x: \"{}\"}}}}}}}}",
            filled("${resources.b}")
        ),
        format!(
            "{head}spec: {{workloads: [a], resources: {{{}}}}}",
            keys(|n| format!("r{n}: {{type: bb, params: {{x: \"${{resources.r{}}}\"}}}},", n + 1))
        ),
    ];
    for text in texts {
        let begun = Instant::now();
        survives(&text);
        let taken = begun.elapsed();
        let start: String = text.chars().take(40).collect();
        assert!(taken < Duration::from_secs(20), "{start:?} took {taken:?}");
    }
}
