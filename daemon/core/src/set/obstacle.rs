//! What is in the way of an operation of a delta.

use json_patch::PatchOperation;
use json_patch::jsonptr::{Pointer, PointerBuf};
use serde_json::Value;

/// How much of a value is shown.
const SHOWN_CHARS: usize = 80;

/// How many names of fields are shown.
const FIELDS_SHOWN: usize = 10;

/// An operation for people: `replace /containers/main/image`.
pub(super) fn shown(operation: &PatchOperation) -> String {
    match operation {
        PatchOperation::Add(add) => format!("add {}", add.path),
        PatchOperation::Remove(remove) => format!("remove {}", remove.path),
        PatchOperation::Replace(replace) => format!("replace {}", replace.path),
        PatchOperation::Move(moved) => format!("move {} to {}", moved.from, moved.path),
        PatchOperation::Copy(copy) => format!("copy {} to {}", copy.from, copy.path),
        PatchOperation::Test(test) => format!("test {}", test.path),
    }
}

/// What is where an operation wants to be, or where the way there ends.
pub(super) fn found(operation: &PatchOperation, document: &Value) -> String {
    let from = match operation {
        PatchOperation::Move(moved) => Some(&moved.from),
        PatchOperation::Copy(copy) => Some(&copy.from),
        _ => None,
    };
    // What is to be moved is looked for first.
    match from.filter(|from| from.resolve(document).is_err()) {
        Some(from) => at(from, document),
        None => at(operation.path(), document),
    }
}

fn at(path: &Pointer, document: &Value) -> String {
    let mut here = PointerBuf::new();
    let mut value = document;
    for token in path.tokens() {
        let name = token.decoded();
        let next = match value {
            Value::Object(fields) => fields.get(name.as_ref()),
            Value::Array(items) => name.parse().ok().and_then(|place: usize| items.get(place)),
            _ => None,
        };
        let Some(next) = next else { return end(&here, value, &name) };
        here.push_back(token);
        value = next;
    }
    format!("at {} there is {}", place(&here), cut(&value.to_string()))
}

fn end(here: &Pointer, value: &Value, name: &str) -> String {
    let place = place(here);
    match value {
        Value::Object(fields) => {
            let mut known: Vec<String> =
                fields.keys().take(FIELDS_SHOWN).map(|key| format!("{key:?}")).collect();
            if fields.len() > FIELDS_SHOWN {
                known.push(format!("{} more", fields.len().saturating_sub(FIELDS_SHOWN)));
            }
            match known.as_slice() {
                [] => format!("at {place} there is nothing"),
                known => format!("at {place} there is no {name:?}, but {}", known.join(", ")),
            }
        }
        Value::Array(items) => {
            format!("at {place} there is a list of {}, and no {name:?} in it", items.len())
        }
        value => {
            format!("at {place} there is {}, which has no fields", cut(&value.to_string()))
        }
    }
}

fn place(path: &Pointer) -> &str {
    if path.is_root() { "the top" } else { path.as_str() }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or(text)),
        None => text.to_owned(),
    }
}
