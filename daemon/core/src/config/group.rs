//! Groups: who belongs together.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Members of one group, and groups of providers that count as it: more than an
/// organisation keeps by hand. Who has more lets an identity provider say it.
const MEMBERS_MAX: usize = 500;

/// An identity: the name of a token, or an issuer's and what that calls somebody.
const IDENTITY: &str = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(:.{1,255})?$";

/// A group that an identity provider knows: the issuer's name and the group's.
const CLAIMED: &str = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?:.{1,255}$";

/// People and machines that belong together: those named, and those of whom an
/// identity provider says so.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GroupSpec {
    /// Names of tokens (`ada`), and identities of issuers (`corp:ada@example.org`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MEMBERS_MAX), inner(regex(pattern = IDENTITY)))]
    pub members: Vec<String>,
    /// Groups of identity providers whose members count: the name of the `Issuer`
    /// and what it calls the group, `corp:platform-team`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MEMBERS_MAX), inner(regex(pattern = CLAIMED)))]
    pub claims: Vec<String>,
}
