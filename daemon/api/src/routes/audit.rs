//! The audit: who did what, when and from where, and what was refused.

use deployd_core::access::Action;
use deployd_core::audit::{AuditFilter, AuditPage};
use deployd_core::subject::Moment;
use deployd_core::{Actor, EnvironmentId, Name};
use schemars::JsonSchema;
use serde::Deserialize;

use super::paging::PageSize;
use super::written::Written;
use crate::access::Access::Needs;
use crate::answer::Found;
use crate::api::Api;
use crate::asked::{Asked, Nothing};
use crate::operation::{Operation, Operations, Verb::Get};
use crate::problem::Problem;
use crate::target::Target;

const AUDIT: Operation = Operation::new(
    Get,
    "/v1/audit",
    Needs(Action::Audit, Target::Installation),
    "getAudit",
    "Who did what, when and from where, and what was refused; newest first",
);

pub(super) fn operations(operations: Operations) -> Operations {
    operations.add(AUDIT, audit)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AuditQuery {
    /// Only by this actor: the name of a token, `deployd`, or `unknown`.
    actor: Option<Actor>,
    /// Only about this application.
    application: Option<Name>,
    /// Only of this environment.
    environment: Option<EnvironmentId>,
    /// Only from this time on.
    since: Option<Written<Moment>>,
    /// Only before this time.
    until: Option<Written<Moment>>,
    /// Only events of this type: `deployment-queued`.
    kind: Option<String>,
    /// Only what was refused.
    #[serde(default)]
    refused: bool,
    /// The `next` of the page before.
    cursor: Option<String>,
    /// Entries on the page.
    #[serde(default)]
    limit: PageSize,
}

async fn audit(
    api: Api,
    asked: Asked<Nothing, AuditQuery>,
) -> Result<Found<AuditPage>, Box<Problem>> {
    let AuditQuery { actor, application, environment, since, until, kind, refused, .. } =
        asked.query;
    let filter = AuditFilter {
        actor,
        application,
        environment,
        since: Written::optional(since.as_ref(), "since")?.map(|since| since.0),
        until: Written::optional(until.as_ref(), "until")?.map(|until| until.0),
        kind,
        refused,
    };
    let (cursor, limit) = (asked.query.cursor, asked.query.limit);
    Ok(Found(api.engine().audit(&filter, cursor.as_deref(), limit.0).await?))
}
