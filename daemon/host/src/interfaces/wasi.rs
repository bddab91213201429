//! An empty WASI 0.2 for languages whose runtimes want one: no files, no
//! environment, no arguments, no network. What is written to standard output or
//! error goes to the plugin's log.
//!
//! Runtimes ask for clocks and random numbers before the first line of the
//! plugin runs (the seeds of hash maps, mostly), so these are there for pure
//! kinds too; but there, clocks stand still at the epoch and "random" bytes are
//! always the same. So a pure plugin stays one: the same input gives the same
//! output, whatever it was written in.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use deployd_core::config::PluginKind;
use deployd_core::ports::LogLevel;
use wasmtime::component::Linker;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream, WasiCli, WasiCliView};
use wasmtime_wasi::clocks::{HostMonotonicClock, HostWallClock};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::{cli, filesystem, random};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi::random::{Deterministic, WasiRandom, WasiRandomView};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::limits;
use crate::record::CallRecord;
use crate::store::CallState;

/// The version that is linked; others of its track fit.
pub(crate) const VERSION: &str = "0.2.12";

/// What is linked, of WASI 0.2. Sockets are not, and HTTP stands in `http.rs`.
pub(crate) const OFFERED: [&str; 20] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
];

/// Bytes that "random" gives to pure kinds, over and over.
const SAME_BYTES: [u8; 16] = *b"deployd is pure!";
/// How much a guest may write to a stream at once.
const WRITE_BYTES: usize = 4096;

/// Adds [`OFFERED`] to what a component can import.
pub(crate) fn link(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    // Streams, polls, clocks, random numbers and standard streams.
    wasmtime_wasi::p2::add_to_linker_proxy_interfaces_async(linker)?;
    type State = CallState;
    cli::environment::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::exit::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::terminal_input::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::terminal_output::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::terminal_stdin::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::terminal_stdout::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::terminal_stderr::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    filesystem::preopens::add_to_linker::<State, WasiFilesystem>(linker, State::filesystem)?;
    filesystem::types::add_to_linker::<State, WasiFilesystem>(linker, State::filesystem)?;
    random::insecure::add_to_linker::<State, WasiRandom>(linker, State::random)?;
    random::insecure_seed::add_to_linker::<State, WasiRandom>(linker, State::random)
}

impl WasiView for CallState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let ctx = self.wasi.get_or_insert_with(|| context(self.kind, &self.record));
        WasiCtxView { ctx, table: &mut self.table }
    }
}

fn context(kind: PluginKind, record: &Arc<CallRecord>) -> WasiCtx {
    let mut builder = WasiCtx::builder();
    builder
        .stdout(LogStream::new(record, LogLevel::Info))
        .stderr(LogStream::new(record, LogLevel::Warn))
        .max_random_size(limits::RANDOM_BYTES)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false);
    if limits::is_pure(kind) {
        builder
            .secure_random(Deterministic::new(SAME_BYTES.to_vec()))
            .insecure_random(Deterministic::new(SAME_BYTES.to_vec()))
            .insecure_random_seed(u128::from_be_bytes(SAME_BYTES))
            .wall_clock(Stopped)
            .monotonic_clock(Stopped);
    }
    builder.build()
}

/// A clock for those who must not know the time.
struct Stopped;

impl HostWallClock for Stopped {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

impl HostMonotonicClock for Stopped {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        0
    }
}

/// A standard stream whose lines go to the plugin's log.
#[derive(Clone)]
struct LogStream(Arc<OpenLine>);

struct OpenLine {
    record: Arc<CallRecord>,
    level: LogLevel,
    bytes: Mutex<Vec<u8>>,
}

impl LogStream {
    fn new(record: &Arc<CallRecord>, level: LogLevel) -> Self {
        Self(Arc::new(OpenLine { record: Arc::clone(record), level, bytes: Mutex::default() }))
    }
}

impl OpenLine {
    fn write(&self, written: &[u8]) {
        let mut open = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        for piece in written.split_inclusive(|byte| *byte == b'\n') {
            open.extend_from_slice(piece);
            if open.ends_with(b"\n") || open.len() >= limits::LOG_LINE_BYTES {
                self.end_line(&mut open);
            }
        }
    }

    fn end_line(&self, open: &mut Vec<u8>) {
        let line = String::from_utf8_lossy(open).trim_end().to_owned();
        open.clear();
        if !line.is_empty() {
            self.record.line(self.level, line);
        }
    }
}

impl Drop for OpenLine {
    fn drop(&mut self) {
        let mut open =
            std::mem::take(&mut *self.bytes.lock().unwrap_or_else(PoisonError::into_inner));
        self.end_line(&mut open);
    }
}

impl IsTerminal for LogStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LogStream {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        // For WASI 0.3, which is not linked.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for LogStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0.write(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES)
    }
}

#[async_trait::async_trait]
impl Pollable for LogStream {
    async fn ready(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::HandOver;
    use deployd_core::ports::CallLog;

    #[test]
    fn what_is_written_becomes_lines() {
        let record = Arc::new(CallRecord::default());
        let stream = LogStream::new(&record, LogLevel::Warn);
        let (mut one, mut two) = (stream.p2_stream(), stream.p2_stream());
        one.write(Bytes::from("hel")).unwrap();
        two.write(Bytes::from("lo\n\nwor")).unwrap();
        one.write(Bytes::from("ld")).unwrap();
        drop((one, two, stream));
        let log = CallLog::default();
        drop(HandOver { record: &record, log: &log });
        let lines: Vec<_> = log.take().into_iter().map(|line| line.message).collect();
        assert_eq!(lines, ["hello", "world"]);
    }
}
