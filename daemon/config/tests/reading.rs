//! Several files, what was applied before, and files beside documents.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that can't go on should fail where it is"
)]

use std::collections::BTreeMap;

use deployd_config::{
    DocumentError, Folder, Located, NoFiles, Sent, SourceFile, joined, limits, named_files, read,
    read_with,
};
use deployd_core::config::Document;

fn file(path: &str, text: impl Into<String>) -> SourceFile {
    SourceFile { path: path.into(), text: text.into() }
}

fn document(kind: &str, name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: deployd.dev/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n"
    )
}

fn workload(name: &str, rest: &str) -> String {
    format!(
        "---\napiVersion: score.dev/v1b1\nmetadata: {{name: {name}}}\n\
         containers: {{api: {{image: .{rest}}}}}\n"
    )
}

/// Plugins, a type, an application with one workload, and its environment.
fn whole() -> String {
    [
        document("Plugin", "score-k8s", "{kind: templater, source: {shipped: score-k8s}}"),
        document("Plugin", "rolling", "{kind: strategy, source: {shipped: rolling}}"),
        document("Plugin", "template", "{kind: driver, source: {shipped: template}}"),
        document(
            "EnvironmentType",
            "development",
            "{templater: {plugin: score-k8s}, strategy: {plugin: rolling}}",
        ),
        document(
            "Application",
            "shop",
            "{workloads: [backend], artifacts: [{repository: r/b, workload: backend, container: api}], \
             flow: [{environment: dev}]}",
        ),
        document("Environment", "dev", "{application: shop, type: development}"),
        document("ResourceDefinition", "db", "{type: postgres, driver: template}"),
        workload("backend", ""),
    ]
    .concat()
}

fn stored() -> Vec<Document> {
    let read = read(&[file("all.yaml", whole())], &NoFiles);
    read.unwrap_or_else(|errors| panic!("{errors:?}")).into_iter().map(|one| one.document).collect()
}

fn after(text: &str) -> Result<Vec<Located>, Vec<String>> {
    let lines = |errors: Vec<DocumentError>| errors.iter().map(ToString::to_string).collect();
    read_with(&[file("new.yaml", text)], &NoFiles, &stored()).map_err(lines)
}

#[test]
fn documents_know_where_they_stand() {
    let files =
        [file("a.yaml", format!("# first\n{}", whole())), file("b.yaml", "\n\n---\n# none\n")];
    let read = read(&files, &NoFiles).unwrap();
    assert_eq!(read.len(), 8);
    assert_eq!((read[0].file.as_str(), read[0].line, read[0].column), ("a.yaml", 3, 1));
    assert_eq!(read[1].line, 8);
}

#[test]
fn names_are_found_in_other_files() {
    let (plugins, rest) =
        whole().split_once("---\napiVersion: deployd.dev/v1\nkind: Env").map_or_else(
            || panic!("no environment type"),
            |(a, b)| (a.to_owned(), format!("apiVersion: deployd.dev/v1\nkind: Env{b}")),
        );
    assert!(read(&[file("1.yaml", rest), file("2.yaml", plugins)], &NoFiles).is_ok());
}

#[test]
fn errors_come_in_the_order_of_files_and_lines() {
    let files = [
        file("z.yaml", "apiVersion: deployd.dev/v1\nkind: Plugin\nx: 1\n"),
        file("a.yaml", "apiVersion: 1\n---\n]"),
    ];
    let errors = read(&files, &NoFiles).unwrap_err();
    let places: Vec<(&str, usize)> = errors.iter().map(|e| (e.file.as_str(), e.line)).collect();
    assert_eq!(places, [("z.yaml", 1), ("z.yaml", 1), ("z.yaml", 3), ("a.yaml", 1), ("a.yaml", 3)]);
}

#[test]
fn what_was_applied_before_counts() {
    let environment = document("Environment", "test", "{application: shop, type: development}");
    assert_eq!(after(&environment).unwrap().len(), 1, "only what is given comes back");
    let errors = after(&document("Environment", "test", "{application: shop, type: develop}"));
    assert_eq!(
        errors.unwrap_err(),
        [
            "new.yaml:5:33: Environment shop/test: spec.type: found \"develop\", expected the name of one of the EnvironmentTypes: development"
        ]
    );
    assert!(after(&workload("backend", ", variables: {A: b}")).is_ok());
    assert!(after(&workload("other", "")).is_err());
}

#[test]
fn ties_with_what_was_applied_before_are_at_what_is_given() {
    let errors = after(&document("ResourceDefinition", "aa", "{type: postgres, driver: template}"));
    let errors = errors.unwrap_err();
    assert!(errors[0].starts_with("new.yaml:5:1: ResourceDefinition aa: spec: found criteria that are as specific as those of db (applied before)"), "{errors:?}");
    assert_eq!(errors.len(), 1);
    // The same name replaces it.
    assert!(
        after(&document("ResourceDefinition", "db", "{type: postgres, driver: template}")).is_ok()
    );
}

#[test]
fn what_breaks_others_is_told() {
    let text = workload("backend", "").replace("api:", "main:");
    assert_eq!(
        after(&text).unwrap_err(),
        [
            "applied before: Application shop: spec.artifacts[0].container: found \"api\", expected the name of one of the containers of backend: main"
        ]
    );
    let errors = after(&document("Plugin", "template", "{kind: strategy, source: {shipped: x}}"));
    assert_eq!(errors.unwrap_err().len(), 1);
}

