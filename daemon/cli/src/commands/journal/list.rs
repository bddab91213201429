//! Events of the journal, for people.

use std::collections::VecDeque;

use serde_json::Value;

use super::{Context, PAGE};
use crate::args::JournalListArgs;
use crate::client::JournalEntry;
use crate::error::CliError;
use crate::exit;
use crate::output::{Table, ago, clean};

/// Characters of a part of an event: what does not fit is in `-o json`.
const PART_MAX: usize = 60;

pub(super) async fn list(
    context: &mut Context<'_>,
    args: &JournalListArgs,
) -> Result<u8, CliError> {
    let client = context.client()?;
    let mut newest: VecDeque<JournalEntry> = VecDeque::new();
    let mut after = args.after;
    loop {
        let page = client.journal(after, PAGE).await?;
        let full = page.len() >= PAGE as usize;
        match page.last() {
            Some(last) if last.position > Some(after) => {
                after = last.position.unwrap_or(after);
            }
            _ => break,
        }
        let wanted = |entry: &JournalEntry| {
            args.kind.as_ref().is_none_or(|kind| entry.record.event.kind == *kind)
        };
        newest.extend(page.into_iter().filter(wanted));
        while newest.len() > args.limit {
            newest.pop_front();
        }
        if !full {
            break;
        }
    }
    let output = &mut *context.output;
    if !output.is_human() {
        output.document(&newest)?;
        return Ok(exit::OK);
    }
    let mut table = Table::new(["position", "when", "who", "what", "about"]);
    for entry in &newest {
        let event = &entry.record.event;
        table.row([
            entry.position.unwrap_or_default().to_string(),
            ago(event.at, output.now),
            clean(&event.actor.0),
            clean(&event.kind),
            clean(&about(&event.body)),
        ]);
    }
    output.table(&table)?;
    Ok(exit::OK)
}

/// What an event says beside its kind, each part as short as it can be.
fn about(body: &Value) -> String {
    let Some(fields) = body.as_object() else { return String::new() };
    let part = |(name, value): (&String, &Value)| match value {
        Value::Null => None,
        Value::String(text) => Some(format!("{name}={}", cut(text))),
        Value::Object(inner) => {
            let text = |name: &str| inner.get(name).and_then(Value::as_str);
            Some(match (text("owner"), text("name")) {
                (Some(owner), Some(known)) => {
                    format!("{name}={}", cut(&format!("{owner}/{known}")))
                }
                (None, Some(known)) => format!("{name}={}", cut(known)),
                _ => format!("{name}={}", cut(&value.to_string())),
            })
        }
        value => Some(format!("{name}={}", cut(&value.to_string()))),
    };
    let parts: Vec<String> =
        fields.iter().filter(|(name, _)| *name != "type").filter_map(part).collect();
    parts.join(" ")
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(PART_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
