//! DORA's figures.

use deployd_core::access::Action;
use deployd_core::dora::DoraReport;
use deployd_core::subject::Moment;
use deployd_core::{Name, Timestamp};
use deployd_engine::DoraFilter;
use schemars::JsonSchema;
use serde::Deserialize;

use super::written::Written;
use crate::access::Access::Needs;
use crate::answer::Found;
use crate::api::Api;
use crate::asked::{Asked, Nothing};
use crate::dora_metrics::WINDOW_MS;
use crate::operation::{Operation, Operations, Verb::Get};
use crate::problem::Problem;
use crate::target::Target;

const DORA: Operation = Operation::new(
    Get,
    "/v1/dora",
    Needs(Action::Read, Target::ApplicationInQuery("application")),
    "getDora",
    "Deployment frequency, lead time, change failure rate and time to restore, by application and environment type",
);

pub(super) fn operations(operations: Operations) -> Operations {
    operations.add(DORA, dora)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DoraQuery {
    /// Only of this application.
    application: Option<Name>,
    /// Only in environments of this type.
    #[serde(rename = "type")]
    environment_type: Option<Name>,
    /// From when: 30 days before `until`, when not given.
    since: Option<Written<Moment>>,
    /// Until when: now, when not given.
    until: Option<Written<Moment>>,
    /// All applications together.
    #[serde(default)]
    together: bool,
}

async fn dora(
    api: Api,
    asked: Asked<Nothing, DoraQuery>,
) -> Result<Found<DoraReport>, Box<Problem>> {
    let DoraQuery { application, environment_type, since, until, together } = asked.query;
    let (since, until) =
        (Written::optional(since.as_ref(), "since")?, Written::optional(until.as_ref(), "until")?);
    let until = until.map_or_else(|| api.engine().now(), |until| until.0);
    let since = since.map_or(Timestamp(until.0.saturating_sub(WINDOW_MS)), |since| since.0);
    let filter = DoraFilter { application, environment_type, together };
    Ok(Found(api.engine().dora(&filter, since, until).await?))
}
