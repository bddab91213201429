//! Answers of others to checks that wait for them, until their deployment has
//! ended. Anybody can send one: whether it counts decides the check, by its
//! signature.

use deployd_core::deployment::{Action, EnvironmentState, StepKind};
use deployd_core::ports::{Batch, CheckAnswer, Index, Order, Put};
use deployd_core::{DeploymentId, Name};

use crate::records::{SCAN_MAX, below, decode, head_of_deployment, key, put};
use crate::{Engine, EngineError, Inner};

/// Deployment, check, and the answer's own id -> [`CheckAnswer`].
const ANSWERS: Index = Index("check-answers");

/// Answers that are kept of one check of a deployment: one for each time that it
/// is measured and its repeats; whoever sends more has something else in mind.
const ANSWERS_MAX: usize = 64;

/// The longest id of an answer, in bytes. Those of the standard are half as long.
const ID_BYTES_MAX: usize = 128;

impl Engine {
    /// Tells checks from now on that answers reach this daemon by a URL that
    /// begins so: `https://deployd.example.com`. Only the first call counts.
    pub fn reached_at(&self, url: String) {
        // The first one is the one that checks were told already.
        let _ = self.inner.reached_at.set(url);
    }

    /// Keeps an answer for a check that the active deployment waits for. One that
    /// is known by its id changes nothing.
    ///
    /// Fails when there is no such deployment, when its rollout does not wait for
    /// this check now, and when there are too many answers already.
    pub async fn answer_check(
        &self,
        id: &DeploymentId,
        check: &Name,
        answer: CheckAnswer,
    ) -> Result<(), EngineError> {
        let store = &*self.inner.ports.store;
        let place = head_of_deployment(store, id).await?.environment;
        for (header, value) in
            [("webhook-timestamp", &answer.timestamp), ("webhook-signature", &answer.signature)]
        {
            if value.is_empty() {
                let message = "the header is missing: an answer is a signed Standard Webhook";
                return Err(EngineError::invalid(header, message));
            }
        }
        if answer.id.is_empty() || answer.id.len() > ID_BYTES_MAX || answer.id.contains('\0') {
            let message = format!("an id has 1 to {ID_BYTES_MAX} bytes, none of them zero");
            return Err(EngineError::invalid("webhook-id", message));
        }
        let entry = self.inner.environment(&place).await?;
        if !waits_for(&entry.state, id, check) {
            let message = format!("deployment {id} does not wait for an answer to check {check}");
            return Err(EngineError::Conflict { message });
        }
        let known = self.inner.answers(id, check).await?;
        if known.iter().any(|one| one.id == answer.id) {
            return Ok(());
        }
        if known.len() >= ANSWERS_MAX {
            let message = format!("check {check} has {ANSWERS_MAX} answers already");
            return Err(EngineError::Conflict { message });
        }
        let key = key(&[&id.0, check.as_str(), &answer.id]);
        let puts = vec![put(ANSWERS, key, &answer)?];
        store.append(Batch { puts, ..Batch::default() }).await?;
        Ok(())
    }
}

impl Inner {
    /// Where others answer a check of a deployment; none where nobody has said how
    /// this daemon is reached.
    pub(crate) fn callback(&self, id: &DeploymentId, check: &Name) -> Option<String> {
        let base = self.reached_at.get()?.trim_end_matches('/');
        Some(format!("{base}/v1/deployments/{id}/checks/{check}/answers"))
    }

    /// What has been answered to a check of a deployment, oldest first.
    pub(crate) async fn answers(
        &self,
        id: &DeploymentId,
        check: &Name,
    ) -> Result<Vec<CheckAnswer>, EngineError> {
        let range = below(&[&id.0, check.as_str()]);
        let page = self.ports.store.scan(ANSWERS, range, Order::Ascending, SCAN_MAX).await?;
        let mut answers: Vec<CheckAnswer> = page
            .entries
            .iter()
            .map(|(_, bytes)| decode("answer to a check", bytes))
            .collect::<Result<_, _>>()?;
        answers.sort_by_key(|answer| answer.received_ms);
        Ok(answers)
    }

    /// What removes all answers of a deployment that has ended.
    pub(crate) async fn forget_answers(&self, id: &DeploymentId) -> Result<Vec<Put>, EngineError> {
        let range = below(&[&id.0]);
        let page = self.ports.store.scan(ANSWERS, range, Order::Ascending, SCAN_MAX).await?;
        let gone = |(key, _)| Put { index: ANSWERS, key, value: None };
        Ok(page.entries.into_iter().map(gone).collect())
    }
}

/// Whether a deployment runs checks now, and this one among them.
fn waits_for(state: &EnvironmentState, id: &DeploymentId, check: &Name) -> bool {
    let Some(active) = state.active.as_ref().filter(|active| active.id == *id) else {
        return false;
    };
    let is_its = |action: &Action| match action {
        Action::RunChecks { checks, .. } => checks.iter().any(|name| name == check.as_str()),
        _ => false,
    };
    active.steps.iter().filter(|step| step.is_open()).any(|step| match &step.kind {
        StepKind::Rollout { action } => is_its(action),
        _ => false,
    })
}
