//! Differences for people: how many first, then what.

use deployd_core::compare::{Comparison, FieldChange, ItemChange, Part, Side};
use deployd_core::plan::ChangeKind;
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use crate::error::CliError;
use crate::output::{Output, Paint, Tone, ago, clean, counted};

/// How much of a value is shown in a line; `--unified` and JSON have all of it.
const VALUE_CHARS_MAX: usize = 300;

/// Lines around a changed line of a longer text.
const CONTEXT_LINES: usize = 2;

pub(super) fn print(output: &mut Output, comparison: &Comparison) -> Result<(), CliError> {
    let paint = output.paint;
    for (mark, side) in [("-", &comparison.a), ("+", &comparison.b)] {
        let tone = if mark == "-" { Tone::Bad } else { Tone::Good };
        let name = clean(&side.subject.to_string());
        let about = about(side, output);
        output.line(format!(
            "{} {}{about}",
            paint.tone(tone, mark),
            paint.tone(Tone::Strong, name)
        ))?;
    }
    output.line("")?;
    for part in &comparison.parts {
        output.line(format!("  {:<10} {}", part.part.as_str(), counts(part, paint)))?;
    }
    for part in comparison.parts.iter().filter(|part| !part.items.is_empty()) {
        output.line("")?;
        output.line(paint.tone(Tone::Strong, part.part.as_str()))?;
        for item in &part.items {
            self::item(output, item)?;
        }
    }
    let unknown: Vec<&String> = comparison.parts.iter().flat_map(|part| &part.unknown).collect();
    if !unknown.is_empty() {
        output.line("")?;
        let imported = [&comparison.a, &comparison.b].iter().any(|side| side.imported.is_some());
        let why = if imported { ": installations can't compare their secrets" } else { "" };
        output.line(format!("It is not known whether these have the same value{why}:"))?;
        for name in unknown {
            output.line(format!("  ? {}", clean(name)))?;
        }
    }
    Ok(())
}

/// What is known of a side besides its name.
fn about(side: &Side, output: &Output) -> String {
    let mut words = Vec::new();
    match (&side.environment, side.number, &side.deployment) {
        (Some(environment), Some(number), Some(id)) => {
            words.push(format!("deployment {id}"));
            let place = format!("{environment}#{number}");
            if side.subject.to_string() != place {
                words.push(place);
            }
        }
        _ => words.push("a set".to_owned()),
    }
    words.extend(
        side.imported
            .as_ref()
            .map(|from| format!("imported from installation {}", from.made.installation.short())),
    );
    words.extend(side.ended.map(|ended| ago(ended, output.now)));
    words.push(format!("set sha256:{}", side.set.short()));
    format!("  {}", output.paint.tone(Tone::Dim, clean(&words.join(", "))))
}

fn counts(part: &Part, paint: Paint) -> String {
    if let Some(missing) = &part.missing {
        return paint.tone(Tone::Warn, format!("not compared: {}", clean(missing)));
    }
    let mut words = Vec::new();
    for (count, word, tone) in [
        (part.changed, "changed", Tone::Warn),
        (part.added, "added", Tone::Good),
        (part.removed, "removed", Tone::Bad),
    ] {
        if count > 0 {
            words.push(paint.tone(tone, format!("{count} {word}")));
        }
    }
    if !part.unknown.is_empty() {
        let unknown = counted(part.unknown.len() as u64, "secret");
        words.push(paint.tone(Tone::Warn, format!("{unknown} not known")));
    }
    if words.is_empty() { paint.tone(Tone::Dim, "the same") } else { words.join(", ") }
}

fn item(output: &mut Output, item: &ItemChange) -> Result<(), CliError> {
    let (mark, tone) = match item.change {
        ChangeKind::Add => ("+", Tone::Good),
        ChangeKind::Change => ("~", Tone::Warn),
        ChangeKind::Remove => ("-", Tone::Bad),
    };
    let paint = output.paint;
    output.line(format!("  {} {}", paint.tone(tone, mark), clean(&item.name)))?;
    for change in &item.fields {
        field(output, change)?;
    }
    Ok(())
}

fn field(output: &mut Output, change: &FieldChange) -> Result<(), CliError> {
    let paint = output.paint;
    if !change.path.is_empty() {
        output.line(format!("      {}", clean(&change.path)))?;
    }
    if change.hidden {
        return output.line(format!("        {}", paint.tone(Tone::Warn, "differs")));
    }
    if let (Some(Value::String(from)), Some(Value::String(to))) = (&change.from, &change.to)
        && (from.contains('\n') || to.contains('\n'))
    {
        return lines(output, from, to);
    }
    for (mark, value, tone) in [("-", &change.from, Tone::Bad), ("+", &change.to, Tone::Good)] {
        if let Some(value) = value {
            let line = format!("{mark} {}", clean(&shown(value)));
            output.line(format!("        {}", paint.tone(tone, line)))?;
        }
    }
    Ok(())
}

/// A longer text, by its lines.
fn lines(output: &mut Output, from: &str, to: &str) -> Result<(), CliError> {
    let paint = output.paint;
    let diff = TextDiff::from_lines(from, to);
    for (place, group) in diff.grouped_ops(CONTEXT_LINES).iter().enumerate() {
        if place > 0 {
            output.line(format!("        {}", paint.tone(Tone::Dim, "...")))?;
        }
        for change in group.iter().flat_map(|operation| diff.iter_changes(operation)) {
            let (mark, tone) = match change.tag() {
                ChangeTag::Delete => ("-", Tone::Bad),
                ChangeTag::Insert => ("+", Tone::Good),
                ChangeTag::Equal => (" ", Tone::Dim),
            };
            let line = format!("{mark} {}", clean(change.value().trim_end_matches('\n')));
            output.line(format!("        {}", paint.tone(tone, line.trim_end())))?;
        }
    }
    Ok(())
}

fn shown(value: &Value) -> String {
    let text = match value {
        // What would be read as something else has its quotes.
        Value::String(text) if !text.is_empty() && text.trim() == text => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or(&text)),
        None => text,
    }
}
