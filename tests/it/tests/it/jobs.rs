//! Jobs before and after a rollout, by a real daemon in a cluster.

use std::sync::Arc;

use deployd_practice::{Behaviour, PodMatch};
use serde_json::{Value, json};

use crate::program::root;
use crate::rollouts::run;
use crate::stage::{ENVIRONMENT, NAMESPACE, Stage};

/// The sample's backend, with a migration that can be undone, and something to be done
/// at the end.
fn backend(migrates: &str) -> Value {
    let text = std::fs::read_to_string(root().join("daemon/sample/score/backend.yaml")).unwrap();
    let annotations = "  name: backend\n  annotations:\n    job.deployd.dev/migrate: before\n    job.deployd.dev/migrate-back: undoes migrate\n    job.deployd.dev/warm: after\n";
    let container = |name: &str, script: &str| {
        format!(
            "  {name}:\n    image: .\n    command: [/bin/sh, -c]\n    args: [{script:?}]\n    variables: {{ DATABASE_URL: \"postgres://x:${{resources.db.password}}@${{resources.db.host}}/x\" }}\n"
        )
    };
    let containers = format!(
        "containers:\n{}{}{}",
        container("migrate", migrates),
        container("migrate-back", "echo one table less; exit 0"),
        container("warm", "echo warm; exit 0"),
    );
    let text = text.replacen("  name: backend\n", annotations, 1).replacen(
        "containers:\n",
        &containers,
        1,
    );
    json!({"files": [{"path": "score/backend.yaml", "text": text}]})
}

impl Stage {
    fn jobs(&self) -> Vec<Arc<Value>> {
        self.practice.objects().list("jobs.batch", NAMESPACE)
    }

    /// Names of Jobs without what tells runs apart, oldest first.
    fn job_names(&self) -> Vec<String> {
        let mut found: Vec<(u64, String)> = self
            .jobs()
            .iter()
            .map(|job| {
                let version = job["metadata"]["resourceVersion"].as_str().unwrap();
                let name = job["metadata"]["name"].as_str().unwrap();
                let name = name.rsplit_once('-').unwrap().0.to_owned();
                (version.parse().unwrap(), name)
            })
            .collect();
        found.sort();
        found.into_iter().map(|(_, name)| name).collect()
    }

    async fn applied(&self, migrates: &str) {
        let backend = backend(migrates);
        self.client.post("/v1/documents:apply", &backend).await.ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_runs_before_and_is_undone_when_the_rollout_fails() {
    let stage = Stage::set().await;
    stage.applied("echo one table more; exit 0").await;
    stage.deployed('1').await;
    assert_eq!(stage.job_names(), ["backend-migrate", "backend-warm"]);
    let said = run(&stage, ["plan", ENVIRONMENT]).await;
    assert!(
        said.out.contains("backend-migrate before the rollout, undone by backend-migrate-back"),
        "{said:?}"
    );
    assert!(said.out.contains("backend-warm after the rollout"), "{said:?}");
    let drift = run(&stage, ["drift", ENVIRONMENT]).await;
    assert_eq!(drift.code, Some(0), "they are no drift: {drift:?}");

    // The new version does not run: what was done for it is undone after it is gone.
    let crashing = PodMatch::any().name("frontend").image("2".repeat(64));
    stage.practice.behaviours().set(crashing, Behaviour::crash_loop());
    let id = stage.announce('2').await;
    let record = stage.ended(&id).await;
    assert_eq!(record["outcome"], "rolled-back", "{record:#}");
    assert_eq!(stage.job_names(), ["backend-migrate", "backend-migrate-back"]);
    assert!(stage.image_of("frontend").ends_with(&"1".repeat(64)));
    let steps = record["work"]["steps"].as_array().unwrap();
    let place = |id: &str| steps.iter().position(|step| step["id"] == id).unwrap();
    assert!(place("prune") < place("undo:backend-migrate"), "{record:#}");

    // A migration that fails, and says why, ends it before any workload changes.
    stage.applied("echo no such column; exit 3").await;
    let id = stage.announce('3').await;
    let record = stage.ended(&id).await;
    assert_eq!(record["outcome"], "rolled-back", "{record:#}");
    assert_eq!(record["fault"]["code"], "job-failed", "{record:#}");
    let fault = record["fault"].to_string();
    assert!(fault.contains("no such column"), "the last lines of its log: {fault}");
    let steps = record["work"]["steps"].as_array().unwrap();
    assert!(!steps.iter().any(|step| step["kind"] == "rollout"), "{record:#}");

    // Going back to what ran before undoes what was run since.
    stage.applied("echo one table more; exit 0").await;
    stage.deployed('4').await;
    let said = run(&stage, ["rollback", ENVIRONMENT, "--dry-run"]).await;
    assert!(said.out.contains("backend-migrate-back after the rollout"), "{said:?}");
    let said = run(&stage, ["rollback", ENVIRONMENT]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(stage.job_names(), ["backend-migrate-back"]);
    assert!(stage.image_of("backend").ends_with(&"1".repeat(64)));

    let said = run(&stage, ["env", "delete", ENVIRONMENT, "--yes"]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(stage.jobs().is_empty(), "{:#?}", stage.jobs());
}
