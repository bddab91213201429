//! Measures calls of a good plugin, by itself and beside plugins that do all the
//! harm they can: prints one JSON object of blocks. `cargo xtask bench hostile`
//! builds this, runs it, and says what the figures mean.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its answer goes to xtask")]

mod hostile;
mod stage;

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use bench::Measured;
use hostile::Crowd;
use stage::Stage;

/// Calls per block.
const CALLS: usize = 2000;
/// Plugins that call at the same time: more than the machine has processors,
/// and as many as the slow lane has places.
const CALLERS: usize = 8;
/// How long the crowd is at work before anything is measured.
const WARM_UP: Duration = Duration::from_millis(100);

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [blocks, plugins] = arguments.as_slice() else {
        anyhow::bail!("hostile BLOCKS PLUGINS");
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // One that never quarantines anybody, which is harder than any daemon has it,
    // and one that does as a daemon does.
    let patient = runtime.block_on(Stage::set(Path::new(plugins), Some(Duration::ZERO)))?;
    let strict = runtime.block_on(Stage::set(Path::new(plugins), None))?;
    let mut measured = Measured::default();
    runtime.block_on(async {
        for stage in [&strict, &patient] {
            stage.calls(CALLS).await?;
        }
        for block in 0..blocks.parse::<usize>()? {
            eprint!("\rblock {}/{blocks}", block + 1);
            measured.add("calm", patient.calls(CALLS).await?);
            let crowd = Crowd::let_loose(&patient, CALLERS);
            tokio::time::sleep(WARM_UP).await;
            measured.add("beside hostile plugins, never quarantined", patient.calls(CALLS).await?);
            crowd.end().await;
            measured.add("calm, again", strict.calls(CALLS).await?);
            let crowd = Crowd::let_loose(&strict, CALLERS);
            tokio::time::sleep(WARM_UP).await;
            measured.add("beside hostile plugins", strict.calls(CALLS).await?);
            crowd.end().await;
        }
        anyhow::Ok(())
    })?;
    eprintln!();
    let (calls, strikes) = patient.hostile_calls().context("no hostile plugin was called")?;
    measured.facts.insert("hostile plugins", patient.hostile().len().to_string());
    measured.facts.insert("their calls, and strikes", format!("{calls}, {strikes}"));
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}
