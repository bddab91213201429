//! Records what came of steps, and what is to happen then.

use std::sync::Arc;
use std::time::Duration;

use deployd_core::deployment::{Event, StepId, StepStatus};
use deployd_core::ports::{Batch, StoreError};
use deployd_core::seeded::{Bug, seeded};
use deployd_core::{Actor, Fault};

use super::{EVENTS_AT_ONCE, Finished, PAUSE, PAUSE_MAX, Worker};
use crate::EngineError;
use crate::effects::Record;
use crate::environments::EnvironmentEntry;

/// The code of the fault of a step whose result can't be recorded.
const UNRECORDABLE: &str = "result-unrecordable";

fn is_unrecordable(event: &Event) -> bool {
    matches!(event, Event::StepFailed { fault, .. } if fault.code == UNRECORDABLE)
}

impl Worker {
    /// Records what came of steps: together, or else one by one, so that one
    /// which can't be recorded does not spoil the others.
    pub(super) async fn record(&mut self, finished: Vec<Finished>) {
        if finished.len() > 1 {
            let records = || finished.iter().map(|one| one.record.clone()).collect();
            let entry = self.engine.environment(&self.id).await;
            if let Ok(entry) = entry
                && self.append(&entry, records()).await.is_ok()
            {
                return;
            }
        }
        for one in finished {
            self.record_one(one).await;
        }
    }

    /// Records what came of a step, however long that takes: what was done is
    /// not done again because the store was busy. Only a stop gives up; then
    /// the step is interrupted.
    async fn record_one(&mut self, finished: Finished) {
        let Finished { deployment, step, mut record } = finished;
        let mut pause = PAUSE;
        loop {
            let result = async {
                let entry = self.engine.environment(&self.id).await?;
                self.append(&entry, vec![record.clone()]).await
            }
            .await;
            match result {
                Ok(()) => return,
                // Somebody asked for something meanwhile, and got on.
                Err(EngineError::Store(StoreError::Conflict { .. })) => {
                    tokio::task::yield_now().await;
                    continue;
                }
                // Whoever has the claim now goes on from what is recorded.
                Err(EngineError::Store(StoreError::Fenced { .. })) => {
                    tracing::warn!(environment = %self.id, %step, "the claim was lost: a result is dropped");
                    self.lost_claim();
                    return;
                }
                // Too large, most likely: that it came to nothing is not.
                Err(EngineError::Store(error @ StoreError::InvalidBatch(_)))
                    if !is_unrecordable(&record.event) =>
                {
                    let message = format!("what came of the step can't be recorded: {error}");
                    let fault = Fault::bug(UNRECORDABLE, message);
                    let (deployment, step) = (deployment.clone(), step.clone());
                    record = Event::StepFailed { deployment, step, fault, published: None }.into();
                    continue;
                }
                // A rollout went on at a person's word, or something of it failed,
                // while it was being measured once more.
                Err(EngineError::Conflict { .. }) if self.is_over(&step).await => {
                    tracing::debug!(environment = %self.id, %deployment, %step, "the step was over before");
                    return;
                }
                // It can't have happened, says the state: only a mistake of ours
                // leads here, which must not turn into a storm of effects.
                Err(error @ EngineError::Conflict { .. }) => {
                    tracing::error!(environment = %self.id, %deployment, %step, %error, "a result is dropped");
                    let later = self.engine.ports.clock.now().plus_ms(PAUSE_MAX.as_millis() as u64);
                    self.polls.insert(step, later);
                    return;
                }
                Err(error) => {
                    tracing::error!(
                        environment = %self.id, %deployment, %step, %error,
                        "what came of a step could not be recorded yet"
                    );
                }
            }
            if self.engine.workers.is_stopping() {
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Whether a step of the active deployment has ended, or that deployment has.
    async fn is_over(&self, step: &StepId) -> bool {
        let Ok(entry) = self.engine.environment(&self.id).await else { return false };
        let active = entry.state.active.as_ref();
        active.and_then(|active| active.step(step)).is_none_or(|step| !step.is_open())
    }

    /// Appends what came of steps, and what should happen then, in one
    /// transaction.
    pub(super) async fn append(
        &mut self,
        entry: &Arc<EnvironmentEntry>,
        records: Vec<Record>,
    ) -> Result<(), EngineError> {
        let engine = self.engine.clone();
        let only_decisions = records.is_empty();
        let mut draft = engine.draft(&self.id, entry, &Actor::deployd());
        let mut batch = Batch::default();
        let mut over = Vec::new();
        let mut forgotten = false;
        for Record { event, objects, puts, lines } in records {
            draft.push(&event).await?;
            let begins = draft.after().state.teardown().is_some()
                && matches!(event, Event::DeploymentPlanned { .. });
            forgotten |= begins && seeded(Bug::ForgottenTooEarly);
            batch.objects.extend(objects);
            batch.puts.extend(puts.into_iter().chain(lines));
        }
        // What follows is recorded with what it follows upon, as far as it is
        // only a record: the effects come after the commit.
        while draft.len() < EVENTS_AT_ONCE {
            let now = engine.ports.clock.now();
            let intents = self.intents(&draft.after().state, now).await?;
            let events = self.decisions(&intents);
            if events.is_empty() {
                break;
            }
            for event in &events {
                draft.push(event).await?;
                if let Event::DeploymentEnded { deployment, .. }
                | Event::DeploymentSuperseded { deployment, .. } = event
                {
                    over.push(deployment.clone());
                }
                forgotten |= draft.ends_environment();
            }
        }
        if draft.len() == 0 {
            return Ok(());
        }
        let fence = self.claim.as_ref().map(|claim| claim.fence);
        let fence = fence.filter(|_| !seeded(Bug::LostClaimGoesOn));
        if seeded(Bug::EffectBeforeIntent) {
            self.too_early(&Arc::new(draft.after().clone())).await;
        }
        let mut appended = draft.finish(fence)?;
        let of_events = std::mem::take(&mut appended.batch);
        batch.appends = of_events.appends;
        batch.puts.extend(of_events.puts);
        batch.outbox = of_events.outbox;
        if forgotten {
            batch = engine.forget_environment(&self.id, batch).await?;
        }
        let apart = match seeded(Bug::OutboxApart) {
            true => Batch { outbox: std::mem::take(&mut batch.outbox), ..Batch::default() },
            false => Batch::default(),
        };
        let mut left = Vec::new();
        for deployment in &over {
            batch.puts.extend(engine.forget_answers(deployment).await?);
            if engine.pack(deployment, &self.id, &mut batch).await {
                left.push(deployment.clone());
            }
        }
        match engine.ports.store.append(batch).await {
            Ok(_) => {}
            // Somebody asked for something meanwhile: look again.
            Err(StoreError::Conflict { .. }) if only_decisions => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        if !apart.outbox.is_empty() {
            engine.ports.store.append(apart).await?;
        }
        engine.appended(&appended);
        for deployment in &left {
            engine.remove_lines(deployment).await;
        }
        engine.details_after(over.len());
        for deployment in over {
            engine.logs.forget(&deployment);
            self.polls.clear();
            self.contents = Arc::default();
        }
        Ok(())
    }

    /// A bug on purpose: begins what was not recorded yet.
    async fn too_early(&mut self, after: &Arc<EnvironmentEntry>) {
        let Some(active) = after.state.active.clone() else { return };
        for step in active.steps.iter().filter(|step| step.status == StepStatus::Running) {
            if !self.flights.contains_key(&step.id) {
                self.perform(after, active.id.clone(), step.id.clone());
            }
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
