//! Images in few words.

use deployd_plugin_sdk::notifier::{Event, Image};

/// Characters of a commit or a digest that are enough for people.
const SHORT: usize = 7;

/// The beginning of a commit, as forges show it.
pub fn short_commit(commit: &str) -> &str {
    commit.get(..SHORT).filter(|_| commit.is_char_boundary(SHORT)).unwrap_or(commit)
}

/// What tells an image from others of its repository: its tag, or the beginning of
/// its digest, with the commit where that is known.
pub fn version_of(image: &Image) -> String {
    let (name, digest) = match image.image.split_once("@sha256:") {
        Some((name, digest)) => (name, Some(digest)),
        None => (image.image.as_str(), None),
    };
    let named = name.rsplit_once(':').map(|(_, tag)| tag).filter(|tag| !tag.contains('/'));
    let version = match (image.tag.as_deref().or(named), digest) {
        (Some(tag), _) => tag.to_owned(),
        (None, Some(digest)) => format!("sha256:{}", short_commit(digest)),
        (None, None) => "latest".to_owned(),
    };
    match &image.commit {
        Some(commit) => format!("{version} ({})", short_commit(commit)),
        None => version,
    }
}

/// The commit that an event's images were built from: that of a workload, or else
/// the first that is known.
pub fn commit_of<'e>(event: &'e Event, workload: Option<&str>) -> Option<&'e str> {
    let is_asked_for = |image: &&Image| workload.is_none_or(|name| image.workload == name);
    event.images.iter().filter(is_asked_for).find_map(|image| image.commit.as_deref())
}
