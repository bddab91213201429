//! A month on a terminal.

use deployd_core::Timestamp;
use deployd_core::calendar::{Closure, Day, Month, Span, local_text};
use deployd_core::deployment::Outcome;
use deployd_core::views::CalendarView;

use super::slots;
use crate::error::CliError;
use crate::output::{Output, Paint, Tone, clean};

/// Columns of a day: its number, whether it is closed, what is asked for, planned, done.
const DAY_COLUMNS: usize = 10;

/// What is told of one kind below the month: half of a screen.
const LINES_MAX: usize = 20;

const WEEKDAYS: [&str; 7] = ["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"];

/// How much of a day is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closed {
    Not,
    Partly,
    AllDay,
}

pub(super) fn show(
    output: &mut Output,
    view: &CalendarView,
    month: Month,
    days: &[Day],
    zone: &str,
) -> Result<(), CliError> {
    let (paint, now) = (output.paint, output.now);
    let of = match &view.environment {
        Some(environment) => environment.to_string(),
        None => "all environments".to_owned(),
    };
    output.line(format!("{}  {of}, {zone}", paint.tone(Tone::Strong, month.title())))?;
    if let Some(stop) = &view.stop {
        let text = format!("the line is stopped by {}: {}", clean(&stop.by.0), clean(&stop.reason));
        output.line(paint.tone(Tone::Bad, text))?;
    }
    output.line("")?;
    let head: String = WEEKDAYS.iter().map(|day| format!("{day:<DAY_COLUMNS$}")).collect();
    output.line(paint.tone(Tone::Dim, head.trim_end()))?;
    for week in weeks(view, days, output.now, paint) {
        output.line(week.trim_end())?;
    }
    output.line("")?;
    output.line(paint.tone(
        Tone::Dim,
        "[..] today  # closed all day  ~ closed for a part of it  @slots  >planned  +succeeded  !not",
    ))?;
    let closed = merged(&view.closures);
    lines(
        output,
        "closed",
        closed.len(),
        closed.iter().map(|(span, why)| {
            let time = |at| local_text(zone, at);
            format!("{} to {}  {}", time(span.from), time(span.to), clean(why))
        }),
    )?;
    lines(
        output,
        "slots",
        view.slots.len(),
        view.slots.iter().map(|slot| clean(&slots::line(slot, zone, now))),
    )?;
    lines(
        output,
        "planned",
        view.planned.len(),
        view.planned.iter().map(|planned| {
            let begins = planned
                .begins()
                .map_or_else(|| "nobody knows when".to_owned(), |at| local_text(zone, at));
            let expires = planned.schedule.expires;
            let expires = expires
                .map_or_else(String::new, |at| format!(", not from {} on", local_text(zone, at)));
            let why: Vec<String> = planned
                .deferred
                .iter()
                .flat_map(|deferred| &deferred.reasons)
                .map(|reason| clean(&reason.to_string()))
                .collect();
            let why = if why.is_empty() { String::new() } else { format!("  {}", why.join("; ")) };
            format!("{begins}  {} #{}{expires}{why}", planned.environment, planned.number)
        }),
    )?;
    lines(
        output,
        "done",
        view.done.len(),
        view.done.iter().map(|done| {
            let outcome = done.outcome.as_str();
            format!(
                "{}  {} #{}  {outcome}",
                local_text(zone, done.to),
                done.environment,
                done.number
            )
        }),
    )
}

/// The weeks of a month, a line each.
fn weeks(view: &CalendarView, days: &[Day], now: Timestamp, paint: Paint) -> Vec<String> {
    let mut found = Vec::new();
    let before = days.first().map_or(0, |day| usize::try_from(day.weekday).unwrap_or(0));
    let mut line = " ".repeat(before * DAY_COLUMNS);
    for day in days {
        line.push_str(&cell(view, day, now, paint));
        if day.weekday == 6 {
            found.push(std::mem::take(&mut line));
        }
    }
    if !line.trim().is_empty() {
        found.push(line);
    }
    found
}

fn cell(view: &CalendarView, day: &Day, now: Timestamp, paint: Paint) -> String {
    let closed = closed(&view.closures, day.span);
    let (mark, tone) = match closed {
        Closed::Not => (' ', Tone::Plain),
        Closed::Partly => ('~', Tone::Warn),
        Closed::AllDay => ('#', Tone::Bad),
    };
    let number = if day.span.contains(now) {
        format!("[{}]", day.number)
    } else {
        format!("{:>2}", day.number)
    };
    let planned = view.planned.iter().filter_map(|planned| planned.begins());
    let planned = planned.filter(|at| day.span.contains(*at)).count();
    let done = || view.done.iter().filter(|done| day.span.contains(done.to));
    let well = done().filter(|done| done.outcome == Outcome::Succeeded).count();
    let not = done().count() - well;
    let mut text = format!("{number}{mark}");
    let slots = view.slots.iter().filter(|slot| slot.span.meets(day.span)).count();
    for (sign, count) in [('@', slots), ('>', planned), ('+', well), ('!', not)] {
        // What does not fit is told below.
        let more = format!("{sign}{count}");
        if count > 0 && text.len() + more.len() < DAY_COLUMNS {
            text.push_str(&more);
        }
    }
    let padding = " ".repeat(DAY_COLUMNS.saturating_sub(text.len()));
    paint.tone(tone, text) + &padding
}

/// How much of a day is closed.
fn closed(closures: &[Closure], day: Span) -> Closed {
    // They come in the order of their beginnings.
    let mut until = day.from;
    let mut any = false;
    for closure in closures.iter().filter(|closure| closure.span.meets(day)) {
        any = true;
        if closure.span.from > until {
            return Closed::Partly;
        }
        until = until.max(closure.span.to);
    }
    match (any, until >= day.to) {
        (false, _) => Closed::Not,
        (true, false) => Closed::Partly,
        (true, true) => Closed::AllDay,
    }
}

/// Closures and why, those with the same reason that follow upon each other as one.
fn merged(closures: &[Closure]) -> Vec<(Span, String)> {
    let mut found: Vec<(Span, String)> = Vec::new();
    for closure in closures {
        let why = closure.reason.to_string();
        match found
            .iter_mut()
            .rev()
            .find(|(span, known)| *known == why && span.to >= closure.span.from)
        {
            Some((span, _)) => span.to = span.to.max(closure.span.to),
            None => found.push((closure.span, why)),
        }
    }
    found
}

/// Some lines under a heading; none where there is nothing.
fn lines(
    output: &mut Output,
    heading: &str,
    count: usize,
    all: impl Iterator<Item = String>,
) -> Result<(), CliError> {
    if count == 0 {
        return Ok(());
    }
    output.line("")?;
    output.line(output.paint.tone(Tone::Strong, heading))?;
    for line in all.take(LINES_MAX) {
        output.line(format!("  {line}"))?;
    }
    match count.saturating_sub(LINES_MAX) {
        0 => Ok(()),
        more => output.note(format!("and {more} more: -o json")),
    }
}
