//! The past, made once more.

use deployd_core::replay::{PluginVersion, Replay};
use deployd_core::subject::Subject;
use deployd_core::views::TokenScope;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::access::Access::Needs;
use crate::answer::Found;
use crate::api::Api;
use crate::asked::{Asked, Nothing};
use crate::operation::{Operation, Operations, Verb::Get};
use crate::problem::Problem;

const REPLAY: Operation = Operation::new(
    Get,
    "/v1/replay",
    Needs(TokenScope::Read),
    "replay",
    "Makes a past deployment once more from its records, and says how that differs; changes nothing",
)
.looks_up();

pub(super) fn operations(operations: Operations) -> Operations {
    operations.add(REPLAY, replay)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReplayQuery {
    /// The deployment.
    of: Subject,
    /// A version of a plugin that takes the place of the recorded one:
    /// `NAME@DIGEST`, or the first digits of the digest.
    with: Option<PluginVersion>,
}

async fn replay(
    api: Api,
    asked: Asked<Nothing, ReplayQuery>,
) -> Result<Found<Replay>, Box<Problem>> {
    let ReplayQuery { of, with } = asked.query;
    let resolved = api.engine().resolve(&of).await?;
    let id = &resolved.deployment()?.id;
    Ok(Found(api.engine().replay(id, with.as_ref()).await?))
}
