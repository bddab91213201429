//! Argo CD with one Application.

use serde_json::{Value, json};

use crate::api::{Api, Id};
use crate::bring::Bearer;
use crate::repository::Repository;

/// When all of it was, as it says: long ago, so that no time of grace is left.
const BEGUN: &str = "2026-01-01T00:00:00Z";

/// An Application, and who brings what it names to the cluster.
#[derive(Debug)]
pub struct ArgoCd {
    bearer: Bearer,
    repository: Repository,
    path: String,
    id: Id,
    syncs: i64,
}

impl ArgoCd {
    /// Makes an Application in the namespace `argocd`, which has to be there, of a
    /// directory that goes to a namespace. It syncs by itself, as it says, and really when
    /// a test says so.
    pub async fn start(
        api: &Api,
        name: &str,
        (repository, url, path): (Repository, &str, &str),
        namespace: &str,
    ) -> Self {
        let id = Id {
            api_version: "argoproj.io/v1alpha1".to_owned(),
            kind: "Application".to_owned(),
            namespace: "argocd".to_owned(),
            name: name.to_owned(),
        };
        let source = json!({"repoURL": url, "path": path, "targetRevision": "HEAD"});
        let application = json!({"apiVersion": id.api_version, "kind": id.kind,
            "metadata": {"name": name, "namespace": id.namespace},
            "spec": {"project": "default", "source": source,
                "destination": {"server": "https://kubernetes.default.svc", "namespace": namespace},
                "syncPolicy": {"automated": {"prune": true}}}});
        api.apply("kubectl", &application, "argocd").await.unwrap();
        let bearer = Bearer {
            api: api.clone(),
            manager: "argocd-controller",
            namespace: namespace.to_owned(),
            applied: std::collections::BTreeSet::new(),
        };
        Self { bearer, repository, path: path.to_owned(), id, syncs: 0 }
    }

    /// Its object.
    pub fn id(&self) -> &Id {
        &self.id
    }

    /// Whether it syncs by itself.
    pub async fn set_automated(&self, automated: bool) {
        let policy = if automated { json!({"prune": true}) } else { Value::Null };
        self.merge(&json!({"spec": {"syncPolicy": {"automated": policy}}})).await;
    }

    /// It has seen that there is something new, and has not brought it yet.
    pub async fn refresh(&self, revision: &str) -> String {
        let commit = self.repository.commit(revision);
        let sync = self.compared("OutOfSync", &commit).await;
        self.status(json!({"sync": sync, "conditions": null})).await;
        commit
    }

    /// It brings a revision, and all of that becomes healthy; or it fails with what the
    /// cluster or the directory has to say. Returns the commit.
    pub async fn sync(&mut self, revision: &str) -> String {
        let commit = self.refresh(revision).await;
        let objects = match self.repository.objects(&commit, &self.path) {
            Ok(objects) => objects.into_iter().map(|object| self.tracked(object)).collect(),
            Err(message) => {
                // Of which revision is not told.
                let unknown = json!({"status": "Unknown", "revision": null});
                self.status(json!({ "sync": unknown })).await;
                let message = format!("Failed to load target state: {message}");
                self.condition("ComparisonError", &message).await;
                return commit;
            }
        };
        self.operation("Running", "", &commit, &[]).await;
        if let Err((id, message)) = self.bearer.bring(objects).await {
            self.failed(&commit, &id, &message).await;
            return commit;
        }
        self.syncs += 1;
        let history = {
            let found = self.bearer.api.get(&self.id).await.unwrap();
            let mut history = found["status"]["history"].as_array().cloned().unwrap_or_default();
            history.push(json!({"id": self.syncs, "revision": commit, "deployedAt": BEGUN}));
            history
        };
        self.operation("Succeeded", "successfully synced (all tasks run)", &commit, &[]).await;
        self.status(json!({"sync": self.compared("Synced", &commit).await, "history": history,
            "health": {"status": "Healthy"}, "resources": self.resources("Healthy", ""),
            "conditions": null}))
            .await;
        commit
    }

