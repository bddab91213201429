//! What runs already is taken over: what is proposed for it is valid, renders the same
//! objects, and tells no value of a secret.

use serde_json::Value;

use crate::program::{deployd, root};

/// Folders of `tests/fixtures/adopt`: where they go to, their namespaces, and what comes
/// of the comparison.
const CASES: [(&str, &str, &str, &str); 3] = [
    ("shop", "shop/production", "shop", "11 objects: 11 identical"),
    ("kustomize", "orders/production", "orders", "11 objects: 11 identical"),
    ("helm", "cache/live", "cache", "7 objects: 7 identical"),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_proposed_renders_what_there_was() {
    for (case, environment, namespace, summary) in CASES {
        let folder = root().join("tests/fixtures/adopt").join(case);
        let manifests = folder.join("manifests.yaml").display().to_string();
        let out = tempfile::tempdir().unwrap();
        let written = out.path().display().to_string();
        let [of, at] = ["--environment", "--namespace"];
        let said = deployd([
            "import",
            "--manifests",
            &manifests,
            "--out",
            &written,
            of,
            environment,
            at,
            namespace,
        ])
        .await;
        assert_eq!(said.code, Some(0), "{said:?}");
        assert!(said.out.contains(summary), "{said:?}");
        let notes = std::fs::read_to_string(out.path().join("NOTES.md")).unwrap();
        assert!(notes.contains(summary), "{notes}");

        let valid = deployd(["validate", "-f", &written]).await;
        assert_eq!(valid.code, Some(0), "{valid:?}");

        // The same by its other name, for programs.
        let said =
            deployd(["adopt", &manifests, "-o", "json", of, environment, at, namespace]).await;
        assert_eq!(said.code, Some(0), "{said:?}");
        let told: Value = serde_json::from_str(&said.out).unwrap();
        let compared = told["compared"].as_array().unwrap();
        assert!(compared.iter().all(|it| it["outcome"] == "identical"), "{told:#}");
    }
}
