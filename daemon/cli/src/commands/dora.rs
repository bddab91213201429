//! Shows how software is delivered: DORA's figures.

use deployd_core::dora::{DoraReport, Figures, Spread};

use super::Context;
use super::inventory::time;
use crate::args::DoraArgs;
use crate::client::DoraQuery;
use crate::error::CliError;
use crate::exit;
use crate::output::{Output, Sheet, Table, lasted};

pub(super) async fn dora(context: &mut Context<'_>, args: DoraArgs) -> Result<u8, CliError> {
    let now = context.output.now;
    let query = DoraQuery {
        application: args.application,
        environment_type: args.environment_type,
        since: args.since.map(|since| since.at(now)),
        until: args.until.map(|until| until.at(now)),
        together: args.together,
    };
    let report = context.client()?.dora(&query).await?;
    let output = &mut *context.output;
    if output.is_sheet() {
        sheet(output, &report)?;
    } else if output.is_human() {
        table(output, &report)?;
    } else {
        output.document(&report)?;
    }
    Ok(exit::OK)
}

fn table(output: &mut Output, report: &DoraReport) -> Result<(), CliError> {
    output.line(format!("{} until {}", time(report.since), time(report.until)))?;
    if report.groups.is_empty() {
        return output.line("nothing was deployed");
    }
    let mut table = Table::new([
        "application",
        "type",
        "per day",
        "lead time (p50, p90)",
        "failed",
        "restored in (p50, p90)",
    ]);
    for group in &report.groups {
        let figures = &group.figures;
        table.row([
            group.application.as_ref().map_or_else(|| "all".to_owned(), ToString::to_string),
            group.environment_type.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
            format!("{:.2} ({})", figures.per_day, figures.deployments),
            spread(figures.lead_time),
            failed(figures),
            spread(figures.time_to_restore),
        ]);
    }
    output.table(&table)?;
    let from_announcement: u32 =
        report.groups.iter().map(|group| group.figures.lead_times_from_announcement).sum();
    if from_announcement > 0 {
        output.note(format!(
            "{from_announcement} lead times count from the announcement: no commit's time was announced (`artifact announce --committed-at`)"
        ))?;
    }
    if report.cut {
        output.note(
            "there were more deployments than are counted; ask for less time, or one application",
        )?;
    }
    Ok(())
}

fn spread(spread: Option<Spread>) -> String {
    match spread {
        Some(Spread { median_ms, p90_ms, .. }) => {
            format!("{}, {}", lasted(median_ms), lasted(p90_ms))
        }
        None => "-".to_owned(),
    }
}

/// `20 % (1 of 5)`.
fn failed(figures: &Figures) -> String {
    match figures.change_failure_rate {
        Some(rate) => {
            format!("{:.0} % ({} of {})", rate * 100.0, figures.failed, figures.changes)
        }
        None => "-".to_owned(),
    }
}

fn sheet(output: &mut Output, report: &DoraReport) -> Result<(), CliError> {
    let mut sheet = Sheet::new([
        "application",
        "type",
        "since",
        "until",
        "deployments",
        "perDay",
        "leadTimeMedianMs",
        "leadTimeP90Ms",
        "leadTimesFromAnnouncement",
        "changes",
        "failed",
        "changeFailureRate",
        "timeToRestoreMedianMs",
        "timeToRestoreP90Ms",
        "notRestored",
    ]);
    for group in &report.groups {
        let figures = &group.figures;
        let ms = |spread: Option<Spread>, of: fn(Spread) -> u64| {
            spread.map_or_else(String::new, |spread| of(spread).to_string())
        };
        sheet.row([
            group.application.as_ref().map_or_else(String::new, ToString::to_string),
            group.environment_type.as_ref().map_or_else(String::new, ToString::to_string),
            report.since.to_string(),
            report.until.to_string(),
            figures.deployments.to_string(),
            figures.per_day.to_string(),
            ms(figures.lead_time, |spread| spread.median_ms),
            ms(figures.lead_time, |spread| spread.p90_ms),
            figures.lead_times_from_announcement.to_string(),
            figures.changes.to_string(),
            figures.failed.to_string(),
            figures.change_failure_rate.map_or_else(String::new, |rate| rate.to_string()),
            ms(figures.time_to_restore, |spread| spread.median_ms),
            ms(figures.time_to_restore, |spread| spread.p90_ms),
            figures.not_restored.to_string(),
        ]);
    }
    output.sheet(&sheet)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::ran;
    use crate::testing::{Answer, Daemon};

    #[tokio::test]
    async fn figures_are_told_with_what_they_count_from() {
        let report = json!({
            "since": "1970-01-01T00:00:00Z", "until": "1970-01-01T00:17:40Z",
            "groups": [{
                "application": "shop", "environmentType": "production",
                "deployments": 4, "perDay": 0.5, "changes": 5, "failed": 1,
                "changeFailureRate": 0.2, "notRestored": 0, "leadTimesFromAnnouncement": 2,
                "leadTime": {"count": 2, "medianMs": 60_000, "p90Ms": 7_620_000},
            }],
        });
        let daemon = Daemon::new([Answer::json(200, &report), Answer::json(200, &report)]).await;
        let done = ran(&daemon, &["dora", "shop", "--since", "10min"], "").await;
        assert_eq!(done.code, 0, "{}", done.err);
        for expected in ["0.50 (4)", "1m00s, 2h07m", "20 % (1 of 5)"] {
            assert!(done.out.contains(expected), "{expected}: {}", done.out);
        }
        assert!(done.err.contains("2 lead times count from the announcement"), "{}", done.err);
        let done = ran(&daemon, &["dora", "-o", "csv"], "").await;
        assert!(done.out.contains("shop,production,"), "{}", done.out);
        assert_eq!(
            daemon.lines()[0],
            "GET /v1/dora?application=shop&since=1970-01-01T00%3A07%3A40.000Z"
        );
    }
}
