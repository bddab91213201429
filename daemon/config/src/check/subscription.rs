//! Subscriptions.

use super::{Entry, World};
use crate::path::Path;
use crate::problem::Problem;

pub(super) fn check(entry: &Entry, world: &World<'_>, problems: &mut Vec<Problem>) {
    let path = Path::of(["spec", "notifier"]);
    world.refer_plugin("notifier", path, entry.text("/spec/notifier"), problems);
}
