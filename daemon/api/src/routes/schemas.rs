//! JSON Schemas of documents, for editors.

use std::collections::BTreeMap;

use deployd_config::{combined_schema, schemas};
use deployd_core::access::Action;
use deployd_core::config::DocumentKind;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::access::Access::Needs;
use crate::answer::Found;
use crate::api::Api;
use crate::asked::Asked;
use crate::operation::{Operation, Operations, Verb::Get};
use crate::problem::{Code, Problem};
use crate::target::Target;

const LIST: Operation = Operation::new(
    Get,
    "/v1/schemas",
    Needs(Action::Read, Target::Anywhere),
    "listSchemas",
    "Where the schema of each kind is; `document` is of all kinds together",
);

const GET: Operation = Operation::new(
    Get,
    "/v1/schemas/{kind}",
    Needs(Action::Read, Target::Anywhere),
    "getSchema",
    "The JSON Schema of a kind of document, or of all: `document`",
);

/// Names the schema of all kinds together.
const COMBINED: &str = "document";

pub(super) fn operations(operations: Operations) -> Operations {
    operations.add(LIST, list).add(GET, get)
}

async fn list(_: Api, _: Asked) -> Result<Found<BTreeMap<String, String>>, Box<Problem>> {
    let kinds = schemas().keys().map(DocumentKind::to_string);
    let names = kinds.chain([COMBINED.to_owned()]);
    Ok(Found(names.map(|name| (name.clone(), format!("/v1/schemas/{name}"))).collect()))
}

#[derive(Deserialize, JsonSchema)]
struct Kind {
    /// The kind; an extension `.json` is passed over.
    kind: String,
}

async fn get(_: Api, asked: Asked<Kind>) -> Result<Found<Value>, Box<Problem>> {
    let wanted = asked.path.kind.strip_suffix(".json").unwrap_or(&asked.path.kind);
    if wanted == COMBINED {
        return Ok(Found(combined_schema().clone()));
    }
    let found = schemas().iter().find(|(kind, _)| kind.to_string() == wanted);
    found.map(|(_, schema)| Found(schema.clone())).ok_or_else(|| {
        let detail = format!("There is no kind {wanted:?}; /v1/schemas has all there are.");
        Problem::new(Code::NotFound, detail)
    })
}
