//! Which artifacts are deployed in a stage by themselves.

use schemars::JsonSchema;
use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

use super::glob_matches;
use crate::artifact::Artifact;

/// Patterns of paths in one rule: more than an image has directories that are its own.
const PATH_PATTERNS_MAX: usize = 64;

/// The longest range of versions, in characters: some ten comparisons.
const RANGE_CHARS_MAX: usize = 256;

/// Which artifacts start a deployment by themselves: those for which all holds that is
/// given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StartRule {
    /// The Git ref they were built from: `refs/heads/main`, `refs/tags/v*`
    /// (`*` is any run of characters). Any ref when not given.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub git_ref: Option<String>,
    /// The tag they were pushed with: `1.*`. Any tag, and none, when not given. What a
    /// registry tells of has a tag and no ref.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// The range that their tag's version is in: `>=1.4, <2`. A tag is a version of
    /// three numbers, with or without a `v` before it; other tags are in no range, and
    /// pre-releases only in one that names a pre-release of the same three numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = RANGE_CHARS_MAX))]
    pub version: Option<String>,
    /// The image, without tag and digest: `registry.example.com/shop/*`. Any of the
    /// application's when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// What has changed with their commit, relative to the repository's root:
    /// `services/web/**`, where `*` is any run of characters, `/` among them. One path
    /// that is like one of these is enough. An artifact of which no paths are known, by
    /// its announcement or by the push of its commit, is not deployed by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = PATH_PATTERNS_MAX), inner(length(min = 1)))]
    pub paths: Vec<String>,
}

/// What is wrong with a field of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartRuleFault {
    /// The JSON Pointer of the field, within the rule.
    pub pointer: String,
    /// What it is.
    pub found: String,
    /// What was expected.
    pub expected: String,
}

impl StartRule {
    /// Whether an artifact starts a deployment. `paths` are those that have changed with
    /// its commit; none when they are not known.
    pub fn takes(&self, artifact: &Artifact, paths: &[String]) -> bool {
        self.refusal(artifact, paths).is_none()
    }

    /// Why an artifact starts no deployment, for people; none when it does.
    pub fn refusal(&self, artifact: &Artifact, paths: &[String]) -> Option<String> {
        let like = |what: &str, pattern: &Option<String>, found: Option<&str>| {
            let pattern = pattern.as_deref()?;
            match found {
                Some(found) if glob_matches(pattern, found) => None,
                Some(found) => Some(format!("its {what} is {found}, and not like {pattern}")),
                None => Some(format!("its {what} is not known, and has to be like {pattern}")),
            }
        };
        like("repository", &self.repository, Some(&artifact.repository))
            .or_else(|| like("ref", &self.git_ref, artifact.git_ref.as_deref()))
            .or_else(|| like("tag", &self.tag, artifact.tag.as_deref()))
            .or_else(|| self.refused_version(artifact.tag.as_deref()))
            .or_else(|| self.refused_paths(paths))
    }

    fn refused_version(&self, tag: Option<&str>) -> Option<String> {
        let range = self.version.as_deref()?;
        let Some(tag) = tag else {
            return Some(format!("it has no tag, whose version has to be {range}"));
        };
        let Some(version) = version(tag) else {
            return Some(format!(
                "its tag {tag} is no version of three numbers, which has to be {range}"
            ));
        };
        // A range that can't be read is refused where the document is applied.
        let is_in = VersionReq::parse(range).is_ok_and(|range| range.matches(&version));
        (!is_in).then(|| format!("its version is {version}, which is not {range}"))
    }

    fn refused_paths(&self, paths: &[String]) -> Option<String> {
        if self.paths.is_empty() {
            return None;
        }
        let wanted = self.paths.join(", ");
        if paths.is_empty() {
            return Some(format!(
                "which paths have changed is not known, and one has to be like {wanted}"
            ));
        }
        let is_wanted = |path: &String| self.paths.iter().any(|one| glob_matches(one, path));
        let has_one = paths.iter().any(is_wanted);
        (!has_one).then(|| format!("none of the paths that have changed is like {wanted}"))
    }

    /// What is wrong with it, of what no schema can say.
    pub fn faults(&self) -> Vec<StartRuleFault> {
        let mut faults = Vec::new();
        if let Some(range) = &self.version
            && let Err(error) = VersionReq::parse(range)
        {
            faults.push(StartRuleFault {
                pointer: "/version".to_owned(),
                found: format!("{range:?} ({error})"),
                expected: "a range of versions, like \">=1.4, <2\", \"^1.4\" or \"~1.4.2\""
                    .to_owned(),
            });
        }
        for (place, pattern) in self.paths.iter().enumerate() {
            if !is_relative(pattern) {
                faults.push(StartRuleFault {
                    pointer: format!("/paths/{place}"),
                    found: format!("{pattern:?}"),
                    expected:
                        "a pattern relative to the repository's root, like \"services/web/**\""
                            .to_owned(),
                });
            }
        }
        faults
    }

