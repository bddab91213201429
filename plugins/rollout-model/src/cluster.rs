//! Tracks, replicas and weights.

use crate::{Came, Rules, ratio};
use deployd_plugin_sdk::strategy::{Action, STABLE, Version, Way, Workload};
use std::collections::{BTreeMap, BTreeSet};

/// Workloads and their tracks.
#[derive(Debug)]
pub struct Cluster {
    workloads: BTreeMap<String, Running>,
    rules: Rules,
}

/// One workload.
#[derive(Debug)]
struct Running {
    is: Workload,
    tracks: BTreeMap<String, Track>,
    weights: BTreeMap<String, u32>,
    /// Tracks that are sent requests by header or copies.
    named: BTreeSet<String>,
}

#[derive(Debug, Clone)]
struct Track {
    version: Version,
    replicas: u32,
    ready: u32,
    /// Whether this version of it was ready once.
    awaited: bool,
}

/// A check of the model that was not passed.
type Broken = String;

macro_rules! require {
    ($holds:expr, $($why:tt)+) => {
        if !$holds {
            return Err(format!($($why)+));
        }
    };
}

impl Cluster {
    /// All workloads that have run before, with their old version.
    pub fn new(workloads: &[Workload], rules: Rules) -> Self {
        let running = |one: &Workload| {
            let ran = Track {
                version: Version::Current,
                replicas: one.replicas,
                ready: one.replicas,
                awaited: true,
            };
            let tracks = one.current.iter().map(|_| (STABLE.to_owned(), ran.clone())).collect();
            let weights = BTreeMap::from([(STABLE.to_owned(), 100)]);
            Running { is: one.clone(), tracks, weights, named: BTreeSet::new() }
        };
        let workloads = workloads.iter().map(|one| (one.name.clone(), running(one))).collect();
        Self { workloads, rules }
    }

    /// Does what a strategy says, with this success, and looks whether all holds.
    pub fn act(&mut self, action: &Action, came: Came) -> Result<(), Broken> {
        let done = !matches!(came, Came::Failed | Came::Aborted | Came::Unknown);
        match action {
            Action::Apply { track, workloads, version, percent } => {
                self.ordered(workloads, *version)?;
                for one in self.these(workloads)? {
                    one.apply(track, *version, *percent)?;
                }
            }
            Action::Scale { track, workloads, percent } => {
                for one in self.these(workloads)? {
                    one.scale(track, *percent, done)?;
                }
            }
            Action::AwaitReady { track, workloads, deadline_ms } => {
                require!(*deadline_ms > 0, "no time to become ready");
                for one in self.these(workloads)? {
                    let track = one.track(track)?;
                    // A promotion at the wrong time is no readiness.
                    if came == Came::Done {
                        (track.ready, track.awaited) = (track.replicas, true);
                    }
                }
            }
            Action::Shift { weights, workloads, headers, mirror } => {
                let sum: u32 = weights.values().sum();
                require!(sum == 100, "weights add up to {sum}: {weights:?}");
                let named = headers.iter().map(|one| &one.track).chain(mirror).cloned().collect();
                let all = self.workloads.keys().cloned().collect();
                for one in self.these(workloads.as_ref().unwrap_or(&all))? {
                    require!(headers.is_empty() || one.is.traffic.headers, "headers of {one:?}");
                    require!(mirror.is_none() || one.is.traffic.mirror, "a mirror of {one:?}");
                    one.shift(weights, &named, done)?;
                }
            }
            Action::RunChecks { checks, track, baseline, workloads, .. } => {
                require!(!checks.is_empty(), "no checks");
                let all = self.workloads.keys().cloned().collect();
                for one in self.these(workloads.as_ref().unwrap_or(&all))? {
                    for track in track.iter().chain(baseline) {
                        require!(
                            one.track(track)?.awaited,
                            "checks of {track}, not ready: {one:?}"
                        );
                    }
                }
            }
            Action::Sleep { ms } => require!(*ms > 0, "sleeps for no time"),
            Action::Pause { message } => require!(!message.is_empty(), "a pause without a word"),
            Action::Retire { track, workloads } => {
                require!(track != STABLE, "retires {STABLE}");
                let all = self.workloads.keys().cloned().collect();
                for one in self.these(workloads.as_ref().unwrap_or(&all))? {
                    require!(one.tracks.contains_key(track), "retires {track}, not there: {one:?}");
                    require!(!one.serves(track), "retires {track}, which has traffic: {one:?}");
                    if came == Came::Done {
                        one.tracks.remove(track);
                    }
                }
            }
            Action::Complete | Action::RollBack { .. } => {}
        }
        self.workloads.values().try_for_each(|one| one.floor(self.rules))
    }

    /// Whether a rollout may be complete.
    pub fn completed(&self) -> Result<(), Broken> {
        for one in self.workloads.values() {
            let stable = one.tracks.get(STABLE);
            let is_new = stable.is_some_and(|stable| stable.version == Version::New);
            require!(is_new, "completed with the old version of {one:?}");
            require!(one.is_calm(), "completed with tracks of {one:?}");
            let awaited = stable.is_some_and(|stable| stable.awaited);
            require!(awaited || !one.is.changed, "completed before it was ready: {one:?}");
        }
        Ok(())
    }

    /// Whether a rollout may be rolled back: what the old version can still take,
    /// it has.
    pub fn rolled_back(&self) -> Result<(), Broken> {
        for one in self.workloads.values() {
            let stable = one.tracks.get(STABLE);
            let is_old = stable.is_some_and(|stable| stable.version == Version::Current);
            require!(!is_old || one.is_calm(), "rolled back with tracks of {one:?}");
            let full = stable.is_none_or(|stable| stable.ready >= one.is.replicas);
            require!(!is_old || full, "rolled back with too few of {one:?}");
        }
        Ok(())
    }

