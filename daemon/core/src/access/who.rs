//! Who may do something, asked the other way round.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::decide::{AllowedBy, Resource, Rules};
use super::{Action, decide};
use crate::Name;
use crate::views::TokenScope;

/// Whether somebody may do something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CanView {
    /// What.
    pub action: Action,
    /// To what, for a person.
    pub to: String,
    /// What allows it; none where nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<AllowedBy>,
    /// Roles that would allow it, where nothing does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<Name>,
}

/// All who may do something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WhoCanView {
    /// What.
    pub action: Action,
    /// To what, for a person.
    pub to: String,
    /// They, by the kind of their name and by name.
    pub who: Vec<Permitted>,
}

/// Somebody who may.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Permitted {
    /// What kind of name it is.
    pub kind: SubjectKind,
    /// Theirs.
    pub name: String,
    /// By which role.
    pub role: Name,
    /// By which `RoleBinding`; none for a token's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<Name>,
}

/// What a name stands for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum SubjectKind {
    /// A token.
    Token,
    /// A token or an identity of an issuer that a binding names.
    Actor,
    /// Everybody in a group.
    Group,
    /// Everybody whom an issuer knows.
    Issuer,
}

/// All who may do something to a resource: tokens by their own role, and whom bindings
/// name. Members of groups are not resolved: identity providers say who they are.
pub fn who_can<'t>(
    action: Action,
    resource: &Resource,
    rules: &Rules,
    tokens: impl Iterator<Item = (&'t Name, TokenScope)>,
) -> Vec<Permitted> {
    let own = tokens.filter(|(_, scope)| *scope >= action.least()).filter_map(|(name, scope)| {
        let role = scope.as_str().parse().ok()?;
        let (kind, name) = (SubjectKind::Token, name.to_string());
        Some(Permitted { kind, name, role, binding: None })
    });
    let mut found: Vec<Permitted> = own.collect();
    for (name, binding) in &rules.bindings {
        if !rules.allows(&binding.role, action) || !decide::covers(&binding.within, resource) {
            continue;
        }
        let subjects = &binding.subjects;
        let actors = subjects.actors.iter().map(|name| (SubjectKind::Actor, name.clone()));
        let groups = subjects.groups.iter().map(|name| (SubjectKind::Group, name.clone()));
        let issuers = subjects.issuers.iter().map(|name| (SubjectKind::Issuer, name.to_string()));
        found.extend(actors.chain(groups).chain(issuers).map(|(kind, subject)| Permitted {
            kind,
            name: subject,
            role: binding.role.clone(),
            binding: Some(name.clone()),
        }));
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Identity, Narrowed};
    use crate::config::{Place, RoleBindingSpec, Subjects};
    use std::collections::BTreeSet;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn rules() -> Rules {
        let mut rules = Rules::default();
        let subjects = Subjects {
            actors: vec!["ada".to_owned()],
            groups: vec!["shop-team".to_owned()],
            ..Subjects::default()
        };
        let within = Place { applications: vec!["shop".to_owned()], ..Place::default() };
        let binding = RoleBindingSpec { role: name("deploy"), subjects, within };
        rules.bindings.insert(name("shop"), binding);
        rules
    }

    #[test]
    fn tokens_and_whom_bindings_name_are_told() {
        let tokens = [(name("ci"), TokenScope::Ci), (name("root"), TokenScope::Admin)];
        let of = |action, resource: &Resource| -> Vec<String> {
            let tokens = tokens.iter().map(|(name, scope)| (name, *scope));
            let found = who_can(action, resource, &rules(), tokens);
            found.into_iter().map(|one| one.name).collect()
        };
        let shop = Resource::Environment("shop/production".parse().unwrap(), None);
        let other = Resource::Environment("blog/production".parse().unwrap(), None);
        assert_eq!(of(Action::Deploy, &shop), ["root", "ada", "shop-team"]);
        assert_eq!(of(Action::Deploy, &other), ["root"]);
        assert_eq!(of(Action::Announce, &other), ["ci", "root"]);
        assert_eq!(of(Action::Access, &shop), ["root"]);
    }

    /// What is told of somebody is what is decided when they ask.
    #[test]
    fn who_is_told_of_is_let_and_who_is_not_is_refused() {
        let rules = rules();
        for action in Action::ALL {
            for place in ["shop/production", "blog/production"] {
                let resource = Resource::Environment(place.parse().unwrap(), None);
                for (who, scope) in [("ada", TokenScope::Bound), ("ci", TokenScope::Ci)] {
                    let identity = Identity {
                        actor: crate::Actor(who.to_owned()),
                        groups: BTreeSet::new(),
                        issuer: None,
                        scope: Some(scope),
                        narrowed: None::<Narrowed>,
                    };
                    let token = name(who);
                    let told = who_can(action, &resource, &rules, [(&token, scope)].into_iter());
                    let told = told.iter().any(|one| one.name == who);
                    let decided = identity.decide(action, &resource, &rules).is_some();
                    assert_eq!(told, decided, "{who} {action:?} {place}");
                }
            }
        }
    }
}
