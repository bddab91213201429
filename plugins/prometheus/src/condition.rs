//! A condition on a result, in the Common Expression Language.

use crate::query::Series;
use cel::parser::PrattParser;
use cel::{Context, ExecutionError, Value};
use deployd_plugin_sdk::{Fault, shown};
use expressions::too_much;
use std::collections::HashMap;
use std::sync::Arc;

/// Whether a condition holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Held {
    Yes,
    No,
    /// It can't be told from these values, and why.
    Unknown(String),
}

const PATH: &str = "/config/condition";

/// Operators, points and brackets of a condition: a chain of them is as deep as it is
/// long when it is evaluated.
const OPERATORS_MAX: usize = 48;

/// Whether a condition holds of a result. One that is none, or is of no truth
/// value, is a fault: no result could mend it.
pub(crate) fn holds(condition: &str, series: &[Series]) -> Result<Held, Fault> {
    let no_cel = |why: &str| Fault::invalid(PATH, format!("no CEL: {}", shown(why)));
    if let Some(why) = too_much(condition, OPERATORS_MAX) {
        return Err(no_cel(&why));
    }
    let parser = PrattParser::new();
    let expression = parser.parse(condition).map_err(|error| no_cel(&error.to_string()))?;
    let numbers = |values: &[f64]| -> Value {
        Value::List(Arc::new(values.iter().copied().map(Value::Float).collect()))
    };
    let all: Vec<f64> = series.iter().flat_map(|one| one.values.iter().copied()).collect();
    let each = series.iter().map(|one| {
        let labels: HashMap<String, Value> = one
            .labels
            .iter()
            .map(|(name, value)| (name.clone(), Value::String(Arc::new(value.clone()))))
            .collect();
        let fields: HashMap<String, Value> = HashMap::from([
            ("labels".to_owned(), Value::from(labels)),
            ("values".to_owned(), numbers(&one.values)),
        ]);
        Value::from(fields)
    });
    let each = Value::List(Arc::new(each.collect()));
    let mut context = Context::default();
    context.add_variable_from_value("result", numbers(&all));
    context.add_variable_from_value("series", each);
    match Value::resolve(&expression, &context) {
        Ok(Value::Bool(true)) => Ok(Held::Yes),
        Ok(Value::Bool(false)) => Ok(Held::No),
        Ok(_) => Err(Fault::invalid(PATH, "it is neither true nor false, as in result[0] < 0.01")),
        Err(
            error @ (ExecutionError::UndeclaredReference(_)
            | ExecutionError::NoSuchOverload(_)
            | ExecutionError::InvalidArgumentCount { .. }
            | ExecutionError::ValuesNotComparable(..)
            | ExecutionError::UnsupportedBinaryOperator(..)),
        ) => Err(Fault::invalid(PATH, shown(&error.to_string()))),
        Err(error) => Ok(Held::Unknown(shown(&error.to_string()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expressions::{CHARACTERS_MAX, CHOICE_WEIGHT, DEPTH_MAX};
    use std::collections::BTreeMap;

    fn series(values: &[f64]) -> Vec<Series> {
        let of = |(index, value): (usize, &f64)| Series {
            labels: BTreeMap::from([("pod".to_owned(), format!("web-{index}"))]),
            values: vec![*value],
        };
        values.iter().enumerate().map(of).collect()
    }

    fn held(condition: &str, values: &[f64]) -> Held {
        holds(condition, &series(values)).unwrap()
    }

    #[test]
    fn conditions_are_of_the_result() {
        for (condition, values) in [
            ("result[0] < 0.01", &[0.005][..]),
            ("result[0] < 1", &[0.005]),
            ("result[0] >= 0.95 && result.size() == 1", &[0.99]),
            ("result.all(value, value < 0.5)", &[0.1, 0.2, 0.3]),
            ("size(result) > 1 && result.exists(v, v > 0.25)", &[0.1, 0.2, 0.3]),
            ("series.all(s, s.labels.pod.startsWith('web-') && s.values[0] < 1.0)", &[0.1, 0.2]),
            ("result[0] * 100.0 + 1.0 <= 2.0 ? true : false", &[0.01]),
            ("result[0] > 1e300", &[f64::INFINITY]),
        ] {
            assert_eq!(held(condition, values), Held::Yes, "{condition}");
        }
        assert_eq!(held("result[0] < 0.01", &[0.02]), Held::No);
    }

    #[test]
    fn what_these_values_can_not_tell_is_told_from_what_none_could() {
        assert!(matches!(held("result[1] < 0.01", &[0.02]), Held::Unknown(_)));
        assert!(matches!(held("series[0].labels.code == '500'", &[0.02]), Held::Unknown(_)));
        for wrong in ["result[0] <", "result[0]", "reslut[0] < 1.0", "result < 'a'", "1 = 1", ""] {
            let fault = holds(wrong, &series(&[0.5])).unwrap_err().to_string();
            assert!(fault.contains("/config/condition"), "{wrong}: {fault}");
        }
    }

    #[test]
    fn what_is_made_to_overflow_a_stack_is_refused() {
        let nested = |open: &str, close: &str, count: usize| {
            format!("{}true{}", open.repeat(count), close.repeat(count))
        };
        let chain = |piece: &str, count: usize| format!("{}true", piece.repeat(count));
        let conditions = |depth: usize, length: usize| {
            [
                nested("(", ")", depth),
                nested("!(", ")", depth),
                nested("size([", "])", depth / 2),
                nested("result.all(x, ", ")", depth),
                chain("true ? true : ", length / CHOICE_WEIGHT),
                chain("true == ", length / 2),
                chain("!", length),
                chain("true && ", length / 2),
                format!("series[0]{} == 1", ".pod".repeat(length - 3)),
            ]
        };
        for deepest in conditions(DEPTH_MAX, OPERATORS_MAX) {
            assert_eq!(too_much(&deepest, OPERATORS_MAX), None, "{deepest}");
            // Whatever it means: it is read, and evaluated where it means something.
            let _ = holds(&deepest, &series(&[0.5]));
        }
        for deeper in conditions(3 * DEPTH_MAX, 2 * OPERATORS_MAX) {
            assert!(holds(&deeper, &series(&[0.5])).is_err(), "{deeper}");
        }
        assert!(holds(&" ".repeat(CHARACTERS_MAX + 1), &[]).is_err());
    }
}
