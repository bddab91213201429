//! Commits: what we write, and what is read of those of others.

use deployd_core::ports::{CommitAuthor, CommitId, CommitSummary, KEY_TRAILER};
use deployd_core::{Fault, Timestamp};

use crate::fault::{self, cut};
use crate::id::ObjectId;

/// Parents that are followed: merges of more are curiosities.
const PARENTS_MAX: usize = 16;
/// How much of an author, or of a subject, is told.
const SUMMARY_CHARACTERS: usize = 120;
/// The longest key, far longer than any.
const KEY_BYTES_MAX: usize = 200;
/// The longest message.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// What is known of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Commit {
    pub(crate) id: ObjectId,
    pub(crate) tree: ObjectId,
    pub(crate) parents: Vec<ObjectId>,
    /// `name <address>`.
    author: String,
    /// When it was committed, in seconds since 1970.
    pub(crate) seconds: u64,
    subject: String,
    /// Keys of the steps that it was made by.
    pub(crate) keys: Vec<String>,
}

impl Commit {
    /// Reads one. What is odd in it is left out; a commit without a tree is none.
    pub(crate) fn read(id: ObjectId, content: &[u8]) -> Option<Self> {
        let end = content.windows(2).position(|two| two == b"\n\n").unwrap_or(content.len());
        let (head, message) = content.split_at_checked(end)?;
        let message = String::from_utf8_lossy(message);
        let message = message.trim_start_matches('\n');
        let mut commit = Self {
            id,
            tree: ObjectId::ZERO,
            parents: Vec::new(),
            author: String::new(),
            seconds: 0,
            subject: cut(message.lines().next().unwrap_or_default(), SUMMARY_CHARACTERS),
            keys: keys(message),
        };
        for line in head.split(|byte| *byte == b'\n') {
            if let Some(tree) = line.strip_prefix(b"tree ") {
                commit.tree = ObjectId::from_hex(tree)?;
            } else if let Some(parent) = line.strip_prefix(b"parent ") {
                if commit.parents.len() < PARENTS_MAX {
                    commit.parents.push(ObjectId::from_hex(parent)?);
                }
            } else if let Some(author) = line.strip_prefix(b"author ") {
                let text = String::from_utf8_lossy(author);
                let who = text.rfind('>').and_then(|end| text.get(..=end)).unwrap_or(&text);
                commit.author = cut(who, SUMMARY_CHARACTERS);
            } else if let Some(committer) = line.strip_prefix(b"committer ") {
                let text = String::from_utf8_lossy(committer);
                let time = text.rsplit('>').next().unwrap_or_default();
                let seconds = time.split_whitespace().next();
                commit.seconds = seconds.and_then(|time| time.parse().ok()).unwrap_or(0);
            }
        }
        (!commit.tree.is_zero()).then_some(commit)
    }

    /// In a few words.
    pub(crate) fn summary(&self) -> CommitSummary {
        CommitSummary {
            commit: CommitId(self.id.to_string()),
            author: self.author.clone(),
            at: Timestamp(self.seconds.saturating_mul(1_000)),
            subject: self.subject.clone(),
        }
    }
}

/// The keys in the last paragraph of a message.
fn keys(message: &str) -> Vec<String> {
    let Some((_, last)) = message.trim_end().rsplit_once("\n\n") else {
        return Vec::new();
    };
    let key = |line: &str| {
        let (token, value) = line.split_once(": ")?;
        token.eq_ignore_ascii_case(KEY_TRAILER).then(|| value.trim().to_owned())
    };
    last.lines().filter_map(key).collect()
}

/// What a commit is made of, but for its tree and its parent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Draft<'a> {
    pub(crate) author: &'a CommitAuthor,
    pub(crate) at: Timestamp,
    pub(crate) message: &'a str,
    pub(crate) key: &'a str,
}

impl Draft<'_> {
    /// Whether a commit can be made of it.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        let in_a_line = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
        if !in_a_line(self.key) || self.key.len() > KEY_BYTES_MAX || self.key.trim() != self.key {
            let shown = fault::quoted(self.key.as_bytes());
            return Err(fault::invalid(format!(
                "{shown:?} is no key of a commit: expected up to {KEY_BYTES_MAX} characters in one line"
            )));
        }
        if self.message.trim().is_empty() || self.message.len() > MESSAGE_BYTES_MAX {
            return Err(fault::invalid(format!(
                "a commit's message must not be empty, nor have more than {MESSAGE_BYTES_MAX} bytes"
            )));
        }
        for (what, text) in [("name", &self.author.name), ("address", &self.author.email)] {
            if plain(text).is_empty() {
                let shown = fault::quoted(text.as_bytes());
                return Err(fault::invalid(format!(
                    "{shown:?} is no {what} of an author of commits: nothing of it can stand there"
                )));
            }
        }
        Ok(())
    }

    /// The commit's content, without a signature. The same for the same input.
    pub(crate) fn content(&self, tree: ObjectId, parent: Option<ObjectId>) -> Vec<u8> {
        let who = format!(
            "{} <{}> {} +0000",
            plain(&self.author.name),
            plain(&self.author.email),
            self.at.0 / 1_000
        );
        let parent = parent.map(|parent| format!("parent {parent}\n")).unwrap_or_default();
        let message = with_key(self.message, self.key);
        format!("tree {tree}\n{parent}author {who}\ncommitter {who}\n\n{message}").into_bytes()
    }
}

