//! Helm: version 4 in process, through its C interface, and the command.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use bench::timed;
use serde_json::{Map, Value};

use crate::objects::Objects;

/// A process with Helm's library in it, which has the chart loaded and its own
/// clock. This side only says when to measure.
pub(crate) struct HelmSdk {
    child: Child,
    /// None once it is to end.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl HelmSdk {
    pub(crate) fn start(
        python: &Path,
        script: &Path,
        chart: &Path,
        values: &Path,
    ) -> anyhow::Result<Self> {
        let mut child = Command::new(python)
            .args([script, chart, values])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("Python with Helm's library can't be run")?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().context("no standard output")?);
        Ok(Self { child, input, output })
    }

    fn ask(&mut self, job: &str) -> anyhow::Result<String> {
        writeln!(self.input.as_mut().context("no standard input")?, "{job}")?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line)
    }

    /// What it renders.
    pub(crate) fn objects(&mut self) -> anyhow::Result<Objects> {
        let files: Map<String, Value> = serde_json::from_str(&self.ask("show")?)?;
        let texts: Vec<&str> = files.values().filter_map(Value::as_str).collect();
        Objects::read(&texts.join("\n---\n"))
    }

    pub(crate) fn renders(&mut self, count: usize) -> anyhow::Result<Vec<Duration>> {
        let times: Vec<Duration> = self
            .ask(&count.to_string())?
            .split_whitespace()
            .map(|number| number.parse().map(Duration::from_nanos))
            .collect::<Result<_, _>>()?;
        ensure!(times.len() == count, "Helm rendered {} times of {count}", times.len());
        Ok(times)
    }
}

impl Drop for HelmSdk {
    fn drop(&mut self) {
        // It ends when there is nothing more to read.
        self.input = None;
        let _ = self.child.wait();
    }
}

/// `helm template`, a process each time.
pub(crate) struct HelmProcess {
    helm: PathBuf,
    chart: PathBuf,
    values: PathBuf,
}

impl HelmProcess {
    pub(crate) fn new(helm: &Path, chart: &Path, values: &Path) -> Self {
        Self { helm: helm.to_owned(), chart: chart.to_owned(), values: values.to_owned() }
    }

    pub(crate) fn render(&self) -> anyhow::Result<String> {
        let mut command = Command::new(&self.helm);
        command.args(["template", "shop"]).arg(&self.chart);
        command.args(["--namespace", "shop-production", "--values"]).arg(&self.values);
        output(&mut command)
    }

    pub(crate) fn renders(&self, count: usize) -> anyhow::Result<Vec<Duration>> {
        times(count, || self.render())
    }
}

/// Standard output of a process that has succeeded.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("{command:?} can't be run"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} ended with {}: {said}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

pub(crate) fn times(
    count: usize,
    mut render: impl FnMut() -> anyhow::Result<String>,
) -> anyhow::Result<Vec<Duration>> {
    (0..count)
        .map(|_| {
            let (took, rendered) = timed(&mut render);
            rendered.map(|_| took)
        })
        .collect()
}
