//! Score documents.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deployd_core::config::DocumentKind;
use serde_json::Value;

use super::order::{self, Edges};
use super::placeholders::{self, Scope};
use super::{Entry, World, fields};
use crate::path::Path;
use crate::problem::Problem;

pub(super) fn check(entry: &Entry, world: &World<'_>, problems: &mut Vec<Problem>) {
    let mut names: Vec<&str> = entry.fields("/resources").map(|(name, _)| name).collect();
    // What the application shares is found after what the workload has itself.
    let application = entry.application.as_deref();
    let application = application.and_then(|name| world.get(DocumentKind::Application, None, name));
    if let Some(application) = application {
        names.extend(application.fields("/spec/resources").map(|(name, _)| name));
    }
    // If it may be in what could not be read, nothing is known to be missing.
    let known = application.is_some() || world.is_complete();
    let metadata = entry.value.get("metadata").unwrap_or(&Value::Null);
    let resources = known.then_some(names.as_slice());
    let scope = Scope { metadata, resources, owner: "workload" };
    for (name, container) in entry.fields("/containers") {
        check_container(&scope, &Path::of(["containers", name]), container, problems);
    }
    check_before(entry, problems);
    let mut edges = Edges::new();
    for (name, resource) in entry.fields("/resources") {
        let path = Path::of(["resources", name, "params"]);
        placeholders::check_all(&scope, &path, resource.get("params"), problems);
        placeholders::edges(name, &path, resource.get("params"), &mut edges);
    }
    order::check(&edges, "resources whose params do not refer to each other in a circle", problems);
}

fn check_container(scope: &Scope<'_>, path: &Path, container: &Value, problems: &mut Vec<Problem>) {
    let variables = path.then("variables");
    placeholders::check_all(scope, &variables, container.get("variables"), problems);
    for (target, volume) in fields(container.get("volumes")) {
        let path = path.then("volumes").then(target).then("source");
        placeholders::check_all(scope, &path, volume.get("source"), problems);
    }
    for (target, file) in fields(container.get("files")) {
        let path = path.then("files").then(target);
        if file.get("noExpand") != Some(&Value::Bool(true)) {
            placeholders::check_all(scope, &path.then("content"), file.get("content"), problems);
        }
        if let Some(content) = file.get("binaryContent").and_then(Value::as_str) {
            check_base64(path.then("binaryContent"), content, problems);
        }
    }
}

fn check_base64(path: Path, content: &str, problems: &mut Vec<Problem>) {
    // Long values are broken into lines.
    let joined: String = content.split_ascii_whitespace().collect();
    if STANDARD.decode(&joined).is_err() {
        problems.push(Problem::at_value(path, crate::shown::quoted(content), "base 64"));
    } else if joined.len() != content.len() {
        let found = "base 64 with white space in it";
        problems.push(Problem::at_value(path, found, "base 64 without"));
    }
}

fn check_before(entry: &Entry, problems: &mut Vec<Problem>) {
    let known: Vec<&str> = entry.fields("/containers").map(|(name, _)| name).collect();
    let mut edges = Edges::new();
    for (name, container) in entry.fields("/containers") {
        for (other, _) in fields(container.get("before")) {
            let path = Path::of(["containers", name, "before", other]);
            if known.contains(&other) {
                edges.entry(name.to_owned()).or_default().insert(other.to_owned(), path);
            } else {
                let what = "the name of one of the containers";
                problems.push(Problem::unknown(path, other, what, known.iter().copied()));
            }
        }
    }
    order::check(&edges, "containers that do not wait for each other in a circle", problems);
}
