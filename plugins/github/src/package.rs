//! Packages as GitHub's webhooks have them.

use crate::missing;
use deployd_plugin_sdk::Fault;
use deployd_plugin_sdk::receiver::Artifact;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
pub(crate) struct Package {
    pub(crate) package_type: String,
    pub(crate) updated_at: Option<String>,
    /// Read when it is known to be an image's: others have other forms.
    pub(crate) package_version: Option<Value>,
}

/// A version of an image. Texts that are not there are empty, absent or null.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Version {
    version: Option<String>,
    package_url: Option<String>,
    created_at: Option<String>,
    updated_at: Option<String>,
    target_commitish: Option<String>,
    target_oid: Option<String>,
    container_metadata: Option<Container>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Container {
    tag: Option<Tag>,
    labels: Option<Labels>,
    manifest: Option<Manifest>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Tag {
    name: Option<String>,
    digest: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Labels {
    revision: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Manifest {
    digest: Option<String>,
    config: Option<ImageConfig>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ImageConfig {
    media_type: Option<String>,
}

/// What images have for configuration; charts and other things have something else.
/// Indexes of images for several platforms have none.
const IMAGE_CONFIGS: [&str; 2] =
    ["application/vnd.docker.container.image.v1+json", "application/vnd.oci.image.config.v1+json"];

impl Version {
    /// Whether it is an image, and not a chart, or a signature of one.
    pub(crate) fn is_image(&self) -> bool {
        let config = self.manifest().and_then(|manifest| manifest.config.as_ref());
        let kind = config.and_then(|config| set(&config.media_type));
        kind.is_none_or(|kind| IMAGE_CONFIGS.contains(&kind))
            && !self.tag().is_some_and(image_events::is_of_another_image)
    }

    pub(crate) fn is_tagged(&self) -> bool {
        self.tag().is_some()
    }

    /// The image, whose version stands at `at`.
    pub(crate) fn image(&self, at: &str, default_branch_only: bool) -> Result<Artifact, Fault> {
        let place = |field: &str| format!("{at}/{field}");
        let url = set(&self.package_url).ok_or_else(|| {
            missing(&place("package_url"), "an image, as ghcr.io/shop/frontend:1.4")
        })?;
        // Names of owners can have capitals; their images are found without. Of what
        // has no tag, the name ends in a bare colon.
        let repository = image_events::without_version(url).to_lowercase();
        let tag =
            self.tag().map(|tag| image_events::tag(&place("container_metadata/tag/name"), tag));
        let digest = self.digest();
        if tag.is_none() && digest.is_none() {
            return Err(missing(&place("container_metadata/tag/digest"), "a digest"));
        }
        let digest = digest.map(|(field, digest)| image_events::digest(&place(field), digest));
        let (commit, git_ref) = self.source(at, default_branch_only)?;
        Ok(Artifact {
            repository: image_events::repository(&place("package_url"), &repository)?,
            digest: digest.transpose()?,
            tag: tag.transpose()?,
            git_ref,
            commit,
            sequence: self.sequence(at)?,
            ..Artifact::default()
        })
    }

    /// The commit and the ref that the image was built from, as far as that is known.
    fn source(
        &self,
        at: &str,
        default_branch_only: bool,
    ) -> Result<(Option<String>, Option<String>), Fault> {
        let container = self.container_metadata.as_ref();
        let labels = container.and_then(|container| container.labels.as_ref());
        let revision = labels.and_then(|labels| set(&labels.revision));
        let target = set(&self.target_oid);
        let is_target = match revision {
            Some(revision) => Some(revision) == target,
            None => default_branch_only,
        };
        let commit = match (revision, target) {
            // A label that is no commit is a matter of who builds, and no reason to
            // lose the image.
            (Some(revision), _) => image_events::commit(at, revision).ok(),
            (None, Some(target)) if is_target => {
                Some(image_events::commit(&format!("{at}/target_oid"), target)?)
            }
            (None, _) => None,
        };
        let branch = set(&self.target_commitish).filter(|_| is_target);
        let at_branch = format!("{at}/target_commitish");
        let git_ref = branch.map(|name| image_events::git_ref(&at_branch, "heads", name));
        Ok((commit, git_ref.transpose()?))
    }

    /// When it was pushed; none if nobody has set that.
    fn sequence(&self, at: &str) -> Result<Option<u64>, Fault> {
        for (field, time) in [("updated_at", &self.updated_at), ("created_at", &self.created_at)] {
            let millis = set(time).map(|time| image_events::millis(&format!("{at}/{field}"), time));
            if let Some(millis) = millis.transpose()?.flatten() {
                return Ok(Some(millis));
            }
        }
        Ok(None)
    }

    fn tag(&self) -> Option<&str> {
        let tag = self.container_metadata.as_ref().and_then(|container| container.tag.as_ref());
        tag.and_then(|tag| set(&tag.name))
    }

    /// The digest, and the field that it is from.
    fn digest(&self) -> Option<(&'static str, &str)> {
        let tag = self.container_metadata.as_ref().and_then(|container| container.tag.as_ref());
        let of_tag = tag.and_then(|tag| set(&tag.digest));
        let of_manifest = self.manifest().and_then(|manifest| set(&manifest.digest));
        let named = set(&self.version).filter(|version| version.starts_with("sha256:"));
        of_tag
            .map(|digest| ("container_metadata/tag/digest", digest))
            .or(of_manifest.map(|digest| ("container_metadata/manifest/digest", digest)))
            .or(named.map(|digest| ("version", digest)))
    }

    fn manifest(&self) -> Option<&Manifest> {
        self.container_metadata.as_ref().and_then(|container| container.manifest.as_ref())
    }
}

/// A text that is there.
fn set(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}
