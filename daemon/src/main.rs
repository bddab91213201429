//! `deployd`: see `deployd help`.

use std::process::ExitCode;

fn main() -> anyhow::Result<ExitCode> {
    deployd_runtime::run()
}
