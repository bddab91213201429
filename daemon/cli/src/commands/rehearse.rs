//! Rehearses a strategy, and shows what came of it.

use deployd_core::rehearsal::{Ending, Expectation, Figures, Moment, Report, Scenario};
use deployd_core::views::{RehearsalView, RehearseRequest, RehearsedStrategy};

use super::{Context, selection};
use crate::args::RehearseArgs;
use crate::error::CliError;
use crate::exit;
use crate::output::{Output, Table, Tone, clean, lasted};

/// Characters of an action that are shown: those of most strategies' longest.
const WHAT_CHARS: usize = 70;

/// Characters of a bar: a tenth each.
const BAR_CHARS: u8 = 10;

pub(super) async fn rehearse(
    context: &mut Context<'_>,
    args: RehearseArgs,
) -> Result<u8, CliError> {
    let scenario: Scenario = match &args.scenario {
        Some(file) => selection::from_file(context, file)?,
        None => Scenario::default(),
    };
    if let Some(problem) = scenario.problem() {
        return Err(CliError::Input(format!("--scenario: {problem}")));
    }
    let client = context.client()?;
    let deploy = selection::request(context, &client, &args.environment, &args.selection).await?;
    let config = args.config.into_iter().map(|field| (field.name, field.value)).collect();
    let strategy = RehearsedStrategy { plugin: args.strategy, config };
    let is_own = strategy == RehearsedStrategy::default();
    let strategy = (!is_own).then_some(strategy);
    let request = RehearseRequest { strategy, scenario, deploy };
    let view = client.rehearse(&args.environment, &request).await?;
    let output = &mut *context.output;
    if output.is_human() {
        show(output, &view)?;
    } else {
        output.document(&view)?;
    }
    verdict(output, &view.report, &args.expect)
}

/// Says which expectations hold; the exit code.
fn verdict(
    output: &mut Output,
    report: &Report,
    expectations: &[Expectation],
) -> Result<u8, CliError> {
    let mut code = exit::OK;
    for expectation in expectations {
        match expectation.unmet(report) {
            None if output.is_human() && !output.quiet => {
                let text = output.paint.tone(Tone::Good, "as expected");
                output.line(format!("{text}: {expectation}"))?;
            }
            None => {}
            Some(why) => {
                code = exit::UNMET;
                let text = output.err_paint.tone(Tone::Bad, "not as expected");
                output.complain(format!("{text}: {expectation}: {}", clean(&why)));
            }
        }
    }
    Ok(code)
}

fn show(output: &mut Output, view: &RehearsalView) -> Result<(), CliError> {
    let paint = output.paint;
    let RehearsalView { environment, strategy, traffic, notes, report, .. } = view;
    if !output.quiet {
        let title = paint.tone(Tone::Strong, format!("Rehearsal of {environment}"));
        output.line(format!("{title}: strategy {}, in simulated time", strategy.name))?;
        for (workload, way) in traffic {
            output.line(clean(&format!("  traffic of {workload} is divided {way}")))?;
        }
        for note in notes {
            output.line(paint.tone(Tone::Warn, clean(&format!("  {note}"))))?;
        }
        output.line("")?;
        output.table(&timeline(&report.timeline))?;
        output.line("")?;
        figures(output, report)?;
    }
    let took = lasted(report.duration_ms);
    let (tone, text) = match &report.ended {
        Ending::Completed => (Tone::Good, format!("completed after {took}")),
        Ending::RolledBack { reason, decided_ms } => (
            Tone::Warn,
            format!("rolled back after {took}, decided at {}: {reason}", lasted(*decided_ms)),
        ),
        Ending::Failed { reason } => {
            (Tone::Bad, format!("failed after {took}, with nothing to go back to: {reason}"))
        }
        Ending::Stuck { fault } => {
            (Tone::Bad, format!("stuck after {took}: {}: {}", fault.code, fault.message))
        }
    };
    output.line(paint.tone(tone, clean(&text)))
}

fn timeline(moments: &[Moment]) -> Table {
    let mut table = Table::new(["at", "took", "what", "new", "", "ready", "came of it"]);
    for moment in moments {
        let tracks = moment.tracks.iter();
        let ready: Vec<String> =
            tracks.map(|(track, it)| format!("{track} {}/{}", it.ready, it.wanted)).collect();
        let tone = match moment.outcome.as_str() {
            "" | "done" | "promoted" | "retried" => Tone::Dim,
            _ => Tone::Bad,
        };
        table.toned([
            (lasted(moment.at_ms), Tone::Plain),
            (lasted(moment.lasted_ms), Tone::Dim),
            (first_words(&moment.what), Tone::Plain),
            (format!("{} %", moment.weight), Tone::Plain),
            (bar(moment.weight), Tone::Busy),
            (ready.join(", "), Tone::Plain),
            (moment.outcome.clone(), tone),
        ]);
    }
    table
}

/// As much of a text as a row of the table has room for; what is left out of a
/// reason to roll back stands beneath the table.
fn first_words(text: &str) -> String {
    let mut characters = text.chars();
    let mut first: String = characters.by_ref().take(WHAT_CHARS).collect();
    if characters.next().is_some() {
        first.push_str(" ...");
    }
    first
}

/// A tenth of the requests is a character, and whatever is more than nothing is
/// seen.
fn bar(percent: u8) -> String {
    let full = percent.min(100).div_ceil(100 / BAR_CHARS);
    let (full, rest) = (usize::from(full), usize::from(BAR_CHARS.saturating_sub(full)));
    format!("{}{}", "█".repeat(full), "░".repeat(rest))
}

fn figures(output: &mut Output, report: &Report) -> Result<(), CliError> {
    let text = |of: &Figures| {
        format!(
            "{:.0}, {:.0} failed ({:.3} %), {:.0} slow ({:.3} %)",
            of.total,
            of.failed,
            of.failed_percent(),
            of.slow,
            of.slow_percent()
        )
    };
    output.line(format!("requests: {}", text(&report.requests)))?;
    output.line(format!("  of the new version: {}", text(&report.of_new)))?;
    for (name, check) in &report.checks {
        let weight = check.weight_before;
        let told = match check.passed {
            true => format!("before check {name} passed, the new version got {weight} % at most"),
            false => format!("check {name} never passed; the new version got {weight} % at most"),
        };
        output.line(format!("  {}", clean(&told)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sample_scenarios_are_sound() {
        for text in [
            include_str!("../../../scenarios/errors.yaml"),
            include_str!("../../../scenarios/never-ready.yaml"),
            include_str!("../../../scenarios/crash.yaml"),
        ] {
            let scenario: Scenario = serde_saphyr::from_str(text).unwrap();
            assert_eq!(scenario.problem(), None);
            assert_ne!(scenario, Scenario::default());
        }
    }

    #[test]
    fn a_bar_shows_that_there_is_something() {
        for (percent, full) in [(0, 0), (1, 1), (10, 1), (11, 2), (50, 5), (99, 10), (100, 10)] {
            let bar = bar(percent);
            assert_eq!(bar.chars().count(), 10);
            assert_eq!(bar.matches('█').count(), full, "{percent}");
        }
    }
}
