//! What happens in a rehearsal: how both versions behave, what the checks find,
//! and what people do.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Requests that come each second when nobody says how many.
const REQUESTS_PER_SECOND: f64 = 100.0;

/// Requests that take longer are slow when nobody says from when: what most
/// people notice.
const SLOW_MS: u64 = 500;

/// A request takes so long when nobody says.
const LATENCY_MS: u64 = 20;

/// A pod is ready so long after it was made when nobody says.
const READY_AFTER_MS: u64 = 10_000;

/// A person looks at a rollout that waits after so long when nobody says.
const PERSON_AFTER_MS: u64 = 60_000;

/// How a check that nobody describes decides: it fails from this part of failed
/// requests.
const ERROR_RATE_OF_CHECKS: f64 = 0.01;

/// The world that a strategy is rehearsed in. Without any field all goes well.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Scenario {
    /// For people: what it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Requests to each workload that a Service leads to.
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub requests_per_second: f64,
    /// Requests that take longer than this are slow, in milliseconds.
    pub slow_ms: u64,
    /// How the version behaves that is rolled out.
    pub new: Behaviour,
    /// How the version behaves that runs now.
    pub current: Behaviour,
    /// When the API server can't be reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_server_away: Option<Away>,
    /// What checks find, by their names in the environment type. One that is not
    /// named here fails where more than 1 % of the requests do.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub checks: BTreeMap<String, Finding>,
    /// What a person does when the rollout waits for one.
    pub person: Person,
}

/// How the pods of a version behave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Behaviour {
    /// The part of the requests that fails, 0 to 1.
    #[schemars(range(min = 0, max = 1))]
    pub error_rate: f64,
    /// How long a request takes in the median, in milliseconds; few take several
    /// times as long, as exponentially distributed times do.
    pub latency_ms: u64,
    /// How long a new pod takes until it is ready, in milliseconds.
    pub ready_after_ms: u64,
    /// Its new pods are never ready.
    pub never_ready: bool,
    /// Its pods crash, and don't come back, once it gets so many percent of a
    /// workload's requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub crash_after_weight: Option<u8>,
    /// Another part of the requests fails while it gets so many of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_rate_after_weight: Option<ErrorsAfter>,
    /// Requests take another time while it gets so many of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms_after_weight: Option<LatencyAfter>,
}

/// From some weight on, more fails.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ErrorsAfter {
    /// From so many percent of a workload's requests.
    #[schemars(range(min = 1, max = 100))]
    pub percent: u8,
    /// The part of the requests that fails then, 0 to 1.
    #[schemars(range(min = 0, max = 1))]
    pub error_rate: f64,
}

/// From some weight on, requests take longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LatencyAfter {
    /// From so many percent of a workload's requests.
    #[schemars(range(min = 1, max = 100))]
    pub percent: u8,
    /// How long a request takes then in the median, in milliseconds.
    pub latency_ms: u64,
}

/// Something is away for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Away {
    /// So many milliseconds after the rollout has begun.
    pub at_ms: u64,
    /// For so many milliseconds.
    pub for_ms: u64,
}

/// What a check finds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Finding {
    /// Each measurement passes.
    Passes,
    /// Each measurement fails.
    Fails,
    /// There are no data.
    Inconclusive,
    /// A measurement fails where requests to the track that is checked do, or
    /// would do, worse than this.
    FailsAbove(Limits),
}

/// What a check bears.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Limits {
    /// A part of failed requests, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    pub error_rate: Option<f64>,
    /// Milliseconds that requests take in the median.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
}

/// Who looks at a rollout that waits for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Person {
    /// After so many milliseconds of waiting.
    pub after_ms: u64,
    /// What they do.
    pub does: Steers,
}

