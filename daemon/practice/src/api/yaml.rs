//! Bodies in YAML, read as JSON.

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

/// Deeper documents are refused.
const DEEPEST: usize = 128;

/// Reads a body: JSON if it is, YAML otherwise.
pub(crate) fn read(bytes: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    if text.trim_start().starts_with(['{', '[']) {
        // JSON is YAML too, so what fails here may still be read below.
        if let Ok(value) = serde_json::from_str(text) {
            return Ok(value);
        }
    }
    let mut reader = Reader { parser: Parser::new_from_str(text) };
    loop {
        match reader.next()? {
            Event::StreamEnd => return Ok(Value::Null),
            Event::StreamStart | Event::DocumentStart(_) => {}
            event => return reader.value(event, 0),
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Event<'a>, String> {
        match self.parser.next_event() {
            Some(Ok((event, _))) => Ok(event),
            Some(Err(error)) => Err(format!("yaml: {error}")),
            None => Ok(Event::StreamEnd),
        }
    }

    fn value(&mut self, event: Event<'a>, depth: usize) -> Result<Value, String> {
        if depth > DEEPEST {
            return Err("yaml: exceeded max depth".to_owned());
        }
        match event {
            Event::Scalar(text, style, ..) => Ok(match style {
                ScalarStyle::Plain => plain(&text),
                _ => Value::from(text.as_ref()),
            }),
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        Event::SequenceEnd => return Ok(Value::Array(items)),
                        event => items.push(self.value(event, depth + 1)?),
                    }
                }
            }
            Event::MappingStart(..) => {
                let mut entries = Map::new();
                loop {
                    let key = match self.next()? {
                        Event::MappingEnd => return Ok(Value::Object(entries)),
                        event => self.value(event, depth + 1)?,
                    };
                    let key = match key {
                        Value::String(text) => text,
                        other => other.to_string(),
                    };
                    let event = self.next()?;
                    let value = self.value(event, depth + 1)?;
                    entries.insert(key, value);
                }
            }
            Event::Alias(_) => Err("yaml: anchors are not read here".to_owned()),
            _ => Err("yaml: the document ends too early".to_owned()),
        }
    }
}

fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    if let Ok(number) = text.parse::<i64>() {
        return Value::from(number);
    }
    let looks_like_number = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    match text.parse::<f64>() {
        Ok(number) if looks_like_number => {
            serde_json::Number::from_f64(number).map_or_else(|| Value::from(text), Value::Number)
        }
        _ => Value::from(text),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn yaml_reads_as_json() {
        let text = "kind: A\nspec:\n  n: 1\n  f: 1.5\n  t: \"1\"\n  on: true\n  none:\n  list:\n  - a: b\n  - c\n  text: |\n    x\n    y\n";
        assert_eq!(
            read(text.as_bytes()).unwrap(),
            json!({"kind": "A", "spec": {"n": 1, "f": 1.5, "t": "1", "on": true, "none": null,
                "list": [{"a": "b"}, "c"], "text": "x\ny\n"}})
        );
        assert!(read(b"a: [").is_err());
    }
}
