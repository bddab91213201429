//! Differences as a unified diff of YAML: one file for each thing that differs.

use deployd_core::compare::{Comparison, ItemChange, PartName};
use serde_json::Value;
use similar::TextDiff;

use crate::error::CliError;
use crate::output::{Output, Tone, clean};

/// Lines around those that differ, as `diff -u` has them.
const CONTEXT_LINES: usize = 3;

/// Prints what differs of sets and manifests, or of the part that was asked for.
pub(super) fn print(
    output: &mut Output,
    comparison: &Comparison,
    wanted: Option<PartName>,
) -> Result<(), CliError> {
    let shown = |part: PartName| match wanted {
        Some(one) => part == one,
        None => matches!(part, PartName::Set | PartName::Manifests),
    };
    for part in comparison.parts.iter().filter(|part| shown(part.part)) {
        if let Some(missing) = &part.missing {
            output.note(format!("{}: not compared: {missing}", part.part.as_str()))?;
        }
        for unknown in &part.unknown {
            output.note(format!("{}: not compared: {unknown}", part.part.as_str()))?;
        }
        for item in &part.items {
            file(output, part.part, item)?;
        }
    }
    Ok(())
}

fn file(output: &mut Output, part: PartName, item: &ItemChange) -> Result<(), CliError> {
    // Secrets are in no document.
    if item.before.is_none() && item.after.is_none() {
        let name = clean(&item.name);
        return output.note(format!("{}: {name} differs; its values are not shown", part.as_str()));
    }
    let path = path(part, &item.name);
    let side = |value: &Option<Value>, side: &str| -> Result<(String, String), CliError> {
        Ok(match value {
            Some(value) => (deployd_config::to_yaml(value)?, format!("{side}/{path}")),
            None => (String::new(), "/dev/null".to_owned()),
        })
    };
    let (before, from) = side(&item.before, "a")?;
    let (after, to) = side(&item.after, "b")?;
    let diff = TextDiff::from_lines(&before, &after);
    let text = diff.unified_diff().context_radius(CONTEXT_LINES).header(&from, &to).to_string();
    let paint = output.paint;
    for line in text.lines() {
        let tone = match line.as_bytes().first() {
            _ if line.starts_with("--- ") || line.starts_with("+++ ") => Tone::Strong,
            Some(b'-') => Tone::Bad,
            Some(b'+') => Tone::Good,
            Some(b'@') => Tone::Busy,
            _ => Tone::Plain,
        };
        output.line(paint.tone(tone, line))?;
    }
    Ok(())
}

/// `set/workload/backend.yaml`, and never outside of where it is applied.
fn path(part: PartName, name: &str) -> String {
    let safe = |c: char| match c {
        ' ' => '/',
        c if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') => c,
        '.' | '#' => '.',
        _ => '_',
    };
    let name: String = name.chars().map(safe).collect();
    let parts: Vec<&str> =
        name.split('/').filter(|part| !part.trim_matches('.').is_empty()).collect();
    format!("{}/{}.yaml", part.as_str(), parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_where_they_are() {
        for (name, expected) in [
            ("workload backend", "set/workload/backend.yaml"),
            ("resource ../../etc/x", "set/resource/.._.._etc_x.yaml"),
            ("postgres#backend.db", "set/postgres.backend.db.yaml"),
            (".. ..", "set/.yaml"),
        ] {
            assert_eq!(path(PartName::Set, name), expected);
        }
    }
}
