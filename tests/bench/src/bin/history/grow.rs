//! A long history: the events of real deployments, under other names and at other
//! times, through the functions that make records of events.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, ensure};
use deployd_core::deployment::projection::Changes;
use deployd_core::deployment::stays::{self, Ending, Running};
use deployd_core::deployment::{EnvironmentState, Event, Step, StepKind, transition};
use deployd_core::journal::{EventRecord, NewEvent, StreamId, Version};
use deployd_core::ports::{Append, Batch, Object, Store};
use deployd_core::set::DeploymentSet;
use deployd_core::{DeploymentId, Digest, EnvironmentId, Name};
use deployd_store::{RedbStore, StoreOptions};

use crate::names::{ENVIRONMENTS, Place, TOOK_MS};

/// Deployments in one batch: far below what a store takes.
const AT_ONCE: usize = 25;

/// A deployment that a daemon has made.
struct Template {
    events: Vec<EventRecord>,
    deployment: DeploymentId,
    /// What it names by content, and what names none of the others first: set,
    /// manifests, plan.
    contents: Vec<(Digest, String)>,
}

/// Two deployments of one environment: the first there, and one upon another.
struct Templates {
    environment: EnvironmentId,
    first: Template,
    further: Template,
}

/// What is there of a version: to be named by the next.
struct Made {
    deployment: DeploymentId,
    contents: Vec<Digest>,
    image: String,
}

/// The images of the two deployments that are taken for templates.
pub(crate) const IMAGES: [&str; 2] = ["registry.test/web:0", "registry.test/web:1"];

/// Has so many versions of so many applications deployed to all environments, as
/// those of the application that there is. `told` is told how many there are.
pub(crate) async fn grow(
    data: &Path,
    like: &str,
    applications: u64,
    versions: u64,
    told: impl Fn(u64),
) -> anyhow::Result<()> {
    let store = RedbStore::open(data.join("deployd.redb"), &StoreOptions::default())?;
    let mut templates = Vec::new();
    for number in 0..ENVIRONMENTS {
        templates.push(Templates::read(&store, format!("{like}/e{number}").parse()?).await?);
    }
    let mut count = 0;
    for application in 0..applications {
        for (environment, templates) in (0..).zip(&templates) {
            let first = Place { application, environment, version: 0 };
            history(&store, templates, first, versions).await?;
            count += versions;
            told(count);
        }
    }
    store.close().await;
    Ok(())
}

/// The whole history of one environment.
async fn history(
    store: &RedbStore,
    templates: &Templates,
    first: Place,
    versions: u64,
) -> anyhow::Result<()> {
    let id = first.environment_id()?;
    let bench: Name = "bench".parse()?;
    let stream = StreamId::environment(&id);
    let (mut state, mut version) = (EnvironmentState::default(), Version(0));
    let mut running = Running::new();
    let mut before: Option<Made> = None;
    let numbers: Vec<u64> = (0..versions).collect();
    for some in numbers.chunks(AT_ONCE) {
        let expect = version;
        let (mut changes, mut events) = (Changes::default(), Vec::new());
        let mut batch = Batch::default();
        for number in some {
            let place = Place { version: *number, ..first };
            let renamed = templates.renamed(place, before.as_ref())?;
            let set: DeploymentSet = serde_json::from_slice(&renamed.set)?;
            let count = renamed.events.len().max(1) as u64;
            for (nth, (actor, body)) in (0u64..).zip(renamed.events) {
                let event: Event = serde_json::from_value(body.clone())?;
                let at = place.queued().plus_ms(nth * TOOK_MS / count);
                let (after, record) = transition(&id, state.clone(), at, &actor, &event)?;
                changes.add(&id, &state, &after, record.as_ref())?;
                if let Some(record) = record.filter(|record| record.ended.is_some()) {
                    let images = stays::images(&set.images());
                    let ending = Ending {
                        record: &record,
                        environment_type: Some(&bench),
                        runs: true,
                        before: std::mem::take(&mut running),
                        images: &images,
                        known: &BTreeMap::new(),
                    };
                    let (now, puts) = ending.puts()?;
                    running = now;
                    batch.puts.extend(puts);
                }
                state = after;
                version = version.next();
                let kind = event.kind().to_owned();
                events.push(NewEvent { at, actor, source: None, kind, body });
            }
            batch.objects.extend(renamed.objects);
            before = Some(renamed.made);
        }
        batch.puts.extend(changes.finish(&id, version, &state)?);
        batch.appends.push(Append { stream: stream.clone(), expect, fence: None, events });
        store.append(batch).await?;
    }
    ensure!(state.accepted == versions, "{} deployments", state.accepted);
    Ok(())
}

