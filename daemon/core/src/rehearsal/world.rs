//! The simulated world: pods, traffic and a clock.

use std::collections::BTreeMap;

use super::fleet::Fleet;
use super::report::{Figures, TrackFigures, percent};
use super::scenario::Scenario;
use super::users::Shares;
use crate::Name;
use crate::plan::Manifests;
use crate::rollout::checking::PlannedCheck;
use crate::rollout::{Led, Pods, STABLE, Tracks, Version, Way, footing};

/// What is rehearsed.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// Workloads in the order of the plan.
    pub workloads: &'a [String],
    /// What is rolled out.
    pub new: &'a Manifests,
    /// What runs before.
    pub current: Option<&'a Manifests>,
    /// How each workload's traffic is divided.
    pub ways: &'a BTreeMap<String, Way>,
    /// The checks of the environment type.
    pub checks: &'a BTreeMap<Name, PlannedCheck>,
    /// How long who has lost all traffic goes on as it is, in milliseconds.
    pub drain_ms: u64,
}

/// A workload in the simulated world.
#[derive(Debug, Clone)]
pub(super) struct Workload {
    fleets: BTreeMap<String, Fleet>,
    led: Led,
    /// Whether a version's pods have crashed, and don't come back.
    crashed: BTreeMap<Version, bool>,
}

/// The simulated world.
#[derive(Debug, Clone)]
pub(super) struct World<'a> {
    pub(super) scene: Scene<'a>,
    pub(super) scenario: &'a Scenario,
    pub(super) tracks: Tracks,
    pub(super) now: u64,
    workloads: BTreeMap<String, Workload>,
    pub(super) requests: Figures,
    pub(super) of_new: Figures,
    /// The most that the new version ever got, 0 to 1.
    pub(super) share_max: f64,
}

impl<'a> World<'a> {
    /// What runs before, for long.
    pub(super) fn new(scene: Scene<'a>, scenario: &'a Scenario) -> Self {
        let tracks = Tracks::stable(scene.workloads.iter().map(String::as_str));
        let workloads = tracks.iter().map(|(name, own)| {
            let standing = footing(scene.new, scene.current, name, own, scene.ways.get(name));
            let fleets = standing.pods.into_iter();
            let fleets = fleets.map(|(track, pods)| (track, Fleet::running(pods))).collect();
            let workload = Workload { fleets, led: standing.led, crashed: BTreeMap::new() };
            (name.to_owned(), workload)
        });
        Self {
            workloads: workloads.collect(),
            scene,
            scenario,
            tracks,
            now: 0,
            requests: Figures::default(),
            of_new: Figures::default(),
            share_max: 0.0,
        }
    }

    /// Has the pods be as tracks say. A track that is not there any more goes;
    /// with `grow` none does, and none gets fewer pods than it has. Gives the
    /// tracks of which others are wanted than before, with their workloads.
    pub(super) fn place(
        &mut self,
        tracks: &Tracks,
        names: &[String],
        grow: bool,
    ) -> Vec<(String, String)> {
        let mut changed = Vec::new();
        let Self { scene, scenario, now, workloads, .. } = self;
        for name in names {
            let (Some(own), Some(workload)) = (tracks.of(name), workloads.get_mut(name)) else {
                continue;
            };
            let standing = footing(scene.new, scene.current, name, own, scene.ways.get(name));
            if !grow {
                workload.fleets.retain(|track, _| standing.pods.contains_key(track));
            }
            for (track, mut pods) in standing.pods {
                let fleet = workload.fleets.entry(track.clone()).or_default();
                if let Some(before) = fleet.wanted().filter(|_| grow) {
                    pods.replicas = pods.replicas.max(before.replicas);
                }
                let behaviour = scenario.behaviour(pods.version);
                let crashed = workload.crashed.get(&pods.version).copied().unwrap_or(false);
                let ready_after = behaviour.ready_after().filter(|_| !crashed);
                if fleet.ask_for(pods, *now, ready_after) {
                    changed.push((track, name.clone()));
                }
            }
        }
        changed
    }

    /// Has the traffic be led as tracks say.
    pub(super) fn lead(&mut self, tracks: &Tracks, names: &[String]) {
        for name in names {
            let (Some(own), Some(workload)) = (tracks.of(name), self.workloads.get_mut(name))
            else {
                continue;
            };
            let Scene { new, current, ways, .. } = self.scene;
            workload.led = footing(new, current, name, own, ways.get(name)).led;
        }
    }

    /// Lets time pass.
    pub(super) fn advance(&mut self, to: u64) {
        loop {
            self.crash();
            let next = self.next().filter(|next| *next < to).unwrap_or(to);
            if next <= self.now {
                return;
            }
            self.count(next.saturating_sub(self.now));
            self.now = next;
        }
    }

    /// When something happens next by itself.
    pub(super) fn next(&self) -> Option<u64> {
        let fleets = self.workloads.values().flat_map(|it| it.fleets.values());
        fleets.filter_map(|fleet| fleet.next(self.now)).min()
    }

    fn count(&mut self, ms: u64) {
        let all: Vec<Shares> = self.workloads.values().map(|it| it.shares(self.now)).collect();
        for shares in all {
            self.share_max = self.share_max.max(shares.to_new());
            let seen = self.scenario.seen(&shares, ms);
            self.requests.add(seen.all);
            self.of_new.add(seen.of_new);
        }
    }

