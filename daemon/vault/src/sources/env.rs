//! Variables of the daemon's environment, as far as a list of patterns goes.

use async_trait::async_trait;
use deployd_core::Fault;
use deployd_core::ports::SecretSource;
use deployd_core::secret::{Link, SecretValue};

use super::wrong_place;
use crate::keys::Environment;

/// Reads variables.
pub struct EnvSource {
    allowed: Vec<String>,
    never: Vec<String>,
    environment: Environment,
}

impl EnvSource {
    /// Variables that match one of `allowed`, where `*` stands for any
    /// characters, and are none of `never`: those of the daemon's own.
    pub fn new(allowed: Vec<String>, never: Vec<String>, environment: Environment) -> Self {
        Self { allowed, never, environment }
    }
}

/// Whether a name is as the pattern says.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => name.strip_prefix(before).is_some_and(|rest| {
            // Names are short: every place is tried.
            (0..=rest.len()).any(|at| rest.get(at..).is_some_and(|rest| matches(after, rest)))
        }),
    }
}

#[async_trait]
impl SecretSource for EnvSource {
    fn allows(&self, link: &Link) -> Result<(), Fault> {
        let Link::Env { name } = link else { return Err(wrong_place(link)) };
        if self.never.contains(name) {
            let message = format!("{name} is for the daemon itself; use another variable");
            return Err(Fault::denied("secret-variable-denied", message));
        }
        if self.allowed.iter().any(|pattern| matches(pattern, name)) {
            return Ok(());
        }
        let message = format!(
            "{name} is not allowed; secrets.environment in the daemon's settings allows: {}",
            if self.allowed.is_empty() { "none".to_owned() } else { self.allowed.join(", ") }
        );
        Err(Fault::denied("secret-variable-denied", message))
    }

    async fn read(&self, link: &Link) -> Result<SecretValue, Fault> {
        let Link::Env { name } = link else { return Err(wrong_place(link)) };
        let value = (self.environment)(name).ok_or_else(|| {
            let message = format!(
                "the daemon was started without the variable {name}, or it is no UTF-8; set it, \
                 and start again"
            );
            Fault::invalid("secret-variable-missing", message)
        })?;
        Ok(SecretValue::new(value.into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn source(allowed: &[&str]) -> EnvSource {
        let allowed = allowed.iter().map(ToString::to_string).collect();
        let environment = |name: &str| (name == "APP_DB").then(|| "hunter2".to_owned());
        EnvSource::new(allowed, vec!["APP_KEY".to_owned()], Arc::new(environment))
    }

    fn link(name: &str) -> Link {
        Link::Env { name: name.to_owned() }
    }

    #[tokio::test]
    async fn variables_are_read_as_far_as_the_list_goes() {
        let source = source(&["APP_*", "ONE"]);
        assert_eq!(source.read(&link("APP_DB")).await.unwrap().expose(), b"hunter2");
        assert!(source.allows(&link("APP_DB")).is_ok() && source.allows(&link("ONE")).is_ok());
        for name in ["PATH", "XAPP_DB", "ONE_MORE", "APP_KEY"] {
            let fault = source.allows(&link(name)).unwrap_err();
            assert_eq!(fault.code, "secret-variable-denied", "{name}");
        }
        let fault = source.read(&link("APP_NONE")).await.unwrap_err();
        assert!(fault.message.contains("APP_NONE"), "{fault}");
        assert_eq!(fault.code, "secret-variable-missing");
    }

    #[test]
    fn nothing_is_allowed_by_default() {
        assert!(source(&[]).allows(&link("APP_DB")).unwrap_err().message.contains("none"));
    }

    #[test]
    fn patterns_are_for_the_whole_name() {
        for (pattern, name, fits) in [
            ("*", "A", true),
            ("A*C", "ABC", true),
            ("A*C", "ABCD", false),
            ("*_TOKEN", "GIT_TOKEN", true),
            ("A*B*C", "AxxBxxC", true),
            ("", "A", false),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }
}
