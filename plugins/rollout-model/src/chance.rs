//! What comes of an action.

use deployd_plugin_sdk::strategy::{Action, CHECKS_FAILED, CHECKS_INCONCLUSIVE};
use serde_json::{Value, json};

/// What comes of an action, as far as the cluster is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// It was done.
    Done,
    /// It was done in part, or not at all.
    Failed,
    /// A person wanted the next step.
    PromotedStep,
    /// A person wanted all that remains.
    PromotedAll,
    /// A person wanted it tried again.
    Retried,
    /// Its checks could not tell.
    Inconclusive,
    /// The person wanted all of it undone, as engines of the first days said it.
    Aborted,
    /// The engine is newer than the strategy.
    Unknown,
}

impl Came {
    /// What a drawn number means for an action: half of them, that it was done.
    pub(crate) fn draw(chance: u8, action: &Action) -> Self {
        let waits = matches!(action, Action::Pause { .. } | Action::Sleep { .. });
        let checks = matches!(action, Action::RunChecks { .. });
        match chance {
            0..128 => Self::Done,
            128..150 if waits || checks => Self::PromotedStep,
            150..165 if waits || checks => Self::PromotedAll,
            165..190 if checks => Self::Inconclusive,
            190..205 => Self::Retried,
            // At the wrong time, which no engine does, and which must not harm.
            205..212 => Self::PromotedStep,
            212..220 => Self::PromotedAll,
            220..223 => Self::Aborted,
            223..226 => Self::Unknown,
            226..=255 if !waits => Self::Failed,
            _ => Self::Done,
        }
    }

    /// As the strategy is told.
    pub(crate) fn observation(self, action: &Action) -> Value {
        let result = |verdict| json!([{"name": "errors", "verdict": verdict, "message": "7 %"}]);
        match (self, action) {
            (Self::Done, Action::RunChecks { .. }) => {
                json!({"outcome": "done", "checks": result("passed")})
            }
            (Self::Done, _) => json!({"outcome": "done"}),
            (Self::Failed, Action::RunChecks { .. }) => {
                json!({"outcome": "failed", "code": CHECKS_FAILED, "message": "",
                    "checks": result("failed")})
            }
            (Self::Failed, _) => {
                json!({"outcome": "failed", "code": "not-ready", "message": "it crashes",
                    "detail": {"pods": ["a"]}})
            }
            (Self::PromotedStep, _) => json!({"outcome": "promoted", "scope": "step"}),
            (Self::PromotedAll, _) => json!({"outcome": "promoted", "scope": "all"}),
            (Self::Retried, _) => json!({"outcome": "retried"}),
            (Self::Inconclusive, _) => {
                json!({"outcome": "failed", "code": CHECKS_INCONCLUSIVE, "message": "no data",
                    "checks": result("inconclusive")})
            }
            (Self::Aborted, _) => json!({"outcome": "aborted", "message": ""}),
            (Self::Unknown, _) => json!({"outcome": "eclipsed", "by": "the moon"}),
        }
    }
}
