//! Tokens, and who somebody is.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Action, Narrowed};
use crate::config::Place;
use crate::{Actor, Name, Timestamp};

/// A token, without what it is recognised by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenView {
    /// Its name: the actor of what is done with it.
    pub name: Name,
    /// What it may do.
    pub scope: TokenScope,
    /// Who created it.
    pub created_by: Actor,
    /// When.
    pub created: Timestamp,
}

/// What a token may do.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum TokenScope {
    /// Nothing by itself: only what `RoleBinding`s give it.
    Bound,
    /// Read everything that is no secret.
    Read,
    /// Announce artifacts, and read.
    Ci,
    /// Deploy, cancel, redeploy, and what CI may do.
    Deploy,
    /// Everything: documents, plugins, secrets, tokens.
    Admin,
}

impl TokenScope {
    /// As it is written; the built-in role of that name is what it allows.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bound => "bound",
            Self::Read => "read",
            Self::Ci => "ci",
            Self::Deploy => "deploy",
            Self::Admin => "admin",
        }
    }
}

/// Who somebody is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WhoAmI {
    /// The actor of what they do: the name of a token, or an issuer's and what it calls
    /// them.
    pub name: Actor,
    /// The role that their token has by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<TokenScope>,
    /// The issuer that knows them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<Name>,
    /// The groups they are in.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub groups: BTreeSet<String>,
    /// What they have asked for, where that is less than they have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub narrowed: Option<Narrowed>,
    /// Who created their token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<Actor>,
    /// When.
    pub created: Timestamp,
    /// Until when it counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

/// A new token. Its text is shown once and never again.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewToken {
    /// What it is.
    #[serde(flatten)]
    pub token: TokenView,
    /// What is given with requests, as `Authorization: Bearer`.
    pub secret: String,
}

impl std::fmt::Debug for NewToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewToken").field("token", &self.token).finish_non_exhaustive()
    }
}

/// A token of an issuer, to be exchanged for a session.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExchangeRequest {
    /// The token.
    pub token: String,
    /// The `Issuer`; found by what the token says, when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<Name>,
    /// Ask for no more than these actions.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub actions: BTreeSet<Action>,
    /// And only there.
    #[serde(default, skip_serializing_if = "Place::is_everywhere")]
    pub within: Place,
}

impl ExchangeRequest {
    /// What is asked for, where that is less than everything.
    pub fn narrowed(&self) -> Option<Narrowed> {
        let only = Narrowed { actions: self.actions.clone(), within: self.within.clone() };
        (only != Narrowed::default()).then_some(only)
    }
}

impl std::fmt::Debug for ExchangeRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExchangeRequest").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// A new session. Its token is shown once and never again.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewSession {
    /// What is given with requests, as `Authorization: Bearer`.
    pub secret: String,
    /// The actor of what is done with it.
    pub name: Actor,
    /// The issuer that knows them.
    pub issuer: Name,
    /// Groups that the issuer says they are in.
    pub groups: BTreeSet<String>,
    /// Until when it counts.
    pub expires: Timestamp,
}

impl std::fmt::Debug for NewSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewSession").field("name", &self.name).finish_non_exhaustive()
    }
}

/// How people log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoginView {
    /// The `Issuer`.
    pub name: Name,
    /// Its URL.
    pub issuer: String,
    /// The id of the client that asks it.
    pub client_id: String,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
}
