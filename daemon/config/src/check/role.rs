//! Roles and their bindings.

use deployd_core::access::{RESERVED, built_in};
use deployd_core::config::DocumentKind;

use super::{Entry, World};
use crate::path::Path;
use crate::problem::Problem;
use crate::shown;

pub(super) fn check(entry: &Entry, _: &World<'_>, problems: &mut Vec<Problem>) {
    // `bound` is what a token is that has no role by itself.
    if built_in(&entry.name).is_some() || entry.name == "bound" {
        let path = Path::of(["metadata", "name"]);
        let expected = "another name: that role is built in";
        problems.push(Problem::at_value(path, shown::quoted(&entry.name), expected));
    }
}

pub(super) fn check_binding(entry: &Entry, world: &World<'_>, problems: &mut Vec<Problem>) {
    let role = entry.text("/spec/role").filter(|role| built_in(role).is_none());
    world.refer((DocumentKind::Role, None), Path::of(["spec", "role"]), role, problems);
    let subjects = Path::of(["spec", "subjects"]);
    let has_subjects = ["groups", "actors", "issuers"]
        .iter()
        .any(|list| entry.items(&format!("/spec/subjects/{list}")).next().is_some());
    if !has_subjects && entry.value.pointer("/spec/subjects").is_some() {
        let expected = "groups, actors or issuers that have the role";
        problems.push(Problem::at_value(subjects.clone(), "nobody", expected));
    }
    for (place, group) in entry.items("/spec/subjects/groups").enumerate() {
        // What an issuer calls its groups is not known here.
        let group = group.as_str().filter(|group| !group.contains(':'));
        let path = subjects.then("groups").then(place);
        world.refer((DocumentKind::Group, None), path, group, problems);
    }
    for (place, issuer) in entry.items("/spec/subjects/issuers").enumerate() {
        let path = subjects.then("issuers").then(place);
        world.refer((DocumentKind::Issuer, None), path, issuer.as_str(), problems);
    }
    for (place, actor) in entry.items("/spec/subjects/actors").enumerate() {
        let Some(actor) = actor.as_str() else { continue };
        let source = actor.split_once(':').map_or(actor, |(issuer, _)| issuer);
        if RESERVED.contains(&source) {
            let path = subjects.then("actors").then(place);
            let expected = "the name of a token, or of an issuer and one of its identities";
            problems.push(Problem::at_value(path, shown::quoted(actor), expected));
        }
    }
}
