//! Stays of images: which image was in which environment from when to when, by
//! which deployment, and how that ended.
//!
//! A stay begins with the deployment that brings an image which did not run
//! there, and lasts until one comes without it: deployments that leave an image
//! as it is write nothing. Nothing is ever taken out of these indexes, so that
//! environments that are gone are found as well.
//!
//! They are written in the transaction of the event that ends a deployment, from
//! that event's record, the images of its set, and what ran before it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::Action;
use super::projection::key;
use super::record::DeploymentRecord;
use super::state::Outcome;
use super::step::{StepKind, StepStatus};
use crate::announcement::tag_put;
use crate::image::{IMAGE_CHARS_MAX, Image};
use crate::ports::{Index, KeyRange, Put};
use crate::{Actor, DeploymentId, Digest, EnvironmentId, Name, Timestamp};

/// Repository, version, environment and deployment -> [`Stay`].
pub const STAYS: Index = Index("stays");
/// What runs: environment -> [`Running`]; nothing where nothing does.
pub const RUNNING: Index = Index("running");
/// Where a repository is or was: repository and environment -> the versions that
/// run there, none when it is no more.
pub const REPOSITORIES: Index = Index("environments-by-repository");
/// Digest and repository -> nothing more.
pub const REPOSITORIES_BY_DIGEST: Index = Index("repositories-by-digest");

/// The most containers of a set that are looked at: what all of them change is
/// one batch, and what runs is one value, which have to stay below what a store
/// takes. Sets of people have tens.
pub const CONTAINERS_MAX: usize = 500;

/// The longest tag or commit of an announcement that is kept beside a stay: tags
/// have at most 128 characters, and commits 64.
const NOTE_CHARS_MAX: usize = 128;

/// An image in an environment, by the deployment that brought it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stay {
    /// The environment's type then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment_type: Option<Name>,
    /// The deployment's number in its environment.
    pub number: u64,
    /// Who asked for it.
    pub actor: Actor,
    /// When it was asked for.
    pub queued: Timestamp,
    /// Containers that had it, as `workload/container`, when it came.
    pub containers: Vec<String>,
    /// Its tag, as the set or the last announcement had it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// The commit that it was built from, as it was announced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Since when it is what runs; none when it never came to that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Until when; none while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// How the deployment ended that brought it.
    pub outcome: Outcome,
    /// Workloads with it that the rollout has seen ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seen_ready: Vec<String>,
}

impl Stay {
    /// Whether it runs.
    pub fn is_now(&self) -> bool {
        self.from.is_some() && self.until.is_none()
    }

    /// Whether it ran at a time.
    pub fn is_at(&self, at: Timestamp) -> bool {
        self.from.is_some_and(|from| from <= at) && self.until.is_none_or(|until| at < until)
    }
}

/// An image that runs, and since when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Held {
    /// The deployment that brought it.
    pub deployment: DeploymentId,
    /// Its stay.
    #[serde(flatten)]
    pub stay: Stay,
}

/// Images that run in an environment, by name without the tag.
pub type Running = BTreeMap<String, Held>;

/// What is known of an image beside the set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// The tag that it was announced with.
    pub tag: Option<String>,
    /// The commit that it was built from.
    pub commit: Option<String>,
}

/// The images of a set: name without the tag -> the image, and the containers
/// that have it, as `workload/container`.
///
/// What is too long or too strange to be a name is no image of any registry, and
/// is left out.
pub fn images(
    of_set: &BTreeMap<(String, String), String>,
) -> BTreeMap<String, (Image, Vec<String>)> {
    let mut images: BTreeMap<String, (Image, Vec<String>)> = BTreeMap::new();
    for ((workload, container), text) in of_set.iter().take(CONTAINERS_MAX) {
        if text.len() > IMAGE_CHARS_MAX || text.contains(char::is_control) {
            continue;
        }
        let image = Image::of(text);
        let (_, containers) =
            images.entry(image.to_string()).or_insert_with(|| (image, Vec::new()));
        containers.push(format!("{workload}/{container}"));
    }
    images
}

/// What the end of a deployment changes.
#[derive(Debug, Clone)]
pub struct Ending<'e> {
    /// The deployment, with its steps; it has ended.
    pub record: &'e DeploymentRecord,
    /// The environment's type.
    pub environment_type: Option<&'e Name>,
    /// Whether its set is what runs from now on; of a teardown, whether nothing
    /// is.
    pub runs: bool,
    /// What ran before.
    pub before: Running,
    /// Images of its set, see [`images`]; none for a teardown.
    pub images: &'e BTreeMap<String, (Image, Vec<String>)>,
    /// What is known of those that did not run before.
    pub known: &'e BTreeMap<String, Known>,
}

