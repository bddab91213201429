//! Receivers read deliveries of forges and registries, whose signature the host has
//! verified.

use crate::{Fault, Log, document};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;

/// Decodes deliveries. Pure: the same delivery says the same.
pub trait Receiver: Sized {
    /// The receiver's configuration, from its `Hook` document.
    type Config: DeserializeOwned;

    /// What a delivery tells; nothing when it is of no interest.
    ///
    /// A delivery that is not of the expected form is [`Fault::Invalid`]: it becomes a
    /// dead letter with that reason, and can be decoded again by a later version.
    fn decode(
        delivery: &Delivery,
        config: &Self::Config,
        log: &impl Log,
    ) -> Result<Vec<Received>, Fault>;
}

/// A request as it arrived.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Delivery {
    /// Names in lower case, and values. Those that carry credentials are left out.
    pub headers: Vec<(String, String)>,
    /// The body, as it was signed.
    pub body: Vec<u8>,
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = String::from_utf8_lossy(&self.body);
        f.debug_struct("Delivery").field("headers", &self.headers).field("body", &body).finish()
    }
}

impl Delivery {
    /// A header's first value; its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body as a document; a fault with the place of what does not fit, `/body/…`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        let text = std::str::from_utf8(&self.body)
            .map_err(|_| Fault::invalid("/body", "not UTF-8; expected a JSON document"))?;
        document::read("body", text)
    }
}

/// What a delivery tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Received {
    /// An image is available.
    Artifact(Artifact),
    /// Commits were pushed.
    Commit(Commit),
}

/// The last commit of a push. Images that are built from it get from here what they are
/// announced without.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Commit {
    /// The source's repository, as the forge calls it: `shop/frontend`.
    pub source: String,
    /// The commit's whole name: 40 or 64 hexadecimal digits.
    pub commit: String,
    /// Where it was pushed to: `refs/heads/main`.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub git_ref: Option<String>,
    /// Who has made it: `Ana Silva <ana@example.com>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// When it was made, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub committed_at: Option<String>,
    /// What has changed with the push, relative to the repository's root; none where the
    /// delivery does not say all of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
}

/// An image, and where it came from, as far as the delivery says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    /// `registry.example.com/shop/frontend`, without tag and digest.
    pub repository: String,
    /// `sha256:…` of the image's manifest. Where a delivery has none, the host asks
    /// the registry which one the tag has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The tag it was pushed with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// The Git ref it was built from: `refs/heads/main`.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub git_ref: Option<String>,
    /// The commit it was built from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// When that commit was made, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub committed_at: Option<String>,
    /// Where the build can be looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build_url: Option<String>,
    /// Its place among the artifacts of the same repository and ref: a number that
    /// grows, such as that of a pipeline's run, or the milliseconds at which it was
    /// pushed. What arrives after one with a larger number is late.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
}

/// Fits the configuration to the receiver's type, calls it, and writes what it says.
#[cfg_attr(not(feature = "receiver"), allow(dead_code))]
pub(crate) fn decode<R: Receiver>(
    delivery: &Delivery,
    config: &str,
    log: &impl Log,
) -> Result<Vec<String>, Fault> {
    let config = document::read("config", config)?;
    let received = R::decode(delivery, &config, log)?;
    received.iter().map(|one| document::write("what was received", one)).collect()
}

/// Makes a [`Receiver`] the plugin's export.
#[macro_export]
macro_rules! export_receiver {
    ($receiver:ty) => {
        const _: () = {
            const fn assert_receiver<R: $crate::receiver::Receiver>() {}
            assert_receiver::<$receiver>();
        };
        #[cfg(target_family = "wasm")]
        const _: () = {
            type Exported = $crate::guest::receiver::Exported<$receiver>;
            $crate::guest::receiver::bindings::__export_receiver!(Exported with_types_in $crate::guest::receiver::bindings);
        };
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_header_is_found_and_a_body_is_named_by_its_place() {
        let delivery = Delivery {
            headers: vec![("x-event".to_owned(), "push".to_owned())],
            body: br#"{"tags": ["a", 1]}"#.to_vec(),
        };
        assert_eq!(delivery.header("x-event"), Some("push"));
        assert_eq!(delivery.header("x-other"), None);
        #[derive(Debug, serde::Deserialize)]
        struct Body {
            #[serde(rename = "tags")]
            _tags: Vec<String>,
        }
        let fault = delivery.json::<Body>().unwrap_err();
        assert!(fault.to_string().contains("/body/tags/1"), "{fault}");
        let fault = Delivery { body: vec![0xff], ..delivery }.json::<Value>().unwrap_err();
        assert!(fault.to_string().contains("UTF-8"), "{fault}");
    }

    #[test]
    fn what_was_received_is_written_as_the_contract_has_it() {
        let artifact = Artifact {
            repository: "r.example/shop/web".to_owned(),
            tag: Some("1.4".to_owned()),
            git_ref: Some("refs/heads/main".to_owned()),
            ..Artifact::default()
        };
        assert_eq!(
            serde_json::to_value(Received::Artifact(artifact)).unwrap(),
            json!({"kind": "artifact", "repository": "r.example/shop/web", "tag": "1.4", "ref": "refs/heads/main"})
        );
        let commit = Commit {
            source: "shop/web".to_owned(),
            commit: "0a".repeat(20),
            committed_at: Some("2026-11-20T10:00:00Z".to_owned()),
            ..Commit::default()
        };
        assert_eq!(
            serde_json::to_value(Received::Commit(commit)).unwrap(),
            json!({"kind": "commit", "source": "shop/web", "commit": "0a".repeat(20), "committedAt": "2026-11-20T10:00:00Z"})
        );
    }
}
