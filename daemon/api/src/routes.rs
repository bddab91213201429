//! All operations, and the router made of them.

mod answers;
mod approvals;
mod archives;
mod artifacts;
mod attestations;
mod audit;
mod auth;
mod calendar;
mod compare;
mod debug;
mod deployments;
mod documents;
mod dora;
mod drafts;
mod drift;
mod environments;
mod flow;
mod hooks;
mod inventory;
mod journal;
mod metrics;
mod notifications;
mod paging;
mod plugins;
mod probes;
mod progress;
mod quarantine;
mod repeat;
mod report;
mod sboms;
mod schemas;
mod secrets;
mod sets;
mod slots;
mod tokens;
mod written;

use axum::Router;
use axum::middleware::from_fn_with_state;

use crate::admission::{Gate, admit};
use crate::api::Api;
use crate::observe::observe;
use crate::operation::Operations;

/// Every operation there is.
pub(crate) fn operations(open_metrics: bool) -> Operations {
    Operations::new()
        .with(documents::operations)
        .with(artifacts::operations)
        .with(hooks::operations)
        .with(deployments::operations)
        .with(debug::operations)
        .with(progress::operations)
        .with(answers::operations)
        .with(approvals::operations)
        .with(repeat::operations)
        .with(archives::operations)
        .with(environments::operations)
        .with(drift::operations)
        .with(flow::operations)
        .with(quarantine::operations)
        .with(inventory::operations)
        .with(audit::operations)
        .with(calendar::operations)
        .with(slots::operations)
        .with(dora::operations)
        .with(report::operations)
        .with(attestations::operations)
        .with(sboms::operations)
        .with(sets::operations)
        .with(compare::operations)
        .with(drafts::operations)
        .with(notifications::operations)
        .with(secrets::operations)
        .with(plugins::operations)
        .with(tokens::operations)
        .with(auth::operations)
        .with(journal::operations)
        .with(schemas::operations)
        .with(probes::operations)
        .with(crate::page::operations)
        .with(if open_metrics { metrics::open } else { metrics::behind_token })
}

/// The interface as a service. It can't be had without its layers: whatever is
/// added to it is asked by nobody before it is declared.
pub fn router(api: Api) -> Router {
    let operations = operations(api.shared().options.open_metrics);
    assemble(api, operations)
}

/// Operations behind their layers.
pub(crate) fn assemble(api: Api, operations: Operations) -> Router {
    let (router, declared, _) = operations.finish();
    let gate = Gate { api: api.clone(), declared };
    router
        // Answered by admission already; it has to be one for layers to wrap it.
        .fallback(async || http::StatusCode::NOT_FOUND)
        // The last layer is the outermost.
        .layer(from_fn_with_state(gate.clone(), admit))
        .layer(from_fn_with_state(gate, observe))
        .with_state(api)
}
