//! The engine that compiles and runs all plugins, and its clock.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use wasmparser::WasmFeatures;
use wasmtime::{Cache, CacheConfig, Config, Engine, EngineWeak, OptLevel, Strategy};

use crate::{limits, pool};

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The folder for compiled plugins can't be used.
    #[error("the folder for compiled plugins, {}, can't be used: {source}", path.display())]
    CacheFolder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// wasmtime does not take the configuration.
    #[error("wasmtime can't be set up: {0}")]
    Setup(String),
    /// The threads of slow calls can't be started.
    #[error("the threads for calls that take long can't be started: {0}")]
    Lanes(io::Error),
    /// The thread that keeps time can't be started.
    #[error("the thread that keeps time for plugins can't be started: {0}")]
    Ticker(io::Error),
}

/// What guests may be made of: WebAssembly 2.0 and what compilers use by
/// default beside it. Threads, 64-bit memories, several memories in a module,
/// relaxed SIMD, garbage collection, exceptions, tail calls and stack switching
/// are off: none is needed, and each is more compiler to trust.
pub(crate) fn features() -> WasmFeatures {
    (WasmFeatures::WASM2 | WasmFeatures::EXTENDED_CONST | WasmFeatures::COMPONENT_MODEL)
        & !WasmFeatures::GC_TYPES
}

/// The engine, and the cache of what it has compiled.
pub(crate) struct Compiler {
    pub(crate) engine: Engine,
    pub(crate) cache: Cache,
}

impl Compiler {
    /// Sets up wasmtime, with its cache under the daemon's state.
    pub(crate) fn new(state: &Path) -> Result<Self, EngineError> {
        let cache = open_cache(&cache_folder(state))?;
        let engine = new_engine(&cache).map_err(|error| setup(&error))?;
        tick(engine.weak()).map_err(EngineError::Ticker)?;
        Ok(Self { engine, cache })
    }

    /// The same for a process that compiles, and calls nobody: what it compiles
    /// is found by the engine of [`Compiler::new`], because where memories come
    /// from is no part of compiled code.
    pub(crate) fn for_worker(state: &Path) -> Result<Self, EngineError> {
        let cache = open_cache(&cache_folder(state))?;
        let config = configuration(&cache, address_space_is_limited());
        let engine = Engine::new(&config).map_err(|error| setup(&error))?;
        Ok(Self { engine, cache })
    }
}

/// With a pool of space for calls where there is room for it, else without.
fn new_engine(cache: &Cache) -> wasmtime::Result<Engine> {
    let limited = address_space_is_limited();
    let config = configuration(cache, limited);
    if limited {
        return Engine::new(&config);
    }
    Engine::new(config.clone().allocation_strategy(pool::pool())).or_else(|error| {
        tracing::warn!(
            %error,
            "no address space for a pool: plugins are called all the same, but slower"
        );
        Engine::new(&config)
    })
}

/// Where compiled plugins are kept, below the daemon's state.
fn cache_folder(state: &Path) -> PathBuf {
    state.join("cache").join("wasmtime")
}

fn configuration(cache: &Cache, address_space_is_limited: bool) -> Config {
    let mut config = Config::new();
    if address_space_is_limited {
        // Without room for 4 GiB per memory every access is checked instead.
        config
            .memory_reservation(limits::MEMORY_BYTES as u64)
            .memory_reservation_for_growth(limits::MEMORY_BYTES as u64)
            .memory_guard_size(64 * 1024);
    }
    config
        // Winch compiles faster, and had several holes in the sandbox of late.
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::Speed)
        .parallel_compilation(true)
        .cache(Some(cache.clone()))
        .epoch_interruption(true)
        // Contracts have synchronous functions only; the machinery of
        // asynchronous ones costs time per call and is the youngest part.
        .concurrency_support(false)
        .max_wasm_stack(limits::STACK_BYTES)
        .async_stack_size(limits::FIBER_STACK_BYTES)
        // The same input gives the same bytes, also where NaN is computed.
        .cranelift_nan_canonicalization(true)
        .wasm_features(WasmFeatures::WASM3 & !features(), false);
    config
}

/// Whether the process may map little address space (`ulimit -v`).
fn address_space_is_limited() -> bool {
    // Not there on other systems than Linux, where nobody sets it.
    std::fs::read_to_string("/proc/self/limits").is_ok_and(|limits| {
        limits
            .lines()
            .find_map(|line| line.strip_prefix("Max address space"))
            .is_some_and(|rest| !rest.trim_start().starts_with("unlimited"))
    })
}

/// Compiled code is run as it is found, so nobody else may write to its folder.
fn open_cache(folder: &Path) -> Result<Cache, EngineError> {
    let failed = |source| EngineError::CacheFolder { path: folder.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    if !std::fs::symlink_metadata(folder).map_err(failed)?.is_dir() {
        return Err(failed(io::Error::other("it is a link, and must be a folder")));
    }
    std::fs::set_permissions(folder, Permissions::from_mode(0o700)).map_err(failed)?;
    let folder = folder.canonicalize().map_err(failed)?;
    let mut config = CacheConfig::new();
    config.with_directory(folder);
    Cache::new(config).map_err(|error| setup(&error))
}

fn setup(error: &wasmtime::Error) -> EngineError {
    EngineError::Setup(format!("{error:#}"))
}

/// Lets the epoch go on, from a thread of its own: a task would stand still
/// just when guests keep all the executor's threads busy. Ends with the engine.
fn tick(engine: EngineWeak) -> io::Result<()> {
    std::thread::Builder::new()
        .name("plugin-ticker".to_owned())
        .spawn(move || {
            while let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(limits::TICK);
            }
        })
        .map(drop)
}
