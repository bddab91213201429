//! Receiver `github`: images that GitHub Packages (ghcr.io) tells of, or that workflows
//! have built.
//!
//! ```yaml
//! receiver:
//!   plugin: github
//!   config:
//!     untagged: false             # images pushed by digest only
//!     defaultBranchOnly: false    # images are built from the default branch only
//!     images:                     # of workflow runs and check suites
//!       - { repository: "registry.example.com/${repository}", tag: "${commit}" }
//!     workflows: [release]        # all if absent; of check suites, the app's slug
//!     refs: [refs/heads/main]     # all if absent
//! ```
//!
//! The webhook is that of the repository which the package belongs to, or of its
//! organisation, with the events "Packages" or "Registry packages" and the content
//! type `application/json`. Where images are in another registry, it is the events
//! "Workflow runs" or "Check suites" instead: one that has succeeded has built the
//! images that the configuration names. Placeholders of the tag: `${commit}`,
//! `${short-commit}` (7 characters), `${ref}`, `${ref-slug}` and `${run-number}` (of a
//! workflow). Which digest the tag has is asked of the registry. Other events are known
//! and of no interest: when something was pushed to a branch, its image is yet to be
//! built.
//!
//! The commit is that of the image's label `org.opencontainers.image.revision`, which
//! the usual build actions set. GitHub tells of a *target* as well: the default branch
//! of the repository, and its head, whatever the image was built from. Its ref is the
//! image's where the commits are equal; or for all, where the configuration says that
//! nothing else is built.

mod package;
mod run;
#[cfg(test)]
mod tests;

use crate::package::{Package, Version};
use deployd_plugin_sdk::receiver::{Delivery, Received, Receiver};
use deployd_plugin_sdk::{Fault, Log, export_receiver, fit};
use serde::Deserialize;

/// The receiver.
pub struct Github;

export_receiver!(Github);

/// What is told of.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    untagged: bool,
    default_branch_only: bool,
    images: Vec<image_events::ConfiguredImage>,
    workflows: Option<Vec<String>>,
    refs: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Body {
    action: String,
    package: Option<Package>,
    registry_package: Option<Package>,
}

/// Types of packages that are images, in lower case: the registry's of today, and that
/// of docker.pkg.github.com.
const IMAGE_PACKAGES: [&str; 2] = ["container", "docker"];

impl Receiver for Github {
    type Config = Config;

    fn decode(
        delivery: &Delivery,
        config: &Config,
        log: &impl Log,
    ) -> Result<Vec<Received>, Fault> {
        let event = image_events::header(delivery, "x-github-event")?;
        if event == "workflow_run" || event == "check_suite" {
            if config.images.is_empty() {
                log.debug(&format!("event {event}: no images are configured"));
                return Ok(Vec::new());
            }
            let (workflows, refs) = (config.workflows.as_deref(), config.refs.as_deref());
            let wanted = run::Wanted { images: &config.images, workflows, refs };
            let found = run::images(event, image_events::body(delivery)?, &wanted)?;
            return Ok(found.unwrap_or_else(|reason| {
                log.debug(&reason);
                Vec::new()
            }));
        }
        if event != "package" && event != "registry_package" {
            log.debug(&format!("event {event}: of no interest"));
            return Ok(Vec::new());
        }
        let body: Body = image_events::body(delivery)?;
        if body.action != "published" && body.action != "updated" {
            log.debug(&format!("a package was {}: of no interest", body.action));
            return Ok(Vec::new());
        }
        let package = if event == "package" { body.package } else { body.registry_package };
        let at = format!("/body/{event}");
        let package = package.ok_or_else(|| missing(&at, "a package"))?;
        if !IMAGE_PACKAGES.contains(&package.package_type.to_ascii_lowercase().as_str()) {
            log.debug(&format!("a package of type {}: of no interest", package.package_type));
            return Ok(Vec::new());
        }
        let at_version = format!("{at}/package_version");
        let version = package.package_version.ok_or_else(|| missing(&at_version, "a version"))?;
        let version: Version = fit(at_version.trim_start_matches('/'), version)?;
        if !version.is_image() || (!version.is_tagged() && !config.untagged) {
            log.debug("a part of an image, or something else than an image: of no interest");
            return Ok(Vec::new());
        }
        let mut image = version.image(&at_version, config.default_branch_only)?;
        if let (None, Some(updated)) = (image.sequence, &package.updated_at) {
            // Of some events the version has the year 1 for all of its times.
            image.sequence = image_events::millis(&format!("{at}/updated_at"), updated)?;
        }
        Ok(vec![Received::Artifact(image)])
    }
}

fn missing(at: &str, expected: &str) -> Fault {
    Fault::invalid(at, format!("is missing, expected {expected}"))
}
