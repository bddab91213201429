//! Whether the daemon lives and works, and what it can be asked.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::access::Access::Open;
use crate::answer::Found;
use crate::api::Api;
use crate::asked::Asked;
use crate::limits::RETRY_AFTER_SECONDS;
use crate::operation::{Operation, Operations, Verb::Get};
use crate::problem::{Code, Problem, ProblemItem};

const HEALTH: Operation =
    Operation::new(Get, "/healthz", Open, "getHealth", "Whether the daemon answers at all")
        .uncounted();

const READY: Operation =
    Operation::new(Get, "/readyz", Open, "getReadiness", "Whether the daemon can do its work")
        .uncounted();

const OPENAPI: Operation =
    Operation::new(Get, "/openapi.json", Open, "getOpenApi", "This document");

pub(super) fn operations(operations: Operations) -> Operations {
    operations.add(HEALTH, health).add(READY, ready).add(OPENAPI, openapi)
}

/// That all is well.
#[derive(Serialize, JsonSchema)]
struct Health {
    /// `ok`.
    status: &'static str,
}

async fn health(_: Api, _: Asked) -> Result<Found<Health>, Box<Problem>> {
    Ok(Found(Health { status: "ok" }))
}

async fn ready(api: Api, _: Asked) -> Result<Found<Health>, Box<Problem>> {
    let missing = api.engine().not_ready().await;
    if missing.is_empty() {
        return Ok(Found(Health { status: "ready" }));
    }
    tracing::warn!(?missing, "not ready");
    // Anybody may ask: what is not ready is told, and why is in the log.
    let items = missing.iter().map(|reason| ProblemItem {
        message: reason.split(':').next().unwrap_or_default().to_owned(),
        ..ProblemItem::default()
    });
    Err(Problem::new(Code::Unavailable, "deployd is not ready.")
        .with_errors(items.collect())
        .retry_after(RETRY_AFTER_SECONDS))
}

async fn openapi(api: Api, _: Asked) -> Result<Found<Value>, Box<Problem>> {
    Ok(Found(api.shared().openapi.clone()))
}
