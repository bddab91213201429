//! Pushes to branches, which the forges tell of in one form.

use std::collections::BTreeSet;

use deployd_plugin_sdk::Fault;
use deployd_plugin_sdk::receiver::Commit;
use serde::Deserialize;

use crate::{commit, git_ref, timestamp};

/// A commit of a push.
#[derive(Debug, Deserialize)]
pub struct PushedCommit {
    /// Its whole name.
    pub id: String,
    timestamp: Option<String>,
    author: Option<Author>,
    added: Option<Vec<String>>,
    modified: Option<Vec<String>>,
    removed: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
struct Author {
    name: Option<String>,
    email: Option<String>,
}

/// A push.
#[derive(Debug)]
pub struct Push<'a> {
    /// The source's repository, as the forge calls it.
    pub source: &'a str,
    /// `/body/ref`.
    pub git_ref: &'a str,
    /// All of its commits, or some.
    pub commits: &'a [PushedCommit],
    /// Whether these are all.
    pub is_whole: bool,
}

impl Push<'_> {
    /// What is told of its last commit, which stands at `at`; none of what is pushed to no
    /// branch: a tag's commit was pushed to one.
    ///
    /// # Errors
    /// A fault with the place of what is not as it should be.
    pub fn told(&self, at: &str, last: &PushedCommit) -> Result<Option<Commit>, Fault> {
        let Some(branch) = self.git_ref.strip_prefix("refs/heads/") else { return Ok(None) };
        let time = last.timestamp.as_deref();
        let time = time.map(|time| timestamp(&format!("{at}/timestamp"), time));
        Ok(Some(Commit {
            source: self.source.to_owned(),
            commit: commit(&format!("{at}/id"), &last.id)?,
            git_ref: Some(git_ref("/body/ref", "heads", branch)?),
            author: last.author.as_ref().and_then(Author::text),
            committed_at: time.transpose()?.flatten(),
            paths: self.paths().unwrap_or_default(),
        }))
    }

    /// What has changed; none where the delivery does not say all of it.
    fn paths(&self) -> Option<Vec<String>> {
        let mut paths = BTreeSet::new();
        for one in self.commits {
            let lists = [&one.added, &one.modified, &one.removed];
            if lists.iter().all(|list| list.is_none()) {
                return None;
            }
            paths.extend(lists.into_iter().flatten().flatten().cloned());
        }
        self.is_whole.then(|| paths.into_iter().collect())
    }
}

impl Author {
    fn text(&self) -> Option<String> {
        let part = |text: &Option<String>| {
            text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        match (part(&self.name), part(&self.email)) {
            (Some(name), Some(email)) => Some(format!("{name} <{email}>")),
            (name, email) => name.or(email),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn commits() -> Vec<PushedCommit> {
        let of = |digit: &str, added: &[&str]| {
            json!({"id": digit.repeat(40), "timestamp": "2026-11-20T10:00:00Z",
                "author": {"name": "Ana", "email": ""}, "added": added, "modified": ["b"]})
        };
        serde_json::from_value(json!([of("a", &["c"]), of("b", &["a", "b"])])).unwrap()
    }

    #[test]
    fn a_push_is_its_last_commit_and_all_that_has_changed() {
        let commits = commits();
        let push = |git_ref, is_whole| {
            let push = Push { source: "shop/web", git_ref, commits: &commits, is_whole };
            push.told("/body/commits/1", &commits[1]).unwrap()
        };
        let told = push("refs/heads/main", true).unwrap();
        assert_eq!(told.paths, ["a", "b", "c"]);
        assert_eq!(told.author.as_deref(), Some("Ana"));
        assert_eq!(told.git_ref.as_deref(), Some("refs/heads/main"));
        // What is cut short would seem to change less than it does.
        assert_eq!(push("refs/heads/main", false).unwrap().paths, Vec::<String>::new());
        assert_eq!(push("refs/tags/v1", true), None);
    }

    #[test]
    fn a_commit_without_lists_says_nothing_of_paths() {
        let mut commits = commits();
        commits[0].added = None;
        commits[0].modified = None;
        let push = Push {
            source: "shop/web",
            git_ref: "refs/heads/main",
            commits: &commits,
            is_whole: true,
        };
        let told = push.told("/body/commits/1", &commits[1]).unwrap().unwrap();
        assert_eq!(told.paths, Vec::<String>::new());
    }
}
