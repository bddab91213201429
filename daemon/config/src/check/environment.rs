//! Environments and their types.

use std::collections::BTreeSet;

use deployd_core::config::{DocumentKind, GitSpec};
use deployd_core::pull::placed;
use serde_json::Value;

use super::plugin::check_host;
use super::{Entry, World};
use crate::path::Path;
use crate::problem::Problem;

pub(super) fn check(entry: &Entry, world: &World<'_>, problems: &mut Vec<Problem>) {
    let application = (DocumentKind::Application, None);
    let path = Path::of(["spec", "application"]);
    world.refer(application, path, entry.text("/spec/application"), problems);
    let environment_type = (DocumentKind::EnvironmentType, None);
    world.refer(environment_type, Path::of(["spec", "type"]), entry.text("/spec/type"), problems);
}

pub(super) fn check_type(entry: &Entry, world: &World<'_>, problems: &mut Vec<Problem>) {
    for (field, kind) in [("templater", "templater"), ("strategy", "strategy")] {
        let name = entry.text(&format!("/spec/{field}/plugin"));
        world.refer_plugin(kind, Path::of(["spec", field, "plugin"]), name, problems);
    }
    for (name, check) in entry.fields("/spec/checks") {
        let plugin = check.get("plugin").and_then(Value::as_str);
        world.refer_plugin("check", Path::of(["spec", "checks", name, "plugin"]), plugin, problems);
    }
    let afterwards = entry.value.pointer("/spec/afterwards/checks").and_then(Value::as_array);
    let known: Vec<&str> = entry.fields("/spec/checks").map(|(name, _)| name).collect();
    for (place, name) in afterwards.into_iter().flatten().enumerate() {
        let Some(name) = name.as_str().filter(|name| !known.contains(name)) else { continue };
        let path = Path::of(["spec", "afterwards", "checks"]).then(place);
        let what = "the name of one of the type's `checks`";
        problems.push(Problem::unknown(path, name, what, known.iter().copied()));
    }
    attestations(entry, problems);
    git(entry, problems);
    let templater = entry.value.pointer("/spec/templater");
    let has = |field| templater.is_some_and(|templater| templater.get(field).is_some());
    if has("baseline") && has("baselineFile") {
        problems.push(Problem::at_key(
            Path::of(["spec", "templater", "baselineFile"]),
            "baseline and baselineFile",
            "at most one of them",
        ));
    }
}

/// Where requests of a pulled environment may go to.
const GIT_SCHEMES: [&str; 3] = ["https", "http", "tcp"];

/// That it is said where a pulled environment is pulled from, and that this is a place.
fn git(entry: &Entry, problems: &mut Vec<Problem>) {
    let is_pulled = entry.text("/spec/target") == Some("git");
    let found = entry.value.pointer("/spec/git");
    let Some(found) = found else {
        if is_pulled {
            let expected = "`git` beside it: the repository that it is pulled from";
            problems.push(Problem::at_value(Path::of(["spec", "target"]), "git", expected));
        }
        return;
    };
    if !is_pulled {
        let expected = "`target: git` beside it, or no `git`";
        problems.push(Problem::at_key(Path::of(["spec", "git"]), "git", expected));
    }
    let path = Path::of(["spec", "git", "hosts"]);
    for (index, host) in entry.items("/spec/git/hosts").enumerate() {
        check_host(&path.clone().then(index), host, &GIT_SCHEMES, problems);
    }
    // With names as they could be: which ones there are, is no matter here.
    let (Ok(environment), Ok(of_type)) = ("app/env".parse(), "type".parse()) else { return };
    let Ok(spec) = serde_json::from_value::<GitSpec>(found.clone()) else { return };
    if let Err(invalid) = placed(&spec, &environment, &of_type) {
        let path = Path::of(["spec", "git"]);
        let path = invalid.field.split('.').fold(path, |path, field| path.then(field));
        problems.push(Problem::at_value(path, invalid.found, invalid.expected));
    }
}

/// That each has a name of its own, and somebody whose signature counts.
fn attestations(entry: &Entry, problems: &mut Vec<Problem>) {
    let rules = entry.value.pointer("/spec/attestations").and_then(Value::as_array);
    let mut names = BTreeSet::new();
    for (place, rule) in rules.into_iter().flatten().enumerate() {
        let path = || Path::of(["spec", "attestations"]).then(place);
        let name = rule.get("name").and_then(Value::as_str).unwrap_or_default();
        if !names.insert(name) {
            problems.push(Problem::at_value(path().then("name"), name, "a name that no other has"));
        }
        let list = |field: &str| {
            let found = rule.get("signedBy").and_then(|by| by.get(field));
            found.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
        };
        let signed_by = || path().then("signedBy");
        if list("keys").is_empty() && list("identities").is_empty() {
            let expected = "keys or identities: whose signature counts";
            problems.push(Problem::at_value(signed_by(), "neither", expected));
        }
        for (at, key) in list("keys").iter().enumerate() {
            let text = key.as_str().unwrap_or_default();
            if !text.trim_start().starts_with("-----BEGIN PUBLIC KEY-----") {
                let found = text.lines().next().unwrap_or_default();
                let expected = "a public key as PEM: -----BEGIN PUBLIC KEY-----";
                problems.push(Problem::at_value(
                    signed_by().then("keys").then(at),
                    found,
                    expected,
                ));
            }
        }
        let root = rule.pointer("/signedBy/trustedRoot").and_then(Value::as_str);
        let is_document =
            |text: &str| matches!(serde_json::from_str::<Value>(text), Ok(Value::Object(_)));
        if let Some(root) = root.filter(|root| *root != "github" && !is_document(root)) {
            let found = root.lines().next().unwrap_or_default();
            let expected = "`github`, or the text of a trusted_root.json";
            problems.push(Problem::at_value(signed_by().then("trustedRoot"), found, expected));
        }
        let fields = rule.get("fields").and_then(Value::as_object).into_iter().flatten();
        for (pointer, _) in fields.filter(|(pointer, _)| !pointer.starts_with('/')) {
            let expected = "a JSON pointer into the predicate: /runDetails/builder/id";
            problems.push(Problem::at_key(path().then("fields").then(pointer), pointer, expected));
        }
    }
}
