//! Applications: what they list exists.

use std::collections::BTreeSet;

use deployd_core::config::{DocumentKind, StartRule};
use serde_json::Value;

use super::placeholders::{self, Scope};
use super::{Entry, World, fields, order};
use crate::path::Path;
use crate::problem::Problem;
use crate::shown;

pub(super) fn check(entry: &Entry, world: &World<'_>, problems: &mut Vec<Problem>) {
    let own = |kind| (kind, Some(entry.name.as_str()));
    let workloads = Path::of(["spec", "workloads"]);
    let lists = |pointer| entry.value.pointer(pointer).and_then(Value::as_array);
    let has_resources = entry
        .value
        .pointer("/spec/resources")
        .and_then(Value::as_object)
        .is_some_and(|r| !r.is_empty());
    if lists("/spec/workloads").is_some_and(Vec::is_empty) && !has_resources {
        let expected = "at least one workload, or resources for others";
        problems.push(Problem::at_value(workloads.clone(), "none", expected));
    }
    let mut seen = BTreeSet::new();
    for (index, name) in entry.items("/spec/workloads").enumerate() {
        let Some(name) = name.as_str() else { continue };
        once(&mut seen, name, workloads.then(index), problems);
        // One whose application could not be told is reported already.
        let unowned = world.get(DocumentKind::Workload, None, name).is_some();
        if world.is_complete()
            && !unowned
            && world.get(DocumentKind::Workload, Some(&entry.name), name).is_none()
        {
            let found = format!("{}, for which there is no Score document", shown::quoted(name));
            let expected = "the name of a Score document";
            let hint = format!(
                "apply the Score file whose `metadata.name` is {} together with it",
                shown::shorten(name)
            );
            problems
                .push(Problem::at_value(workloads.then(index), found, expected).hint(Some(hint)));
        }
    }
    let flow = Path::of(["spec", "flow"]);
    let mut seen = BTreeSet::new();
    for (index, stage) in entry.items("/spec/flow").enumerate() {
        let path = flow.then(index).then("environment");
        let name = stage.get("environment").and_then(Value::as_str);
        if let Some(name) = name {
            once(&mut seen, name, path.clone(), problems);
        }
        world.refer(own(DocumentKind::Environment), path, name, problems);
        stage_after(entry, index, stage, &flow.then(index), problems);
        start_rule(stage, &flow.then(index), problems);
    }
    for (index, rule) in entry.items("/spec/artifacts").enumerate() {
        artifact(entry, world, &Path::of(["spec", "artifacts"]).then(index), rule, problems);
    }
    resources(entry, problems);
}

/// A rule for artifacts can be read.
fn start_rule(stage: &Value, path: &Path, problems: &mut Vec<Problem>) {
    let rule = stage.get("automatic").cloned().unwrap_or_default();
    // Of what has another error nothing can be said yet.
    let Ok(rule) = serde_json::from_value::<StartRule>(rule) else { return };
    for fault in rule.faults() {
        let place = Path::from_pointer(&fault.pointer);
        let path = place.steps().iter().fold(path.then("automatic"), |path, step| path.then(step));
        problems.push(Problem::at_value(path, shown::shorten(&fault.found), fault.expected));
    }
}

/// A stage comes after those before it in the list, so that no two wait for each other.
fn stage_after(
    entry: &Entry,
    index: usize,
    stage: &Value,
    path: &Path,
    problems: &mut Vec<Problem>,
) {
    let earlier: Vec<&str> = entry
        .items("/spec/flow")
        .take(index)
        .filter_map(|stage| stage.get("environment").and_then(Value::as_str))
        .collect();
    let after = stage.get("after").and_then(Value::as_array);
    let mut seen = BTreeSet::new();
    for (place, before) in after.into_iter().flatten().enumerate() {
        let Some(name) = before.get("environment").and_then(Value::as_str) else { continue };
        let path = path.then("after").then(place).then("environment");
        if !earlier.contains(&name) {
            let known = match earlier.as_slice() {
                [] => "none: this is the first".to_owned(),
                names => names.join(", "),
            };
            let expected = format!("a stage before this one ({known})");
            problems.push(Problem::at_value(path, shown::quoted(name), expected));
            continue;
        }
        once(&mut seen, name, path, problems);
    }
    let has_after = after.is_some_and(|after| !after.is_empty());
    if has_after && stage.get("automatic").is_some() {
        let found = "a rule for artifacts beside `after`";
        let expected = "one of both: what comes here is announced, or has run in the stages before";
        problems.push(Problem::at_value(path.then("automatic"), found, expected));
    }
    if !has_after && stage.get("promotion").is_some_and(|promotion| promotion == "automatic") {
        let expected = "`after` beside it: the stages in which it has to run before";
        problems.push(Problem::at_value(path.then("promotion"), "automatic", expected));
    }
}

fn once<'a>(seen: &mut BTreeSet<&'a str>, name: &'a str, path: Path, problems: &mut Vec<Problem>) {
    if !seen.insert(name) {
        let found = format!("{} a second time", shown::quoted(name));
        problems.push(Problem::at_value(path, found, "every name once"));
    }
}

fn artifact(
    entry: &Entry,
    world: &World<'_>,
    path: &Path,
    rule: &Value,
    problems: &mut Vec<Problem>,
) {
    let Some(name) = rule.get("workload").and_then(Value::as_str) else { return };
    let listed: Vec<&str> = entry.items("/spec/workloads").filter_map(Value::as_str).collect();
    if !listed.contains(&name) {
        let what = "the name of one of the workloads that this document lists";
        problems.push(Problem::unknown(path.then("workload"), name, what, listed));
        return;
    }
    let Some(container) = rule.get("container").and_then(Value::as_str) else { return };
    let Some(workload) = world.get(DocumentKind::Workload, Some(&entry.name), name) else { return };
    let known: Vec<&str> = workload.fields("/containers").map(|(name, _)| name).collect();
    if !known.contains(&container) {
        let what = format!("the name of one of the containers of {name}");
        problems.push(Problem::unknown(path.then("container"), container, &what, known));
    }
}

fn resources(entry: &Entry, problems: &mut Vec<Problem>) {
    let names: Vec<&str> = entry.fields("/spec/resources").map(|(name, _)| name).collect();
    let metadata = entry.value.get("metadata").unwrap_or(&Value::Null);
    let scope = Scope { metadata, resources: Some(&names), owner: "application" };
    let at = Path::of(["spec", "resources"]);
    let mut edges = order::Edges::new();
    for (name, resource) in fields(entry.value.pointer("/spec/resources")) {
        let params = at.then(name).then("params");
        placeholders::check_all(&scope, &params, resource.get("params"), problems);
        placeholders::edges(name, &params, resource.get("params"), &mut edges);
    }
    order::check(&edges, "resources whose params do not refer to each other in a circle", problems);
}
