//! Arguments of the command that rehearses a strategy.

use std::str::FromStr;

use clap::Args;
use deployd_core::rehearsal::Expectation;
use deployd_core::{EnvironmentId, Name};
use serde_json::Value;

use super::deployments::Selection;

/// Have a strategy roll out a deployment in a simulated world.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
What would be deployed is planned as for `deployd plan`, and the strategy decides in the sandbox as it
would in earnest, but pods, requests, checks and the clock are simulated: hours pass in seconds, and
nothing is changed. A scenario says how both versions behave, what the checks find, and when the API
server is away; without one all goes well. Its fields are those of Scenario in `deployd openapi`.

Expectations: completed, completed-within 1h, rolled-back, rolled-back-within 5m,
failed-requests<0.5%, slow-requests<1%. Durations are simulated ones.

Exits with 0 when all expectations hold, and with 17 when one does not.

Examples:
  deployd rehearse shop/production
  deployd rehearse shop/production --scenario errors.yaml --expect 'rolled-back-within 5m' \\
      --expect 'failed-requests<0.5%'
  deployd rehearse shop/production --strategy canary --config steps='[{\"weight\": 10}]' -o json")]
pub struct RehearseArgs {
    /// Where, as application/environment
    #[arg(value_name = "APP/ENV")]
    pub environment: EnvironmentId,
    /// What.
    #[command(flatten)]
    pub selection: Selection,
    /// Another strategy than that of the environment's type, by the name of its plugin
    #[arg(long, value_name = "NAME")]
    pub strategy: Option<Name>,
    /// A field of the strategy's configuration, as JSON or text; may be repeated
    #[arg(long, value_name = "FIELD=VALUE")]
    pub config: Vec<ConfigField>,
    /// The world: a file of YAML or JSON, or - for standard input
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<String>,
    /// What should come of it; may be repeated
    #[arg(long, value_name = "EXPECTATION")]
    pub expect: Vec<Expectation>,
}

/// `FIELD=VALUE`.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigField {
    /// The field.
    pub name: String,
    /// JSON; a text where it is none.
    pub value: Value,
}

impl FromStr for ConfigField {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| format!("found {text:?}, expected FIELD=VALUE"))?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        Ok(Self { name: name.to_owned(), value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_of_a_configuration() {
        for (text, expected) in [
            ("a=1", json!(1)),
            ("a=[{\"weight\": 5}]", json!([{"weight": 5}])),
            ("a=true", json!(true)),
            ("a=5m", json!("5m")),
            ("a=b=c", json!("b=c")),
            ("a=", json!("")),
        ] {
            let field: ConfigField = text.parse().unwrap();
            assert_eq!(field, ConfigField { name: "a".to_owned(), value: expected });
        }
        for wrong in ["a", "=1", ""] {
            assert!(wrong.parse::<ConfigField>().unwrap_err().contains("FIELD=VALUE"));
        }
    }
}
