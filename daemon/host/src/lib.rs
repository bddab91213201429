//! Hosts plugins: wasmtime, grants, limits.
