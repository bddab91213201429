//! Artifacts: images, by digest, with where they came from; and where they go.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{ApplicationSpec, ArtifactRule, Stage, is_relative};
use crate::seeded::{Bug, seeded};
use crate::set::{Delta, DeltaError, DeploymentSet, IMAGE_FROM_ARTIFACT, patch};
use crate::{Digest, Name, Timestamp};

/// The most artifacts that can be announced at once.
pub const ARTIFACTS_MAX: usize = 100;

/// The most changed paths that an artifact is announced with. A commit that changes
/// more is one of everything: announce its directories.
pub const PATHS_MAX: usize = 500;

/// The most bytes that these have together. An announcement is kept for ever, and found
/// again up to 64 KiB.
pub const PATHS_BYTES_MAX: usize = 16 << 10;

/// Stages that are told of that pass announced artifacts by: more than anybody reads.
pub const PASSED_MAX: usize = 50;

/// An image, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Artifact {
    /// `registry.example.com/shop/frontend`, without tag and digest.
    pub repository: String,
    /// Of the image's manifest: what the artifact is. Tags move.
    pub digest: Digest,
    /// The tag it was pushed with, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// The Git ref it was built from: `refs/heads/main`.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub git_ref: Option<String>,
    /// The commit it was built from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Who has made that commit: `Ana Silva <ana@example.com>`. Approvals can leave
    /// them out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// When that commit was made: from then on the lead time to an environment
    /// counts. Without it, it counts from the first announcement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committed_at: Option<Timestamp>,
    /// Where the build can be looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_url: Option<String>,
    /// Its place among the builds of its source, which is a repository and a ref:
    /// the number of the pipeline's run. An artifact that is announced after one
    /// with a larger number is late, and is not deployed by itself. Without it,
    /// artifacts are as new as their announcements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// What has changed with that commit, relative to the repository's root:
    /// `services/web/main.rs`. Stages can ask for paths; then what has none does not
    /// come there by itself, unless they are known from the commit's push.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = PATHS_MAX))]
    pub paths: Vec<String>,
}

impl Artifact {
    /// An image of which nothing else is known.
    pub fn new(repository: impl Into<String>, digest: Digest) -> Self {
        Self {
            repository: repository.into(),
            digest,
            tag: None,
            git_ref: None,
            commit: None,
            author: None,
            committed_at: None,
            build_url: None,
            sequence: None,
            paths: Vec::new(),
        }
    }

    /// `repository@sha256:...`, as manifests name it.
    pub fn image(&self) -> String {
        format!("{}@{}", self.repository, self.digest)
    }

    /// Whether it is older than the newest of its source, as far as both say
    /// their place. A build that was run again has the place that it had.
    pub fn is_late(&self, newest: Option<u64>) -> bool {
        !seeded(Bug::LateArtifactDeployed)
            && matches!((self.sequence, newest), (Some(own), Some(newest)) if own < newest)
    }

    /// What is wrong with it, if anything.
    pub fn fault(&self) -> Option<String> {
        let last = self.repository.rsplit('/').next().unwrap_or_default();
        if self.repository.is_empty() || self.repository.contains(['@', ' ']) || last.contains(':')
        {
            return Some(format!(
                "repository: found {:?}, expected a repository without tag and digest, as registry.example.com/shop/frontend",
                self.repository
            ));
        }
        let bytes: usize = self.paths.iter().map(String::len).sum();
        if self.paths.len() > PATHS_MAX || bytes > PATHS_BYTES_MAX {
            return Some(format!(
                "paths: found {} of {bytes} bytes, expected {PATHS_MAX} of {PATHS_BYTES_MAX} bytes together at most: announce directories instead",
                self.paths.len()
            ));
        }
        let odd = self.paths.iter().find(|path| !is_relative(path));
        odd.map(|path| {
            format!(
                "paths: found {path:?}, expected paths relative to the repository's root, as services/web/main.rs"
            )
        })
    }
}

/// Images that are meant for containers of an application in an environment:
/// the latest for each, by workload and container.
pub type Images = BTreeMap<(String, String), String>;

/// What becomes of an artifact in an environment.
#[derive(Debug, Clone, PartialEq)]
pub enum Routed {
    /// It is deployed.
    Deploy {
        /// What the environment gets.
        set: Box<DeploymentSet>,
    },
    /// It waits for artifacts of other containers, `workload/container` each.
    Held {
        /// Containers without an image.
        missing: Vec<String>,
    },
}

/// Whether a rule is for this artifact.
fn is_for(rule: &ArtifactRule, artifact: &Artifact) -> bool {
    rule.repository == artifact.repository
}

/// A stage to which artifacts come by themselves, and why one does not; none if it does.
pub type Destination<'a> = (&'a Name, Option<String>);

/// Environments of an application to which artifacts come by themselves, in the order of
/// the flow, and why this one does not. `paths` are those that have changed with its
/// commit.
pub fn destinations<'a>(
    spec: &'a ApplicationSpec,
    artifact: &Artifact,
    paths: &[String],
) -> Vec<Destination<'a>> {
    if !spec.artifacts.iter().any(|rule| is_for(rule, artifact)) {
        return Vec::new();
    }
    let destination = |stage: &'a Stage| {
        let start = stage.automatic.as_ref()?;
        Some((&stage.environment, start.refusal(artifact, paths)))
    };
    spec.flow.iter().filter_map(destination).collect()
}

