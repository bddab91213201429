//! Texts as documents take them: without placeholders and templates of their own.

use serde_json::Value;

/// A text in which nothing is a placeholder: what [`crate::score::parse`] makes of it
/// is the text itself.
pub(super) fn placeholders(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        escaped.push_str(before);
        let after = from.get(1..).unwrap_or_default();
        // Up to its brace a placeholder that is escaped is taken as it stands.
        match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some((inner, tail)) => {
                escaped.push_str("$${");
                escaped.push_str(inner);
                escaped.push('}');
                rest = tail;
            }
            None => {
                escaped.push_str(if after.starts_with(['$', '{']) { "$$" } else { "$" });
                rest = after;
            }
        }
    }
    escaped.push_str(rest);
    escaped
}

/// The same for every string of a document.
pub(super) fn document(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(placeholders(text)),
        Value::Array(items) => items.iter().map(document).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(key, field)| (key.clone(), document(field))).collect()
        }
        other => other.clone(),
    }
}

/// Whether the driver `template` would take a string of it for a template.
pub(super) fn has_template(value: &Value) -> bool {
    match value {
        Value::String(text) => ["{{", "{%", "{#"].iter().any(|mark| text.contains(mark)),
        Value::Array(items) => items.iter().any(has_template),
        Value::Object(fields) => fields.values().any(has_template),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::score::{Segment, parse};

    fn comes_back(text: &str) {
        let expected = match text {
            "" => Vec::new(),
            text => vec![Segment::Text(text.to_owned())],
        };
        assert_eq!(parse(&placeholders(text)), expected, "{text:?} -> {:?}", placeholders(text));
    }

    #[test]
    fn what_shells_write_is_text() {
        for text in [
            "",
            "$",
            "$$",
            "$HOME",
            "${HOME}",
            "$${HOME}",
            "${A:-${B}}",
            "${unclosed",
            "a$",
            "$$$",
            "${a${b}",
            "x$${y",
            "${}",
            "$(NAME)",
            "}${",
            "$${",
            "$}{$",
        ] {
            comes_back(text);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_text(text in "[${}a ]{0,24}") {
            comes_back(&text);
        }
    }
}
