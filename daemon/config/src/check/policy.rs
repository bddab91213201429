//! Policies.

use deployd_core::config::DocumentKind;
use serde_json::Value;

use super::selector::selects;
use super::{Entry, World};
use crate::path::Path;
use crate::problem::Problem;

pub(super) fn check(entry: &Entry, world: &World<'_>, problems: &mut Vec<Problem>) {
    let selector = Path::of(["spec", "selector"]);
    selects(&selector, entry.value.pointer("/spec/selector"), world, problems);
    let path = Path::of(["spec", "plugin"]);
    world.refer_plugin("policy", path, entry.text("/spec/plugin"), problems);
    for (place, exemption) in entry.items("/spec/exemptions").enumerate() {
        let path = Path::of(["spec", "exemptions"]).then(place).then("application");
        let name = exemption.get("application").and_then(Value::as_str);
        world.refer((DocumentKind::Application, None), path, name, problems);
    }
}
