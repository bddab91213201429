//! A past deployment with all that it was made from, as one archive: the one place
//! that knows what belongs to a deployment.

use std::collections::BTreeMap;

use deployd_archive::{Content, WriteError, write};
use deployd_core::archive::{
    Absent, ArchiveIndex, ArchivedDeployment, ArchivedPlugin, CONTENTS_BYTES_MAX, DEPLOYMENTS_MAX,
    FORMAT, MEMBER_BYTES_MAX, Made, MemberKind,
};
use deployd_core::config::{Document, DocumentKey, DocumentKind};
use deployd_core::deployment::DeploymentRecord;
use deployd_core::digest::canonical_json;
use deployd_core::journal::{StreamId, Version};
use deployd_core::plan::Plan;
use deployd_core::ports::{PluginRef, StoreError};
use deployd_core::replay::PlanBasis;
use deployd_core::subject::Subject;
use deployd_core::{DeploymentId, Digest};
use serde::Serialize;

use crate::records::deployment;
use crate::{Engine, EngineError, Inner};

/// What an export gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// A name for its file.
    pub name: String,
    /// The archive.
    pub archive: Vec<u8>,
}

impl Engine {
    /// A deployment as an archive; with the templater and the strategy that made it,
    /// or without. Drivers are not in it: nobody asks them again.
    pub async fn export(
        &self,
        subject: &Subject,
        with_plugins: bool,
    ) -> Result<Exported, EngineError> {
        let inner = &self.inner;
        let named = inner.resolve(subject).await?;
        let id = named.own_deployment()?.id.clone();
        let mut gathered = Gathered::new(inner);
        let mut next = Some(id);
        let mut plugins = Vec::new();
        while let Some(id) = next {
            next = gathered.deployment(&id, &mut plugins).await?;
            if gathered.deployments.len() >= DEPLOYMENTS_MAX && next.take().is_some() {
                gathered.lacks("what is repeated even earlier", None);
            }
        }
        plugins.sort();
        plugins.dedup();
        for plugin in plugins {
            if with_plugins {
                gathered.plugin(plugin).await?;
            } else {
                let what = format!("the plugin {}, left out", plugin.name);
                gathered.lacks(what, Some(plugin.digest));
            }
        }
        let index = ArchiveIndex {
            format: FORMAT,
            made: Made {
                deployd: env!("CARGO_PKG_VERSION").to_owned(),
                installation: inner.installation().await?,
                at: inner.ports.clock.now(),
            },
            deployments: gathered.deployments,
            plugins: gathered.plugins,
            members: Vec::new(),
            absent: gathered.absent,
        };
        let contents: Vec<Content> = gathered.contents.into_values().collect();
        let name = match index.deployments.first() {
            Some(first) => format!(
                "{}-{}-{}.tar",
                first.environment.application, first.environment.environment, first.number
            ),
            None => return Err(EngineError::bug("an export of nothing")),
        };
        let written = tokio::task::spawn_blocking(move || write(index, &contents));
        let archive = written.await.map_err(EngineError::bug)?.map_err(not_written)?;
        Ok(Exported { name, archive })
    }
}

fn not_written(error: WriteError) -> EngineError {
    match error {
        WriteError::TooLarge { .. } => EngineError::Conflict {
            message: format!("{error}; without plugins it is smaller (`--without-plugins`)"),
        },
        WriteError::Failed(_) => EngineError::bug(error),
    }
}

/// What was gathered so far.
struct Gathered<'e> {
    engine: &'e Inner,
    deployments: Vec<ArchivedDeployment>,
    plugins: Vec<ArchivedPlugin>,
    contents: BTreeMap<(MemberKind, Digest), Content>,
    bytes: u64,
    absent: Vec<Absent>,
}

impl<'e> Gathered<'e> {
    fn new(engine: &'e Inner) -> Self {
        Self {
            engine,
            deployments: Vec::new(),
            plugins: Vec::new(),
            contents: BTreeMap::new(),
            bytes: 0,
            absent: Vec::new(),
        }
    }

    fn lacks(&mut self, what: impl Into<String>, digest: Option<Digest>) {
        self.absent.push(Absent { what: what.into(), digest });
    }

    fn has(&self, digest: Digest) -> bool {
        self.contents.keys().any(|(_, known)| *known == digest)
    }

