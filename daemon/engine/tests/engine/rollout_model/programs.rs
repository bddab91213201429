//! Random programs of strategies: mostly such as a good one would have, some that
//! no strategy should have.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::shops::Shop;
use crate::fakes::environment::Chance;

/// Names that strategies give to tracks, and one that is long.
const TRACKS: [&str; 4] = ["canary", "preview", "baseline", "a-track-of-15-l"];

/// A program, and what is known of it.
#[derive(Debug)]
pub struct Program {
    pub actions: Vec<Value>,
    pub on_failure: &'static str,
    /// Whether a good strategy could have it.
    pub legal: bool,
}

/// A rollout as it is being written.
struct Draft<'a> {
    chance: &'a mut Chance,
    names: Vec<&'static str>,
    actions: Vec<Value>,
    /// Tracks that are there, and their traffic.
    tracks: BTreeMap<&'static str, u32>,
}

pub fn random(chance: &mut Chance, shop: &Shop) -> Program {
    let on_failure = ["roll-back", "roll-back", "pause", "go-on"][chance.below(4) as usize];
    let names = shop.names();
    let mut draft = Draft { chance, names, actions: Vec::new(), tracks: BTreeMap::new() };
    for _ in 0..draft.chance.below(10) {
        draft.step();
    }
    draft.finish();
    let mut actions = draft.actions;
    let legal = !chance.percent(30);
    if !legal {
        for _ in 0..=chance.below(2) {
            spoil(chance, &mut actions, shop);
        }
    }
    Program { actions, on_failure, legal }
}

impl Draft<'_> {
    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.chance.below(all.len() as u64) as usize]
    }

    fn push(&mut self, action: Value) {
        self.actions.push(action);
    }

    fn step(&mut self) {
        match self.chance.below(12) {
            0..=2 => self.apply(),
            3..=6 => self.shift(),
            7 => self.retire(),
            8 => self.scale(),
            9 => {
                let ms = self.chance.below(100_000) + 1;
                self.push(json!({"do": "sleep", "ms": ms}));
            }
            10 => self.push(json!({"do": "pause", "message": "look at it"})),
            _ => self.check(),
        }
    }

    fn ready(&mut self, track: &str, names: &[&str]) {
        self.push(json!({
            "do": "await-ready", "track": track, "workloads": names, "deadline-ms": 60_000,
        }));
    }

    fn apply(&mut self) {
        let track = self.one_of(&TRACKS);
        let version = match track == "baseline" {
            true => "current",
            false => "new",
        };
        let percent = match self.chance.percent(80) {
            true => 100,
            false => 1 + self.chance.below(100),
        };
        let names = self.names.clone();
        self.tracks.entry(track).or_insert(0);
        self.push(json!({
            "do": "apply", "track": track, "workloads": names, "version": version,
            "percent": percent,
        }));
        // Who does not wait has traffic to nobody, which is his fault alone.
        if self.chance.percent(85) {
            self.ready(track, &names);
        }
    }

    /// Traffic of one track beside `stable`, as all ways can divide it.
    fn shift(&mut self) {
        let known: Vec<&str> = self.tracks.keys().copied().collect();
        if known.is_empty() {
            return self.apply();
        }
        let track = self.one_of(&known);
        let weight = match self.chance.below(4) {
            0 => 100,
            1 => self.one_of(&[0, 1, 10, 25, 50, 75, 99]),
            _ => self.chance.below(101) as u32,
        };
        self.tracks.values_mut().for_each(|it| *it = 0);
        self.tracks.insert(track, weight);
        let mut shift = json!({"do": "shift", "weights": {"stable": 100 - weight, track: weight}});
        if self.chance.percent(8) {
            shift["headers"] = json!([{"name": "x-track", "value": "me", "track": track}]);
        }
        if self.chance.percent(5) {
            shift["mirror"] = json!(track);
        }
        self.push(shift);
    }

    fn retire(&mut self) {
        let idle: Vec<&str> =
            self.tracks.iter().filter(|(_, weight)| **weight == 0).map(|(it, _)| *it).collect();
        if !idle.is_empty() {
            let track = self.one_of(&idle);
            self.tracks.remove(track);
            self.push(json!({"do": "retire", "track": track}));
        }
    }

    fn scale(&mut self) {
        let known: Vec<&str> = self.tracks.keys().copied().chain(["stable"]).collect();
        let track = self.one_of(&known);
        let percent = self.one_of(&[0, 1, 50, 100]);
        let names = self.names.clone();
        self.push(json!({"do": "scale", "track": track, "workloads": names, "percent": percent}));
        if self.chance.percent(70) {
            self.ready(track, &names);
        }
    }

    fn check(&mut self) {
        let known: Vec<&str> = self.tracks.keys().copied().collect();
        let mut action = json!({"do": "run-checks", "checks": ["errors"]});
        if !known.is_empty() {
            action["track"] = json!(self.one_of(&known));
        }
        action["for-ms"] = json!(self.chance.below(20_000));
        self.push(action);
    }

    /// The new version for everybody, and nothing else.
    fn finish(&mut self) {
        let names = self.names.clone();
        match self.chance.percent(70) {
            true => {
                for name in names {
                    self.stable(&[name]);
                }
            }
            false => self.stable(&names),
        }
        self.push(json!({"do": "shift", "weights": {"stable": 100}}));
        for track in std::mem::take(&mut self.tracks).into_keys() {
            self.push(json!({"do": "retire", "track": track}));
        }
    }

    fn stable(&mut self, names: &[&str]) {
        self.push(json!({"do": "apply", "track": "stable", "workloads": names}));
        self.ready("stable", names);
    }
}

