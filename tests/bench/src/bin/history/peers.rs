//! The same data and questions in PostgreSQL and SQLite: a program of its own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use postgresql_server::{PASSWORD, Server};

pub(crate) struct Peers {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Peers {
    /// Starts it, for this server and this file of SQLite's. `documents` has a
    /// deployment's record, set, plan and manifests, as they are stored by us.
    pub(crate) fn start(
        program: &Path,
        server: &Server,
        sqlite: &Path,
        documents: &Path,
    ) -> anyhow::Result<Self> {
        let mut process = Command::new(program)
            .args([server.port().to_string(), PASSWORD.to_owned()])
            .args([sqlite, documents])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| program.display().to_string())?;
        let input = process.stdin.take().context("it has no input")?;
        let output = process.stdout.take().context("it has no output")?;
        Ok(Self { process, input, output: BufReader::new(output) })
    }

    /// Has it do something; what it answers.
    fn tell(&mut self, line: &str) -> anyhow::Result<String> {
        writeln!(self.input, "{line}")?;
        let mut answer = String::new();
        self.output.read_line(&mut answer)?;
        match answer.trim() {
            "" => bail!("the peers' program has ended"),
            answer if answer.starts_with("error") => bail!("the peers, told {line:?}: {answer}"),
            answer => Ok(answer.to_owned()),
        }
    }

    /// Writes the data; the bytes that each peer has in the end.
    pub(crate) fn load(&mut self, applications: u64, versions: u64) -> anyhow::Result<String> {
        self.tell(&format!("load {applications} {versions}"))
    }

    /// What one question is answered with.
    pub(crate) fn answer(&mut self, peer: &str, query: &str, seed: u64) -> anyhow::Result<String> {
        self.tell(&format!("{peer} {query} {seed}"))
    }

    /// Asks one question so often; how long each took.
    pub(crate) fn ask(
        &mut self,
        peer: &str,
        query: &str,
        seed: u64,
        count: usize,
    ) -> anyhow::Result<Vec<Duration>> {
        let answer = self.tell(&format!("{peer} {query} {seed} {count}"))?;
        answer.split(',').map(|took| Ok(Duration::from_nanos(took.parse()?))).collect()
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
