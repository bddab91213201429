//! Subscriptions: whom to tell of what.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Every, HostGrant};
use crate::Name;

/// Whom to tell of which events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SubscriptionSpec {
    /// The name of the notifier's `Plugin` document.
    pub notifier: Name,
    /// Types of events, which end in what came of it: `deployment.succeeded`,
    /// `*.failed`; `*` is any run of characters.
    #[schemars(length(min = 1))]
    pub events: Vec<String>,
    /// Only of this application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// Only of this environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The one person that messages go to: a request for approval has a link for them
    /// then, by which they approve it once, in their name. Not for channels that
    /// others read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub approver: Option<String>,
    /// What happens within a while is told together, in one message; each for itself
    /// when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Grouping>,
    /// The notifier's configuration: the address, as its schema has it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, Value>,
    /// The operator's secret that has the address, where whoever knows the address
    /// may post there. Then `config` has no `url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_secret: Option<Name>,
    /// Where requests may go to, and with which credential; anywhere, when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<HostGrant>,
    /// The operator's secret that requests are signed with (Standard Webhooks:
    /// `whsec_` and base 64 of 24 to 64 bytes).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_secret: Option<Name>,
    /// Whether the address may be loopback, link-local or private; of `hosts`, each
    /// says that for itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub private_address: bool,
}

/// How much of what happens is told together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Grouping {
    /// How long the first waits for others: `1m`, `1h`; a day at most.
    pub wait: Every,
    /// What they have in common.
    #[serde(default)]
    pub by: GroupBy,
}

/// The longest wait: what is told later than that is no news.
pub const GROUP_WAIT_MS_MAX: u64 = 24 * 3_600_000;

/// What messages that are told together have in common.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GroupBy {
    /// The application.
    #[default]
    Application,
    /// The environment.
    Environment,
    /// Nothing but whom they go to.
    Subscription,
}

impl SubscriptionSpec {
    /// How long a message waits for others, in milliseconds.
    pub fn wait_ms(&self) -> u64 {
        self.group.as_ref().map_or(0, |group| group.wait.ms().min(GROUP_WAIT_MS_MAX))
    }

    /// Whether it is about this event.
    pub fn matches(&self, event_type: &str, application: &str, environment: &str) -> bool {
        let is = |pattern: &Option<String>, text: &str| {
            pattern.as_ref().is_none_or(|pattern| glob_matches(pattern, text))
        };
        self.events.iter().any(|pattern| glob_matches(pattern, event_type))
            && is(&self.application, application)
            && is(&self.environment, environment)
    }
}

/// Whether a text is of a pattern in which `*` is any run of characters.
pub fn glob_matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut left) = text.strip_prefix(first) else { return false };
    let mut rest = rest;
    while let Some((middle, after)) = rest.split_once('*') {
        // The leftmost place is as good as any other for what follows.
        match left.find(middle) {
            Some(at) => left = left.get(at + middle.len()..).unwrap_or_default(),
            None => return false,
        }
        rest = after;
    }
    left.ends_with(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("a", "a", true),
            ("a", "b", false),
            ("*", "", true),
            ("deployment.*", "deployment.succeeded", true),
            ("*.failed", "deployment.failed", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "acb", false),
            ("ab*ab", "ab", false),
            ("refs/tags/v*", "refs/tags/v1.2", true),
        ] {
            assert_eq!(glob_matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
