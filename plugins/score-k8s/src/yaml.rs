//! YAML documents as JSON.

use deployd_plugin_sdk::Fault;
use saphyr::{LoadableYamlNode, ScalarOwned, YamlOwned};
use serde_json::{Map, Value};

/// How much of a line an error shows.
const SHOWN_MAX: usize = 120;

/// The documents of a text, in order; empty ones are left out.
pub(crate) fn documents(text: &str) -> Result<Vec<Value>, Fault> {
    let documents = YamlOwned::load_from_str(text).map_err(|error| {
        let line = error.marker().line();
        let shown = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
        let shown: String = shown.trim().chars().take(SHOWN_MAX).collect();
        invalid(&format!("line {line} of its output, {shown:?}: {}", error.info()))
    })?;
    let documents = documents.into_iter().map(json).collect::<Result<Vec<Value>, Fault>>()?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

fn json(node: YamlOwned) -> Result<Value, Fault> {
    match node {
        YamlOwned::Value(scalar) => Ok(scalar_value(scalar)),
        YamlOwned::Sequence(items) => items.into_iter().map(json).collect(),
        YamlOwned::Mapping(fields) => fields
            .into_iter()
            .map(|(key, value)| Ok((key_text(key)?, json(value)?)))
            .collect::<Result<Map<String, Value>, Fault>>()
            .map(Value::Object),
        YamlOwned::Tagged(tag, _) => Err(invalid(&format!("the tag {tag:?} means nothing here"))),
        YamlOwned::Representation(text, ..) => Ok(Value::String(text)),
        YamlOwned::Alias(_) | YamlOwned::BadValue => Err(invalid("its output is not valid YAML")),
    }
}

fn scalar_value(scalar: ScalarOwned) -> Value {
    match scalar {
        ScalarOwned::Null => Value::Null,
        ScalarOwned::Boolean(value) => value.into(),
        ScalarOwned::Integer(value) => value.into(),
        ScalarOwned::FloatingPoint(value) => value.into_inner().into(),
        ScalarOwned::String(value) => value.into(),
    }
}

/// JSON has texts for keys; YAML reads `8080:` as a number.
fn key_text(key: YamlOwned) -> Result<String, Fault> {
    match json(key)? {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(value) => Ok(value.to_string()),
        other => Err(invalid(&format!("{other} can't be a key"))),
    }
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
            documents(&text).unwrap(),
            [json!({"a": long, "b": {"k": "v", "n": [1, 2.5, null]}})]
        );
    }

    #[test]
    fn documents_are_kept_apart_and_empty_ones_left_out() {
        let text = "---\n# nothing\n---\na: 1\n---\n8080: true\n";
        assert_eq!(documents(text).unwrap(), [json!({"a": 1}), json!({"8080": true})]);
    }

    #[test]
    fn an_error_names_line_and_text() {
        let fault = documents("a: 1\nb: \"x\"-c\n").unwrap_err().to_string();
        assert!(fault.contains("line 2") && fault.contains("-c"), "{fault}");
    }
}
