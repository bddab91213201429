//! The JSON Schema that a plugin gives for its configuration.

use jsonschema::Validator;
use serde_json::Value;

/// Mistakes that are listed: nobody reads more.
const ERRORS: usize = 100;

/// A compiled schema.
pub(crate) struct ConfigSchema(Validator);

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Where, as RFC 6901 has it; empty for the whole.
    pub path: String,
    /// What is wrong there.
    pub message: String,
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.message),
            path => write!(f, "{path}: {}", self.message),
        }
    }
}

impl ConfigSchema {
    /// Compiles a schema. References to other documents are not followed.
    pub(crate) fn new(schema: &Value) -> Result<Self, String> {
        // 2020-12, unless the schema names another draft.
        jsonschema::validator_for(schema).map(Self).map_err(|error| {
            match error.instance_path().as_str() {
                "" => error.to_string(),
                path => format!("{path}: {error}"),
            }
        })
    }

    /// All that is wrong with a configuration, in the order of the schema.
    pub(crate) fn check(&self, config: &Value) -> Vec<ConfigError> {
        self.0
            .iter_errors(config)
            .take(ERRORS)
            .map(|error| ConfigError {
                path: error.instance_path().as_str().to_owned(),
                // Values may be secrets, or long: only what was expected is said.
                message: error.masked().to_string(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn all_mistakes_are_listed_with_their_paths() {
        let schema = ConfigSchema::new(&json!({
            "type": "object",
            "properties": {"retries": {"type": "integer"}, "steps": {"items": {"minimum": 1}}},
            "additionalProperties": false,
        }))
        .unwrap();
        assert!(schema.check(&json!({"retries": 1, "steps": [5]})).is_empty());
        let mut errors = schema.check(&json!({"retries": "hunter2", "steps": [5, 0], "x": 1}));
        errors.sort_by(|a, b| a.path.cmp(&b.path));
        let paths: Vec<_> = errors.iter().map(|error| error.path.as_str()).collect();
        assert_eq!(paths, ["", "/retries", "/steps/1"]);
        assert!(!format!("{errors:?}").contains("hunter2"));
    }

    #[test]
    fn a_schema_that_is_none_is_refused() {
        assert!(ConfigSchema::new(&json!({"type": "no-type"})).is_err());
        assert!(ConfigSchema::new(&json!({"$ref": "https://example.com/schema"})).is_err());
    }
}
