//! Slots: asked for, answered, and listed.

use deployd_core::Timestamp;
use deployd_core::calendar::{Slot, SlotAct, SlotState, local_text};
use deployd_core::views::{SlotReply, SlotRequest};

use super::super::Context;
use crate::args::{SlotAnswerArgs, SlotCommand, SlotListArgs, SlotRefuseArgs, SlotRequestArgs};
use crate::error::CliError;
use crate::exit;
use crate::output::{Table, Tone, clean};

pub(super) async fn slot(context: &mut Context<'_>, command: SlotCommand) -> Result<u8, CliError> {
    let (id, act, reason) = match command {
        SlotCommand::Request(args) => return request(context, args).await,
        SlotCommand::List(args) => return list(context, args).await,
        SlotCommand::Grant(SlotAnswerArgs { id, reason }) => (id, SlotAct::Grant, reason),
        SlotCommand::Refuse(SlotRefuseArgs { id, reason }) => (id, SlotAct::Refuse, Some(reason)),
        SlotCommand::Withdraw(SlotAnswerArgs { id, reason }) => (id, SlotAct::Withdraw, reason),
    };
    let slot = context.client()?.answer_slot(&id, act, &SlotReply { reason }).await?;
    let output = &mut *context.output;
    if !output.is_human() {
        output.document(&slot)?;
        return Ok(exit::OK);
    }
    let text = format!("slot {} of {} {}", slot.id, slot.environment, slot.state.as_str());
    output.line(output.paint.tone(tone(&slot), clean(&text)))?;
    output.note(match slot.state {
        SlotState::Granted => clean(&format!(
            "nothing else begins there than what {} deploys in it, and who goes back",
            slot.by.0
        )),
        _ => "what waited for it ends".to_owned(),
    })?;
    Ok(exit::OK)
}

async fn request(context: &mut Context<'_>, args: SlotRequestArgs) -> Result<u8, CliError> {
    let from = args.from.at(context.output.now);
    let SlotRequestArgs { environment, reason, lasts_ms, .. } = args;
    let request = SlotRequest { environment, from, to: from.plus_ms(lasts_ms), reason };
    let slot = context.client()?.request_slot(&request).await?;
    let output = &mut *context.output;
    if !output.is_human() {
        output.document(&slot)?;
    } else if output.quiet {
        output.line(&slot.id.0)?;
    } else {
        let id = &slot.id;
        let time = |at| local_text("UTC", at);
        let (from, to) = (time(slot.span.from), time(slot.span.to));
        output.line(format!("asked for: slot {id} of {}", slot.environment))?;
        output.line(clean(&format!("  {from} to {to} (UTC): {}", slot.reason)))?;
        output
            .note(format!("who may approve there grants it: `deployd calendar slot grant {id}`"))?;
        output.note(format!("`deployd deploy {} --slot {id}` begins in it", slot.environment))?;
    }
    Ok(exit::OK)
}

async fn list(context: &mut Context<'_>, args: SlotListArgs) -> Result<u8, CliError> {
    let SlotListArgs { environment, application, all } = args;
    let client = context.client()?;
    let found = client.slots(environment.as_ref(), application.as_ref(), all).await?;
    let output = &mut *context.output;
    if !output.is_human() {
        output.document(&found)?;
        return Ok(exit::OK);
    }
    if found.is_empty() {
        output.line("There are no slots.")?;
        return Ok(exit::OK);
    }
    let mut table =
        Table::new(["slot", "environment", "from (UTC)", "to (UTC)", "for", "state", "reason"]);
    for slot in &found {
        let time = |at| local_text("UTC", at);
        table.toned([
            (slot.id.0.clone(), Tone::Strong),
            (slot.environment.to_string(), Tone::Plain),
            (time(slot.span.from), Tone::Plain),
            (time(slot.span.to), Tone::Plain),
            (clean(&slot.by.0), Tone::Plain),
            (stands(slot, output.now), tone(slot)),
            (clean(&slot.reason), Tone::Plain),
        ]);
    }
    output.table(&table)?;
    Ok(exit::OK)
}

/// A slot in a line: `2026-12-04 12:00 to 2026-12-04 14:00  shop/production, requested by
/// ana: new prices (01m8...)`.
pub(super) fn line(slot: &Slot, zone: &str, now: Timestamp) -> String {
    let time = |at| local_text(zone, at);
    let Slot { id, environment, span, reason, by, .. } = slot;
    let (from, to, stands) = (time(span.from), time(span.to), stands(slot, now));
    let for_whom = if slot.state == SlotState::Requested { "by" } else { "for" };
    format!("{from} to {to}  {environment}, {stands} {for_whom} {by}: {reason} ({id})")
}

fn stands(slot: &Slot, now: Timestamp) -> String {
    let over = if slot.is_open() && slot.is_over(now) { ", over" } else { "" };
    format!("{}{over}", slot.state.as_str())
}

fn tone(slot: &Slot) -> Tone {
    match slot.state {
        SlotState::Requested => Tone::Warn,
        SlotState::Granted => Tone::Good,
        SlotState::Refused | SlotState::Withdrawn => Tone::Bad,
    }
}
