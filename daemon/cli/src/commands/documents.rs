//! Applies documents, and lists those that are applied.

use deployd_config::SourceFile;
use deployd_core::views::{Applied, DocumentChange};

use super::validate::{excerpt, with_excerpt};
use super::{Context, sources};
use crate::args::{ApplyArgs, DocumentsArgs, DocumentsCommand, RemoveArgs};
use crate::client::{DocumentFiles, Problem};
use crate::error::CliError;
use crate::exit;
use crate::output::{Output, Table, Tone, ago, clean};

pub(super) async fn apply(context: &mut Context<'_>, args: ApplyArgs) -> Result<u8, CliError> {
    let files = sources::documents(context, &args.files)?;
    let beside = sources::beside(&files)?;
    let client = context.client()?;
    let request = DocumentFiles { files, beside, dry_run: args.dry_run, force: args.force };
    let applied = match client.apply(&request).await {
        Ok(applied) => applied,
        Err(CliError::Problem(problem))
            if problem.errors.iter().any(|item| item.file.is_some()) =>
        {
            complain(context.output, &request.files, &problem);
            return Ok(problem.exit_code());
        }
        Err(error) => return Err(error),
    };
    if !context.output.is_human() {
        context.output.document(&applied)?;
        return Ok(exit::OK);
    }
    show(context.output, &applied)?;
    Ok(exit::OK)
}

/// Says what is wrong with documents, each in its place.
fn complain(output: &mut Output, files: &[SourceFile], problem: &Problem) {
    let (paint, terminal) = (output.err_paint, output.err_terminal);
    for item in &problem.errors {
        let place = item.file.as_deref().zip(item.line).filter(|_| terminal);
        let shown = place
            .and_then(|(file, line)| excerpt(files, file, line, item.column.unwrap_or(0), paint));
        output.complain(with_excerpt(&item.to_string(), shown));
    }
    let text = format!("{}; nothing was applied", problem.title);
    output.complain(format!("{} {text}", paint.tone(Tone::Bad, "error:")));
}

fn show(output: &mut Output, applied: &Applied) -> Result<(), CliError> {
    let mut counts = [0u32; 4];
    for document in &applied.documents {
        let (index, mark, tone, word) = match document.change {
            DocumentChange::Created => (0, "+", Tone::Good, "created"),
            DocumentChange::Changed => (1, "~", Tone::Warn, "changed"),
            DocumentChange::Unchanged => (2, "=", Tone::Dim, "unchanged"),
            DocumentChange::Removed => (3, "-", Tone::Bad, "removed"),
        };
        if let Some(count) = counts.get_mut(index) {
            *count += 1;
        }
        let mark = output.paint.tone(tone, mark);
        output.line(format!("{mark} {} {word} (version {})", document.key, document.version))?;
    }
    for affected in &applied.affected {
        output
            .line(output.paint.tone(Tone::Warn, format!("! {}", clean(&affected.to_string()))))?;
    }
    let [created, changed, unchanged, removed] = counts;
    let dry = if applied.dry_run { "dry run, nothing was stored: " } else { "" };
    let removed = if removed > 0 { format!(", {removed} removed") } else { String::new() };
    output.note(format!(
        "{dry}{created} created, {changed} changed, {unchanged} unchanged{removed}"
    ))?;
    if applied.dry_run && !applied.affected.is_empty() {
        output.note("resources that are there would come from elsewhere: this needs --force")?;
    }
    Ok(())
}

pub(super) async fn documents(
    context: &mut Context<'_>,
    args: DocumentsArgs,
) -> Result<u8, CliError> {
    if let Some(DocumentsCommand::Remove(args)) = args.command {
        let RemoveArgs { kind, name, dry_run, force } = args;
        let removed = context.client()?.remove_document(kind, &name, force, dry_run).await?;
        if context.output.is_human() {
            show(context.output, &removed)?;
        } else {
            context.output.document(&removed)?;
        }
        return Ok(exit::OK);
    }
    let documents = context.client()?.documents(args.kind).await?;
    let output = &mut *context.output;
    if !output.is_human() {
        output.document(&documents)?;
        return Ok(exit::OK);
    }
    let mut table = Table::new(["kind", "name", "version", "by", "when"]);
    for document in &documents {
        let name = match &document.key.application {
            Some(application) => format!("{application}/{}", document.key.name),
            None => document.key.name.to_string(),
        };
        table.row([
            document.key.kind.to_string(),
            name,
            document.version.to_string(),
            document.actor.to_string(),
            ago(document.at, output.now),
        ]);
    }
    if table.is_empty() {
        output.note("no documents are applied")?;
    } else {
        output.table(&table)?;
    }
    Ok(exit::OK)
}
