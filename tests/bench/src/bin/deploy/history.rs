//! A long history in no time: the events of a real deployment, again and again
//! under other names, through the function that made them.

use std::path::Path;

use anyhow::{Context, ensure};
use deployd_core::deployment::projection::Changes;
use deployd_core::deployment::{EnvironmentState, Event, transition};
use deployd_core::journal::{EventRecord, NewEvent, StreamId, Version};
use deployd_core::ports::{Append, Batch, Store};
use deployd_core::{DeploymentId, EnvironmentId};
use deployd_store::{RedbStore, StoreOptions};

/// Deployments in one batch: far below what a store takes.
const AT_ONCE: usize = 50;

/// Has the only deployment of an environment happen until there are so many.
pub(crate) async fn grow(data: &Path, id: &EnvironmentId, count: usize) -> anyhow::Result<()> {
    let store = RedbStore::open(data.join("deployd.redb"), &StoreOptions::default())?;
    let stream = StreamId::environment(id);
    let one = store.read(&stream, Version(1), usize::MAX).await?;
    let (mut state, mut version) = (EnvironmentState::default(), Version(0));
    let mut first = None;
    for record in &one {
        let event: Event = serde_json::from_value(record.event.body.clone())?;
        first.get_or_insert_with(|| event.deployment().clone());
        state = transition(id, state, record.event.at, &record.event.actor, &event)?.0;
        version = record.version;
    }
    let first = first.context("nothing was deployed")?;
    for numbers in (1..count).collect::<Vec<_>>().chunks(AT_ONCE) {
        let (mut changes, mut events, expect) = (Changes::default(), Vec::new(), version);
        for number in numbers {
            for record in &one {
                let (event, new) = renamed(record, &first, *number)?;
                let (after, deployment) =
                    transition(id, state.clone(), new.at, &new.actor, &event)?;
                changes.add(id, &state, &after, deployment.as_ref())?;
                state = after;
                version = version.next();
                events.push(new);
            }
        }
        let puts = changes.finish(id, version, &state)?;
        let append = Append { stream: stream.clone(), expect, fence: None, events };
        store.append(Batch { appends: vec![append], puts, ..Batch::default() }).await?;
    }
    ensure!(state.accepted == count as u64, "{} deployments", state.accepted);
    store.close().await;
    Ok(())
}

/// An event of another deployment.
fn renamed(
    record: &EventRecord,
    first: &DeploymentId,
    number: usize,
) -> anyhow::Result<(Event, NewEvent)> {
    let mut name = first.0.clone();
    name.truncate(name.len() - 8);
    // After the first, and before any that comes later.
    let text = record.event.body.to_string().replace(&first.0, &format!("{name}{number:08}"));
    let mut body: serde_json::Value = serde_json::from_str(&text)?;
    let event: Event = serde_json::from_value(body.clone())?;
    if let Event::StepStarted { deployment, step, attempt, .. } = &event {
        let kind = deployd_core::deployment::StepKind::Plan;
        let key = deployd_core::deployment::Step::new(deployment, step.0.clone(), kind, vec![]).key;
        let (deployment, step, attempt) = (deployment.clone(), step.clone(), *attempt);
        body = serde_json::to_value(Event::StepStarted { deployment, step, attempt, key })?;
    }
    let event: Event = serde_json::from_value(body.clone())?;
    Ok((event, NewEvent { body, ..record.event.clone() }))
}
