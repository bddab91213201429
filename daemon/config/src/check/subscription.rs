//! Subscriptions.

use deployd_core::config::{Every, GROUP_WAIT_MS_MAX, glob_matches};
use deployd_core::notice;

use super::plugin::check_host;
use super::{Entry, World};
use crate::path::Path;
use crate::problem::Problem;

/// Where a notifier's requests may go to.
const SCHEMES: [&str; 4] = ["http", "https", "smtp", "smtps"];

pub(super) fn check(entry: &Entry, world: &World<'_>, problems: &mut Vec<Problem>) {
    let path = Path::of(["spec", "notifier"]);
    world.refer_plugin("notifier", path, entry.text("/spec/notifier"), problems);
    for (index, pattern) in entry.items("/spec/events").enumerate() {
        let Some(pattern) = pattern.as_str() else { continue };
        if !notice::TYPES.iter().any(|told| glob_matches(pattern, told)) {
            let path = Path::of(["spec", "events"]).then(index);
            let what = "a type of events, or a pattern of some";
            problems.push(Problem::unknown(path, pattern, what, notice::TYPES));
        }
    }
    let wait = entry.text("/spec/group/wait").and_then(|wait| wait.parse::<Every>().ok());
    if let Some(wait) = wait.filter(|wait| wait.ms() > GROUP_WAIT_MS_MAX) {
        let path = Path::of(["spec", "group", "wait"]);
        problems.push(Problem::at_value(path, wait.to_string(), "a day at most: `24h`"));
    }
    if wait.is_some() && entry.text("/spec/approver").is_some() {
        let path = Path::of(["spec", "group"]);
        let expected = "none beside `approver`, whose link is for one deployment";
        problems.push(Problem::at_value(path, "a group", expected));
    }
    let path = Path::of(["spec", "hosts"]);
    for (index, host) in entry.items("/spec/hosts").enumerate() {
        check_host(&path.clone().then(index), host, &SCHEMES, problems);
    }
    if entry.text("/spec/urlSecret").is_some() && entry.text("/spec/config/url").is_some() {
        let path = Path::of(["spec", "config", "url"]);
        problems.push(Problem::at_value(path, "a url", "none: `urlSecret` has it"));
    }
}