impl Ending<'_> {
    /// Images that did not run before.
    pub fn arriving(&self) -> impl Iterator<Item = (&String, &Image)> {
        self.images
            .iter()
            .filter(|(name, _)| !self.before.contains_key(*name))
            .map(|(name, (image, _))| (name, image))
    }

    /// What is to be written, and what runs then.
    ///
    /// Fails only where a part can't be JSON, which no part of ours is.
    pub fn puts(&self) -> Result<(Running, Vec<Put>), serde_json::Error> {
        let Some((at, outcome)) = self.record.ended.zip(self.record.outcome) else {
            return Ok((self.before.clone(), Vec::new()));
        };
        let environment = &self.record.environment;
        let mut after = self.before.clone();
        let mut written = Vec::new();
        let mut touched = Vec::new();
        for (name, image) in self.arriving() {
            let stay = self.arrival(name, image, at, outcome);
            touched.push(image.clone());
            let held = Held { deployment: self.record.id.clone(), stay };
            if self.runs {
                after.insert(name.clone(), held.clone());
            }
            written.push((image.clone(), held));
        }
        if self.runs {
            after.retain(|name, held| {
                let stays = self.images.contains_key(name);
                if !stays {
                    held.stay.until = Some(at);
                    let image = Image::of(name);
                    touched.push(image.clone());
                    written.push((image, held.clone()));
                }
                stays
            });
        }
        let mut puts = Vec::new();
        let mut put = |index, key, value: Option<Vec<u8>>| puts.push(Put { index, key, value });
        for (image, Held { deployment, stay }) in &written {
            let key = stay_key(image, environment, deployment);
            put(STAYS, key, Some(serde_json::to_vec(stay)?));
        }
        for (_, image) in self.arriving() {
            if let (Some(tag), Some(digest)) = (&image.tag, image.digest) {
                puts.extend(tag_put(&image.repository, tag, digest, at)?);
            }
        }
        let mut put = |index, key, value: Option<Vec<u8>>| puts.push(Put { index, key, value });
        for image in touched {
            if let Some(digest) = image.digest {
                let key = key(&digest.to_string(), image.repository.as_bytes());
                put(REPOSITORIES_BY_DIGEST, key, Some(Vec::from(b"null")));
            }
            let versions: Vec<String> = after
                .keys()
                .map(|name| Image::of(name))
                .filter(|other| other.repository == image.repository)
                .map(|other| other.version())
                .collect();
            let key = key(&image.repository, environment.to_string().as_bytes());
            put(REPOSITORIES, key, Some(serde_json::to_vec(&versions)?));
        }
        if after != self.before {
            let running = (!after.is_empty()).then(|| serde_json::to_vec(&after)).transpose()?;
            put(RUNNING, running_key(environment), running);
        }
        puts.sort_by(|a, b| (a.index, &a.key).cmp(&(b.index, &b.key)));
        puts.dedup();
        Ok((after, puts))
    }

    fn arrival(&self, name: &str, image: &Image, at: Timestamp, outcome: Outcome) -> Stay {
        let DeploymentRecord { number, actor, queued, work, .. } = self.record;
        let short = |note: &String| note.len() <= NOTE_CHARS_MAX;
        let known = self.known.get(name).cloned().unwrap_or_default();
        let containers = self.images.get(name).map(|(_, containers)| containers.clone());
        let containers = containers.unwrap_or_default();
        let has_it = |workload: &String| {
            containers.iter().any(|place| {
                place.split_once('/').is_some_and(|(of_it, _)| of_it == workload.as_str())
            })
        };
        let steps = work.iter().flat_map(|work| work.steps.iter());
        let mut seen_ready: Vec<String> = steps
            .filter(|step| step.status == StepStatus::Succeeded)
            .filter_map(|step| match &step.kind {
                StepKind::Rollout { action: Action::AwaitReady { workloads, .. } } => {
                    Some(workloads.clone())
                }
                _ => None,
            })
            .flatten()
            .filter(has_it)
            .collect();
        seen_ready.sort();
        seen_ready.dedup();
        Stay {
            environment_type: self.environment_type.cloned(),
            number: *number,
            actor: actor.clone(),
            queued: *queued,
            containers,
            tag: image.tag.clone().or(known.tag).filter(short),
            commit: known.commit.filter(short),
            from: self.runs.then_some(at),
            until: None,
            outcome,
            seen_ready,
        }
    }
}

