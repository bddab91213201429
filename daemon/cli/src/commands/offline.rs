//! What describes deployd itself: schemas, completions, manual pages, OpenAPI.

use clap::CommandFactory as _;

use super::Context;
use crate::args::{Cli, CompletionsArgs, Format, ManualArgs, SchemaArgs, SchemaKind};
use crate::error::CliError;
use crate::exit;

pub(super) fn schema(context: &mut Context<'_>, args: &SchemaArgs) -> Result<u8, CliError> {
    let schema = match args.kind {
        SchemaKind::All => deployd_config::combined_schema(),
        SchemaKind::Of(kind) => deployd_config::schema_for(kind),
    };
    context.output.document(schema)?;
    Ok(exit::OK)
}

pub(super) fn completions(
    context: &mut Context<'_>,
    args: &CompletionsArgs,
) -> Result<u8, CliError> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "deployd", &mut text);
    context.output.text(&String::from_utf8_lossy(&text))?;
    Ok(exit::OK)
}

pub(super) fn manual(context: &mut Context<'_>, args: &ManualArgs) -> Result<u8, CliError> {
    let directory = &args.directory;
    let failed = |error| CliError::file(directory, error);
    std::fs::create_dir_all(directory).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), directory).map_err(failed)?;
    context.output.note(format!("manual pages are in {}", directory.display()))?;
    Ok(exit::OK)
}

pub(super) async fn openapi(context: &mut Context<'_>) -> Result<u8, CliError> {
    let document = context.client()?.openapi().await?;
    if context.output.format == Format::Human {
        context.output.format = Format::Json;
    }
    context.output.document(&document)?;
    Ok(exit::OK)
}
