//! Commits, as forges have told of them: who has made them, when, and what has changed
//! with them. What is announced of a commit gets from there what it does not say itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifact::Artifact;
use crate::config::is_relative;
use crate::deployment::projection::key;
use crate::ports::{Index, KeyRange, Put};
use crate::{Digest, Name, Timestamp};

/// Commit, hook, and digest of source and ref -> [`KnownCommit`].
pub const COMMITS: Index = Index("commits");
/// Hook and turn -> the key in [`COMMITS`].
pub const COMMIT_TURNS: Index = Index("commit-turns");

/// Commits that are kept of a hook, the newest. Images come within hours of the push of
/// their commit; of a thousand pushes a day, these are ten days.
pub const COMMITS_KEPT_MAX: u64 = 10_000;

/// Commits that one delivery can tell of: forges send one push at once.
pub const COMMITS_TOLD_MAX: usize = 100;

/// Hooks, sources and refs by which one commit is known that are looked at: it is on few
/// branches that are built.
pub const COMMITS_LOOKED_AT_MAX: usize = 100;

/// The most paths that are kept of a commit, and the most bytes that these have together.
/// A value of the store has a MiB at most. What changes more is kept without paths.
const PATHS_MAX: usize = 5_000;
const PATHS_BYTES_MAX: usize = 256 << 10;

/// The longest name of a source, of a ref, and of an author with their address.
const TEXT_CHARS_MAX: usize = 1_000;

/// Digits of the names of commits: SHA-1, or SHA-256.
const DIGITS: [usize; 2] = [40, 64];

/// A commit, as a receiver tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Commit {
    /// The source's repository, as the forge calls it: `shop/frontend`.
    pub source: String,
    /// The commit's whole name: 40 or 64 hex digits.
    pub commit: String,
    /// Where it was pushed to: `refs/heads/main`.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub git_ref: Option<String>,
    /// Who has made it: `Ana Silva <ana@example.com>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committed_at: Option<Timestamp>,
    /// What has changed with the push that it is the last commit of, relative to the
    /// repository's root; none where that is not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
}

/// A commit, and how it is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KnownCommit {
    /// The commit.
    #[serde(flatten)]
    pub commit: Commit,
    /// The hook whose delivery has told of it.
    pub hook: Name,
    /// When that was.
    pub at: Timestamp,
    /// Its number among the commits that the hook has told of.
    pub turn: u64,
}

/// The name of a commit in lower case; none where a text is none. A short name is none:
/// others may begin alike.
pub fn whole_name(text: &str) -> Option<String> {
    let is_whole = DIGITS.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    is_whole.then(|| text.to_ascii_lowercase())
}

impl Commit {
    /// What is wrong with it, if anything.
    pub fn fault(&self) -> Option<String> {
        if whole_name(&self.commit).is_none() {
            return Some(format!("commit: found {:?}, expected 40 or 64 hex digits", self.commit));
        }
        let texts = [
            ("source", Some(&self.source)),
            ("ref", self.git_ref.as_ref()),
            ("author", self.author.as_ref()),
        ];
        let odd = texts.into_iter().find_map(|(field, text)| {
            let chars = text?.chars().count();
            (chars == 0 || chars > TEXT_CHARS_MAX).then_some((field, chars))
        });
        odd.map(|(field, chars)| {
            format!("{field}: found {chars} characters, expected 1 to {TEXT_CHARS_MAX}")
        })
    }

    /// Leaves out its paths where they are more than are kept, or none of a repository:
    /// whether it did.
    pub fn bound(&mut self) -> bool {
        let bytes: usize = self.paths.iter().map(String::len).sum();
        let is_odd = |path: &String| !is_relative(path);
        let leaves = self.paths.len() > PATHS_MAX
            || bytes > PATHS_BYTES_MAX
            || self.paths.iter().any(is_odd);
        if leaves {
            self.paths.clear();
        }
        leaves
    }
}

impl KnownCommit {
    /// Its key in [`COMMITS`].
    pub fn key(&self) -> Vec<u8> {
        let Commit { source, commit, git_ref, .. } = &self.commit;
        let place = format!("{source}\n{}", git_ref.as_deref().unwrap_or_default());
        let place = Digest::of(place.as_bytes()).to_string();
        key(&commit.to_ascii_lowercase(), &key(self.hook.as_str(), place.as_bytes()))
    }

    /// What is kept of it.
    pub fn puts(&self) -> Result<[Put; 2], serde_json::Error> {
        let of = self.key();
        let value = Some(serde_json::to_vec(self)?);
        Ok([
            Put { index: COMMITS, key: of.clone(), value },
            Put { index: COMMIT_TURNS, key: turn_key(&self.hook, self.turn), value: Some(of) },
        ])
    }
}

/// The key of a hook's turn in [`COMMIT_TURNS`].
pub fn turn_key(hook: &Name, turn: u64) -> Vec<u8> {
    key(hook.as_str(), &turn.to_be_bytes())
}

/// All turns of a hook, the first one first.
pub fn turns_of(hook: &Name) -> KeyRange {
    KeyRange::prefix(&key(hook.as_str(), &[]))
}

/// The turn in a key of [`COMMIT_TURNS`].
pub fn turn_in(key: &[u8]) -> Option<u64> {
    key.last_chunk::<8>().map(|turn| u64::from_be_bytes(*turn))
}

/// All by which a commit is known.
pub fn known_as(commit: &str) -> KeyRange {
    KeyRange::prefix(&key(commit, &[]))
}

