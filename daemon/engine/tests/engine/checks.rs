//! What must hold after anything that happened: the invariants of
//! `reliability.md`, read from the store and from what the world has seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use deployd_core::announcement::{Announcement, TAGS};
use deployd_core::artifact::Artifact;
use deployd_core::config::Document;
use deployd_core::deployment::projection::Changes;
use deployd_core::deployment::stays::{
    self, Ending, Known, REPOSITORIES, REPOSITORIES_BY_DIGEST, RUNNING, Running, STAYS,
};
use deployd_core::deployment::{
    DeploymentRecord, EnvironmentState, Event, Outcome, StepStatus, transition,
};
use deployd_core::journal::EventRecord;
use deployd_core::notice::notice;
use deployd_core::outbox::{MessageId, MessageStatus};
use deployd_core::ports::{FeedPosition, Index, KeyRange, Order, Store};
use deployd_core::replay::Verdict;
use deployd_core::set::DeploymentSet;
use deployd_core::views::Route;
use deployd_core::{DeploymentId, EnvironmentId};
use serde_json::Value;

use crate::fakes::life::Life;
use crate::history::{judge, told};
use crate::world::World;

/// An environment's history, replayed.
pub struct Replayed {
    pub id: EnvironmentId,
    pub state: EnvironmentState,
    pub records: BTreeMap<DeploymentId, DeploymentRecord>,
    /// When each step was begun: key -> events' places and times.
    pub begun: BTreeMap<String, Vec<u64>>,
    /// Terminal records of steps.
    pub terminal: BTreeMap<(DeploymentId, String), u32>,
    /// Ids of messages that these events are told by.
    pub messages: BTreeSet<MessageId>,
    /// Deployments that had begun and ended, and whether their sets run then.
    pub ended: Vec<(DeploymentRecord, bool)>,
    /// What the store should have of it: index and key -> value.
    pub kept: BTreeMap<(&'static str, Vec<u8>), Vec<u8>>,
}

/// Everything under an index.
pub async fn index(world: &World, name: &'static str) -> BTreeMap<Vec<u8>, Value> {
    let all = KeyRange { start: Vec::new(), end: None };
    let page = world.store.scan(Index(name), all, Order::Ascending, usize::MAX).await.unwrap();
    page.entries
        .into_iter()
        .map(|(key, value)| (key, serde_json::from_slice(&value).unwrap()))
        .collect()
}

fn replay(id: EnvironmentId, events: &[EventRecord], documents: &[Document]) -> Replayed {
    let mut replayed = Replayed {
        id,
        state: EnvironmentState::default(),
        records: BTreeMap::new(),
        begun: BTreeMap::new(),
        terminal: BTreeMap::new(),
        messages: BTreeSet::new(),
        ended: Vec::new(),
        kept: BTreeMap::new(),
    };
    for (expected, record) in (1..).zip(events) {
        assert_eq!(record.version.0, expected, "I3: versions without a gap");
        let event: Event = serde_json::from_value(record.event.body.clone()).unwrap();
        let (state, after) = transition(
            &replayed.id,
            replayed.state.clone(),
            record.event.at,
            &record.event.actor,
            &event,
        )
        .unwrap_or_else(|illegal| panic!("I10: {illegal}"));
        let mut changes = Changes::default();
        changes.add(&replayed.id, &replayed.state, &state, after.as_ref()).unwrap();
        for put in changes.finish(&replayed.id, record.version, &state).unwrap() {
            let key = (put.index.0, put.key);
            match put.value {
                Some(value) => {
                    replayed.kept.insert(key, value);
                }
                None => drop(replayed.kept.remove(&key)),
            }
        }
        replayed.state = state;
        if let Event::StepStarted { key, .. } = &event {
            replayed.begun.entry(key.clone()).or_default().push(record.event.at.0);
        }
        if let Event::StepSucceeded { deployment, step, .. }
        | Event::StepFailed { deployment, step, .. }
        | Event::StepInterrupted { deployment, step }
        | Event::RolloutDecided { deployment, step, .. } = &event
        {
            let step = after.as_ref().unwrap().work.as_ref().unwrap().step(step).unwrap();
            if matches!(step.status, StepStatus::Succeeded | StepStatus::Failed) {
                let key = (deployment.clone(), step.id.0.clone());
                *replayed.terminal.entry(key).or_default() += 1;
            }
        }
        if let Some(notice) = notice(
            &replayed.id,
            &record.stream,
            record.version,
            record.event.at,
            &event,
            after.as_ref(),
        ) {
            for document in documents {
                let Document::Subscription(d) = document else { continue };
                if d.spec.matches(&notice.notice_type, &notice.application, &notice.environment) {
                    let id = MessageId::of(&record.stream, record.version, &d.metadata.name);
                    replayed.messages.insert(id);
                }
            }
        }
        if let Some(after) = &after
            && after.ended.is_some()
            && after.work.is_some()
        {
            let runs = match &replayed.state.deployed {
                Some(deployed) => deployed.deployment == after.id,
                None => after.request.teardown.is_some(),
            };
            replayed.ended.push((after.clone(), runs));
        }
        if let Some(after) = after {
            replayed.records.insert(after.id.clone(), after);
        }
    }
    replayed
}

/// All environments, replayed from their events. `documents` are those that
/// were applied before the first event.
pub async fn replay_all(world: &World, documents: &[Document]) -> Vec<Replayed> {
    let mut streams: BTreeMap<String, Vec<EventRecord>> = BTreeMap::new();
    for record in world.events().await {
        streams.entry(record.stream.0.clone()).or_default().push(record);
    }
    streams
        .iter()
        .filter_map(|(stream, events)| {
            let id = stream.strip_prefix("environment/")?.parse().unwrap();
            Some(replay(id, events, documents))
        })
        .collect()
}

/// Checks everything that must hold once nothing is left to do.
pub async fn check(world: &Arc<World>, documents: &[Document]) -> Vec<Replayed> {
    let entries = world.trace.lock().unwrap().entries.clone();
    judge(&entries).unwrap_or_else(|fault| panic!("{fault}\n{}", told(&entries)));
    let report = world.store.verify().await.unwrap();
    assert!(report.is_sound(), "I9: {report:?}");
    let replayed = replay_all(world, documents).await;
    let mut kept = BTreeMap::new();
    for name in [
        "environments",
        "resources",
        "deployments",
        "deployments-by-environment",
        "steps",
        "timeline",
        "runs-by-set",
        "events-of-deployment",
    ] {
        let entries = index(world, name).await.into_iter();
        kept.extend(entries.map(|(key, value)| ((name, key), value)));
    }
    let mut messages = BTreeSet::new();
    for one in &replayed {
        assert!(one.state.active.is_none(), "I7: {:#?}", one.state.active);
        assert!(one.state.queue.is_empty(), "I7: {:#?}", one.state.queue);
        for (place, value) in &one.kept {
            let found = kept.remove(place);
            let value: Value = serde_json::from_slice(value).unwrap();
            let (index, key) = (place.0, String::from_utf8_lossy(&place.1));
            assert_eq!(found, Some(value), "I10: {index} {key:?}");
        }
        for record in one.records.values() {
            assert!(record.outcome.is_some(), "I7");
        }
        for ((deployment, step), times) in &one.terminal {
            assert_eq!(*times, 1, "I6: {deployment} {step}");
        }
        check_steps(one);
        messages.extend(one.messages.iter().cloned());
    }
    assert!(kept.is_empty(), "I10: no others, found {kept:?}");
    check_stays(world, &replayed).await;
    check_effects(world, &replayed);
    check_sources(world).await;
    check_messages(world, &messages).await;
    check_replays(world, &replayed).await;
    replayed
}

/// I10: what is known of images follows from the events and the sets that they
/// name.
async fn check_stays(world: &World, replayed: &[Replayed]) {
    let mut announced = BTreeMap::new();
    for (_, value) in index(world, "announcements").await {
        let one: Announcement = serde_json::from_value(value).unwrap();
        let Artifact { tag, commit, .. } = one.artifact.clone();
        announced.insert(one.artifact.image(), Known { tag, commit });
    }
    let mut expected = BTreeMap::new();
    for one in replayed {
        let mut before = Running::default();
        for (record, runs) in &one.ended {
            let set: DeploymentSet =
                serde_json::from_slice(&world.object(record.request.set).await).unwrap();
            let images = match record.request.teardown {
                Some(_) => BTreeMap::new(),
                None => stays::images(&set.images()),
            };
            // Of the same type all the time, which is looked at by no check.
            let environment_type = None;
            let (runs, known) = (*runs, &announced);
            let ending = Ending { record, environment_type, runs, before, images: &images, known };
            let (after, puts) = ending.puts().unwrap();
            before = after;
            for put in puts {
                // Announcements bring tags, too.
                if put.index == TAGS {
                    let found = world.store.get(TAGS, &put.key).await.unwrap();
                    assert_eq!(found, put.value, "I10: tags of images");
                    continue;
                }
                let key = (put.index.0, put.key);
                match put.value {
                    Some(value) => {
                        expected.insert(key, serde_json::from_slice::<Value>(&value).unwrap());
                    }
                    None => drop(expected.remove(&key)),
                }
            }
        }
    }
    let mut found = BTreeMap::new();
    for index_name in [STAYS, RUNNING, REPOSITORIES, REPOSITORIES_BY_DIGEST] {
        for (key, mut value) in index(world, index_name.0).await {
            without_types(&mut value);
            found.insert((index_name.0, key), value);
        }
    }
    assert_eq!(found, expected, "I10: stays of images");
}

fn without_types(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.remove("environmentType");
        fields.values_mut().for_each(without_types);
    }
}