    /// What it takes, in a line for people: `ref refs/heads/main, version >=1.4`.
    pub fn told(&self) -> String {
        let part =
            |what: &str, text: &Option<String>| text.as_ref().map(|text| format!("{what} {text}"));
        let paths = (!self.paths.is_empty()).then(|| self.paths.join(" or "));
        let parts = [
            part("repository", &self.repository),
            part("ref", &self.git_ref),
            part("tag", &self.tag),
            part("version", &self.version),
            part("changes in", &paths),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() { "every image".to_owned() } else { parts.join(", ") }
    }
}

/// Whether a path, or a pattern of paths, begins at a repository's root without saying so.
pub(crate) fn is_relative(path: &str) -> bool {
    !path.is_empty() && !path.starts_with('/') && !path.starts_with("./")
}

/// The version that a tag is: three numbers, and what semver allows after them.
fn version(tag: &str) -> Option<Version> {
    Version::parse(tag.strip_prefix('v').unwrap_or(tag)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Digest;

    fn artifact(tag: Option<&str>) -> Artifact {
        Artifact {
            tag: tag.map(str::to_owned),
            git_ref: Some("refs/heads/main".to_owned()),
            ..Artifact::new("r.test/shop/web", Digest::of(b"web"))
        }
    }

    #[test]
    fn a_tag_is_in_a_range_as_semver_has_it() {
        for (range, tag, takes) in [
            (">=1.4, <2", "1.4.0", true),
            (">=1.4, <2", "v1.9.3", true),
            (">=1.4, <2", "2.0.0", false),
            (">=1.4, <2", "1.3.9", false),
            // A floating tag of many versions, and what is no version at all.
            (">=1.4, <2", "1.4", false),
            (">=1.4, <2", "latest", false),
            (">=1.4, <2", "vv1.4.0", false),
            // Pre-releases come only where they are asked for.
            (">=1.4, <2", "1.5.0-rc.1", false),
            (">=1.5.0-rc.0, <2", "1.5.0-rc.1", true),
            ("^1.4", "1.4.2", true),
            ("*", "0.0.1", true),
        ] {
            let rule = StartRule { version: Some(range.to_owned()), ..StartRule::default() };
            assert_eq!(rule.faults(), []);
            assert_eq!(rule.takes(&artifact(Some(tag)), &[]), takes, "{range} {tag}");
        }
        let rule = StartRule { version: Some("*".to_owned()), ..StartRule::default() };
        assert!(!rule.takes(&artifact(None), &[]));
    }

    #[test]
    fn one_path_that_is_asked_for_is_enough_and_unknown_paths_are_not() {
        let paths = |paths: &[&str]| paths.iter().map(|&path| path.to_owned()).collect();
        let rule =
            StartRule { paths: paths(&["services/web/**", "*.lock"]), ..StartRule::default() };
        for (changed, takes) in [
            (&["README.md", "services/web/src/a.rs"][..], true),
            (&["Cargo.lock"], true),
            (&["services/website/a.rs"], false),
            (&["docs/services/web/a.md"], false),
            (&[], false),
        ] {
            let changed: Vec<String> = paths(changed);
            assert_eq!(rule.takes(&artifact(None), &changed), takes, "{changed:?}");
        }
        assert!(StartRule::default().takes(&artifact(None), &[]));
    }

    #[test]
    fn all_that_is_given_has_to_hold_and_what_does_not_is_told() {
        let rule = StartRule {
            git_ref: Some("refs/heads/*".to_owned()),
            tag: Some("1.*".to_owned()),
            repository: Some("r.test/shop/*".to_owned()),
            ..StartRule::default()
        };
        let good = artifact(Some("1.4"));
        assert_eq!(rule.refusal(&good, &[]), None);
        let elsewhere = Artifact { repository: "r.test/other/web".to_owned(), ..good.clone() };
        let of_tag = Artifact { git_ref: Some("refs/tags/1.4".to_owned()), ..good.clone() };
        let unknown = Artifact { git_ref: None, ..good.clone() };
        let two = Artifact { tag: Some("2.0".to_owned()), ..good };
        for (artifact, told) in [
            (elsewhere, "its repository is r.test/other/web, and not like r.test/shop/*"),
            (of_tag, "its ref is refs/tags/1.4, and not like refs/heads/*"),
            (unknown, "its ref is not known, and has to be like refs/heads/*"),
            (two, "its tag is 2.0, and not like 1.*"),
        ] {
            assert_eq!(rule.refusal(&artifact, &[]).as_deref(), Some(told));
        }
        assert_eq!(rule.told(), "repository r.test/shop/*, ref refs/heads/*, tag 1.*");
    }

    #[test]
    fn ranges_and_paths_that_can_not_be_meant_are_faults() {
        let rule = StartRule {
            version: Some("1.4 or newer".to_owned()),
            paths: vec!["a/**".to_owned(), "/a/**".to_owned(), "./a".to_owned()],
            ..StartRule::default()
        };
        let pointers: Vec<String> = rule.faults().into_iter().map(|one| one.pointer).collect();
        assert_eq!(pointers, ["/version", "/paths/1", "/paths/2"]);
    }
}
