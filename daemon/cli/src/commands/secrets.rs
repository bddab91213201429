//! Sets secrets. Their values are on no command line, and in no output.

use std::io::Read as _;

use super::Context;
use crate::args::{SecretCommand, SecretSetArgs};
use crate::error::CliError;
use crate::exit;

/// Bytes that are read: more than the daemon takes.
const BYTES_MAX: u64 = 1 << 20;

pub(super) async fn secret(
    context: &mut Context<'_>,
    command: SecretCommand,
) -> Result<u8, CliError> {
    match command {
        SecretCommand::Set(args) => {
            let value = value(context, &args)?;
            context.client()?.set_secret(&args.name, value).await?;
            if context.output.is_human() {
                context.output.note(format!("secret {} is set", args.name))?;
            } else {
                context.output.document(&serde_json::json!({"name": args.name}))?;
            }
        }
        SecretCommand::List => {
            let names = context.client()?.secrets().await?;
            let output = &mut *context.output;
            if !output.is_human() {
                output.document(&names)?;
            } else if names.is_empty() {
                output.note("no secrets are set")?;
            } else {
                for name in &names {
                    output.line(crate::output::clean(name))?;
                }
            }
        }
    }
    Ok(exit::OK)
}

fn value(context: &mut Context<'_>, args: &SecretSetArgs) -> Result<Vec<u8>, CliError> {
    let mut bytes = Vec::new();
    match &args.from_file {
        Some(path) => {
            let failed = |error| CliError::file(path, error);
            let file = std::fs::File::open(path).map_err(failed)?;
            file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
        }
        // What is typed would stand on the screen.
        None if context.typed => {
            let message = "the value is read from a pipe or with --from-file, not from the keyboard, \
                           where it would be seen";
            return Err(CliError::Usage(message.to_owned()));
        }
        None => {
            let failed = |error| CliError::file(super::sources::STDIN, error);
            (&mut *context.input).take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
        }
    }
    if bytes.len() as u64 > BYTES_MAX {
        return Err(CliError::Input(format!("the value has more than {BYTES_MAX} bytes")));
    }
    // Editors and `echo` end a file with a line break that nobody means.
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    if bytes.is_empty() {
        return Err(CliError::Input("the value is empty".to_owned()));
    }
    Ok(bytes)
}
