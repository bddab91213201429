//! Drafts: kept beside a stream of their own per application, which has every
//! change of them, also of those that are gone.

use deployd_core::deployment::{DeploymentRecord, Mode, Origin, Request, Schedule, queue};
use deployd_core::draft::{
    DELTA_BYTES_MAX, DRAFTS_MAX, Draft, DraftChange, DraftDeployment, DraftEdit, NewDraft,
    TITLE_CHARS_MAX,
};
use deployd_core::journal::StreamId;
use deployd_core::ports::{Batch, Index, Order, Put};
use deployd_core::set::{Delta, patch};
use deployd_core::subject::Subject;
use deployd_core::views::{DeployRequest, PlanView};
use deployd_core::{Digest, EnvironmentId, Name};
use serde_json::json;

use crate::journal::until_no_conflict;
use crate::records::{below, decode, get, key, object, put};
use crate::{Caller, Counts, Engine, EngineError, Inner};

/// Drafts: id -> [`Draft`].
const DRAFTS: Index = Index("drafts");

/// Drafts of an application: application and id -> id.
const DRAFTS_OF: Index = Index("drafts-by-application");

impl Engine {
    /// Drafts of an application.
    pub async fn drafts(&self, application: &Name) -> Result<Vec<Draft>, EngineError> {
        let store = &*self.inner.ports.store;
        let range = below(&[application.as_str()]);
        let page = store.scan(DRAFTS_OF, range, Order::Ascending, DRAFTS_MAX).await?;
        let mut drafts = Vec::with_capacity(page.entries.len());
        for (_, id) in &page.entries {
            let id: String = decode("draft id", id)?;
            drafts.extend(get(store, DRAFTS, id.as_bytes()).await?);
        }
        Ok(drafts)
    }

    /// A draft.
    pub async fn draft(&self, id: &str) -> Result<Draft, EngineError> {
        self.inner.open_draft(id).await
    }

    /// Begins a draft.
    pub async fn create_draft(
        &self,
        caller: &Caller,
        request: &NewDraft,
    ) -> Result<Draft, EngineError> {
        if let Some(answer) = self.inner.replayed(caller).await? {
            return Ok(answer);
        }
        let environment = &request.environment;
        let base = self.inner.base_of(environment, &request.delta).await?;
        let long = request.title.as_ref().filter(|t| t.chars().count() > TITLE_CHARS_MAX);
        if long.is_some() {
            let message = format!("expected at most {TITLE_CHARS_MAX} characters");
            return Err(EngineError::invalid("title", message));
        }
        // The random part of an id: short enough to be said aloud.
        let id = self.inner.new_deployment_id().0.get(16..).unwrap_or_default().to_owned();
        let application = &environment.application;
        let stream = StreamId::drafts(application);
        until_no_conflict(|| async {
            let version = self.inner.version(&stream).await?;
            let others = self.drafts(application).await?;
            if others.len() >= DRAFTS_MAX {
                let message = format!(
                    "application {application} has {DRAFTS_MAX} drafts already; deploy or drop some first"
                );
                return Err(EngineError::Conflict { message }.into());
            }
            let at = self.inner.ports.clock.now();
            let change = DraftChange { version: 1, actor: caller.actor.clone(), at };
            let draft = Draft {
                id: id.clone(),
                environment: environment.clone(),
                title: request.title.clone(),
                base,
                delta: request.delta.clone(),
                version: 1,
                changes: vec![change],
            };
            let body = json!({"type": "draft-created", "draft": draft});
            let puts = vec![
                put(DRAFTS, draft.id.clone().into_bytes(), &draft)?,
                put(DRAFTS_OF, key(&[application.as_str(), &draft.id]), &draft.id)?,
            ];
            let batch = Batch { puts, ..Batch::default() };
            let batch = self.inner.note(stream.clone(), version, caller, body, batch)?;
            self.inner.commit(caller, draft, batch, &[]).await
        })
        .await
    }

    /// Has a draft change something else, unless somebody else was quicker.
    pub async fn edit_draft(
        &self,
        caller: &Caller,
        id: &str,
        edit: &DraftEdit,
    ) -> Result<Draft, EngineError> {
        if let Some(answer) = self.inner.replayed(caller).await? {
            return Ok(answer);
        }
        let environment = self.inner.open_draft(id).await?.environment;
        let base = self.inner.base_of(&environment, &edit.delta).await?;
        let stream = StreamId::drafts(&environment.application);
        until_no_conflict(|| async {
            let version = self.inner.version(&stream).await?;
            let draft = self.inner.open_draft(id).await?;
            draft
                .is_at(edit.version)
                .map_err(|stale| EngineError::Conflict { message: stale.to_string() })?;
            let now = self.inner.ports.clock.now();
            let draft = draft.edited(edit.delta.clone(), base, &caller.actor, now);
            let body = json!({"type": "draft-edited", "draft": draft});
            let puts = vec![put(DRAFTS, id.as_bytes().to_vec(), &draft)?];
            let batch = Batch { puts, ..Batch::default() };
            let batch = self.inner.note(stream.clone(), version, caller, body, batch)?;
            self.inner.commit(caller, draft, batch, &[]).await
        })
        .await
    }