/// Makes a program one that can't be done, or that nobody should do.
fn spoil(chance: &mut Chance, actions: &mut Vec<Value>, shop: &Shop) {
    let length = actions.len() as u64;
    let (at, other) = (chance.below(length) as usize, chance.below(length) as usize);
    let names = shop.names();
    let wrong = match chance.below(22) {
        0 | 1 => {
            actions.remove(at);
            return;
        }
        2 | 3 => return actions.swap(at, other),
        4 => return actions.truncate(at.max(1)),
        5 => json!({"do": "shift", "weights": {"stable": 60, "canary": 60}}),
        6 => json!({"do": "shift", "weights": {"stable": 1, "canary": 4_294_967_295u32}}),
        7 => json!({"do": "shift", "weights": {"stable": 10, "unheard-of": 90}}),
        8 => json!({"do": "shift", "weights": {"stable": 40, "canary": 30, "preview": 30}}),
        9 => json!({"do": "apply", "track": "stable", "version": "current", "workloads": names}),
        10 => json!({"do": "apply", "track": "Not A Name", "workloads": names}),
        11 => json!({"do": "apply", "track": "canary", "workloads": ["nobody"]}),
        12 => json!({"do": "apply", "track": "canary", "workloads": names, "percent": 101}),
        13 => json!({"do": "retire", "track": "stable"}),
        14 => json!({"do": "run-checks", "checks": ["unheard-of"]}),
        15 => json!({"do": "dance"}),
        16 => json!({"do": "shift", "weights": {"stable": 100}, "mirror": "stable"}),
        17 => {
            json!({"do": "await-ready", "track": "unheard-of", "workloads": names, "deadline-ms": 1})
        }
        18 => json!({"do": "complete"}),
        19 => json!({"do": "trap"}),
        // The state of before, and so again and again: it takes long until that ends.
        20 if chance.percent(30) => json!({"do": "back", "by": 1 + chance.below(length)}),
        _ => actions[other].clone(),
    };
    let at = if wrong["do"] == "back" { at.max(1) } else { at };
    actions.insert(at.min(actions.len()), wrong);
}
