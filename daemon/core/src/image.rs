//! Names of images, as sets have them: `registry.test/shop/frontend:1.4@sha256:...`.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Digest;

/// The longest name of an image that is looked up: registries allow 255
/// characters of repository and 128 of tag, and a digest has 71.
pub const IMAGE_CHARS_MAX: usize = 512;

/// An image, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Image {
    /// Without tag and digest.
    pub repository: String,
    /// The tag, if there is one.
    pub tag: Option<String>,
    /// The digest, if there is one: then it is what the image is, whatever its
    /// tag says.
    pub digest: Option<Digest>,
}

impl Image {
    /// Takes a name apart. Whatever a set says is a name of some image, so that
    /// this never fails: what is no digest after an `@` stays in the repository.
    pub fn of(text: &str) -> Self {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => match digest.parse() {
                Ok(digest) => (name, Some(digest)),
                Err(_) => (text, None),
            },
            None => (text, None),
        };
        // A colon before the last slash is of a port.
        let last = name.rfind('/').map_or(0, |slash| slash.saturating_add(1));
        let tag = name.rfind(':').filter(|colon| *colon >= last && !name.contains('@'));
        let (repository, tag) = match tag.and_then(|colon| name.split_at_checked(colon)) {
            Some((repository, tag)) => (repository, Some(tag.trim_start_matches(':').to_owned())),
            None => (name, None),
        };
        Self { repository: repository.to_owned(), tag, digest }
    }

    /// What tells it from other images of its repository: the digest, or else
    /// `:tag`, or else nothing.
    pub fn version(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => format!(":{tag}"),
            (None, None) => String::new(),
        }
    }

    /// The name of a version of a repository, in the one form that it is kept in.
    pub fn name_of(repository: &str, version: &str) -> String {
        if version.starts_with("sha256:") {
            format!("{repository}@{version}")
        } else {
            format!("{repository}{version}")
        }
    }
}

impl fmt::Display for Image {
    /// In the one form that it is kept in: without its tag, where it has a digest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Self::name_of(&self.repository, &self.version()))
    }
}

/// Which images are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ImageQuery {
    /// All with a digest, whatever the repository: `sha256:...`.
    Digest(Digest),
    /// One of one repository: `registry.test/shop/frontend@sha256:...`.
    Exact {
        /// The repository.
        repository: String,
        /// The digest.
        digest: Digest,
    },
    /// Those that have or had a tag: `registry.test/shop/frontend:1.4`.
    Tagged {
        /// The repository.
        repository: String,
        /// The tag.
        tag: String,
    },
    /// All of a repository: `registry.test/shop/frontend`.
    Repository(String),
}

/// Why a text asks for no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "found {found:?}, expected an image: registry.test/shop/frontend (all of a repository), registry.test/shop/frontend:1.4, registry.test/shop/frontend@sha256:..., or sha256:... with all 64 digits"
)]
pub struct InvalidImage {
    found: String,
}

impl FromStr for ImageQuery {
    type Err = InvalidImage;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidImage { found: text.chars().take(IMAGE_CHARS_MAX).collect() };
        let trimmed = text.trim();
        if trimmed.is_empty()
            || trimmed.len() > IMAGE_CHARS_MAX
            || trimmed.contains(|c: char| c.is_control() || c.is_whitespace())
        {
            return Err(invalid());
        }
        if trimmed.starts_with("sha256:") {
            return trimmed.parse().map(Self::Digest).map_err(|_| invalid());
        }
        let Image { repository, tag, digest } = Image::of(trimmed);
        if repository.is_empty() || repository.ends_with('/') || repository.contains('@') {
            return Err(invalid());
        }
        match (digest, tag) {
            (Some(digest), _) => Ok(Self::Exact { repository, digest }),
            (None, Some(tag)) if tag.is_empty() => Err(invalid()),
            (None, Some(tag)) => Ok(Self::Tagged { repository, tag }),
            (None, None) => Ok(Self::Repository(repository)),
        }
    }
}

impl fmt::Display for ImageQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digest(digest) => write!(f, "{digest}"),
            Self::Exact { repository, digest } => write!(f, "{repository}@{digest}"),
            Self::Tagged { repository, tag } => write!(f, "{repository}:{tag}"),
            Self::Repository(repository) => f.write_str(repository),
        }
    }
}

impl TryFrom<String> for ImageQuery {
    type Error = InvalidImage;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ImageQuery> for String {
    fn from(query: ImageQuery) -> Self {
        query.to_string()
    }
}

impl JsonSchema for ImageQuery {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ImageQuery".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "minLength": 1,
            "maxLength": IMAGE_CHARS_MAX,
            "description": "An image: `sha256:...`, `repository@sha256:...`, `repository:tag` or `repository`",
            "examples": ["registry.test/shop/frontend", "registry.test/shop/frontend:1.4"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        let digest = Digest::of(b"x");
        for (text, repository, version, name) in [
            ("r.test/web".to_owned(), "r.test/web", String::new(), "r.test/web".to_owned()),
            ("r.test:5000/web".into(), "r.test:5000/web", String::new(), "r.test:5000/web".into()),
            ("r.test/web:1.4".into(), "r.test/web", ":1.4".into(), "r.test/web:1.4".into()),
            ("web:1".into(), "web", ":1".into(), "web:1".into()),
            (
                format!("r.test/web:1.4@{digest}"),
                "r.test/web",
                digest.to_string(),
                format!("r.test/web@{digest}"),
            ),
            ("r.test/web@x".into(), "r.test/web@x", String::new(), "r.test/web@x".into()),
        ] {
            let image = Image::of(&text);
            assert_eq!(
                (image.repository.as_str(), image.version(), image.to_string()),
                (repository, version, name),
                "{text}"
            );
        }
    }

    #[test]
    fn questions_are_read_and_written() {
        let digest = Digest::of(b"x");
        for text in [
            digest.to_string(),
            format!("r.test/web@{digest}"),
            "r.test:5000/web:1.4".to_owned(),
            "web".to_owned(),
        ] {
            assert_eq!(text.parse::<ImageQuery>().unwrap().to_string(), text);
        }
        for bad in
            ["", " ", "sha256:12", "r.test/", "web:", "web@sha256:1", "a b", &"x".repeat(600)]
        {
            let error = bad.parse::<ImageQuery>().unwrap_err().to_string();
            assert!(error.contains("expected an image"), "{bad}: {error}");
        }
    }
}
