//! The sample in the repository, with addresses of a test in it.

use std::path::Path;

use serde_json::{Value, json};

use crate::program::root;

/// The image of a workload, as CI announces it.
pub(crate) fn image(workload: &str, digit: char) -> Value {
    json!({
        "repository": format!("registry.example.com/shop/{workload}"),
        "digest": format!("sha256:{}", digit.to_string().repeat(64)),
        "ref": "refs/heads/main",
    })
}

/// The sample's documents as a request to apply them.
pub(crate) fn documents(webhook: &str) -> Value {
    let mut files = Vec::new();
    for folder in ["config", "score"] {
        for entry in std::fs::read_dir(root().join("daemon/sample").join(folder)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            files.push(json!({
                "path": format!("{folder}/{name}"),
                "text": adapted(&entry.path(), webhook),
            }));
        }
    }
    json!({"files": files})
}

/// Writes the sample into a folder, as a person has it.
pub(crate) fn write(folder: &Path, webhook: &str) {
    for file in documents(webhook)["files"].as_array().unwrap() {
        let path = folder.join(file["path"].as_str().unwrap());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, file["text"].as_str().unwrap()).unwrap();
    }
}

fn adapted(file: &Path, webhook: &str) -> String {
    std::fs::read_to_string(file)
        .unwrap()
        .replace("http://127.0.0.1:8090/deployd", webhook)
        .replace("dev.example.com", "apps.localhost")
}
