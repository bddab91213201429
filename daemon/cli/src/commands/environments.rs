//! Shows environments, what runs in them, and what is there.

use deployd_core::views::{EnvironmentView, ResourceView};
use serde_json::Value;

use super::Context;
use crate::args::EnvironmentArgs;
use crate::error::CliError;
use crate::exit;
use crate::output::{Output, Table, Tone, ago, clean, short};

pub(super) async fn environments(context: &mut Context<'_>) -> Result<u8, CliError> {
    let views = context.client()?.environments().await?;
    let output = &mut *context.output;
    if !output.is_human() {
        output.document(&views)?;
        return Ok(exit::OK);
    }
    let mut table = Table::new(["environment", "type", "runs", "since", "active", "queued"]);
    for view in &views {
        let deployed = view.state.deployed.as_ref();
        table.row([
            view.id.to_string(),
            view.environment_type.to_string(),
            deployed.map_or_else(|| "-".to_owned(), |deployed| deployed.deployment.to_string()),
            deployed.map_or_else(String::new, |deployed| ago(deployed.at, output.now)),
            view.state.active.as_ref().map_or_else(|| "-".to_owned(), |a| a.id.to_string()),
            view.state.queue.len().to_string(),
        ]);
    }
    if table.is_empty() {
        output.note("no environments; an Environment document makes one")?;
    } else {
        output.table(&table)?;
    }
    Ok(exit::OK)
}

pub(super) async fn environment(
    context: &mut Context<'_>,
    args: EnvironmentArgs,
) -> Result<u8, CliError> {
    let view = context.client()?.environment(&args.environment).await?;
    if context.output.is_human() {
        describe(context.output, &view)?;
    } else {
        context.output.document(&view)?;
    }
    Ok(exit::OK)
}

fn describe(output: &mut Output, view: &EnvironmentView) -> Result<(), CliError> {
    let paint = output.paint;
    let title = paint.tone(Tone::Strong, view.id.to_string());
    output.line(format!("{title} ({})", view.environment_type))?;
    match &view.state.deployed {
        Some(deployed) => {
            let when = ago(deployed.at, output.now);
            output.line(format!("  runs      deployment {} ({when})", deployed.deployment))?;
            output.line(format!("  set       {}", deployed.set))?;
        }
        None => output.line("  runs      nothing")?,
    }
    if let Some(active) = &view.state.active {
        let text = format!("  active    deployment {} #{}", active.id, active.number);
        output.line(paint.tone(Tone::Busy, text))?;
    }
    for queued in &view.state.queue {
        let by = clean(&queued.actor.0);
        output.line(format!("  queued    deployment {} #{} by {by}", queued.id, queued.number))?;
    }
    output.line(format!("  resources {}", view.state.resources.len()))?;
    if view.images.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(["container", "image"]);
    for (place, image) in &view.images {
        table.row([place.clone(), short(image)]);
    }
    output.line("")?;
    output.table(&table)
}

pub(super) async fn resources(
    context: &mut Context<'_>,
    args: EnvironmentArgs,
) -> Result<u8, CliError> {
    let resources = context.client()?.resources(&args.environment).await?;
    let output = &mut *context.output;
    if !output.is_human() {
        output.document(&resources)?;
        return Ok(exit::OK);
    }
    let mut table = Table::new(["resource", "uid", "in use", "deployment", "when", "outputs"]);
    for resource in &resources {
        let ResourceView { uid, name, deployment, at, in_use, outputs } = resource;
        let used = if *in_use { ("yes", Tone::Plain) } else { ("no", Tone::Warn) };
        table.toned([
            (name.clone(), Tone::Plain),
            (uid.to_string(), Tone::Plain),
            (used.0.to_owned(), used.1),
            (deployment.to_string(), Tone::Plain),
            (ago(*at, output.now), Tone::Plain),
            (outputs_text(outputs), Tone::Plain),
        ]);
    }
    if table.is_empty() {
        output.note("no resources are there")?;
    } else {
        output.table(&table)?;
    }
    Ok(exit::OK)
}

/// `host=db, port=5432`.
fn outputs_text(outputs: &Value) -> String {
    let Value::Object(fields) = outputs else { return String::new() };
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let pairs: Vec<String> =
        fields.iter().map(|(name, value)| format!("{name}={}", text(value))).collect();
    pairs.join(", ")
}
