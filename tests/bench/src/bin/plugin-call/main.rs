//! Measures a call of a plugin, and its peers: prints one JSON object of blocks.
//!
//! `cargo xtask bench plugin-call` builds this and all it needs, runs it, and
//! says what the figures mean. What each contender does per call is the work of
//! the notifier `webhook`: an event of about 4 KiB is read, one HTTP request is
//! made of it, whose body of about 4 KiB has the event's data in it. All begin
//! with a document in memory and end with a typed answer.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its answer goes to xtask")]

mod go_plugin;
mod ours;
mod per_process;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use bench::{Measured, timed};
use deployd_core::ports::NotifierRequest;
use go_plugin::GoPlugin;
use ours::Ours;
use per_process::PerProcess;
use serde_json::Value;

const EVENT: &str = include_str!("event.json");
const CONFIG: &str = r#"{"url": "https://hooks.example.com/deployments",
    "events": ["deployment.*", "gate.opened"], "headers": {"x-team": "shop"}}"#;

/// Calls per block: the more of them, the better is a 99th percentile known.
const CALLS: usize = 2000;
const GO_CALLS: usize = 1000;
const PROCESSES: usize = 100;
const STARTS: usize = 3;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [blocks, plugins, go, format_once] = arguments.as_slice() else {
        anyhow::bail!("plugin-call BLOCKS PLUGINS GO-PROGRAMS FORMAT-ONCE");
    };
    let event: Value = serde_json::from_str(EVENT)?;
    let config: Value = serde_json::from_str(CONFIG)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let go = Path::new(go);

    let ours = Ours::start(&runtime, Path::new(plugins), &event, &config)?;
    let rust_process = PerProcess::new(Path::new(format_once), &event, &config);
    let go_process = PerProcess::new(&go.join("once"), &event, &config);
    let mut go_plugin = GoPlugin::start(go, &event, &config)?;
    let answer = ours.answer()?;
    same(&answer, &rust_process.answer()?).context("the process in Rust")?;
    same(&answer, &go_process.answer()?).context("the process in Go")?;

    let mut measured = Measured::default();
    let sizes = format!("{} bytes in, {} bytes out", event.to_string().len(), answer.body.len());
    measured.facts.insert("document", sizes);
    measured.facts.insert("plugins loaded", ours.count().to_string());
    // What is slow only once is no part of any block.
    ours.calls(CALLS)?;
    go_plugin.calls("call", GO_CALLS)?;
    go_plugin.calls("echo", GO_CALLS)?;
    for block in 0..blocks.parse::<usize>()? {
        eprint!("\rblock {}/{blocks}", block + 1);
        measured.add("deployd", ours.calls(CALLS)?);
        measured.add("go-plugin", go_plugin.calls("call", GO_CALLS)?);
        measured.add("go-plugin, bytes only", go_plugin.calls("echo", GO_CALLS)?);
        measured.add("the work itself", many(CALLS, || work(&event, &config))?);
        measured.add("process in Rust", many(PROCESSES, || rust_process.call())?);
        measured.add("process in Go", many(PROCESSES, || go_process.call())?);
        measured.add("load", many(STARTS, || ours.load_all())?);
        measured.add("load one, first call", many(STARTS, || ours.load_one())?);
        measured.add("go-plugin, start, first call", go_plugin.calls("start", STARTS)?);
    }
    eprintln!();
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}

/// The same work in ordinary Rust, with no plugin at all: what no contender can
/// be quicker than.
fn work(event: &Value, config: &Value) -> anyhow::Result<Duration> {
    let (took, requests) = timed(|| {
        bench::webhook::format(&serde_json::to_string(event)?, &serde_json::to_string(config)?)
    });
    ensure!(requests?.len() == 1, "no request");
    Ok(took)
}

fn many(
    count: usize,
    mut call: impl FnMut() -> anyhow::Result<Duration>,
) -> anyhow::Result<Vec<Duration>> {
    (0..count).map(|_| call()).collect()
}

/// Whether a peer has done what we have: who does less has an easy win.
fn same(ours: &NotifierRequest, theirs: &Value) -> anyhow::Result<()> {
    let request = theirs.get(0).context("no request")?;
    let text = |name: &str| request.get(name).and_then(Value::as_str).unwrap_or_default();
    ensure!(text("method") == ours.method && text("url") == ours.url, "another address");
    ensure!(Some(text("thread")) == ours.thread.as_deref(), "another thread");
    let body: Value = serde_json::from_str(text("body"))?;
    let our_body: Value = serde_json::from_slice(&ours.body)?;
    ensure!(body == our_body, "another body: {body} and not {our_body}");
    Ok(())
}
