//! Shows how what is there differs from what was deployed.

use deployd_core::drift::{Difference, Drift, DriftReport};
use serde_json::Value;

use super::Context;
use crate::args::DriftArgs;
use crate::error::CliError;
use crate::exit;
use crate::output::{Output, Tone, ago, clean};

pub(super) async fn drift(context: &mut Context<'_>, args: DriftArgs) -> Result<u8, CliError> {
    let client = context.client()?;
    if args.heal {
        let record = client.heal_drift(&args.environment).await?;
        return super::deploy::accepted(context, &client, record, true).await;
    }
    let report = match args.last {
        true => client.drift(&args.environment).await?,
        false => client.check_drift(&args.environment).await?,
    };
    if context.output.is_human() {
        describe(context.output, &report)?;
    } else {
        context.output.document(&report)?;
    }
    Ok(match (report.has_drift(), report.unknown.is_empty()) {
        (true, _) => exit::DIFFERS,
        (false, false) => exit::NOT_ALL_COMPARED,
        (false, true) => exit::OK,
    })
}

fn describe(output: &mut Output, report: &DriftReport) -> Result<(), CliError> {
    let (paint, summary) = (output.paint, report.summary);
    let title = paint.tone(Tone::Strong, report.environment.to_string());
    let verdict = match (summary.drifted, summary.unknown) {
        (0, 0) => paint.tone(Tone::Good, "no drift"),
        (0, _) => paint.tone(Tone::Warn, "not known"),
        (drifted, _) => paint.tone(Tone::Bad, format!("{drifted} differ")),
    };
    let when = ago(report.at, output.now);
    output.line(format!(
        "{title}: {verdict}, of {} resources and {} objects ({when}, deployment {})",
        summary.resources, summary.objects, report.deployment
    ))?;
    let mut subject = None;
    for finding in &report.findings {
        if subject != Some(&finding.subject) {
            let name = clean(&finding.subject.to_string());
            output.line(format!("  {}", paint.tone(Tone::Strong, name)))?;
            subject = Some(&finding.subject);
        }
        let since = ago(finding.since, output.now);
        output.line(format!("    {} (found {since})", clean(&line(&finding.drift))))?;
    }
    let shown = u32::try_from(report.findings.len()).unwrap_or(u32::MAX);
    if let Some(more) = summary.findings.checked_sub(shown).filter(|more| *more > 0) {
        output.line(format!("  and {more} more"))?;
    }
    for unknown in &report.unknown {
        let text = format!("{}: not compared: {}", unknown.subject, unknown.fault.message);
        output.line(format!("  {}", paint.tone(Tone::Warn, clean(&text))))?;
    }
    if summary.unsupported > 0 {
        output
            .line(format!("  {} resources have drivers that don't observe", summary.unsupported))?;
    }
    if let Some(why) = &report.not_healed {
        output.line(format!("  not healed: {}", clean(why)))?;
    }
    Ok(())
}

fn line(drift: &Drift) -> String {
    match drift {
        Drift::Missing => "is gone".to_owned(),
        Drift::OutputDiffers { output, values } => format!("output {output}: {}", between(values)),
        Drift::FieldDiffers { path, values, by } => {
            format!("{path}: {}{}", between(values), whom(by))
        }
        Drift::TakenOver { path, by } => {
            format!("{path}: as it was deployed, but owned{}", whom(by))
        }
        Drift::Replaced { uid, by } => format!("is another one, of uid {uid}{}", whom(by)),
    }
}

/// What an object gets that somebody else has applied: `.spec.replicas: 3, was 1`.
pub(super) fn becomes(drift: &Drift) -> String {
    match drift {
        Drift::FieldDiffers { path, values, .. } if values.hidden => {
            format!("{path}: another value (hidden)")
        }
        Drift::FieldDiffers { path, values, .. } => {
            format!("{path}: {}, was {}", shown(&values.recorded), shown(&values.live))
        }
        other => line(other),
    }
}

fn shown(value: &Option<Value>) -> String {
    value.as_ref().map_or("nothing".to_owned(), Value::to_string)
}

/// `3 instead of 1`.
fn between(values: &Difference) -> String {
    if values.hidden {
        return "another value (hidden)".to_owned();
    }
    format!("{} instead of {}", shown(&values.live), shown(&values.recorded))
}

fn whom(by: &[String]) -> String {
    if by.is_empty() { String::new() } else { format!(", by {}", by.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_difference_is_one_line() {
        let values = |recorded: Value, live: Option<Value>, hidden| Difference {
            recorded: Some(recorded),
            live,
            hidden,
        };
        let by = || vec!["kubectl-scale".to_owned()];
        let field =
            |values| Drift::FieldDiffers { path: ".spec.replicas".to_owned(), values, by: by() };
        let table = [
            (
                field(values(json!(1), Some(json!(3)), false)),
                ".spec.replicas: 3 instead of 1, by kubectl-scale",
            ),
            (
                field(values(json!(1), None, false)),
                ".spec.replicas: nothing instead of 1, by kubectl-scale",
            ),
            (
                field(Difference { hidden: true, ..Difference::default() }),
                ".spec.replicas: another value (hidden), by kubectl-scale",
            ),
            (
                Drift::OutputDiffers {
                    output: "host".to_owned(),
                    values: values(json!("a"), Some(json!("b")), false),
                },
                "output host: \"b\" instead of \"a\"",
            ),
            (
                Drift::TakenOver { path: ".a".to_owned(), by: by() },
                ".a: as it was deployed, but owned, by kubectl-scale",
            ),
            (Drift::Replaced { uid: "u".to_owned(), by: vec![] }, "is another one, of uid u"),
            (Drift::Missing, "is gone"),
        ];
        for (drift, expected) in table {
            assert_eq!(line(&drift), expected);
        }
    }
}
