//! What others must have attested of images before they are deployed.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::calendar::RollbackRule;
use super::drift::Every;
use super::glob_matches;
use crate::Name;

/// Attestations that an environment's type asks for: provenance, tests, scans, and room.
pub(super) const RULES_MAX: usize = 10;

/// Keys and identities of one rule: the one in use, the next one, one per team.
const SIGNERS_MAX: usize = 20;

/// Bytes of a public key as PEM: RSA with 8,192 bits has 1,500.
const KEY_BYTES_MAX: usize = 4_096;

/// Bytes of a trusted root: Sigstore's has 7,000.
const TRUSTED_ROOT_BYTES_MAX: usize = 100_000;

/// Fields of a predicate that one rule looks at.
const FIELDS_MAX: usize = 20;

/// Images are deployed only once somebody who is trusted has attested something of each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AttestationRule {
    /// Its name, for people: `provenance`.
    pub name: Name,
    /// The type of the predicate, as in-toto statements have it:
    /// `https://slsa.dev/provenance/v1`.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 500))]
    pub predicate_type: String,
    /// What the predicate has to say: JSON pointers into it, and patterns for the text
    /// that is there; `*` is any run of characters. Anything when not given.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = FIELDS_MAX))]
    pub fields: BTreeMap<String, String>,
    /// Repositories whose images it is for; `*` is any run of characters. All when not
    /// given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), inner(length(min = 1, max = 500)))]
    pub images: Vec<String>,
    /// Whose signature counts.
    pub signed_by: SignedBy,
    /// For how long it is waited from when the deployment has begun; then it is
    /// cancelled. A day when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Every>,
    /// Whether it holds for going back to what ran before, and for healing drift.
    #[serde(default, skip_serializing_if = "RollbackRule::is_exempt")]
    pub rollbacks: RollbackRule,
}

impl AttestationRule {
    /// For how long it is waited when nobody says, in milliseconds: pipelines attest
    /// within minutes, and who has to mend one has the day.
    const EXPIRES_MS: u64 = 24 * 3_600_000;

    /// For how long it is waited, in milliseconds.
    pub fn expires_ms(&self) -> u64 {
        self.expires.map_or(Self::EXPIRES_MS, Every::ms)
    }

    /// Whether it is for images of a repository.
    pub fn is_for(&self, repository: &str) -> bool {
        self.images.is_empty() || self.images.iter().any(|image| glob_matches(image, repository))
    }
}

/// Whose signature counts: any of these keys and identities.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignedBy {
    /// Public keys as PEM, as `cosign generate-key-pair` writes them: ECDSA, Ed25519,
    /// RSA.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = SIGNERS_MAX), inner(length(min = 1, max = KEY_BYTES_MAX)))]
    pub keys: Vec<String>,
    /// Identities that a certificate of Sigstore names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = SIGNERS_MAX))]
    pub identities: Vec<SignerIdentity>,
    /// Which authorities certify these identities, and which logs have to know the
    /// signature: `github` for those of GitHub's private repositories, or a
    /// `trusted_root.json` as a text. Sigstore's public ones when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = TRUSTED_ROOT_BYTES_MAX))]
    pub trusted_root: Option<String>,
}

/// Who has signed, as a certificate of Sigstore names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignerIdentity {
    /// Who says so: `https://token.actions.githubusercontent.com`.
    #[schemars(length(min = 1, max = 500))]
    pub issuer: String,
    /// Who it is, where `*` is any run of characters:
    /// `https://github.com/acme/shop/.github/workflows/release.yml@refs/heads/main`.
    #[schemars(length(min = 1, max = 500))]
    pub subject: String,
}

impl SignedBy {
    /// Whose certificates and logs are believed.
    pub fn trust(&self) -> Trust<'_> {
        match self.trusted_root.as_deref() {
            None => Trust::Sigstore,
            Some("github") => Trust::Github,
            Some(document) => Trust::Other(document),
        }
    }
}

/// Whose certificates and logs are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust<'a> {
    /// Sigstore's public ones.
    Sigstore,
    /// GitHub's, for private repositories.
    Github,
    /// Those of a `trusted_root.json`.
    Other(&'a str),
}