/// Puts a signature into a commit: the header `gpgsig`, each line but the first with a
/// space before it (`gitformat-signature`).
pub(crate) fn signed(content: &[u8], signature: &str) -> Option<Vec<u8>> {
    let end = content.windows(2).position(|two| two == b"\n\n")?;
    let (head, message) = content.split_at_checked(end)?;
    let signature = signature.trim_end().replace('\n', "\n ");
    Some([head, b"\ngpgsig ", signature.as_bytes(), message].concat())
}

/// What may stand in the line of an author.
fn plain(text: &str) -> String {
    let kept: String = text.chars().filter(|c| !c.is_control() && !"<>".contains(*c)).collect();
    kept.trim().to_owned()
}

/// A message whose last paragraph, which is one of trailers, has the key in its last line.
fn with_key(message: &str, key: &str) -> String {
    // Messages end at a zero, and are read line by line.
    let text: String = message.replace("\r\n", "\n");
    let text: String =
        text.chars().filter(|c| *c == '\n' || *c == '\t' || !c.is_control()).collect();
    let text = text.trim();
    let is_trailer = |line: &str| {
        let token = line.split_once(": ").map(|(token, _)| token);
        token.is_some_and(|token| {
            !token.is_empty() && token.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        })
    };
    let ends_with_trailers =
        text.rsplit_once("\n\n").is_some_and(|(_, last)| last.lines().all(is_trailer));
    let between = if ends_with_trailers { "\n" } else { "\n\n" };
    format!("{text}{between}{KEY_TRAILER}: {key}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Kind;

    fn author(name: &str) -> CommitAuthor {
        CommitAuthor { name: name.to_owned(), email: "deployd@example.com".to_owned() }
    }

    #[test]
    fn a_commit_is_read_as_it_was_written() {
        let author = author("deployd <x>\n");
        let message = "shop: production\n\nWhat changed.\n\nDeployd-Application: shop\n";
        let draft =
            Draft { author: &author, at: Timestamp(1_700_000_000_999), message, key: "d-1/render" };
        draft.check().unwrap();
        let (tree, parent) =
            (ObjectId::of(Kind::Tree, b"").unwrap(), ObjectId::of(Kind::Blob, b"").unwrap());
        let content = draft.content(tree, Some(parent));
        let text = String::from_utf8(content.clone()).unwrap();
        assert!(
            text.ends_with("\n\nDeployd-Application: shop\nDeployd-Key: d-1/render\n"),
            "{text}"
        );
        let id = ObjectId::of(Kind::Commit, &content).unwrap();
        let commit = Commit::read(id, &content).unwrap();
        assert_eq!((commit.tree, commit.parents.as_slice()), (tree, &[parent][..]));
        assert_eq!(commit.keys, ["d-1/render"]);
        let summary = commit.summary();
        assert_eq!(summary.subject, "shop: production");
        assert_eq!(summary.author, "deployd x <deployd@example.com>");
        assert_eq!(summary.at, Timestamp(1_700_000_000_000));
    }

    #[test]
    fn a_key_counts_in_the_last_paragraph_alone() {
        assert_eq!(keys("a\n\nDeployd-Key: 1\n\nb: c"), Vec::<String>::new());
        assert_eq!(keys("Deployd-Key: 1"), Vec::<String>::new());
        assert_eq!(keys("a\n\nb: c\ndeployd-key: 1\n"), ["1"]);
        assert_eq!(with_key("a", "k"), "a\n\nDeployd-Key: k\n");
        assert_eq!(with_key("a\n\nsome words: x", "k"), "a\n\nsome words: x\n\nDeployd-Key: k\n");
    }

    #[test]
    fn what_is_no_commit_of_ours_is_refused() {
        let author = author("deployd");
        let draft = |message, key| Draft { author: &author, at: Timestamp(0), message, key };
        assert!(draft("a", "k\nx: y").check().is_err());
        assert!(draft("a", "").check().is_err());
        assert!(draft(" \n", "k").check().is_err());
        let nobody = CommitAuthor { name: "<>".to_owned(), email: "a@b".to_owned() };
        assert!(Draft { author: &nobody, ..draft("a", "k") }.check().is_err());
    }

    #[test]
    fn odd_commits_are_read_as_far_as_they_go() {
        let id = ObjectId::ZERO;
        assert_eq!(Commit::read(id, b""), None);
        assert_eq!(Commit::read(id, b"tree x\n\n"), None);
        let content = b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor \xff\ncommitter x";
        assert_eq!(Commit::read(id, content).unwrap().seconds, 0);
    }
}
