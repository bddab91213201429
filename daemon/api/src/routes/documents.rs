//! Configuration documents.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deployd_config::{DocumentError, Sent, SourceFile, read_with};
use deployd_core::Name;
use deployd_core::access::{Action, Resource};
use deployd_core::config::{Document, DocumentKey, DocumentKind};
use deployd_core::views::{Applied, StoredDocument};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::access::Access::Needs;
use crate::answer::Found;
use crate::api::Api;
use crate::asked::{Asked, Nothing};
use crate::body::Json;
use crate::limits::DOCUMENTS_BYTES_MAX;
use crate::operation::{Operation, Operations, Verb::Delete, Verb::Get, Verb::Post};
use crate::problem::{Code, Problem, ProblemItem};
use crate::target::Target;

const APPLY: Operation = Operation::new(
    Post,
    "/v1/documents:apply",
    Needs(Action::Configure, Target::Installation),
    "applyDocuments",
    "Applies documents: all of them, or none where any is wrong",
)
.body_max(DOCUMENTS_BYTES_MAX)
.takes_long();

const LIST: Operation = Operation::new(
    Get,
    "/v1/documents",
    Needs(Action::Read, Target::Listed),
    "listDocuments",
    "Documents that are applied",
);

const GET: Operation = Operation::new(
    Get,
    "/v1/documents/{kind}/{name}",
    Needs(Action::Read, Target::Document),
    "getDocument",
    "A document that belongs to no application",
);

const GET_OF_APPLICATION: Operation = Operation::new(
    Get,
    "/v1/documents/{kind}/{application}/{name}",
    Needs(Action::Read, Target::Document),
    "getApplicationDocument",
    "An environment or a workload of an application",
);

const REMOVE: Operation = Operation::new(
    Delete,
    "/v1/documents/{kind}/{name}",
    Needs(Action::Configure, Target::Installation),
    "removeDocument",
    "Removes a resource definition, a plugin or a subscription that no document names",
);

pub(super) fn operations(operations: Operations) -> Operations {
    operations
        .add(APPLY, apply)
        .add(LIST, list)
        .add(GET, get)
        .add(GET_OF_APPLICATION, get_of_application)
        .add(REMOVE, remove)
}

/// Files of documents.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ApplyRequest {
    /// YAML or JSON, any number of documents in each.
    files: Vec<File>,
    /// Files that documents name by a path: `source` of a Score file,
    /// `baselineFile` of an environment type.
    #[serde(default)]
    beside: Vec<BesideFile>,
    /// Say what would change, and change nothing.
    #[serde(default)]
    dry_run: bool,
    /// Also where resources that are there come from another definition by it,
    /// or from none.
    #[serde(default)]
    force: bool,
}

/// A file with documents.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct File {
    /// For messages, and for files beside it; separated by `/`.
    path: String,
    /// YAML or JSON.
    text: String,
}

/// A file that a document names.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BesideFile {
    /// From where the paths of `files` begin; separated by `/`.
    path: String,
    /// Base 64.
    content: String,
}

async fn apply(
    api: Api,
    asked: Asked<Nothing, Nothing, Json<ApplyRequest>>,
) -> Result<Found<Applied>, Box<Problem>> {
    let asker = asked.asker()?;
    if let Some(applied) = api.engine().applied_before(&asked.caller).await? {
        return Ok(Found(applied));
    }
    let Json(request) = asked.body;
    let stored = api.engine().documents(None).await?;
    let stored: Vec<Document> = stored.into_iter().map(|stored| stored.document).collect();
    let (dry_run, force) = (request.dry_run, request.force);
    // Eight megabytes of YAML take longer than others should wait.
    let read = tokio::task::spawn_blocking(move || documents(request, &stored)).await;
    let documents = read.map_err(|_| Problem::internal())??;
    if documents.iter().any(|document| document.key().kind.is_about_access()) {
        asker.must(&api, Action::Access, &Resource::Installation).await?;
    }
    let engine = api.engine();
    Ok(Found(match force && !dry_run {
        true => engine.apply_by_force(&asked.caller, documents).await?,
        false => engine.apply(&asked.caller, documents, dry_run).await?,
    }))
}

