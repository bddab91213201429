//! Package URLs of images.

use deployd_plugin_sdk::receiver::Artifact;
use deployd_plugin_sdk::{Fault, shown};
use packageurl::PackageUrl;

/// What is taken for the registry of a package of type `docker` that names none.
const DOCKER_HUB: &str = "docker.io";
/// By what name package URLs know it.
const DOCKER_HUB_PAGES: &str = "hub.docker.com";
/// Where its official images are.
const OFFICIAL: &str = "library";

/// The image that a package URL names; none if it names something else. `registry` is
/// where images are whose URL does not say it.
///
/// # Errors
/// A fault if it is no package URL, or one of an image that can't be found by it.
pub(crate) fn image(at: &str, id: &str, registry: Option<&str>) -> Result<Option<Artifact>, Fault> {
    let package: PackageUrl<'_> = id.parse().map_err(|error| {
        let found = shown(id);
        Fault::invalid(at, format!("found {found:?}, expected a package URL (purl): {error}"))
    })?;
    if !matches!(package.ty(), "oci" | "docker") {
        return Ok(None);
    }
    let qualifier = |name: &str| {
        let value = package.qualifiers().get(name).map(|value| value.as_ref());
        value.filter(|value| !value.is_empty())
    };
    let repository = repository(at, &package, qualifier("repository_url"), registry)?;
    let version = package.version().unwrap_or_default();
    // Of a Docker image, the version can be a tag. Of an OCI artifact it is a digest,
    // and everything else is refused as one.
    let is_tag = package.ty() == "docker" && !version.starts_with("sha256:");
    let digest = (!version.is_empty() && !is_tag).then(|| image_events::digest(at, version));
    let tag = qualifier("tag").or_else(|| Some(version).filter(|tag| is_tag && !tag.is_empty()));
    let tag = tag.map(|tag| image_events::tag(at, tag));
    if digest.is_none() && tag.is_none() {
        return Err(Fault::invalid(
            at,
            format!("found {:?}, expected a digest or a tag in it", shown(id)),
        ));
    }
    let source = qualifier("vcs_url").and_then(|url| url.rsplit_once('@'));
    Ok(Some(Artifact {
        repository: image_events::repository(at, &repository)?,
        digest: digest.transpose()?,
        tag: tag.transpose()?,
        // Behind the `@` can be a tag or branch as well.
        commit: source.and_then(|(_, commit)| image_events::commit(at, commit).ok()),
        ..Artifact::default()
    }))
}

fn repository(
    at: &str,
    package: &PackageUrl<'_>,
    url: Option<&str>,
    registry: Option<&str>,
) -> Result<String, Fault> {
    let name = match package.namespace() {
        Some(namespace) => format!("{namespace}/{}", package.name()),
        None => package.name().to_owned(),
    };
    if let Some(url) = url {
        let place = url.split_once("://").map_or(url, |(_, place)| place).trim_end_matches('/');
        if place != DOCKER_HUB_PAGES {
            // By the specification it is the whole repository; many write what stands
            // before its name.
            let is_whole =
                place.strip_suffix(name.as_str()).is_some_and(|rest| rest.ends_with('/'));
            return Ok(if is_whole { place.to_owned() } else { format!("{place}/{name}") });
        }
    }
    if package.ty() == "docker" {
        let is_official = package.namespace().is_none();
        let name = if is_official { format!("{OFFICIAL}/{name}") } else { name };
        return Ok(format!("{DOCKER_HUB}/{name}"));
    }
    match registry {
        Some(registry) => {
            let registry = image_events::registry("/config/registry", registry)?;
            Ok(format!("{registry}/{name}"))
        }
        None => Err(Fault::invalid(
            at,
            "the package URL has no repository_url, expected one, or a registry in the receiver's configuration",
        )),
    }
}
