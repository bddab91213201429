//! Which groups somebody is in.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::GroupSpec;
use crate::{Actor, Name};

/// The groups of an actor: those that its issuer says (`claimed`, each with the
/// issuer's name before it), and the `Group` documents that name the actor or one
/// of those.
pub fn groups_of(
    actor: &Actor,
    claimed: &BTreeSet<String>,
    groups: &BTreeMap<Name, GroupSpec>,
) -> BTreeSet<String> {
    let documented = groups.iter().filter(|(_, group)| {
        group.members.contains(&actor.0) || group.claims.iter().any(|name| claimed.contains(name))
    });
    let mut all: BTreeSet<String> = documented.map(|(name, _)| name.to_string()).collect();
    // Only what has an issuer's name before it: no claim reaches a document's name.
    all.extend(claimed.iter().filter(|name| name.contains(':')).cloned());
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn group(members: &[&str], claims: &[&str]) -> GroupSpec {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        GroupSpec { members: list(members), claims: list(claims) }
    }

    #[test]
    fn documents_name_members_and_groups_of_issuers() {
        let name = |text: &str| Name::try_from(text.to_owned()).unwrap();
        let groups = BTreeMap::from([
            (name("leads"), group(&["ada", "corp:bob"], &[])),
            (name("platform"), group(&[], &["corp:sre"])),
        ]);
        for (actor, claimed, expected) in [
            ("ada", &[][..], &["leads"][..]),
            ("corp:bob", &["corp:dev"], &["leads", "corp:dev"]),
            ("corp:eve", &["corp:sre"], &["platform", "corp:sre"]),
            // Another issuer's bob, and another issuer's group, are somebody else.
            ("other:bob", &["other:sre"], &["other:sre"]),
            ("bob", &[], &[]),
            // Who is called as a group is, is not in it.
            ("platform", &[], &[]),
            ("corp:sre", &[], &[]),
            // What an issuer calls a group is never the name of a document.
            ("corp:mallory", &["leads"], &[]),
        ] {
            let of = groups_of(&Actor(actor.to_owned()), &set(claimed), &groups);
            assert_eq!(of, set(expected), "{actor} {claimed:?}");
        }
    }
}
