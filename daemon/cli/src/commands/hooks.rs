//! Shows what forges and registries delivered, and what became of it.

use deployd_core::delivery::{DeliveryStatus, HookDelivery};
use deployd_core::views::Route;

use super::Context;
use crate::args::HookCommand;
use crate::error::CliError;
use crate::exit;
use crate::output::{Output, Table, Tone, ago, clean};

/// As long as a summary can be in a table.
const SUMMARY_CHARS: usize = 60;

pub(super) async fn hooks(context: &mut Context<'_>, command: HookCommand) -> Result<u8, CliError> {
    let client = context.client()?;
    let output = &mut *context.output;
    match command {
        HookCommand::List(args) => {
            let deliveries = client.deliveries(&args).await?;
            if output.is_human() {
                list(output, &deliveries, args.limit)?;
            } else {
                output.document(&deliveries)?;
            }
        }
        HookCommand::Show { hook, id, captured: true } => {
            output.document(&client.captured(&hook, &id).await?)?;
        }
        HookCommand::Show { hook, id, captured: false } => {
            let delivery = client.delivery(&hook, &id).await?;
            if output.is_human() {
                show(output, &delivery)?;
            } else {
                output.document(&delivery)?;
            }
        }
        HookCommand::Test(_) => {
            let message =
                "only the whole program can do that: it has the plugins, a client has not";
            return Err(CliError::Failed(message.to_owned()));
        }
        HookCommand::Replay { hook, id } => {
            let delivery = client.replay_delivery(&hook, &id).await?;
            if output.is_human() {
                output.line(format!("{} is read again", delivery.id))?;
            } else {
                output.document(&delivery)?;
            }
        }
    }
    Ok(exit::OK)
}

fn list(output: &mut Output, deliveries: &[HookDelivery], limit: u32) -> Result<(), CliError> {
    let mut table = Table::new(["id", "when", "status", "what"]);
    for delivery in deliveries {
        let (status, tone) = status(delivery.status);
        let what: String = clean(&summary(delivery)).chars().take(SUMMARY_CHARS).collect();
        table.toned([
            (delivery.id.to_string(), Tone::Plain),
            (ago(delivery.at, output.now), Tone::Plain),
            (status.to_owned(), tone),
            (what, Tone::Plain),
        ]);
    }
    if table.is_empty() {
        return output.note("no deliveries");
    }
    output.table(&table)?;
    match deliveries.last() {
        Some(last) if deliveries.len() >= limit as usize => {
            output.note(format!("more: --after {}", last.id))
        }
        _ => Ok(()),
    }
}

/// What became of it, in a line.
fn summary(delivery: &HookDelivery) -> String {
    if let Some(fault) = &delivery.fault {
        return fault.message.clone();
    }
    let name = |repository: &str| repository.rsplit('/').next().unwrap_or_default().to_owned();
    let images: Vec<String> = delivery
        .artifacts
        .iter()
        .map(|artifact| match &artifact.tag {
            Some(tag) => format!("{}:{tag}", name(&artifact.repository)),
            None => name(&artifact.repository),
        })
        .collect();
    let places: Vec<String> =
        delivery.routes.iter().map(|route| route.environment.to_string()).collect();
    match (images.is_empty(), places.is_empty()) {
        (true, _) => delivery.notes.first().map_or("nothing of interest", |note| note).to_owned(),
        (false, true) => format!("{}; nobody waits for it", images.join(", ")),
        (false, false) => format!("{} to {}", images.join(", "), places.join(", ")),
    }
}

fn show(output: &mut Output, delivery: &HookDelivery) -> Result<(), CliError> {
    let paint = output.paint;
    let (word, tone) = status(delivery.status);
    output.line(format!("{}  {}", delivery.id, paint.tone(tone, word)))?;
    output.line(format!("  hook      {}", delivery.hook))?;
    output.line(format!("  arrived   {}", delivery.at))?;
    if let Some(address) = delivery.source.as_ref().and_then(|source| source.address.as_ref()) {
        output.line(format!("  from      {}", clean(address)))?;
    }
    output.line(format!("  body      {} bytes, {}", delivery.bytes, delivery.digest))?;
    output.line(format!("  attempts  {}", delivery.attempts))?;
    if let Some(fault) = &delivery.fault {
        let text = clean(&format!("{}: {}", fault.code, fault.message));
        output.line(format!("  fault     {}", paint.tone(Tone::Bad, &text)))?;
    }
    if let Some(due) = delivery.due {
        output.line(format!("  next try  {due}"))?;
    }
    for artifact in &delivery.artifacts {
        output.line(format!("  told of   {}", clean(&artifact.image())))?;
    }
    for route in &delivery.routes {
        output.line(format!("  to        {}", clean(&led_to(route))))?;
    }
    for note in &delivery.notes {
        output.line(format!("  note      {}", clean(note)))?;
    }
    Ok(())
}

fn led_to(route: &Route) -> String {
    let place = &route.environment;
    if let Some(deployment) = &route.deployment {
        return format!("{place}: deployment {deployment}");
    }
    if let Some(problem) = &route.problem {
        return format!("{place}: {problem}");
    }
    if !route.waits_for.is_empty() {
        return format!("{place}: waits for {}", route.waits_for.join(", "));
    }
    if !route.quarantined.is_empty() {
        return format!("{place}: in quarantine, since it failed there");
    }
    format!("{place}: late, a newer one was announced before")
}

fn status(status: DeliveryStatus) -> (&'static str, Tone) {
    match status {
        DeliveryStatus::Pending => ("pending", Tone::Busy),
        DeliveryStatus::Read => ("read", Tone::Good),
        DeliveryStatus::Dead => ("dead", Tone::Bad),
    }
}