/// Whatever was ever planned, rendered and decided can be made again from its
/// records, by a process that knows nothing else, and is the same.
async fn check_replays(world: &Arc<World>, replayed: &[Replayed]) {
    let engine = world.engine(&Life::long());
    let seen = (world.store.feed(FeedPosition(0), usize::MAX).await.unwrap().len(), calls(world));
    for id in replayed.iter().flat_map(|one| one.records.keys()) {
        let replay = engine.replay(id, None).await.unwrap();
        let sound = matches!(replay.verdict, Verdict::Identical | Verdict::Nothing);
        assert!(sound, "I12: {replay:#?}");
        let record = replayed.iter().find_map(|one| one.records.get(id)).unwrap();
        if record.outcome == Some(Outcome::Succeeded) && record.request.teardown.is_none() {
            let identical = replay.parts.iter().all(|part| part.verdict == Verdict::Identical);
            assert!(identical && replay.parts.len() == 3, "I12: {replay:#?}");
        }
    }
    let after = (world.store.feed(FeedPosition(0), usize::MAX).await.unwrap().len(), calls(world));
    assert_eq!(seen, after, "a replay records nothing, and asks no driver");
}

fn calls(world: &World) -> usize {
    world.drivers().calls.len()
}

fn check_steps(one: &Replayed) {
    let mut keys = BTreeSet::new();
    for record in one.records.values() {
        let Some(work) = &record.work else { continue };
        for step in &work.steps {
            assert!(keys.insert(step.key.clone()), "I6: a key of two steps");
            assert_ne!(step.status, StepStatus::Running, "I7: {}", step.id);
            if record.outcome == Some(Outcome::Succeeded) {
                let failed = step.status == StepStatus::Failed
                    && matches!(step.kind, deployd_core::deployment::StepKind::Rollout { .. });
                assert!(failed || step.status == StepStatus::Succeeded, "{}", step.id);
            }
        }
    }
}

