//! What is kept of events: by the functions that the engine calls, in the order in
//! which it does (`engine/src/journal.rs`, `engine/src/ended.rs`).

use deployd_core::announcement::Announcement;
use deployd_core::audit::marks;
use deployd_core::deployment::projection::Changes;
use deployd_core::deployment::stays::{self, Ending, Known, Running};
use deployd_core::deployment::{DeploymentRecord, EnvironmentState, Event, transition};
use deployd_core::dora::{Arrival, Change, purpose};
use deployd_core::journal::{NewEvent, StreamId, Version};
use deployd_core::ports::{Append, Batch, Put};
use deployd_core::set::{DeploymentSet, SetOrigin};
use deployd_core::{EnvironmentId, Name};
use serde_json::json;

use super::template::Happened;

/// What comes of a deployment besides its own events.
pub struct Circumstances<'c> {
    /// Its set.
    pub set: &'c DeploymentSet,
    /// What was announced of its image, which never ran here before.
    pub announced: Option<&'c Announcement>,
    /// Whether nobody has planned this set before.
    pub is_new: bool,
}

/// An environment, as it is after what was pushed, and what of that is still to be
/// written.
pub struct Past {
    id: EnvironmentId,
    environment_type: Name,
    state: EnvironmentState,
    version: Version,
    running: Running,
    changes: Changes,
    events: Vec<NewEvent>,
    puts: Vec<Put>,
}

impl Past {
    /// An environment in which nothing has happened.
    pub fn new(id: EnvironmentId, environment_type: Name) -> Self {
        Self {
            id,
            environment_type,
            state: EnvironmentState::default(),
            version: Version(0),
            running: Running::new(),
            changes: Changes::default(),
            events: Vec::new(),
            puts: Vec::new(),
        }
    }

    /// How many deployments were asked for.
    pub fn accepted(&self) -> u64 {
        self.state.accepted
    }

    /// Adds an event.
    ///
    /// # Errors
    ///
    /// When it can't happen now.
    pub fn push(&mut self, happened: Happened, of: &Circumstances<'_>) -> anyhow::Result<()> {
        let Happened { event, actor, source, at } = happened;
        let (after, record) = transition(&self.id, self.state.clone(), at, &actor, &event)?;
        self.changes.add(&self.id, &self.state, &after, record.as_ref())?;
        if let Some(record) = &record {
            if of.is_new && matches!(event, Event::DeploymentPlanned { .. }) {
                let origin = SetOrigin::planned(&self.id.application, &record.actor, at);
                self.puts.extend(origin.puts(record.request.set)?);
            }
            if record.ended.is_some() && record.work.is_some() {
                self.ended(&after, record, of)?;
            }
        }
        self.state = after;
        self.version = self.version.next();
        let (kind, body) = (event.kind().to_owned(), serde_json::to_value(&event)?);
        self.events.push(NewEvent { at, actor, kind, body, source });
        Ok(())
    }

    /// What the end of a deployment changes of what is known of images, and of how
    /// software is delivered.
    fn ended(
        &mut self,
        after: &EnvironmentState,
        record: &DeploymentRecord,
        of: &Circumstances<'_>,
    ) -> anyhow::Result<()> {
        let images = stays::images(&of.set.images());
        let artifact = of.announced.map(|announced| &announced.artifact);
        let known = artifact.map_or_else(Known::default, |artifact| Known {
            tag: artifact.tag.clone(),
            commit: artifact.commit.clone(),
        });
        let known = images.keys().map(|name| (name.clone(), known.clone())).collect();
        let runs = after.deployed.as_ref().is_some_and(|now| now.deployment == record.id);
        let ending = Ending {
            record,
            environment_type: Some(&self.environment_type),
            runs,
            before: std::mem::take(&mut self.running),
            images: &images,
            known: &known,
        };
        let first = of.announced.filter(|_| runs).map(|announced| {
            let committed = announced.artifact.committed_at;
            Arrival { since: committed.unwrap_or(announced.at), committed: committed.is_some() }
        });
        let (running, mut puts) = ending.puts()?;
        // Each brings a version that was not there before.
        let purpose = purpose(record, false);
        let first = first.into_iter().collect();
        if let Some(change) = Change::of(record, Some(&self.environment_type), purpose, first) {
            puts.push(change.put(&self.id)?);
        }
        self.running = running;
        self.changes.include(puts);
        Ok(())
    }

    /// What is to be written for what was pushed.
    ///
    /// # Errors
    ///
    /// When something of it can't be JSON.
    pub fn batch(&mut self) -> anyhow::Result<Batch> {
        let stream = StreamId::environment(&self.id);
        let events = std::mem::take(&mut self.events);
        let expect = Version(self.version.0.saturating_sub(events.len() as u64));
        let changes = std::mem::take(&mut self.changes);
        let mut puts = changes.finish(&self.id, self.version, &self.state)?;
        puts.extend(marks(&stream, expect, &events)?);
        puts.append(&mut self.puts);
        let appends = vec![Append { stream, expect, fence: None, events }];
        Ok(Batch { appends, puts, ..Batch::default() })
    }
}

/// What is to be written when an artifact is announced that leads to an environment
/// by hand.
///
/// # Errors
///
/// When something of it can't be JSON.
pub fn announced(
    application: &Name,
    expect: Version,
    announcements: &[Announcement],
) -> anyhow::Result<Batch> {
    let stream = StreamId::artifacts(application);
    let mut batch = Batch::default();
    let mut events = Vec::new();
    for announcement in announcements {
        let Announcement { at, by, artifact } = announcement;
        batch.puts.extend(announcement.puts()?);
        let kind = "artifacts-announced".to_owned();
        let body = json!({"type": kind, "artifacts": [artifact], "routes": []});
        events.push(NewEvent { at: *at, actor: by.clone(), kind, body, source: None });
    }
    batch.puts.extend(marks(&stream, expect, &events)?);
    batch.appends.push(Append { stream, expect, fence: None, events });
    Ok(batch)
}
