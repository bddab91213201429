//! Lists and uploads plugins.

use super::Context;
use crate::args::{PluginCommand, PluginPushArgs};
use crate::error::CliError;
use crate::exit;
use crate::output::Table;

pub(super) async fn plugin(
    context: &mut Context<'_>,
    command: PluginCommand,
) -> Result<u8, CliError> {
    match command {
        PluginCommand::List => list(context).await,
        PluginCommand::Push(args) => push(context, args).await,
    }
}

async fn list(context: &mut Context<'_>) -> Result<u8, CliError> {
    let plugins = context.client()?.plugins().await?;
    let output = &mut *context.output;
    if !output.is_human() {
        output.document(&plugins)?;
        return Ok(exit::OK);
    }
    let mut table = Table::new(["name", "kind", "version", "digest"]);
    for info in &plugins {
        table.row([
            info.plugin.name.clone(),
            info.kind.to_string(),
            info.version.clone(),
            info.plugin.digest.to_string(),
        ]);
    }
    if table.is_empty() {
        output.note("no plugins; a Plugin document names one")?;
    } else {
        output.table(&table)?;
    }
    Ok(exit::OK)
}

async fn push(context: &mut Context<'_>, args: PluginPushArgs) -> Result<u8, CliError> {
    let component =
        std::fs::read(&args.component).map_err(|error| CliError::file(&args.component, error))?;
    let manifest = std::fs::read_to_string(&args.manifest)
        .map_err(|error| CliError::file(&args.manifest, error))?;
    let info = context.client()?.push_plugin(&component, &manifest).await?;
    let output = &mut *context.output;
    if output.is_human() {
        let name = crate::output::clean(&info.plugin.name);
        output.note(format!("uploaded: {} {name} {}", info.kind, info.version))?;
        output.line(info.plugin.digest.to_string())?;
        output.note("a Plugin document with this digest and `source: {uploaded: ...}` uses it")?;
    } else {
        output.document(&info)?;
    }
    Ok(exit::OK)
}