/// What goes anywhere by itself is as new as what went there before, as far as
/// artifacts say their place.
async fn check_sources(world: &World) {
    let mut newest = BTreeMap::<(EnvironmentId, String), u64>::new();
    for record in world.events().await {
        if record.event.body["type"] != "artifacts-announced" {
            continue;
        }
        let artifacts: Vec<Artifact> =
            serde_json::from_value(record.event.body["artifacts"].clone()).unwrap();
        let routes: Vec<Route> =
            serde_json::from_value(record.event.body["routes"].clone()).unwrap();
        let went = |route: &&Route| route.problem.is_none() && route.quarantined.is_empty();
        for route in routes.iter().filter(went) {
            let went = artifacts
                .iter()
                .filter(|one| !route.superseded.iter().any(|late| late.image == one.image()));
            for artifact in went {
                let Some(place) = artifact.sequence else { continue };
                let source = (route.environment.clone(), artifact.repository.clone());
                let before = newest.insert(source, place).unwrap_or(0);
                assert!(before <= place, "I3: {place} after {before}: {artifact:?}");
            }
        }
    }
}

/// What drivers have seen fits what was recorded.
fn check_effects(world: &World, replayed: &[Replayed]) {
    let drivers = world.drivers();
    for call in drivers.calls.iter().filter(|call| call.what != "plan") {
        let key = &call.request.idempotency_key;
        let of = replayed.iter().find(|one| one.begun.contains_key(key));
        let of = of.unwrap_or_else(|| panic!("I5: a call without intent: {call:?}"));
        // When it was called, compared with its intent, is the judge's matter.
        assert!(of.records.contains_key(&DeploymentId(call.deployment.clone())));
    }
    for one in replayed {
        for record in one.records.values() {
            for step in record.work.iter().flat_map(|work| &work.steps) {
                let provision =
                    matches!(step.kind, deployd_core::deployment::StepKind::Provision { .. });
                if provision && step.status == StepStatus::Succeeded {
                    assert!(drivers.done.contains_key(&step.key), "I6: recorded and not done");
                }
            }
        }
    }
}

/// I11: accepted = delivered + dead, nothing lost, nothing made up.
async fn check_messages(world: &World, expected: &BTreeSet<MessageId>) {
    let kept = world.messages(None).await;
    let ids: BTreeSet<MessageId> = kept.iter().map(|message| message.id.clone()).collect();
    assert_eq!(ids.len(), kept.len(), "I11: an id twice");
    assert_eq!(&ids, expected, "I11: what is told is what happened");
    let received: BTreeSet<MessageId> =
        world.receivers().received.iter().map(|r| MessageId(r.id())).collect();
    assert!(received.is_subset(&ids), "I11: an id that is nobody's");
    for message in kept {
        match message.status {
            MessageStatus::Delivered => assert!(received.contains(&message.id), "I11"),
            MessageStatus::Dead => assert!(!message.attempts.is_empty()),
            MessageStatus::Pending => panic!("I11: {} is pending", message.id),
        }
    }
}
