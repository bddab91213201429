//! All that is known of a deployment, and how its rollout stands.

use deployd_core::access::Action;
use deployd_core::debug::DebugView;
use deployd_core::views::RolloutView;
use deployd_engine::DEBUG_LINES_MAX;
use schemars::JsonSchema;
use serde::Deserialize;

use super::deployments::Id;
use crate::access::Access::Needs;
use crate::answer::Found;
use crate::api::Api;
use crate::asked::Asked;
use crate::operation::{Operation, Operations, Verb::Get};
use crate::problem::Problem;
use crate::target::Target;

/// Lines of the log that are shown when nobody says how many.
const LINES_DEFAULT: usize = 200;

const DEBUG: Operation = Operation::new(
    Get,
    "/v1/deployments/{id}/debug",
    Needs(Action::Read, Target::Deployment),
    "debugDeployment",
    "All that is known of a deployment: changes, timeline, log, objects, pods, fault and advice",
);

const ROLLOUT: Operation = Operation::new(
    Get,
    "/v1/deployments/{id}/rollout",
    Needs(Action::Read, Target::Deployment),
    "getRollout",
    "How the rollout of a deployment stands: tracks, ready pods, traffic, checks, what it waits for and why",
);

pub(super) fn operations(operations: Operations) -> Operations {
    operations.add(DEBUG, debug).add(ROLLOUT, rollout)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DebugQuery {
    /// Lines of the end of the log.
    #[serde(default)]
    lines: Lines,
}

/// How many lines: 1 to 2,000.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "usize")]
struct Lines(usize);

impl Default for Lines {
    fn default() -> Self {
        Self(LINES_DEFAULT)
    }
}

impl TryFrom<usize> for Lines {
    type Error = String;

    fn try_from(lines: usize) -> Result<Self, String> {
        match lines {
            1..=DEBUG_LINES_MAX => Ok(Self(lines)),
            _ => Err(format!("found {lines}, expected 1 to {DEBUG_LINES_MAX}")),
        }
    }
}

impl JsonSchema for Lines {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "DebugLines".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "integer", "minimum": 1, "maximum": DEBUG_LINES_MAX, "default": LINES_DEFAULT,
        })
    }
}

async fn debug(api: Api, asked: Asked<Id, DebugQuery>) -> Result<Found<DebugView>, Box<Problem>> {
    Ok(Found(Box::pin(api.engine().debug(&asked.path.id, asked.query.lines.0)).await?))
}

async fn rollout(api: Api, asked: Asked<Id>) -> Result<Found<RolloutView>, Box<Problem>> {
    Ok(Found(api.engine().rollout(&asked.path.id).await?))
}
