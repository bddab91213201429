//! Compiling in a process of its own, bounded in time and memory.
//!
//! A compiler is not written against hostile input as the sandbox is: a
//! component can be made that takes it minutes, or all memory. So one process
//! compiles one component, under limits of the kernel, and what it compiled is
//! in wasmtime's cache on disk when it ends; the daemon then finds it there.
//! Nothing but wasmtime itself reads or writes compiled code.
//!
//! The daemon executes nobody. It starts one process before it confines itself,
//! the [`Supervisor`], which does nothing but start a worker for each component.
//! Both are this same program:
//!
//! | process | runs | is asked through |
//! | --- | --- | --- |
//! | daemon | [`Supervisor::compile`] | |
//! | supervisor | [`supervise`] | a socket that is its standard input |
//! | worker | [`work`] | a socket that is its standard input |
//!
//! A question is one line of JSON, and the component's bytes; an answer is one
//! line of JSON.

mod apart;
mod client;
mod supervise;
mod work;

use std::io::{self, BufRead, Read};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use deployd_core::config::PluginKind;
use serde::{Deserialize, Serialize};

use crate::contract::{ContractError, Surface};
use crate::limits::{self, bytes_text};

pub(crate) use apart::Apart;
pub use client::Supervisor;
pub use supervise::supervise;
pub use work::work;

/// What compiling one component may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompileLimits {
    /// Address space of the process, beside what it has when it starts.
    pub memory_bytes: usize,
    /// Processor time of all its threads.
    pub cpu: Duration,
    /// Time by the clock.
    pub wall: Duration,
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self {
            memory_bytes: limits::COMPILE_MEMORY_BYTES,
            cpu: limits::COMPILE_CPU,
            wall: limits::COMPILE_TIME,
        }
    }
}

/// A component to be compiled; its bytes follow.
#[derive(Debug, Serialize, Deserialize)]
struct Question {
    /// Where the daemon keeps everything.
    state: PathBuf,
    /// What it is to be.
    kind: PluginKind,
    bytes: usize,
    memory_bytes: usize,
    cpu_seconds: u64,
    wall_ms: u64,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// It is compiled, and has these imports and exports.
    Compiled(Surface),
    /// It is no plugin of this kind.
    Refused(ContractError),
    /// The compiler does not take it.
    Invalid(String),
    /// It took more than it may.
    Exhausted(Exhausted),
    /// The process failed, by no fault of the component that is known.
    Failed(String),
}

/// What a compilation used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Exhausted {
    /// Memory, or the stack.
    #[error(
        "compiling it takes more memory than {}; strip what it does not need, make its functions \
         smaller, or let an operator raise compiler.memory-mib in the daemon's settings",
        bytes_text(*.0)
    )]
    Memory(usize),
    /// Processor time.
    #[error(
        "compiling it takes more than {0} s of processor time; make its functions smaller, \
         or let an operator raise compiler.cpu-seconds in the daemon's settings"
    )]
    Cpu(u64),
    /// Time by the clock.
    #[error(
        "compiling it takes longer than {0} ms by the clock; try again when the machine is less busy"
    )]
    Time(u64),
}

/// Reads a line of JSON; none at the end of the stream.
fn read_line<T: for<'a> Deserialize<'a>>(from: &mut impl BufRead) -> io::Result<Option<T>> {
    let mut line = String::new();
    // More than any question or answer has: names of imports and exports.
    from.take(limits::MANIFEST_BYTES as u64).read_line(&mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    serde_json::from_str(&line).map(Some).map_err(io::Error::other)
}

fn write_line(mut to: impl io::Write, what: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(what).map_err(io::Error::other)?;
    line.push(b'\n');
    to.write_all(&line)
}

/// The socket that a process was given as its standard input.
fn standard_input() -> io::Result<UnixStream> {
    Ok(UnixStream::from(rustix::io::dup(rustix::stdio::stdin())?))
}
