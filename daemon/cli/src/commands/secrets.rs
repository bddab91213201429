//! Sets and links secrets, and changes their keys. Their values are on no command line, and in no output.

use std::io::Read as _;

use deployd_core::secret::{KeyReport, KeyUse};

use super::Context;
use crate::args::{SecretCommand, SecretSetArgs};
use crate::error::CliError;
use crate::exit;
use crate::output::{Output, Table, Tone, clean};

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
        SecretCommand::Link(args) => {
            let linked = context.client()?.link_secret(&args.name, &args.from).await?;
            let output = &mut *context.output;
            if !output.is_human() {
                output.document(&linked)?;
                return Ok(exit::OK);
            }
            output.note(format!("secret {} is kept at {}", linked.name, linked.from))?;
            if let Some(problem) = &linked.problem {
                let text = format!("its value can't be had now: {}", clean(problem));
                output.note(output.paint.tone(Tone::Bad, text))?;
            }
        }
        SecretCommand::List => {
            let secrets = context.client()?.secrets().await?;
            let output = &mut *context.output;
            if !output.is_human() {
                output.document(&secrets)?;
            } else if secrets.is_empty() {
                output.note("no secrets are set")?;
            } else {
                let mut table = Table::new(["name", "kept"]);
                for secret in &secrets {
                    let from = secret.from.as_ref().map(ToString::to_string);
                    let kept = from.as_deref().map_or_else(|| "here".to_owned(), clean);
                    table.row([clean(&secret.name), kept]);
                }
                output.table(&table)?;
            }
        }
        SecretCommand::Keys => {
            let report = context.client()?.secret_keys().await?;
            keys(context.output, &report)?;
        }
        SecretCommand::RotateKey => {
            let report = context.client()?.rotate_secret_key().await?;
            keys(context.output, &report)?;
        }
    }
    Ok(exit::OK)
}

/// The keys, and what is to be done about them.
fn keys(output: &mut Output, report: &KeyReport) -> Result<(), CliError> {
    if !output.is_human() {
        return output.document(report);
    }
    let mut table = Table::new(["key", "from", "use"]);
    for key in &report.keys {
        let used = match key.used {
            KeyUse::Newest => "newest",
            KeyUse::Needed => "needed",
            KeyUse::Removable => "removable",
        };
        table.row([clean(&key.id), clean(&key.from), used.to_owned()]);
    }
    output.table(&table)?;
    if !report.settled {
        output.note(
            "not every secret is wrapped with the newest key yet; `deployd secret rotate-key` \
             finishes that",
        )?;
    } else if report.keys.iter().any(|key| key.used == KeyUse::Removable) {
        output.note("a removable key opens nothing in the store; backups from before need it")?;
    }
    if !report.unreadable.is_empty() {
        let names = clean(&report.unreadable.join(", "));
        let text =
            format!("no key opens: {names}; set them anew, or restore their key and start again");
        output.note(output.paint.tone(Tone::Bad, text))?;
    }
    Ok(())
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
