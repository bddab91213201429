//! A track beside the stable one, and how traffic and replicas are divided.

use crate::program::Checked;
use crate::{Parts, Program, Role};
use deployd_plugin_sdk::strategy::{Action, HeaderRule, STABLE, Traffic, Version, Way, Workload};
use std::collections::BTreeMap;

/// How traffic and replicas are divided between the tracks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    /// The track's percent of the traffic.
    pub weight: u32,
    /// The track's percent of the wanted replicas.
    pub percent: u32,
    /// The stable track's.
    pub stable: u32,
    /// Whether the current version runs beside the track, of the same size and
    /// with the same weight, to compare with.
    pub baseline: bool,
    /// What goes to the track whatever its weight is.
    pub headers: Vec<HeaderRule>,
    /// Whether the track gets copies of requests.
    pub mirror: bool,
}

impl Level {
    /// A track of this size without traffic.
    pub fn quiet(percent: u32) -> Self {
        let (headers, mirror, baseline) = (Vec::new(), false, false);
        Self { weight: 0, percent, stable: 100, baseline, headers, mirror }
    }

    fn baseline_weight(&self) -> u32 {
        if self.baseline { self.weight } else { 0 }
    }
}

/// Writes what has to be done for a track into a [`Program`].
///
/// Where traffic is divided by the ratio of replicas, the engine sets their
/// number when it shifts: the track and the stable one are scaled here only
/// before they get all of it.
#[derive(Debug)]
pub struct Split<'p, 'c> {
    /// Where it is written.
    pub program: &'p mut Program<'c>,
    parts: &'p Parts<'c>,
    track: &'static str,
    now: Level,
    /// How each workload's traffic is divided: it may be for some and not yet for
    /// others.
    divided: BTreeMap<String, Divided>,
    ratio: Ratio,
}

/// How the traffic of a workload is divided.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Divided {
    weights: BTreeMap<String, u32>,
    headers: Vec<HeaderRule>,
    mirror: Option<String>,
}

/// The sizes where traffic is divided by the ratio of replicas.
#[derive(Debug, Clone, Copy)]
struct Ratio {
    /// Whether the track has all replicas.
    track_is_full: bool,
    /// Whether the stable one has.
    stable_is_full: bool,
}

/// The track that runs the current version beside a new one.
const BASELINE: &str = "baseline";

impl<'p, 'c> Split<'p, 'c> {
    /// Applies a track of all workloads that can have one, with so many percent of
    /// their replicas and without traffic, and in place what those need, in
    /// dependency order.
    pub fn prepare(
        program: &'p mut Program<'c>,
        parts: &'p Parts<'c>,
        track: &'static str,
        percent: u32,
    ) -> Self {
        for batch in parts.batches(&[Role::Tracked, Role::Early]) {
            let of = |role| -> Vec<String> {
                let all = parts.batches(&[role]);
                let here = all.iter().flatten().filter(|name| batch.contains(name));
                here.cloned().collect()
            };
            let (early, tracked) = (of(Role::Early), of(Role::Tracked));
            program.apply(&early);
            program.apply_track(track, &tracked, Version::New, percent);
            program.await_ready(STABLE, &early);
            program.await_ready(track, &tracked);
        }
        let ratio = Ratio { track_is_full: percent == 100, stable_is_full: true };
        Self { program, parts, track, now: Level::quiet(percent), divided: BTreeMap::new(), ratio }
    }

    /// How things are divided now.
    pub fn level(&self) -> &Level {
        &self.now
    }

    /// What checks look at now.
    pub fn checked(&self) -> Checked {
        Checked {
            track: self.track.to_owned(),
            baseline: self.now.baseline.then(|| BASELINE.to_owned()),
            workloads: self.tracked(|_| true),
        }
    }

