//! Placeholders: `${metadata.name}`, `${resources.db.host}`.
//!
//! As in `score-go` (`framework/substitution.go`): `$$` is a `$`, `$${x}` is the
//! text `${x}`, a lone `$` is itself; paths are split at `.`, and `\.` is a dot
//! within a key.

use serde_json::Value;

/// A piece of a text with placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// As it stands, escapes already replaced.
    Text(String),
    /// What stands between `${` and `}`.
    Placeholder(Reference),
}

/// A path, as `resources.db.host` is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// As it was written, for messages.
    pub text: String,
    /// Its keys.
    pub path: Vec<String>,
}

impl Reference {
    fn new(text: &str) -> Self {
        let mut path = vec![String::new()];
        let mut escaped = false;
        for c in text.chars() {
            match (escaped, c) {
                (false, '\\') => {
                    escaped = true;
                    continue;
                }
                (false, '.') => path.push(String::new()),
                (true, c) if c != '.' => {
                    // Only the dot can be escaped; before anything else the
                    // backslash is itself.
                    if let Some(last) = path.last_mut() {
                        last.push('\\');
                        last.push(c);
                    }
                }
                (_, c) => {
                    if let Some(last) = path.last_mut() {
                        last.push(c);
                    }
                }
            }
            escaped = false;
        }
        if escaped && let Some(last) = path.last_mut() {
            last.push('\\');
        }
        Self { text: text.to_owned(), path }
    }

    /// The first key and the rest.
    pub fn root(&self) -> (&str, &[String]) {
        match self.path.split_first() {
            Some((root, rest)) => (root, rest),
            None => ("", &[]),
        }
    }
}

/// Why a placeholder can't be replaced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("placeholder ${{{placeholder}}}: {message}")]
pub struct PlaceholderError {
    /// What stands between the braces.
    pub placeholder: String,
    /// What is wrong with it, and what there is.
    pub message: String,
}

/// Splits a text into what stands and what is to be replaced. An unclosed
/// `${` is text, as in the reference implementation.
pub fn parse(text: &str) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        plain.push_str(before);
        let after = from.get(1..).unwrap_or_default();
        if let Some(escaped) = after.strip_prefix('$') {
            match escaped.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
                Some((inner, tail)) => {
                    plain.push_str("${");
                    plain.push_str(inner);
                    plain.push('}');
                    rest = tail;
                }
                None => {
                    plain.push('$');
                    rest = escaped;
                }
            }
        } else if let Some((inner, tail)) =
            after.strip_prefix('{').and_then(|inner| inner.split_once('}'))
        {
            if !plain.is_empty() {
                segments.push(Segment::Text(std::mem::take(&mut plain)));
            }
            segments.push(Segment::Placeholder(Reference::new(inner)));
            rest = tail;
        } else {
            plain.push('$');
            rest = after;
        }
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        segments.push(Segment::Text(plain));
    }
    segments
}

/// What a text refers to, in order.
pub fn references(text: &str) -> Vec<Reference> {
    parse(text)
        .into_iter()
        .filter_map(|segment| match segment {
            Segment::Placeholder(reference) => Some(reference),
            Segment::Text(_) => None,
        })
        .collect()
}

/// Looks a placeholder up.
pub type Expand<'a> = dyn Fn(&Reference) -> Result<Value, PlaceholderError> + 'a;

/// Replaces placeholders. Strings are inserted as they are, other values as JSON.
pub fn expand(text: &str, lookup: &Expand<'_>) -> Result<String, PlaceholderError> {
    let mut expanded = String::with_capacity(text.len());
    for segment in parse(text) {
        match segment {
            Segment::Text(text) => expanded.push_str(&text),
            Segment::Placeholder(reference) => match lookup(&reference)? {
                Value::String(text) => expanded.push_str(&text),
                other => expanded.push_str(&other.to_string()),
            },
        }
    }
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn replaces_as_the_reference_implementation_does() {
        let lookup = |reference: &Reference| match reference.root() {
            ("metadata", [key]) if key == "name" => Ok(json!("shop")),
            ("resources", [name, keys @ ..]) if name == "db" => Ok(match keys {
                [key] if key == "port" => json!(5432),
                [key] if key == "a.b" => json!({"x": [1]}),
                _ => json!("host"),
            }),
            _ => {
                Err(PlaceholderError { placeholder: reference.text.clone(), message: "no".into() })
            }
        };
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("$", "$"),
            ("$x", "$x"),
            ("$$", "$"),
            ("$$$$", "$$"),
            ("$${metadata.name}", "${metadata.name}"),
            ("$$${metadata.name}", "$shop"),
            ("${metadata.name}", "shop"),
            ("a ${metadata.name} b", "a shop b"),
            ("${resources.db.port}", "5432"),
            (r"${resources.db.a\.b}", r#"{"x":[1]}"#),
            ("${resources.db}", "host"),
            ("${unclosed", "${unclosed"),
            ("$${unclosed", "${unclosed"),
        ] {
            assert_eq!(expand(text, &lookup).as_deref(), Ok(expected), "{text}");
        }
        assert!(expand("${other.x}", &lookup).is_err());
        assert!(expand("${}", &lookup).is_err());
    }
}
