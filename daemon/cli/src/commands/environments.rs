//! Shows environments, what runs in them, and what is there; takes them away.

use deployd_core::drift::DriftState;
use deployd_core::ports::PluginRef;
use deployd_core::views::{EnvironmentView, ResourceFilter, ResourceView, TeardownRequest};
use deployd_core::{Digest, Timestamp};
use serde_json::Value;

use super::{Context, deploy, plan_text};
use crate::args::{EnvironmentArgs, EnvironmentCommand, EnvironmentDeleteArgs, ResourcesArgs};
use crate::error::CliError;
use crate::exit;
use crate::output::{Output, Table, Tone, ago, clean, lasted, short};

pub(super) async fn environments(context: &mut Context<'_>) -> Result<u8, CliError> {
    let views = context.client()?.environments().await?;
    let output = &mut *context.output;
    if !output.is_human() {
        output.document(&views)?;
        return Ok(exit::OK);
    }
    let mut table =
        Table::new(["environment", "type", "runs", "since", "active", "queued", "ends"]);
    for view in &views {
        let deployed = view.state.deployed.as_ref();
        table.row([
            view.id.to_string(),
            view.environment_type.to_string(),
            deployed.map_or_else(|| "-".to_owned(), |deployed| deployed.deployment.to_string()),
            deployed.map_or_else(String::new, |deployed| ago(deployed.at, output.now)),
            view.state.active.as_ref().map_or_else(|| "-".to_owned(), |a| a.id.to_string()),
            view.state.queue.len().to_string(),
            ends(view, output.now),
        ]);
    }
    if table.is_empty() {
        output.note("no environments; an Environment document makes one")?;
    } else {
        output.table(&table)?;
    }
    Ok(exit::OK)
}

/// When an environment ends, if it does: `in 2d 3h`, or that it is going.
fn ends(view: &EnvironmentView, now: Timestamp) -> String {
    match view.ends {
        _ if view.state.teardown().is_some() => "now".to_owned(),
        Some(ends) if ends > now => format!("in {}", lasted(ends.ms_since(now))),
        Some(_) => "soon".to_owned(),
        None => "-".to_owned(),
    }
}

pub(super) async fn environment(
    context: &mut Context<'_>,
    args: EnvironmentArgs,
) -> Result<u8, CliError> {
    let id = match (args.command, args.environment) {
        (Some(EnvironmentCommand::List), _) | (None, None) => return environments(context).await,
        (Some(EnvironmentCommand::Diff(args)), _) => {
            return super::compare::environments(context, args).await;
        }
        (Some(EnvironmentCommand::Report { environment }), _) => {
            return super::report::report(context, &environment).await;
        }
        (Some(EnvironmentCommand::Delete(args)), _) => return delete(context, args).await,
        (None, Some(id)) => id,
    };
    if let Some(at) = args.at {
        return super::inventory::then(context, &id, at).await;
    }
    let client = context.client()?;
    let view = client.environment(&id).await?;
    if context.output.is_human() {
        let not_healed = match drift_of(&view) {
            // The rest is no less true for not knowing this.
            Some(_) => client.drift(&id).await.ok().and_then(|report| report.not_healed),
            None => None,
        };
        describe(context.output, &view, not_healed.as_deref())?;
    } else {
        context.output.document(&view)?;
    }
    Ok(exit::OK)
}

/// Shows what would go, asks, and has it go.
async fn delete(context: &mut Context<'_>, args: EnvironmentDeleteArgs) -> Result<u8, CliError> {
    let EnvironmentDeleteArgs { environment, keep, dry_run, yes, comment, watching } = args;
    if !(dry_run || yes || context.output.is_human()) {
        // Whoever is asked has to see what for, and there is no place for it here.
        let text = format!(
            "with this output nobody is asked whether {environment} is to be taken away: --yes takes it away, --dry-run gives the plan"
        );
        return Err(CliError::Input(text));
    }
    let mut request = TeardownRequest { keep, comment, expected_plan: None };
    let client = context.client()?;
    if dry_run || !yes {
        let view = client.plan_of_deletion(&environment, &request).await?;
        if dry_run && !context.output.is_human() {
            context.output.document(&view)?;
            return Ok(exit::OK);
        }
        let does = format!("deployd env delete {environment}");
        plan_text::show(context.output, &view, true, &does)?;
        if dry_run {
            return Ok(exit::OK);
        }
        if !context.typed {
            let text = format!(
                "nobody is there to be asked whether {environment} is to be taken away; --yes says so"
            );
            return Err(CliError::Input(text));
        }
        if !context.confirmed(&format!("Take {environment} away? [y/N] "))? {
            context.output.note("nothing was changed")?;
            return Ok(exit::FAILED);
        }
        // What was shown is what is done.
        request.expected_plan = Some(view.digest);
    }
    let record = client.delete_environment(&environment, &request).await?;
    deploy::accepted(context, &client, record, watching.wanted()).await
}

/// What is known of drift from what runs. What was found before says nothing.
fn drift_of(view: &EnvironmentView) -> Option<&DriftState> {
    let drift = view.state.drift.as_ref().filter(|drift| drift.findings > 0)?;
    let deployed = view.state.deployed.as_ref()?;
    (drift.deployment == deployed.deployment).then_some(drift)
}

