//! A process per call: how hooks, exec plugins and `kubectl` in scripts work.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use bench::timed;
use serde_json::Value;

pub(crate) struct PerProcess {
    program: PathBuf,
    event: Value,
    config: Value,
}

impl PerProcess {
    pub(crate) fn new(program: &Path, event: &Value, config: &Value) -> Self {
        Self { program: program.to_owned(), event: event.clone(), config: config.clone() }
    }

    /// One call, timed.
    pub(crate) fn call(&self) -> anyhow::Result<Duration> {
        let (took, answer) = timed(|| self.answer());
        answer.map(|_| took)
    }

    /// Starts the program, gives it the event, and reads what it answers.
    pub(crate) fn answer(&self) -> anyhow::Result<Value> {
        let mut child = Command::new(&self.program)
            .arg(self.config.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} can't be run", self.program.display()))?;
        let mut input = child.stdin.take().context("no standard input")?;
        input.write_all(self.event.to_string().as_bytes())?;
        drop(input);
        let mut text = String::new();
        child.stdout.take().context("no standard output")?.read_to_string(&mut text)?;
        ensure!(child.wait()?.success(), "{} failed", self.program.display());
        Ok(serde_json::from_str(&text)?)
    }
}
