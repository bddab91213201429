//! How simulated pods behave: rules that a test sets, and image names that
//! anybody can try.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

use crate::json;

/// Rules kept at most; the oldest go first. A test needs a handful.
const MOST_RULES: usize = 256;

/// What a pod does once it exists.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Behaviour {
    /// Starts, and becomes ready after a time.
    Ready {
        /// Between the start of the containers and readiness.
        after: Duration,
    },
    /// Starts, but its readiness probe fails for ever.
    NeverReady,
    /// Its first container ends right after its start, again and again.
    CrashLoop {
        /// The exit code; 137 is that of one that used more memory than its limit.
        exit_code: i32,
        /// What it writes before it ends.
        log: Vec<String>,
    },
    /// Its image cannot be pulled.
    ImagePullError {
        /// What the registry said.
        message: String,
    },
    /// No node will have it.
    Unschedulable {
        /// What follows "0/1 nodes are available: ".
        reason: String,
    },
    /// Its containers end by themselves after a time, as those of a job do.
    Exits {
        /// Between start and end.
        after: Duration,
        /// The exit code.
        exit_code: i32,
    },
}

impl Behaviour {
    /// Crashes on start with exit code 1 and a line that says so.
    #[must_use]
    pub fn crash_loop() -> Self {
        Self::CrashLoop {
            exit_code: 1,
            log: vec![
                "starting".to_owned(),
                "fatal: cannot start: missing configuration".to_owned(),
            ],
        }
    }

    /// An image that the registry does not have.
    #[must_use]
    pub fn image_not_found() -> Self {
        Self::ImagePullError { message: "not found".to_owned() }
    }

    /// A node that is too small.
    #[must_use]
    pub fn unschedulable() -> Self {
        Self::Unschedulable { reason: "1 Insufficient cpu.".to_owned() }
    }
}

/// Which pods a rule is about; what is not said fits every pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodMatch {
    namespace: Option<String>,
    labels: BTreeMap<String, String>,
    image: Option<String>,
    name: Option<String>,
}

impl PodMatch {
    /// Every pod.
    #[must_use]
    pub fn any() -> Self {
        Self::default()
    }

    /// Only pods of a namespace.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Only pods with a label.
    #[must_use]
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }

    /// Only pods with a container whose image contains a text.
    #[must_use]
    pub fn image(mut self, part: impl Into<String>) -> Self {
        self.image = Some(part.into());
        self
    }

    /// Only pods whose name begins with a text.
    #[must_use]
    pub fn name(mut self, prefix: impl Into<String>) -> Self {
        self.name = Some(prefix.into());
        self
    }

    fn fits(&self, pod: &Value) -> bool {
        let has_label = |key: &str, value: &str| {
            json::object(pod, "/metadata/labels")
                .and_then(|labels| labels.get(key)?.as_str())
                .is_some_and(|found| found == value)
        };
        self.namespace.as_deref().is_none_or(|ns| json::namespace(pod) == ns)
            && self.name.as_deref().is_none_or(|prefix| json::name(pod).starts_with(prefix))
            && self.labels.iter().all(|(key, value)| has_label(key, value))
            && self
                .image
                .as_deref()
                .is_none_or(|part| images(pod).any(|image| image.contains(part)))
    }
}

fn images(pod: &Value) -> impl Iterator<Item = &str> {
    ["/spec/containers", "/spec/initContainers"]
        .into_iter()
        .flat_map(|list| json::items(pod, list))
        .map(|container| json::text(container, "/image"))
}

/// The rules of a cluster. The newest rule that fits a pod decides; without
/// one its image's name does; else the pod is ready in no time.
///
/// Image names that decide: those containing `practice/crash-loop`,
/// `practice/never-ready`, `practice/image-pull-error`,
/// `practice/unschedulable` or `practice/slow-start` (ready after five
/// seconds).
#[derive(Debug)]
pub struct Behaviours {
    rules: Mutex<Vec<(PodMatch, Behaviour)>>,
    changes: watch::Sender<u64>,
}

impl Default for Behaviours {
    fn default() -> Self {
        Self { rules: Mutex::default(), changes: watch::Sender::new(0) }
    }
}

impl Behaviours {
    /// Adds a rule. Pods that run already follow it too, as far as they can:
    /// a pod that was never ready becomes ready, but none is unscheduled.
    pub fn set(&self, pods: PodMatch, behaviour: Behaviour) {
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        rules.retain(|(known, _)| *known != pods);
        if rules.len() >= MOST_RULES {
            rules.remove(0);
        }
        rules.push((pods, behaviour));
        self.changes.send_modify(|count| *count += 1);
    }

    /// Removes all rules.
    pub fn clear(&self) {
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        rules.clear();
        self.changes.send_modify(|count| *count += 1);
    }

    /// A receiver that wakes when the rules change.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// What a pod does, if anything was decided.
    pub(crate) fn decide(&self, pod: &Value) -> Option<Behaviour> {
        let rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        rules
            .iter()
            .rev()
            .find(|(pods, _)| pods.fits(pod))
            .map(|(_, behaviour)| behaviour.clone())
            .or_else(|| images(pod).find_map(of_image))
    }
}

/// The container that a behaviour is about: the one whose image names it, or
/// the first.
pub(crate) fn affected(pod: &Value) -> usize {
    json::items(pod, "/spec/containers")
        .iter()
        .position(|container| of_image(json::text(container, "/image")).is_some())
        .unwrap_or_default()
}

fn of_image(image: &str) -> Option<Behaviour> {
    let has = |part: &str| image.contains(part);
    if has("practice/crash-loop") {
        Some(Behaviour::crash_loop())
    } else if has("practice/never-ready") {
        Some(Behaviour::NeverReady)
    } else if has("practice/image-pull-error") {
        Some(Behaviour::image_not_found())
    } else if has("practice/unschedulable") {
        Some(Behaviour::unschedulable())
    } else if has("practice/slow-start") {
        Some(Behaviour::Ready { after: Duration::from_secs(5) })
    } else {
        None
    }
}
