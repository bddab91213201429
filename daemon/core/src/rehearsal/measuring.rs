//! What checks find in a rehearsal, and what the new version got without them.

use std::collections::BTreeMap;

use super::report::{CheckFigures, percent};
use super::scenario::Finding;
use crate::ports::{CheckOutcome, Measurement, Verdict};

impl Finding {
    /// One measurement of a track, by what requests to each of its workloads get:
    /// the part that fails, and the milliseconds that the others take. The worst
    /// counts; where there is none, nothing can be told.
    pub fn of(self, track: &str, answers: impl Iterator<Item = (f64, u64)>) -> CheckOutcome {
        let worst = answers.fold(None, |worst: Option<(f64, u64)>, (errors, latency)| {
            let (most, longest) = worst.unwrap_or_default();
            Some((errors.max(most), latency.max(longest)))
        });
        let (errors, latency) = worst.unwrap_or_default();
        let value = |name: &str, value: f64, unit: &str| Measurement {
            name: name.to_owned(),
            value,
            unit: unit.to_owned(),
        };
        #[expect(clippy::cast_precision_loss, reason = "a figure")]
        let taken = latency as f64;
        let measurements =
            || vec![value("error rate", errors * 100.0, "%"), value("latency", taken, "ms")];
        let verdict = |message: String| Verdict { message, measurements: measurements() };
        let nothing = |message: String| {
            CheckOutcome::Inconclusive(Verdict { message, measurements: Vec::new() })
        };
        match self {
            Self::Passes => CheckOutcome::Passed(verdict("as the scenario has it".to_owned())),
            Self::Fails => CheckOutcome::Failed(verdict("as the scenario has it".to_owned())),
            Self::Inconclusive => nothing("no data, as the scenario has it".to_owned()),
            Self::FailsAbove(_) if worst.is_none() => {
                nothing(format!("nothing is there of track {track}"))
            }
            Self::FailsAbove(limits) => {
                let percent = errors * 100.0;
                if let Some(limit) = limits.error_rate.filter(|limit| errors > *limit) {
                    let most = limit * 100.0;
                    let message =
                        format!("{percent:.2} % of the requests fail, at most {most:.2} % may");
                    return CheckOutcome::Failed(verdict(message));
                }
                if let Some(limit) = limits.latency_ms.filter(|limit| latency > *limit) {
                    let message =
                        format!("requests take {latency} ms, at most {limit} ms are allowed");
                    return CheckOutcome::Failed(verdict(message));
                }
                let message =
                    format!("{percent:.2} % of the requests fail; they take {latency} ms");
                CheckOutcome::Passed(verdict(message))
            }
        }
    }
}

/// What the new version got before each check had passed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CheckNotes(BTreeMap<String, CheckFigures>);

impl CheckNotes {
    /// A check has passed or not, when the new version had got this part of a
    /// workload's requests at most, 0 to 1. What it got after a pass is of no
    /// interest.
    pub fn note(&mut self, name: &str, passed: bool, share_max: f64) {
        let weight_before = percent(share_max);
        let unpassed = CheckFigures { weight_before, passed: false };
        let figures = self.0.entry(name.to_owned()).or_insert(unpassed);
        if !figures.passed {
            *figures = CheckFigures { weight_before, passed };
        }
    }

    /// By the names of checks.
    pub fn into_figures(self) -> BTreeMap<String, CheckFigures> {
        self.0
    }
}