/// The key of what runs in an environment.
pub fn running_key(environment: &EnvironmentId) -> Vec<u8> {
    environment.to_string().into_bytes()
}

/// The key of a stay.
pub fn stay_key(image: &Image, environment: &EnvironmentId, deployment: &DeploymentId) -> Vec<u8> {
    let rest = key(&environment.to_string(), deployment.0.as_bytes());
    key(&image.repository, &key(&image.version(), &rest))
}

/// The image's name, environment and deployment in the key of a stay.
pub fn stay_place(bytes: &[u8]) -> Option<(String, EnvironmentId, DeploymentId)> {
    let mut parts = bytes.splitn(4, |byte| *byte == 0);
    let mut text = || std::str::from_utf8(parts.next()?).ok();
    let name = Image::name_of(text()?, text()?);
    Some((name, text()?.parse().ok()?, DeploymentId(text()?.to_owned())))
}

/// The keys of all stays of a version of a repository.
pub fn stays_of(repository: &str, version: &str) -> KeyRange {
    KeyRange::prefix(&key(repository, &key(version, &[])))
}

/// The keys of all stays of a version of a repository in an environment.
pub fn stays_in(repository: &str, version: &str, environment: &EnvironmentId) -> KeyRange {
    let rest = key(&environment.to_string(), &[]);
    KeyRange::prefix(&key(repository, &key(version, &rest)))
}

/// The keys of all stays of all versions of a repository.
pub fn stays_of_all(repository: &str) -> KeyRange {
    KeyRange::prefix(&key(repository, &[]))
}

/// The keys of all environments that have or had a repository.
pub fn environments_of(repository: &str) -> KeyRange {
    KeyRange::prefix(&key(repository, &[]))
}

/// The environment in a key of [`REPOSITORIES`].
pub fn environment_with(bytes: &[u8]) -> Option<EnvironmentId> {
    std::str::from_utf8(bytes.rsplit(|byte| *byte == 0).next()?).ok()?.parse().ok()
}

/// The keys of all repositories that have a digest.
pub fn repositories_with(digest: Digest) -> KeyRange {
    KeyRange::prefix(&key(&digest.to_string(), &[]))
}

