//! Roles, and who has them where.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::glob_matches;
use crate::access::Action;
use crate::{EnvironmentId, Name};

/// Names in one list of a binding: more than anybody keeps by hand.
const NAMES_MAX: usize = 200;

/// An identity or a group: a name, or an issuer's and what that calls it.
const NAMED: &str = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(:.{1,255})?$";

/// A pattern of names.
const PATTERN: &str = "^[a-z0-9*-]{1,63}$";

/// What somebody may do who has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RoleSpec {
    /// What it allows.
    #[schemars(length(min = 1))]
    pub actions: BTreeSet<Action>,
}

/// Who has a role, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RoleBindingSpec {
    /// The `Role`; or `read`, `ci`, `deploy` or `admin`, which are built in.
    pub role: Name,
    /// Who has it: whom any of its lists names.
    pub subjects: Subjects,
    /// Where it counts: everywhere, and for the installation itself, when not given.
    #[serde(default, skip_serializing_if = "Place::is_everywhere")]
    pub within: Place,
}

/// Who is meant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Subjects {
    /// Members of these `Group`s (`leads`), and of these groups of issuers
    /// (`corp:sre`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = NAMES_MAX), inner(regex(pattern = NAMED)))]
    pub groups: Vec<String>,
    /// Holders of these tokens (`ada`), and these identities of issuers
    /// (`corp:ada@example.org`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = NAMES_MAX), inner(regex(pattern = NAMED)))]
    pub actors: Vec<String>,
    /// Everybody whom these `Issuer`s let in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = NAMES_MAX))]
    pub issuers: Vec<Name>,
}

/// A part of the installation: what fits every list that is given. `*` is any run of
/// characters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Place {
    /// Of these applications.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = NAMES_MAX), inner(regex(pattern = PATTERN)))]
    pub applications: Vec<String>,
    /// Environments of these types.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = NAMES_MAX), inner(regex(pattern = PATTERN)))]
    pub environment_types: Vec<String>,
    /// Environments with these names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = NAMES_MAX), inner(regex(pattern = PATTERN)))]
    pub environments: Vec<String>,
}

impl Place {
    /// Whether it is all there is.
    pub fn is_everywhere(&self) -> bool {
        *self == Self::default()
    }

    /// Whether something of an application is in it.
    pub fn reaches(&self, application: &Name) -> bool {
        fits(&self.applications, Some(application))
    }

    /// Whether an application is in it with all of its environments.
    pub fn has_all_of(&self, application: &Name) -> bool {
        self.environment_types.is_empty()
            && self.environments.is_empty()
            && self.reaches(application)
    }

    /// Whether an environment is in it. One whose type is not known is of none.
    pub fn has(&self, environment: &EnvironmentId, environment_type: Option<&Name>) -> bool {
        self.reaches(&environment.application)
            && fits(&self.environments, Some(&environment.environment))
            && fits(&self.environment_types, environment_type)
    }
}

fn fits(patterns: &[String], name: Option<&Name>) -> bool {
    patterns.is_empty()
        || name
            .is_some_and(|name| patterns.iter().any(|pattern| glob_matches(pattern, name.as_str())))
}
