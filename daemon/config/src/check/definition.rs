//! Resource definitions.

use std::collections::BTreeMap;

use deployd_core::Name;
use deployd_core::config::{DocumentKind, ResourceDefinitionSpec};
use deployd_core::graph::parse_key;
use deployd_core::matching;
use deployd_core::score::{Reference, references};

use super::placeholders::{ESCAPE, placeholder, strings};
use super::{Entry, World};
use crate::error::DocumentError;
use crate::path::Path;
use crate::problem::Problem;
use crate::shown;

const ROOTS: [&str; 4] = ["context", "resource", "values", "resources"];
const CONTEXT: [&str; 3] = ["application", "environment", "environment_type"];
const RESOURCE: [&str; 5] = ["id", "class", "type", "workload", "params"];

/// How an output of another resource is written.
const OUTPUT: &str = "an output of another resource: `${resources.TYPE[/CLASS][#ID].OUTPUT}`";

pub(super) fn check(entry: &Entry, world: &World<'_>, problems: &mut Vec<Problem>) {
    world.refer_plugin(
        "driver",
        Path::of(["spec", "driver"]),
        entry.text("/spec/driver"),
        problems,
    );
    if let Some(lender) = entry.text("/spec/lender") {
        // What is no `application/environment` is reported already.
        if let Some((application, environment)) = lender.split_once('/') {
            let environments = (DocumentKind::Environment, Some(application));
            world.refer(environments, Path::of(["spec", "lender"]), Some(environment), problems);
        }
        if entry.value.pointer("/spec/inputs").is_some() {
            problems.push(Problem::at_key(
                Path::of(["spec", "inputs"]),
                "inputs of a resource that is borrowed",
                "none: they stand in the definition by which the lender provisions it",
            ));
        }
    }
    if let Some(inputs) = entry.value.pointer("/spec/inputs") {
        strings(&Path::of(["spec", "inputs"]), inputs, &mut |path, text| {
            for reference in references(text) {
                problems.extend(wrong(world, path, &reference));
            }
        });
    }
}

fn wrong(world: &World<'_>, path: &Path, reference: &Reference) -> Option<Problem> {
    let problem = |expected: String, hint: Option<String>| {
        Some(Problem::at_value(path.clone(), placeholder(reference), expected).hint(hint))
    };
    let one_of = |what: &str, key: Option<&String>, known: &[&str]| {
        let hint = key.and_then(|key| shown::did_you_mean(key, known.iter().copied()));
        let known: Vec<String> = known.iter().map(|key| format!("{what}.{key}")).collect();
        problem(format!("one of {}", shown::list(known.iter().map(String::as_str))), hint)
    };
    match reference.root() {
        ("context", [key]) if CONTEXT.contains(&key.as_str()) => None,
        ("context", keys) => one_of("context", keys.first(), &CONTEXT),
        ("resource", [params, _, ..]) if params == "params" => None,
        ("resource", [key]) if RESOURCE.contains(&key.as_str()) => None,
        ("resource", keys) => one_of("resource", keys.first(), &RESOURCE),
        ("values", [_, ..]) => None,
        ("values", []) => problem("a value of the environment: `${values.NAME}`".to_owned(), None),
        ("resources", [key, ..]) => {
            let Some(key) = parse_key(key) else { return problem(OUTPUT.to_owned(), None) };
            let (known, wanted) = (world.resource_types(), key.resource_type.as_str());
            if !world.is_complete() || known.contains(wanted) {
                return None;
            }
            let hint = shown::did_you_mean(wanted, known.iter().copied());
            let expected = format!("a type that has a ResourceDefinition: {}", shown::list(known));
            problem(expected, hint)
        }
        ("resources", []) => problem(OUTPUT.to_owned(), None),
        (root, _) => {
            let hint = shown::did_you_mean(root, ROOTS).unwrap_or_else(|| ESCAPE.to_owned());
            problem(
                format!("a placeholder that begins with one of {}", shown::list(ROOTS)),
                Some(hint),
            )
        }
    }
}

/// Definitions that can match the same resource equally well. Each pair is
/// reported once, at the one that is given; of two, at the one that sorts last.
pub(super) fn ties(world: &World<'_>) -> Vec<DocumentError> {
    let mut entries: BTreeMap<Name, &Entry> = BTreeMap::new();
    let mut specs: BTreeMap<Name, ResourceDefinitionSpec> = BTreeMap::new();
    for entry in world.of_kind(DocumentKind::ResourceDefinition) {
        let spec = entry.value.get("spec").cloned().unwrap_or_default();
        // Of what has another error nothing can be said yet.
        let Ok(spec) = serde_json::from_value(spec) else { continue };
        let Ok(name) = entry.name.parse::<Name>() else { continue };
        entries.insert(name.clone(), entry);
        specs.insert(name, spec);
    }
    let mut errors = Vec::new();
    for (first, second) in matching::ties(&specs) {
        let (Some(first), Some(second)) = (entries.get(&first), entries.get(&second)) else {
            continue;
        };
        let (known, given) = if second.node.is_some() { (first, second) } else { (second, first) };
        if given.node.is_none() {
            // Both were applied before.
            continue;
        }
        let place = match &known.node {
            Some(node) => format!("{}:{}", known.file, node.at.line),
            None => "applied before".to_owned(),
        };
        let found = format!("criteria that are as specific as those of {} ({place})", known.name);
        let hint = "a resource that both match would have two definitions; make one more specific, or let their criteria exclude each other";
        let path = if given.value.pointer("/spec/criteria").is_some() {
            Path::of(["spec", "criteria"])
        } else {
            Path::of(["spec"])
        };
        let problem = Problem::at_key(path, found, "criteria of which one is more specific");
        errors.push(given.error(problem.hint(Some(hint))));
    }
    errors
}
