//! Who gets the requests of a workload's users, by what is in the practice cluster:
//! its HTTPRoutes, Ingresses with their canaries, Services and ready pods.

use std::collections::BTreeMap;

use deployd_core::rehearsal::{Shares, TrackFigures, percent};
use deployd_core::rollout::{STABLE, TRACK_LABEL, Version};
use deployd_practice::Practice;
use serde_json::{Map, Value};

use super::objects::{OF_WORKLOAD, VERSION, WORKLOAD, label_of, text};

const HTTP_ROUTES: &str = "httproutes.gateway.networking.k8s.io";
const INGRESSES: &str = "ingresses.networking.k8s.io";

/// What runs pods of which there can be several.
const RUNNERS: [&str; 2] = ["deployments.apps", "statefulsets.apps"];

const CANARY: &str = "nginx.ingress.kubernetes.io/canary";
const CANARY_WEIGHT: &str = "nginx.ingress.kubernetes.io/canary-weight";

/// The Service that users of a workload ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) namespace: String,
    pub(super) service: String,
}

/// How all workloads are at a moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Look {
    pub(super) workloads: BTreeMap<String, WorkloadLook>,
}

/// How a workload is.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct WorkloadLook {
    /// Who answers its users.
    pub(super) shares: Shares,
    pub(super) tracks: BTreeMap<String, TrackLook>,
}

/// How a track of a workload is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct TrackLook {
    /// The part of the requests that is led to it.
    pub(super) part: f64,
    /// Pods that are wanted.
    pub(super) wanted: u32,
    /// Whether the new version is wanted there.
    pub(super) is_new: bool,
    /// Pods of the new and the current version that are ready.
    pub(super) ready: (u32, u32),
}

impl Look {
    /// The most that the new version gets of a workload's requests, 0 to 1.
    pub(super) fn share(&self) -> f64 {
        self.workloads.values().map(|it| it.shares.to_new()).fold(0.0, f64::max)
    }

    /// The tracks of all workloads together.
    pub(super) fn tracks(&self) -> BTreeMap<String, TrackFigures> {
        let mut found: BTreeMap<String, TrackFigures> = BTreeMap::new();
        for (track, look) in self.workloads.values().flat_map(|it| &it.tracks) {
            let version = if look.is_new { Version::New } else { Version::Current };
            let none = TrackFigures { version, weight: 0, ready: 0, wanted: 0 };
            let figures = found.entry(track.clone()).or_insert(none);
            if look.is_new {
                figures.version = Version::New;
            }
            figures.weight = figures.weight.max(percent(look.part));
            let (new, current) = look.ready;
            figures.ready = figures.ready.saturating_add(new).saturating_add(current);
            figures.wanted = figures.wanted.saturating_add(look.wanted);
        }
        found
    }
}

/// A pod that a rehearsal knows.
struct Pod<'a> {
    namespace: &'a str,
    labels: &'a Map<String, Value>,
    workload: &'a str,
    track: &'a str,
    is_new: bool,
    is_ready: bool,
}

/// Looks at the cluster.
pub(super) fn look(practice: &Practice, entries: &BTreeMap<String, Entry>) -> Look {
    let objects = practice.objects();
    let all = objects.list("pods", "");
    let pods: Vec<Pod<'_>> = all.iter().filter_map(|pod| known(pod)).collect();
    let mut look = Look::default();
    for runner in RUNNERS.iter().flat_map(|kind| objects.list(kind, "")) {
        let labels = runner.pointer("/spec/template/metadata/labels").and_then(Value::as_object);
        let Some((workload, track, is_new)) = labels.and_then(|labels| of(labels)) else {
            continue;
        };
        let tracks = &mut look.workloads.entry(workload.to_owned()).or_default().tracks;
        let found = tracks.entry(track.to_owned()).or_default();
        let wanted = runner.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1);
        found.wanted = found.wanted.saturating_add(u32::try_from(wanted).unwrap_or(u32::MAX));
        found.is_new |= is_new;
    }
    for pod in pods.iter().filter(|pod| pod.is_ready) {
        let tracks = &mut look.workloads.entry(pod.workload.to_owned()).or_default().tracks;
        let (new, current) = &mut tracks.entry(pod.track.to_owned()).or_default().ready;
        let count = if pod.is_new { new } else { current };
        *count = count.saturating_add(1);
    }
    for (workload, entry) in entries {
        let found = look.workloads.entry(workload.clone()).or_default();
        for (service, part) in led(practice, workload, entry) {
            lead(practice, &entry.namespace, (&service, part), &pods, found);
        }
    }
    look
}

fn known(pod: &Value) -> Option<Pod<'_>> {
    let labels = pod.pointer("/metadata/labels")?.as_object()?;
    let (workload, track, is_new) = of(labels)?;
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    let is_ready = conditions.into_iter().flatten().any(|condition| {
        text(condition, "/type") == "Ready" && text(condition, "/status") == "True"
    });
    let is_leaving = pod.pointer("/metadata/deletionTimestamp").is_some();
    let namespace = text(pod, "/metadata/namespace");
    Some(Pod { namespace, labels, workload, track, is_new, is_ready: is_ready && !is_leaving })
}

/// Workload, track and version of pods with these labels.
fn of(labels: &Map<String, Value>) -> Option<(&str, &str, bool)> {
    let label = |name: &str| labels.get(name).and_then(Value::as_str);
    let is_new = label(VERSION)? == label_of(Version::New);
    Some((label(WORKLOAD)?, label(TRACK_LABEL).unwrap_or(STABLE), is_new))
}

