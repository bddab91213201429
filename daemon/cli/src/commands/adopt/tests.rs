//! Proposals as files: three that people could have, and what is refused.

use std::path::PathBuf;

use deployd_core::adopt::check;

use super::*;
use crate::args::AdoptOptions;

/// Inputs, and the proposals that are expected of them.
const CASES: [(&str, &str, Option<&str>); 3] = [
    ("shop", "shop/production", None),
    ("kustomize", "orders/production", None),
    ("helm", "cache/live", Some("cache")),
];

fn folder(case: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/adopt")).join(case)
}

fn args(path: &Path, environment: &str, namespace: Option<&str>) -> AdoptArgs {
    AdoptArgs {
        manifests: vec![path.to_str().unwrap().to_owned()],
        options: AdoptOptions {
            environment: environment.parse().unwrap(),
            namespace: namespace.map(str::to_owned),
            out: None,
            force: false,
        },
    }
}

fn proposal(text: &str) -> Result<Proposal, String> {
    let mut input = text.as_bytes();
    propose(&args(Path::new("-"), "shop/live", Some("shop")), &mut input)
        .map_err(|error| error.to_string())
}

fn output() -> Output {
    let nowhere = || Box::new(std::io::sink());
    Output::to(nowhere(), nowhere(), crate::args::Format::Human, deployd_core::Timestamp(0))
}

#[test]
fn proposals_are_as_expected() {
    for (case, environment, namespace) in CASES {
        let folder = folder(case);
        let manifests = folder.join("manifests.yaml");
        let proposal =
            propose(&args(&manifests, environment, namespace), &mut std::io::empty()).unwrap();
        let mut expected = Vec::new();
        let mut found = Vec::new();
        walk(&folder.join("proposal"), &mut expected).unwrap();
        for (path, text) in &proposal.files {
            let path = folder.join("proposal").join(path);
            let there = std::fs::read_to_string(&path).unwrap_or_default();
            assert_eq!(*text, there, "{}: run `deployd adopt` and look at it", path.display());
            found.extend(path.to_str().filter(|path| path.ends_with(".yaml")).map(str::to_owned));
        }
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{case}");
    }
}

#[test]
fn no_value_of_a_secret_is_in_a_proposal() {
    for (case, environment, namespace) in CASES {
        let manifests = folder(case).join("manifests.yaml");
        let proposal =
            propose(&args(&manifests, environment, namespace), &mut std::io::empty()).unwrap();
        let compared = check(&proposal.adoption, &[], &proposal.options);
        let mut texts: Vec<&str> = proposal.files.iter().map(|(_, text)| text.as_str()).collect();
        let notes = told::notes(&proposal, Ok(&compared));
        texts.push(&notes);
        for value in [
            "hunter2-hunter2",
            "aHVudGVyMi1odW50ZXIy",
            "db.internal.example.com",
            "correct-horse-battery",
            "Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5",
        ] {
            assert!(!texts.iter().any(|text| text.contains(value)), "{case}: {value}");
        }
    }
}

#[test]
fn files_that_are_there_are_left_alone() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
    let proposal = proposal(text).unwrap();
    let out = tempfile::tempdir().unwrap();
    let mut args = args(Path::new("-"), "shop/live", None);
    args.options.out = Some(out.path().to_owned());
    let fault = Fault::invalid("x", "x");
    let write = |args: &AdoptArgs| conclude(args, &proposal, Err(&fault), &mut output());
    assert_eq!(write(&args).unwrap(), exit::NOT_ALL_COMPARED);
    assert_eq!(write(&args).unwrap(), exit::NOT_ALL_COMPARED, "the same again is no change");
    let application = out.path().join("config/application.yaml");
    std::fs::write(&application, "mine").unwrap();
    std::fs::remove_file(out.path().join("secrets.sh")).unwrap();
    let error = write(&args).unwrap_err().to_string();
    assert!(error.contains("application.yaml: there is another file already"), "{error}");
    assert!(!out.path().join("secrets.sh").exists(), "nothing was written");
    args.options.force = true;
    write(&args).unwrap();
    assert_ne!(std::fs::read_to_string(&application).unwrap(), "mine");
}

#[test]
fn what_has_to_be_built_first_is_told_by_its_command() {
    let folder = tempfile::tempdir().unwrap();
    for (file, command) in
        [("kustomization.yaml", "kustomize build"), ("Chart.yaml", "helm template")]
    {
        let below = folder.path().join(file.replace('.', "-"));
        std::fs::create_dir(&below).unwrap();
        std::fs::write(below.join(file), "a: b").unwrap();
        std::fs::write(below.join("values.yaml"), "a: b").unwrap();
        for path in [folder.path(), &below, &below.join("values.yaml")] {
            let error = propose(&args(path, "a/b", None), &mut std::io::empty()).unwrap_err();
            let error = error.to_string();
            assert!(error.contains(command) || path == folder.path(), "{error}");
            assert!(error.contains("deployd import --manifests -"), "{error}");
        }
        std::fs::remove_dir_all(below).unwrap();
    }
}

#[test]
fn the_namespace_is_the_one_that_is_named() {
    let named = |names: &[&str]| {
        let objects = names.iter().map(|name| Source {
            object: serde_json::json!({"metadata": {"namespace": name}}),
            place: String::new(),
        });
        namespace(&objects.collect::<Vec<_>>()).map_err(|error| error.to_string())
    };
    assert_eq!(named(&["a", "a"]).unwrap(), "a");
    assert!(named(&[]).unwrap_err().contains("--namespace"));
    assert!(named(&["a", "b"]).unwrap_err().contains("several namespaces (a, b)"));
}

#[test]
fn input_that_can_not_be_read_is_refused() {
    for (text, expected) in [
        ("", "found no object"),
        ("kind: X\n", "apiVersion"),
        ("\u{0}", "YAML"),
        (
            "apiVersion: v1\nkind: X\nmetadata: {name: a}\n---\napiVersion: v1\nkind: X\nmetadata: {name: a}\n",
            "<stdin>:5: found X a a second time",
        ),
    ] {
        let error = proposal(text).unwrap_err();
        assert!(error.contains(expected), "{text:?}: {error}");
    }
    let mut bytes: &[u8] = b"a: b\n\xff";
    let args = args(Path::new("-"), "shop/live", None);
    let error = propose(&args, &mut bytes).unwrap_err().to_string();
    assert!(error.contains("<stdin>:2: is no UTF-8"), "{error}");
    let mut endless = std::io::repeat(b'a');
    let error = propose(&args, &mut endless).unwrap_err().to_string();
    assert!(error.contains("found more than 8388608 bytes"), "{error}");
}