fn documents(request: ApplyRequest, stored: &[Document]) -> Result<Vec<Document>, Box<Problem>> {
    let mut beside = BTreeMap::new();
    for (index, file) in request.beside.into_iter().enumerate() {
        let content = STANDARD.decode(&file.content).map_err(|error| {
            let message = format!("found text that is no base 64 ({error})");
            let field = Some(format!("beside[{index}].content"));
            let item = ProblemItem { field, message: message.clone(), ..ProblemItem::default() };
            Problem::new(Code::InvalidRequest, format!("{}: {message}.", file.path))
                .with_errors(vec![item])
        })?;
        beside.insert(file.path, content);
    }
    let files: Vec<SourceFile> = request
        .files
        .into_iter()
        .map(|file| SourceFile { path: file.path, text: file.text })
        .collect();
    let located = read_with(&files, &Sent(beside), stored).map_err(invalid)?;
    Ok(located.into_iter().map(|located| located.document).collect())
}

fn invalid(errors: Vec<DocumentError>) -> Box<Problem> {
    let detail = match errors.as_slice() {
        [one] => DocumentError { hint: None, ..one.clone() }.to_string(),
        many => format!("{} things are wrong with the documents; nothing was applied.", many.len()),
    };
    let items = errors.into_iter().map(item).collect();
    Problem::new(Code::InvalidDocuments, detail).with_errors(items)
}

fn item(mut error: DocumentError) -> ProblemItem {
    // The advice is told beside the message.
    let hint = error.hint.take();
    let message = error.to_string();
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    let place = |number: usize| Some(number).filter(|number| *number > 0);
    ProblemItem {
        file: some(error.file),
        line: place(error.line),
        column: place(error.column),
        document: error.document.map(|document| document.to_string()),
        field: some(error.field),
        found: some(error.found),
        expected: some(error.expected),
        message,
        hint,
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OfKind {
    /// Only documents of this kind.
    kind: Option<DocumentKind>,
}

async fn list(
    api: Api,
    asked: Asked<Nothing, OfKind>,
) -> Result<Found<Vec<StoredDocument>>, Box<Problem>> {
    let (asker, mut all) = (asked.asker()?, api.engine().documents(asked.query.kind).await?);
    all.retain(|stored| asker.sees_document(&stored.key));
    Ok(Found(all))
}

#[derive(Clone, Deserialize, JsonSchema)]
struct Key {
    /// The kind.
    kind: DocumentKind,
    /// The name.
    name: Name,
}

async fn get(api: Api, asked: Asked<Key>) -> Result<Found<StoredDocument>, Box<Problem>> {
    let Key { kind, name } = asked.path;
    one(&api, DocumentKey { kind, application: None, name }).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Removing {
    /// Also where resources that are there lose their definition or driver.
    #[serde(default)]
    force: bool,
    /// Say what that would mean, and change nothing.
    #[serde(default)]
    dry_run: bool,
}

async fn remove(api: Api, asked: Asked<Key, Removing>) -> Result<Found<Applied>, Box<Problem>> {
    let Key { kind, name } = asked.path.clone();
    if kind.is_about_access() {
        asked.asker()?.must(&api, Action::Access, &Resource::Installation).await?;
    }
    let Removing { force, dry_run } = asked.query;
    let key = DocumentKey { kind, application: None, name };
    Ok(Found(api.engine().remove_document(&asked.caller, &key, force, dry_run).await?))
}

#[derive(Deserialize, JsonSchema)]
struct ApplicationKey {
    /// The kind.
    kind: DocumentKind,
    /// The application.
    application: Name,
    /// The name.
    name: Name,
}

async fn get_of_application(
    api: Api,
    asked: Asked<ApplicationKey>,
) -> Result<Found<StoredDocument>, Box<Problem>> {
    let ApplicationKey { kind, application, name } = asked.path;
    one(&api, DocumentKey { kind, application: Some(application), name }).await
}

async fn one(api: &Api, key: DocumentKey) -> Result<Found<StoredDocument>, Box<Problem>> {
    match api.engine().document(&key).await? {
        Some(document) => Ok(Found(document)),
        None => Err(Problem::new(Code::NotFound, format!("There is no {key}."))),
    }
}
