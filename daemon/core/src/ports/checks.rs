//! Checks, as the engine sees them.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Call;
use crate::Fault;

/// What a check is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckRequest {
    /// The check's configuration.
    pub config: Value,
    /// What is checked: see `wit/check.wit`.
    pub input: Value,
    /// That of the last [`CheckOutcome::Pending`] about this measurement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// One value that a check has measured.
///
/// JSON has no infinity and no "not a number"; in a document they stand as the
/// texts `"+Inf"`, `"-Inf"` and `"NaN"`, as Prometheus writes them.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Measurement {
    /// What was measured.
    pub name: String,
    /// Any value, infinite ones and NaN too.
    #[serde(with = "value")]
    #[schemars(schema_with = "value::schema")]
    pub value: f64,
    /// `s`, `ms`, `%`; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: String,
}

/// Equal as recorded: a NaN is the same NaN again when a record is read.
impl PartialEq for Measurement {
    fn eq(&self, other: &Self) -> bool {
        let same = self.value == other.value || (self.value.is_nan() && other.value.is_nan());
        same && self.name == other.name && self.unit == other.unit
    }
}

/// What one measurement has shown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// One line for a person.
    pub message: String,
    /// The values that it follows from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measurements: Vec<Measurement>,
}

/// What others have answered to a check that waits for them, as it came: headers
/// and body of a Standard Webhook. Nobody but the check has looked at it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct CheckAnswer {
    /// `webhook-id`: the same for every repeat.
    pub id: String,
    /// `webhook-timestamp`: seconds since 1970, as its sender says.
    pub timestamp: String,
    /// `webhook-signature`: one or several, with spaces between them.
    pub signature: String,
    /// The body.
    pub body: String,
    /// When it came, in milliseconds since 1970.
    pub received_ms: u64,
}

/// What came of a call to a check.
#[derive(Debug, Clone, PartialEq)]
pub enum CheckOutcome {
    /// It is as it should be.
    Passed(Verdict),
    /// It is not.
    Failed(Verdict),
    /// It can't be told. No data is this, never a pass.
    Inconclusive(Verdict),
    /// What was started is not done: ask again with the token.
    Pending {
        /// To be handed back.
        token: String,
        /// When.
        poll_after_ms: u64,
        /// For a person.
        message: String,
    },
}

/// Checks.
#[async_trait]
pub trait Checks: Send + Sync + 'static {
    /// Measures once. A fault says that nothing could be measured; it is no
    /// verdict.
    async fn run(&self, call: Call<'_>, request: &CheckRequest) -> Result<CheckOutcome, Fault>;
}

mod value {
    use std::borrow::Cow;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        match *value {
            value if value.is_nan() => serializer.serialize_str("NaN"),
            f64::INFINITY => serializer.serialize_str("+Inf"),
            f64::NEG_INFINITY => serializer.serialize_str("-Inf"),
            value => serializer.serialize_f64(value),
        }
    }

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written<'a> {
        Number(f64),
        Text(Cow<'a, str>),
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        match Written::deserialize(from)? {
            Written::Number(value) => Ok(value),
            Written::Text(text) => match &*text {
                "NaN" => Ok(f64::NAN),
                "+Inf" => Ok(f64::INFINITY),
                "-Inf" => Ok(f64::NEG_INFINITY),
                other => Err(serde::de::Error::custom(format!(
                    "{other:?} is no value; expected a number, \"NaN\", \"+Inf\" or \"-Inf\""
                ))),
            },
        }
    }

    pub(super) fn schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "anyOf": [{"type": "number"}, {"enum": ["NaN", "+Inf", "-Inf"]}],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_value_survives_a_document() {
        let values = [0.0, -1.5, 1e300, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        for value in values {
            let measured = Measurement { name: "errors".into(), value, unit: "%".into() };
            let document = serde_json::to_value(&measured).unwrap();
            let read: Measurement = serde_json::from_value(document.clone()).unwrap();
            assert_eq!(read, measured, "{document}");
            let text = document.to_string();
            assert_eq!(serde_json::from_str::<Measurement>(&text).unwrap(), measured, "{text}");
        }
        let wrong = serde_json::from_value::<Measurement>(json!({"name": "x", "value": "much"}));
        assert!(wrong.unwrap_err().to_string().contains("expected a number"));
        let whole: Measurement = serde_json::from_value(json!({"name": "x", "value": 3})).unwrap();
        assert_eq!(whole.value, 3.0);
    }
}
