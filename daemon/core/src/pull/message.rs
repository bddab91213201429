//! The message of a commit: what it deploys, for people, and by which it is found again.

use std::collections::BTreeSet;

use super::markdown::{cut, plain};
use super::proposal::Proposed;
use crate::deployment::{Origin, StepId};
use crate::image::Image;

/// Characters of a subject: what `git log` and forges show without cutting it.
pub const SUBJECT_CHARS_MAX: usize = 72;

/// Characters of a deployment's id within a subject: of a ULID, when it was made, to the
/// millisecond.
const ID_CHARS: usize = 10;

/// Characters of a trailer's value.
const VALUE_CHARS_MAX: usize = 500;

/// Images that have a trailer each.
const ARTIFACTS_MAX: usize = 100;

/// Images that a subject names before it counts them: more don't fit.
const NAMED_MAX: usize = 2;

/// Characters of an image's version within a subject: a digest has twelve.
const VERSION_CHARS_MAX: usize = 24;

/// The subject of the commit, and the title of the pull request: where, what, and which
/// deployment: `shop/staging: deploy web 1.4.2 (01kb2m9x7q…)`.
pub fn subject(proposed: &Proposed<'_>) -> String {
    let id = cut(&plain(&proposed.deployment.id.0, SUBJECT_CHARS_MAX), ID_CHARS.saturating_add(1));
    let end = format!(" ({id})");
    let room = SUBJECT_CHARS_MAX.saturating_sub(end.chars().count());
    let what = what(proposed);
    let begin = plain(&format!("{}: {what}", proposed.plan.environment), room);
    format!("{begin}{end}")
}

fn what(proposed: &Proposed<'_>) -> String {
    if proposed.plan.teardown {
        return "take away".to_owned();
    }
    let verb = match &proposed.deployment.request.origin {
        Origin::Rollback { .. } => "go back to",
        Origin::Drift { .. } => "heal drift of",
        _ => "deploy",
    };
    let changed: Vec<String> = versions(proposed)
        .into_iter()
        .map(|(workload, version)| format!("{workload} {version}"))
        .collect();
    let named = changed.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    match changed.len() {
        0 => format!("{verb} set {}", proposed.plan.set.short()),
        count if count > NAMED_MAX => {
            format!("{verb} {named} and {} more", count.saturating_sub(NAMED_MAX))
        }
        _ => format!("{verb} {named}"),
    }
}

/// Workloads, and the version of each image of theirs that was another before.
fn versions(proposed: &Proposed<'_>) -> BTreeSet<(String, String)> {
    let before = proposed.set_before.map(crate::set::DeploymentSet::images).unwrap_or_default();
    let images = proposed.set.images().into_iter();
    images
        .filter(|(place, image)| before.get(place) != Some(image))
        .map(|((workload, _), image)| (workload, version(&image)))
        .collect()
}

/// What people know an image by: its tag, or else the beginning of its digest.
pub(super) fn version(image: &str) -> String {
    let Image { tag, digest, .. } = Image::of(image);
    let version = tag.or_else(|| digest.map(|digest| digest.short()));
    // Only what tags may have (OCI distribution, "pull"): no reference to an issue.
    let kept = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+');
    let version: String = version.unwrap_or_default().chars().filter(kept).collect();
    if version.is_empty() { "latest".to_owned() } else { cut(&version, VERSION_CHARS_MAX) }
}

/// The message of the commit of a step: a subject of [`SUBJECT_CHARS_MAX`] characters at
/// most, some lines, and trailers as `git interpret-trailers` reads them. No text of
/// others begins a line.
pub fn commit_message(proposed: &Proposed<'_>, step: &StepId) -> String {
    let Proposed { deployment, plan, set, .. } = proposed;
    let images: BTreeSet<String> = set.images().into_values().collect();
    let number = deployment.number;
    let mut message = format!("{}\n\n", subject(proposed));
    message.push_str(&format!("Deployment {number} of this environment, by deployd."));
    if images.len() > ARTIFACTS_MAX {
        let count = images.len();
        message.push_str(&format!(" The first {ARTIFACTS_MAX} of {count} images are named."));
    }
    message.push_str("\n\n");
    let mut trailer = |name: &str, value: &str| {
        let value = plain(value, VALUE_CHARS_MAX);
        message.push_str(&format!(
            "Deployd-{name}: {}\n",
            if value.is_empty() { "-" } else { &value }
        ));
    };
    trailer("Deployment", &deployment.id.0);
    trailer("Environment", &plan.environment.to_string());
    trailer("Set", &plan.set.to_string());
    if let Some(digest) = deployment.plan {
        trailer("Plan", &digest.to_string());
    }
    for image in images.iter().take(ARTIFACTS_MAX) {
        trailer("Artifact", image);
    }
    trailer("Actor", &deployment.actor.0);
    trailer("Step", &step.0);
    message
}
