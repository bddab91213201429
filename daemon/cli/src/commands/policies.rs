//! Policies: what is applied, and what they are asked over. They are tested by the
//! whole program, which has the plugins.

use deployd_core::config::{Document, DocumentKind, EnvironmentSelector, PolicySpec};
use deployd_core::policy::{PolicyReport, Severity};
use deployd_core::{Name, Timestamp};

use super::Context;
use crate::args::PolicyCommand;
use crate::error::CliError;
use crate::exit;
use crate::live::findings;
use crate::output::{Output, Table, Tone, clean};

pub(super) async fn policy(
    context: &mut Context<'_>,
    command: PolicyCommand,
) -> Result<u8, CliError> {
    match command {
        PolicyCommand::List => list(context).await?,
        PolicyCommand::Show { name } => show(context, &name).await?,
        PolicyCommand::Schema => {
            context.output.document(&deployd_config::policy_input_schema())?;
        }
        PolicyCommand::Test(_) => {
            let message =
                "only the whole program can do that: it has the plugins, a client has not";
            return Err(CliError::Failed(message.to_owned()));
        }
    }
    Ok(exit::OK)
}

async fn list(context: &mut Context<'_>) -> Result<(), CliError> {
    let documents = context.client()?.documents(Some(DocumentKind::Policy)).await?;
    let output = &mut *context.output;
    if !output.is_human() {
        return output.document(&documents);
    }
    let mut table = Table::new(["policy", "for", "plugin", "enforce", "exemptions"]);
    for stored in &documents {
        let Document::Policy(document) = &stored.document else { continue };
        let spec = &document.spec;
        let (enforce, tone) = match spec.enforce {
            Severity::Deny => ("deny", Tone::Plain),
            Severity::Warn => ("warn", Tone::Warn),
        };
        table.toned([
            (document.metadata.name.to_string(), Tone::Plain),
            (selected(&spec.selector), Tone::Plain),
            (spec.plugin.to_string(), Tone::Plain),
            (enforce.to_owned(), tone),
            (exemptions(spec, output.now), Tone::Plain),
        ]);
    }
    if table.is_empty() { output.note("no policies are applied") } else { output.table(&table) }
}

async fn show(context: &mut Context<'_>, name: &Name) -> Result<(), CliError> {
    let documents = context.client()?.documents(Some(DocumentKind::Policy)).await?;
    let found = documents.into_iter().find(|stored| stored.key.name == *name);
    let stored = found.ok_or_else(|| {
        CliError::Input(format!(
            "found {name:?}, expected the name of a Policy: deployd policy list"
        ))
    })?;
    let output = &mut *context.output;
    if !output.is_human() {
        return output.document(&stored);
    }
    let failed = |error: &dyn std::fmt::Display| CliError::Failed(error.to_string());
    let document = serde_json::to_value(&stored.document).map_err(|error| failed(&error))?;
    let text = deployd_config::to_yaml(&document).map_err(|error| failed(&error))?;
    output.text(&text)?;
    if let Document::Policy(document) = &stored.document {
        let over = document.spec.exemptions.iter().filter(|one| one.expires <= output.now);
        let rules: Vec<String> =
            over.map(|one| clean(&format!("{} of {}", one.rule, one.application))).collect();
        if !rules.is_empty() {
            output.note(format!("exemptions that are over: {}", rules.join(", ")))?;
        }
    }
    Ok(())
}

fn selected(selector: &EnvironmentSelector) -> String {
    let EnvironmentSelector { applications, environments, environment_types } = selector;
    let list = |what: &str, names: &[Name]| {
        let names: Vec<&str> = names.iter().map(Name::as_str).collect();
        (!names.is_empty()).then(|| format!("{what} {}", names.join(", ")))
    };
    let parts = [
        list("type", environment_types),
        list("environment", environments),
        list("application", applications),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "all".to_owned() } else { parts.join("; ") }
}

fn exemptions(spec: &PolicySpec, now: Timestamp) -> String {
    let over = spec.exemptions.iter().filter(|one| one.expires <= now).count();
    match (spec.exemptions.len(), over) {
        (0, _) => String::new(),
        (all, 0) => all.to_string(),
        (all, over) => format!("{all}, {over} of them over"),
    }
}

/// What policies say of a plan, or have said of what was deployed.
pub(super) fn said(output: &mut Output, report: &PolicyReport) -> Result<(), CliError> {
    let names: Vec<&str> = report.policies.iter().map(Name::as_str).collect();
    let lines = findings(report);
    output.line("")?;
    if lines.is_empty() {
        return output.line(format!("Policies: {}: nothing to object to", names.join(", ")));
    }
    output.line(format!("Policies: {}", names.join(", ")))?;
    let paint = output.paint;
    lines.iter().try_for_each(|line| output.line(paint.tone(line.tone, format!("  {}", line.text))))
}
