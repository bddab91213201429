//! Projections: which there are, how their keys are made, what they hold. Those
//! of environments and deployments are `deployd_core::deployment::projection`.
//!
//! Values are JSON. Keys are made so that a prefix is what one scans for.

use deployd_core::config::{DocumentKey, DocumentKind};
use deployd_core::deployment::projection::{DEPLOYMENTS, STEPS, step_keys, steps_of};
use deployd_core::deployment::{DeploymentRecord, Steps};
use deployd_core::ports::{Index, KeyRange, Object, Order, Put, Store};
use deployd_core::set::DeploymentSet;
use deployd_core::{DeploymentId, Digest, Name};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::EngineError;
use crate::imported::{imported, only_imported};

/// Documents: kind, application, name -> `StoredDocument`.
pub(crate) const DOCUMENTS: Index = Index("documents");
/// Loaded plugins: name -> `PluginInfo`.
pub(crate) const PLUGINS: Index = Index("plugins");
/// Latest images of an environment: environment, workload, container -> image.
pub(crate) const IMAGES: Index = Index("images");
/// The newest artifact of a source that came to an environment: environment,
/// digest of the source -> its place.
pub(crate) const SOURCES: Index = Index("sources");
/// Lines of logs: deployment and sequence -> `LogEntry`.
pub(crate) const LOGS: Index = Index("logs");
/// Tokens: digest of the token -> `TokenView`.
pub(crate) const TOKENS: Index = Index("tokens");
/// Tokens by name -> digest.
pub(crate) const TOKEN_NAMES: Index = Index("token-names");

/// The most entries that are read at once where all are wanted: far above what
/// a platform has of documents, and a bound all the same.
pub(crate) const SCAN_MAX: usize = 100_000;

/// Parts of a key, put together so that they can't run into each other: names
/// have no zero byte.
pub(crate) fn key(parts: &[&str]) -> Vec<u8> {
    parts.join("\0").into_bytes()
}

/// All keys that begin with these parts, and have more.
pub(crate) fn below(parts: &[&str]) -> KeyRange {
    let mut prefix = key(parts);
    if !prefix.is_empty() {
        prefix.push(0);
    }
    KeyRange::prefix(&prefix)
}

/// Sorts by number.
pub(crate) fn numbered_key(text: &str, number: u64) -> Vec<u8> {
    let mut key = text.as_bytes().to_vec();
    key.push(0);
    key.extend_from_slice(&number.to_be_bytes());
    key
}

pub(crate) fn document_key(document: &DocumentKey) -> Vec<u8> {
    let application = document.application.as_ref().map_or("", Name::as_str);
    key(&[&document.kind.to_string(), application, document.name.as_str()])
}

pub(crate) fn document_range(kind: Option<DocumentKind>) -> KeyRange {
    match kind {
        Some(kind) => below(&[&kind.to_string()]),
        None => KeyRange { start: Vec::new(), end: None },
    }
}

/// JSON, or a bug.
pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, EngineError> {
    serde_json::to_vec(value).map_err(EngineError::bug)
}

/// From JSON that deployd has written.
pub(crate) fn decode<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, EngineError> {
    serde_json::from_slice(bytes).map_err(|error| unreadable(what, &error))
}

fn unreadable(what: &str, error: &serde_json::Error) -> EngineError {
    EngineError::bug(format!("stored {what} can't be read: {error}"))
}

/// A change of a projection.
pub(crate) fn put<T: Serialize>(index: Index, key: Vec<u8>, value: &T) -> Result<Put, EngineError> {
    Ok(Put { index, key, value: Some(encode(value)?) })
}

/// Content, by the digest of its canonical JSON.
pub(crate) fn object<T: Serialize>(value: &T) -> Result<Object, EngineError> {
    Ok(Object::new(deployd_core::digest::canonical_json(value).map_err(EngineError::bug)?))
}

