//! Configuration documents and Score files, as somebody sends them: every text is
//! read or refused, with errors that point into it.
#![no_main]

use deployd_config::{NoFiles, SourceFile, read, render, to_yaml_documents};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let files = [SourceFile { path: "a.yaml".to_owned(), text: text.to_owned() }];
    match read(&files, &NoFiles) {
        Ok(located) => {
            let lines = text.lines().count();
            assert!(located.iter().all(|one| one.line <= lines + 1), "a document after the end");
            let objects: Vec<_> = located
                .iter()
                .map(|one| serde_json::to_value(&one.document).expect("documents are JSON"))
                .collect();
            to_yaml_documents(&objects).expect("documents are YAML");
        }
        Err(errors) => {
            assert!(!errors.is_empty(), "refused, and nothing is wrong");
            assert!(!render(&errors).is_empty());
        }
    }
});
