//! Keeps values of Secrets out of what API servers and admission webhooks say
//! about them.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deployd_core::ports::ObjectRef;
use serde_json::Value;

use crate::failure::{ApiStatus, Failure};

const HIDDEN: &str = "(hidden)";

/// Shorter values are only hidden where they stand in quotes: replacing every
/// "a" would leave nothing to read.
const SHORTEST: usize = 3;

/// Lines of a longer value (a key, a certificate) that are hidden by themselves.
const SHORTEST_LINE: usize = 8;

/// What may be said about a Secret, and what may not.
pub(crate) struct Scrubber {
    /// What stands in quotes and is harmless: its names and keys.
    harmless: BTreeSet<String>,
    /// Longest first, so that no part of a value survives another's removal.
    values: Vec<String>,
}

impl Scrubber {
    /// For a Secret; other objects hold no secret values.
    pub(crate) fn of(object: &Value) -> Option<Self> {
        let reference = ObjectRef::of(object)?;
        if reference.kind != "Secret" || reference.api_version != "v1" {
            return None;
        }
        let mut harmless = BTreeSet::from([
            reference.name,
            reference.namespace.unwrap_or_default(),
            "v1".to_owned(),
            "Secret".to_owned(),
            "secrets".to_owned(),
        ]);
        let mut values = BTreeSet::new();
        for part in ["data", "stringData"] {
            for (key, value) in object.get(part).and_then(Value::as_object).into_iter().flatten() {
                harmless.insert(key.clone());
                match value {
                    Value::String(text) => add_forms(text, &mut values),
                    other => add_forms(&other.to_string(), &mut values),
                }
            }
        }
        let mut values: Vec<String> =
            values.into_iter().filter(|value| value.len() >= SHORTEST).collect();
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Some(Self { harmless, values })
    }

    /// The failure without values.
    pub(crate) fn failure(&self, failure: Failure) -> Failure {
        let Failure::Status(status) = failure else { return failure };
        let mut status: ApiStatus = *status;
        status.message = self.text(&status.message);
        for cause in &mut status.causes {
            cause.message = self.text(&cause.message);
            cause.field = self.known_values(&cause.field);
        }
        Failure::Status(Box::new(status))
    }

    /// A text without values: neither those that were sent nor anything else
    /// in quotes, nor the excerpts that decoders give.
    fn text(&self, text: &str) -> String {
        // "error found in #10 byte of ...|word":"…|..., bigger context ...|…":
        // excerpts begin and end anywhere, so that no comparison finds them.
        let text = match text.find("error found in #").or_else(|| text.find("...|")) {
            Some(start) => format!("{}{HIDDEN}", text.get(..start).unwrap_or_default()),
            None => text.to_owned(),
        };
        self.known_values(&self.quoted(&text))
    }

    fn quoted(&self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('"') {
            out.push_str(before);
            let (inner, following) = split_quoted(after);
            out.push('"');
            out.push_str(if self.harmless.contains(inner) { inner } else { HIDDEN });
            out.push('"');
            rest = following;
        }
        out.push_str(rest);
        out
    }

    /// A text without values that were sent; for texts that are not about them.
    pub(crate) fn known_values(&self, text: &str) -> String {
        self.values.iter().fold(text.to_owned(), |text, value| text.replace(value.as_str(), HIDDEN))
    }
}

/// Splits after the quote that ends a quoted text; escaped quotes don't.
fn split_quoted(text: &str) -> (&str, &str) {
    let mut escaped = false;
    for (index, character) in text.char_indices() {
        match character {
            '"' if !escaped => {
                let inner = text.get(..index).unwrap_or_default();
                return (inner, text.get(index + 1..).unwrap_or_default());
            }
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    (text, "")
}

/// A value in the forms in which it may be echoed.
fn add_forms(value: &str, forms: &mut BTreeSet<String>) {
    let mut plain = vec![value.to_owned()];
    if let Some(decoded) =
        STANDARD.decode(value).ok().and_then(|bytes| String::from_utf8(bytes).ok())
    {
        plain.push(decoded);
    }
    for text in plain {
        forms.insert(STANDARD.encode(&text));
        let quoted = Value::String(text.clone()).to_string();
        forms.insert(quoted.trim_matches('"').to_owned());
        for line in text.lines().filter(|line| line.len() >= SHORTEST_LINE) {
            forms.insert(line.trim().to_owned());
        }
        forms.insert(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn scrubber() -> Scrubber {
        Scrubber::of(&json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "db", "namespace": "shop"},
            "stringData": {"password": "hunter2", "pem": "-----BEGIN\nMIIBsecretline\n", "n": 4711},
            "data": {"token": "dG9wc2VjcmV0"},
        }))
        .unwrap()
    }

    #[test]
    fn values_are_hidden_in_every_form() {
        let table = [
            (
                r#"Secret "db" is invalid: data[password]: Invalid value: "hunter2": no"#,
                r#"Secret "db" is invalid: data[password]: Invalid value: "(hidden)": no"#,
            ),
            ("got hunter2 and aHVudGVyMg==", "got (hidden) and (hidden)"),
            ("got topsecret and dG9wc2VjcmV0", "got (hidden) and (hidden)"),
            ("got 4711", "got (hidden)"),
            ("line MIIBsecretline", "line (hidden)"),
            (r#"webhook says "hunt"#, r#"webhook says "(hidden)""#),
            (r#"bad: error found in #10 byte of ...|d":"hunt|..."#, "bad: (hidden)"),
            (r#"key "password" of "shop" is odd"#, r#"key "password" of "shop" is odd"#),
        ];
        for (said, expected) in table {
            assert_eq!(scrubber().text(said), expected);
        }
    }

    #[test]
    fn causes_are_scrubbed_too() {
        let status = ApiStatus {
            code: 422,
            causes: vec![crate::failure::Cause {
                message: "Invalid value: \"hunter2\"".into(),
                field: "data[hunter2]".into(),
                ..Default::default()
            }],
            ..ApiStatus::default()
        };
        let clean = scrubber().failure(Failure::Status(Box::new(status)));
        assert!(!format!("{clean:?}").contains("hunter2"), "{clean:?}");
    }

    #[test]
    fn only_secrets_need_it() {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
        assert!(Scrubber::of(&map).is_none());
    }
}
