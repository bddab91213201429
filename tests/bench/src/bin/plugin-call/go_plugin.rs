//! The peer: a host in Go, which has its plugin as go-plugin has it, and its own
//! clock. This side only says when to measure what.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;

pub(crate) struct GoPlugin {
    child: Child,
    /// None once it is to end.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl GoPlugin {
    /// Starts the host, which starts its plugin.
    pub(crate) fn start(programs: &Path, event: &Value, config: &Value) -> anyhow::Result<Self> {
        let mut child = Command::new(programs.join("client"))
            .arg(programs.join("plugin"))
            .args([event.to_string(), config.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the client of go-plugin can't be run")?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().context("no standard output")?);
        Ok(Self { child, input, output })
    }

    /// Has it measure a job so many times.
    pub(crate) fn calls(&mut self, job: &str, count: usize) -> anyhow::Result<Vec<Duration>> {
        writeln!(self.input.as_mut().context("no standard input")?, "{job} {count}")?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let calls: Vec<Duration> = line
            .split_whitespace()
            .map(|number| number.parse().map(Duration::from_nanos))
            .collect::<Result<_, _>>()?;
        ensure!(calls.len() == count, "go-plugin made {} calls of {count}", calls.len());
        Ok(calls)
    }
}

impl Drop for GoPlugin {
    fn drop(&mut self) {
        // It ends its plugin, and itself, when there is nothing more to read.
        self.input = None;
        let _ = self.child.wait();
    }
}
