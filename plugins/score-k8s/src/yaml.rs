//! YAML documents as JSON.
//!
//! Built from the parser's events, as they come: a tree of YAML in between would
//! be most of the work of a whole rendering.

use std::borrow::Cow;
use std::collections::BTreeMap;

use deployd_plugin_sdk::Fault;
use saphyr::{Scalar, ScalarStyle, Tag};
use saphyr_parser::{Event, Marker, Parser, ScanError};
use serde_json::{Map, Value};

/// How much of a line an error shows.
const SHOWN_MAX: usize = 120;

/// Values that aliases may stand for, all together: a few lines of them can mean
/// more than any memory holds.
const ALIASED_MAX: usize = 100_000;

/// The documents of a text, in order; empty ones are left out. What a plain
/// scalar stands for is `known` to some; to the others it is what YAML says.
pub(crate) fn documents(
    text: &str,
    mut known: impl FnMut(&str) -> Option<Value>,
) -> Result<Vec<Value>, Fault> {
    let mut parser = Parser::new_from_str(text);
    let mut builder = Builder::default();
    let misread = |error: &ScanError| misread(text, error.marker(), error.info());
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| misread(&error))?;
        let Err(wrong) = builder.take(event, &mut known) else {
            continue;
        };
        // A mistake further down is told first if it makes the text no YAML at
        // all: what is before may only look wrong.
        while let Some(event) = parser.next_event() {
            event.map_err(|error| misread(&error))?;
        }
        return Err(match wrong {
            Wrong::Syntax(info) => misread(&ScanError::new_str(span.start, info)),
            Wrong::Meaning(message) => invalid(&message),
        });
    }
    Ok(builder.documents)
}

/// Why there are no documents.
enum Wrong {
    /// The text is no YAML; told with its line.
    Syntax(&'static str),
    /// It is YAML, and no JSON.
    Meaning(String),
}

/// A list or map that is not closed yet.
struct Open {
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Value>),
    Map { fields: Map<String, Value>, key: Option<String> },
}

/// Puts events together.
#[derive(Default)]
struct Builder {
    documents: Vec<Value>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Value>,
    aliased: usize,
}

impl Builder {
    fn take(
        &mut self,
        event: Event<'_>,
        known: impl FnOnce(&str) -> Option<Value>,
    ) -> Result<(), Wrong> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = style == ScalarStyle::Plain && tag.is_none();
                let value = match is_plain.then(|| known(&text)).flatten() {
                    Some(value) => value,
                    None => scalar(text, style, tag.as_ref())?,
                };
                self.place(value, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                self.open(anchor, Content::List(Vec::new()), tag.as_deref())
            }
            Event::MappingStart(anchor, tag) => {
                self.open(anchor, Content::Map { fields: Map::new(), key: None }, tag.as_deref())
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open { anchor, content: Content::List(items) }) => {
                    self.place(Value::Array(items), anchor)
                }
                Some(Open { anchor, content: Content::Map { fields, .. } }) => {
                    self.place(Value::Object(fields), anchor)
                }
                None => Ok(()),
            },
            Event::Alias(anchor) => {
                // Unknown while the value that it names is still open.
                let value = self.anchors.get(&anchor).ok_or_else(no_yaml)?;
                self.aliased = self.aliased.saturating_add(count(value));
                if self.aliased > ALIASED_MAX {
                    return Err(Wrong::Syntax("its aliases stand for too many values"));
                }
                let value = value.clone();
                self.place(value, 0)
            }
            Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::Nothing => Ok(()),
        }
    }

    fn open(&mut self, anchor: usize, content: Content, tag: Option<&Tag>) -> Result<(), Wrong> {
        refuse(tag)?;
        self.open.push(Open { anchor, content });
        Ok(())
    }

    /// Puts a complete value where it belongs.
    fn place(&mut self, value: Value, anchor: usize) -> Result<(), Wrong> {
        if anchor != 0 {
            self.anchors.insert(anchor, value.clone());
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None if value.is_null() => {}
            None => self.documents.push(value),
            Some(Content::List(items)) => items.push(value),
            Some(Content::Map { fields, key }) => match key.take() {
                None => *key = Some(key_text(value)?),
                Some(key) => {
                    if fields.insert(key, value).is_some() {
                        return Err(Wrong::Syntax("duplicated key in mapping"));
                    }
                }
            },
        }
        Ok(())
    }
}

