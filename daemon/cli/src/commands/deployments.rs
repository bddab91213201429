//! Lists and shows deployments, and changes their course.

use deployd_core::Timestamp;
use deployd_core::deployment::{DeploymentRecord, Origin, Outcome, Phase, Skip, StepStatus};
use deployd_core::steering::Steering;

use super::Context;
use super::named::{self, Alone};
use super::policies;
use crate::args::{CancelArgs, HistoryArgs, ShowArgs, Steered};
use crate::client::HistoryQuery;
use crate::error::CliError;
use crate::exit;
use crate::live::{detail, duration, label};
use crate::output::{Output, Table, Tone, ago, clean, lasted, short};

pub(super) async fn history(context: &mut Context<'_>, args: HistoryArgs) -> Result<u8, CliError> {
    let query = HistoryQuery {
        environment: args.environment,
        cursor: args.cursor,
        limit: Some(args.limit),
    };
    let page = context.client()?.history(&query).await?;
    let output = &mut *context.output;
    if !output.is_human() {
        output.document(&page)?;
        return Ok(exit::OK);
    }
    let mut table = Table::new(["id", "environment", "#", "status", "by", "when", "took", "what"]);
    for record in &page.deployments {
        let (status, tone) = status(record);
        let cells = [
            record.id.to_string(),
            record.environment.to_string(),
            record.number.to_string(),
            status.to_owned(),
            record.actor.to_string(),
            ago(record.queued, output.now),
            took(record, output.now),
            what(record),
        ];
        let toned = cells
            .into_iter()
            .enumerate()
            .map(|(index, text)| (text, if index == 3 { tone } else { Tone::Plain }));
        table.toned(toned);
    }
    if table.is_empty() {
        output.note("no deployments")?;
        return Ok(exit::OK);
    }
    output.table(&table)?;
    if let Some(next) = &page.next {
        output.note(format!("older ones: --cursor {next}"))?;
    }
    Ok(exit::OK)
}

pub(super) async fn show(context: &mut Context<'_>, args: ShowArgs) -> Result<u8, CliError> {
    let client = context.client()?;
    let id = named::deployment(&client, &args.of, Alone::Runs).await?;
    let record = client.deployment(&id).await?;
    if context.output.is_human() {
        describe(context.output, &record)?;
    } else {
        context.output.document(&record)?;
    }
    Ok(exit::OK)
}

fn describe(output: &mut Output, record: &DeploymentRecord) -> Result<(), CliError> {
    let paint = output.paint;
    let (status, tone) = status(record);
    let title = format!("{} #{}", record.environment, record.number);
    output.line(format!("{}  {}", paint.tone(Tone::Strong, title), paint.tone(tone, status)))?;
    output.line(format!("  id        {}", record.id))?;
    if let Some(from) = &record.imported {
        let made = from.made.installation.short();
        let when = ago(from.at, output.now);
        let text = format!("from installation {made}, {when} by {}", clean(&from.by.0));
        output.line(paint.tone(Tone::Warn, format!("  imported  {text}")))?;
    }
    output.line(format!("  by        {}", clean(&record.actor.0)))?;
    output.line(format!("  asked     {} ({})", record.queued, ago(record.queued, output.now)))?;
    if let Some(ended) = record.ended {
        output.line(format!("  ended     {} (after {})", ended, took(record, output.now)))?;
    }
    output.line(format!("  what      {}", clean(&what(record))))?;
    output.line(format!("  set       {}", record.request.set))?;
    if let Some(plan) = record.work.as_ref().and_then(|work| work.plan) {
        output.line(format!("  plan      {plan}"))?;
    }
    let schedule = &record.request.schedule;
    let at = |name: &str, at| format!("  {name} {at}");
    for line in [
        schedule.not_before.map(|time| at("begins   ", time)),
        schedule.expires.map(|time| at("expires  ", time)),
        schedule.slot.as_ref().map(|slot| format!("  slot      {slot}")),
    ] {
        line.map_or(Ok(()), |line| output.line(line))?;
    }
    if let Some(yielded) = record.yielded.as_ref().filter(|_| record.ended.is_none()) {
        let text = format!("  has made way for {}: its plan is made again after it", yielded.to);
        output.line(paint.tone(Tone::Warn, text))?;
    }
    if let Some(deferral) = record.deferral() {
        let text = format!("  waits {}", clean(&deferral.to_string()));
        output.line(paint.tone(Tone::Warn, text))?;
    }
    if let Some(work) = &record.work {
        for gate in &work.gates {
            output.line(paint.tone(Tone::Warn, format!("  waits: {}", clean(&gate.message))))?;
        }
        let mut table = Table::new(["step", "status", "took", "attempts", "note"]);
        for step in &work.steps {
            let tone = match step.status {
                StepStatus::Succeeded => Tone::Good,
                StepStatus::Failed => Tone::Bad,
                StepStatus::Retrying { .. } => Tone::Warn,
                _ => Tone::Busy,
            };
            let fault = step.fault.as_ref().filter(|_| step.status != StepStatus::Succeeded);
            let published = step.published.as_ref().map(|published| published.sentence());
            let note = fault.map(|fault| fault.message.clone());
            let note = note.or(published).or_else(|| step.message.clone());
            table.toned([
                (label(step), Tone::Plain),
                (step.status.as_str().to_owned(), tone),
                (duration(step).map_or_else(String::new, lasted), Tone::Plain),
                (step.attempts.to_string(), Tone::Plain),
                (note.unwrap_or_default(), Tone::Plain),
            ]);
        }
        output.line("")?;
        output.table(&table)?;
        if let Some(report) = &work.policies {
            policies::said(output, report)?;
        }
    }
    if let Some(fault) = &record.fault {
        output.line("")?;
        let text = format!("{}: {}", clean(&fault.code), clean(&fault.message));
        output.line(paint.tone(Tone::Bad, text))?;
        for line in detail(&fault.detail) {
            output.line(paint.tone(line.tone, line.text))?;
        }
    }
    Ok(())
}

