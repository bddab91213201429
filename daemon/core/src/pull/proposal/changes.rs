//! Which objects change, and how.

use serde_json::Value;

use super::Proposed;
use crate::plan::{ChangeKind, Manifests, ObjectChange, changes};
use crate::pull::files::direct;
use crate::pull::markdown::{TEXT_CHARS_MAX, code, cut, plain};

/// Objects that are named: some hundred are rare, and the files are beside it.
const OBJECTS_MAX: usize = 100;

/// Differences of one object that are shown: a new version has a few.
const DIFFERENCES_MAX: usize = 20;

/// Characters of all that is told of objects, so that what comes after it has its room.
const CHARS_MAX: usize = 20_000;

/// Characters of a value.
const VALUE_CHARS_MAX: usize = 100;

/// Adds what is told of objects.
pub(super) fn section(text: &mut String, proposed: &Proposed<'_>) {
    let nothing = Manifests::default();
    let before = proposed.before.unwrap_or(&nothing);
    let found = changes(before, proposed.after);
    let count = |kind| found.iter().filter(|change| change.change == kind).count();
    let (added, changed) = (count(ChangeKind::Add), count(ChangeKind::Change));
    let removed = count(ChangeKind::Remove);
    text.push_str(&format!("\n### Objects\n\n{added} new, {changed} changed, {removed} removed\n"));
    let mut told = String::new();
    for (place, change) in found.iter().enumerate() {
        let one = object(change, before);
        let left = CHARS_MAX.saturating_sub(told.chars().count());
        if place >= OBJECTS_MAX || one.chars().count() > left {
            let more = found.len().saturating_sub(place);
            told.push_str(&format!("- and {more} more, in the files\n"));
            break;
        }
        told.push_str(&one);
    }
    if !told.is_empty() {
        text.push('\n');
        text.push_str(&told);
    }
}

/// An object, and the differences of one that changes.
fn object(change: &ObjectChange, before: &Manifests) -> String {
    let what = match change.change {
        ChangeKind::Add => "new",
        ChangeKind::Change => "changed",
        ChangeKind::Remove => "**removed**",
    };
    let mut text = format!("- {}: {what}\n", code(&change.object.to_string()));
    let Some(patch) = change.patch.as_ref().filter(|patch| !patch.is_empty()) else { return text };
    let is_it = |object: &&Value| before.reference(object).as_ref() == Some(&change.object);
    let mut now = before.all().map(|manifest| &manifest.object).find(is_it).cloned();
    // In what deployd applies itself there are references where values will be.
    let is_secret = change.object.kind == "Secret" || now.as_ref().and_then(direct).is_some();
    text.push_str("  ```text\n");
    for operation in patch.iter().take(DIFFERENCES_MAX) {
        let line = difference(operation, now.as_ref(), is_secret);
        text.push_str(&format!("  {line}\n"));
        // The next one is of what this one has made of it.
        now = now.and_then(|mut object| {
            json_patch::patch(&mut object, std::slice::from_ref(operation)).ok()?;
            Some(object)
        });
    }
    let more = patch.len().saturating_sub(DIFFERENCES_MAX);
    if more > 0 {
        text.push_str(&format!("  and {more} more\n"));
    }
    text.push_str("  ```\n");
    text
}

/// `replace /spec/replicas: 2 → 3`.
fn difference(
    operation: &json_patch::PatchOperation,
    object: Option<&Value>,
    is_secret: bool,
) -> String {
    let told = serde_json::to_value(operation).unwrap_or_default();
    let field = |name: &str| told.get(name).and_then(Value::as_str).unwrap_or_default();
    let path = field("path");
    let begin = format!("{} {}", field("op"), plain(path, TEXT_CHARS_MAX));
    let (was, is) = (object.and_then(|object| object.pointer(path)), told.get("value"));
    if is_secret {
        return format!("{begin} (not shown)");
    }
    match (field("op"), was, is) {
        ("replace", Some(was), Some(is)) => format!("{begin}: {} → {}", value(was), value(is)),
        ("remove", Some(was), _) => format!("{begin}: {}", value(was)),
        (_, _, Some(is)) => format!("{begin}: {}", value(is)),
        _ => begin,
    }
}

/// A value as JSON, which has no line breaks.
fn value(value: &Value) -> String {
    cut(&plain(&value.to_string(), TEXT_CHARS_MAX), VALUE_CHARS_MAX)
}