#[test]
fn what_was_wrong_before_is_nobodys_fault() {
    let mut known = stored();
    known.retain(|one| one.key().name.as_str() != "rolling");
    let text = document("Environment", "test", "{application: shop, type: development}");
    assert!(read_with(&[file("new.yaml", text)], &NoFiles, &known).is_ok());
}

#[test]
fn files_beside_documents_are_read_into_them() {
    let text = [
        whole(),
        document("Application", "wiki", "{workloads: [web]}"),
        workload(
            "web",
            ", files: {/a: {source: files/a.txt}, /b: {source: b.bin, mode: \"0600\"}}",
        ),
        document(
            "EnvironmentType",
            "own",
            "{templater: {plugin: score-k8s, baselineFile: base.j2}, strategy: {plugin: rolling}}",
        ),
    ]
    .concat();
    let given = [file("config/app.yaml", text.clone())];
    let names: Vec<String> = named_files(&given)
        .iter()
        .map(|named| joined(&named.document, &named.path).unwrap())
        .collect();
    assert_eq!(names, ["config/files/a.txt", "config/b.bin", "config/base.j2"]);

    let sent = Sent(BTreeMap::from([
        ("config/files/a.txt".to_owned(), b"hello".to_vec()),
        ("config/b.bin".to_owned(), vec![0xff, 0xfe]),
        ("config/base.j2".to_owned(), b"{% extends \"baseline\" %}".to_vec()),
    ]));
    let documents = read(&given, &sent).unwrap_or_else(|errors| panic!("{errors:?}"));
    check_content(&documents);

    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("config/files")).unwrap();
    for (path, bytes) in &sent.0 {
        std::fs::write(folder.path().join(path), bytes).unwrap();
    }
    let path = folder.path().join("config/app.yaml");
    let documents = read(&[file(path.to_str().unwrap(), text)], &Folder);
    check_content(&documents.unwrap_or_else(|errors| panic!("{errors:?}")));
}

fn check_content(documents: &[Located]) {
    let mut seen = 0;
    for located in documents {
        match &located.document {
            Document::Workload(one) if one.name.as_str() == "web" => {
                let files = &one.workload.containers["api"].files;
                assert_eq!(files["/a"].content.as_deref(), Some("hello"));
                assert_eq!(files["/a"].source, None);
                assert_eq!(files["/b"].binary_content.as_deref(), Some("//4="));
                assert_eq!(files["/b"].mode.as_deref(), Some("0600"));
                seen += 1;
            }
            Document::EnvironmentType(one) if one.metadata.name.as_str() == "own" => {
                let templater = &one.spec.templater;
                assert_eq!(templater.baseline.as_deref(), Some("{% extends \"baseline\" %}"));
                assert_eq!(templater.baseline_file, None);
                seen += 1;
            }
            _ => {}
        }
    }
    assert_eq!(seen, 2);
}

#[test]
fn files_beside_documents_have_a_limit_together() {
    let mut text = document("Application", "wiki", "{workloads: [web]}");
    let files: Vec<String> = (0..10).map(|n| format!("/f{n}: {{source: large}}")).collect();
    text += &workload("web", &format!(", files: {{{}}}", files.join(", ")));
    let sent = Sent(BTreeMap::from([("large".to_owned(), vec![b'a'; 1024 * 1024])]));
    let errors = read(&[file("a.yaml", text)], &sent).unwrap_err();
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors[0].found.contains("of all such files"), "{}", errors[0]);
}

#[test]
fn too_much_is_refused_before_it_is_read() {
    let large = file("large.yaml", "#".repeat(limits::FILE_BYTES_MAX + 1));
    let errors = read(&[large], &NoFiles).unwrap_err();
    assert_eq!(
        errors[0].to_string(),
        "large.yaml: found 1048577 bytes, expected at most 1048576 bytes in a file"
    );
    let many: Vec<SourceFile> =
        (0..=limits::FILES_MAX).map(|n| file(&format!("{n}.yaml"), "")).collect();
    assert_eq!(read(&many, &NoFiles).unwrap_err().len(), 1);
    let full = "#".repeat(limits::FILE_BYTES_MAX);
    let total: Vec<SourceFile> = (0..9).map(|n| file(&format!("{n}.yaml"), full.clone())).collect();
    let errors = read(&total, &NoFiles).unwrap_err();
    assert!(errors[0].expected.contains("in all files together"), "{}", errors[0]);
    let documents = file("many.yaml", "--- a\n".repeat(limits::DOCUMENTS_MAX + 1));
    let errors = read(&[documents], &NoFiles).unwrap_err();
    assert_eq!(
        errors[0].to_string(),
        "many.yaml:501:5: found more documents, expected at most 500 documents in a file"
    );
    let nonsense = file("nonsense.yaml", "--- a\n".repeat(limits::DOCUMENTS_MAX));
    let errors = read(&[nonsense.clone(), nonsense], &NoFiles).unwrap_err();
    assert_eq!(errors.len(), limits::ERRORS_MAX);
}

#[test]
fn errors_are_documents_too() {
    let errors =
        read(&[file("a.yaml", "apiVersion: deployd.dev/v1\nkind: Plugin\nx: 1\n")], &NoFiles);
    let errors = errors.unwrap_err();
    let json = serde_json::to_string(&errors).unwrap();
    assert_eq!(serde_json::from_str::<Vec<DocumentError>>(&json).unwrap(), errors);
    assert!(json.contains(r#""pointer":"/x","field":"x""#), "{json}");
}
