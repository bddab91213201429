//! Shows the configuration of an environment in one place.

use deployd_core::EnvironmentId;
use deployd_core::config::Provider;
use deployd_core::environment_report::{ArrivalRule, EnvironmentReport, Offer};

use super::Context;
use super::inventory::time;
use crate::error::CliError;
use crate::exit;
use crate::output::{Output, Table, Tone, clean};

pub(super) async fn report(context: &mut Context<'_>, id: &EnvironmentId) -> Result<u8, CliError> {
    let report = context.client()?.environment_report(id).await?;
    if context.output.is_human() {
        describe(context.output, &report)?;
    } else {
        context.output.document(&report)?;
    }
    Ok(exit::OK)
}

fn describe(output: &mut Output, report: &EnvironmentReport) -> Result<(), CliError> {
    let title = output.paint.tone(Tone::Strong, report.environment.to_string());
    output.line(title)?;
    let text = |text: &Option<String>| text.as_deref().map_or_else(|| "-".to_owned(), clean);
    let strategy = match serde_json::to_string(&report.strategy.config) {
        Ok(config) if !report.strategy.config.is_empty() => {
            format!("{} {config}", report.strategy.plugin)
        }
        _ => report.strategy.plugin.to_string(),
    };
    let ttl = report.ttl.map_or_else(|| "none".to_owned(), |ttl| ttl.to_string());
    let ends = report.ends.map(|at| format!(", ends {}", time(at)));
    let drift = report
        .drift
        .as_ref()
        .map_or_else(|| "not checked".to_owned(), |drift| format!("checked every {}", drift.every));
    let rows = [
        ("use", text(&report.purpose)),
        ("owner", text(&report.owner)),
        ("type", report.environment_type.to_string()),
        ("capabilities", clean(&report.capabilities.join(", "))),
        ("comes here", arrival(&report.arrival)),
        ("strategy", clean(&strategy)),
        ("templater", report.templater.to_string()),
        (
            "fields",
            if report.take_over_fields { "taken over" } else { "left to others" }.to_owned(),
        ),
        ("lives", format!("{ttl}{}", ends.unwrap_or_default())),
        ("drift", format!("{drift}, {} findings", report.drift_findings)),
        (
            "document",
            format!(
                "version {} by {}, {}",
                report.document.version,
                clean(&report.document.by.0),
                time(report.document.at)
            ),
        ),
    ];
    for (name, value) in rows {
        output.line(format!("  {name:<13} {value}").trim_end())?;
    }
    for (name, value) in &report.values {
        output.line(format!("  value         {} = {}", clean(name), clean(&value.to_string())))?;
    }
    output.line("")?;
    let mut offers = Table::new(["can have", "class", "id", "by", "definition"]);
    for Offer { resource_type, class, id, definition, by } in &report.offers {
        offers.row([
            resource_type.clone(),
            class.clone(),
            id.clone().unwrap_or_default(),
            match by {
                Some(Provider::Driver(driver)) => driver.to_string(),
                Some(Provider::Lender(lender)) => format!("lent by {lender}"),
                None => "-".to_owned(),
            },
            definition.to_string(),
        ]);
    }
    output.table(&offers)?;
    output.line("")?;
    let mut resources = Table::new(["has", "type", "driver", "definition"]);
    for resource in &report.resources {
        resources.row([
            resource.name.clone(),
            resource.resource_type.clone(),
            resource.driver.as_ref().map_or_else(String::new, |driver| {
                format!("{}@{}", driver.name, driver.digest.short())
            }),
            resource.definition.as_ref().map_or_else(String::new, ToString::to_string),
        ]);
    }
    output.table(&resources)
}

/// `by itself from refs/heads/main (1 of the flow)`.
fn arrival(rule: &ArrivalRule) -> String {
    let how = match &rule.automatic {
        None => "when somebody asks".to_owned(),
        Some(start) => {
            let part = |word: &str, text: &Option<String>| {
                text.as_ref().map(|text| format!(" {word} {}", clean(text)))
            };
            let paths = (!start.paths.is_empty()).then(|| start.paths.join(" or "));
            let parts = [
                part("from", &start.git_ref),
                part("with the tag", &start.tag),
                part("with a version", &start.version),
                part("of the image", &start.repository),
                part("with changes in", &paths),
            ];
            format!("by itself{}", parts.into_iter().flatten().collect::<String>())
        }
    };
    match rule.place {
        Some(place) => format!("{how} (stage {place} of the flow)"),
        None => format!("{how} (in no flow)"),
    }
}
