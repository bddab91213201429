//! What users see: by who answers their requests, and how both versions behave.

use super::report::Figures;
use super::scenario::{Behaviour, Scenario};
use crate::rollout::Version;

/// Who answers a workload's requests; parts of them, all together 1 where anybody
/// is led anywhere.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Shares {
    /// Pods of the new version.
    pub new: f64,
    /// Pods of the current version.
    pub current: f64,
    /// Nobody, where pods of the new version should.
    pub nobody_of_new: f64,
    /// Nobody, where pods of the current version should.
    pub nobody_of_current: f64,
}

impl Shares {
    /// The part that the new version should answer.
    pub fn to_new(self) -> f64 {
        self.of(Version::New)
    }

    /// The part that a version should answer.
    pub fn of(self, version: Version) -> f64 {
        match version {
            Version::New => self.new + self.nobody_of_new,
            Version::Current => self.current + self.nobody_of_current,
        }
    }

    /// Leads one more part to a version, which may have nobody to answer it.
    pub fn add(&mut self, version: Version, part: f64, is_served: bool) {
        let share = match (version, is_served) {
            (Version::New, true) => &mut self.new,
            (Version::New, false) => &mut self.nobody_of_new,
            (Version::Current, true) => &mut self.current,
            (Version::Current, false) => &mut self.nobody_of_current,
        };
        *share += part;
    }
}

/// Requests of some time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Seen {
    /// All.
    pub all: Figures,
    /// Those that the new version should answer.
    pub of_new: Figures,
}

impl Scenario {
    /// How a version behaves.
    pub fn behaviour(&self, version: Version) -> &Behaviour {
        match version {
            Version::New => &self.new,
            Version::Current => &self.current,
        }
    }

    /// What the users of a workload see in so many milliseconds.
    pub fn seen(&self, shares: &Shares, ms: u64) -> Seen {
        #[expect(clippy::cast_precision_loss, reason = "a figure")]
        let came = self.requests_per_second * ms as f64 / 1000.0;
        let of_new = self.figures(Version::New, shares, came);
        let mut all = self.figures(Version::Current, shares, came);
        all.add(of_new);
        Seen { all, of_new }
    }

    /// What requests to pods of a workload get, of which so many of the new and of
    /// the current version are ready: the part that fails, and the median of the
    /// milliseconds that the others take.
    pub fn answers(&self, shares: &Shares, (new, current): (u32, u32)) -> (f64, u64) {
        let (new, current) = (f64::from(new), f64::from(current));
        let all = new + current;
        if all <= 0.0 {
            return (1.0, 0);
        }
        let of = |version| {
            let (behaviour, share) = (self.behaviour(version), shares.of(version));
            (behaviour.errors_at(share), behaviour.latency_at(share))
        };
        let ((errors, latency), (old_errors, old_latency)) =
            (of(Version::New), of(Version::Current));
        let latency = match (new > 0.0, current > 0.0) {
            (true, true) => latency.max(old_latency),
            (true, false) => latency,
            _ => old_latency,
        };
        ((new * errors + current * old_errors) / all, latency)
    }

    fn figures(&self, version: Version, shares: &Shares, came: f64) -> Figures {
        let (served, nobody) = match version {
            Version::New => (shares.new, shares.nobody_of_new),
            Version::Current => (shares.current, shares.nobody_of_current),
        };
        let behaviour = self.behaviour(version);
        let share = shares.of(version);
        let errors = behaviour.errors_at(share);
        let slow = slow_part(behaviour.latency_at(share), self.slow_ms);
        Figures {
            total: came * (served + nobody),
            failed: came * served.mul_add(errors, nobody),
            slow: came * served * (1.0 - errors) * slow,
        }
    }
}

/// The part of exponentially distributed times with this median that is longer.
fn slow_part(median: u64, than: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a figure")]
    match median {
        0 => 0.0,
        median => (-(than as f64 / median as f64)).exp2(),
    }
}
