//! Takes deployments of other installations in: verified wholly before anything is
//! stored, kept by content, and told in a stream of its own.

use std::collections::BTreeMap;

use deployd_archive::{Archive, read};
use deployd_core::archive::{
    ArchiveIndex, ArchivedDeployment, IMPORTS, ImportOutcome, ImportView, Imported,
    ImportedDeployment, MemberKind, Provenance,
};
use deployd_core::deployment::DeploymentRecord;
use deployd_core::deployment::projection::DEPLOYMENTS;
use deployd_core::journal::StreamId;
use deployd_core::ports::{Batch, Object};
use deployd_core::{DeploymentId, Digest};
use serde_json::json;

use crate::imported::imported;
use crate::journal::{until_no_conflict, with_objects};
use crate::records::{decode, deployment, object, put};
use crate::{Caller, Engine, EngineError, Inner, Problem};

/// Bytes of content that are stored at once: less than a store takes, so that
/// nobody waits long for one import.
const STORED_AT_ONCE_BYTES: usize = 8 << 20;

/// Contents that are stored at once.
const STORED_AT_ONCE: usize = 1_000;

/// Things that are wrong with an archive that are answered: whoever needs all of
/// them asks `deployd export verify`.
const PROBLEMS_MAX: usize = 20;

impl Engine {
    /// Imports an archive. The same again changes nothing, and says so.
    pub async fn import(
        &self,
        caller: &Caller,
        archive: Vec<u8>,
    ) -> Result<ImportView, EngineError> {
        if let Some(answer) = self.inner.replayed(caller).await? {
            return Ok(answer);
        }
        let reading = tokio::task::spawn_blocking(move || read(&archive));
        let Archive { verified, index, index_bytes, contents } =
            reading.await.map_err(EngineError::bug)?;
        let findings = verified.findings;
        let Some(index) = index.filter(|_| findings.is_empty()) else {
            let problems = findings.iter().take(PROBLEMS_MAX);
            let problems = problems.map(|it| Problem::new("archive", it.to_string()));
            return Err(EngineError::Invalid { problems: problems.collect() });
        };
        let taking = Taking { digest: Digest::of(&index_bytes), index, contents };
        self.inner.take_in(caller, taking, index_bytes).await
    }
}

/// An archive that is sound.
struct Taking {
    digest: Digest,
    index: ArchiveIndex,
    contents: BTreeMap<Digest, Vec<u8>>,
}

impl Taking {
    fn record(&self, entry: &ArchivedDeployment) -> Result<DeploymentRecord, EngineError> {
        let bytes = self.contents.get(&entry.record);
        let bytes = bytes.ok_or_else(|| EngineError::bug("a sound archive without a record"))?;
        decode("record", bytes)
    }
}

impl Inner {
    async fn take_in(
        &self,
        caller: &Caller,
        taking: Taking,
        index_bytes: Vec<u8>,
    ) -> Result<ImportView, EngineError> {
        let mut notes: Vec<String> = taking
            .index
            .absent
            .iter()
            .map(|absent| format!("not in the archive: {}", absent.what))
            .collect();
        // Before anything is stored: whether all of it can be.
        let found = self.compared(&taking).await?;
        if !found.iter().any(|found| found.outcome == ImportOutcome::Imported) {
            let view = view(&taking, found, notes);
            self.keep_answer(caller, &view).await?;
            return Ok(view);
        }
        notes.extend(self.keep_plugins(&taking).await?);
        self.keep_contents(&taking).await?;
        let index = Object::new(index_bytes);
        until_no_conflict(|| async {
            let stream = StreamId::imports();
            // Before what is there is read: whoever imports appends here.
            let version = self.version(&stream).await?;
            let found = self.compared(&taking).await?;
            let view = view(&taking, found, notes.clone());
            let new: Vec<&ImportedDeployment> = view
                .deployments
                .iter()
                .filter(|it| it.outcome == ImportOutcome::Imported)
                .collect();
            let Some(first) = new.first() else {
                self.keep_answer(caller, &view).await?;
                return Ok(view);
            };
            let from = Provenance {
                archive: taking.digest,
                made: taking.index.made.clone(),
                at: self.ports.clock.now(),
                by: caller.actor.clone(),
            };
            let body = json!({
                "type": "deployment-imported", "name": first.id, "deployment": first.id,
                "archive": taking.digest, "installation": from.made.installation,
                "deployments": new.iter().map(|it| &it.id).collect::<Vec<_>>(),
            });
            let mut puts = Vec::new();
            for it in &new {
                let Some(entry) = taking.index.deployment(&it.id) else { continue };
                let imported = Imported {
                    id: it.id.clone(),
                    environment: it.environment.clone(),
                    number: it.number,
                    record: entry.record,
                    from: from.clone(),
                };
                puts.push(put(IMPORTS, it.id.0.as_bytes().to_vec(), &imported)?);
            }
            let batch = with_objects(Batch { puts, ..Batch::default() }, vec![index.clone()]);
            let batch = self.note(stream, version, caller, body, batch)?;
            self.commit(caller, view, batch, &[]).await
        })
        .await
    }