    /// Divides anew, for all workloads: replicas are there before the traffic,
    /// and go after it.
    pub fn go_to(&mut self, level: Level) {
        let routed = self.tracked(|traffic| traffic.way != Way::Service);
        let ratio = self.tracked(|traffic| traffic.way == Way::Service);
        self.grow(&routed, &level);
        self.fill(&ratio, level.weight);
        let all = self.tracked(|_| true);
        self.shift(&all, &level);
        self.settle(&ratio, &level);
        self.shrink(&routed, &level);
        self.now = level;
    }

    /// Gives the track all traffic of these workloads, and leaves the others'.
    pub fn switch(&mut self, names: &[String]) {
        let full = Level::quiet(100);
        if self.now != full {
            self.go_to(full.clone());
        }
        let ratio: Vec<String> = self
            .tracked(|traffic| traffic.way == Way::Service)
            .into_iter()
            .filter(|name| names.contains(name))
            .collect();
        self.fill(&ratio, 100);
        let level = Level { weight: 100, ..full };
        self.shift(names, &level);
        self.settle(&ratio, &level);
    }

    /// Makes the new version the stable one, in dependency order, and takes the
    /// track away; then nothing remains to be done.
    pub fn promote(mut self) {
        if self.now.baseline {
            let level = Level { baseline: false, stable: 100, ..self.now.clone() };
            self.go_to(level);
        }
        let beside = self.tracked(|_| true);
        if !beside.is_empty() {
            // What did well before a pause or a check may have crashed since.
            self.program.await_ready(self.track, &beside);
        }
        for batch in self.parts.batches(&[Role::Tracked, Role::Late]) {
            self.program.apply(&batch);
            self.program.await_ready(STABLE, &batch);
        }
        let tracked = self.tracked(|_| true);
        if !tracked.is_empty() {
            self.shift(&tracked, &Level::quiet(100));
            self.program.retire(self.track, &tracked);
        }
        self.program.apply(&self.parts.batches(&[Role::Unchanged]).concat());
        self.program.act(Action::Complete, "the new version is everywhere");
    }

    /// What has to be larger before the traffic changes.
    fn grow(&mut self, routed: &[String], to: &Level) {
        let mut grown = Vec::new();
        let sizes =
            [(self.track, self.now.percent, to.percent), (STABLE, self.now.stable, to.stable)];
        for (track, from, to) in sizes {
            if to > from && !routed.is_empty() {
                self.program.scale(track, routed, to);
                grown.push(track);
            }
        }
        if to.baseline && !self.now.baseline {
            self.program.apply_track(BASELINE, routed, Version::Current, to.percent);
            grown.push(BASELINE);
        } else if to.baseline && to.percent > self.now.percent {
            self.program.scale(BASELINE, routed, to.percent);
            grown.push(BASELINE);
        }
        for track in grown {
            self.program.await_ready(track, routed);
        }
    }

    /// What can be smaller after it has changed.
    fn shrink(&mut self, routed: &[String], to: &Level) {
        if to.percent < self.now.percent {
            self.program.scale(self.track, routed, to.percent);
        }
        if to.stable < self.now.stable {
            self.program.scale(STABLE, routed, to.stable);
        }
        if self.now.baseline && !to.baseline {
            self.program.retire(BASELINE, routed);
        } else if to.baseline && to.percent < self.now.percent {
            self.program.scale(BASELINE, routed, to.percent);
        }
    }

    /// What of a ratio has to be whole before it gets all traffic.
    fn fill(&mut self, ratio: &[String], weight: u32) {
        let track = match weight {
            100 if !self.ratio.track_is_full => self.track,
            0 if !self.ratio.stable_is_full => STABLE,
            _ => return,
        };
        self.program.scale(track, ratio, 100);
        self.program.await_ready(track, ratio);
        match weight {
            100 => self.ratio.track_is_full = true,
            _ => self.ratio.stable_is_full = true,
        }
    }