/// An artifact with what it does not say itself of its commit, and the paths that have
/// changed: its own, or those of the push to its ref, or, where none is known, of all
/// pushes of that commit. `known` are those of its commit that count for it.
pub fn completed(artifact: &Artifact, known: &[KnownCommit]) -> (Artifact, Vec<String>) {
    let is_here =
        |one: &&KnownCommit| one.commit.git_ref.is_some() && one.commit.git_ref == artifact.git_ref;
    let mut sorted: Vec<&KnownCommit> = known.iter().collect();
    sorted.sort_by_key(|one| (!is_here(one), std::cmp::Reverse(one.at)));
    let mut whole = artifact.clone();
    whole.author = whole.author.or_else(|| sorted.iter().find_map(|one| one.commit.author.clone()));
    whole.committed_at =
        whole.committed_at.or_else(|| sorted.iter().find_map(|one| one.commit.committed_at));
    if !artifact.paths.is_empty() {
        let paths = artifact.paths.clone();
        return (whole, paths);
    }
    let has_paths = |one: &&&KnownCommit| !one.commit.paths.is_empty();
    let of: Vec<&KnownCommit> =
        match sorted.iter().copied().filter(is_here).find(|one| has_paths(&one)) {
            Some(here) => vec![here],
            None => sorted,
        };
    let mut paths: Vec<String> = of.iter().flat_map(|one| one.commit.paths.clone()).collect();
    paths.sort();
    paths.dedup();
    (whole, paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "6c62fb45fe66bfb1ea9a66abc38f6a0cc974292b";

    fn known(git_ref: &str, at: u64, paths: &[&str]) -> KnownCommit {
        let commit = Commit {
            source: "shop/web".to_owned(),
            commit: SHA.to_owned(),
            git_ref: Some(git_ref.to_owned()),
            author: Some(format!("of {git_ref}")),
            committed_at: Some(Timestamp(at)),
            paths: paths.iter().map(|&path| path.to_owned()).collect(),
        };
        KnownCommit { commit, hook: "forge".parse().unwrap(), at: Timestamp(at), turn: at }
    }

    fn built(git_ref: Option<&str>) -> Artifact {
        Artifact {
            git_ref: git_ref.map(str::to_owned),
            commit: Some(SHA.to_owned()),
            ..Artifact::new("r.test/web", Digest::of(b"web"))
        }
    }

    #[test]
    fn what_an_artifact_does_not_say_is_from_the_push_to_its_ref() {
        let both = [known("refs/heads/x", 9, &["a"]), known("refs/heads/main", 1, &["a", "b"])];
        let (whole, paths) = completed(&built(Some("refs/heads/main")), &both);
        assert_eq!(whole.author.as_deref(), Some("of refs/heads/main"));
        assert_eq!(whole.committed_at, Some(Timestamp(1)));
        assert_eq!(paths, ["a", "b"]);
        // Of what is on a ref that was never pushed, all that is known of the commit.
        let (whole, paths) = completed(&built(Some("refs/tags/v1")), &both);
        assert_eq!((whole.author.as_deref(), paths.len()), (Some("of refs/heads/x"), 2));
        // A push that says nothing of paths is not one that changes none.
        let silent = [known("refs/heads/main", 2, &[]), known("refs/heads/x", 1, &["a"])];
        assert_eq!(completed(&built(Some("refs/heads/main")), &silent).1, ["a"]);
    }

    #[test]
    fn what_an_artifact_says_itself_stands() {
        let own = Artifact {
            author: Some("Ana".to_owned()),
            committed_at: Some(Timestamp(7)),
            paths: vec!["c".to_owned()],
            ..built(None)
        };
        let told = [known("refs/heads/main", 1, &["a"])];
        assert_eq!(completed(&own, &told), (own.clone(), vec!["c".to_owned()]));
        assert_eq!(completed(&built(None), &[]), (built(None), Vec::new()));
    }

    #[test]
    fn commits_are_whole_names_and_bounded() {
        let good = known("refs/heads/main", 1, &["a"]).commit;
        assert_eq!(good.fault(), None);
        for bad in ["", "6c62fb4", &"g".repeat(40), &"a".repeat(41)] {
            assert!(Commit { commit: bad.to_owned(), ..good.clone() }.fault().is_some(), "{bad}");
        }
        let long = Commit { author: Some("x".repeat(TEXT_CHARS_MAX + 1)), ..good.clone() };
        assert!(long.fault().unwrap().starts_with("author"));
        for (paths, leaves) in [
            (vec!["a".to_owned(); PATHS_MAX], false),
            (vec!["a".to_owned(); PATHS_MAX + 1], true),
            (vec!["a".repeat(PATHS_BYTES_MAX + 1)], true),
            (vec!["/a".to_owned()], true),
        ] {
            let mut commit = Commit { paths, ..good.clone() };
            assert_eq!((commit.bound(), commit.paths.is_empty()), (leaves, leaves));
        }
    }

    #[test]
    fn a_commit_is_found_by_its_name_and_told_apart_by_who_tells_of_it() {
        let one = known("refs/heads/main", 1, &[]);
        assert!(one.key().starts_with(&known_as(SHA).start));
        assert_eq!(turn_in(&turn_key(&one.hook, 7)), Some(7));
        let of_another = KnownCommit { hook: "other".parse().unwrap(), ..one.clone() };
        let again = KnownCommit { turn: 9, at: Timestamp(9), ..one.clone() };
        assert_ne!(one.key(), of_another.key());
        assert_ne!(one.key(), known("refs/heads/x", 1, &[]).key());
        assert_eq!(one.key(), again.key());
    }
}