/// A value of a projection.
pub(crate) async fn get<T: DeserializeOwned>(
    store: &dyn Store,
    index: Index,
    key: &[u8],
) -> Result<Option<T>, EngineError> {
    store.get(index, key).await?.map(|bytes| decode(index.0, &bytes)).transpose()
}

/// All keys.
pub(crate) fn everything() -> KeyRange {
    KeyRange { start: Vec::new(), end: None }
}

/// All keys and values of a range, however many: read in pages, each as of its
/// own time.
pub(crate) async fn entries(
    store: &dyn Store,
    index: Index,
    mut range: KeyRange,
) -> Result<Vec<(Vec<u8>, Vec<u8>)>, EngineError> {
    let mut entries = Vec::new();
    loop {
        let page = store.scan(index, range.clone(), Order::Ascending, SCAN_MAX).await?;
        entries.extend(page.entries);
        match entries.last().filter(|_| page.more) {
            // The first key after the last one.
            Some((last, _)) => range.start = last.iter().copied().chain([0]).collect(),
            None => return Ok(entries),
        }
    }
}

/// All values of a range.
pub(crate) async fn all<T: DeserializeOwned>(
    store: &dyn Store,
    index: Index,
    range: KeyRange,
) -> Result<Vec<T>, EngineError> {
    let page = store.scan(index, range, Order::Ascending, SCAN_MAX).await?;
    page.entries.iter().map(|(_, bytes)| decode(index.0, bytes)).collect()
}

/// Stored content.
pub(crate) async fn content<T: DeserializeOwned>(
    store: &dyn Store,
    what: &str,
    digest: Digest,
) -> Result<T, EngineError> {
    match store.object(digest).await? {
        Some(bytes) => decode(what, &bytes),
        None => Err(EngineError::not_found(format!("{what} {digest}"))),
    }
}

/// A set that somebody names by its digest. Other content than sets is kept by
/// its digest too: to who asks for a set, it is none.
pub(crate) async fn named_set(
    store: &dyn Store,
    digest: Digest,
) -> Result<DeploymentSet, EngineError> {
    let none = || EngineError::not_found(format!("set {digest}"));
    let bytes = store.object(digest).await?.ok_or_else(none)?;
    serde_json::from_slice(&bytes).map_err(|_| none())
}

/// A deployment of here as it is kept, without its steps: what lists have of it.
/// One that was imported is refused: [`Inner::past`](crate::Inner::past) has both.
pub(crate) async fn head_of_deployment(
    store: &dyn Store,
    id: &DeploymentId,
) -> Result<DeploymentRecord, EngineError> {
    if let Some(record) = get(store, DEPLOYMENTS, id.0.as_bytes()).await? {
        return Ok(record);
    }
    Err(match imported(store, id).await? {
        Some(found) => only_imported(id, &found.environment),
        None => EngineError::not_found(format!("deployment {id}")),
    })
}

async fn steps(store: &dyn Store, id: &DeploymentId) -> Result<Steps, EngineError> {
    let page = store.scan(STEPS, step_keys(id), Order::Ascending, SCAN_MAX).await?;
    let mut steps = Vec::new();
    for (_, value) in &page.entries {
        let more = steps_of(value).map_err(|error| unreadable(STEPS.0, &error))?;
        steps.extend(more);
    }
    Ok(steps.into_iter().collect())
}

/// A deployment of here with its steps.
pub(crate) async fn deployment(
    store: &dyn Store,
    id: &DeploymentId,
) -> Result<DeploymentRecord, EngineError> {
    with_steps(store, head_of_deployment(store, id).await?).await
}

/// A deployment of here that was read without its steps, with them.
pub(crate) async fn with_steps(
    store: &dyn Store,
    mut record: DeploymentRecord,
) -> Result<DeploymentRecord, EngineError> {
    if let Some(work) = &mut record.work {
        work.steps = steps(store, &record.id).await?;
    }
    Ok(record)
}