    /// Drops a draft; the journal keeps what it was.
    pub async fn drop_draft(&self, caller: &Caller, id: &str) -> Result<Draft, EngineError> {
        if let Some(answer) = self.inner.replayed(caller).await? {
            return Ok(answer);
        }
        let application = self.inner.open_draft(id).await?.environment.application;
        let stream = StreamId::drafts(&application);
        until_no_conflict(|| async {
            let version = self.inner.version(&stream).await?;
            let draft = self.inner.open_draft(id).await?;
            let body = json!({
                "type": "draft-dropped", "id": id, "environment": draft.environment,
                "version": draft.version,
            });
            let batch = Batch { puts: without(&draft), ..Batch::default() };
            let batch = self.inner.note(stream.clone(), version, caller, body, batch)?;
            self.inner.commit(caller, draft, batch, &[]).await
        })
        .await
    }

    /// What deploying a draft would do.
    pub async fn plan_draft(
        &self,
        id: &str,
        how: &DraftDeployment,
    ) -> Result<PlanView, EngineError> {
        let draft = self.inner.open_draft(id).await?;
        at_version(&draft, how)?;
        self.plan(&as_request(&draft)).await
    }

    /// Deploys a draft to its environment, as a delta to what runs there; with
    /// the deployment's acceptance, in one transaction, the draft is gone.
    pub async fn deploy_draft(
        &self,
        caller: &Caller,
        id: &str,
        how: &DraftDeployment,
    ) -> Result<DeploymentRecord, EngineError> {
        let inner = &self.inner;
        if let Some(answer) = inner.asked_before(caller).await? {
            return Ok(answer);
        }
        let place = inner.open_draft(id).await?.environment;
        let stream = StreamId::drafts(&place.application);
        let deployment = inner.new_deployment_id();
        let record = until_no_conflict(|| async {
            let version = inner.version(&stream).await?;
            let draft = inner.open_draft(id).await?;
            at_version(&draft, how)?;
            let entry = inner.environment(&place).await?;
            let (set, _) = inner.wanted(&place, &as_request(&draft)).await?;
            let content = object(&set)?;
            inner.verified(&place, content.digest, &Origin::Request).await?;
            let wanted = Request {
                set: content.digest,
                mode: Mode::Manual,
                origin: Origin::Request,
                comment: how.comment.clone().or_else(|| draft.title.clone()),
                expected_plan: how.expected_plan,
                confirm_replace: how.confirm_replace,
                teardown: None,
                schedule: Schedule::default(),
            };
            let events = queue(&entry.state, &deployment, wanted)
                .map_err(|refused| EngineError::Conflict { message: refused.to_string() })?;
            let body = json!({
                "type": "draft-deployed", "id": id, "environment": draft.environment,
                "version": draft.version, "deployment": deployment,
            });
            let beside =
                Batch { puts: without(&draft), objects: vec![content], ..Batch::default() };
            let beside = inner.note(stream.clone(), version, caller, body, beside)?;
            inner.ask_beside(caller, &place, &entry, &events, beside).await
        })
        .await?;
        Counts::count(&inner.counts.accepted);
        inner.workers.wake(inner, &place);
        Ok(record)
    }
}

impl Inner {
    async fn open_draft(&self, id: &str) -> Result<Draft, EngineError> {
        let found = get(&*self.ports.store, DRAFTS, id.as_bytes()).await?;
        found.ok_or_else(|| {
            EngineError::not_found(format!("draft {id}; it may be deployed, or dropped"))
        })
    }

    /// The set that a delta is for, to which it has to apply.
    async fn base_of(
        &self,
        environment: &EnvironmentId,
        delta: &Delta,
    ) -> Result<Digest, EngineError> {
        let size = serde_json::to_vec(delta).map_err(EngineError::bug)?.len();
        if size > DELTA_BYTES_MAX {
            let message = format!("found {size} bytes, expected at most {DELTA_BYTES_MAX}");
            return Err(EngineError::invalid("delta", message));
        }
        let (set, digest) = self.set_of(&Subject::now(environment.clone())).await?;
        patch(&set, delta).map_err(|error| EngineError::invalid("delta", error.to_string()))?;
        Ok(digest)
    }
}

/// Refuses a draft that is not as it was read.
fn at_version(draft: &Draft, how: &DraftDeployment) -> Result<(), EngineError> {
    let Some(read) = how.version else { return Ok(()) };
    draft.is_at(read).map_err(|stale| EngineError::Conflict { message: stale.to_string() })
}

/// A draft, as a delta to what runs.
fn as_request(draft: &Draft) -> DeployRequest {
    DeployRequest {
        environment: Some(draft.environment.clone()),
        delta: Some(draft.delta.clone()),
        ..DeployRequest::default()
    }
}

/// What to write so that a draft is gone.
fn without(draft: &Draft) -> Vec<Put> {
    let place = key(&[draft.environment.application.as_str(), &draft.id]);
    vec![
        Put { index: DRAFTS, key: draft.id.clone().into_bytes(), value: None },
        Put { index: DRAFTS_OF, key: place, value: None },
    ]
}
