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

/// What has new versions of the sample wait at half of the requests for a person, with
/// a message; as a request to apply it.
pub(crate) fn waiting_canary(message: &str) -> Value {
    let steps = json!([{"weight": 50}, {"pause": {"message": message}}]);
    request(&[
        document("Plugin", "canary", json!({"kind": "strategy", "source": {"shipped": "canary"}})),
        document(
            "EnvironmentType",
            "development",
            json!({
                "templater": {"plugin": "score-k8s"},
                "strategy": {"plugin": "canary", "config": {"steps": steps}},
                "values": {"domain": "dev.localhost"},
            }),
        ),
    ])
}

/// A document.
pub(crate) fn document(kind: &str, name: &str, spec: Value) -> Value {
    let mut made =
        json!({"apiVersion": "deployd.dev/v1", "kind": kind, "metadata": {"name": name}});
    made["spec"] = spec;
    made
}

/// A request to apply documents.
pub(crate) fn request(documents: &[Value]) -> Value {
    let file =
        |(n, one): (usize, &Value)| json!({"path": format!("{n}.yaml"), "text": one.to_string()});
    json!({"files": documents.iter().enumerate().map(file).collect::<Vec<Value>>()})
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