    /// Which of the deployments are here. Refused where one is here and is another.
    async fn compared(&self, taking: &Taking) -> Result<Vec<ImportedDeployment>, EngineError> {
        let mut all = Vec::new();
        for entry in &taking.index.deployments {
            let record = taking.record(entry)?;
            all.push(ImportedDeployment {
                id: entry.id.clone(),
                environment: entry.environment.clone(),
                number: entry.number,
                set: record.request.set,
                outcome: self.is_here(entry).await?,
            });
        }
        Ok(all)
    }

    async fn is_here(&self, entry: &ArchivedDeployment) -> Result<ImportOutcome, EngineError> {
        let store = &*self.ports.store;
        let differs = |id: &DeploymentId, here: &str, record: Digest| {
            let message = format!(
                "deployment {id} {here} with another record ({record}) than the archive has ({}); nothing was imported: one of both was changed, `deployd journal verify` and `deployd export verify` may tell",
                entry.record
            );
            Err(EngineError::Conflict { message })
        };
        if store.get(DEPLOYMENTS, entry.id.0.as_bytes()).await?.is_some() {
            let record = object(&deployment(store, &entry.id).await?)?.digest;
            return if record == entry.record {
                Ok(ImportOutcome::FromHere)
            } else {
                differs(&entry.id, "is from here", record)
            };
        }
        match imported(store, &entry.id).await? {
            Some(known) if known.record == entry.record => Ok(ImportOutcome::ThereAlready),
            Some(known) => differs(&entry.id, "was imported before", known.record),
            None => Ok(ImportOutcome::Imported),
        }
    }

    /// Keeps plugins that are not here, as uploads are: validated, compiled under
    /// limits, granted nothing. Gives those that can't be loaded here, and why: the
    /// rest of a deployment can be shown all the same.
    async fn keep_plugins(&self, taking: &Taking) -> Result<Vec<String>, EngineError> {
        let mut notes = Vec::new();
        for archived in &taking.index.plugins {
            let digest = archived.plugin.digest;
            if self.ports.catalog.manifest(digest).await?.is_some() {
                continue;
            }
            let content = |digest: Digest| taking.contents.get(&digest).cloned();
            let (Some(component), Some(manifest)) = (content(digest), content(archived.manifest))
            else {
                return Err(EngineError::bug("a sound archive without a plugin"));
            };
            let manifest = String::from_utf8(manifest).map_err(EngineError::bug)?;
            match self.ports.catalog.upload(component, manifest).await {
                Ok(_) => {}
                Err(fault) if fault.is_transient() => return Err(fault.into()),
                Err(fault) => notes.push(format!(
                    "the plugin {} can't be loaded here, so what it made can't be replayed: {}",
                    archived.plugin.name, fault.message
                )),
            }
        }
        Ok(notes)
    }

    /// Stores contents ahead of what refers to them: what nothing refers to yet does
    /// no harm, and is there when the import is tried again.
    async fn keep_contents(&self, taking: &Taking) -> Result<(), EngineError> {
        let (mut objects, mut bytes) = (Vec::new(), 0usize);
        for member in &taking.index.members {
            // Those are the catalogue's.
            if matches!(member.kind, MemberKind::Plugin | MemberKind::PluginManifest) {
                continue;
            }
            let Some(content) = taking.contents.get(&member.digest) else { continue };
            let object = Object { digest: member.digest, bytes: content.clone() };
            if bytes.saturating_add(content.len()) > STORED_AT_ONCE_BYTES
                || objects.len() >= STORED_AT_ONCE
            {
                self.keep_objects(std::mem::take(&mut objects)).await?;
                bytes = 0;
            }
            bytes = bytes.saturating_add(content.len());
            objects.push(object);
        }
        self.keep_objects(objects).await
    }

    async fn keep_objects(&self, objects: Vec<Object>) -> Result<(), EngineError> {
        if !objects.is_empty() {
            self.ports.store.append(Batch { objects, ..Batch::default() }).await?;
        }
        Ok(())
    }
}

fn view(taking: &Taking, found: Vec<ImportedDeployment>, notes: Vec<String>) -> ImportView {
    let made = taking.index.made.clone();
    ImportView { archive: taking.digest, made, deployments: found, notes }
}