pub(super) async fn cancel(context: &mut Context<'_>, args: CancelArgs) -> Result<u8, CliError> {
    let client = context.client()?;
    let id = named::deployment(&client, &args.of, Alone::Active).await?;
    let record = client.cancel(&id, args.reason.as_deref()).await?;
    changed(context.output, &record, "is being cancelled")
}

pub(super) async fn steer(
    context: &mut Context<'_>,
    of: Steered,
    how: Steering,
) -> Result<u8, CliError> {
    let client = context.client()?;
    let id = named::deployment(&client, &of.of, Alone::Active).await?;
    let record = client.steer(&id, how, of.reason).await?;
    let told = match how {
        Steering::Pause => "is paused",
        Steering::Resume if record.work.as_ref().is_some_and(|work| work.paused().is_some()) => {
            "goes on, and waits for a person once more: its strategy has paused, too"
        }
        Steering::Resume => "goes on",
        Steering::Promote(Skip::Step) => "goes on without waiting",
        Steering::Promote(Skip::All) => "goes on without waiting, to its end",
        Steering::Retry => "tries it again",
    };
    changed(context.output, &record, told)
}

fn changed(output: &mut Output, record: &DeploymentRecord, how: &str) -> Result<u8, CliError> {
    if output.is_human() {
        let how = if record.outcome == Some(Outcome::Cancelled) { "is cancelled" } else { how };
        output.line(format!("{} #{} ({}) {how}", record.environment, record.number, record.id))?;
    } else {
        output.document(record)?;
    }
    Ok(exit::OK)
}

/// Where a deployment stands, in a word.
pub(super) fn status(record: &DeploymentRecord) -> (&'static str, Tone) {
    match (record.outcome, record.phase) {
        (Some(Outcome::Succeeded), _) => (Outcome::Succeeded.as_str(), Tone::Good),
        (Some(outcome @ (Outcome::Cancelled | Outcome::Superseded)), _) => {
            (outcome.as_str(), Tone::Warn)
        }
        (Some(outcome), _) => (outcome.as_str(), Tone::Bad),
        (None, Phase::Queued) => ("queued", Tone::Dim),
        (None, Phase::Planning) => ("planning", Tone::Busy),
        (None, Phase::Waiting) => ("waiting", Tone::Warn),
        (None, Phase::Provisioning) => ("provisioning", Tone::Busy),
        (None, Phase::Rendering) => ("rendering", Tone::Busy),
        (None, Phase::RollingOut) => ("rolling out", Tone::Busy),
        (None, Phase::RollingBack) => ("rolling back", Tone::Warn),
        (None, Phase::CleaningUp) => ("cleaning up", Tone::Busy),
        (None, Phase::Ended) => ("ended", Tone::Dim),
    }
}

fn took(record: &DeploymentRecord, now: Timestamp) -> String {
    lasted(record.ended.unwrap_or(now).ms_since(record.queued))
}

/// Why there is a deployment.
fn what(record: &DeploymentRecord) -> String {
    let origin = match &record.request.origin {
        Origin::Artifact { image, .. } => short(image),
        Origin::Request => String::new(),
        Origin::Redeploy { of, exact: false } => format!("as {of}"),
        Origin::Redeploy { of, exact: true } => format!("exactly as {of}"),
        Origin::Rollback { to, from, exact, .. } => {
            let how = if *exact { "exactly " } else { "" };
            format!("back from {from}, {how}to {to}")
        }
        Origin::Promotion { from, deployment } => format!("from {from} ({deployment})"),
        Origin::Clone { of, deployment } => format!("clone of {of} ({deployment})"),
        Origin::Expired { .. } => "its time to live was over".to_owned(),
        Origin::Drift { of } => format!("drift of {of}"),
    };
    match (&record.request.comment, origin.is_empty()) {
        (Some(comment), true) => comment.clone(),
        (Some(comment), false) => format!("{comment} ({origin})"),
        (None, true) if record.request.teardown.is_some() => "taken away".to_owned(),
        (None, true) => "asked for".to_owned(),
        (None, false) => origin,
    }
}
