//! What is expected of a rehearsal, as it is written on a command line.

use std::fmt;
use std::str::FromStr;

use super::report::{Ending, Report};

/// Something that should hold of a rehearsal.
#[derive(Debug, Clone, PartialEq)]
pub enum Expectation {
    /// `completed`, `completed-within 1h`.
    Completed {
        /// In so many simulated milliseconds at most.
        within_ms: Option<u64>,
    },
    /// `rolled-back`, `rolled-back-within 5m`.
    RolledBack {
        /// In so many simulated milliseconds at most.
        within_ms: Option<u64>,
    },
    /// `failed-requests<0.5%`.
    FailedRequests {
        /// Fewer percent than this.
        below: f64,
    },
    /// `slow-requests<1%`.
    SlowRequests {
        /// Fewer percent than this.
        below: f64,
    },
}

/// What is no expectation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "found {found:?}, expected completed, completed-within 1h, rolled-back, rolled-back-within 5m, failed-requests<0.5% or slow-requests<1%"
)]
pub struct NoExpectation {
    found: String,
}

impl FromStr for Expectation {
    type Err = NoExpectation;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = || {
            if let Some((what, limit)) = text.split_once('<') {
                let below: f64 = limit.trim().strip_suffix('%')?.trim_end().parse().ok()?;
                let is_percent = (0.0..=100.0).contains(&below);
                return match what.trim() {
                    "failed-requests" if is_percent => Some(Self::FailedRequests { below }),
                    "slow-requests" if is_percent => Some(Self::SlowRequests { below }),
                    _ => None,
                };
            }
            let (what, within) = match text.trim().split_once([' ', '=']) {
                Some((what, duration)) => (what, Some(milliseconds(duration)?)),
                None => (text.trim(), None),
            };
            match (what, within) {
                ("completed", None) | ("completed-within", Some(_)) => {
                    Some(Self::Completed { within_ms: within })
                }
                ("rolled-back", None) | ("rolled-back-within", Some(_)) => {
                    Some(Self::RolledBack { within_ms: within })
                }
                _ => None,
            }
        };
        parsed().ok_or_else(|| NoExpectation { found: text.to_owned() })
    }
}

/// `5m`, `1h 30m`, `250ms`.
fn milliseconds(text: &str) -> Option<u64> {
    let duration: jiff::SignedDuration = text.trim().parse().ok()?;
    u64::try_from(duration.as_millis()).ok()
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, within) = match self {
            Self::FailedRequests { below } => return write!(f, "failed-requests<{below}%"),
            Self::SlowRequests { below } => return write!(f, "slow-requests<{below}%"),
            Self::Completed { within_ms } => ("completed", within_ms),
            Self::RolledBack { within_ms } => ("rolled-back", within_ms),
        };
        match within {
            Some(ms) => write!(f, "{what}-within {}", span(*ms)),
            None => f.write_str(what),
        }
    }
}

impl Expectation {
    /// Why it does not hold; none if it does.
    pub fn unmet(&self, report: &Report) -> Option<String> {
        let requests = &report.requests;
        let below =
            |found: f64, below: f64| (found >= below).then(|| format!("it was {found:.3} %"));
        let within = |ended: bool, within_ms: &Option<u64>| {
            if !ended {
                return Some(format!("it {}", told(&report.ended)));
            }
            let late = within_ms.is_some_and(|within| report.duration_ms > within);
            late.then(|| format!("it took {}", span(report.duration_ms)))
        };
        match self {
            Self::Completed { within_ms } => within(report.ended == Ending::Completed, within_ms),
            Self::RolledBack { within_ms } => {
                within(matches!(report.ended, Ending::RolledBack { .. }), within_ms)
            }
            Self::FailedRequests { below: limit } => below(requests.failed_percent(), *limit),
            Self::SlowRequests { below: limit } => below(requests.slow_percent(), *limit),
        }
    }
}

fn told(ending: &Ending) -> String {
    match ending {
        Ending::Completed => "completed".to_owned(),
        Ending::RolledBack { reason, .. } => format!("was rolled back: {reason}"),
        Ending::Failed { reason } => format!("failed: {reason}"),
        Ending::Stuck { fault } => format!("got stuck: {}: {}", fault.code, fault.message),
    }
}

/// A duration, for people: `1h 30m`.
pub fn span(ms: u64) -> String {
    let (seconds, rest) = (ms / 1000, ms % 1000);
    let parts = [
        (seconds / 86_400, "d"),
        (seconds / 3600 % 24, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
        (rest, "ms"),
    ];
    // Two places say enough.
    let parts: Vec<String> = parts
        .iter()
        .skip_while(|(count, _)| *count == 0)
        .take(2)
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect();
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rehearsal::Figures;

    fn report(ended: Ending, duration_ms: u64, failed: f64) -> Report {
        Report {
            ended,
            duration_ms,
            requests: Figures { total: 1000.0, failed, slow: 0.0 },
            of_new: Figures::default(),
            weight_max: 0,
            checks: Default::default(),
            timeline: Vec::new(),
        }
    }

    #[test]
    fn what_is_written_is_read_and_written_again() {
        for text in [
            "completed",
            "completed-within 1h",
            "rolled-back",
            "rolled-back-within 5m",
            "rolled-back-within 1h 30m",
            "failed-requests<0.5%",
            "slow-requests<1%",
        ] {
            assert_eq!(text.parse::<Expectation>().unwrap().to_string(), text);
        }
        assert_eq!(
            " rolled-back-within=90s".parse::<Expectation>().unwrap(),
            Expectation::RolledBack { within_ms: Some(90_000) }
        );
        for wrong in [
            "",
            "fine",
            "completed-within",
            "rolled-back 5m",
            "rolled-back-within five",
            "completed-within -1h",
            "failed-requests<1",
            "failed-requests<-1%",
            "requests<1%",
            "slow-requests<NaN%",
            "failed-requests>1%",
        ] {
            let error = wrong.parse::<Expectation>().unwrap_err().to_string();
            assert!(error.contains("rolled-back-within 5m"), "{error}");
        }
    }

    #[test]
    fn an_expectation_holds_or_says_why_not() {
        let back = Ending::RolledBack { reason: "errors".to_owned(), decided_ms: 1 };
        for (text, ended, duration, failed, expected) in [
            ("completed", Ending::Completed, 5, 0.0, None),
            ("completed", back.clone(), 5, 0.0, Some("was rolled back: errors")),
            ("completed-within 1m", Ending::Completed, 60_000, 0.0, None),
            ("completed-within 1m", Ending::Completed, 60_001, 0.0, Some("it took 1m")),
            ("rolled-back", back.clone(), 5, 0.0, None),
            ("rolled-back-within 5m", back.clone(), 300_000, 0.0, None),
            ("rolled-back-within 5m", back.clone(), 360_000, 0.0, Some("it took 6m")),
            ("rolled-back-within 5m", Ending::Completed, 1, 0.0, Some("it completed")),
            ("failed-requests<0.5%", back.clone(), 1, 4.9, None),
            ("failed-requests<0.5%", back, 1, 5.0, Some("it was 0.500 %")),
        ] {
            let expectation: Expectation = text.parse().unwrap();
            let unmet = expectation.unmet(&report(ended, duration, failed));
            match (unmet, expected) {
                (None, None) => {}
                (Some(found), Some(expected)) => assert!(found.contains(expected), "{found}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }
}