    /// It tries a revision, and can't bring it: an object is refused with this message.
    pub async fn fail_sync(&mut self, revision: &str, message: &str) -> String {
        let commit = self.refresh(revision).await;
        let refused = self.bearer.applied.first().cloned().unwrap_or_else(|| Id {
            api_version: "apps/v1".to_owned(),
            kind: "Deployment".to_owned(),
            namespace: self.bearer.namespace.clone(),
            name: "unknown".to_owned(),
        });
        self.failed(&commit, &refused, message).await;
        commit
    }

    /// What it has brought becomes healthy again, is on its way (`Progressing`), or
    /// waits for somebody (`Suspended`).
    pub async fn becomes(&self, health: &str) {
        let resources = self.resources(health, "");
        self.status(json!({"health": {"status": health}, "resources": resources})).await;
    }

    /// What it has brought is not well.
    pub async fn degrade(&self, message: &str) {
        let resources = self.resources("Degraded", message);
        let health = json!({"status": "Degraded", "lastTransitionTime": BEGUN});
        self.status(json!({"health": health, "resources": resources})).await;
    }

    async fn failed(&self, commit: &str, id: &Id, message: &str) {
        let refused = json!({"group": id.group(), "version": id.version(), "kind": id.kind,
            "namespace": id.namespace, "name": id.name, "status": "SyncFailed",
            "message": message, "syncPhase": "Sync"});
        let said = "one or more objects failed to apply (retried 5 times).";
        self.operation("Failed", said, commit, &[refused]).await;
        self.condition("SyncError", &format!("Failed sync attempt to {commit}: {said}")).await;
    }

    async fn operation(&self, phase: &str, message: &str, commit: &str, results: &[Value]) {
        let mut state = json!({"phase": phase, "message": message, "startedAt": BEGUN,
            "operation": {"sync": {"revision": commit, "prune": true},
                "initiatedBy": {"automated": true}, "retry": {"limit": 5}},
            "syncResult": {"revision": commit, "resources": results},
            "finishedAt": null});
        if phase != "Running" {
            state["finishedAt"] = json!(BEGUN);
        }
        self.status(json!({"operationState": state})).await;
    }

    async fn condition(&self, kind: &str, message: &str) {
        let condition = json!({"type": kind, "message": message, "lastTransitionTime": BEGUN});
        self.status(json!({"conditions": [condition]})).await;
    }

    async fn compared(&self, status: &str, commit: &str) -> Value {
        let found = self.bearer.api.get(&self.id).await.unwrap();
        let (source, to) = (&found["spec"]["source"], &found["spec"]["destination"]);
        json!({"status": status, "revision": commit,
            "comparedTo": {"source": source, "destination": to}})
    }

    fn resources(&self, health: &str, message: &str) -> Value {
        let of = |id: &Id| {
            json!({"group": id.group(), "version": id.version(), "kind": id.kind,
                "namespace": id.namespace, "name": id.name, "status": "Synced",
                "health": {"status": health, "message": message}})
        };
        self.bearer.applied.iter().map(of).collect()
    }

    /// The object with what it is known by.
    fn tracked(&self, mut object: Value) -> Value {
        let id = Id::of(&object, &self.bearer.namespace);
        let tracked =
            format!("{}:{}/{}:{}/{}", self.id.name, id.group(), id.kind, id.namespace, id.name);
        put(&mut object, "annotations", "argocd.argoproj.io/tracking-id", &tracked);
        object
    }

    async fn status(&self, status: Value) {
        self.merge(&json!({ "status": status })).await;
    }

    async fn merge(&self, patch: &Value) {
        self.bearer.api.merge(&self.id, "", patch).await;
    }
}

/// Sets a label or an annotation.
pub(crate) fn put(object: &mut Value, what: &str, key: &str, value: &str) {
    let metadata = object["metadata"].as_object_mut().expect("metadata");
    let texts = metadata.entry(what).or_insert_with(|| json!({}));
    texts.as_object_mut().expect("texts").insert(key.to_owned(), value.into());
}
