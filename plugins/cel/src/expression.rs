//! Expressions of rules: read, within what a guest's stack takes, and evaluated.

use cel::parser::{Expression, PrattParser};
use cel::{Context, ExecutionError, Value};
use deployd_plugin_sdk::{Fault, shown};
use expressions::too_much;
use std::collections::HashMap;
use std::sync::Arc;

/// Operators, points and brackets of an expression: a chain of them is as deep as it
/// is long when it is evaluated. Twice what checks have: rules walk down objects.
const OPERATORS_MAX: usize = 96;

/// An expression that was read.
pub(crate) struct Read {
    expression: Expression,
    /// Where it stands in the parameters.
    path: String,
}

/// Whether an expression holds.
pub(crate) enum Held {
    Yes,
    No,
    /// It can't be told, and why.
    Unknown(String),
}

impl Read {
    /// Reads an expression that stands at this place of the parameters.
    pub(crate) fn new(text: &str, path: String) -> Result<Self, Fault> {
        if let Some(why) = too_much(text, OPERATORS_MAX) {
            return Err(Fault::invalid(path, format!("no CEL: {why}")));
        }
        match PrattParser::new().parse(text) {
            Ok(expression) => Ok(Self { expression, path }),
            Err(error) => {
                Err(Fault::invalid(path, format!("no CEL: {}", shown(&error.to_string()))))
            }
        }
    }

    /// Whether it holds. What no input could mend is a fault.
    pub(crate) fn holds(&self, context: &Context<'_, '_>) -> Result<Held, Fault> {
        let fault = |message: String| Err(Fault::invalid(self.path.clone(), message));
        match Value::resolve(&self.expression, context) {
            Ok(Value::Bool(true)) => Ok(Held::Yes),
            Ok(Value::Bool(false)) => Ok(Held::No),
            Ok(other) => fault(format!(
                "found a value of type {}, expected true or false, as of container.image != ''",
                other.type_of()
            )),
            Err(
                error @ (ExecutionError::UndeclaredReference(_)
                | ExecutionError::InvalidArgumentCount { .. }),
            ) => fault(shown(&error.to_string())),
            Err(error) => Ok(Held::Unknown(shown(&error.to_string()))),
        }
    }

    /// The text that it gives, if it gives one.
    pub(crate) fn text(&self, context: &Context<'_, '_>) -> Option<String> {
        match Value::resolve(&self.expression, context) {
            Ok(Value::String(text)) if !text.is_empty() => Some(text.to_string()),
            _ => None,
        }
    }
}

/// A document as a value of the language. Numbers without a fraction are integers,
/// as they are in Kubernetes' own rules.
pub(crate) fn value(document: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match document {
        Json::Null => Value::Null,
        Json::Bool(truth) => Value::Bool(*truth),
        Json::Number(number) => match number.as_i64() {
            Some(integer) => Value::Int(integer),
            None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::String(Arc::new(text.clone())),
        Json::Array(list) => Value::List(Arc::new(list.iter().map(value).collect())),
        Json::Object(map) => {
            let entries = map.iter().map(|(key, of)| (key.clone(), value(of)));
            Value::from(entries.collect::<HashMap<String, Value>>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expressions::{CHARACTERS_MAX, CHOICE_WEIGHT, DEPTH_MAX};

    #[test]
    fn what_is_made_to_overflow_a_stack_is_refused() {
        let nested = |open: &str, close: &str, count: usize| {
            format!("{}true{}", open.repeat(count), close.repeat(count))
        };
        let chain = |piece: &str, count: usize| format!("{}true", piece.repeat(count));
        let expressions = |depth: usize, length: usize| {
            [
                nested("(", ")", depth),
                nested("size([", "])", depth / 2),
                nested("input.all(x, ", ")", depth),
                chain("true ? true : ", length / CHOICE_WEIGHT),
                chain("!", length),
                chain("true && ", length / 2),
                format!("input{} == 1", ".a".repeat(length - 2)),
            ]
        };
        for deepest in expressions(DEPTH_MAX, OPERATORS_MAX) {
            assert_eq!(too_much(&deepest, OPERATORS_MAX), None, "{deepest}");
            // Whatever it means: it is read, and evaluated where it means something.
            if let Ok(read) = Read::new(&deepest, String::new()) {
                let _ = read.holds(&Context::default());
            }
        }
        for deeper in expressions(3 * DEPTH_MAX, 2 * OPERATORS_MAX) {
            assert!(Read::new(&deeper, String::new()).is_err(), "{deeper}");
        }
        assert!(Read::new(&" ".repeat(CHARACTERS_MAX + 1), String::new()).is_err());
    }
}
