//! Images that have failed in an environment.

use deployd_core::quarantine::{LiftRequest, Quarantined};

use super::Context;
use crate::args::{QuarantineCommand, QuarantineLiftArgs, QuarantineListArgs};
use crate::error::CliError;
use crate::exit;
use crate::output::{Table, Tone, ago, clean};

pub(super) async fn quarantine(
    context: &mut Context<'_>,
    command: QuarantineCommand,
) -> Result<u8, CliError> {
    match command {
        QuarantineCommand::List(args) => list(context, args).await,
        QuarantineCommand::Lift(args) => lift(context, args).await,
    }
}

async fn list(context: &mut Context<'_>, args: QuarantineListArgs) -> Result<u8, CliError> {
    let found = context.client()?.quarantine(&args.environment).await?;
    let output = &mut *context.output;
    if !output.is_human() {
        output.document(&found)?;
        return Ok(exit::OK);
    }
    if found.is_empty() {
        output.line(format!("Nothing is kept from {}.", args.environment))?;
        return Ok(exit::OK);
    }
    let mut table = Table::new(["image", "since", "deployment", "why"]);
    for one in &found {
        table.toned([
            (clean(&one.image), Tone::Plain),
            (ago(one.at, output.now), Tone::Dim),
            (one.deployment.to_string(), Tone::Plain),
            (clean(&format!("{}: {}", one.code, one.message)), Tone::Bad),
        ]);
    }
    output.table(&table)?;
    output.note("`deployd quarantine lift` has automation bring one back")?;
    Ok(exit::OK)
}

async fn lift(context: &mut Context<'_>, args: QuarantineLiftArgs) -> Result<u8, CliError> {
    let client = context.client()?;
    let kept = client.quarantine(&args.environment).await?;
    let image = meant(&kept, &args.image).unwrap_or(args.image);
    let request = LiftRequest { image, reason: args.reason };
    let lifted = client.lift(&args.environment, &request).await?;
    let output = &mut *context.output;
    if output.is_human() {
        let image = clean(&lifted.image);
        output.line(format!("Automation may bring {image} to {} again", args.environment))?;
    } else {
        output.document(&lifted)?;
    }
    Ok(exit::OK)
}

/// The one image that a text stands for, if there is one: the beginning of its
/// digest is enough.
fn meant(kept: &[Quarantined], text: &str) -> Option<String> {
    let digest = text.strip_prefix("sha256:").unwrap_or(text);
    let is_meant = |one: &&Quarantined| {
        one.image == text
            || one.image.split_once("@sha256:").is_some_and(|(_, of)| of.starts_with(digest))
    };
    let mut found = kept.iter().filter(is_meant);
    let first = found.next()?;
    found.next().is_none().then(|| first.image.clone())
}
