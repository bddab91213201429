//! What was announced of an image: kept for ever, to be found by the image and
//! by its tag, which moves. What was deployed by a tag and a digest is found by
//! that tag, too.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifact::Artifact;
use crate::deployment::projection::key;
use crate::image::IMAGE_CHARS_MAX;
use crate::ports::{Index, KeyRange, Put};
use crate::{Actor, Digest, Timestamp};

/// Repository, digest and time -> [`Announcement`].
pub const ANNOUNCEMENTS: Index = Index("announcements");
/// Repository, tag and time -> the digest that had the tag then.
pub const TAGS: Index = Index("tags");

/// The longest tag that is found again: what the specification of distribution
/// allows.
const TAG_CHARS_MAX: usize = 128;

/// The largest announcement that is found again; with everything in it that
/// anybody sends, one has a thousand bytes.
const BYTES_MAX: usize = 64 << 10;

/// An artifact, as somebody announced it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Announcement {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: Actor,
    /// What.
    pub artifact: Artifact,
}

impl Announcement {
    /// What is kept of it. What no registry could have is not looked for either.
    pub fn puts(&self) -> Result<Vec<Put>, serde_json::Error> {
        let Artifact { repository, digest, tag, .. } = &self.artifact;
        let value = serde_json::to_vec(self)?;
        if strange(repository, IMAGE_CHARS_MAX) || value.len() > BYTES_MAX {
            return Ok(Vec::new());
        }
        let at = self.at.0.to_be_bytes();
        let mut puts = vec![Put {
            index: ANNOUNCEMENTS,
            key: key(repository, &key(&digest.to_string(), &at)),
            value: Some(value),
        }];
        if let Some(tag) = tag {
            puts.extend(tag_put(repository, tag, *digest, self.at)?);
        }
        Ok(puts)
    }
}

/// That a digest had a tag at a time. What no registry could have is not looked
/// for either.
pub fn tag_put(
    repository: &str,
    tag: &str,
    digest: Digest,
    at: Timestamp,
) -> Result<Option<Put>, serde_json::Error> {
    if strange(tag, TAG_CHARS_MAX) {
        return Ok(None);
    }
    let key = key(repository, &key(tag, &at.0.to_be_bytes()));
    Ok(Some(Put { index: TAGS, key, value: Some(serde_json::to_vec(&digest)?) }))
}

fn strange(text: &str, max: usize) -> bool {
    text.len() > max || text.contains(char::is_control)
}

/// The keys of all announcements of an image, the first one first.
pub fn announcements_of(repository: &str, digest: Digest) -> KeyRange {
    KeyRange::prefix(&key(repository, &key(&digest.to_string(), &[])))
}

/// The keys of all digests that have or had a tag, the first one first.
pub fn tagged(repository: &str, tag: &str) -> KeyRange {
    KeyRange::prefix(&key(repository, &key(tag, &[])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(repository: &str, tag: &str) -> Vec<Put> {
        let artifact =
            Artifact { tag: Some(tag.to_owned()), ..Artifact::new(repository, Digest::of(b"x")) };
        Announcement { at: Timestamp(7), by: Actor("ci".into()), artifact }.puts().unwrap()
    }

    #[test]
    fn it_is_found_by_image_and_by_tag() {
        let puts = of("r.test/web", "1.4");
        let within = |range: KeyRange, key: &[u8]| key.starts_with(&range.start);
        assert!(within(announcements_of("r.test/web", Digest::of(b"x")), &puts[0].key));
        assert!(within(tagged("r.test/web", "1.4"), &puts[1].key));
        assert!(!within(tagged("r.test/web", "1"), &puts[1].key));
    }

    #[test]
    fn what_no_registry_has_is_not_kept() {
        assert!(of("zero\0byte", "1").is_empty());
        assert!(of(&"x".repeat(IMAGE_CHARS_MAX + 1), "1").is_empty());
        assert_eq!(of("r.test/web", &"x".repeat(TAG_CHARS_MAX + 1)).len(), 1);
    }
}
