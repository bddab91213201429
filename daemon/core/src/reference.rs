//! What is attached to images by reference: where it is, and what it has to be.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Digest;
use crate::attestation::{ATTESTATION_BYTES_MAX, Attestation};
use crate::policy::AttachedResult;
use crate::sbom::{SBOM_BYTES_MAX, Sbom};

/// The longest address: what servers and proxies pass on.
const URL_CHARS_MAX: usize = 2_048;

/// Bytes of a result: some hundred characters for each of twenty severities, and room.
pub const RESULT_BYTES_MAX: usize = 64 << 10;

/// Where a document is, and what it has to be: whoever fetches it gets the same, or
/// nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reference {
    /// Its address; when it is kept, without query, in which there may be a token.
    pub url: String,
    /// Of its bytes.
    pub digest: Digest,
}

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReferredKind {
    /// A bill of materials.
    Sbom,
    /// An attestation.
    Attestation,
    /// A result of a suite or a scanner, as it is posted.
    Result,
}

/// Asks for something to be fetched and attached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AttachByReference {
    /// What it is.
    pub kind: ReferredKind,
    /// Where it is: `https://ci.example.com/builds/7/unit.json`.
    pub url: String,
    /// Of its bytes.
    pub digest: Digest,
}

/// What was fetched and attached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AttachedByReference {
    /// A bill of materials.
    Sbom(Sbom),
    /// An attestation.
    Attestation(Attestation),
    /// A result.
    Result(AttachedResult),
}

impl ReferredKind {
    /// The most bytes that are taken of such a document.
    pub fn bytes_max(self) -> usize {
        match self {
            Self::Sbom => SBOM_BYTES_MAX,
            Self::Attestation => ATTESTATION_BYTES_MAX,
            Self::Result => RESULT_BYTES_MAX,
        }
    }
}

impl AttachByReference {
    /// What is wrong with its address, if anything.
    pub fn fault(&self) -> Option<String> {
        let is_address = self.url.starts_with("https://") || self.url.starts_with("http://");
        let odd = |c: char| c.is_control() || c.is_whitespace();
        let is_long = self.url.chars().count() > URL_CHARS_MAX;
        (!is_address || is_long || self.url.contains(odd)).then(|| {
            format!(
                "expected an https address of at most {URL_CHARS_MAX} characters, without spaces"
            )
        })
    }

    /// What is kept of where it came from.
    pub fn kept(&self) -> Reference {
        let url = self.url.split(['?', '#']).next().unwrap_or_default();
        Reference { url: url.to_owned(), digest: self.digest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_of_the_web_and_kept_without_tokens() {
        let of = |url: &str| AttachByReference {
            kind: ReferredKind::Result,
            url: url.to_owned(),
            digest: Digest::of(b"x"),
        };
        let signed = of("https://ci.example/7/unit.json?signature=s3cret#top");
        assert_eq!(signed.fault(), None);
        assert_eq!(signed.kept().url, "https://ci.example/7/unit.json");
        let long = format!("https://ci.example/{}", "x".repeat(URL_CHARS_MAX));
        for bad in ["", "ftp://ci.example", "file:///etc/passwd", "https://a b", &long] {
            assert!(of(bad).fault().is_some(), "{bad}");
        }
    }
}
