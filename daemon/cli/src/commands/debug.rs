//! All that is known of a deployment, for people.

use deployd_core::debug::{Changed, DebugView, Seen, TimelineStep};
use deployd_core::ports::{LogLines, WorkloadFault};
use deployd_core::views::LogEntry;

use super::deployments::status;
use super::named::{self, Alone};
use super::{Context, logs, plan_text};
use crate::args::DebugArgs;
use crate::error::CliError;
use crate::exit;
use crate::output::{Output, Table, Tone, ago, clean, counted, lasted};

/// Objects that are listed; more are counted.
const OBJECTS_SHOWN: usize = 40;

/// Characters of a step's bar in the timeline.
const BAR: u64 = 30;

pub(super) async fn debug(context: &mut Context<'_>, args: DebugArgs) -> Result<u8, CliError> {
    let client = context.client()?;
    let id = named::deployment(&client, &args.of, Alone::Newest).await?;
    let view = client.debug(&id, args.lines).await?;
    let output = &mut *context.output;
    if !output.is_human() {
        output.document(&view)?;
        return Ok(exit::OK);
    }
    head(output, &view)?;
    for lost in &view.lost {
        output.line(output.paint.tone(Tone::Warn, format!("missing: {}", clean(lost))))?;
    }
    if let Some(changed) = &view.changed {
        section(output, "What changed")?;
        changes(output, changed)?;
    }
    section(output, "Timeline")?;
    timeline(output, &view.timeline)?;
    for failure in &view.failures {
        section(output, &format!("Not ready: {}", clean(&failure.object.to_string())))?;
        failed(output, failure)?;
    }
    if let Some(seen) = &view.then {
        section(output, &format!("Pods at its end, {}", ago(seen.at, output.now)))?;
        pods(output, seen)?;
    }
    if let Some(seen) = &view.now {
        section(output, "Pods now")?;
        match &view.then {
            Some(then) if then.snapshot == seen.snapshot => output.line("  as at its end")?,
            _ => pods(output, seen)?,
        }
    }
    if let Some(fault) = &view.not_seen {
        section(output, "Pods now")?;
        output.line(format!("  not to be seen: {}", clean(&fault.message)))?;
    }
    if !view.applied.is_empty() {
        section(output, &format!("Applied: {}", counted(view.applied.len() as u64, "object")))?;
        for object in view.applied.iter().take(OBJECTS_SHOWN) {
            output.line(format!("  {}", clean(&object.to_string())))?;
        }
        if view.applied.len() > OBJECTS_SHOWN {
            output.line("  ... -o json has all of them")?;
        }
    }
    section(output, "Log")?;
    log(output, &view)?;
    fault(output, &view)?;
    Ok(exit::OK)
}

fn section(output: &mut Output, title: &str) -> Result<(), CliError> {
    output.line("")?;
    let text = output.paint.tone(Tone::Strong, title);
    output.line(text)
}

fn head(output: &mut Output, view: &DebugView) -> Result<(), CliError> {
    let (record, paint) = (&view.record, output.paint);
    let (word, tone) = status(record);
    let title = format!("{} #{}", record.environment, record.number);
    output.line(format!("{}  {}", paint.tone(Tone::Strong, title), paint.tone(tone, word)))?;
    output.line(format!("  id     {}", record.id))?;
    let by = clean(&record.actor.0);
    output.line(format!(
        "  asked  {} ({}) by {by}",
        record.queued,
        ago(record.queued, output.now)
    ))?;
    if let Some(ended) = record.ended {
        let took = lasted(ended.ms_since(record.queued));
        output.line(format!("  ended  {ended} (after {took})"))?;
    }
    Ok(())
}

fn changes(output: &mut Output, changed: &Changed) -> Result<(), CliError> {
    match &changed.from {
        Some(from) => output.line(format!("  since deployment {from}"))?,
        None => output.line("  nothing ran there before")?,
    }
    for (name, action) in &changed.resources {
        let action = serde_json::to_value(action).unwrap_or_default();
        let action = action.as_str().unwrap_or_default();
        output.line(format!("  resource {}: {action}", clean(name)))?;
    }
    plan_text::changes(output, &changed.objects, false)
}

