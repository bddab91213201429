//! Takes past deployments along: exported, verified, imported.

use std::io::{Read as _, Write as _};
use std::path::Path;

use deployd_core::archive::{ARCHIVE_BYTES_MAX, ImportOutcome, ImportView, Imported, Verified};

use super::Context;
use crate::args::{ExportArgs, ExportCommand, ImportArgs};
use crate::error::CliError;
use crate::exit;
use crate::output::{Output, Table, Tone, ago, clean, counted};

pub(super) async fn export(context: &mut Context<'_>, args: ExportArgs) -> Result<u8, CliError> {
    if let Some(ExportCommand::Verify { file }) = &args.command {
        return verify(context.output, file);
    }
    let of = args.of.ok_or_else(|| CliError::Usage("expected a deployment".to_owned()))?;
    let archive = context.client()?.export(&of, !args.without_plugins).await?;
    // What has come is whole, or it is not written.
    let verified = deployd_archive::read(&archive).verified;
    if let Some(finding) = verified.findings.first() {
        return Err(CliError::Failed(format!("the archive has not come whole: {finding}")));
    }
    let path = match (args.out, &verified.deployment) {
        (Some(path), _) => path,
        (None, Some((_, place, number))) => {
            format!("{}-{}-{number}.tar", place.application, place.environment).into()
        }
        (None, None) => return Err(CliError::Failed("an archive of nothing".to_owned())),
    };
    write(&path, &archive, args.force)?;
    let output = &mut *context.output;
    if !output.is_human() {
        output.document(&verified)?;
        return Ok(exit::OK);
    }
    output.line(format!("{}: {}", path.display(), whole(&verified)))?;
    absent(output, &verified)?;
    Ok(exit::OK)
}

/// A new file, that is there wholly or not at all.
fn write(path: &Path, bytes: &[u8], force: bool) -> Result<(), CliError> {
    let failed = |error| CliError::file(path, error);
    if !force && path.exists() {
        return Err(CliError::Failed(format!(
            "{}: there is a file already; --force writes over it, --out writes another",
            path.display()
        )));
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".part");
    let beside = Path::new(&beside);
    let write = || {
        let mut file = std::fs::File::create(beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(beside, path)
    };
    write().map_err(|error| {
        // Only what was just made goes; that it can't is not what went wrong.
        let _ = std::fs::remove_file(beside);
        failed(error)
    })
}

/// An archive, no more of it than one can have.
fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    let failed = |error| CliError::file(path, error);
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(ARCHIVE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

fn verify(output: &mut Output, path: &Path) -> Result<u8, CliError> {
    let verified = deployd_archive::read(&read(path)?).verified;
    let code = if verified.is_sound() { exit::OK } else { exit::FAILED };
    if !output.is_human() {
        output.document(&verified)?;
        return Ok(code);
    }
    for finding in &verified.findings {
        output.line(output.paint.tone(Tone::Bad, clean(&finding.to_string())))?;
    }
    absent(output, &verified)?;
    let text = if verified.is_sound() {
        output.paint.tone(Tone::Good, format!("sound: {}", whole(&verified)))
    } else {
        let all = counted(verified.members, "member");
        let text = format!("not sound: {} of {all} can be read", verified.sound);
        output.paint.tone(Tone::Bad, text)
    };
    output.line(text)?;
    Ok(code)
}

/// What an archive has.
fn whole(verified: &Verified) -> String {
    let of = match &verified.deployment {
        Some((id, place, number)) => format!("{place}#{number} ({id})"),
        None => "nothing".to_owned(),
    };
    let from = verified.installation.map(|installation| installation.short()).unwrap_or_default();
    let members = counted(verified.members, "member");
    format!("{of} of installation {from}, {members}, {} unpacked", size(verified.bytes))
}

fn absent(output: &mut Output, verified: &Verified) -> Result<(), CliError> {
    for what in &verified.absent {
        output.line(output.paint.tone(Tone::Warn, format!("not in it: {}", clean(what))))?;
    }
    Ok(())
}

fn size(bytes: u64) -> String {
    match bytes {
        0..10_240 => format!("{bytes} bytes"),
        10_240..10_485_760 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

pub(super) async fn import(context: &mut Context<'_>, args: ImportArgs) -> Result<u8, CliError> {
    let Some(path) = &args.file else { return list(context).await };
    let archive = read(path)?;
    let view = context.client()?.import(archive).await?;
    let output = &mut *context.output;
    if output.is_human() {
        describe(output, &view)?;
    } else {
        output.document(&view)?;
    }
    Ok(exit::OK)
}

fn describe(output: &mut Output, view: &ImportView) -> Result<(), CliError> {
    for it in &view.deployments {
        let name = format!("{}#{} ({})", it.environment, it.number, it.id);
        let (text, tone) = match it.outcome {
            ImportOutcome::Imported => (format!("imported {name}"), Tone::Good),
            ImportOutcome::ThereAlready => {
                (format!("{name} was imported before; nothing was changed"), Tone::Plain)
            }
            ImportOutcome::FromHere => {
                (format!("{name} is from here; nothing was changed"), Tone::Plain)
            }
        };
        output.line(output.paint.tone(tone, text))?;
    }
    let made = &view.made;
    let from = made.installation.short();
    output.line(format!(
        "  from installation {from}, exported {} by deployd {}",
        made.at,
        clean(&made.deployd)
    ))?;
    for note in &view.notes {
        output.line(output.paint.tone(Tone::Warn, format!("  {}", clean(note))))?;
    }
    if let Some(first) = view.deployments.first() {
        output.note(format!("`deployd show {0}` and `deployd replay {0}` go on", first.id))?;
    }
    Ok(())
}

async fn list(context: &mut Context<'_>) -> Result<u8, CliError> {
    let client = context.client()?;
    let mut all: Vec<Imported> = Vec::new();
    let mut cursor = None;
    loop {
        let page = client.imports(cursor.as_deref()).await?;
        all.extend(page.imports);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let output = &mut *context.output;
    if !output.is_human() {
        output.document(&all)?;
        return Ok(exit::OK);
    }
    let mut table = Table::new(["id", "was", "from", "imported", "by"]);
    for it in &all {
        table.row([
            it.id.to_string(),
            format!("{}#{}", it.environment, it.number),
            it.from.made.installation.short(),
            ago(it.from.at, output.now),
            clean(&it.from.by.0),
        ]);
    }
    output.table(&table)?;
    Ok(exit::OK)
}

#[cfg(test)]
mod tests;
