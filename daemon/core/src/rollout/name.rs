//! Names of tracks, and of the copies of objects that they consist of.

use crate::Digest;
use crate::ids::NAME_LENGTH_MAX;

/// The track of what runs for everybody: the objects as they are rendered.
pub const STABLE: &str = "stable";

/// The label that tells the pods of a track from those of others; templaters put
/// it into a Deployment's selector with the value [`STABLE`].
pub const TRACK_LABEL: &str = "deployd.dev/track";

/// The longest name of a track: it becomes a suffix of names that have room for
/// 63 characters in all.
pub const TRACK_NAME_LENGTH_MAX: usize = 15;

/// Digits that tell two shortened names apart: 40 bits are plenty within one
/// namespace, and leave 36 characters of the name before the longest track.
const DIGITS: usize = 10;

/// Whether a text can be the name of a track.
pub fn is_track_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty()
        && text.len() <= TRACK_NAME_LENGTH_MAX
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// The name of a track's copy of an object: `<name>-<track>`. One that is too
/// long for a label is cut, and has a digest of both in its middle: the same
/// object and track always give the same name, others give others.
pub fn copy_name(name: &str, track: &str) -> String {
    let whole = format!("{name}-{track}");
    if whole.len() <= NAME_LENGTH_MAX {
        return whole;
    }
    let mut digest = Digest::of_parts(&[name.as_bytes(), track.as_bytes()]).hex();
    digest.truncate(DIGITS);
    let room = NAME_LENGTH_MAX.saturating_sub(DIGITS + 2 + track.len());
    let kept: String = name.chars().take(room).collect();
    format!("{}-{digest}-{track}", kept.trim_end_matches(['-', '.']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracks_have_short_names_of_labels() {
        for good in ["canary", "a", "9", "a-b", "abcdefghijklmno"] {
            assert!(is_track_name(good), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a_b", "ä", "abcdefghijklmnop"] {
            assert!(!is_track_name(bad), "{bad}");
        }
    }

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        assert_eq!(copy_name("web", "canary"), "web-canary");
        let fits = "a".repeat(56);
        assert_eq!(copy_name(&fits, "canary"), format!("{fits}-canary"));
        let (one, two) = (format!("{fits}x"), format!("{fits}y"));
        let long = copy_name(&one, "canary");
        assert_eq!(long.len(), 63);
        assert!(long.ends_with("-canary"), "{long}");
        assert_eq!(long, copy_name(&one, "canary"));
        assert_ne!(long, copy_name(&two, "canary"));
        assert_ne!(long, copy_name(&one, "baseline"));
        // A name is not cut right after a separator.
        let name = format!("{}.{}", "a".repeat(44), "b".repeat(20));
        assert!(copy_name(&name, "canary").starts_with(&format!("{}-", "a".repeat(44))));
    }
}
