//! Rollouts under way, by a daemon of its own process, on a practice cluster in
//! this one: what they cost while they wait and while they are checked, how soon a
//! pod that fails is answered, and whether memory stays as it is over a week.
//!
//! `rollout DEPLOYD ROLLOUTS WEEKS`: the daemon's binary, the canaries under way at
//! once, and how many canaries have a week's checks, one a minute, in as little
//! time as there is; none of either leaves that part out. Prints a table, and one JSON object as its last line.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

mod canaries;
mod checked;
mod reaction;
mod week;

use std::path::PathBuf;

use anyhow::{Context, ensure};
use bench::figures::Figures;

fn main() -> anyhow::Result<()> {
    // An error means that there is a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut arguments = std::env::args_os().skip(1);
    let deployd = PathBuf::from(arguments.next().context("expected the daemon's binary")?);
    let mut number = |what: &str| -> anyhow::Result<usize> {
        let text = arguments.next().with_context(|| format!("expected the number of {what}"))?;
        text.to_string_lossy().parse().with_context(|| what.to_owned())
    };
    let (rollouts, weeks) = (number("rollouts")?, number("weeks")?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut figures = Figures::new("rollout");
    runtime.block_on(async {
        if rollouts > 0 {
            Box::pin(canaries::bench(&mut figures, &deployd, rollouts)).await?;
        }
        if weeks > 0 {
            Box::pin(week::bench(&mut figures, &deployd, weeks)).await?;
        }
        anyhow::Ok(())
    })?;
    print!("{figures}");
    println!("{}", figures.json());
    ensure!(figures.ok(), "a goal is missed");
    Ok(())
}
