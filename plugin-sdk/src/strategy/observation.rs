//! What came of what a strategy had the engine do.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// What came of the last action; `{"outcome": "done"}` on the wire.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Observation {
    /// It worked. A pause that a person ended is done too.
    Done {
        /// After checks: what each of them says.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        checks: Vec<CheckResult>,
    },
    /// It did not.
    Failed {
        /// Which case it is: [`CHECKS_FAILED`], [`CHECKS_INCONCLUSIVE`] or another.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        code: String,
        /// Why, for a person.
        #[serde(default)]
        message: String,
        /// After checks: what each of them says.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        checks: Vec<CheckResult>,
        /// What else the engine knows.
        #[serde(flatten)]
        more: Map<String, Value>,
    },
    /// A person wants the rollout to end and to be undone. No engine sends it
    /// any more: who aborts has everything put back, whatever the strategy says.
    Aborted {
        /// Why, if the person said so.
        #[serde(default)]
        message: String,
    },
    /// A person wants what comes next to happen now. It is the outcome of a
    /// pause, a sleep, or checks that were under way.
    Promoted {
        /// How much of it.
        #[serde(default)]
        scope: Promotion,
    },
    /// A person wants what failed tried again.
    Retried,
    /// An outcome that this version does not know.
    #[serde(other)]
    Other,
}

/// The code of a failure: a check failed.
pub const CHECKS_FAILED: &str = "checks-failed";

/// The code of a failure: no check failed, and not every one could tell.
pub const CHECKS_INCONCLUSIVE: &str = "checks-inconclusive";

impl Observation {
    /// It worked, and there is no more to say.
    pub fn done() -> Self {
        Self::Done { checks: Vec::new() }
    }

    /// It did not, for this reason.
    pub fn failed(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Failed {
            code: code.into(),
            message: message.into(),
            checks: Vec::new(),
            more: Map::new(),
        }
    }
}

/// How much a person wants to happen now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Promotion {
    /// All that remains.
    #[default]
    All,
    /// The next step; also what this version does not know.
    #[serde(other)]
    Step,
}

/// What one check says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckResult {
    /// The check's name in the environment type.
    pub name: String,
    /// Whether it passed.
    pub verdict: Verdict,
    /// Why, for a person.
    #[serde(default)]
    pub message: String,
    /// What was measured last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measurements: Vec<Measurement>,
}

/// Whether a check passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It did.
    Passed,
    /// It did not.
    Failed,
    /// It can't tell; also what this version does not know.
    #[serde(other)]
    Inconclusive,
}

/// A number that a check measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// Of what.
    pub name: String,
    /// How much; may be infinite. None for what is no number.
    #[serde(default, deserialize_with = "value", skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// In which unit; empty for a bare number.
    #[serde(default)]
    pub unit: String,
}

/// JSON has no infinity and no "not a number": they are written as texts.
fn value<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::String(text) if text == "+Inf" => Some(f64::INFINITY),
        Value::String(text) if text == "-Inf" => Some(f64::NEG_INFINITY),
        other => other.as_f64(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(document: Value) -> Observation {
        serde_json::from_value(document).unwrap()
    }

    #[test]
    fn observations_keep_what_else_is_said_and_survive_new_outcomes() {
        let failed = read(json!({"outcome": "failed", "code": "c", "message": "m", "pods": ["a"]}));
        let Observation::Failed { code, message, more, .. } = failed else {
            panic!("not a failure")
        };
        assert_eq!((code.as_str(), message.as_str(), &more["pods"]), ("c", "m", &json!(["a"])));
        assert_eq!(read(json!({"outcome": "eclipsed", "by": 1})), Observation::Other);
        assert_eq!(read(json!({"outcome": "retried"})), Observation::Retried);
    }

    #[test]
    fn checks_say_what_they_measured() {
        let done = read(json!({"outcome": "done", "checks": [
            {"name": "errors", "verdict": "passed", "message": "0.1 %",
                "measurements": [{"name": "rate", "value": 0.1, "unit": "%"}]},
            {"name": "latency", "verdict": "puzzled", "measurements": [{"name": "p99"}]},
        ]}));
        let Observation::Done { checks } = done else { panic!("not done") };
        assert_eq!(checks[0].measurements[0].value, Some(0.1));
        // What nobody knows is no pass, and what is no number is none.
        assert_eq!(checks[1].verdict, Verdict::Inconclusive);
        assert_eq!(checks[1].measurements[0].value, None);
        let values = ["NaN", "+Inf"].map(|value| json!({"name": "p99", "value": value}));
        let [nan, infinite] = values.map(|it| serde_json::from_value::<Measurement>(it).unwrap());
        assert_eq!((nan.value, infinite.value), (None, Some(f64::INFINITY)));
        assert_eq!(read(json!({"outcome": "done"})), Observation::done());
        let done = serde_json::to_value(Observation::done()).unwrap();
        assert_eq!(done, json!({"outcome": "done"}));
    }

    #[test]
    fn a_promotion_is_of_one_step_or_of_all() {
        let promoted = |scope| Observation::Promoted { scope };
        for (document, scope) in [
            // Hosts of the first contract say no scope, and mean all that remains.
            (json!({"outcome": "promoted"}), Promotion::All),
            (json!({"outcome": "promoted", "scope": "all"}), Promotion::All),
            (json!({"outcome": "promoted", "scope": "step"}), Promotion::Step),
            (json!({"outcome": "promoted", "scope": "half"}), Promotion::Step),
        ] {
            assert_eq!(read(document), promoted(scope));
        }
    }
}