/// Leads a part of a workload's requests to the pods behind a Service.
fn lead(
    practice: &Practice,
    namespace: &str,
    (service, part): (&str, f64),
    pods: &[Pod<'_>],
    found: &mut WorkloadLook,
) {
    if part <= 0.0 {
        return;
    }
    let service = practice.objects().get("services", namespace, service);
    let selector = service.as_ref().and_then(|it| it.pointer("/spec/selector")?.as_object());
    let chosen = |pod: &&Pod<'_>| {
        let fits = |selector: &Map<String, Value>| {
            selector.iter().all(|(key, value)| pod.labels.get(key) == Some(value))
        };
        pod.namespace == namespace && selector.is_some_and(|it| !it.is_empty() && fits(it))
    };
    let behind: Vec<&Pod<'_>> = pods.iter().filter(chosen).collect();
    let ready: Vec<&&Pod<'_>> = behind.iter().filter(|pod| pod.is_ready).collect();
    if ready.is_empty() {
        // Nobody answers: the requests of those who are not ready.
        let is_new = behind.iter().any(|pod| pod.is_new);
        let version = if is_new { Version::New } else { Version::Current };
        found.shares.add(version, part, false);
        let track = behind.first().map_or(STABLE, |pod| pod.track);
        found.tracks.entry(track.to_owned()).or_default().part += part;
        return;
    }
    #[expect(clippy::cast_precision_loss, reason = "pods")]
    let each = part / ready.len() as f64;
    for pod in ready {
        let version = if pod.is_new { Version::New } else { Version::Current };
        found.shares.add(version, each, true);
        found.tracks.entry(pod.track.to_owned()).or_default().part += each;
    }
}

/// The Services that requests without special headers are led to, and their parts.
fn led(practice: &Practice, workload: &str, entry: &Entry) -> Vec<(String, f64)> {
    by_route(practice, workload, entry)
        .or_else(|| by_ingress(practice, entry))
        .unwrap_or_else(|| vec![(entry.service.clone(), 1.0)])
}

fn items<'a>(document: &'a Value, pointer: &str) -> &'a [Value] {
    document.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Whether a Service is the one that users ask, or that of a track beside it.
fn is_its(practice: &Practice, workload: &str, entry: &Entry, name: &str) -> bool {
    let is_copy = || {
        let service = practice.objects().get("services", &entry.namespace, name)?;
        let labels = service.pointer("/metadata/labels")?.as_object()?;
        let is_of_it = labels.get(OF_WORKLOAD)?.as_str()? == workload;
        Some(is_of_it && labels.contains_key(TRACK_LABEL))
    };
    name == entry.service || is_copy().unwrap_or(false)
}

/// By the weights of the rule for most requests: the one that asks for the fewest
/// headers.
fn by_route(practice: &Practice, workload: &str, entry: &Entry) -> Option<Vec<(String, f64)>> {
    let routes = practice.objects().list(HTTP_ROUTES, &entry.namespace);
    let rules = routes.iter().flat_map(|route| items(route, "/spec/rules"));
    let to_it = rules.filter(|rule| {
        let backends = items(rule, "/backendRefs").iter();
        backends.map(|it| text(it, "/name")).any(|name| is_its(practice, workload, entry, name))
    });
    let headers = |rule: &&Value| {
        items(rule, "/matches").iter().map(|it| items(it, "/headers").len()).min().unwrap_or(0)
    };
    let rule = to_it.min_by_key(headers)?;
    let weighted: Vec<(String, f64)> = items(rule, "/backendRefs")
        .iter()
        .map(|it| {
            let weight = it.pointer("/weight").and_then(Value::as_f64).unwrap_or(1.0);
            (text(it, "/name").to_owned(), weight)
        })
        .collect();
    let all: f64 = weighted.iter().map(|(_, weight)| weight).sum();
    (all > 0.0).then(|| weighted.into_iter().map(|(name, weight)| (name, weight / all)).collect())
}

/// By the weight of a canary beside the Ingress, for the same host and path.
fn by_ingress(practice: &Practice, entry: &Entry) -> Option<Vec<(String, f64)>> {
    let ingresses = practice.objects().list(INGRESSES, &entry.namespace);
    let annotation = |ingress: &Value, name: &str| {
        let all = ingress.pointer("/metadata/annotations")?.as_object()?;
        all.get(name)?.as_str().map(str::to_owned)
    };
    let is_canary = |ingress: &Value| annotation(ingress, CANARY).as_deref() == Some("true");
    let paths = |ingress: &Value| -> Vec<(String, String, String)> {
        let rules = items(ingress, "/spec/rules").iter();
        rules
            .flat_map(|rule| {
                items(rule, "/http/paths").iter().map(|path| {
                    let service = text(path, "/backend/service/name");
                    let (host, path) = (text(rule, "/host"), text(path, "/path"));
                    (host.to_owned(), path.to_owned(), service.to_owned())
                })
            })
            .collect()
    };
    let all = ingresses.iter().filter(|it| !is_canary(it)).flat_map(|it| paths(it));
    let (host, path, _) = all.into_iter().find(|(_, _, service)| *service == entry.service)?;
    let canary = ingresses.iter().filter(|it| is_canary(it)).find_map(|it| {
        let to = paths(it).into_iter().find(|own| (&own.0, &own.1) == (&host, &path))?;
        let weight: f64 = annotation(it, CANARY_WEIGHT)?.parse().ok()?;
        Some((to.2, (weight / 100.0).clamp(0.0, 1.0)))
    });
    let Some((service, part)) = canary else { return Some(vec![(entry.service.clone(), 1.0)]) };
    Some(vec![(entry.service.clone(), 1.0 - part), (service, part)])
}
