//! A workload in the middle of a rollout: what its tracks come to in numbers of
//! pods, and who its Service leads to.

use std::collections::{BTreeMap, BTreeSet};

use super::name::STABLE;
use super::parts::{Parts, is_of};
use super::ratio::{self, Ratio};
use super::tracks::{Version, WorkloadTracks};
use super::traffic::{Via, Way};
use crate::plan::Manifests;

/// Both versions of a workload, and its tracks.
#[derive(Debug)]
pub(super) struct Situation<'a> {
    pub(super) workload: &'a str,
    pub(super) tracks: &'a WorkloadTracks,
    pub(super) via: Via,
    pub(super) new: Option<(&'a Manifests, Parts<'a>)>,
    pub(super) current: Option<(&'a Manifests, Parts<'a>)>,
    /// Percents by track, without `stable` where nothing is there of it.
    pub(super) weights: BTreeMap<&'a str, u8>,
    /// Pods of `stable` and of the other track behind the same Service.
    pub(super) ratio: Option<(&'a str, Ratio)>,
}

/// Whom a workload's Service leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Selects<'a> {
    /// The pods of one track.
    Track(&'a str),
    /// All pods, as many as there are of each track.
    All,
}

impl<'a> Situation<'a> {
    pub(super) fn of(
        new: &'a Manifests,
        current: Option<&'a Manifests>,
        workload: &'a str,
        tracks: &'a WorkloadTracks,
        way: Option<&Way>,
    ) -> Self {
        let parts = |manifests: &'a Manifests| {
            Parts::of(manifests, workload).ok().map(|parts| (manifests, parts))
        };
        let via = way.map_or(Via::None, |way| way.via);
        let is_there = match tracks.stable.version {
            Version::New => true,
            Version::Current => {
                current.is_some_and(|current| current.objects.iter().any(|it| is_of(it, workload)))
            }
        };
        let weights = weights(tracks, is_there);
        let mut of_two = weights.iter().filter(|(track, _)| **track != STABLE);
        let ratio = match (via, weights.contains_key(STABLE), of_two.next(), of_two.next()) {
            (Via::Service, true, Some((track, weight)), None) => way
                .filter(|way| !way.autoscaled)
                .and_then(|way| ratio::for_weight(way.replicas, *weight))
                .map(|ratio| (*track, ratio)),
            _ => None,
        };
        Self {
            workload,
            tracks,
            via,
            new: parts(new),
            current: current.and_then(parts),
            weights,
            ratio,
        }
    }

    pub(super) fn version(&self, version: Version) -> Option<&(&'a Manifests, Parts<'a>)> {
        match version {
            Version::New => self.new.as_ref(),
            Version::Current => self.current.as_ref(),
        }
    }

    /// Names of its Services in both versions.
    pub(super) fn services(&self) -> BTreeSet<&'a str> {
        let both = [&self.new, &self.current].into_iter().flatten();
        both.flat_map(|(_, parts)| parts.service_names()).collect()
    }

    /// Where its objects are.
    pub(super) fn namespace(&self) -> Option<&'a str> {
        let (manifests, parts) = self.new.as_ref().or(self.current.as_ref())?;
        Some(super::parts::namespace(manifests, &parts.deployment.object))
    }

    /// Whom its Service leads to. Another track than `stable` only where the Service
    /// is what divides the traffic.
    pub(super) fn selects(&self) -> Selects<'a> {
        if self.via != Via::Service {
            return Selects::Track(STABLE);
        }
        if self.ratio.is_some() {
            return Selects::All;
        }
        // What no number of pods can divide stays where it was.
        let stable = self.weights.get_key_value(STABLE);
        let greatest = self.weights.iter().max_by_key(|(_, weight)| **weight);
        Selects::Track(stable.or(greatest).map_or(STABLE, |(track, _)| track))
    }

    /// Replicas of `stable`, where they are not those rendered.
    pub(super) fn stable_replicas(&self) -> Option<u32> {
        let (manifests, parts) = self.version(self.tracks.stable.version)?;
        if parts.autoscaler(manifests).is_some() {
            return None;
        }
        match (&self.ratio, self.tracks.stable.percent) {
            (Some((_, ratio)), _) => Some(ratio.stable),
            (None, 100) => None,
            (None, percent) => Some(part(parts.replicas(manifests), percent)),
        }
    }

    /// Replicas of another track, where they are not those rendered.
    pub(super) fn replicas(&self, track: &str) -> Option<u32> {
        let found = self.tracks.track(track)?;
        let (manifests, parts) = self.version(found.version)?;
        let wanted = parts.replicas(manifests);
        match (&self.ratio, found.percent) {
            (Some((other, ratio)), _) if *other == track => Some(ratio.other),
            (_, 100) => parts.rendered_replicas().is_none().then_some(wanted),
            (_, percent) => Some(part(wanted, percent)),
        }
    }
}

/// What isn't there gets nothing; the others share it.
fn weights(tracks: &WorkloadTracks, is_stable_there: bool) -> BTreeMap<&str, u8> {
    let all: BTreeMap<&str, u8> =
        tracks.weights.iter().map(|(track, weight)| (track.as_str(), *weight)).collect();
    let others: u32 =
        all.iter().filter(|(track, _)| **track != STABLE).map(|(_, it)| u32::from(*it)).sum();
    if is_stable_there || others == 0 || !all.contains_key(STABLE) {
        return all;
    }
    let mut left = 100u8;
    let mut found: BTreeMap<&str, u8> = BTreeMap::new();
    let mut last = None;
    for (track, weight) in all.into_iter().filter(|(track, _)| *track != STABLE) {
        let share = u32::from(weight).saturating_mul(100).checked_div(others).unwrap_or(0);
        let share = u8::try_from(share).unwrap_or(100).min(left);
        left = left.saturating_sub(share);
        found.insert(track, share);
        last = Some(track);
    }
    if let Some(weight) = last.and_then(|track| found.get_mut(track)) {
        *weight = weight.saturating_add(left);
    }
    found
}

/// So many percent of the replicas, rounded up: one at least, but for 0 %.
pub(super) fn part(replicas: u32, percent: u8) -> u32 {
    let found = u64::from(replicas).saturating_mul(u64::from(percent)).div_ceil(100);
    u32::try_from(found).unwrap_or(replicas)
}