fn describe(
    output: &mut Output,
    view: &EnvironmentView,
    not_healed: Option<&str>,
) -> Result<(), CliError> {
    let paint = output.paint;
    let title = paint.tone(Tone::Strong, view.id.to_string());
    output.line(format!("{title} ({})", view.environment_type))?;
    match &view.state.deployed {
        Some(deployed) => {
            let when = ago(deployed.at, output.now);
            output.line(format!("  runs      deployment {} ({when})", deployed.deployment))?;
            output.line(format!("  set       {}", deployed.set))?;
        }
        None => output.line("  runs      nothing")?,
    }
    if let Some(active) = &view.state.active {
        let text = format!("  active    deployment {} #{}", active.id, active.number);
        output.line(paint.tone(Tone::Busy, text))?;
    }
    for queued in &view.state.queue {
        let by = clean(&queued.actor.0);
        output.line(format!("  queued    deployment {} #{} by {by}", queued.id, queued.number))?;
        if let Some(yielded) = &queued.yielded {
            let text = format!("            has made way for {}", yielded.to);
            output.line(paint.tone(Tone::Warn, text))?;
        }
        if let Some(deferral) = &queued.deferred {
            let text = format!("            waits {}", clean(&deferral.to_string()));
            output.line(paint.tone(Tone::Warn, text))?;
        }
    }
    output.line(format!("  resources {}", view.state.resources.len()))?;
    if let Some(at) = view.ends {
        output.line(format!("  ends      {at} ({})", ends(view, output.now)))?;
    }
    if let Some(drift) = drift_of(view) {
        let when = ago(drift.at, output.now);
        let text = format!("  drift     {} findings ({when}); see `deployd drift`", drift.findings);
        output.line(paint.tone(Tone::Warn, text))?;
        if let Some(why) = not_healed {
            output.line(format!("            not healed: {}", clean(why)))?;
        }
    }
    if view.images.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(["container", "image"]);
    for (place, image) in &view.images {
        table.row([place.clone(), short(image)]);
    }
    output.line("")?;
    output.table(&table)
}

pub(super) async fn resources(
    context: &mut Context<'_>,
    args: ResourcesArgs,
) -> Result<u8, CliError> {
    let ResourcesArgs { environment, application, resource_type, definition, driver } = args;
    // One that nobody knows is not the same as one without resources.
    let client = context.client()?;
    let filter = ResourceFilter { application, environment, resource_type, definition, driver };
    let resources = client.all_resources(&filter).await?;
    if let Some(id) = filter.environment.as_ref().filter(|_| resources.is_empty()) {
        client.environment(id).await?;
    }
    let output = &mut *context.output;
    if !output.is_human() {
        output.document(&resources)?;
        return Ok(exit::OK);
    }
    let mut table = Table::new([
        "environment",
        "resource",
        "used by",
        "definition",
        "driver",
        "since",
        "uid",
        "outputs",
    ]);
    for resource in &resources {
        table.toned([
            (resource.environment.to_string(), Tone::Plain),
            (resource.name.clone(), Tone::Plain),
            used_by(resource),
            definition_text(resource),
            (driver_text(resource), Tone::Plain),
            (ago(resource.since.unwrap_or(resource.at), output.now), Tone::Plain),
            (resource.uid.to_string(), Tone::Plain),
            (outputs_text(&resource.outputs), Tone::Plain),
        ]);
    }
    if table.is_empty() {
        output.note("no resources are there")?;
    } else {
        output.table(&table)?;
    }
    Ok(exit::OK)
}

fn used_by(resource: &ResourceView) -> (String, Tone) {
    if !resource.in_use {
        return ("nobody".to_owned(), Tone::Warn);
    }
    if resource.used_by.is_empty() {
        return ("the environment".to_owned(), Tone::Plain);
    }
    let users: Vec<&str> = resource.used_by.iter().map(String::as_str).collect();
    (users.join(", "), Tone::Plain)
}

/// `postgres@c25ad05ca5e8`, and whether it says something else by now.
fn definition_text(resource: &ResourceView) -> (String, Tone) {
    let name = resource.definition.as_ref().map(ToString::to_string).unwrap_or_default();
    let text = format!("{name}@{}", start(resource.definition_digest));
    if resource.definition_is_current {
        (text, Tone::Plain)
    } else {
        (format!("{text} (changed since)"), Tone::Warn)
    }
}

fn driver_text(resource: &ResourceView) -> String {
    let of = |driver: &PluginRef| format!("{}@{}", driver.name, start(Some(driver.digest)));
    resource.driver.as_ref().map(of).unwrap_or_default()
}

/// Enough of a digest for people.
fn start(digest: Option<Digest>) -> String {
    let mut hex = digest.map(|digest| digest.hex()).unwrap_or_default();
    hex.truncate(12);
    hex
}

/// `host=db, port=5432`.
fn outputs_text(outputs: &Value) -> String {
    let Value::Object(fields) = outputs else { return String::new() };
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let pairs: Vec<String> =
        fields.iter().map(|(name, value)| format!("{name}={}", text(value))).collect();
    pairs.join(", ")
}
