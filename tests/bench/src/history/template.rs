//! Deployments that a daemon has made, to be made once more under other names.

use std::collections::BTreeMap;

use anyhow::Context as _;
use deployd_core::deployment::{Event, Step, StepKind};
use deployd_core::journal::{EventRecord, Source, StreamId, Version};
use deployd_core::ports::{Object, Store};
use deployd_core::set::DeploymentSet;
use deployd_core::{Actor, DeploymentId, EnvironmentId, Timestamp};

use super::text::Text;

/// What has another name in each deployment.
#[derive(Debug, Clone)]
enum Name {
    Application,
    Deployment,
    Image,
    Content(String),
    DeploymentBefore,
    ImageBefore,
    ContentBefore(String),
}

/// How a deployment and what it has made are called.
#[derive(Debug, Clone, Default)]
pub struct Named {
    /// The application.
    pub application: String,
    /// The deployment.
    pub deployment: String,
    /// The image.
    pub image: String,
    /// Hex digits of what is stored by content, by what it is: the set, the plan,
    /// or the result of a step.
    contents: BTreeMap<String, String>,
}

impl Named {
    /// Names for a deployment; those of its contents come with them.
    pub fn new(application: String, deployment: &DeploymentId, image: String) -> Self {
        Self { application, deployment: deployment.0.clone(), image, contents: BTreeMap::new() }
    }
}

/// An event, and by whom, from where and when it was.
#[derive(Debug, Clone)]
pub struct Happened {
    /// The event.
    pub event: Event,
    /// By whom.
    pub actor: Actor,
    /// From where.
    pub source: Option<Source>,
    /// When it was in the template.
    pub at: Timestamp,
}

/// A deployment under other names.
pub struct Renamed {
    /// Its events.
    pub events: Vec<Happened>,
    /// Its contents.
    pub objects: Vec<Object>,
    /// Its set.
    pub set: DeploymentSet,
    /// The names, those of contents among them.
    pub named: Named,
}

/// A deployment that a daemon has made.
pub struct Template {
    events: Vec<(Happened, Text<Name>)>,
    /// What is named by another one comes first.
    contents: Vec<(String, Text<Name>)>,
    /// How it was called.
    pub named: Named,
}

/// The set among contents.
const SET: &str = "set";

/// Two deployments of one environment: the first there, and one upon another.
pub struct Templates {
    /// The first one.
    pub first: Template,
    /// The other one.
    pub further: Template,
}

impl Templates {
    /// Reads the first two deployments of an environment.
    ///
    /// # Errors
    ///
    /// When there are no two, or something of them is not there.
    pub async fn read(store: &dyn Store, environment: &EnvironmentId) -> anyhow::Result<Self> {
        let all = store.read(&StreamId::environment(environment), Version(1), usize::MAX).await?;
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
        let first = Template::read(store, environment, first, None).await?;
        let further = Template::read(store, environment, further, Some(&first.named)).await?;
        Ok(Self { first, further })
    }

    /// A deployment upon the one before, if there was one.
    ///
    /// # Errors
    ///
    /// When what comes of it is no deployment: its names are none.
    pub fn renamed(&self, named: Named, before: Option<&Named>) -> anyhow::Result<Renamed> {
        match before {
            Some(before) => self.further.renamed(named, before),
            None => self.first.renamed(named, &Named::default()),
        }
    }
}

