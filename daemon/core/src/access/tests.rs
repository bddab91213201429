//! Who may do what.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;
use crate::config::{Place, RoleBindingSpec, RoleSpec, Subjects};
use crate::views::TokenScope;
use crate::{Actor, EnvironmentId, Name};

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn ada() -> Identity {
    let groups = BTreeSet::from(["shop-team".to_owned(), "corp:dev".to_owned()]);
    let actor = Actor("corp:ada".to_owned());
    Identity { actor, groups, issuer: Some(name("corp")), scope: None, narrowed: None }
}

fn token(scope: TokenScope) -> Identity {
    let actor = Actor("robot".to_owned());
    let groups = BTreeSet::new();
    Identity { actor, groups, issuer: None, scope: Some(scope), narrowed: None }
}

fn environment(application: &str, environment: &str, environment_type: &str) -> Resource {
    let id = EnvironmentId { application: name(application), environment: name(environment) };
    Resource::Environment(id, Some(name(environment_type)))
}

fn bound(role: &str, subjects: Subjects, within: Place) -> Rules {
    let binding = RoleBindingSpec { role: name(role), subjects, within };
    let actions = BTreeSet::from([Action::Deploy]);
    Rules {
        roles: BTreeMap::from([(name("deployer"), RoleSpec { actions })]),
        bindings: BTreeMap::from([(name("binding"), binding)]),
    }
}

fn of_group(group: &str) -> Subjects {
    Subjects { groups: texts(&[group]), ..Subjects::default() }
}

#[test]
fn the_scope_of_a_token_is_the_built_in_role_of_its_name() {
    use Action::*;
    for (scope, expected) in [
        (TokenScope::Bound, &[][..]),
        (TokenScope::Read, &[Read]),
        (TokenScope::Ci, &[Read, Announce]),
        (
            TokenScope::Deploy,
            &[
                Read,
                Announce,
                Deploy,
                Promote,
                RollBack,
                Steer,
                Approve,
                LiftQuarantine,
                StopLine,
                Redeliver,
            ],
        ),
        (TokenScope::Admin, &Action::ALL),
    ] {
        let rules = Rules::default();
        let may = |action: &Action| {
            token(scope).decide(*action, &Resource::Installation, &rules).is_some()
        };
        let found: Vec<Action> = Action::ALL.into_iter().filter(may).collect();
        assert_eq!(found, expected, "{scope:?}");
    }
}

#[test]
fn a_binding_counts_for_whom_and_where_it_says() {
    let production = Place {
        applications: texts(&["shop", "shop-*"]),
        environment_types: texts(&["production"]),
        ..Place::default()
    };
    let there = environment("shop-web", "live", "production");
    for (subjects, theirs) in [
        (of_group("shop-team"), true),
        (of_group("corp:dev"), true),
        (of_group("dev"), false),
        (of_group("corp:ada"), false),
        (Subjects { actors: texts(&["corp:ada"]), ..Subjects::default() }, true),
        (Subjects { actors: texts(&["ada"]), ..Subjects::default() }, false),
        (Subjects { actors: texts(&["shop-team"]), ..Subjects::default() }, false),
        (Subjects { issuers: vec![name("corp")], ..Subjects::default() }, true),
        (Subjects { issuers: vec![name("other")], ..Subjects::default() }, false),
        (Subjects::default(), false),
    ] {
        let rules = bound("deployer", subjects.clone(), production.clone());
        let found = ada().decide(Action::Deploy, &there, &rules);
        assert_eq!(found.is_some(), theirs, "{subjects:?}");
    }
    let rules = bound("deployer", of_group("shop-team"), production);
    let by = AllowedBy { role: name("deployer"), binding: Some(name("binding")) };
    assert_eq!(ada().decide(Action::Deploy, &there, &rules), Some(by));
    for (resource, expected) in [
        (environment("shop", "live", "production"), true),
        (environment("shop", "dev", "development"), false),
        (environment("bank", "live", "production"), false),
        (Resource::Common(name("shop")), true),
        (Resource::Common(name("bank")), false),
        (Resource::Application(name("shop")), false),
        (Resource::Installation, false),
    ] {
        let found = ada().decide(Action::Deploy, &resource, &rules);
        assert_eq!(found.is_some(), expected, "{resource}");
        assert_eq!(ada().decide(Action::Read, &resource, &rules), None, "{resource}");
    }
    // Of which type an environment is has to be known.
    let id = EnvironmentId { application: name("shop"), environment: name("live") };
    let gone = Resource::Environment(id, None);
    assert_eq!(ada().decide(Action::Deploy, &gone, &rules), None);
}

#[test]
fn a_document_changes_no_role_that_is_built_in_and_an_unknown_one_allows_nothing() {
    for (role, action, expected) in [
        ("admin", Action::Access, true),
        ("read", Action::Deploy, false),
        ("bound", Action::Read, false),
        ("no-such-role", Action::Read, false),
    ] {
        let mut rules = bound(role, of_group("shop-team"), Place::default());
        rules.roles.insert(name("read"), RoleSpec { actions: Action::ALL.into() });
        let found = ada().decide(action, &Resource::Installation, &rules);
        assert_eq!(found.is_some(), expected, "{role} {action}");
    }
}

