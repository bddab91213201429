//! Receiver `github`: images that GitHub Packages (ghcr.io) tells of, or that workflows
//! have built, or that somebody's deployment names; and commits that were pushed.
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
//!     refs: [refs/heads/main]     # of runs and deployments; all if absent
//! ```
//!
//! The webhook is that of the repository which the package belongs to, or of its
//! organisation, with the events "Packages" or "Registry packages" and the content
//! type `application/json`. Where images are in another registry, it is the events
//! "Workflow runs" or "Check suites" instead: one that has succeeded has built the
//! images that the configuration names. Placeholders of the tag: `${commit}`,
//! `${short-commit}` (7 characters), `${ref}`, `${ref-slug}` and `${run-number}` (of a
//! workflow). Which digest the tag has is asked of the registry.
//!
//! Of the event "Pushes", it tells of the last commit: who has made it, when, and what has
//! changed with the push. Images of that commit get that from there, whatever tells of
//! them, if the push comes before them. Pushes of tags are of no interest: their commits
//! were pushed to a branch.
//!
//! Of the event "Deployments", it tells of the images that somebody's deployment names in
//! its payload, `{"image": "registry.example.com/shop/web@sha256:…"}` or `{"images":
//! […]}`: those are there to be deployed, as if they had been announced, and which stages
//! take them is the flow's matter. A name without `refs/` is taken for a branch's. What
//! deployd itself has told GitHub of (`github-deployments`) is of no interest.
//!
//! The commit is that of the image's label `org.opencontainers.image.revision`, which
//! the usual build actions set. GitHub tells of a *target* as well: the default branch
//! of the repository, and its head, whatever the image was built from. Its ref is the
//! image's where the commits are equal; or for all, where the configuration says that
//! nothing else is built.

mod deployment;
mod package;
mod push;
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
        let found = match event {
            "workflow_run" | "check_suite" if config.images.is_empty() => {
                Err(format!("event {event}: no images are configured"))
            }
            "workflow_run" | "check_suite" => {
                let (workflows, refs) = (config.workflows.as_deref(), config.refs.as_deref());
                let wanted = run::Wanted { images: &config.images, workflows, refs };
                run::images(event, image_events::body(delivery)?, &wanted)?
            }
            "push" => push::commits(&image_events::body(delivery)?)?,
            "deployment" => {
                let body = image_events::body(delivery)?;
                let found = deployment::images(&body, config.refs.as_deref())?;
                // Who has asked for it wants to know why nothing comes of it.
                return Ok(found.unwrap_or_else(|reason| {
                    log.info(&reason);
                    Vec::new()
                }));
            }
            "package" | "registry_package" => package(event, delivery, config)?,
            _ => Err(format!("event {event}: of no interest")),
        };
        Ok(found.unwrap_or_else(|reason| {
            log.debug(&reason);
            Vec::new()
        }))
    }
}

/// The image of a package that was pushed; or why it is of no interest.
fn package(
    event: &str,
    delivery: &Delivery,
    config: &Config,
) -> Result<Result<Vec<Received>, String>, Fault> {
    let body: Body = image_events::body(delivery)?;
    if body.action != "published" && body.action != "updated" {
        return Ok(Err(format!("a package was {}: of no interest", body.action)));
    }
    let package = if event == "package" { body.package } else { body.registry_package };
    let at = format!("/body/{event}");
    let package = package.ok_or_else(|| missing(&at, "a package"))?;
    if !IMAGE_PACKAGES.contains(&package.package_type.to_ascii_lowercase().as_str()) {
        return Ok(Err(format!("a package of type {}: of no interest", package.package_type)));
    }
    let at_version = format!("{at}/package_version");
    let version = package.package_version.ok_or_else(|| missing(&at_version, "a version"))?;
    let version: Version = fit(at_version.trim_start_matches('/'), version)?;
    if !version.is_image() || (!version.is_tagged() && !config.untagged) {
        let reason = "a part of an image, or something else than an image: of no interest";
        return Ok(Err(reason.to_owned()));
    }
    let mut image = version.image(&at_version, config.default_branch_only)?;
    if let (None, Some(updated)) = (image.sequence, &package.updated_at) {
        // Of some events the version has the year 1 for all of its times.
        image.sequence = image_events::millis(&format!("{at}/updated_at"), updated)?;
    }
    Ok(Ok(vec![Received::Artifact(image)]))
}

fn missing(at: &str, expected: &str) -> Fault {
    Fault::invalid(at, format!("is missing, expected {expected}"))
}
