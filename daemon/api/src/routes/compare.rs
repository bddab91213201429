//! What two deployments or sets differ in, and what a name stands for.

use deployd_core::access::Action;
use deployd_core::compare::{Comparison, PartName, Side, Wanted};
use deployd_core::subject::Subject;
use schemars::JsonSchema;
use serde::Deserialize;

use super::written::Written;
use crate::access::Access::Needs;
use crate::answer::Found;
use crate::api::Api;
use crate::asked::{Asked, Nothing};
use crate::operation::{Operation, Operations, Verb::Get};
use crate::problem::Problem;
use crate::target::Target;

const COMPARE: Operation = Operation::new(
    Get,
    "/v1/comparison",
    Needs(Action::Read, Target::SubjectsInQuery(&["a", "b"])),
    "compare",
    "How two deployments, sets, environments or points in time differ",
)
.looks_up();

const SUBJECT: Operation = Operation::new(
    Get,
    "/v1/subject",
    Needs(Action::Read, Target::SubjectsInQuery(&["name"])),
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
    a: Written<Subject>,
    /// To.
    b: Written<Subject>,
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
    let (a, b) = (a.read("a")?, b.read("b")?);
    Ok(Found(api.engine().compare(&a, &b, Wanted { part, documents }).await?))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SubjectQuery {
    /// The name.
    name: Written<Subject>,
}

async fn subject(
    api: Api,
    asked: Asked<Nothing, SubjectQuery>,
) -> Result<Found<Side>, Box<Problem>> {
    Ok(Found(api.engine().subject(&asked.query.name.read("name")?).await?))
}