/// The repository in a key of [`REPOSITORIES_BY_DIGEST`].
pub fn repository_with(bytes: &[u8]) -> Option<String> {
    Some(std::str::from_utf8(bytes.rsplit(|byte| *byte == 0).next()?).ok()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deployment::{Mode, Origin, Phase, Request, Schedule};

    fn ended(number: u64, outcome: Outcome) -> DeploymentRecord {
        DeploymentRecord {
            id: DeploymentId(format!("deployment-{number}")),
            environment: "shop/production".parse().unwrap(),
            number,
            actor: Actor("ada".into()),
            request: Request {
                set: Digest::of(b"set"),
                mode: Mode::Manual,
                origin: Origin::Request,
                comment: None,
                expected_plan: None,
                confirm_replace: false,
                teardown: None,
                schedule: Schedule::default(),
            },
            queued: Timestamp(number * 100),
            ended: Some(Timestamp(number * 100 + 50)),
            phase: Phase::Ended,
            outcome: Some(outcome),
            fault: None,
            deferred: None,
            yielded: None,
            work: None,
            imported: None,
        }
    }

    /// What keys hold after deployments of images, each with its outcome.
    #[derive(Default)]
    struct Kept(BTreeMap<(Index, Vec<u8>), Vec<u8>>);

    impl Kept {
        fn end(&mut self, record: &DeploymentRecord, set: &[&str]) {
            let set = set
                .iter()
                .zip(0..)
                .map(|(image, n)| (("web".to_owned(), format!("c{n}")), (*image).to_owned()));
            let images = images(&set.collect());
            let before = self.0.get(&(RUNNING, running_key(&record.environment)));
            let before = before.map(|bytes| serde_json::from_slice(bytes).unwrap());
            let ending = Ending {
                record,
                environment_type: None,
                runs: record.outcome == Some(Outcome::Succeeded),
                before: before.unwrap_or_default(),
                images: &images,
                known: &BTreeMap::new(),
            };
            for Put { index, key, value } in ending.puts().unwrap().1 {
                match value {
                    Some(value) => drop(self.0.insert((index, key), value)),
                    None => drop(self.0.remove(&(index, key))),
                }
            }
        }

        fn stays(&self, name: &str) -> Vec<(u64, Option<u64>, Option<u64>)> {
            let image = Image::of(name);
            let range = stays_of(&image.repository, &image.version());
            self.0
                .iter()
                .filter(|((index, key), _)| *index == STAYS && *key >= range.start)
                .filter(|((_, key), _)| range.end.as_ref().is_none_or(|end| key < end))
                .map(|(_, value)| serde_json::from_slice::<Stay>(value).unwrap())
                .map(|stay| (stay.number, stay.from.map(|t| t.0), stay.until.map(|t| t.0)))
                .collect()
        }
    }

    #[test]
    fn what_stays_is_one_stay_and_what_failed_is_none() {
        let mut kept = Kept::default();
        kept.end(&ended(1, Outcome::Succeeded), &["r/web:1", "r/proxy:1"]);
        kept.end(&ended(2, Outcome::RolledBack), &["r/web:2", "r/proxy:1"]);
        kept.end(&ended(3, Outcome::Succeeded), &["r/web:3", "r/proxy:1"]);
        kept.end(&ended(4, Outcome::Succeeded), &["r/web:1", "r/proxy:1"]);
        assert_eq!(kept.stays("r/web:1"), [(1, Some(150), Some(350)), (4, Some(450), None)]);
        assert_eq!(kept.stays("r/web:2"), [(2, None, None)]);
        assert_eq!(kept.stays("r/web:3"), [(3, Some(350), Some(450))]);
        assert_eq!(kept.stays("r/proxy:1"), [(1, Some(150), None)]);
        let environment = "shop/production".parse().unwrap();
        let running: Running =
            serde_json::from_slice(&kept.0[&(RUNNING, running_key(&environment))]).unwrap();
        assert_eq!(running.keys().collect::<Vec<_>>(), ["r/proxy:1", "r/web:1"]);
        // A teardown: nothing runs any more, and all of it stays known.
        kept.end(&ended(5, Outcome::Succeeded), &[]);
        assert!(!kept.0.contains_key(&(RUNNING, running_key(&environment))));
        assert_eq!(kept.stays("r/proxy:1"), [(1, Some(150), Some(550))]);
        let key = key("r/proxy", environment.to_string().as_bytes());
        assert_eq!(kept.0[&(REPOSITORIES, key)], b"[]");
    }

    #[test]
    fn keys_can_be_read_again() {
        let environment: EnvironmentId = "shop/production".parse().unwrap();
        let id = DeploymentId("01jd2k9x7h8f6v3q5w1n4m0zta".into());
        let digest = Digest::of(b"x");
        for name in ["r:5000/a/b".to_owned(), "r/web:1".into(), format!("r/web@{digest}")] {
            let place = stay_place(&stay_key(&Image::of(&name), &environment, &id)).unwrap();
            assert_eq!(place, (name, environment.clone(), id.clone()));
        }
        assert!(stay_place(b"too few").is_none());
        let range = repositories_with(digest);
        assert_eq!(repository_with(&[&range.start[..], b"r/web"].concat()).unwrap(), "r/web");
        let range = environments_of("r/web");
        let key = [&range.start[..], b"shop/production"].concat();
        assert_eq!(environment_with(&key).unwrap(), environment);
    }

    #[test]
    fn strange_names_are_no_images() {
        let place = |container: &str| ("web".to_owned(), container.to_owned());
        let set = BTreeMap::from([
            (place("a"), "r/web:1".to_owned()),
            (place("b"), "r/web:1".to_owned()),
            (place("c"), "zero\0byte".to_owned()),
            (place("d"), "x".repeat(IMAGE_CHARS_MAX + 1)),
        ]);
        let found = images(&set);
        assert_eq!(found.len(), 1);
        assert_eq!(found["r/web:1"].1, ["web/a", "web/b"]);
    }

    #[test]
    fn what_came_with_a_tag_and_a_digest_is_found_by_its_tag() {
        let mut kept = Kept::default();
        let digest = Digest::of(b"1.4");
        let tagged = format!("r.test/web:1.4@{digest}");
        kept.end(&ended(1, Outcome::Succeeded), &[&tagged, "r.test/aside:2"]);
        let of = crate::announcement::tagged("r.test/web", "1.4");
        let tags: Vec<_> =
            kept.0.iter().filter(|((index, _), _)| *index == crate::announcement::TAGS).collect();
        let [((_, key), value)] = tags.as_slice() else { panic!("{tags:?}") };
        assert!(key.starts_with(&of.start));
        assert_eq!(serde_json::from_slice::<Digest>(value).unwrap(), digest);
    }
}
