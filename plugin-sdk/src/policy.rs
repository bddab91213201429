//! Policies say what a deployment may not be like.

use crate::{Fault, Log, document};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Judges a deployment, before anything of it is there. Pure: the same input gives
/// the same violations.
pub trait Policy: Sized {
    /// The policy's parameters, from its `Policy` document.
    type Params: DeserializeOwned;

    /// What the policy reads of its input: [`serde_json::Value`] for all of it, or a
    /// type of its own for a part. `deployd policy schema` prints the whole form.
    type Input: DeserializeOwned;

    /// All that is wrong, nothing if all is right.
    ///
    /// A policy that can't tell returns a fault; the daemon then lets nothing
    /// through, and says why.
    fn evaluate(
        input: &Self::Input,
        params: &Self::Params,
        log: &impl Log,
    ) -> Result<Vec<Violation>, Fault>;
}

/// What becomes of a deployment that breaks a rule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// It is refused.
    #[default]
    Deny,
    /// It goes on, and whoever looks at it is told.
    Warn,
}

/// A rule that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Names the rule within the policy: what exemptions name.
    pub rule: String,
    /// What becomes of the deployment.
    pub severity: Severity,
    /// What is wrong, as a JSON pointer (RFC 6901) into the input.
    pub path: String,
    /// For a person: what is expected there.
    pub message: String,
}

/// Fits both documents to the policy's types, and calls it.
#[cfg_attr(not(feature = "policy"), allow(dead_code))]
pub(crate) fn evaluate<P: Policy>(
    input: &str,
    params: &str,
    log: &impl Log,
) -> Result<Vec<Violation>, Fault> {
    let params = document::read("params", params)?;
    P::evaluate(&document::read("input", input)?, &params, log)
}

/// Makes a [`Policy`] the plugin's export.
#[macro_export]
macro_rules! export_policy {
    ($policy:ty) => {
        const _: () = {
            const fn assert_policy<P: $crate::policy::Policy>() {}
            assert_policy::<$policy>();
        };
        #[cfg(target_family = "wasm")]
        const _: () = {
            type Exported = $crate::guest::policy::Exported<$policy>;
            $crate::guest::policy::bindings::__export_policy!(Exported with_types_in $crate::guest::policy::bindings);
        };
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeHost;

    struct Names;

    #[derive(Deserialize)]
    struct Input {
        application: String,
    }

    impl Policy for Names {
        type Params = Vec<String>;
        type Input = Input;

        fn evaluate(
            input: &Input,
            params: &Vec<String>,
            _: &impl Log,
        ) -> Result<Vec<Violation>, Fault> {
            let wrong = !params.contains(&input.application);
            Ok(wrong
                .then(|| Violation {
                    rule: "known".to_owned(),
                    severity: Severity::Deny,
                    path: "/application".to_owned(),
                    message: format!("one of {}", params.join(", ")),
                })
                .into_iter()
                .collect())
        }
    }

    #[test]
    fn a_policy_reads_what_it_needs_and_misfits_are_named() {
        let judge = |input: &str, params: &str| evaluate::<Names>(input, params, &FakeHost::new());
        let input = r#"{"application": "shop", "objects": []}"#;
        assert_eq!(judge(input, r#"["shop"]"#).unwrap(), []);
        assert_eq!(judge(input, r#"["blog"]"#).unwrap()[0].path, "/application");
        let fault = judge(input, r#"["blog", 1]"#).unwrap_err().to_string();
        assert!(fault.contains("/params/1"), "{fault}");
        let fault = judge("{}", "[]").unwrap_err().to_string();
        assert!(fault.contains("/input"), "{fault}");
    }
}
