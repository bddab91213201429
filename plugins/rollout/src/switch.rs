//! A whole second track, to which traffic is switched at once or in batches.

use crate::{Level, Millis, Parts, Program, Split};
use serde::Deserialize;

/// The track of the new version.
const PREVIEW: &str = "preview";

/// How traffic is switched from the old version to a whole second track.
#[derive(Debug)]
pub struct Switch<'s> {
    /// Checks of the track before it gets traffic.
    pub before: &'s [String],
    /// Whether the switch needs no person.
    pub auto_promote: bool,
    /// How the track gets copies of requests before it answers any.
    pub mirror: Option<&'s Mirror>,
    /// What is switched, one after the other; the last is all.
    pub batches: Vec<Batch>,
    /// Checks after each batch but the last.
    pub between: &'s [String],
    /// Checks after all is switched.
    pub after: &'s [String],
    /// How long checks run after each batch, at least.
    pub duration: Millis,
    /// How long the old version is kept, with checks running.
    pub scale_down_delay: Millis,
}

/// What is switched at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Batch {
    /// So many percent of all traffic.
    Weight(u32),
    /// All traffic of these workloads.
    Workloads(Vec<String>),
}

/// How a track gets copies of requests before it answers any.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mirror {
    /// For so long.
    #[serde(rename = "for", alias = "for_ms")]
    pub duration: Millis,
    /// Checks that run meanwhile.
    #[serde(default)]
    pub checks: Vec<String>,
}

impl Switch<'_> {
    /// Writes all of it into a program.
    pub fn write<'c>(&self, program: &mut Program<'c>, parts: &Parts<'c>) {
        let full = Level::quiet(100);
        let mut split = Split::prepare(program, parts, PREVIEW, 100);
        let tracked = parts.tracked();
        if tracked.is_empty() {
            return split.promote();
        }
        let checked = split.checked();
        split.program.check(self.before, &checked, Millis(0));
        if !self.auto_promote {
            split
                .program
                .pause("the new version is ready and gets no traffic yet: promote to switch");
        }
        let can_mirror = tracked.iter().any(|one| one.traffic.mirror);
        if let Some(mirror) = self.mirror.filter(|_| can_mirror && !split.program.is_hasty()) {
            split.go_to(Level { mirror: true, ..full.clone() });
            split.program.check(&mirror.checks, &checked, mirror.duration);
        }
        let last = self.batches.len().saturating_sub(1);
        for (at, batch) in self.batches.iter().enumerate() {
            if split.program.is_hasty() {
                break;
            }
            match batch {
                Batch::Weight(weight) => split.go_to(Level { weight: *weight, ..full.clone() }),
                Batch::Workloads(names) => split.switch(names),
            }
            if at < last {
                split.program.check(self.between, &checked, self.duration);
            }
        }
        // Also what a person has wanted at once.
        split.go_to(Level { weight: 100, ..full });
        split.program.check(self.after, &checked, self.duration);
        if self.scale_down_delay.0 > 0 {
            split.program.check(self.after, &checked, self.scale_down_delay);
        }
        split.promote();
    }
}
