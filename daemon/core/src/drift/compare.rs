//! Compares outputs with outputs, and reports with reports.

use std::collections::BTreeSet;

use serde_json::Value;

use super::report::{Difference, Drift, DriftReport, Finding, VALUE_BYTES_MAX, cut};
use crate::secret::marked_paths;

/// How outputs that a driver observes differ from those that are recorded; none
/// observed means that the resource is gone.
///
/// An output that the driver does not observe says nothing, and neither does one
/// that is a secret: what is recorded of it is a reference.
pub fn outputs(recorded: &Value, observed: Option<&Value>) -> Vec<Drift> {
    let Some(observed) = observed else { return vec![Drift::Missing] };
    let known = recorded.as_object().into_iter().flatten();
    let differs = |(name, recorded): (&String, &Value)| {
        let live = observed.get(name)?;
        if live == recorded || !marked_paths(recorded).is_empty() || !marked_paths(live).is_empty()
        {
            return None;
        }
        let values =
            Difference { recorded: Some(shown(recorded)), live: Some(shown(live)), hidden: false };
        Some(Drift::OutputDiffers { output: name.clone(), values })
    };
    known.filter_map(differs).collect()
}

/// As much of a value as a report shows.
pub fn shown(value: &Value) -> Value {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.len() <= VALUE_BYTES_MAX {
        return value.clone();
    }
    Value::String(cut(&text, VALUE_BYTES_MAX))
}

/// What is other in a report than in the one before it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Changes {
    /// Findings that are new.
    pub new: Vec<Finding>,
    /// Findings that are gone.
    pub gone: Vec<Finding>,
}

impl Changes {
    /// Whether nothing is other.
    pub fn is_empty(&self) -> bool {
        self.new.is_empty() && self.gone.is_empty()
    }
}

/// How a report differs from the one before it. Without one, all of it is new.
pub fn changes(before: Option<&DriftReport>, after: &DriftReport) -> Changes {
    let keys = |report: Option<&DriftReport>| -> BTreeSet<_> {
        report.into_iter().flat_map(|report| &report.findings).map(Finding::key).collect()
    };
    let beside = |report: Option<&DriftReport>, others: &BTreeSet<_>| -> Vec<Finding> {
        let findings = report.into_iter().flat_map(|report| &report.findings);
        findings.filter(|finding| !others.contains(&finding.key())).cloned().collect()
    };
    Changes { new: beside(Some(after), &keys(before)), gone: beside(before, &keys(Some(after))) }
}
