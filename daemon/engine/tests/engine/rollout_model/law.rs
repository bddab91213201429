//! What must hold at every moment of a rollout, whatever its strategy wants. It
//! reads events and objects as documents, and knows nothing of how the engine
//! arrives at them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::shops::Shop;
use crate::fakes::pods::Sight;
use crate::history::Seen;

/// The traffic of a workload by track, in parts of 1.
type Shares = BTreeMap<String, f64>;

/// What has been allowed so far, and what was broken.
#[derive(Debug)]
pub struct Law {
    workloads: BTreeMap<String, Own>,
    /// How many entries of the trace were read.
    pub read: usize,
    /// The actions of its rounds.
    rounds: BTreeMap<String, Value>,
    is_committed: bool,
    /// Whether numbers of pods say anything: not where the old ones fail, too.
    pub counts_pods: bool,
    pub broken: Vec<String>,
}

/// What is allowed of a workload.
#[derive(Debug)]
struct Own {
    /// Images before and after.
    before: Option<String>,
    after: String,
    /// The fewest ready pods that traffic may lead to.
    floor: u32,
    replicas: u32,
    /// Whether the new version was applied for everybody.
    is_new: bool,
    /// Other tracks, by what was applied to them.
    applied: BTreeMap<String, BTreeSet<String>>,
    percents: BTreeMap<String, u32>,
    /// The last shift that was done, and those begun since.
    shifts: Vec<Value>,
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(|it| text(it).to_owned()).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// So many percent, rounded up.
fn part(replicas: u32, percent: u32) -> u32 {
    (replicas * percent).div_ceil(100)
}

impl Own {
    fn weight(shift: &Value, track: &str) -> u64 {
        shift["weights"][track].as_u64().unwrap_or(0)
    }

    /// The most that a track may get now, in parts of 1. What nothing ran of before
    /// has nobody else to give a part to.
    fn most(&self, track: &str) -> f64 {
        let most = self.shifts.iter().map(|shift| Self::weight(shift, track)).max().unwrap_or(0);
        let is_all = most > 0 && self.before.is_none();
        if is_all { 1.0 } else { most as f64 / 100.0 }
    }

    fn may_be_led(&self, track: &str) -> bool {
        let named = |shift: &Value| list(&shift["headers"]).iter().any(|it| it["track"] == *track);
        self.most(track) > 0.0 || self.shifts.iter().any(named)
    }

    /// A program that has fewer pods where the traffic goes has them so.
    fn lower(&mut self) {
        for shift in &self.shifts {
            let serving = shift["weights"].as_object().into_iter().flatten();
            for (track, _) in serving.filter(|(_, weight)| weight.as_u64() > Some(0)) {
                let percent = self.percents.get(track).copied().unwrap_or(100);
                self.floor = self.floor.min(part(self.replicas, percent));
            }
        }
    }
}

impl Law {
    pub fn new(old: &Shop, new: &Shop, counts_pods: bool) -> Self {
        let own = |name: &str| {
            let (before, after) = (old.workload(name), new.workload(name).unwrap());
            let replicas = before.map_or(0, |before| before.replicas.min(after.replicas));
            let shifts = vec![serde_json::json!({"weights": {"stable": 100}})];
            Own {
                before: before.map(|before| before.artifact().image()),
                after: after.artifact().image(),
                floor: replicas,
                replicas,
                is_new: false,
                applied: BTreeMap::new(),
                percents: BTreeMap::new(),
                shifts,
            }
        };
        let workloads = new.names().into_iter().map(|name| (name.to_owned(), own(name))).collect();
        Self {
            workloads,
            read: 0,
            rounds: BTreeMap::new(),
            is_committed: false,
            counts_pods,
            broken: Vec::new(),
        }
    }

    /// Reads what was recorded since the last time.
    pub fn read(&mut self, trace: &[Seen]) {
        for seen in &trace[self.read.min(trace.len())..] {
            let Seen::Committed { records, .. } = seen else { continue };
            for record in records {
                self.event(&record.event.body);
            }
        }
        self.read = trace.len();
    }

    fn event(&mut self, body: &Value) {
        let (step, round) = text(&body["step"]).split_once(':').unwrap_or_default();
        match (text(&body["type"]), step) {
            ("rollout-decided", _) => {
                self.is_committed |= body["action"]["do"] == "complete";
                self.rounds.insert(round.to_owned(), body["action"].clone());
            }
            ("step-started", "rollout") => {
                let action = self.rounds[round].clone();
                self.begun(&action);
            }
            ("step-succeeded", "rollout") => {
                let action = self.rounds[round].clone();
                for own in self.concerned(&action).into_iter().filter(|_| action["do"] == "shift") {
                    own.shifts = vec![action.clone()];
                }
            }
            _ => {}
        }
    }

    /// The workloads that an action is about: those that it names; without names
    /// those that have one of its tracks, or all.
    fn concerned(&mut self, action: &Value) -> Vec<&mut Own> {
        let mut tracks: BTreeSet<String> =
            action["weights"].as_object().into_iter().flatten().map(|it| it.0.clone()).collect();
        tracks.extend(list(&action["headers"]).iter().map(|it| text(&it["track"]).to_owned()));
        tracks.extend(action["mirror"].as_str().map(str::to_owned));
        tracks.remove("stable");
        let named = action["workloads"].is_array().then(|| texts(&action["workloads"]));
        let is_meant = |name: &String, own: &Own| match &named {
            Some(named) => named.contains(name),
            None => tracks.is_empty() || tracks.iter().any(|it| own.applied.contains_key(it)),
        };
        let all = self.workloads.iter_mut().filter(|(name, own)| is_meant(name, own));
        all.map(|(_, own)| own).collect()
    }

