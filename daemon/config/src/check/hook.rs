//! Hooks.

use super::{Entry, World};
use crate::path::Path;
use crate::problem::Problem;

pub(super) fn check(entry: &Entry, world: &World<'_>, problems: &mut Vec<Problem>) {
    let path = Path::of(["spec", "receiver", "plugin"]);
    world.refer_plugin("receiver", path, entry.text("/spec/receiver/plugin"), problems);
    let scheme = entry.text("/spec/verify/scheme");
    let header = entry.text("/spec/verify/header");
    if let (Some(scheme), Some(header)) = (scheme.filter(|scheme| *scheme != "header"), header) {
        let path = Path::of(["spec", "verify", "header"]);
        let expected = format!("nothing: the scheme {scheme} has a header of its own, or none");
        let found = crate::shown::quoted(header);
        let hint = "`scheme: header` is for a header that holds the secret itself";
        problems.push(Problem::at_value(path, found, expected).hint(Some(hint)));
    }
}
