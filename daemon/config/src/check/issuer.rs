//! Issuers.

use deployd_core::access::RESERVED;

use super::{Entry, World};
use crate::path::Path;
use crate::problem::Problem;
use crate::shown;

/// Claims that name something by what its owner may call otherwise, and somebody else
/// as it was called before.
const RENAMED: [&str; 14] = [
    "actor",
    "email",
    "job_workflow_ref",
    "name",
    "namespace_path",
    "preferred_username",
    "project_path",
    "ref",
    "repository",
    "repository_owner",
    "sub",
    "user_email",
    "user_login",
    "workflow",
];

/// What tokens of GitHub Actions are for where nobody says for whom: then all who
/// believe them believe each other's.
const DEFAULT_AUDIENCE: &str = "https://github.com/";

pub(super) fn check(entry: &Entry, _: &World<'_>, problems: &mut Vec<Problem>) {
    if RESERVED.contains(&entry.name.as_str()) {
        let path = Path::of(["metadata", "name"]);
        let expected = "another name: its identities would look like nobody's";
        problems.push(Problem::at_value(path, shown::quoted(&entry.name), expected));
    }
    if let Some(issuer) = entry.text("/spec/issuer") {
        let private = entry.value.pointer("/spec/privateAddress") == Some(&true.into());
        let rest = issuer
            .strip_prefix("https://")
            .or_else(|| issuer.strip_prefix("http://").filter(|_| private));
        let is_fine = rest.is_some_and(|rest| {
            !rest.is_empty() && !rest.starts_with('/') && !rest.contains(['?', '#', '@', ' '])
        });
        if !is_fine {
            let expected = "an https:// URL without query, as tokens have it in `iss`; http:// needs `privateAddress: true`";
            let path = Path::of(["spec", "issuer"]);
            problems.push(Problem::at_value(path, shown::quoted(issuer), expected));
        }
    }
    if let Some(audience) = entry.text("/spec/audience")
        && audience.starts_with(DEFAULT_AUDIENCE)
    {
        let expected = "an audience of its own, like this daemon's address: that is what tokens for anybody have";
        let path = Path::of(["spec", "audience"]);
        problems.push(Problem::at_value(path, shown::quoted(audience), expected));
    }
    for (place, rule) in entry.items("/spec/identities").enumerate() {
        let Some(claims) = rule.get("claims").and_then(serde_json::Value::as_object) else {
            continue;
        };
        if claims.is_empty() {
            let path = Path::of(["spec", "identities"]).then(place).then("claims");
            let expected = "claims that a token has to have: nobody fits none";
            problems.push(Problem::at_value(path, "an empty map", expected));
        }
        // What a provider of people calls them stays; a pipeline is called as its branch.
        let is_of_people = entry.value.pointer("/spec/login").is_some();
        let can_change =
            |claim: &String| RENAMED.contains(&claim.as_str()) && !(is_of_people && claim == "sub");
        if !claims.is_empty() && claims.keys().all(can_change) {
            let path = Path::of(["spec", "identities"]).then(place).then("claims");
            let names: Vec<&str> = claims.keys().map(String::as_str).collect();
            let found =
                format!("only names that can come to mean somebody else: {}", names.join(", "));
            let expected = "an id that never does among them, like repository_id, repository_owner_id, project_id or namespace_id";
            problems.push(Problem::at_value(path, found, expected));
        }
    }
}