    /// What of a ratio has to be waited for, or can be made whole again, after
    /// the engine has set it.
    fn settle(&mut self, ratio: &[String], to: &Level) {
        if (1..100).contains(&to.weight) {
            self.program.await_ready(self.track, ratio);
            self.ratio = Ratio { track_is_full: false, stable_is_full: false };
        } else if to.weight == 100 && to.stable == 100 && !self.ratio.stable_is_full {
            // The old is whole again, in case that all goes back to it.
            self.program.scale(STABLE, ratio, 100);
            self.program.await_ready(STABLE, ratio);
            self.ratio.stable_is_full = true;
        }
    }

    /// One shift for all whose traffic is divided in the same manner; none for
    /// those whose traffic is already.
    fn shift(&mut self, names: &[String], to: &Level) {
        let undivided = self.divided_for(&Level::quiet(100), &Traffic::default());
        let mut alike: Vec<(Divided, Vec<String>)> = Vec::new();
        for one in self.parts.tracked().into_iter().filter(|one| names.contains(&one.name)) {
            let wanted = self.divided_for(to, &one.traffic);
            if *self.divided.get(&one.name).unwrap_or(&undivided) == wanted {
                continue;
            }
            match alike.iter_mut().find(|(divided, _)| *divided == wanted) {
                Some((_, names)) => names.push(one.name.clone()),
                None => alike.push((wanted, vec![one.name.clone()])),
            }
        }
        for (divided, names) in alike {
            self.divided.extend(names.iter().map(|name| (name.clone(), divided.clone())));
            let Divided { weights, headers, mirror } = divided;
            let message = message(&names, &weights, mirror.as_deref());
            let action = Action::Shift { weights, headers, mirror, workloads: Some(names) };
            self.program.act(action, message);
        }
    }

    fn divided_for(&self, level: &Level, traffic: &Traffic) -> Divided {
        Divided {
            weights: self.weights_of(level),
            headers: if traffic.headers { level.headers.clone() } else { Vec::new() },
            mirror: (traffic.mirror && level.mirror).then(|| self.track.to_owned()),
        }
    }

    fn weights_of(&self, level: &Level) -> BTreeMap<String, u32> {
        let mut weights = BTreeMap::from([(self.track.to_owned(), level.weight)]);
        weights.insert(BASELINE.to_owned(), level.baseline_weight());
        let beside: u32 = weights.values().sum();
        weights.insert(STABLE.to_owned(), 100_u32.saturating_sub(beside));
        weights.retain(|_, weight| *weight > 0);
        weights
    }

    fn tracked(&self, such: impl Fn(&Traffic) -> bool) -> Vec<String> {
        let all = self.parts.tracked();
        all.iter().filter(|one| such(&one.traffic)).map(|one| one.name.clone()).collect()
    }
}

fn message(names: &[String], weights: &BTreeMap<String, u32>, mirror: Option<&str>) -> String {
    let weights: Vec<String> =
        weights.iter().map(|(track, percent)| format!("{percent} % to {track}")).collect();
    let copies = mirror.map(|track| format!(", copies to {track}")).unwrap_or_default();
    format!("traffic of {}: {}{copies}", names.join(", "), weights.join(", "))
}

/// Why a weight can't be reached by all that have tracks, if it can't.
pub fn unreachable(tracked: &[&Workload], weight: u32) -> Option<String> {
    let one = tracked.iter().find(|one| !one.traffic.reaches(weight))?;
    let mut reached = one.traffic.weights.clone().unwrap_or_default();
    reached.extend([0, 100]);
    reached.sort_unstable();
    reached.dedup();
    let reached: Vec<String> = reached.iter().map(ToString::to_string).collect();
    let why = match one.traffic.way {
        Way::Service => format!("is divided by the ratio of its {} replicas", one.replicas),
        _ => "is divided by a router".to_owned(),
    };
    Some(format!(
        "{weight} % can't be reached by {}, whose traffic {why}; expected one of {} %",
        one.name,
        reached.join(", ")
    ))
}
