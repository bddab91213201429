//! Documents: applied, kept, read; and the plugins that they name.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use deployd_core::audit::marks;
use deployd_core::calendar::{Calendar, Calendars};
use deployd_core::config::{
    ApplicationSpec, Batching, Document, DocumentKey, DocumentKind, EnvironmentSpec,
    EnvironmentTypeSpec, GitSpec, GroupSpec, HookSpec, PolicySpec, ResourceDefinitionSpec,
    SubscriptionSpec,
};
use deployd_core::journal::{NewEvent, StreamId, Version};
use deployd_core::matching;
use deployd_core::ports::{Append, Batch, Index, PluginInfo, Put, StoreError};
use deployd_core::pull;
use deployd_core::set::DeploymentSet;
use deployd_core::views::{Applied, AppliedDocument, DocumentChange, StoredDocument};
use deployd_core::{Digest, EnvironmentId, Name, Timestamp};
use serde_json::json;

use crate::affected::confirmed;
use crate::error::Problem;
use crate::journal::{CONFLICTS_MAX, StoreOrEngine, until_no_conflict};
use crate::pinned::remember;
use crate::records::{DOCUMENTS, PLUGINS, all, document_key, document_range, get, put};
use crate::{Caller, Engine, EngineError, Inner};

/// Documents that were removed: kind, application, name -> their last version.
const REMOVED: Index = Index("removed-documents");

impl Engine {
    /// Applies documents: all of them, or none. They have been read and checked
    /// by themselves before; here plugins are loaded, and what only shows with
    /// everything that is kept is checked.
    pub async fn apply(
        &self,
        caller: &Caller,
        documents: Vec<Document>,
        dry_run: bool,
    ) -> Result<Applied, EngineError> {
        self.apply_documents(caller, documents, dry_run, false).await
    }

    /// The same, also where resources that are there come from elsewhere by it:
    /// from another definition, or from none.
    pub async fn apply_by_force(
        &self,
        caller: &Caller,
        documents: Vec<Document>,
    ) -> Result<Applied, EngineError> {
        self.apply_documents(caller, documents, false, true).await
    }

    async fn apply_documents(
        &self,
        caller: &Caller,
        documents: Vec<Document>,
        dry_run: bool,
        force: bool,
    ) -> Result<Applied, EngineError> {
        if let Some(answer) = self.inner.replayed(caller).await? {
            return Ok(answer);
        }
        let plugins = self.inner.check(&documents).await?;
        let apply = || self.inner.try_apply(caller, &documents, &plugins, dry_run, force);
        until_no_conflict(apply).await
    }

    /// The answer to documents that were applied before with the same
    /// idempotency key. Asked before they are read: what they are checked
    /// against may have changed since.
    pub async fn applied_before(&self, caller: &Caller) -> Result<Option<Applied>, EngineError> {
        self.inner.replayed(caller).await
    }

    /// A document.
    pub async fn document(&self, key: &DocumentKey) -> Result<Option<StoredDocument>, EngineError> {
        get(&*self.inner.ports.store, DOCUMENTS, &document_key(key)).await
    }

    /// All documents, or those of a kind.
    pub async fn documents(
        &self,
        kind: Option<DocumentKind>,
    ) -> Result<Vec<StoredDocument>, EngineError> {
        all(&*self.inner.ports.store, DOCUMENTS, document_range(kind)).await
    }

    /// Plugins that documents name, as they were loaded last.
    pub async fn plugins(&self) -> Result<Vec<PluginInfo>, EngineError> {
        all(&*self.inner.ports.store, PLUGINS, document_range(None)).await
    }

    /// Keeps an uploaded component until a document names it by digest.
    pub async fn upload_plugin(
        &self,
        caller: &Caller,
        component: Vec<u8>,
        manifest: String,
    ) -> Result<PluginInfo, EngineError> {
        if let Some(answer) = self.inner.replayed(caller).await? {
            return Ok(answer);
        }
        let info = self.inner.ports.catalog.upload(component, manifest).await?;
        let body = json!({"type": "plugin-uploaded", "digest": info.plugin.digest, "name": info.plugin.name});
        until_no_conflict(|| async {
            let stream = StreamId::configuration();
            let version = self.inner.version(&stream).await?;
            let batch = Batch::default();
            let batch = self.inner.note(stream, version, caller, body.clone(), batch)?;
            self.inner.commit(caller, info.clone(), batch, &[]).await
        })
        .await
    }
}

