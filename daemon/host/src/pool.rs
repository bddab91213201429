//! Where calls take their memories, tables and stacks from.
//!
//! Mapping them anew for every call costs more than a short call does, and it
//! makes all threads wait for each other. So they are mapped once; after a call,
//! what it has written is thrown away, and the next begins with the component's
//! own first bytes again.
//!
//! A pool that is full refuses, and does not queue. It is never full: its sizes
//! are those of as many calls at their limits as the two lanes have places, and
//! nothing is instantiated without one. Most of this is address space, three
//! quarters of a TiB; memory is taken as it is used.

use wasmtime::{Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::limits;

const KIB: usize = 1024;

/// Bytes of a memory that stay with the process between calls, cleared: those
/// that most calls write, so that they need not be mapped again. Of more than
/// this, the rest goes back to the system. As many memories as there are calls
/// are kept like this while nobody uses them.
const KEPT_BYTES: usize = 1024 * KIB;

/// What a core instance may need for itself. A JavaScript runtime has some ten
/// thousand functions, each with its entry here.
const INSTANCE_BYTES: usize = 4096 * KIB;

/// A pool for the calls of both lanes.
pub(crate) fn pool() -> InstanceAllocationStrategy {
    let calls = count(limits::CALLS + limits::SLOW_CALLS);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(calls * count(limits::INSTANCES))
        .total_core_instances(calls * count(limits::INSTANCES))
        .total_memories(calls * count(limits::MEMORIES))
        .total_tables(calls * count(limits::TABLES))
        .total_stacks(calls)
        .max_unused_warm_slots(calls)
        .max_tables_per_module(count(limits::TABLES))
        .max_memory_size(limits::MEMORY_BYTES_MAX)
        .table_elements(limits::TABLE_ELEMENTS)
        .max_core_instance_size(INSTANCE_BYTES)
        .max_component_instance_size(INSTANCE_BYTES)
        // Clears the pages that were written, and no others. Without it, what
        // is kept would be cleared from the first byte on, written or not.
        .pagemap_scan(Enabled::Auto);
    if PoolingAllocationConfig::is_pagemap_scan_available() {
        pool.linear_memory_keep_resident(KEPT_BYTES).table_keep_resident(64 * KIB);
    }
    InstanceAllocationStrategy::Pooling(pool)
}

fn count(limit: usize) -> u32 {
    u32::try_from(limit).unwrap_or(u32::MAX)
}
