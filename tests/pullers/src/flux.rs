//! Flux with a GitRepository and a Kustomization of it.

use serde_json::{Value, json};

use crate::api::{Api, Id};
use crate::argo_cd::put;
use crate::bring::Bearer;
use crate::repository::Repository;

/// A Kustomization and its source, and who brings what they name to the cluster.
#[derive(Debug)]
pub struct Flux {
    bearer: Bearer,
    repository: Repository,
    branch: String,
    path: String,
    id: Id,
    source: Id,
}

impl Flux {
    /// Makes a GitRepository and a Kustomization of one name in the namespace
    /// `flux-system`, which has to be there, of a directory that goes to a namespace.
    pub async fn start(
        api: &Api,
        name: &str,
        (repository, url, branch, path): (Repository, &str, &str, &str),
        namespace: &str,
    ) -> Self {
        let id = |api_version: &str, kind: &str| Id {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: "flux-system".to_owned(),
            name: name.to_owned(),
        };
        let source = id("source.toolkit.fluxcd.io/v1", "GitRepository");
        let own = id("kustomize.toolkit.fluxcd.io/v1", "Kustomization");
        let metadata = json!({"name": name, "namespace": "flux-system"});
        let objects = [
            json!({"apiVersion": source.api_version, "kind": source.kind, "metadata": metadata,
                "spec": {"interval": "1m", "url": url, "ref": {"branch": branch}}}),
            json!({"apiVersion": own.api_version, "kind": own.kind, "metadata": metadata,
                "spec": {"interval": "10m", "path": path, "prune": true, "wait": true,
                    "targetNamespace": namespace,
                    "sourceRef": {"kind": "GitRepository", "name": name}}}),
        ];
        for object in &objects {
            api.apply("kubectl", object, "flux-system").await.unwrap();
        }
        let bearer = Bearer {
            api: api.clone(),
            manager: "kustomize-controller",
            namespace: namespace.to_owned(),
            applied: std::collections::BTreeSet::new(),
        };
        let (branch, path) = (branch.to_owned(), path.to_owned());
        Self { bearer, repository, branch, path, id: own, source }
    }

    /// Its Kustomization.
    pub fn id(&self) -> &Id {
        &self.id
    }

    /// Its GitRepository.
    pub fn source(&self) -> &Id {
        &self.source
    }

    /// The source gets a revision, and nothing is brought yet.
    pub async fn fetch(&self, revision: &str) -> String {
        let commit = self.repository.commit(revision);
        let revision = self.revision(&commit);
        let message = format!("stored artifact for revision '{revision}'");
        let ready = self.ready(&self.source, "True", "Succeeded", &message).await;
        self.bearer
            .api
            .merge(
                &self.source,
                "/status",
                &json!({"status": {
                "artifact": {"revision": revision}, "conditions": [ready],
                "observedGeneration": ready["observedGeneration"]}}),
            )
            .await;
        commit
    }

    /// The source can't be fetched.
    pub async fn fail_fetch(&self, message: &str) {
        let ready = self.ready(&self.source, "False", "GitOperationFailed", message).await;
        let status = json!({"status": {"conditions": [ready]}});
        self.bearer.api.merge(&self.source, "/status", &status).await;
    }

    /// It works on a revision, and has not come to an end with it.
    pub async fn progress(&self, revision: &str) -> String {
        let commit = self.fetch(revision).await;
        let message = format!("Building manifests for revision {}", self.revision(&commit));
        self.reconciling(
            "Unknown",
            ("Progressing", "Reconciliation in progress"),
            &commit,
            &message,
        )
        .await;
        commit
    }