    fn begun(&mut self, action: &Value) {
        let track = text(&action["track"]).to_owned();
        for own in self.concerned(action) {
            match text(&action["do"]) {
                "apply" => {
                    let percent = action["percent"].as_u64().unwrap_or(100) as u32;
                    own.percents.insert(track.clone(), percent);
                    if track == "stable" {
                        own.is_new = true;
                    } else {
                        let image = match (text(&action["version"]), &own.before) {
                            ("current", Some(before)) => before.clone(),
                            _ => own.after.clone(),
                        };
                        own.applied.entry(track.clone()).or_default().insert(image);
                    }
                }
                "scale" => {
                    let percent = action["percent"].as_u64().unwrap_or(100) as u32;
                    own.percents.insert(track.clone(), percent);
                }
                // One that was done already is begun again by a repeat.
                "shift" => own.shifts.push(action.clone()),
                _ => {}
            }
            own.lower();
        }
    }

    /// Looks at a moment.
    pub fn look(&mut self, sight: &Sight<'_>) {
        let mut broken = Vec::new();
        for (name, own) in &self.workloads {
            self.versions(sight, name, own, &mut broken);
            self.traffic(sight, name, own, &mut broken);
        }
        for what in broken {
            let place = format!("{} {}", sight.what, sight.changed);
            self.broken
                .push(format!("{what}\n  after {place}; last {:?}", self.rounds.last_key_value()));
        }
    }

    fn versions(&self, sight: &Sight<'_>, name: &str, own: &Own, broken: &mut Vec<String>) {
        for pods in sight.pods.iter().filter(|pods| pods.labels["app"] == *name) {
            let track = text(&pods.labels["deployd.dev/track"]);
            let allowed = match track == "stable" {
                true => Some(pods.image) == own.before.as_deref() || own.is_new,
                false => own.applied.get(track).is_some_and(|it| it.contains(pods.image)),
            };
            if !allowed {
                broken
                    .push(format!("nobody has applied {} to track {track} of {name}", pods.image));
            }
        }
    }

    fn traffic(&self, sight: &Sight<'_>, name: &str, own: &Own, broken: &mut Vec<String>) {
        let mut rules = 0;
        for rule in sight
            .objects
            .iter()
            .filter(|it| it.0.kind == "HTTPRoute")
            .flat_map(|(_, it)| list(&it["spec"]["rules"]))
        {
            let is_own =
                |service: &str| service == name || service.starts_with(&format!("{name}-"));
            let backends: Vec<(&str, u64)> = list(&rule["backendRefs"])
                .iter()
                .map(|it| (text(&it["name"]), it["weight"].as_u64().unwrap_or(1)))
                .filter(|(service, _)| is_own(service))
                .collect();
            if backends.is_empty() {
                continue;
            }
            rules += 1;
            let by_header = list(&rule["matches"]).iter().any(|it| it["headers"].is_array());
            self.backends(sight, (name, own), &backends, by_header, broken);
            for mirror in list(&rule["filters"]) {
                let service = text(&mirror["requestMirror"]["backendRef"]["name"]);
                let may = |shift: &Value| service == format!("{name}-{}", text(&shift["mirror"]));
                if !own.shifts.iter().any(may) {
                    broken.push(format!("{service} gets copies that nobody has asked for"));
                }
            }
        }
        if rules == 0 {
            self.backends(sight, (name, own), &[(name, 1)], false, broken);
        }
    }

    /// What of traffic that goes to these Services, in these proportions, comes to
    /// each track.
    fn backends(
        &self,
        sight: &Sight<'_>,
        (name, own): (&str, &Own),
        backends: &[(&str, u64)],
        by_header: bool,
        broken: &mut Vec<String>,
    ) {
        let whole: u64 = backends.iter().map(|(_, weight)| weight).sum();
        let (mut shares, mut behind) = (Shares::new(), 0);
        for (service, weight) in backends.iter().filter(|(_, weight)| *weight > 0) {
            let ready = ready_behind(sight, service);
            let count: u32 = ready.values().sum();
            behind += count;
            if count == 0 && own.floor > 0 && self.counts_pods && !self.is_committed {
                broken.push(format!("requests to {name} go to {service}, behind which nobody is"));
            }
            for (track, ready) in ready {
                let part = *weight as f64 / whole as f64 * f64::from(ready) / f64::from(count);
                *shares.entry(track).or_default() += part;
            }
        }
        for (track, share) in shares.iter().filter(|(track, _)| *track != "stable") {
            let allowed = match by_header {
                true => own.may_be_led(track),
                false => *share <= own.most(track) + 1e-9,
            };
            if !allowed {
                let most = own.most(track);
                broken
                    .push(format!("track {track} of {name} gets {share:.3}, allowed is {most:.3}"));
            }
        }
        if behind < own.floor && self.counts_pods && !by_header && !self.is_committed {
            let floor = own.floor;
            broken.push(format!("{behind} pods serve {name}, {floor} at least should: {shares:?}"));
        }
    }
}

/// Ready pods behind a Service, by track.
fn ready_behind(sight: &Sight<'_>, service: &str) -> BTreeMap<String, u32> {
    let found = sight.objects.iter().find(|(it, _)| it.kind == "Service" && it.name == service);
    let selector = found.and_then(|(_, it)| it["spec"]["selector"].as_object());
    let Some(selector) = selector else { return BTreeMap::new() };
    let mut behind = BTreeMap::new();
    for pods in sight.pods.iter().filter(|pods| pods.count > 0) {
        if selector.iter().all(|(key, value)| pods.labels[key] == *value) {
            let track = text(&pods.labels["deployd.dev/track"]).to_owned();
            *behind.entry(track).or_default() += pods.count;
        }
    }
    behind
}