impl Inner {
    /// Loads the plugins among documents, and says all that is wrong.
    async fn check(&self, documents: &[Document]) -> Result<Vec<PluginInfo>, EngineError> {
        let mut problems = Vec::new();
        let mut plugins = Vec::new();
        for document in documents {
            if let Document::Plugin(plugin) = document {
                match self.ports.catalog.load(&plugin.metadata.name, &plugin.spec).await {
                    Ok(info) => {
                        self.stays_loaded(&info.plugin);
                        plugins.push(info);
                    }
                    Err(fault) => {
                        problems.push(Problem::new(document.key().to_string(), fault.message));
                    }
                }
            }
        }
        let mut configuration = Configuration::clone(&*self.configuration().await?);
        configuration.add(documents.iter().cloned());
        for (first, second) in matching::ties(&configuration.definitions) {
            problems.push(Problem::new(
                format!("ResourceDefinition {first}"),
                format!("could match the same resources as {second}, equally well; make one more specific"),
            ));
        }
        if problems.is_empty() { Ok(plugins) } else { Err(EngineError::Invalid { problems }) }
    }

    async fn try_apply(
        &self,
        caller: &Caller,
        documents: &[Document],
        plugins: &[PluginInfo],
        dry_run: bool,
        force: bool,
    ) -> Result<Applied, StoreOrEngine> {
        let stream = StreamId::configuration();
        let store = &*self.ports.store;
        // Read before the documents: whoever changes one of them appends here.
        let head = store.head(&stream).await?;
        let at = self.ports.clock.now();
        let mut batch = Batch::default();
        let mut events = Vec::new();
        let before = self.configuration().await?;
        let affected = self.affected(&before, &before.with(documents)).await?;
        let mut applied = Applied { dry_run, documents: Vec::new(), affected };
        let mut ordered: Vec<&Document> = documents.iter().collect();
        let rank = |kind| DocumentKind::ALL.iter().position(|other| *other == kind);
        ordered.sort_by_key(|document| rank(document.key().kind));
        for document in ordered {
            let key = document.key();
            let digest = Digest::of_json(document).map_err(EngineError::bug)?;
            let before: Option<StoredDocument> = get(store, DOCUMENTS, &document_key(&key)).await?;
            let (change, version) = match &before {
                None => {
                    (DocumentChange::Created, self.removed_version(&key).await?.saturating_add(1))
                }
                Some(stored) if stored.digest == digest => {
                    (DocumentChange::Unchanged, stored.version)
                }
                Some(stored) => (DocumentChange::Changed, stored.version.saturating_add(1)),
            };
            applied.documents.push(AppliedDocument { key: key.clone(), change, version });
            if change == DocumentChange::Unchanged {
                continue;
            }
            if let Document::Environment(d) = document {
                self.not_while_torn_down(&d.spec.application, &d.metadata.name).await?;
            }
            let actor = caller.actor.clone();
            let document = document.clone();
            let stored = StoredDocument { key: key.clone(), version, digest, actor, at, document };
            batch.objects.push(crate::records::object(&stored.document)?);
            batch.puts.push(put(DOCUMENTS, document_key(&key), &stored)?);
            let body = json!({"type": "document-applied", "key": key, "version": version, "digest": digest});
            events.push(NewEvent {
                at,
                actor: caller.actor.clone(),
                kind: "document-applied".to_owned(),
                body,
                source: caller.source.clone(),
            });
        }
        for plugin in plugins {
            batch.puts.push(put(PLUGINS, plugin.plugin.name.as_bytes().to_vec(), plugin)?);
            let spec = documents.iter().find_map(|document| match document {
                Document::Plugin(d) if d.metadata.name.as_str() == plugin.plugin.name => {
                    Some(&d.spec)
                }
                _ => None,
            });
            if let Some(spec) = spec {
                batch.puts.push(remember(plugin, spec)?);
            }
        }
        if dry_run {
            return Ok(applied);
        }
        confirmed(&applied.affected, force)?;
        if !events.is_empty() {
            let marks = marks(&stream, head.version, &events).map_err(EngineError::bug)?;
            batch.puts.extend(marks);
            batch.appends.push(Append { stream, expect: head.version, fence: None, events });
        }
        let answer = self.commit(caller, applied, batch, &[]).await?;
        self.changes.announce();
        self.expiry.ring();
        self.aftercare.ring();
        self.flow.ring();
        self.workers.ring();
        Ok(answer)
    }

    /// The last version of a document that was removed; 0 if there was none.
    pub(crate) async fn removed_version(&self, key: &DocumentKey) -> Result<u64, EngineError> {
        Ok(get(&*self.ports.store, REMOVED, &document_key(key)).await?.unwrap_or(0))
    }

