//! What the platform's definition says.

use deployd_plugin_sdk::driver::Request;
use deployd_plugin_sdk::{Fault, Installation, name};
use serde::Deserialize;

use crate::ObjectStore;

/// The shortest and the longest name of a bucket.
const BUCKET_LENGTH: std::ops::RangeInclusive<usize> = 3..=63;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Inputs {
    pub(crate) endpoint: String,
    #[serde(default = "us_east_1")]
    pub(crate) region: String,
    pub(crate) bucket: Option<String>,
    /// Who makes buckets.
    pub(crate) admin: KeyPair,
    pub(crate) credentials: Credentials,
    /// Left as it is when not given.
    pub(crate) versioning: Option<bool>,
    /// Objects go away after so many days.
    pub(crate) expire_days: Option<u32>,
    #[serde(default)]
    pub(crate) on_destroy: OnDestroy,
    #[serde(default)]
    pub(crate) installation: Installation,
}

/// An access key. Its id is no secret.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyPair {
    pub(crate) access_key_id: String,
    /// The name that the grant gives the secret.
    pub(crate) secret_key_secret: String,
}

/// What workloads use.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case", tag = "mode")]
pub(crate) enum Credentials {
    /// A user of the bucket's own, by the IAM API.
    Iam {
        /// The API's address, if it is not that of the buckets.
        endpoint: Option<String>,
        /// The region that its requests are signed for.
        #[serde(default = "us_east_1")]
        region: String,
        /// A new value makes a new key.
        rotation: Option<String>,
        /// What its user may do, beside what the plugin's policy allows.
        #[serde(default)]
        actions: Vec<String>,
    },
    /// A key that there is already.
    Given {
        access_key_id: String,
        /// The name that the grant gives the secret.
        secret_key_secret: String,
    },
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OnDestroy {
    Keep,
    Delete,
    #[default]
    RefuseIfNotEmpty,
}

fn us_east_1() -> String {
    "us-east-1".to_owned()
}

/// The bucket's name: what the definition says, or a name made of where it is
/// and the resource's uid.
pub(crate) fn bucket(request: &Request<ObjectStore>) -> Result<String, Fault> {
    let Some(given) = &request.inputs.bucket else {
        let scope = &request.scope;
        let place = name::dns_label(&format!("{}-{}", scope.application, scope.environment));
        let head: String = place.chars().take(BUCKET_LENGTH.end() - 9).collect();
        return Ok(format!(
            "{}-{}",
            head.trim_end_matches('-'),
            request.inputs.installation.short(&request.uid)
        ));
    };
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let is_name = BUCKET_LENGTH.contains(&given.len())
        && given.chars().all(fits)
        && ends(given.chars().next())
        && ends(given.chars().next_back())
        && !given.contains("..");
    if is_name {
        Ok(given.clone())
    } else {
        Err(Fault::invalid(
            "/inputs/bucket",
            format!(
                "{given:?} is no name of a bucket: 3 to 63 of a-z 0-9 - and ., \
                 a letter or digit first and last"
            ),
        ))
    }
}

/// An endpoint without a path, as requests are made of it.
pub(crate) fn origin<'a>(path: &str, endpoint: &'a str) -> Result<&'a str, Fault> {
    let origin = endpoint.strip_suffix('/').unwrap_or(endpoint);
    let rest = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    match rest {
        Some(host) if !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']) => Ok(origin),
        _ => Err(Fault::invalid(
            path,
            format!("{endpoint:?} is no endpoint; expected https://HOST[:PORT] without a path"),
        )),
    }
}
