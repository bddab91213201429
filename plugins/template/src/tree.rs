//! JSON trees whose strings are templates.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use deployd_plugin_sdk::{Fault, name, secret};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior};
use serde_json::Value;

/// Renders the strings of trees.
pub(crate) struct Renderer {
    environment: Environment<'static>,
}

impl Renderer {
    pub(crate) fn new() -> Self {
        let mut environment = Environment::new();
        // A condition may ask for what is not there; a text may not contain it.
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.add_filter("dns_label", |text: String| name::dns_label(&text));
        environment.add_filter("short", |text: String| name::short(&text));
        environment.add_filter("b64encode", base64_of);
        // What a file ends with belongs to the file.
        if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
            environment.set_syntax(syntax);
        }
        Self { environment }
    }

    /// Renders a tree; `path` is where it stands in the request.
    pub(crate) fn render(&self, path: &str, tree: &Value, context: &Value) -> Result<Value, Fault> {
        match tree {
            Value::String(text) => {
                self.leaf(text, context).map_err(|error| Fault::invalid(path, describe(&error)))
            }
            Value::Array(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| self.render(&format!("{path}/{index}"), item, context))
                .collect(),
            Value::Object(fields) => fields
                .iter()
                .map(|(key, field)| {
                    let path = format!("{path}/{}", step(key));
                    Ok((key.clone(), self.render(&path, field, context)?))
                })
                .collect(),
            other => Ok(other.clone()),
        }
    }

    fn leaf(&self, text: &str, context: &Value) -> Result<Value, Error> {
        if !text.contains("{{") && !text.contains("{%") && !text.contains("{#") {
            return Ok(Value::String(text.to_owned()));
        }
        let context = minijinja::Value::from(Serde(context));
        let expression = text
            .trim()
            .strip_prefix("{{")
            .and_then(|rest| rest.strip_suffix("}}"))
            // `{{ a }}-{{ b }}` begins and ends like one expression, and is none.
            .and_then(|inner| self.environment.compile_expression(inner).ok());
        let Some(expression) = expression else {
            return Ok(Value::String(self.environment.render_str(text, context)?));
        };
        let value = expression.eval(context)?;
        if value.is_undefined() {
            return Err(Error::new(ErrorKind::UndefinedError, format!("in {text}")));
        }
        serde_json::to_value(&value)
            .map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))
    }
}

/// The host could not find a reference again inside base 64.
fn base64_of(text: String) -> Result<String, Error> {
    if secret::contains_reference(&text) {
        let message = "a secret can't be encoded: put it into the stringData of a Secret";
        return Err(Error::new(ErrorKind::InvalidOperation, message));
    }
    Ok(STANDARD.encode(text))
}

/// A key as one step of a JSON pointer.
pub(crate) fn step(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn describe(error: &Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}
