//! Drift: how what is there differs from what was deployed.
//!
//! A check compares resources and live objects with the record of the deployment
//! that brought them, and makes a [`DriftReport`]. Reports are kept, the last one
//! of each environment; what is new in one, and what is gone, is an event.

mod compare;
mod heal;
mod report;

pub use compare::{Changes, changes, outputs, shown};
pub use heal::{DriftState, HEAL_WINDOW_MS, HEALS_MAX, Healing, Unhealable, healing};
pub use report::{
    Check, Compared, Difference, Drift, DriftReport, DriftSummary, FINDINGS_MAX, Finding,
    ObjectCheck, REPORT_BYTES_MAX, Subject, Unchecked, VALUE_BYTES_MAX,
};

#[cfg(test)]
mod tests;
