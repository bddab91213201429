//! Who may approve in whose place, and until when.

use deployd_core::Actor;
use deployd_core::approval::{DelegateRequest, Delegation};
use deployd_core::ports::{Index, KeyRange, Put};
use serde_json::json;

use crate::journal::until_no_conflict;
use crate::records::{all, below, get, key, put};
use crate::{Caller, Engine, EngineError};

/// Delegations: who, and in whose place -> [`Delegation`].
const DELEGATIONS: Index = Index("delegations");

/// The longest: a quarter. Who is away for longer is replaced in the group.
const UNTIL_MS_MAX: u64 = 90 * 24 * 3_600_000;

impl Engine {
    /// Has somebody approve in the caller's place, until a time.
    pub async fn delegate(
        &self,
        caller: &Caller,
        to: &Actor,
        request: DelegateRequest,
    ) -> Result<Delegation, EngineError> {
        let inner = &self.inner;
        if let Some(answer) = inner.replayed(caller).await? {
            return Ok(answer);
        }
        let since = inner.ports.clock.now();
        let until = request.until;
        if until <= since || until.ms_since(since) > UNTIL_MS_MAX {
            let message = format!("found {until}, expected a time within the next 90 days");
            return Err(EngineError::invalid("until", message));
        }
        if *to == caller.actor {
            let message = format!("found {to}, expected somebody else");
            return Err(EngineError::invalid("to", message));
        }
        let groups = self.groups_of(caller).await?;
        let (from, to) = (caller.actor.clone(), to.clone());
        let delegation = Delegation { from, groups, to, since, until };
        let body = json!({"type": "approvals-delegated", "to": delegation.to, "until": until});
        until_no_conflict(|| async {
            let place = key(&[&delegation.to.0, &delegation.from.0]);
            let puts = vec![put(DELEGATIONS, place, &delegation)?];
            inner.record(caller, delegation.clone(), body.clone(), puts).await
        })
        .await
    }

    /// Takes back that somebody may approve in the caller's place.
    pub async fn undelegate(&self, caller: &Caller, to: &Actor) -> Result<(), EngineError> {
        let inner = &self.inner;
        if let Some(answer) = inner.replayed(caller).await? {
            return Ok(answer);
        }
        let body = json!({"type": "approvals-undelegated", "to": to});
        until_no_conflict(|| async {
            let place = key(&[&to.0, &caller.actor.0]);
            let known: Option<Delegation> = get(&*inner.ports.store, DELEGATIONS, &place).await?;
            if known.is_none() {
                let what = format!("delegation of {} to {to}", caller.actor);
                return Err(EngineError::not_found(what).into());
            }
            let puts = vec![Put { index: DELEGATIONS, key: place, value: None }];
            inner.record(caller, (), body.clone(), puts).await
        })
        .await
    }

    /// Delegations that hold now.
    pub async fn delegations(&self) -> Result<Vec<Delegation>, EngineError> {
        let range = KeyRange { start: Vec::new(), end: None };
        self.delegations_in(range).await
    }

    pub(super) async fn delegations_to(&self, to: &Actor) -> Result<Vec<Delegation>, EngineError> {
        self.delegations_in(below(&[&to.0])).await
    }

    async fn delegations_in(&self, range: KeyRange) -> Result<Vec<Delegation>, EngineError> {
        let now = self.inner.ports.clock.now();
        let mut found: Vec<Delegation> = all(&*self.inner.ports.store, DELEGATIONS, range).await?;
        found.retain(|one| now < one.until);
        Ok(found)
    }
}