    /// Loads all plugins that documents name. What can't be loaded is logged,
    /// and fails where it is needed.
    pub(crate) async fn load_plugins(&self) -> Result<(), EngineError> {
        let range = document_range(Some(DocumentKind::Plugin));
        let stored: Vec<StoredDocument> = all(&*self.ports.store, DOCUMENTS, range).await?;
        for document in stored {
            let Document::Plugin(plugin) = &document.document else { continue };
            match self.ports.catalog.load(&plugin.metadata.name, &plugin.spec).await {
                Ok(info) => {
                    let key = info.plugin.name.as_bytes().to_vec();
                    let puts = vec![put(PLUGINS, key, &info)?, remember(&info, &plugin.spec)?];
                    self.ports.store.append(Batch { puts, ..Batch::default() }).await?;
                }
                Err(fault) => tracing::error!(plugin = %plugin.metadata.name, %fault, "not loaded"),
            }
        }
        Ok(())
    }

    /// Everything that documents say.
    ///
    /// Read again only after something was appended to the stream of
    /// configuration, as every change of a document does.
    pub(crate) async fn configuration(&self) -> Result<Arc<Configuration>, EngineError> {
        let stream = StreamId::configuration();
        let mut head = self.ports.store.head(&stream).await?;
        let remembered = || self.configured.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(configuration) = &*remembered()
            && configuration.version == head.version
        {
            return Ok(configuration.clone());
        }
        let mut read = None;
        // A plan says by which version it was made: that must be the very one.
        for _ in 0..CONFLICTS_MAX {
            let stored: Vec<StoredDocument> =
                all(&*self.ports.store, DOCUMENTS, document_range(None)).await?;
            let stop = self.stop_of_line().await?;
            let after = self.ports.store.head(&stream).await?;
            if after.version == head.version {
                read = Some((stored, stop));
                break;
            }
            head = after;
        }
        let (stored, stop) = read.ok_or(EngineError::Store(StoreError::Busy))?;
        let mut configuration = Configuration { version: head.version, ..Configuration::default() };
        for document in &stored {
            if let Document::Environment(d) = &document.document {
                let (application, environment) =
                    (d.spec.application.clone(), d.metadata.name.clone());
                let id = EnvironmentId { application, environment };
                configuration.applied_at.insert(id, document.at);
            }
        }
        configuration.add(stored.into_iter().map(|stored| stored.document));
        configuration.calendars.stop = stop;
        let configuration = Arc::new(configuration);
        *remembered() = Some(configuration.clone());
        Ok(configuration)
    }
}

/// Adds to a batch that a document is no more. Its versions go on if it comes
/// again, and what it said stays in the journal.
///
/// `expect` is the version of configuration before everything was read that the
/// removal follows from.
pub(crate) fn removed_document(
    expect: Version,
    at: Timestamp,
    caller: &Caller,
    stored: &StoredDocument,
    mut batch: Batch,
) -> Result<Batch, EngineError> {
    let key = document_key(&stored.key);
    batch.puts.push(put(REMOVED, key.clone(), &stored.version)?);
    batch.puts.push(Put { index: DOCUMENTS, key, value: None });
    let StoredDocument { key, version, digest, .. } = stored;
    let kind = "document-removed";
    let body = json!({"type": kind, "key": key, "version": version, "digest": digest});
    let (actor, source) = (caller.actor.clone(), caller.source.clone());
    let events = vec![NewEvent { at, actor, kind: kind.to_owned(), body, source }];
    let stream = StreamId::configuration();
    batch.puts.extend(marks(&stream, expect, &events).map_err(EngineError::bug)?);
    batch.appends.push(Append { stream, expect, fence: None, events });
    Ok(batch)
}

/// The configuration that was read last.
pub(crate) type Configured = Mutex<Option<Arc<Configuration>>>;

/// What documents say, by kind.
#[derive(Debug, Clone, Default)]
pub(crate) struct Configuration {
    /// The version of its stream that it is of.
    pub(crate) version: Version,
    pub(crate) applications: BTreeMap<Name, ApplicationSpec>,
    pub(crate) workloads: BTreeMap<(Name, Name), deployd_core::score::Workload>,
    pub(crate) environments: BTreeMap<EnvironmentId, EnvironmentSpec>,
    /// When their documents were applied.
    pub(crate) applied_at: BTreeMap<EnvironmentId, Timestamp>,
    pub(crate) environment_types: BTreeMap<Name, EnvironmentTypeSpec>,
    pub(crate) definitions: BTreeMap<Name, ResourceDefinitionSpec>,
    pub(crate) plugins: BTreeMap<Name, deployd_core::config::PluginSpec>,
    pub(crate) subscriptions: BTreeMap<Name, SubscriptionSpec>,
    pub(crate) hooks: BTreeMap<Name, HookSpec>,
    pub(crate) calendars: Calendars,
    pub(crate) groups: BTreeMap<Name, GroupSpec>,
    pub(crate) rules: deployd_core::access::Rules,
    pub(crate) issuers: BTreeMap<Name, deployd_core::config::IssuerSpec>,
    pub(crate) policies: BTreeMap<Name, PolicySpec>,
}

