//! Where an environment is pulled from: its type's words, with names in them.

use crate::config::GitSpec;
use crate::{EnvironmentId, Name};

/// Why an environment has no place in a repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("git.{field} is {found:?}: {expected}")]
pub struct PlaceInvalid {
    /// Which field.
    pub field: &'static str,
    /// What stands there.
    pub found: String,
    /// What was expected, as far as it is told.
    pub expected: String,
}

/// The longest path of a directory, in bytes: with the names of files it has to stay
/// below the 4,096 of a path in Linux, for whoever checks it out.
const PATH_BYTES_MAX: usize = 1_000;

/// What stands for names.
const NAMES: &str = "{application}, {environment} and {type}";

/// What is said of an environment's place, with its names in place of what stands for
/// them, and checked: the address, the branch and the path are such.
pub fn placed(
    spec: &GitSpec,
    environment: &EnvironmentId,
    environment_type: &Name,
) -> Result<GitSpec, PlaceInvalid> {
    let named = |field: &'static str, text: &str| {
        let named = text
            .replace("{application}", environment.application.as_str())
            .replace("{environment}", environment.environment.as_str())
            .replace("{type}", environment_type.as_str());
        match named.contains(['{', '}']) {
            true => Err(invalid(field, text, format!("only {NAMES} stand for names"))),
            false => Ok(named),
        }
    };
    let mut placed = spec.clone();
    placed.branch = named("branch", &spec.branch)?;
    placed.path = named("path", &spec.path)?;
    if let Some(puller) = &mut placed.puller {
        puller.name = named("puller.name", &puller.name)?;
        puller.namespace = named("puller.namespace", &puller.namespace)?;
    }
    repository(spec)?;
    branch(&placed.branch)?;
    path(&placed.path)?;
    placed.path = placed.path.trim_matches('/').to_owned();
    Ok(placed)
}

fn invalid(field: &'static str, found: &str, expected: impl Into<String>) -> PlaceInvalid {
    PlaceInvalid { field, found: found.to_owned(), expected: expected.into() }
}

fn repository(spec: &GitSpec) -> Result<(), PlaceInvalid> {
    let found = spec.repository.as_str();
    let fails = |expected: &str| Err(invalid("repository", found, expected));
    let (scheme, rest) = found.split_once("://").unwrap_or(("", found));
    match (scheme, &spec.ssh) {
        ("https" | "http", None) => {}
        ("ssh", Some(_)) => {}
        ("https" | "http", Some(_)) => return fails("`git.ssh` is for ssh:// alone"),
        ("ssh", None) => return fails("ssh:// needs `git.ssh`, with a key and the host's"),
        _ => return fails("expected https://host/path.git, or ssh://user@host/path.git"),
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let user = authority.rsplit_once('@').map(|(user, _)| user);
    if user.is_some_and(|user| scheme != "ssh" || user.contains(':')) {
        return fails("expected no password in it: `git.hosts` names the operator's secret");
    }
    if scheme == "ssh" && user.is_none_or(str::is_empty) {
        return fails("expected a user: ssh://git@host/path.git");
    }
    if authority.is_empty() || path.is_empty() || rest.contains(['?', '#', ' ']) {
        return fails("expected a host and a path, and nothing else");
    }
    Ok(())
}

/// As `git check-ref-format` has it.
fn branch(found: &str) -> Result<(), PlaceInvalid> {
    let part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && !part.ends_with('.')
            && !part.ends_with(".lock")
    };
    let bad = |letter: char| letter.is_control() || " ~^:?*[\\".contains(letter);
    let is_name = found.split('/').all(part)
        && !found.contains(bad)
        && !found.contains("..")
        && !found.contains("@{")
        && !found.starts_with('-')
        && found != "@"
        && !found.starts_with("refs/");
    match is_name {
        true => Ok(()),
        false => Err(invalid("branch", found, "expected the name of a branch: `main`")),
    }
}

fn path(found: &str) -> Result<(), PlaceInvalid> {
    let trimmed = found.trim_end_matches('/');
    let part = |part: &str| {
        !matches!(part, "" | "." | "..")
            && !part.to_ascii_lowercase().starts_with(".git")
            && !part.contains(|letter: char| letter.is_control() || letter == '\\' || letter == ':')
    };
    let is_path = trimmed.split('/').all(part) && trimmed.len() <= PATH_BYTES_MAX;
    match is_path {
        true => Ok(()),
        false => Err(invalid(
            "path",
            found,
            "expected a directory of the repository, from its top: `apps/{application}/{environment}`",
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn place(with: &Value) -> Result<GitSpec, PlaceInvalid> {
        let mut spec = json!({
            "repository": "https://git.example.com/platform/environments.git",
            "path": "apps/{application}/{environment}",
        });
        json_patch::merge(&mut spec, with);
        let spec: GitSpec = serde_json::from_value(spec).unwrap();
        placed(&spec, &"shop/staging".parse().unwrap(), &"test".parse().unwrap())
    }

    #[test]
    fn names_stand_where_the_type_has_them() {
        let found = place(&json!({
            "branch": "env/{type}",
            "puller": {"kind": "argo-cd", "name": "{application}-{environment}", "namespace": "argocd"},
        }))
        .unwrap();
        assert_eq!((found.branch.as_str(), found.path.as_str()), ("env/test", "apps/shop/staging"));
        assert_eq!(found.puller.unwrap().name, "shop-staging");
        assert_eq!(place(&json!({"path": "apps/all/"})).unwrap().path, "apps/all");
    }

    #[test]
    fn what_is_no_place_is_told_by_its_field() {
        let ssh = json!({"keySecret": "k", "hostKeys": ["ssh-ed25519 AAAA"]});
        for (with, field) in [
            (json!({"path": "apps/{app}"}), "path"),
            (json!({"path": "../other"}), "path"),
            (json!({"path": "/etc"}), "path"),
            (json!({"path": "a/.git/hooks"}), "path"),
            (json!({"path": "a/.GIT"}), "path"),
            (json!({"path": "a//b"}), "path"),
            (json!({"path": "a\\b"}), "path"),
            (json!({"path": "x/".repeat(600)}), "path"),
            (json!({"branch": "a..b"}), "branch"),
            (json!({"branch": "-x"}), "branch"),
            (json!({"branch": "refs/heads/main"}), "branch"),
            (json!({"branch": "a b"}), "branch"),
            (json!({"branch": "x.lock"}), "branch"),
            (json!({"repository": "git.example.com/x.git"}), "repository"),
            (json!({"repository": "file:///srv/x.git"}), "repository"),
            (json!({"repository": "https://a:b@git.example.com/x.git"}), "repository"),
            (json!({"repository": "https://git.example.com"}), "repository"),
            (json!({"repository": "https://git.example.com/x.git?y"}), "repository"),
            (json!({"repository": "ssh://git@git.example.com/x.git"}), "repository"),
            (json!({"ssh": ssh}), "repository"),
            (json!({"repository": "ssh://git.example.com/x.git", "ssh": ssh}), "repository"),
        ] {
            let refused = place(&with).unwrap_err();
            assert_eq!(refused.field, field, "{with}: {refused}");
        }
        let ssh = json!({"repository": "ssh://git@git.example.com:2222/x.git", "ssh": ssh});
        assert!(place(&ssh).is_ok());
    }
}