    fn these(&mut self, names: &[String]) -> Result<Vec<&mut Running>, Broken> {
        let known = names.iter().all(|name| self.workloads.contains_key(name));
        require!(known && !names.is_empty(), "workloads that are not there: {names:?}");
        Ok(self.workloads.values_mut().filter(|one| names.contains(&one.is.name)).collect())
    }

    /// Whether what these workloads need is there in its new version.
    fn ordered(&self, names: &[String], version: Version) -> Result<(), Broken> {
        let needed = names.iter().filter_map(|name| self.workloads.get(name));
        let needed = needed.filter(|one| one.is.changed).flat_map(|one| &one.is.after);
        for needed in needed.filter_map(|name| self.workloads.get(name)) {
            let is_new = |track: &Track| track.version == Version::New && track.awaited;
            let there = !needed.is.changed || needed.tracks.values().any(is_new);
            let matters = self.rules.ordered && version == Version::New;
            require!(there || !matters, "{names:?} applied before {needed:?}");
        }
        Ok(())
    }
}

impl Running {
    fn track(&mut self, name: &str) -> Result<&mut Track, Broken> {
        let what = self.is.name.clone();
        self.tracks.get_mut(name).ok_or_else(|| format!("{what} has no track {name}"))
    }

    fn apply(&mut self, name: &str, version: Version, percent: u32) -> Result<(), Broken> {
        require!((1..=100).contains(&percent), "{percent} % of {self:?}");
        let replicas = part(self.is.replicas, percent);
        if name == STABLE {
            require!(percent == 100 && version == Version::New, "a part of {self:?}");
            let stable = self.tracks.entry(name.to_owned());
            let stable = stable.or_insert(Track { version, replicas, ready: 0, awaited: false });
            // The cluster exchanges pods one by one: as many as were ready stay so.
            stable.awaited &= stable.version == version;
            (stable.version, stable.replicas) = (version, replicas);
            return Ok(());
        }
        let is = &self.is;
        require!(is.tracks && is.changed && is.current.is_some(), "a track of {self:?}");
        require!(name.len() <= 15, "the track {name:?} has too long a name");
        let track = Track { version, replicas, ready: 0, awaited: false };
        let there = self.tracks.entry(name.to_owned()).or_insert(track);
        require!(there.version == version, "another version on {name} of {}", self.is.name);
        there.replicas = replicas;
        Ok(())
    }

    fn scale(&mut self, name: &str, percent: u32, done: bool) -> Result<(), Broken> {
        require!(percent <= 100, "{percent} % of {self:?}");
        let wanted = part(self.is.replicas, percent);
        let track = self.track(name)?;
        if done {
            track.replicas = wanted;
            track.ready = track.ready.min(wanted);
        }
        Ok(())
    }

    fn shift(
        &mut self,
        weights: &BTreeMap<String, u32>,
        named: &BTreeSet<String>,
        done: bool,
    ) -> Result<(), Broken> {
        let served = weights.iter().filter(|(_, weight)| **weight > 0).map(|(name, _)| name);
        for name in served.chain(named) {
            let track = self.track(name)?;
            require!(track.awaited, "traffic to {name}, which is not ready: {self:?}");
        }
        let beside: Vec<_> = weights.iter().filter(|(name, _)| *name != STABLE).collect();
        for (name, weight) in &beside {
            let reached = self.is.traffic.reaches(**weight);
            require!(reached, "{weight} % to {name} can't be reached: {self:?}");
        }
        let way = self.is.traffic.way;
        require!(way != Way::None, "no traffic to divide: {self:?}");
        require!(way == Way::HttpRoute || beside.len() <= 1, "too many tracks: {self:?}");
        if !done {
            return Ok(());
        }
        self.weights =
            weights.iter().filter(|(_, one)| **one > 0).map(|(n, w)| (n.clone(), *w)).collect();
        self.named = named.clone();
        let divided = beside.first().filter(|(_, weight)| (1..100).contains(*weight));
        if let (Way::Service, Some((name, weight))) = (way, divided) {
            let ratio = ratio::of(self.is.replicas, **weight);
            let (stable, other) = ratio.ok_or_else(|| format!("{weight} % of {self:?}"))?;
            for (name, replicas) in [(STABLE, stable), (name.as_str(), other)] {
                let track = self.track(name)?;
                (track.replicas, track.ready) = (replicas, replicas);
            }
        }
        Ok(())
    }

    fn serves(&self, track: &str) -> bool {
        self.weights.contains_key(track) || self.named.contains(track)
    }

    fn is_calm(&self) -> bool {
        let only_stable = self.tracks.keys().all(|name| name == STABLE);
        only_stable && self.named.is_empty() && self.weights.keys().all(|name| name == STABLE)
    }

    /// Whether enough replicas are behind the traffic.
    fn floor(&self, rules: Rules) -> Result<(), Broken> {
        if self.is.current.is_none() {
            return Ok(());
        }
        let ready = |name: &str| self.tracks.get(name).map_or(0, |track| track.ready);
        let all: u32 = self.weights.keys().map(|name| ready(name)).sum();
        require!(all >= self.is.replicas, "{all} replicas ready: {self:?}");
        let by_ratio = self.is.traffic.way == Way::Service;
        for (name, weight) in &self.weights {
            let needed = part(self.is.replicas, *weight);
            let enough = by_ratio || !rules.proportional || ready(name) >= needed;
            require!(enough, "{} ready of {name} for {weight} %: {self:?}", ready(name));
        }
        Ok(())
    }
}

/// So many percent, rounded up.
fn part(replicas: u32, percent: u32) -> u32 {
    (replicas * percent).div_ceil(100)
}
