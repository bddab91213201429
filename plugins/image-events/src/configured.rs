//! Images that a build makes, as configuration names them: forges tell of builds, and not
//! of what these have pushed to a registry.

use crate::{expand, repository, tag};
use deployd_plugin_sdk::Fault;
use deployd_plugin_sdk::receiver::Artifact;
use serde::Deserialize;

/// An image that a build makes: `registry.example.com/${project}`, `${commit}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfiguredImage {
    repository: String,
    tag: String,
}

/// What a build says of itself, for placeholders.
#[derive(Debug)]
pub struct Build<'a> {
    /// Placeholders of repositories.
    pub of_repository: &'a [(&'a str, &'a str)],
    /// Placeholders of tags.
    pub of_tag: &'a [(&'a str, &'a str)],
    /// Where the delivery has what `${ref}` stands for, as a JSON pointer.
    pub ref_at: &'a str,
    /// What all its images have in common.
    pub source: &'a Artifact,
}

impl Build<'_> {
    /// The images that it has made.
    ///
    /// # Errors
    /// A fault for what is no name of an image, or no tag, once placeholders are replaced.
    pub fn images(&self, configured: &[ConfiguredImage]) -> Result<Vec<Artifact>, Fault> {
        let images = configured.iter().enumerate();
        images.map(|(index, image)| self.image(index, image)).collect()
    }

    fn image(&self, index: usize, image: &ConfiguredImage) -> Result<Artifact, Fault> {
        let at = format!("/config/images/{index}/repository");
        let name = repository(&at, &expand(&at, &image.repository, self.of_repository)?)?;
        let at = format!("/config/images/{index}/tag");
        let expanded = expand(&at, &image.tag, self.of_tag)?;
        // What is configured was right for other refs: `${ref}` of a branch with a slash
        // is no tag.
        let at = if image.tag.contains("${ref}") { self.ref_at } else { &at };
        let tag = tag(at, &expanded)?;
        Ok(Artifact { repository: name, tag: Some(tag), ..self.source.clone() })
    }
}
