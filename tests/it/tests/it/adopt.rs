//! What runs already is taken over: what is proposed for it is valid, renders the same
//! objects, and tells no value of a secret.

use pullers::Api;
use serde_json::{Value, json};

use crate::program::{deployd, root};
use crate::rollouts::run;
use crate::stage::Stage;

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

#[tokio::test(flavor = "multi_thread")]
async fn the_first_plan_of_what_runs_already_changes_nothing_of_it() {
    let stage = Stage::set().await;
    let api = Api::new(&stage.practice.url(), stage.practice.token());
    let folder = root().join("tests/fixtures/adopt/kustomize");
    let manifests = folder.join("manifests.yaml");
    let text = std::fs::read_to_string(&manifests).unwrap();
    let objects: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    for object in &objects {
        api.apply("kubectl", object, "orders").await.unwrap();
    }
    let proposal = folder.join("proposal").display().to_string();
    stage.secret("orders-production-cluster", &stage.practice.kubeconfig()).await;
    let said = run(&stage, ["apply", "-f", &proposal]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let said = run(&stage, ["plan", "orders/production"]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("No object changes.\nTaken over: 11 objects that stay"), "{said:?}");

    // Somebody has meanwhile changed what is to be taken over.
    let mut changed = objects.iter().find(|it| it["kind"] == "Deployment").unwrap().clone();
    // What the manifests say nothing of is left alone.
    changed["spec"]["minReadySeconds"] = json!(7);
    changed["spec"]["template"]["spec"]["containers"][0]["image"] =
        json!("ghcr.io/acme/orders:debug");
    api.apply("kubectl", &changed, "orders").await.unwrap();
    let said = run(&stage, ["plan", "orders/production"]).await;
    assert!(said.out.contains("1 changed"), "{said:?}");
    assert!(said.out.contains("orders:debug"), "{said:?}");
    assert!(!said.out.contains("minReadySeconds"), "{said:?}");
    let said = run(&stage, ["deploy", "orders/production"]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let live = stage.practice.objects().get("deployments.apps", "orders", "orders").unwrap();
    assert!(!live.to_string().contains("orders:debug"), "{live:#}");
    assert_eq!(live["spec"]["minReadySeconds"], 7);
}
