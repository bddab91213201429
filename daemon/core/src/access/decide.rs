//! Whether somebody may do something.
//!
//! Everything is denied that nothing allows; there is no rule that denies, so that
//! who may do what never depends on the order of documents.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Action;
use crate::config::{Place, RoleBindingSpec, RoleSpec, Subjects};
use crate::views::TokenScope;
use crate::{Actor, EnvironmentId, Name};

/// Somebody who asks, with all that decides what they may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Who.
    pub actor: Actor,
    /// All groups they are in; see [`groups_of`](super::groups_of).
    pub groups: BTreeSet<String>,
    /// The issuer that knows them; none for the holder of a token.
    pub issuer: Option<Name>,
    /// The role that their token has by itself.
    pub scope: Option<TokenScope>,
    /// What is left of all that, where they have asked for less.
    pub narrowed: Option<Narrowed>,
}

/// Less than somebody may do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Narrowed {
    /// Only these actions; all, when not given.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub actions: BTreeSet<Action>,
    /// Only there.
    #[serde(default, skip_serializing_if = "Place::is_everywhere")]
    pub within: Place,
}

/// What something is done to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// The installation: what belongs to no application.
    Installation,
    /// An application with all of its environments.
    Application(Name),
    /// What environments of an application have in common: who may do it in one of
    /// them may do it here.
    Common(Name),
    /// An environment, and its type while it has a document.
    Environment(EnvironmentId, Option<Name>),
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Installation => f.write_str("the installation"),
            Self::Application(name) => write!(f, "all of {name}"),
            Self::Common(name) => write!(f, "anything of {name}"),
            Self::Environment(id, _) => write!(f, "{id}"),
        }
    }
}

/// What allows something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AllowedBy {
    /// The role.
    pub role: Name,
    /// The `RoleBinding` that gives it; none for a token's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<Name>,
}

/// Where somebody may do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Everywhere.
    Everywhere(AllowedBy),
    /// In parts; nowhere, when there is none.
    Within {
        /// The parts, each of which counts by itself.
        places: Vec<(Place, AllowedBy)>,
        /// And only there, where less was asked for than they have.
        only: Option<Place>,
    },
}

/// Roles that are documents, and who has which.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// `Role` documents.
    pub roles: BTreeMap<Name, RoleSpec>,
    /// `RoleBinding` documents.
    pub bindings: BTreeMap<Name, RoleBindingSpec>,
}

/// The built-in role of a name.
pub fn built_in(name: &str) -> Option<TokenScope> {
    match name {
        "read" => Some(TokenScope::Read),
        "ci" => Some(TokenScope::Ci),
        "deploy" => Some(TokenScope::Deploy),
        "admin" => Some(TokenScope::Admin),
        _ => None,
    }
}

impl Rules {
    /// Whether a role allows an action. A built-in one can't be another by a document;
    /// what there is no role of allows nothing.
    pub fn allows(&self, role: &Name, action: Action) -> bool {
        match built_in(role.as_str()) {
            Some(scope) => scope >= action.least(),
            None => self.roles.get(role).is_some_and(|role| role.actions.contains(&action)),
        }
    }
}

impl Identity {
    /// Whether a binding is for them.
    fn is_of(&self, subjects: &Subjects) -> bool {
        subjects.actors.contains(&self.actor.0)
            || subjects.groups.iter().any(|group| self.groups.contains(group))
            || self.issuer.as_ref().is_some_and(|issuer| subjects.issuers.contains(issuer))
    }

    /// What their token allows by itself, before anything is looked up.
    pub fn own(&self, action: Action) -> Option<AllowedBy> {
        self.narrowed.is_none().then(|| self.by_scope(action)).flatten()
    }

    fn by_scope(&self, action: Action) -> Option<AllowedBy> {
        let scope = self.scope.filter(|scope| *scope >= action.least())?;
        let role = scope.as_str().parse().ok()?;
        Some(AllowedBy { role, binding: None })
    }

    /// Where they may do something.
    pub fn reach(&self, action: Action, rules: &Rules) -> Reach {
        let only = match &self.narrowed {
            Some(only) if !only.allows(action) => return Reach::nowhere(),
            Some(only) => Some(&only.within).filter(|within| !within.is_everywhere()),
            None => None,
        };
        let own = self.by_scope(action).map(|by| (Place::default(), by));
        let bound = rules.bindings.iter().filter_map(|(name, binding)| {
            let is_theirs = self.is_of(&binding.subjects) && rules.allows(&binding.role, action);
            let by = || AllowedBy { role: binding.role.clone(), binding: Some(name.clone()) };
            is_theirs.then(|| (binding.within.clone(), by()))
        });
        let places: Vec<(Place, AllowedBy)> = own.into_iter().chain(bound).collect();
        let everywhere = places.iter().find(|(place, _)| place.is_everywhere());
        match (everywhere, only) {
            (Some((_, by)), None) => Reach::Everywhere(by.clone()),
            _ => Reach::Within { places, only: only.cloned() },
        }
    }

    /// Whether they may do something to a resource, and by what.
    pub fn decide(&self, action: Action, resource: &Resource, rules: &Rules) -> Option<AllowedBy> {
        self.reach(action, rules).covers(resource).cloned()
    }
}

impl Narrowed {
    fn allows(&self, action: Action) -> bool {
        self.actions.is_empty() || self.actions.contains(&action)
    }
}

impl Reach {
    fn nowhere() -> Self {
        Self::Within { places: Vec::new(), only: None }
    }

    /// Whether it is nowhere.
    pub fn is_nowhere(&self) -> bool {
        matches!(self, Self::Within { places, .. } if places.is_empty())
    }

    /// What has a resource in it.
    pub fn covers(&self, resource: &Resource) -> Option<&AllowedBy> {
        match self {
            Self::Everywhere(by) => Some(by),
            Self::Within { only: Some(only), .. } if !covers(only, resource) => None,
            Self::Within { places, .. } => {
                places.iter().find(|(place, _)| covers(place, resource)).map(|(_, by)| by)
            }
        }
    }
}

pub(super) fn covers(place: &Place, resource: &Resource) -> bool {
    match resource {
        Resource::Installation => place.is_everywhere(),
        Resource::Application(name) => place.has_all_of(name),
        Resource::Common(name) => place.reaches(name),
        Resource::Environment(id, environment_type) => place.has(id, environment_type.as_ref()),
    }
}

/// Roles that allow an action, by name: what somebody could ask for who may not.
pub fn roles_with(action: Action, rules: &Rules) -> Vec<Name> {
    let built_in = [TokenScope::Read, TokenScope::Ci, TokenScope::Deploy, TokenScope::Admin];
    let built_in = built_in.into_iter().filter(|scope| *scope >= action.least());
    let names = built_in.filter_map(|scope| scope.as_str().parse().ok());
    let documents = rules.roles.iter().filter(|(_, role)| role.actions.contains(&action));
    names.chain(documents.map(|(name, _)| name.clone())).collect()
}
