//! When it may be deployed: a month, a question, slots, and the switch that stops the
//! line.

mod month;
mod slots;

use deployd_core::calendar::{Decision, Errand, Month, Span, local_text};
use deployd_core::config::RollbackRule;
use deployd_core::views::{CalendarCheck, ResumeRequest, StopRequest};

use super::Context;
use crate::args::{
    CalendarArgs, CalendarCheckArgs, CalendarCommand, CalendarResumeArgs, CalendarStopArgs,
};
use crate::error::CliError;
use crate::exit;
use crate::output::{Output, Tone, clean};

pub(super) async fn calendar(
    context: &mut Context<'_>,
    args: CalendarArgs,
) -> Result<u8, CliError> {
    match args.command {
        None => of_month(context, args).await,
        Some(CalendarCommand::Check(args)) => check(context, args).await,
        Some(CalendarCommand::Stop(args)) => stop(context, args).await,
        Some(CalendarCommand::Resume(args)) => resume(context, args).await,
        Some(CalendarCommand::Slot(command)) => slots::slot(context, command).await,
        Some(CalendarCommand::Feed(args)) => {
            let text = context.client()?.calendar_feed(args.environment.as_ref()).await?;
            context.output.text(&text)?;
            Ok(exit::OK)
        }
    }
}

async fn of_month(context: &mut Context<'_>, args: CalendarArgs) -> Result<u8, CliError> {
    let client = context.client()?;
    let of = args.environment.as_ref();
    let now = context.output.now;
    let zone = match args.time_zone {
        Some(zone) => zone,
        // Whose clocks count is asked first.
        None => {
            let moment = Span { from: now, to: now.plus_ms(1) };
            client.calendar(of, moment).await?.time_zone
        }
    };
    let month = args.month.or_else(|| Month::of(&zone, now));
    let days = month.and_then(|month| Some((month, month.days(&zone)?)));
    let unknown = || {
        let message = format!("the daemon names a time zone that is not known here: {zone}");
        CliError::Usage(format!("{message}; give another one with --time-zone"))
    };
    let (month, days) = days.ok_or_else(unknown)?;
    let (Some(first), Some(last)) = (days.first(), days.last()) else { return Err(unknown()) };
    let span = Span { from: first.span.from, to: last.span.to };
    let view = client.calendar(of, span).await?;
    let output = &mut *context.output;
    if output.is_human() {
        month::show(output, &view, month, &days, &zone)?;
    } else {
        output.document(&view)?;
    }
    Ok(exit::OK)
}

async fn check(context: &mut Context<'_>, args: CalendarCheckArgs) -> Result<u8, CliError> {
    let at = args.at.map(|at| at.at(context.output.now));
    let found = context.client()?.calendar_check(&args.environment, at).await?;
    let errand = if args.rollback { Errand::Rollback } else { Errand::Deployment };
    let output = &mut *context.output;
    if output.is_human() {
        say(output, &found, errand)?;
    } else {
        output.document(&found)?;
    }
    Ok(if found.outlook.of(errand).is_open() { exit::OK } else { exit::CLOSED })
}

fn say(output: &mut Output, found: &CalendarCheck, errand: Errand) -> Result<(), CliError> {
    let CalendarCheck { environment, at, time_zone, calendars, outlook } = found;
    let paint = output.paint;
    let time = |at| format!("{} ({time_zone})", local_text(time_zone, at));
    let what = match errand {
        Errand::Deployment => "",
        Errand::Rollback => " for going back",
    };
    let (tone, text) = match outlook.of(errand) {
        Decision::Open { until: None } => (Tone::Good, "is open".to_owned()),
        Decision::Open { until: Some(until) } => {
            (Tone::Good, format!("is open until {}", time(*until)))
        }
        Decision::Closed { until: Some(until), .. } => {
            (Tone::Bad, format!("is closed until {}", time(*until)))
        }
        Decision::Closed { until: None, .. } => {
            (Tone::Bad, "is closed, and nobody knows until when".to_owned())
        }
    };
    output.line(format!("{environment} {}{what}", paint.tone(tone, text)))?;
    if let Decision::Closed { reasons, .. } = outlook.of(errand) {
        for reason in reasons {
            output.line(format!("  {}", clean(&reason.to_string())))?;
        }
    }
    for found in outlook.slots.iter().filter(|_| errand == Errand::Deployment) {
        let text = slots::line(&found.slot, time_zone, *at);
        output.line(format!("  slot {}", clean(&text)))?;
    }
    let names: Vec<&str> = calendars.iter().map(deployd_core::Name::as_str).collect();
    let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    output.note(format!("at {}; calendars: {names}", time(*at)))?;
    if errand == Errand::Deployment && !outlook.deployments.is_open() && outlook.rollbacks.is_open()
    {
        output.note("`deployd rollback` is exempt")?;
    }
    Ok(())
}

async fn stop(context: &mut Context<'_>, args: CalendarStopArgs) -> Result<u8, CliError> {
    let rollbacks = if args.rollbacks { RollbackRule::Bound } else { RollbackRule::Exempt };
    let request = StopRequest { reason: args.reason, rollbacks };
    let stopped = context.client()?.stop_line(&request).await?;
    let output = &mut *context.output;
    if output.is_human() {
        let text = format!("The line is stopped: {}", clean(&stopped.reason));
        output.line(output.paint.tone(Tone::Bad, text))?;
        output.note("nothing begins until `deployd calendar resume`; what has begun goes on")?;
    } else {
        output.document(&stopped)?;
    }
    Ok(exit::OK)
}

async fn resume(context: &mut Context<'_>, args: CalendarResumeArgs) -> Result<u8, CliError> {
    let request = ResumeRequest { reason: args.reason };
    let stopped = context.client()?.resume_line(&request).await?;
    let output = &mut *context.output;
    if output.is_human() {
        let (by, at) = (clean(&stopped.by.0), stopped.at);
        output.line(format!("The line goes on; {by} had stopped it at {at}"))?;
    } else {
        output.document(&stopped)?;
    }
    Ok(exit::OK)
}