    fn add(&mut self, kind: MemberKind, bytes: Vec<u8>) -> Result<Digest, EngineError> {
        let digest = Digest::of(&bytes);
        if self.has(digest) {
            return Ok(digest);
        }
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        if self.bytes > CONTENTS_BYTES_MAX {
            // Before all of it is in memory.
            let (what, found, most) =
                ("bytes of contents".to_owned(), self.bytes, CONTENTS_BYTES_MAX);
            return Err(not_written(WriteError::TooLarge { what, found, most }));
        }
        self.contents.insert((kind, digest), Content { kind, digest, bytes });
        Ok(digest)
    }

    fn json(&mut self, kind: MemberKind, value: &impl Serialize) -> Result<Digest, EngineError> {
        self.add(kind, canonical_json(value).map_err(EngineError::bug)?)
    }

    /// Adds stored content. What is not there any more is told in the archive, and
    /// is no reason to have nothing of the rest.
    async fn stored(
        &mut self,
        kind: MemberKind,
        digest: Digest,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        if let Some(content) = self.contents.get(&(kind, digest)) {
            return Ok(Some(content.bytes.clone()));
        }
        match self.engine.ports.store.object(digest).await {
            Ok(Some(bytes)) => {
                self.add(kind, bytes.clone())?;
                Ok(Some(bytes))
            }
            Ok(None) | Err(StoreError::Damaged(_)) => {
                self.lacks(format!("{kind} {digest}"), Some(digest));
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Adds a deployment and all that it refers to. Gives the one that it repeats
    /// exactly.
    async fn deployment(
        &mut self,
        id: &DeploymentId,
        plugins: &mut Vec<PluginRef>,
    ) -> Result<Option<DeploymentId>, EngineError> {
        let record = deployment(&*self.engine.ports.store, id).await?;
        if record.outcome.is_none() {
            let message = format!("deployment {id} has not ended; export it when it has");
            return Err(EngineError::Conflict { message });
        }
        let entry = ArchivedDeployment {
            id: record.id.clone(),
            environment: record.environment.clone(),
            number: record.number,
            record: self.json(MemberKind::Record, &record)?,
            documents: Vec::new(),
            events: self.events(&record).await?,
            head: Some(
                self.engine.ports.store.head(&StreamId::environment(&record.environment)).await?,
            ),
            details: match self.engine.details_of(id).await? {
                Some(details) => Some(self.json(MemberKind::Details, &details)?),
                None => None,
            },
        };
        let place = self.deployments.len();
        self.deployments.push(entry);
        self.stored(MemberKind::Set, record.request.set).await?;
        let mut repeats = None;
        let Some(work) = &record.work else { return Ok(None) };
        for step in &work.steps {
            if let Some(result) = step.result {
                self.stored(MemberKind::of_result(&step.kind), result).await?;
            }
        }
        if let Some(digest) = work.plan
            && let Some(bytes) = self.stored(MemberKind::Plan, digest).await?
        {
            let plan: Plan = crate::records::decode("plan", &bytes)?;
            repeats = self.plan(&plan, plugins).await?;
            let basis = work.result("plan");
            if let Some(basis) = basis.filter(|_| plan.pinned.is_none()) {
                let documents = self.documents(&record, &plan, basis).await?;
                if let Some(entry) = self.deployments.get_mut(place) {
                    entry.documents = documents;
                }
            }
        }
        let known = |id: &DeploymentId| self.deployments.iter().any(|entry| entry.id == *id);
        Ok(repeats.filter(|id| !known(id)))
    }

    /// Adds what a plan refers to.
    async fn plan(
        &mut self,
        plan: &Plan,
        plugins: &mut Vec<PluginRef>,
    ) -> Result<Option<DeploymentId>, EngineError> {
        self.stored(MemberKind::Set, plan.set).await?;
        if let Some(previous) = &plan.previous {
            self.stored(MemberKind::Set, previous.set).await?;
        }
        for borrowed in plan.borrowed.values() {
            self.stored(MemberKind::Resource, borrowed.provisioned).await?;
        }
        if let Some(templater) = &plan.templater {
            plugins.push(templater.plugin.clone());
            if let Some(baseline) = templater.baseline {
                self.stored(MemberKind::Baseline, baseline).await?;
            }
        }
        plugins.extend(plan.strategy.as_ref().map(|strategy| strategy.plugin.clone()));
        plugins.extend(plan.checks.values().map(|check| check.plugin.clone()));
        if let Some(manifests) = plan.previous.as_ref().and_then(|previous| previous.manifests) {
            self.stored(MemberKind::Manifests, manifests).await?;
        }
        let Some(pinned) = &plan.pinned else { return Ok(None) };
        self.stored(MemberKind::Plan, pinned.plan).await?;
        self.stored(MemberKind::Manifests, pinned.manifests).await?;
        for resource in pinned.resources.values() {
            self.stored(MemberKind::Resource, *resource).await?;
        }
        Ok(Some(pinned.of.clone()))
    }

    /// Adds the documents of its time that its plan follows from, and none of others.
    async fn documents(
        &mut self,
        record: &DeploymentRecord,
        plan: &Plan,
        basis: Digest,
    ) -> Result<Vec<Digest>, EngineError> {
        let Some(basis) = self.stored(MemberKind::Basis, basis).await? else {
            return Ok(Vec::new());
        };
        let basis: PlanBasis = crate::records::decode("basis of the plan", &basis)?;
        let mut documents = Vec::new();
        for (key, digest) in self.engine.documents_at(basis.configuration).await? {
            if !is_used(&key, record, plan) {
                continue;
            }
            let bytes = self.engine.ports.store.object(digest).await;
            if let Ok(Some(bytes)) = &bytes
                && let Ok(Document::ResourceDefinition(definition)) = serde_json::from_slice(bytes)
            {
                let application = record.environment.application.as_str();
                let criteria = &definition.spec.criteria;
                let ours = |of: &Option<String>| of.as_ref().is_none_or(|of| of == application);
                if !criteria.is_empty() && !criteria.iter().any(|one| ours(&one.application)) {
                    continue;
                }
            }
            self.stored(MemberKind::Document, digest).await?;
            documents.push(digest);
        }
        Ok(documents)
    }

    /// Adds the events of a deployment and those in between, of its environment.
    async fn events(&mut self, record: &DeploymentRecord) -> Result<Option<Digest>, EngineError> {
        let events = match self.engine.chain_of(record).await {
            Ok(events) => events,
            Err(EngineError::NotFound { what }) => {
                self.lacks(what, None);
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let bytes = canonical_json(&events).map_err(EngineError::bug)?;
        if bytes.len() as u64 > MEMBER_BYTES_MAX {
            self.lacks(format!("the events of deployment {}, too many", record.id), None);
            return Ok(None);
        }
        self.add(MemberKind::Events, bytes).map(Some)
    }

    async fn plugin(&mut self, plugin: PluginRef) -> Result<(), EngineError> {
        let manifest = self.engine.ports.catalog.manifest(plugin.digest).await?;
        let Some(manifest) = manifest else {
            self.lacks(format!("the plugin {}", plugin.name), Some(plugin.digest));
            return Ok(());
        };
        if self.stored(MemberKind::Plugin, plugin.digest).await?.is_some() {
            let manifest = self.add(MemberKind::PluginManifest, manifest.into_bytes())?;
            self.plugins.push(ArchivedPlugin { plugin, manifest });
        }
        Ok(())
    }
}

/// Whether a plan may follow from a document, by its name.
fn is_used(key: &DocumentKey, record: &DeploymentRecord, plan: &Plan) -> bool {
    let place = &record.environment;
    match key.kind {
        DocumentKind::Environment => {
            key.application.as_ref() == Some(&place.application) && key.name == place.environment
        }
        DocumentKind::EnvironmentType => key.name == plan.environment_type,
        DocumentKind::ResourceDefinition => true,
        DocumentKind::Plugin => plan
            .templater
            .as_ref()
            .is_some_and(|templater| templater.plugin.name == key.name.as_str()),
        DocumentKind::Application
        | DocumentKind::Workload
        | DocumentKind::Subscription
        | DocumentKind::Hook
        | DocumentKind::Calendar
        | DocumentKind::Group
        | DocumentKind::Policy
        | DocumentKind::Role
        | DocumentKind::RoleBinding
        | DocumentKind::Issuer => false,
    }
}

impl Inner {
    /// What names this installation: the hash of the first event of its
    /// configuration, which came at a time and from somebody.
    pub(crate) async fn installation(&self) -> Result<Digest, EngineError> {
        let stream = StreamId::configuration();
        let first = self.ports.store.read(&stream, Version(1), 1).await?;
        let first = first.first().map(|event| event.hash);
        first.ok_or_else(|| EngineError::bug("a deployment before any document"))
    }
}
