//! Which environments a document is for.

use deployd_core::config::DocumentKind;
use serde_json::Value;

use super::World;
use crate::path::Path;
use crate::problem::Problem;

/// Names of what is not there would keep a freeze or a policy from holding, and
/// nobody would see it. Environments come and go; what they are named is not looked up.
pub(super) fn selects(
    path: &Path,
    selector: Option<&Value>,
    world: &World<'_>,
    problems: &mut Vec<Problem>,
) {
    for (field, kind) in [
        ("applications", DocumentKind::Application),
        ("environmentTypes", DocumentKind::EnvironmentType),
    ] {
        let names = selector.and_then(|selector| selector.get(field)).and_then(Value::as_array);
        for (place, name) in names.into_iter().flatten().enumerate() {
            world.refer((kind, None), path.then(field).then(place), name.as_str(), problems);
        }
    }
}
