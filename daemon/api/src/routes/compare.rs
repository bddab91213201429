//! What two deployments or sets differ in, and what a name stands for.

use deployd_core::compare::{Comparison, PartName, Side, Wanted};
use deployd_core::subject::{InvalidSubject, Subject};
use deployd_core::views::TokenScope;
use deployd_engine::EngineError;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::access::Access::Needs;
use crate::answer::Found;
use crate::api::Api;
use crate::asked::{Asked, Nothing};
use crate::operation::{Operation, Operations, Verb::Get};
use crate::problem::Problem;

const COMPARE: Operation = Operation::new(
    Get,
    "/v1/comparison",
    Needs(TokenScope::Read),
    "compare",
    "How two deployments, sets, environments or points in time differ",
)
.looks_up();

const SUBJECT: Operation = Operation::new(
    Get,
    "/v1/subject",
    Needs(TokenScope::Read),
    "getSubject",
    "What a name of a deployment or set stands for",
)
.looks_up();

pub(super) fn operations(operations: Operations) -> Operations {
    operations.add(COMPARE, compare).add(SUBJECT, subject)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CompareQuery {
    /// From.
    #[schemars(with = "Subject")]
    a: String,
    /// To.
    #[schemars(with = "Subject")]
    b: String,
    /// Only this part.
    part: Option<PartName>,
    /// Whether what differs is there as a whole, too, as it is on both sides.
    #[serde(default)]
    documents: bool,
}

async fn compare(
    api: Api,
    asked: Asked<Nothing, CompareQuery>,
) -> Result<Found<Comparison>, Box<Problem>> {
    let CompareQuery { a, b, part, documents } = asked.query;
    let (a, b) = (named("a", &a)?, named("b", &b)?);
    Ok(Found(api.engine().compare(&a, &b, Wanted { part, documents }).await?))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SubjectQuery {
    /// The name.
    #[schemars(with = "Subject")]
    name: String,
}

async fn subject(
    api: Api,
    asked: Asked<Nothing, SubjectQuery>,
) -> Result<Found<Side>, Box<Problem>> {
    Ok(Found(api.engine().subject(&named("name", &asked.query.name)?).await?))
}

/// A name in a query. What is wrong with it no schema says: it may be a day that
/// there is not in a month.
pub(super) fn named(parameter: &str, text: &str) -> Result<Subject, Box<Problem>> {
    text.parse().map_err(|error: InvalidSubject| {
        let problem = deployd_engine::Problem::new(parameter, error.to_string());
        EngineError::Invalid { problems: vec![problem] }.into()
    })
}
