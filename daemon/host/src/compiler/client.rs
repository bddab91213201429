//! The daemon's side.

use std::io::{self, BufReader, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use deployd_core::config::PluginKind;

use super::{Answer, CompileLimits, Question, read_line, write_line};

/// How much longer than a compilation its answer may take.
const ANSWER_MARGIN: Duration = Duration::from_secs(10);

/// The process that starts compilers. It ends when this is dropped.
#[derive(Debug)]
pub struct Supervisor {
    stream: Mutex<BufReader<UnixStream>>,
    limits: CompileLimits,
    /// Not waited for: it ends by itself, and may be outside of our sandbox.
    _child: Child,
}

impl Supervisor {
    /// Starts it. The command is to call [`super::supervise`]; it must not run
    /// in a process that has executed nobody yet but will be confined: confine
    /// after this.
    pub fn start(mut command: Command, limits: CompileLimits) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let child = command
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            // So that an interrupt from a terminal reaches the daemon alone,
            // which then ends in order.
            .process_group(0)
            .spawn()?;
        Ok(Self { stream: Mutex::new(BufReader::new(ours)), limits, _child: child })
    }

    /// Has a component compiled. Blocks until it is, one at a time.
    pub(crate) fn compile(&self, state: &Path, kind: PluginKind, component: &[u8]) -> Answer {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        self.ask(&mut stream, state, kind, component).unwrap_or_else(|error| {
            Answer::Failed(format!(
                "the process that compiles plugins does not answer ({error}); restart deployd"
            ))
        })
    }

    fn ask(
        &self,
        stream: &mut BufReader<UnixStream>,
        state: &Path,
        kind: PluginKind,
        component: &[u8],
    ) -> io::Result<Answer> {
        let question = Question {
            state: state.to_owned(),
            kind,
            bytes: component.len(),
            memory_bytes: self.limits.memory_bytes,
            cpu_seconds: self.limits.cpu.as_secs().max(1),
            wall_ms: u64::try_from(self.limits.wall.as_millis()).unwrap_or(u64::MAX),
        };
        let patience = Some(self.limits.wall.saturating_add(ANSWER_MARGIN));
        stream.get_ref().set_read_timeout(patience)?;
        stream.get_ref().set_write_timeout(patience)?;
        write_line(stream.get_ref(), &question)?;
        stream.get_mut().write_all(component)?;
        read_line(stream)?.ok_or_else(|| io::Error::other("it has ended"))
    }
}