fn scalar(
    text: Cow<'_, str>,
    style: ScalarStyle,
    tag: Option<&Cow<'_, Tag>>,
) -> Result<Value, Wrong> {
    refuse(tag.map(Cow::as_ref))?;
    let scalar = Scalar::parse_from_cow_and_metadata(text, style, tag).ok_or_else(no_yaml)?;
    Ok(match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(value) => value.into(),
        Scalar::Integer(value) => value.into(),
        Scalar::FloatingPoint(value) => value.into_inner().into(),
        Scalar::String(value) => value.into_owned().into(),
    })
}

/// Of tags only those of YAML itself mean something.
fn refuse(tag: Option<&Tag>) -> Result<(), Wrong> {
    match tag.filter(|tag| !tag.is_yaml_core_schema()) {
        Some(tag) => Err(Wrong::Meaning(format!("the tag {tag:?} means nothing here"))),
        None => Ok(()),
    }
}

/// JSON has texts for keys; YAML reads `8080:` as a number.
fn key_text(key: Value) -> Result<String, Wrong> {
    match key {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(value) => Ok(value.to_string()),
        other => Err(Wrong::Meaning(format!("{other} can't be a key"))),
    }
}

/// How many values a value is made of, its keys included.
fn count(value: &Value) -> usize {
    let inside = match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(|field| count(field) + 1).sum(),
        _ => 0usize,
    };
    inside + 1
}

fn no_yaml() -> Wrong {
    Wrong::Meaning("its output is not valid YAML".to_owned())
}

fn misread(text: &str, place: &Marker, info: &str) -> Fault {
    let line = place.line();
    let shown = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let shown: String = shown.trim().chars().take(SHOWN_MAX).collect();
    invalid(&format!("line {line} of its output, {shown:?}: {info}"))
}

fn invalid(message: &str) -> Fault {
    Fault::invalid("/baseline", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_inside_yaml_is_read_as_it_is() {
        let long = "x: [\"y\"] #".repeat(500);
        let text = format!("a: {}\nb: {{\"k\":\"v\",\"n\":[1,2.5,null]}}\n", json!(long));
        assert_eq!(
            documents(&text, |_| None).unwrap(),
            [json!({"a": long, "b": {"k": "v", "n": [1, 2.5, null]}})]
        );
    }

    #[test]
    fn documents_are_kept_apart_and_empty_ones_left_out() {
        let text = "---\n# nothing\n---\na: 1\n---\n8080: true\n";
        assert_eq!(documents(text, |_| None).unwrap(), [json!({"a": 1}), json!({"8080": true})]);
    }

    #[test]
    fn aliases_stand_for_values_and_not_for_too_many() {
        let text = "a: &a {x: [1]}\nb: *a\n";
        let x = json!({"x": [1]});
        assert_eq!(documents(text, |_| None).unwrap(), [json!({"a": x, "b": x})]);
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
        }
        let fault = documents(&bomb, |_| None).unwrap_err().to_string();
        assert!(fault.contains("aliases"), "{fault}");
    }

    #[test]
    fn what_has_no_meaning_in_json_is_refused() {
        for (text, message) in [
            ("a: !own 1\n", "the tag"),
            ("!!map a: {b: 1}\n", "not valid YAML"),
            ("a: !!int x\n", "not valid YAML"),
            ("a: &a [*a]\n", "not valid YAML"),
            ("null: 1\n", "null can't be a key"),
            ("? [1]\n: 2\n", "[1] can't be a key"),
            ("a: 1\na: 2\n", "line 2 of its output, \"a: 2\": duplicated key"),
            ("1: a\n\"1\": b\n", "duplicated key"),
        ] {
            let fault = documents(text, |_| None).unwrap_err().to_string();
            assert!(fault.contains(message), "{text:?}: {fault}");
        }
    }

    #[test]
    fn a_text_that_is_no_yaml_is_told_before_what_it_seems_to_mean() {
        let fault = documents("null: 1\na: {b: c\n", |_| None).unwrap_err().to_string();
        assert!(fault.contains(" of its output"), "{fault}");
    }

    #[test]
    fn an_error_names_line_and_text() {
        let fault = documents("a: 1\nb: \"x\"-c\n", |_| None).unwrap_err().to_string();
        assert!(fault.contains("line 2") && fault.contains("-c"), "{fault}");
    }
}