/// A deployment under another name.
struct Renamed {
    events: Vec<(deployd_core::Actor, serde_json::Value)>,
    objects: Vec<Object>,
    set: Vec<u8>,
    made: Made,
}

impl Templates {
    async fn read(store: &RedbStore, environment: EnvironmentId) -> anyhow::Result<Self> {
        let all = store.read(&StreamId::environment(&environment), Version(1), usize::MAX).await?;
        let mut found: Vec<(DeploymentId, Vec<EventRecord>)> = Vec::new();
        for record in all {
            let event: Event = serde_json::from_value(record.event.body.clone())?;
            match found.last_mut().filter(|(id, _)| id == event.deployment()) {
                Some((_, events)) => events.push(record),
                None => found.push((event.deployment().clone(), vec![record])),
            }
        }
        let mut found = found.into_iter();
        let (first, further) = found.next().zip(found.next()).context("no two deployments")?;
        let first = Template::read(store, first).await?;
        let further = Template::read(store, further).await?;
        Ok(Self { environment, first, further })
    }

    fn renamed(&self, place: Place, before: Option<&Made>) -> anyhow::Result<Renamed> {
        let template = if before.is_some() { &self.further } else { &self.first };
        let id = place.deployment();
        let mut names = vec![
            (self.environment.application.to_string(), place.application_name()),
            (template.deployment.0.clone(), id.0.clone()),
        ];
        let image = place.image();
        match before {
            None => names.push((IMAGES[0].to_owned(), image.clone())),
            Some(before) => {
                names.push((IMAGES[0].to_owned(), before.image.clone()));
                names.push((IMAGES[1].to_owned(), image.clone()));
                names.push((self.first.deployment.0.clone(), before.deployment.0.clone()));
                let old = self.first.contents.iter().map(|(digest, _)| digest.hex());
                names.extend(old.zip(before.contents.iter().map(|digest| digest.hex())));
            }
        }
        let (mut objects, mut contents) = (Vec::new(), Vec::new());
        for (old, text) in &template.contents {
            let object = Object::new(replaced(text, &names).into_bytes());
            names.push((old.hex(), object.digest.hex()));
            contents.push(object.digest);
            objects.push(object);
        }
        let set = objects.first().context("no set")?.bytes.clone();
        let mut events = Vec::new();
        for record in &template.events {
            let text = replaced(&record.event.body.to_string(), &names);
            let mut event: Event = serde_json::from_str(&text)?;
            if let Event::StepStarted { deployment, step, key, .. } = &mut event {
                *key = Step::new(deployment, step.0.clone(), StepKind::Plan, vec![]).key;
            }
            events.push((record.event.actor.clone(), serde_json::to_value(&event)?));
        }
        Ok(Renamed { events, objects, set, made: Made { deployment: id, contents, image } })
    }
}

impl Template {
    async fn read(
        store: &RedbStore,
        (deployment, events): (DeploymentId, Vec<EventRecord>),
    ) -> anyhow::Result<Self> {
        let (mut set, mut plan, mut manifests) = (None, None, None);
        for record in &events {
            match serde_json::from_value(record.event.body.clone())? {
                Event::DeploymentQueued { request, .. } => set = Some(request.set),
                Event::DeploymentPlanned { plan: digest, .. } => plan = Some(digest),
                Event::StepSucceeded { step, result, .. } if step.0 == "render" => {
                    manifests = result;
                }
                _ => {}
            }
        }
        let mut contents = Vec::new();
        for digest in [set, manifests, plan] {
            let digest = digest.context("a deployment that was not rendered")?;
            let bytes = store.object(digest).await?.context("no such content")?;
            contents.push((digest, String::from_utf8(bytes)?));
        }
        Ok(Self { events, deployment, contents })
    }
}

fn replaced(text: &str, names: &[(String, String)]) -> String {
    names.iter().fold(text.to_owned(), |text, (old, new)| text.replace(old.as_str(), new))
}