    /// It brings a revision, and all of that becomes healthy; or it fails with what the
    /// cluster or the directory has to say. Returns the commit.
    pub async fn sync(&mut self, revision: &str) -> String {
        let commit = self.progress(revision).await;
        let objects = match self.repository.objects(&commit, &self.path) {
            Ok(objects) => objects.into_iter().map(|object| self.labelled(object)).collect(),
            Err(message) => {
                self.failed(&commit, "BuildFailed", &message).await;
                return commit;
            }
        };
        if let Err((id, message)) = self.bearer.bring(objects).await {
            let message =
                format!("{}/{}/{} dry-run failed: {message}", id.kind, id.namespace, id.name);
            self.failed(&commit, "ReconciliationFailed", &message).await;
            return commit;
        }
        let message = format!("Applied revision: {}", self.revision(&commit));
        let ready = self.ready(&self.id, "True", "ReconciliationSucceeded", &message).await;
        let entries: Vec<Value> = self
            .bearer
            .applied
            .iter()
            .map(|id| {
                let place = [id.namespace.as_str(), &id.name, id.group(), &id.kind].join("_");
                json!({"id": place, "v": id.version()})
            })
            .collect();
        self.status(json!({"conditions": [ready], "inventory": {"entries": entries},
            "observedGeneration": ready["observedGeneration"],
            "lastAppliedRevision": self.revision(&commit)}))
            .await;
        commit
    }

    /// It tries a revision, and can't bring it: `BuildFailed`, `ReconciliationFailed`.
    pub async fn fail_sync(&self, revision: &str, reason: &str, message: &str) -> String {
        let commit = self.fetch(revision).await;
        self.failed(&commit, reason, message).await;
        commit
    }

    /// What it has tried last does not become healthy, or is not any more.
    pub async fn degrade(&self, message: &str) {
        let found = self.bearer.api.get(&self.id).await.unwrap();
        let attempted = found["status"]["lastAttemptedRevision"].as_str().unwrap_or_default();
        let commit = attempted.rsplit(':').next().unwrap_or_default().to_owned();
        self.failed(&commit, "HealthCheckFailed", message).await;
    }

    /// Somebody stops it, or has it go on.
    pub async fn suspend(&self, suspended: bool) {
        self.bearer.api.merge(&self.id, "", &json!({"spec": {"suspend": suspended}})).await;
    }

    /// Whether it waits until what it has applied is healthy.
    pub async fn set_waiting(&self, waits: bool) {
        self.bearer.api.merge(&self.id, "", &json!({"spec": {"wait": waits}})).await;
    }

    async fn failed(&self, commit: &str, reason: &str, message: &str) {
        self.reconciling("False", (reason, message), commit, message).await;
    }

    /// While it works, and after a failure until the next try.
    async fn reconciling(
        &self,
        status: &str,
        (reason, said): (&str, &str),
        commit: &str,
        doing: &str,
    ) {
        let ready = self.ready(&self.id, status, reason, said).await;
        let retry = if status == "False" { "ProgressingWithRetry" } else { "Progressing" };
        let mut reconciling = ready.clone();
        reconciling["type"] = json!("Reconciling");
        reconciling["status"] = json!("True");
        reconciling["reason"] = json!(retry);
        reconciling["message"] = json!(doing);
        // The generation that it has seen moves on only with success.
        self.status(json!({"conditions": [ready, reconciling],
            "lastAttemptedRevision": self.revision(commit)}))
            .await;
    }

    async fn ready(&self, id: &Id, status: &str, reason: &str, message: &str) -> Value {
        let found = self.bearer.api.get(id).await.unwrap();
        json!({"type": "Ready", "status": status, "reason": reason, "message": message,
            "observedGeneration": found["metadata"]["generation"]})
    }

    fn revision(&self, commit: &str) -> String {
        format!("{}@sha1:{commit}", self.branch)
    }

    /// The object with what it is known by.
    fn labelled(&self, mut object: Value) -> Value {
        for (key, value) in [("name", &self.id.name), ("namespace", &self.id.namespace)] {
            put(&mut object, "labels", &format!("kustomize.toolkit.fluxcd.io/{key}"), value);
        }
        object
    }

    async fn status(&self, status: Value) {
        let status = json!({ "status": status });
        self.bearer.api.merge(&self.id, "/status", &status).await;
    }
}