/// Containers that an artifact is for, with its image.
pub fn images(spec: &ApplicationSpec, set: &DeploymentSet, artifact: &Artifact) -> Images {
    let mut found = Images::new();
    for rule in spec.artifacts.iter().filter(|rule| is_for(rule, artifact)) {
        let Some(workload) = set.workloads.get(rule.workload.as_str()) else { continue };
        for (name, container) in &workload.containers {
            let wanted = match &rule.container {
                Some(container) => container == name,
                None => container.image == IMAGE_FROM_ARTIFACT,
            };
            if wanted {
                found.insert((rule.workload.to_string(), name.clone()), artifact.image());
            }
        }
    }
    found
}

/// The set of an environment: what the application says, with these images.
/// Images of containers that are not there any more are passed over.
pub fn with_images(set: &DeploymentSet, images: &Images) -> Result<DeploymentSet, DeltaError> {
    let known = set.images();
    let images =
        images.iter().filter(|(place, _)| known.contains_key(*place)).map(clone_pair).collect();
    patch(set, &Delta::of_images(&images))
}

fn clone_pair<A: Clone, B: Clone>((a, b): (&A, &B)) -> (A, B) {
    (a.clone(), b.clone())
}

/// What becomes of an environment's images: a deployment, or a wait.
pub fn route(set: &DeploymentSet, images: &Images) -> Result<Routed, DeltaError> {
    let set = with_images(set, images)?;
    let missing = set.missing_images();
    Ok(if missing.is_empty() {
        Routed::Deploy { set: Box::new(set) }
    } else {
        Routed::Held { missing }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fixture() -> (ApplicationSpec, DeploymentSet) {
        let spec = serde_json::from_value(json!({
            "workloads": ["frontend", "backend"],
            "artifacts": [
                {"repository": "r.test/frontend", "workload": "frontend"},
                {"repository": "r.test/backend", "workload": "backend", "container": "api"},
            ],
            "flow": [
                {"environment": "development", "automatic": {"ref": "refs/heads/main"}},
                {"environment": "preview", "automatic": {}},
                {"environment": "production"},
            ],
        }))
        .unwrap();
        let workload = |name: &str, container: &str| {
            json!({
                "apiVersion": "score.dev/v1b1",
                "metadata": {"name": name},
                "containers": {container: {"image": "."}, "proxy": {"image": "r.test/proxy@x"}},
            })
        };
        let set = serde_json::from_value(json!({
            "application": "shop",
            "workloads": {
                "frontend": workload("frontend", "web"),
                "backend": workload("backend", "api"),
            },
        }))
        .unwrap();
        (spec, set)
    }

    fn artifact(name: &str, git_ref: Option<&str>) -> Artifact {
        Artifact {
            git_ref: git_ref.map(str::to_owned),
            ..Artifact::new(format!("r.test/{name}"), Digest::of(name.as_bytes()))
        }
    }

    #[test]
    fn i3_only_who_says_its_place_can_be_late() {
        let of = |sequence| Artifact { sequence, ..artifact("frontend", None) };
        for (own, newest, late) in [
            (Some(6), Some(7), true),
            (Some(7), Some(7), false),
            (Some(8), Some(7), false),
            (Some(0), None, false),
            (None, Some(7), false),
        ] {
            assert_eq!(of(own).is_late(newest), late, "{own:?} {newest:?}");
        }
    }

    #[test]
    fn artifacts_go_where_the_flow_says() {
        let (spec, _) = fixture();
        let to = |artifact: &Artifact| -> Vec<String> {
            let all = destinations(&spec, artifact, &[]);
            let taken = all.into_iter().filter(|(_, refusal)| refusal.is_none());
            taken.map(|(name, _)| name.to_string()).collect()
        };
        assert_eq!(to(&artifact("frontend", Some("refs/heads/main"))), ["development", "preview"]);
        assert_eq!(to(&artifact("frontend", Some("refs/heads/x"))), ["preview"]);
        assert_eq!(to(&artifact("frontend", None)), ["preview"]);
        assert!(to(&artifact("other", Some("refs/heads/main"))).is_empty());
    }

    #[test]
    fn a_set_is_complete_when_every_container_has_an_image() {
        let (spec, set) = fixture();
        let mut known = images(&spec, &set, &artifact("frontend", None));
        assert_eq!(known.len(), 1);
        assert_eq!(
            route(&set, &known).unwrap(),
            Routed::Held { missing: vec!["backend/api".into()] }
        );
        known.extend(images(&spec, &set, &artifact("backend", None)));
        let Routed::Deploy { set } = route(&set, &known).unwrap() else { panic!("held") };
        assert!(
            set.workloads["backend"].containers["api"].image.starts_with("r.test/backend@sha256:")
        );
        assert_eq!(set.workloads["backend"].containers["proxy"].image, "r.test/proxy@x");
    }

    #[test]
    fn a_repository_has_neither_tag_nor_digest() {
        assert_eq!(artifact("x", None).fault(), None);
        for bad in ["", "a:b", "r.test:5000/a:1", "a@sha256:0"] {
            let artifact = Artifact { repository: bad.into(), ..artifact("x", None) };
            assert!(artifact.fault().is_some(), "{bad}");
        }
        let port = Artifact { repository: "r.test:5000/a".into(), ..artifact("x", None) };
        assert_eq!(port.fault(), None);
    }

    #[test]
    fn paths_are_relative_and_bounded() {
        let of = |paths: Vec<String>| Artifact { paths, ..artifact("x", None) }.fault();
        assert_eq!(of(vec!["services/web/main.rs".into(), "a".into()]), None);
        for bad in ["", "/etc/passwd", "./a"] {
            let fault = of(vec!["a".into(), bad.into()]).unwrap();
            assert!(fault.contains(&format!("{bad:?}")), "{fault}");
        }
        assert!(of(vec!["a".into(); PATHS_MAX + 1]).is_some());
        assert!(of(vec!["a".repeat(PATHS_BYTES_MAX + 1)]).is_some());
    }
}
