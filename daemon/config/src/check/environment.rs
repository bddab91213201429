//! Environments and their types.

use deployd_core::config::DocumentKind;
use serde_json::Value;

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
