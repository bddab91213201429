//! The native program: `tests/bench/peers/native`, in a process of its own that
//! stays.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use fixtures::bind::{KEYS, ZONE};
use postgresql_server::PASSWORD;

use crate::servers::Servers;

pub(crate) struct Native {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Native {
    /// Starts it, for these servers; `authority` is a file.
    pub(crate) fn start(
        program: &Path,
        servers: &Servers,
        authority: &Path,
    ) -> anyhow::Result<Self> {
        let [(key, _, secret), ..] = KEYS;
        let mut process = Command::new(program)
            .arg(servers.postgresql.port().to_string())
            .arg(authority)
            .arg(PASSWORD)
            .arg(servers.dns.primary.port.to_string())
            .args([ZONE, key, secret])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| program.display().to_string())?;
        let input = process.stdin.take().context("it has no input")?;
        let output = process.stdout.take().context("it has no output")?;
        Ok(Self { process, input, output: BufReader::new(output) })
    }

    /// Makes so many databases or names, from this number on; how long each took.
    pub(crate) fn make(
        &mut self,
        what: &str,
        first: usize,
        count: usize,
    ) -> anyhow::Result<Vec<Duration>> {
        writeln!(self.input, "{what} {first} {count}")?;
        let mut answer = String::new();
        self.output.read_line(&mut answer)?;
        let answer = answer.trim();
        if answer.is_empty() || answer.starts_with("error") {
            bail!("the native program, asked for a {what}: {answer:?}");
        }
        answer.split(',').map(|took| Ok(Duration::from_micros(took.parse()?))).collect()
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