impl Configuration {
    /// What becomes of what waits in an environment when something newer comes there by
    /// itself.
    pub(crate) fn batching(&self, id: &EnvironmentId) -> Batching {
        let flow = self.applications.get(&id.application).map(|spec| &spec.flow);
        let stage = flow.and_then(|flow| flow.iter().find(|it| it.environment == id.environment));
        stage.map(|stage| stage.batching).unwrap_or_default()
    }

    /// Where an environment is pulled from; none where deployd applies to its cluster.
    pub(crate) fn pull(&self, id: &EnvironmentId) -> Result<Option<GitSpec>, EngineError> {
        let Some(environment) = self.environments.get(id) else { return Ok(None) };
        let name = &environment.environment_type;
        let Some(spec) = self.environment_types.get(name) else { return Ok(None) };
        if spec.target.is_cluster() {
            return Ok(None);
        }
        let place = || format!("EnvironmentType {name}");
        let git = spec.git.as_ref().ok_or_else(|| {
            EngineError::invalid(place(), "`target: git` needs `git`: where it is pulled from")
        })?;
        pull::placed(git, id, name)
            .map(Some)
            .map_err(|error| EngineError::invalid(place(), error.to_string()))
    }

    /// Adds documents, over those of the same name.
    pub(crate) fn add(&mut self, documents: impl Iterator<Item = Document>) {
        for document in documents {
            match document {
                Document::Application(d) => {
                    self.applications.insert(d.metadata.name, d.spec);
                }
                Document::EnvironmentType(d) => {
                    self.environment_types.insert(d.metadata.name, d.spec);
                }
                Document::Environment(d) => {
                    let application = d.spec.application.clone();
                    let id = EnvironmentId { application, environment: d.metadata.name };
                    self.environments.insert(id, d.spec);
                }
                Document::ResourceDefinition(d) => {
                    self.definitions.insert(d.metadata.name, d.spec);
                }
                Document::Plugin(d) => {
                    self.plugins.insert(d.metadata.name, d.spec);
                }
                Document::Workload(d) => {
                    self.workloads.insert((d.application, d.name), d.workload);
                }
                Document::Subscription(d) => {
                    self.subscriptions.insert(d.metadata.name, d.spec);
                }
                Document::Role(d) => {
                    self.rules.roles.insert(d.metadata.name, d.spec);
                }
                Document::RoleBinding(d) => {
                    self.rules.bindings.insert(d.metadata.name, d.spec);
                }
                Document::Issuer(d) => {
                    self.issuers.insert(d.metadata.name, d.spec);
                }
                Document::Group(d) => {
                    self.groups.insert(d.metadata.name, d.spec);
                }
                Document::Hook(d) => {
                    self.hooks.insert(d.metadata.name, d.spec);
                }
                Document::Calendar(d) => {
                    let calendar = Calendar::read(&d.spec).unwrap_or_else(|wrong| {
                        tracing::error!(calendar = %d.metadata.name, ?wrong, "it can't be read, and closes");
                        Calendar::unreadable(&d.spec, &wrong)
                    });
                    self.calendars.calendars.insert(d.metadata.name, calendar);
                }
                Document::Policy(d) => {
                    self.policies.insert(d.metadata.name, d.spec);
                }
            }
        }
    }

    /// Whether any application takes images of a repository.
    pub(crate) fn expects(&self, repository: &str) -> bool {
        let mut rules = self.applications.values().flat_map(|spec| &spec.artifacts);
        rules.any(|rule| rule.repository == repository)
    }

    /// What an application's documents say, images as they are written.
    pub(crate) fn set(&self, application: &Name) -> Result<DeploymentSet, EngineError> {
        let spec = self
            .applications
            .get(application)
            .ok_or_else(|| EngineError::not_found(format!("application {application}")))?;
        let mut workloads = BTreeMap::new();
        for name in &spec.workloads {
            let workload =
                self.workloads.get(&(application.clone(), name.clone())).ok_or_else(|| {
                    EngineError::invalid(
                        format!("application {application}"),
                        format!(
                            "lists the workload {name}, whose Score document was never applied"
                        ),
                    )
                })?;
            workloads.insert(name.to_string(), workload.clone());
        }
        Ok(DeploymentSet {
            application: application.clone(),
            workloads,
            resources: spec.resources.clone(),
        })
    }
}
