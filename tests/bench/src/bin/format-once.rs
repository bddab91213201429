//! The webhook notifier as a program that is started for every call: the event
//! on standard input, the configuration as the first argument, the requests on
//! standard output. As small and quick as such a program can be: no runtime, no
//! threads, no files.
#![allow(clippy::print_stdout, reason = "its answer goes to standard output")]

use std::io::Read;

use anyhow::Context;

fn main() -> anyhow::Result<()> {
    let config = std::env::args().nth(1).context("no configuration")?;
    let mut event = String::new();
    std::io::stdin().read_to_string(&mut event)?;
    println!("{}", serde_json::to_string(&bench::webhook::format(&event, &config)?)?);
    Ok(())
}
