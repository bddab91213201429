//! What is looked at afterwards, because somebody went on without approvals.

use deployd_core::approval::{Review, ReviewRequest};
use deployd_core::ports::{Index, KeyRange, Order};
use deployd_core::{DeploymentId, Fault};
use serde_json::json;

use crate::journal::until_no_conflict;
use crate::records::{SCAN_MAX, decode, get, put};
use crate::{Caller, Engine, EngineError};

/// Reviews: deployment -> [`Review`].
pub(super) const REVIEWS: Index = Index("reviews");

impl Engine {
    /// Reviews, newest first: those that are open, or all.
    pub async fn reviews(&self, all: bool) -> Result<Vec<Review>, EngineError> {
        let range = KeyRange { start: Vec::new(), end: None };
        let page = self.inner.ports.store.scan(REVIEWS, range, Order::Descending, SCAN_MAX).await?;
        let mut found = Vec::new();
        for (_, bytes) in &page.entries {
            let review: Review = decode(REVIEWS.0, bytes)?;
            if all || review.reviewed.is_none() {
                found.push(review);
            }
        }
        Ok(found)
    }

    /// Closes a review, with what was found. Who has broken the glass can't.
    pub async fn review(
        &self,
        caller: &Caller,
        id: &DeploymentId,
        request: ReviewRequest,
    ) -> Result<Review, EngineError> {
        let inner = &self.inner;
        if let Some(answer) = inner.replayed(caller).await? {
            return Ok(answer);
        }
        let finding = request.finding.trim().to_owned();
        if finding.is_empty() {
            let message = "found none, expected what was found";
            return Err(EngineError::invalid("finding", message));
        }
        until_no_conflict(|| async {
            let key = id.0.as_bytes();
            let review: Option<Review> = get(&*inner.ports.store, REVIEWS, key).await?;
            let review = review
                .ok_or_else(|| EngineError::not_found(format!("review of deployment {id}")))?;
            if let Some(by) = &review.reviewed_by {
                let message = format!("{by} has reviewed deployment {id} already");
                return Err(EngineError::Conflict { message }.into());
            }
            if review.by == caller.actor {
                let message = "somebody else has to look at it than who went on without approvals";
                return Err(EngineError::from(Fault::denied("own-review", message)).into());
            }
            let review = Review {
                reviewed_by: Some(caller.actor.clone()),
                reviewed: Some(inner.ports.clock.now()),
                finding: Some(finding.clone()),
                ..review
            };
            let body = json!({"type": "deployment-reviewed", "deployment": id, "finding": finding});
            let puts = vec![put(REVIEWS, key.to_vec(), &review)?];
            inner.record(caller, review, body, puts).await
        })
        .await
    }
}