impl Template {
    async fn read(
        store: &dyn Store,
        environment: &EnvironmentId,
        (deployment, records): (DeploymentId, Vec<EventRecord>),
        before: Option<&Named>,
    ) -> anyhow::Result<Self> {
        let mut events = Vec::new();
        let mut digests = BTreeMap::new();
        for EventRecord { event, .. } in records {
            let body: Event = serde_json::from_value(event.body.clone())?;
            match &body {
                Event::DeploymentQueued { request, .. } => {
                    digests.insert(SET.to_owned(), request.set);
                }
                Event::DeploymentPlanned { plan, .. } => {
                    digests.insert("plan".to_owned(), *plan);
                }
                Event::StepSucceeded { step, result: Some(result), .. } => {
                    digests.insert(format!("result of {}", step.0), *result);
                }
                _ => {}
            }
            let happened =
                Happened { event: body, actor: event.actor, source: event.source, at: event.at };
            events.push((happened, event.body.to_string()));
        }
        let mut contents = Vec::new();
        for (what, digest) in &digests {
            let bytes = store.object(*digest).await?.with_context(|| format!("no {what}"))?;
            contents.push((what.clone(), digest.hex(), String::from_utf8(bytes)?));
        }
        let contents = in_order(contents);
        let (_, _, set) =
            contents.iter().find(|(what, ..)| what == SET).context("a deployment of no set")?;
        let set: DeploymentSet = serde_json::from_str(set)?;
        let application = environment.application.to_string();
        let image = set.images().into_values().next().context("a set without an image")?;
        let mut named = Named::new(application, &deployment, image);
        let hexes = contents.iter().map(|(what, hex, _)| (what.clone(), hex.clone()));
        named.contents = hexes.collect();

        let mut names = vec![
            (named.application.clone(), Name::Application),
            (named.deployment.clone(), Name::Deployment),
            (named.image.clone(), Name::Image),
        ];
        for (what, hex) in &named.contents {
            names.push((hex.clone(), Name::Content(what.clone())));
        }
        if let Some(before) = before {
            names.push((before.deployment.clone(), Name::DeploymentBefore));
            names.push((before.image.clone(), Name::ImageBefore));
            for (what, hex) in &before.contents {
                // What is the same in both is made anew under the same name.
                if !names.iter().any(|(name, _)| name == hex) {
                    names.push((hex.clone(), Name::ContentBefore(what.clone())));
                }
            }
        }
        Ok(Self {
            events: events
                .into_iter()
                .map(|(happened, text)| (happened, Text::of(&text, &names)))
                .collect(),
            contents: contents
                .iter()
                .map(|(what, _, text)| (what.clone(), Text::of(text, &names)))
                .collect(),
            named,
        })
    }

    fn renamed(&self, mut named: Named, before: &Named) -> anyhow::Result<Renamed> {
        let mut objects = Vec::new();
        let mut set = None;
        // Until they are made anew, contents are called as before.
        for (what, hex) in &before.contents {
            named.contents.entry(what.clone()).or_insert_with(|| hex.clone());
        }
        for (what, text) in &self.contents {
            let text = text.with(|name| named.of(name, before));
            if what == SET {
                set = Some(serde_json::from_str(&text)?);
            }
            let object = Object::new(text.into_bytes());
            named.contents.insert(what.clone(), object.digest.hex());
            objects.push(object);
        }
        let mut events = Vec::new();
        for (happened, text) in &self.events {
            let mut event = serde_json::from_str(&text.with(|name| named.of(name, before)))?;
            if let Event::StepStarted { deployment, step, key, .. } = &mut event {
                *key = Step::new(deployment, step.0.clone(), StepKind::Plan, vec![]).key;
            }
            events.push(Happened { event, ..happened.clone() });
        }
        Ok(Renamed { events, objects, set: set.context("no set")?, named })
    }
}

impl Named {
    fn of<'n>(&'n self, name: &Name, before: &'n Self) -> &'n str {
        let content = |of: &'n Self, what: &String| of.contents.get(what).map(String::as_str);
        match name {
            Name::Application => &self.application,
            Name::Deployment => &self.deployment,
            Name::Image => &self.image,
            Name::Content(what) => content(self, what).unwrap_or_default(),
            Name::DeploymentBefore => &before.deployment,
            Name::ImageBefore => &before.image,
            Name::ContentBefore(what) => content(before, what).unwrap_or_default(),
        }
    }
}

/// Contents, each after those that it names. What names the same is there once.
fn in_order(mut contents: Vec<(String, String, String)>) -> Vec<(String, String, String)> {
    let mut ordered = Vec::new();
    while !contents.is_empty() {
        let free = contents.iter().position(|(_, own, text)| {
            !contents.iter().any(|(_, hex, _)| hex != own && text.contains(hex.as_str()))
        });
        // By hashes, nothing can name itself in the end.
        ordered.push(contents.remove(free.unwrap_or_default()));
    }
    ordered
}