    /// Pods that get too much crash.
    fn crash(&mut self) {
        for workload in self.workloads.values_mut() {
            let shares = workload.shares(self.now);
            for version in [Version::New, Version::Current] {
                let behaviour = self.scenario.behaviour(version);
                let crashed = workload.crashed.entry(version).or_default();
                if *crashed || !behaviour.crashes_at(shares.of(version)) {
                    continue;
                }
                *crashed = true;
                for fleet in workload.fleets.values_mut() {
                    fleet.crash(version, self.now);
                }
            }
        }
    }

    /// Whether all pods of a track are ready, and why not otherwise.
    pub(super) fn standing(&self, track: &str, name: &str) -> Standing {
        let Some(workload) = self.workloads.get(name) else { return Standing::Ready };
        let Some(fleet) = workload.fleets.get(track) else { return Standing::Ready };
        if fleet.is_complete(self.now) {
            return Standing::Ready;
        }
        let Some(Pods { version, replicas, .. }) = fleet.wanted() else { return Standing::Ready };
        match workload.crashed.get(&version) {
            Some(true) => Standing::Crashing,
            _ => Standing::Waiting { ready: fleet.ready(version, self.now), wanted: replicas },
        }
    }

    /// What requests to a track of a workload get now: the part that fails, and
    /// the median of the time that the others take.
    pub(super) fn seen_of(&self, track: &str, name: &str) -> Option<(f64, u64)> {
        let workload = self.workloads.get(name)?;
        let fleet = workload.fleets.get(track)?;
        let ready = |version| fleet.ready(version, self.now);
        let ready = (ready(Version::New), ready(Version::Current));
        Some(self.scenario.answers(&workload.shares(self.now), ready))
    }

    /// Whether pods of the new version, or fewer than all, are what serves
    /// everybody of a workload.
    pub(super) fn is_changed(&self, name: &str) -> bool {
        let stable = self.tracks.of(name).map(|own| own.stable);
        let is_other = stable.is_some_and(|it| it.version == Version::New || it.percent != 100);
        let fleet = self.workloads.get(name).and_then(|it| it.fleets.get(STABLE));
        is_other || fleet.is_some_and(|it| it.has(Version::New, self.now))
    }

    /// The most that the new version gets of a workload's requests now, 0 to 1.
    pub(super) fn share(&self) -> f64 {
        let shares = self.workloads.values().map(|it| it.shares(self.now).to_new());
        shares.fold(0.0, f64::max)
    }

    /// The tracks of all workloads together.
    pub(super) fn figures_of_tracks(&self) -> BTreeMap<String, TrackFigures> {
        let mut found: BTreeMap<String, TrackFigures> = BTreeMap::new();
        for workload in self.workloads.values() {
            for (track, fleet) in &workload.fleets {
                let Some(pods) = fleet.wanted() else { continue };
                let ready = fleet
                    .ready(Version::New, self.now)
                    .saturating_add(fleet.ready(Version::Current, self.now));
                let weight = percent(workload.part(track, self.now));
                let figures = found.entry(track.clone()).or_insert(TrackFigures {
                    version: pods.version,
                    weight: 0,
                    ready: 0,
                    wanted: 0,
                });
                if pods.version == Version::New {
                    figures.version = Version::New;
                }
                figures.weight = figures.weight.max(weight);
                figures.ready = figures.ready.saturating_add(ready);
                figures.wanted = figures.wanted.saturating_add(pods.replicas);
            }
        }
        found
    }
}

/// How the pods of a track are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Ready,
    Waiting { ready: u32, wanted: u32 },
    Crashing,
}

impl Workload {
    /// Ready pods of a track, of both versions.
    fn ready(&self, track: &str, at: u64) -> u32 {
        self.fleets.get(track).map_or(0, |fleet| {
            fleet.ready(Version::New, at).saturating_add(fleet.ready(Version::Current, at))
        })
    }

    /// The part of the requests that is led to a track.
    fn part(&self, track: &str, at: u64) -> f64 {
        match &self.led {
            Led::Nobody => 0.0,
            Led::To(only) => f64::from(u8::from(only == track)),
            Led::ByWeight(weights) => f64::from(weights.get(track).copied().unwrap_or(0)) / 100.0,
            Led::ByPods => {
                let all: u32 = self
                    .fleets
                    .keys()
                    .map(|track| self.ready(track, at))
                    .fold(0, u32::saturating_add);
                match all {
                    0 => f64::from(u8::from(track == STABLE)),
                    all => f64::from(self.ready(track, at)) / f64::from(all),
                }
            }
        }
    }

    fn shares(&self, at: u64) -> Shares {
        let mut shares = Shares::default();
        for (track, fleet) in &self.fleets {
            let part = self.part(track, at);
            if part <= 0.0 {
                continue;
            }
            let ready = f64::from(self.ready(track, at));
            if ready <= 0.0 {
                let version = fleet.wanted().map_or(Version::Current, |pods| pods.version);
                shares.add(version, part, false);
                continue;
            }
            for version in [Version::New, Version::Current] {
                let own = f64::from(fleet.ready(version, at));
                shares.add(version, part * own / ready, true);
            }
        }
        shares
    }
}
