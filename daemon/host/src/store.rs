//! The store of one call: made for it, and dropped with it.

use std::sync::Arc;

use deployd_core::config::PluginKind;
use wasmtime::component::ResourceTable;
use wasmtime::{Engine, ResourceLimiter, Store, UpdateDeadline};
use wasmtime_wasi::WasiCtx;

use crate::interfaces::clock;
use crate::interfaces::http::HttpAccess;
use crate::interfaces::net::NetAccess;
use crate::interfaces::secrets::SecretAccess;
use crate::limits::{self, Limits};
use crate::record::{CallRecord, LimitHit};

/// What host functions see of the call that they serve.
pub(crate) struct CallState {
    pub(crate) kind: PluginKind,
    pub(crate) record: Arc<CallRecord>,
    pub(crate) secrets: SecretAccess,
    pub(crate) net: NetAccess,
    pub(crate) table: ResourceTable,
    /// The time of this call.
    pub(crate) now_ms: u64,
    /// Made when a guest first asks for it: most never do.
    pub(crate) wasi: Option<WasiCtx>,
    /// The same.
    pub(crate) http: Option<HttpAccess>,
    ticks_left: u64,
    space: Space,
}

/// A store with every limit in place, and no processor time yet.
pub(crate) fn new_store(
    engine: &Engine,
    kind: PluginKind,
    limits: &Limits,
    record: Arc<CallRecord>,
    secrets: SecretAccess,
    net: NetAccess,
) -> Store<CallState> {
    let mut table = ResourceTable::new();
    table.set_max_capacity(limits::HANDLES);
    let space = Space {
        record: Arc::clone(&record),
        memory_limit: limits.memory_bytes,
        memory: 0,
        elements: 0,
    };
    let state = CallState {
        kind,
        record,
        secrets,
        net,
        table,
        now_ms: clock::now_ms(),
        wasi: None,
        http: None,
        ticks_left: 0,
        space,
    };
    let mut store = Store::new(engine, state);
    store.limiter(|state| &mut state.space);
    store.set_hostcall_fuel(limits::HOSTCALL_BYTES);
    store.set_max_component_handles(limits::HANDLES);
    store.epoch_deadline_callback(|mut context| {
        let state = context.data_mut();
        state.record.tick();
        if state.ticks_left == 0 {
            state.record.hit(LimitHit::Cpu);
            return Ok(UpdateDeadline::Interrupt);
        }
        state.ticks_left -= 1;
        // tokio's own yield: a plain one may be polled again at once, and starve others.
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
    });
    store
}

/// Gives the guest processor time from now on, and takes away what was left.
pub(crate) fn arm(store: &mut Store<CallState>, cpu: std::time::Duration) {
    let ticks = cpu.as_millis().div_ceil(limits::TICK.as_millis().max(1));
    store.data_mut().ticks_left = u64::try_from(ticks).unwrap_or(u64::MAX);
    store.set_epoch_deadline(1);
}

/// Bounds memories and tables of a call, all of them together.
struct Space {
    record: Arc<CallRecord>,
    memory_limit: usize,
    memory: usize,
    elements: usize,
}

/// Growth that is refused traps: a guest told "no" by -1 mostly aborts with
/// nothing to say, and its author would not know why.
impl ResourceLimiter for Space {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let all = self.memory.saturating_add(desired.saturating_sub(current));
        if all > self.memory_limit {
            self.record.hit(LimitHit::Memory(all));
            wasmtime::bail!("out of memory: {all} bytes");
        }
        self.memory = all;
        self.record.memory(all);
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let all = self.elements.saturating_add(desired.saturating_sub(current));
        if all > limits::TABLE_ELEMENTS {
            self.record.hit(LimitHit::Table(all));
            wasmtime::bail!("tables too large: {all} elements");
        }
        self.elements = all;
        Ok(true)
    }

    fn instances(&self) -> usize {
        limits::INSTANCES
    }

    fn tables(&self) -> usize {
        limits::TABLES
    }

    fn memories(&self) -> usize {
        limits::MEMORIES
    }
}
