//! Makes an environment like another one, with what runs there.

use deployd_core::audit::marks;
use deployd_core::config::{Document, DocumentKey, DocumentKind};
use deployd_core::deployment::{DeploymentRecord, Mode, Origin, Request, Schedule, queue};
use deployd_core::journal::{NewEvent, StreamId};
use deployd_core::ports::Append;
use deployd_core::set::DeploymentSet;
use deployd_core::views::{CloneRequest, StoredDocument};
use deployd_core::{Digest, EnvironmentId};
use serde_json::json;

use crate::journal::{StoreOrEngine, until_no_conflict};
use crate::records::{DOCUMENTS, content, document_key, get, object, put};
use crate::{Caller, Counts, Engine, EngineError, Inner};

impl Engine {
    /// Makes an environment like another one, and deploys there what runs in
    /// that: its document and the request are stored together, or not at all.
    pub async fn clone_environment(
        &self,
        caller: &Caller,
        of: &EnvironmentId,
        request: CloneRequest,
    ) -> Result<DeploymentRecord, EngineError> {
        if let Some(answer) = self.inner.asked_before(caller).await? {
            return Ok(answer);
        }
        let id = EnvironmentId {
            application: of.application.clone(),
            environment: request.name.clone(),
        };
        let name = self.inner.new_deployment_id();
        let record = until_no_conflict(|| async {
            Box::pin(self.inner.try_clone(caller, (of, &id), &request, &name)).await
        })
        .await?;
        Counts::count(&self.inner.counts.accepted);
        self.inner.changes.announce();
        self.inner.expiry.ring();
        self.inner.workers.wake(&self.inner, &id);
        Ok(record)
    }
}

impl Inner {
    async fn try_clone(
        &self,
        caller: &Caller,
        (of, id): (&EnvironmentId, &EnvironmentId),
        request: &CloneRequest,
        name: &deployd_core::DeploymentId,
    ) -> Result<DeploymentRecord, StoreOrEngine> {
        let store = &*self.ports.store;
        // Before the documents: whoever changes one of them appends here.
        let head = store.head(&StreamId::configuration()).await?;
        let configuration = self.configuration().await?;
        let key = |id: &EnvironmentId| DocumentKey {
            kind: DocumentKind::Environment,
            application: Some(id.application.clone()),
            name: id.environment.clone(),
        };
        let there: Option<StoredDocument> = get(store, DOCUMENTS, &document_key(&key(of))).await?;
        let Some(Document::Environment(mut document)) = there.map(|stored| stored.document) else {
            return Err(EngineError::not_found(format!("environment {of}")).into());
        };
        if configuration.environments.contains_key(id) {
            let message = format!("there is an environment {id} already; choose another name");
            return Err(EngineError::Conflict { message }.into());
        }
        self.not_while_torn_down(&id.application, &id.environment).await?;
        let Some(deployed) = self.environment(of).await?.state.deployed.clone() else {
            let message = format!("nothing runs in {of} that could be deployed in {id}");
            return Err(EngineError::Conflict { message }.into());
        };
        document.metadata.name = id.environment.clone();
        if let Some(environment_type) = &request.environment_type {
            if !configuration.environment_types.contains_key(environment_type) {
                let what = format!("environment type {environment_type}");
                return Err(EngineError::not_found(what).into());
            }
            document.spec.environment_type = environment_type.clone();
        }
        let set: DeploymentSet = content(store, "set", deployed.set).await?;
        let wanted = Request {
            set: deployed.set,
            mode: Mode::Manual,
            origin: Origin::Clone { of: of.clone(), deployment: deployed.deployment },
            comment: request.comment.clone(),
            expected_plan: None,
            confirm_replace: false,
            teardown: None,
            schedule: Schedule::default(),
        };
        let entry = self.environment(id).await?;
        let events = queue(&entry.state, name, wanted)
            .map_err(|refused| EngineError::Conflict { message: refused.to_string() })?;
        let mut appended = self.prepare(id, &entry, caller, &events).await?;
        let record = appended
            .record
            .clone()
            .ok_or_else(|| EngineError::bug("a request without an event"))?;

        let document = Document::Environment(document);
        let (key, at) = (key(id), self.ports.clock.now());
        let digest = Digest::of_json(&document).map_err(EngineError::bug)?;
        let version = self.removed_version(&key).await?.saturating_add(1);
        let body =
            json!({"type": "document-applied", "key": key, "version": version, "digest": digest});
        let actor = caller.actor.clone();
        let stored = StoredDocument {
            key: key.clone(),
            version,
            digest,
            actor: actor.clone(),
            at,
            document,
        };
        let mut batch = std::mem::take(&mut appended.batch);
        batch.objects.extend([object(&stored.document)?, object(&set)?]);
        batch.puts.push(put(DOCUMENTS, document_key(&key), &stored)?);
        let (kind, source) = ("document-applied".to_owned(), caller.source.clone());
        let events = vec![NewEvent { at, actor, kind, body, source }];
        let (stream, expect) = (StreamId::configuration(), head.version);
        batch.puts.extend(marks(&stream, expect, &events).map_err(EngineError::bug)?);
        batch.appends.push(Append { stream, expect, fence: None, events });
        self.commit(caller, record, batch, &[appended]).await
    }
}
