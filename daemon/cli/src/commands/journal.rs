//! Lists, verifies and exports the journal, and has the store copied.

mod chains;
mod closing;
mod list;

use std::io::{BufRead as _, BufReader, BufWriter, Write};

use deployd_core::journal::Version;
use deployd_core::ports::VerifyReport;

use self::chains::{Chains, Verified};
use self::closing::{Closing, Heads};
use super::Context;
use crate::args::{BackupArgs, JournalCommand, JournalExportArgs, JournalVerifyArgs};
use crate::error::CliError;
use crate::exit;
use crate::output::{Output, Tone, clean, counted};

/// Events on a page: the most that the daemon gives.
const PAGE: u32 = 500;

/// Bytes of a line of an export. The store takes no larger event.
const LINE_BYTES_MAX: u64 = 64 << 20;

pub(super) async fn journal(
    context: &mut Context<'_>,
    command: JournalCommand,
) -> Result<u8, CliError> {
    match command {
        JournalCommand::List(args) => list::list(context, &args).await,
        JournalCommand::Verify(JournalVerifyArgs { offline: Some(path) }) => {
            let verified = offline(context, &path)?;
            report_offline(context.output, &verified)
        }
        JournalCommand::Verify(JournalVerifyArgs { offline: None }) => {
            let report = context.client()?.verify().await?;
            report_online(context.output, &report)
        }
        JournalCommand::Export(args) => export(context, args).await,
    }
}

fn code(sound: bool) -> u8 {
    if sound { exit::OK } else { exit::FAILED }
}

fn report_online(output: &mut Output, report: &VerifyReport) -> Result<u8, CliError> {
    if !output.is_human() {
        output.document(report)?;
        return Ok(code(report.is_sound()));
    }
    for broken in &report.broken {
        output.line(output.paint.tone(Tone::Bad, clean(&broken.to_string())))?;
    }
    for damaged in &report.damaged {
        output.line(output.paint.tone(Tone::Bad, format!("damaged: {}", clean(damaged))))?;
    }
    let read = format!(
        "{} in {}, {}",
        counted(report.events, "event"),
        counted(report.streams, "stream"),
        counted(report.objects, "object")
    );
    conclude(output, report.is_sound(), &read)
}

fn report_offline(output: &mut Output, verified: &Verified) -> Result<u8, CliError> {
    if !output.is_human() {
        output.document(verified)?;
        return Ok(code(verified.is_sound()));
    }
    for wrong in &verified.wrong {
        output.line(output.paint.tone(Tone::Bad, clean(wrong)))?;
    }
    let read =
        format!("{} in {}", counted(verified.events, "event"), counted(verified.streams, "stream"));
    for note in &verified.notes {
        output.note(clean(note))?;
    }
    conclude(output, verified.is_sound(), &read)
}

fn conclude(output: &mut Output, sound: bool, read: &str) -> Result<u8, CliError> {
    let text = if sound {
        output.paint.tone(Tone::Good, format!("sound: {read}"))
    } else {
        output.paint.tone(Tone::Bad, format!("not sound: {read}"))
    };
    output.line(text)?;
    Ok(code(sound))
}

fn offline(context: &mut Context<'_>, path: &str) -> Result<Verified, CliError> {
    let mut reader: BufReader<Box<dyn std::io::Read + '_>> = if path == "-" {
        BufReader::new(Box::new(&mut *context.input))
    } else {
        let file = std::fs::File::open(path).map_err(|error| CliError::file(path, error))?;
        BufReader::new(Box::new(file))
    };
    let mut chains = Chains::default();
    let mut line = Vec::new();
    for number in 1u64.. {
        line.clear();
        let mut limited = std::io::Read::take(&mut reader, LINE_BYTES_MAX);
        let read =
            limited.read_until(b'\n', &mut line).map_err(|error| CliError::file(path, error))?;
        if read == 0 {
            break;
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        if let Some(closing) = Closing::read(&line) {
            chains.close(closing);
            continue;
        }
        match serde_json::from_slice(&line) {
            Ok(entry) => chains.take(entry),
            // An export that is cut off or mended by hand is not sound, and
            // what comes after may be all the same.
            Err(error) => chains.unreadable(number, &error.to_string()),
        }
    }
    Ok(chains.verified())
}

async fn export(context: &mut Context<'_>, args: JournalExportArgs) -> Result<u8, CliError> {
    let client = context.client()?;
    let mut file = match &args.out {
        Some(path) => {
            let file = std::fs::File::create(path).map_err(|error| CliError::file(path, error))?;
            Some(BufWriter::new(file))
        }
        None => None,
    };
    let mut write = |output: &mut Output, line: &str| match (&mut file, &args.out) {
        (Some(file), Some(path)) => {
            writeln!(file, "{line}").map_err(|error| CliError::file(path, error))
        }
        _ => output.line(line),
    };
    // Before the events: what comes meanwhile is no part of it.
    let head = match &args.stream {
        Some(stream) => Some(client.stream_head(stream).await?),
        None => None,
    };
    let to = head.as_ref().map(|head| args.to.unwrap_or(head.version.0));
    let (mut after, mut from, mut count) = (args.after, args.from, 0u64);
    let mut heads = Heads::default();
    loop {
        let page = match &args.stream {
            Some(stream) => client.stream(stream, (from, to), PAGE).await?,
            None => client.journal(after, PAGE).await?,
        };
        let Some(last) = page.last() else { break };
        let on = match &args.stream {
            Some(_) => last.record.version.0 >= from,
            None => last.position > Some(after),
        };
        if !on {
            break;
        }
        (after, from) = (last.position.unwrap_or(after), last.record.version.0.saturating_add(1));
        for entry in &page {
            heads.take(&entry.record);
            write(context.output, &line(entry)?)?;
        }
        count = count.saturating_add(page.len() as u64);
        if page.len() < PAGE as usize {
            break;
        }
    }
    let heads = head.map_or_else(|| heads.all(), |head| vec![head]);
    let closing = Closing::new(context.output.now, count, heads, args.to.map(Version));
    write(context.output, &line(&closing)?)?;
    if let (Some(mut file), Some(path)) = (file, &args.out) {
        file.flush().map_err(|error| CliError::file(path, error))?;
    }
    let up_to = match &args.stream {
        Some(stream) => format!("version {} of {stream}", from.saturating_sub(1)),
        None => format!("position {after}"),
    };
    context.output.note(format!("{}, up to {up_to}", counted(count, "event")))?;
    Ok(exit::OK)
}

fn line(value: &impl serde::Serialize) -> Result<String, CliError> {
    serde_json::to_string(value).map_err(|error| CliError::Failed(error.to_string()))
}

pub(super) async fn backup(context: &mut Context<'_>, args: BackupArgs) -> Result<u8, CliError> {
    let done = context.client()?.backup(&args.path).await?;
    if context.output.is_human() {
        context.output.line(format!("copied to {}", clean(&done.path)))?;
    } else {
        context.output.document(&done)?;
    }
    Ok(exit::OK)
}
