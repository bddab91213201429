//! Makes past deployments once more from what is recorded of them, with the
//! recorded plugins or with others, and compares. Nothing is applied and nothing
//! is recorded; drivers, which are not pure, are not asked.

mod decisions;
mod manifests;
mod plan;

use deployd_core::deployment::{Deployment, DeploymentRecord};
use deployd_core::plan::Plan;
use deployd_core::ports::{PluginRef, Scope, StoreError};
use deployd_core::replay::{Difference, Part, PluginVersion, Replay, ReplayedPart};
use deployd_core::set::DeploymentSet;
use deployd_core::{DeploymentId, Digest, Fault};
use serde_json::json;

use crate::planner::scope;
use crate::records::content;
use crate::{Engine, EngineError, Inner};

impl Engine {
    /// Makes a past deployment once more, and compares. With a version of a
    /// plugin, that takes the place of the recorded one.
    pub async fn replay(
        &self,
        id: &DeploymentId,
        with: Option<&PluginVersion>,
    ) -> Result<Replay, EngineError> {
        let record = self.inner.past(id).await?;
        let _visit = self.inner.visit();
        let with = match with {
            Some(version) => Some(self.inner.version_of(version).await?),
            None => None,
        };
        let place = (record.id.clone(), record.environment.clone(), record.number);
        let parts = match past(&record) {
            Ok((work, plan)) => self.inner.replay(&record, work, plan, with.as_ref()).await?,
            Err(why) => vec![ReplayedPart::new(Part::Plan, "").nothing(why)],
        };
        Ok(Replay::of(place, with, parts))
    }
}

/// What there is to make again of a deployment, or why there is nothing.
fn past(record: &DeploymentRecord) -> Result<(&Deployment, Digest), &'static str> {
    if record.request.teardown.is_some() {
        return Err(
            "it took its environment away: its plan names what was there, and nothing was rendered",
        );
    }
    let work = record.work.as_ref().ok_or("it never began")?;
    let plan = work.plan.ok_or(match record.outcome {
        Some(_) => "it ended before it had a plan",
        None => "it has no plan yet",
    })?;
    Ok((work, plan))
}

/// What is missing to make a part again; everything else fails the request.
fn missing(error: EngineError) -> Result<String, EngineError> {
    match error {
        EngineError::NotFound { what } => Ok(format!("there is no {what}")),
        EngineError::Store(StoreError::Damaged(what)) => {
            Ok(format!("the store is damaged: {what}"))
        }
        other => Err(other),
    }
}

impl Inner {
    async fn replay(
        &self,
        record: &DeploymentRecord,
        work: &Deployment,
        plan: Digest,
        with: Option<&PluginRef>,
    ) -> Result<Vec<ReplayedPart>, EngineError> {
        let all = ReplayedPart::new(Part::Plan, "the plan");
        let plan = match content::<Plan>(&*self.ports.store, "plan", plan).await {
            Ok(plan) => plan,
            Err(error) => return Ok(vec![all.without(missing(error)?)]),
        };
        let set = match content(&*self.ports.store, "set", plan.set).await {
            Ok(set) => set,
            Err(error) => return Ok(vec![all.without(missing(error)?)]),
        };
        let past = Past { engine: self, record, work, plan, set, with };
        let mut parts = Vec::new();
        if with.is_none() {
            parts.push(past.plan().await?);
        }
        if past.asks(past.plan.templater.as_ref().map(|it| &it.plugin)) {
            parts.push(past.manifests().await?);
        }
        if past.asks(past.plan.strategy.as_ref().map(|it| &it.plugin)) {
            parts.push(past.decisions().await?);
        }
        if let Some(with) = with.filter(|_| parts.is_empty()) {
            let name = |plugin: Option<&PluginRef>| plugin.map_or("none", |it| &it.name).to_owned();
            let templater = name(past.plan.templater.as_ref().map(|it| &it.plugin));
            let strategy = name(past.plan.strategy.as_ref().map(|it| &it.plugin));
            parts.push(ReplayedPart::new(Part::Manifests, "").nothing(format!(
                "{} is neither its templater ({templater}) nor its strategy ({strategy}); drivers are not pure, and can't be replayed",
                with.name
            )));
        }
        Ok(parts)
    }

    /// A version of a plugin by the first digits of its digest: one that was
    /// ever loaded, or one that was uploaded for the plugin of that name.
    async fn version_of(&self, wanted: &PluginVersion) -> Result<PluginRef, EngineError> {
        let known = self.versions(&wanted.name).await?;
        let hex: Vec<String> = known.iter().map(Digest::hex).collect();
        let of_it: Vec<&Digest> =
            known.iter().filter(|digest| digest.hex().starts_with(&wanted.digits)).collect();
        let digest = match of_it.as_slice() {
            [one] => **one,
            [] => match format!("sha256:{}", wanted.digits).parse() {
                // Uploaded, and not named by any document so far.
                Ok(digest) => digest,
                Err(_) => {
                    let message = format!(
                        "no version of {} that was ever loaded begins with {:?}; there are {}; one that was only uploaded is named by its whole digest",
                        wanted.name,
                        wanted.digits,
                        list(&hex)
                    );
                    return Err(EngineError::invalid("with", message));
                }
            },
            several => {
                let several: Vec<String> = several.iter().map(|digest| digest.hex()).collect();
                let message = format!("{wanted} could be {}; give more digits", list(&several));
                return Err(EngineError::invalid("with", message));
            }
        };
        let plugin = PluginRef { name: wanted.name.to_string(), digest };
        self.need_any(&plugin).await?;
        Ok(plugin)
    }
}

fn list(digests: &[String]) -> String {
    if digests.is_empty() { "none".to_owned() } else { digests.join(", ") }
}

/// A past deployment, and what takes the place of its plugins.
struct Past<'p> {
    engine: &'p Inner,
    record: &'p DeploymentRecord,
    work: &'p Deployment,
    plan: Plan,
    set: DeploymentSet,
    with: Option<&'p PluginRef>,
}

impl Past<'_> {
    /// Whether a plugin is to be asked: any, or the one that another version
    /// takes the place of.
    fn asks(&self, plugin: Option<&PluginRef>) -> bool {
        plugin.is_some_and(|plugin| self.with.is_none_or(|with| with.name == plugin.name))
    }

    /// Where its calls belong: as they did then.
    fn scope(&self) -> Scope {
        scope(&self.plan, &self.record.id.0)
    }

    /// The version that is asked, loaded; or why it can't be.
    async fn loaded(&self, recorded: &PluginRef) -> Result<Result<PluginRef, String>, EngineError> {
        let plugin = self.with.unwrap_or(recorded).clone();
        match self.engine.need_any(&plugin).await {
            Ok(()) => Ok(Ok(plugin)),
            Err(EngineError::Fault(fault)) if !fault.is_transient() => Ok(Err(fault.message)),
            Err(error) => Ok(Err(missing(error)?)),
        }
    }
}

/// That something failed which is recorded to have been made.
fn failed(fault: &Fault) -> Difference {
    Difference {
        what: "fault".to_owned(),
        path: String::new(),
        recorded: None,
        replayed: Some(json!(fault)),
    }
}
