//! Shows sets, and makes sets of sets.

use deployd_core::compare::merge::Prefer;
use deployd_core::set::{KnownSet, MergeRequest, PatchRequest};
use deployd_core::{Digest, EnvironmentId};

use super::selection::from_file;
use super::{Context, selection};
use crate::args::{PatchArgs, SetCommand, SetListArgs, SetShowArgs};
use crate::error::CliError;
use crate::exit;
use crate::output::{Table, Tone, ago, counted};

pub(super) async fn set(context: &mut Context<'_>, command: SetCommand) -> Result<u8, CliError> {
    match command {
        SetCommand::Show(args) => show(context, args).await,
        SetCommand::List(args) => list(context, args).await,
    }
}

async fn show(context: &mut Context<'_>, args: SetShowArgs) -> Result<u8, CliError> {
    let client = context.client()?;
    let digest = client.subject(&args.subject).await?.set;
    let set = client.set(digest).await?;
    let output = &mut *context.output;
    if output.is_human() {
        output.note(format!("set {digest} of {}", set.application))?;
        let document =
            serde_json::to_value(&set).map_err(|error| CliError::Failed(error.to_string()))?;
        let text = deployd_config::to_yaml(&document)?;
        output.text(&text)?;
    } else {
        output.document(&set)?;
    }
    Ok(exit::OK)
}

async fn list(context: &mut Context<'_>, args: SetListArgs) -> Result<u8, CliError> {
    let client = context.client()?;
    let page = client.sets(&args.application, args.cursor.as_deref(), args.limit).await?;
    let output = &mut *context.output;
    if !output.is_human() {
        output.document(&page)?;
        return Ok(exit::OK);
    }
    if page.sets.is_empty() {
        output.note(format!("No set of {} is known.", args.application))?;
        return Ok(exit::OK);
    }
    let mut table = Table::new(["set", "since", "by", "made from", "runs in", "deployed in"]);
    for KnownSet { digest, origin, runs_in, deployed_in } in &page.sets {
        table.toned([
            (short(*digest), Tone::Plain),
            (ago(origin.at, output.now), Tone::Plain),
            (origin.actor.to_string(), Tone::Plain),
            (origin.from.map(short).unwrap_or_default(), Tone::Plain),
            (names(runs_in), Tone::Good),
            (names(deployed_in), Tone::Plain),
        ]);
    }
    output.table(&table)?;
    if let Some(next) = page.next {
        output.note(format!("There are more: --cursor {next}"))?;
    }
    Ok(exit::OK)
}

/// A digest that is short, and still names the set.
fn short(digest: Digest) -> String {
    format!("sha256:{}", digest.short())
}

fn names(environments: &[EnvironmentId]) -> String {
    let names: Vec<&str> =
        environments.iter().map(|environment| environment.environment.as_str()).collect();
    names.join(", ")
}

pub(super) async fn patch(context: &mut Context<'_>, args: PatchArgs) -> Result<u8, CliError> {
    let client = context.client()?;
    let (known, place) = match (args.b, args.onto) {
        (Some(theirs), Some(onto)) => {
            let prefer = match (args.ours, args.theirs) {
                (true, _) => Some(Prefer::Ours),
                (_, true) => Some(Prefer::Theirs),
                _ => None,
            };
            let place = selection::environment_of(&onto);
            let request = MergeRequest { base: args.a, theirs, onto, prefer };
            let merged = client.merge_sets(&request).await?;
            let output = &mut *context.output;
            if !output.is_human() {
                output.document(&merged)?;
                return Ok(exit::OK);
            }
            if merged.delta.is_empty() {
                output.note("Nothing changes: what the change brings is there already.")?;
            }
            if !merged.conflicts.is_empty() {
                let whose = if args.ours { "what is there" } else { "what the change brings" };
                let count = counted(merged.conflicts.len() as u64, "field");
                output.note(format!("{count} changed on both sides; of these, {whose} counts:"))?;
                for conflict in &merged.conflicts {
                    output.note(format!("  {}", crate::output::clean(&conflict.path)))?;
                }
            }
            (merged.set, place)
        }
        (_, _) => {
            let file = args.delta.unwrap_or_else(|| "-".to_owned());
            let place = selection::environment_of(&args.a);
            let request = PatchRequest { from: args.a, delta: from_file(context, &file)? };
            let known = client.patch_set(&request).await?;
            if !context.output.is_human() {
                context.output.document(&known)?;
                return Ok(exit::OK);
            }
            (known, place)
        }
    };
    let output = &mut *context.output;
    let digest = known.digest;
    output.line(digest.to_string())?;
    if let Some(place) = place {
        output.note(format!(
            "`deployd plan {place} --set {}` shows what it would do",
            short(digest)
        ))?;
    }
    Ok(exit::OK)
}