/// Each step with a bar where it lies in the whole.
fn timeline(output: &mut Output, steps: &[TimelineStep]) -> Result<(), CliError> {
    let whole = steps.iter().map(|step| step.after_ms.saturating_add(step.took_ms)).max();
    let whole = whole.unwrap_or(0).max(1);
    let place =
        |ms: u64| usize::try_from(ms.saturating_mul(BAR) / whole).unwrap_or(0).min(BAR as usize);
    let mut table = Table::new(["step", "status", "after", "took", "", "plugin", "note"]);
    for step in steps {
        let tone = match step.status.as_str() {
            "succeeded" => Tone::Good,
            "failed" => Tone::Bad,
            "retrying" => Tone::Warn,
            _ => Tone::Busy,
        };
        let begin = place(step.after_ms);
        let end = place(step.after_ms.saturating_add(step.took_ms)).max(begin);
        let bar = format!("{}{}", " ".repeat(begin), "▇".repeat((end - begin).max(1)));
        let fault = step.fault.as_ref().map(|fault| clean(&fault.message));
        let often = (step.attempts > 1).then(|| format!("{} attempts", step.attempts));
        let note: Vec<String> = often.into_iter().chain(fault).collect();
        table.toned([
            (label(step), Tone::Plain),
            (step.status.clone(), tone),
            (lasted(step.after_ms), Tone::Dim),
            (lasted(step.took_ms), Tone::Plain),
            (bar, tone),
            (step.plugin.as_ref().map(|it| clean(&it.name)).unwrap_or_default(), Tone::Dim),
            (note.join("; "), Tone::Plain),
        ]);
    }
    if table.is_empty() {
        return output.line("  nothing has begun");
    }
    output.table(&table)
}

/// `provision postgres#backend.db`.
fn label(step: &TimelineStep) -> String {
    let verb = step.step.split(':').next().unwrap_or_default();
    match &step.resource {
        Some(resource) => clean(&format!("{verb} {resource}")),
        None => clean(&step.step),
    }
}

fn failed(output: &mut Output, failure: &WorkloadFault) -> Result<(), CliError> {
    let reason = format!("  {}: {}", clean(&failure.reason), clean(&failure.message));
    output.line(output.paint.tone(Tone::Bad, reason))?;
    lines(output, "containers", &failure.containers)?;
    lines(output, "events", &failure.events)?;
    container_logs(output, &failure.logs)
}

fn pods(output: &mut Output, seen: &Seen) -> Result<(), CliError> {
    let snapshot = &seen.snapshot;
    if snapshot.containers.is_empty() && snapshot.events.is_empty() {
        return output.line("  none");
    }
    lines(output, "containers", &snapshot.containers)?;
    lines(output, "events", &snapshot.events)?;
    container_logs(output, &snapshot.logs)
}

fn lines(output: &mut Output, what: &str, lines: &[String]) -> Result<(), CliError> {
    if !lines.is_empty() {
        output.line(format!("  {what}"))?;
    }
    for line in lines {
        output.line(format!("    {}", clean(line)))?;
    }
    Ok(())
}

fn container_logs(output: &mut Output, logs: &[LogLines]) -> Result<(), CliError> {
    for log in logs {
        output.line(format!("  last lines of {}/{}", clean(&log.pod), clean(&log.container)))?;
        for line in &log.lines {
            let text = output.paint.tone(Tone::Dim, format!("    {}", clean(line)));
            output.line(text)?;
        }
    }
    Ok(())
}

fn log(output: &mut Output, view: &DebugView) -> Result<(), CliError> {
    if view.details_gone {
        return output.line("  not kept any more: its time was over");
    }
    if view.lines_left_out > 0 {
        let left_out = counted(view.lines_left_out, "line");
        output.line(output.paint.tone(Tone::Dim, format!("  ({left_out} left out)")))?;
    }
    let mut step = "";
    for entry in &view.logs {
        if entry.step != step {
            step = &entry.step;
            output.line(format!("  {}{}", clean(step), plugin(view, entry)))?;
        }
        let message = output.paint.tone(logs::tone(entry.level), clean(&entry.message));
        output.line(format!("    {} {message}", entry.at))?;
    }
    Ok(())
}

/// The plugin whose log it is.
fn plugin(view: &DebugView, entry: &LogEntry) -> String {
    let moment = view.timeline.iter().find(|moment| moment.step == entry.step);
    let plugin = moment.and_then(|moment| moment.plugin.as_ref());
    plugin.map(|plugin| format!(" ({})", clean(&plugin.name))).unwrap_or_default()
}

fn fault(output: &mut Output, view: &DebugView) -> Result<(), CliError> {
    let failure = view.record.work.as_ref().and_then(|work| work.failure.as_ref());
    let Some(fault) = view.record.fault.as_ref().or(failure) else { return Ok(()) };
    section(output, "Fault")?;
    let text = format!("  {}: {}", clean(&fault.code), clean(&fault.message));
    output.line(output.paint.tone(Tone::Bad, text))?;
    if let Some(advice) = &view.advice {
        output.line(format!("  {}", clean(advice)))?;
    }
    Ok(())
}
