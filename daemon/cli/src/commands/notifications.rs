//! Shows what others were told.

use deployd_core::Name;
use deployd_core::outbox::{Message, MessageStatus};
use serde_json::Value;

use super::Context;
use crate::args::{NotificationCommand, RedeliverArgs};
use crate::client::{Client, NotificationQuery};
use crate::error::CliError;
use crate::exit;
use crate::output::{Output, Table, Tone, ago, clean};

/// Messages that are asked for at once: as many as the daemon gives.
const PAGE: u32 = 500;

pub(super) async fn notifications(
    context: &mut Context<'_>,
    command: NotificationCommand,
) -> Result<u8, CliError> {
    let client = context.client()?;
    let output = &mut *context.output;
    match command {
        NotificationCommand::List(args) => {
            let limit = Some(args.limit);
            let query = NotificationQuery {
                status: args.status,
                deployment: args.deployment,
                after: args.after,
                limit,
            };
            let messages = client.notifications(&query).await?;
            if output.is_human() {
                list(output, &messages, args.limit)?;
            } else {
                output.document(&messages)?;
            }
        }
        NotificationCommand::Show { id } => {
            let message = client.notification(&id).await?;
            if output.is_human() {
                show(output, &message)?;
            } else {
                output.document(&message)?;
            }
        }
        NotificationCommand::Redeliver(RedeliverArgs { id: Some(id), .. }) => {
            let message = client.redeliver(&id).await?;
            if output.is_human() {
                output.line(format!("{} is delivered again", message.id))?;
            } else {
                output.document(&message)?;
            }
        }
        NotificationCommand::Redeliver(RedeliverArgs { subscription, .. }) => {
            let messages = redeliver_dead(&client, subscription.as_ref()).await?;
            if output.is_human() {
                output.line(format!("{} notifications are delivered again", messages.len()))?;
            } else {
                output.document(&messages)?;
            }
        }
    }
    Ok(exit::OK)
}

/// Has all dead messages delivered again, or those to one subscription.
async fn redeliver_dead(
    client: &Client,
    subscription: Option<&Name>,
) -> Result<Vec<Message>, CliError> {
    let mut again = Vec::new();
    let mut after = None;
    loop {
        let status = Some(MessageStatus::Dead);
        let query = NotificationQuery { status, after, limit: Some(PAGE), deployment: None };
        let page = client.notifications(&query).await?;
        let Some(last) = page.last() else { return Ok(again) };
        after = Some(last.id.to_string());
        for message in page {
            if subscription.is_none_or(|name| message.subscription == *name) {
                again.push(client.redeliver(&message.id.0).await?);
            }
        }
    }
}

fn list(output: &mut Output, messages: &[Message], limit: u32) -> Result<(), CliError> {
    let mut table = Table::new(["id", "subscription", "event", "status", "tries", "when", "next"]);
    for message in messages {
        let (status, tone) = status(message.status);
        let next = match message.status {
            MessageStatus::Pending => ago(message.due, output.now),
            _ => "-".to_owned(),
        };
        table.toned([
            (message.id.to_string(), Tone::Plain),
            (message.subscription.to_string(), Tone::Plain),
            (event_type(message), Tone::Plain),
            (status.to_owned(), tone),
            (message.tries.to_string(), Tone::Plain),
            (ago(message.created, output.now), Tone::Plain),
            (next, Tone::Plain),
        ]);
    }
    if table.is_empty() {
        return output.note("no notifications");
    }
    output.table(&table)?;
    match messages.last() {
        Some(last) if messages.len() >= limit as usize => {
            output.note(format!("more: --after {}", last.id))
        }
        _ => Ok(()),
    }
}

fn show(output: &mut Output, message: &Message) -> Result<(), CliError> {
    let paint = output.paint;
    let (word, tone) = status(message.status);
    output.line(format!("{}  {}", message.id, paint.tone(tone, word)))?;
    output.line(format!("  to        {}", message.subscription))?;
    output.line(format!("  event     {}", clean(&event_type(message))))?;
    output.line(format!("  recorded  {}", message.created))?;
    if message.status == MessageStatus::Pending {
        output.line(format!("  next try  {}", message.due))?;
    }
    if message.attempts.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(["attempt", "took", "to", "status", "what went wrong"]);
    for attempt in &message.attempts {
        let fault = attempt.fault.as_ref().map(|fault| fault.message.clone());
        table.row([
            attempt.at.to_string(),
            crate::output::lasted(attempt.duration_ms),
            attempt.target.clone(),
            attempt.status.map_or_else(|| "-".to_owned(), |status| status.to_string()),
            fault.unwrap_or_default(),
        ]);
    }
    output.line("")?;
    output.table(&table)
}

fn status(status: MessageStatus) -> (&'static str, Tone) {
    match status {
        MessageStatus::Pending => ("pending", Tone::Busy),
        MessageStatus::Delivered => ("delivered", Tone::Good),
        MessageStatus::Dead => ("dead", Tone::Bad),
    }
}

fn event_type(message: &Message) -> String {
    message.event.get("type").and_then(Value::as_str).unwrap_or("-").to_owned()
}
