//! `deployd:host/clock`: one point in time per call, so that a driver that asks
//! twice decides twice the same.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::bindings::host_v0_1::deployd::host::clock;
use crate::store::CallState;

impl clock::Host for CallState {
    async fn now_ms(&mut self) -> wasmtime::Result<u64> {
        Ok(self.now_ms)
    }
}

/// Milliseconds since 1970-01-01 UTC; zero if the machine's clock is before it.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| u64::try_from(since.as_millis()).ok())
        .unwrap_or(0)
}