#[test]
fn who_may_not_is_told_which_roles_may() {
    let rules = bound("deployer", of_group("shop-team"), Place::default());
    assert_eq!(
        roles_with(Action::Deploy, &rules),
        [name("deploy"), name("admin"), name("deployer")]
    );
    assert_eq!(roles_with(Action::Secrets, &rules), [name("admin")]);
}

fn resources() -> Vec<Resource> {
    let mut all = vec![Resource::Installation];
    for application in ["shop", "bank"] {
        all.push(Resource::Application(name(application)));
        all.push(Resource::Common(name(application)));
        all.push(environment(application, "live", "production"));
        all.push(environment(application, "dev", "development"));
    }
    all
}

prop_compose! {
    fn places()(
        applications in subsequence(vec!["shop", "b*", "no"], 0..2),
        environment_types in subsequence(vec!["production", "dev*"], 0..2),
        environments in subsequence(vec!["live", "dev", "*"], 0..2),
    ) -> Place {
        Place {
            applications: texts(&applications),
            environment_types: texts(&environment_types),
            environments: texts(&environments),
        }
    }
}

prop_compose! {
    fn rules()(
        list in prop::collection::vec(
            (
                select(vec!["read", "ci", "deploy", "admin", "custom", "unknown"]),
                select(vec!["shop-team", "corp:dev", "strangers"]),
                places(),
            ),
            0..5,
        ),
        actions in subsequence(Action::ALL.to_vec(), 0..18),
    ) -> Rules {
        let bindings = list.into_iter().enumerate().map(|(number, (role, group, within))| {
            let subjects = of_group(group);
            (name(&format!("b{number}")), RoleBindingSpec { role: name(role), subjects, within })
        });
        let custom = RoleSpec { actions: actions.into_iter().collect() };
        Rules {
            bindings: bindings.collect(),
            roles: BTreeMap::from([(name("custom"), custom)]),
        }
    }
}

proptest! {
    #[test]
    fn what_is_allowed_is_allowed_by_a_binding_that_names_who_what_and_where(
        rules in rules(), action in select(Action::ALL.to_vec()), at in select(resources()),
    ) {
        let Some(by) = ada().decide(action, &at, &rules) else { return Ok(()) };
        let binding = &rules.bindings[&by.binding.clone().unwrap()];
        prop_assert_eq!(&by.role, &binding.role);
        prop_assert!(rules.allows(&by.role, action));
        prop_assert!(binding.subjects.groups.iter().any(|group| ada().groups.contains(group)));
        if let Resource::Environment(id, kind) = &at {
            prop_assert!(binding.within.has(id, kind.as_ref()));
        }
    }

    #[test]
    fn more_documents_never_take_anything_away(
        rules in rules(), more in places(), action in select(Action::ALL.to_vec()),
    ) {
        let before: Vec<bool> =
            resources().iter().map(|at| ada().decide(action, at, &rules).is_some()).collect();
        let mut after = rules;
        let binding =
            RoleBindingSpec { role: name("deploy"), subjects: of_group("corp:dev"), within: more };
        after.bindings.insert(name("a"), binding);
        for (at, before) in resources().iter().zip(before) {
            prop_assert!(!before || ada().decide(action, at, &after).is_some(), "{}", at);
        }
    }

    #[test]
    fn who_asks_for_less_gets_no_more_than_both_allow(
        rules in rules(), within in places(), action in select(Action::ALL.to_vec()),
        actions in subsequence(Action::ALL.to_vec(), 0..18), at in select(resources()),
        scope in select(vec![None, Some(TokenScope::Deploy)]),
    ) {
        let whole = Identity { scope, ..ada() };
        let only = Narrowed { actions: actions.into_iter().collect(), within };
        let named = only.actions.is_empty() || only.actions.contains(&action);
        let everywhere = Identity { scope: Some(TokenScope::Admin), ..ada() };
        let place = Narrowed { within: only.within.clone(), ..Narrowed::default() };
        let there = Identity { narrowed: Some(place), ..everywhere }.decide(action, &at, &rules);
        let narrowed = Identity { narrowed: Some(only), ..whole.clone() };
        let expected = named && there.is_some() && whole.decide(action, &at, &rules).is_some();
        prop_assert_eq!(narrowed.decide(action, &at, &rules).is_some(), expected);
        prop_assert!(narrowed.own(action).is_none());
    }

    #[test]
    fn nowhere_is_what_has_no_resource_in_it(
        rules in rules(), action in select(Action::ALL.to_vec()), at in select(resources()),
    ) {
        if ada().reach(action, &rules).is_nowhere() {
            prop_assert_eq!(ada().decide(action, &at, &rules), None);
        }
    }
}
