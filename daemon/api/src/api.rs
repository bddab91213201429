//! What all handlers share.

use std::sync::Arc;

use deployd_engine::Engine;
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::closing::Closing;
use crate::dora_metrics::DoraMetrics;
use crate::limits::{BODIES_BYTES_MAX, BODIES_UNIT, LARGE_BODIES_MAX, STREAMS_MAX};
use crate::rates::{Counts, Rates};
use crate::refusals::Refusals;
use crate::request_metrics::RequestMetrics;
use crate::routes::operations;
use crate::turns::Turns;

/// Gives metrics of the rest of the daemon, in Prometheus' text format, each
/// line ended.
pub type MetricsSource = Arc<dyn Fn() -> String + Send + Sync>;

/// What an operator decides about the interface.
#[derive(Clone)]
pub struct Options {
    /// What `/metrics` shows beside the requests.
    pub metrics: MetricsSource,
    /// Whether `/metrics` needs no token.
    pub open_metrics: bool,
    /// How often one identity may ask.
    pub rates: Rates,
}

impl Default for Options {
    fn default() -> Self {
        Self { metrics: Arc::new(String::new), open_metrics: false, rates: Rates::default() }
    }
}

/// The interface: an engine, and what is counted while it is asked.
#[derive(Clone)]
pub struct Api {
    shared: Arc<Shared>,
}

/// What all requests share.
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) requests: RequestMetrics,
    pub(crate) dora: DoraMetrics,
    pub(crate) refusals: Refusals,
    pub(crate) counts: Counts,
    pub(crate) closing: Closing,
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) large_bodies: Semaphore,
    /// In units of [`BODIES_UNIT`].
    pub(crate) bodies: Semaphore,
    pub(crate) turns: Turns,
    pub(crate) openapi: Value,
    engine: Engine,
}

impl Api {
    /// The interface of an engine.
    pub fn new(engine: Engine, options: Options) -> Self {
        let (_, _, openapi) = operations(options.open_metrics).finish();
        Self {
            shared: Arc::new(Shared {
                openapi,
                counts: Counts::new(options.rates),
                options,
                requests: RequestMetrics::default(),
                dora: DoraMetrics::default(),
                refusals: Refusals::default(),
                closing: Closing::default(),
                streams: Arc::new(Semaphore::new(STREAMS_MAX)),
                large_bodies: Semaphore::new(LARGE_BODIES_MAX),
                bodies: Semaphore::new(BODIES_BYTES_MAX / BODIES_UNIT),
                turns: Turns::default(),
                engine,
            }),
        }
    }

    /// Ends event streams, which would otherwise outlive every other request.
    /// [`serve`](crate::serve) does so when a shutdown begins.
    pub fn close(&self) {
        self.shared.closing.begin();
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.shared.engine
    }
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").finish_non_exhaustive()
    }
}