/// What a person does with a rollout that waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Steers {
    /// It goes on.
    #[default]
    Resumes,
    /// It goes on without waiting here.
    Promotes,
    /// It goes on without waiting anywhere.
    PromotesAll,
    /// What has failed is tried again.
    Retries,
    /// What ran before is brought back.
    Aborts,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            description: None,
            requests_per_second: REQUESTS_PER_SECOND,
            slow_ms: SLOW_MS,
            new: Behaviour::default(),
            current: Behaviour::default(),
            api_server_away: None,
            checks: BTreeMap::new(),
            person: Person::default(),
        }
    }
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            error_rate: 0.0,
            latency_ms: LATENCY_MS,
            ready_after_ms: READY_AFTER_MS,
            never_ready: false,
            crash_after_weight: None,
            error_rate_after_weight: None,
            latency_ms_after_weight: None,
        }
    }
}

impl Default for Person {
    fn default() -> Self {
        Self { after_ms: PERSON_AFTER_MS, does: Steers::default() }
    }
}

impl Default for Finding {
    fn default() -> Self {
        Self::FailsAbove(Limits { error_rate: Some(ERROR_RATE_OF_CHECKS), latency_ms: None })
    }
}

impl Scenario {
    /// What is wrong with it: the field, what was found and what was expected.
    pub fn problem(&self) -> Option<String> {
        let rate = |field: String, found: f64| {
            (!(0.0..=1.0).contains(&found))
                .then(|| format!("{field}: found {found}, expected a part of the requests: 0 to 1"))
        };
        let percent = |field: String, found: u8| {
            (!(1..=100).contains(&found))
                .then(|| format!("{field}: found {found}, expected a percentage: 1 to 100"))
        };
        let found = self.requests_per_second;
        if !(0.0..=1e9).contains(&found) {
            return Some(format!("requestsPerSecond: found {found}, expected 0 to 1000000000"));
        }
        for (name, version) in [("new", &self.new), ("current", &self.current)] {
            let crash = version.crash_after_weight;
            let (errors, latency) =
                (version.error_rate_after_weight, version.latency_ms_after_weight);
            let problem = rate(format!("{name}.errorRate"), version.error_rate)
                .or_else(|| percent(format!("{name}.crashAfterWeight"), crash?))
                .or_else(|| {
                    percent(format!("{name}.errorRateAfterWeight.percent"), errors?.percent)
                })
                .or_else(|| {
                    rate(format!("{name}.errorRateAfterWeight.errorRate"), errors?.error_rate)
                })
                .or_else(|| {
                    percent(format!("{name}.latencyMsAfterWeight.percent"), latency?.percent)
                });
            if problem.is_some() {
                return problem;
            }
        }
        self.checks.iter().find_map(|(name, finding)| match finding {
            Finding::FailsAbove(limits) => {
                rate(format!("checks.{name}.failsAbove.errorRate"), limits.error_rate?)
            }
            _ => None,
        })
    }

    /// What a check finds.
    pub fn finding(&self, check: &str) -> Finding {
        self.checks.get(check).copied().unwrap_or_default()
    }
}

impl Behaviour {
    /// The part of requests that fails while this part of them comes here.
    pub(super) fn errors_at(&self, share: f64) -> f64 {
        match self.error_rate_after_weight {
            Some(after) if reaches(share, after.percent) => after.error_rate,
            _ => self.error_rate,
        }
    }

    /// How long requests take in the median while this part of them comes here.
    pub(super) fn latency_at(&self, share: f64) -> u64 {
        match self.latency_ms_after_weight {
            Some(after) if reaches(share, after.percent) => after.latency_ms,
            _ => self.latency_ms,
        }
    }

    /// Whether its pods crash while this part of requests comes here.
    pub fn crashes_at(&self, share: f64) -> bool {
        self.crash_after_weight.is_some_and(|percent| reaches(share, percent))
    }

    /// How many milliseconds a pod that is made now takes until it is ready, if it
    /// ever is.
    pub fn ready_after(&self) -> Option<u64> {
        (!self.never_ready).then_some(self.ready_after_ms)
    }
}

/// Whether a part is at least so many percent.
fn reaches(share: f64, percent: u8) -> bool {
    // Parts are quotients: what should be 25 % may be a hair less.
    share > 0.0 && share.mul_add(100.0, 1e-6) >= f64::from(percent)
}
