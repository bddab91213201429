//! What a workload stands on in the middle of a rollout: how many pods each track
//! has, and who gets its requests.

use std::collections::BTreeMap;

use serde_json::Value;

use super::name::STABLE;
use super::parts::{is, is_of, text};
use super::situation::{Selects, Situation, part};
use super::tracks::{Version, WorkloadTracks};
use super::traffic::{Via, Way};
use crate::plan::{Manifest, Manifests};

/// Pods of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pods {
    /// What runs in them.
    pub version: Version,
    /// How many there should be.
    pub replicas: u32,
    /// Whether all old ones go before the first new one comes.
    pub recreate: bool,
}

/// Who gets a workload's requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Led {
    /// None come to it: nothing leads there, or nothing is there yet.
    Nobody,
    /// The pods of one track.
    To(String),
    /// Percents by track.
    ByWeight(BTreeMap<String, u8>),
    /// All pods alike, of whatever track.
    ByPods,
}

/// Pods by track, and who gets requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footing {
    /// Of each track that there is.
    pub pods: BTreeMap<String, Pods>,
    /// Who gets them.
    pub led: Led,
}

/// What a workload stands on with these tracks.
pub fn footing(
    new: &Manifests,
    current: Option<&Manifests>,
    workload: &str,
    tracks: &WorkloadTracks,
    way: Option<&Way>,
) -> Footing {
    let manifests = |version| match version {
        Version::New => Some(new),
        Version::Current => current,
    };
    let of = |version: Version| -> Vec<&Manifest> {
        let all = manifests(version).into_iter().flat_map(|it| &it.objects);
        all.filter(|it| is_of(it, workload)).collect()
    };
    let situation = Situation::of(new, current, workload, tracks, way);
    let pods_of = |track: &str, version: Version, percent: u8, set: Option<u32>| {
        let objects = of(version);
        if objects.is_empty() {
            return None;
        }
        let rendered = || {
            let wanted = situation.version(version).map(|(all, parts)| parts.replicas(all));
            part(wanted.unwrap_or_else(|| replicas(&objects)), percent)
        };
        let replicas = set.unwrap_or_else(rendered);
        let recreate = objects.iter().any(|it| {
            is(&it.object, "apps", "Deployment")
                && text(&it.object, "/spec/strategy/type") == "Recreate"
        });
        Some((track.to_owned(), Pods { version, replicas, recreate }))
    };
    let stable = tracks.stable;
    let mut pods: BTreeMap<String, Pods> =
        pods_of(STABLE, stable.version, stable.percent, situation.stable_replicas())
            .into_iter()
            .collect();
    pods.extend(tracks.others.iter().filter_map(|(track, found)| {
        pods_of(track, found.version, found.percent, situation.replicas(track))
    }));
    let is_there = pods.contains_key(STABLE);
    let leads = || of(stable.version).iter().any(|it| is(&it.object, "", "Service"));
    let led = match way {
        Some(way) if way.no_tracks.is_some() && is_there && leads() => Led::To(STABLE.to_owned()),
        None => Led::Nobody,
        Some(way) => match way.via {
            Via::None => Led::Nobody,
            Via::Service => match situation.selects() {
                Selects::All => Led::ByPods,
                Selects::Track(STABLE) if !is_there => Led::Nobody,
                Selects::Track(track) => Led::To(track.to_owned()),
            },
            Via::HttpRoute | Via::NginxIngress => {
                let weights = situation.weights.iter();
                let weights: BTreeMap<String, u8> = weights
                    .filter(|(track, _)| pods.contains_key(**track))
                    .map(|(track, weight)| ((*track).to_owned(), *weight))
                    .collect();
                if weights.is_empty() { Led::Nobody } else { Led::ByWeight(weights) }
            }
        },
    };
    Footing { pods, led }
}

/// Replicas of what can have no tracks; 1 where nothing is said, as in Kubernetes.
fn replicas(objects: &[&Manifest]) -> u32 {
    let said = objects.iter().find_map(|it| it.object.pointer("/spec/replicas"));
    said.and_then(Value::as_u64).and_then(|said| u32::try_from(said).ok()).unwrap_or(1)
}
