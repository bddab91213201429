//! Issuers: who says who somebody is.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Name;

/// Rules of one issuer: more than anybody keeps in mind.
const RULES_MAX: usize = 200;

/// Claims of one rule. A token of GitHub Actions has about thirty.
const CLAIMS_MAX: usize = 30;

/// Values of one claim, any of which fits.
const VALUES_MAX: usize = 50;

/// Minutes that a session lasts, unless the issuer's document says otherwise: a job
/// that takes longer exchanges another token.
const SESSION_MINUTES: u32 = 10;

/// Minutes that a session lasts at most: a day's work.
const SESSION_MINUTES_MAX: u32 = 720;

/// A group, as it is named without its issuer.
const GROUP: &str = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$";

/// A provider of OpenID Connect whose tokens are believed: of machines (GitHub Actions,
/// GitLab) or of people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IssuerSpec {
    /// Its URL, exactly as its tokens have it in `iss`:
    /// `https://token.actions.githubusercontent.com`.
    #[schemars(length(min = 8, max = 300))]
    pub issuer: String,
    /// For whom tokens have to be: this daemon's address for machines, the id of the
    /// client for people. Tokens for somebody else are refused.
    #[schemars(length(min = 1, max = 300))]
    pub audience: String,
    /// How tokens may be signed.
    #[serde(default = "algorithms", skip_serializing_if = "are_all")]
    #[schemars(length(min = 1))]
    pub algorithms: Vec<TokenAlgorithm>,
    /// The claim that names somebody; nobody else ever has the same.
    #[serde(default = "subject", skip_serializing_if = "is_subject")]
    #[schemars(length(min = 1, max = 100))]
    pub subject: String,
    /// Who is let in, and into which groups. Everybody whom it knows, when not given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = RULES_MAX))]
    pub identities: Vec<IdentityRule>,
    /// The claim with a list of groups that somebody is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    pub groups_claim: Option<String>,
    /// How people log in with it; they do not, when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<LoginSpec>,
    /// Minutes that a session lasts.
    #[serde(default = "session_minutes", skip_serializing_if = "is_session_minutes")]
    #[schemars(range(min = 1, max = SESSION_MINUTES_MAX))]
    pub session_minutes: u32,
    /// Whether its address may be loopback, link-local or private, and spoken to
    /// without TLS.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub private_address: bool,
}

/// Who is let in: those whose token has all of these claims.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IdentityRule {
    /// Claims and what they have to be, to the letter.
    #[schemars(length(min = 1, max = CLAIMS_MAX))]
    pub claims: BTreeMap<String, ClaimValues>,
    /// Groups that they are in, without the issuer's name: `shop-ci` is known elsewhere
    /// as `github:shop-ci`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = VALUES_MAX), inner(regex(pattern = GROUP)))]
    pub groups: Vec<String>,
}

/// What a claim has to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ClaimValues {
    /// This.
    One(#[schemars(length(min = 1, max = 300))] String),
    /// One of these.
    Any(
        #[schemars(length(min = 1, max = VALUES_MAX), inner(length(min = 1, max = 300)))]
        Vec<String>,
    ),
}

impl ClaimValues {
    /// Whether a value is one of them.
    pub fn has(&self, value: &str) -> bool {
        match self {
            Self::One(one) => one == value,
            Self::Any(all) => all.iter().any(|one| one == value),
        }
    }
}

/// How people log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoginSpec {
    /// What is asked for beside `openid`: `email`, `groups`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = VALUES_MAX), inner(length(min = 1, max = 100)))]
    pub scopes: Vec<String>,
}

/// How a token is signed. Neither without a signature, nor with a secret that both
/// sides have: who can verify that could make it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum TokenAlgorithm {
    /// RSA (PKCS#1 v1.5) with SHA-256.
    RS256,
    /// ECDSA on P-256 with SHA-256.
    ES256,
}

impl TokenAlgorithm {
    /// As a token's header has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::ES256 => "ES256",
        }
    }
}

fn algorithms() -> Vec<TokenAlgorithm> {
    vec![TokenAlgorithm::RS256, TokenAlgorithm::ES256]
}

fn are_all(algorithms: &[TokenAlgorithm]) -> bool {
    algorithms == self::algorithms()
}

fn subject() -> String {
    "sub".to_owned()
}

fn is_subject(subject: &str) -> bool {
    subject == "sub"
}

fn session_minutes() -> u32 {
    SESSION_MINUTES
}

fn is_session_minutes(minutes: &u32) -> bool {
    *minutes == SESSION_MINUTES
}

impl IssuerSpec {
    /// Whether a name is the issuer's document's: of identities `corp:ada`, it is before
    /// the colon.
    pub fn named(document: &Name, what: &str) -> String {
        format!("{document}:{what}")
    }
}
