//! Makes past deployments once more from what is recorded of them, with the
//! recorded plugins or with others, and compares. Nothing is applied and nothing
//! is recorded; drivers, which are not pure, are not asked.

use std::collections::BTreeMap;

use deployd_core::config::{Document, DocumentKey};
use deployd_core::deployment::projection::EVENTS;
use deployd_core::deployment::{Deployment, DeploymentRecord, Event, Origin, StepKind, StepStatus};
use deployd_core::exact::{Pinned, pinned_plan};
use deployd_core::graph::Uid;
use deployd_core::journal::{EventRecord, StreamId, Version};
use deployd_core::plan::{Manifests, Plan};
use deployd_core::ports::{
    Call, CallLog, Decision, PluginRef, Provisioned, Scope, StoreError, StrategyContext,
};
use deployd_core::replay::{
    Difference, Part, PlanBasis, PluginVersion, Replay, ReplayedPart, differences,
    differences_of_manifests,
};
use deployd_core::resolve::Missing;
use deployd_core::set::{DeploymentSet, diff};
use deployd_core::{DeploymentId, Digest, Fault, FaultClass};
use serde_json::{Value, json};

use crate::configuration::Configuration;
use crate::effects::{manifests, workloads};
use crate::planner::{Documented, baseline, documented, plugin_config, scope};
use crate::records::{content, deployment, get};
use crate::{Engine, EngineError, Inner};

/// Events that are read at once.
const EVENTS_AT_ONCE: usize = 1_000;

/// The most events that are looked through for those of one deployment: far
/// above what one can have with all its rounds, steps and attempts, and a bound
/// where the stream is not what it should be.
const EVENTS_MAX: usize = 200_000;

impl Engine {
    /// Makes a past deployment once more, and compares. With a version of a
    /// plugin, that takes the place of the recorded one.
    pub async fn replay(
        &self,
        id: &DeploymentId,
        with: Option<&PluginVersion>,
    ) -> Result<Replay, EngineError> {
        let record = deployment(&*self.inner.ports.store, id).await?;
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
            parts.push(self.replay_manifests(&past).await?);
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

    /// The manifests, of what is pinned as the deployment made them that first
    /// had them.
    async fn replay_manifests(&self, past: &Past<'_>) -> Result<ReplayedPart, EngineError> {
        let Some(pinned) = &past.plan.pinned else { return past.manifests().await };
        let part = ReplayedPart::new(Part::Manifests, "");
        let Some(recorded) = past.work.result("render") else {
            return Ok(part.nothing("it never came to manifests"));
        };
        let (record, plan) = match self.first_made(pinned).await {
            Ok(first) => first,
            Err(error) => return Ok(part.without(missing(error)?)),
        };
        let Some(work) = &record.work else {
            return Ok(part.without(format!("the work of deployment {}", record.id)));
        };
        let (engine, set, with) = (past.engine, past.set.clone(), past.with);
        let first = Past { engine, record: &record, work, plan, set, with };
        let mut part = first.manifests().await?;
        part.compared = format!("{}; made by deployment {} first", part.compared, record.id);
        match part.recorded {
            Some(digest) if digest != recorded => {
                let of_it = format!("manifests of {}", record.id);
                let differs = differences(&of_it, &json!(recorded), &json!(digest));
                Ok(part.compared(recorded, digest, differs))
            }
            _ => Ok(part),
        }
    }

    /// The deployment that made what is pinned, and its plan: a repetition of a
    /// repetition has the manifests of the first.
    async fn first_made(&self, pinned: &Pinned) -> Result<(DeploymentRecord, Plan), EngineError> {
        let store = &*self.ports.store;
        let mut pinned = pinned.clone();
        loop {
            let record = deployment(store, &pinned.of).await?;
            let plan: Plan = content(store, "plan", pinned.plan).await?;
            match plan.pinned {
                // A deployment repeats older ones only, so that this ends.
                Some(earlier) if earlier.of < pinned.of => pinned = earlier,
                Some(_) => return Err(EngineError::bug("a deployment that repeats a later one")),
                None => return Ok((record, plan)),
            }
        }
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

    /// The documents of a time: those of a version of the configuration's stream.
    pub(crate) async fn configuration_at(
        &self,
        version: Version,
    ) -> Result<Configuration, EngineError> {
        let digests = self.documents_at(version).await?;
        let mut documents: Vec<Document> = Vec::with_capacity(digests.len());
        for (key, digest) in digests {
            documents.push(content(&*self.ports.store, &key.to_string(), digest).await?);
        }
        let mut configuration = Configuration { version, ..Configuration::default() };
        configuration.add(documents.into_iter());
        Ok(configuration)
    }

    /// Which documents there were at a version of the configuration's stream, by
    /// content.
    pub(crate) async fn documents_at(
        &self,
        version: Version,
    ) -> Result<BTreeMap<DocumentKey, Digest>, EngineError> {
        let stream = StreamId::configuration();
        let mut digests: BTreeMap<DocumentKey, Digest> = BTreeMap::new();
        let mut from = Version(1);
        while from <= version {
            let page = self.ports.store.read(&stream, from, EVENTS_AT_ONCE).await?;
            let Some(last) = page.last() else {
                let what = format!("event {} of the stream {stream}", from.0);
                return Err(EngineError::not_found(what));
            };
            from = last.version.next();
            for record in page.into_iter().filter(|record| record.version <= version) {
                let body = &record.event.body;
                let key = || serde_json::from_value(body.get("key").cloned().unwrap_or_default());
                match record.event.kind.as_str() {
                    "document-applied" => {
                        let digest = body.get("digest").cloned().unwrap_or_default();
                        let digest = serde_json::from_value(digest).map_err(EngineError::bug)?;
                        digests.insert(key().map_err(EngineError::bug)?, digest);
                    }
                    "document-removed" => {
                        digests.remove(&key().map_err(EngineError::bug)?);
                    }
                    _ => {}
                }
            }
        }
        Ok(digests)
    }

    /// The journal's events of a deployment, in their order.
    pub(crate) async fn events_of(
        &self,
        record: &DeploymentRecord,
    ) -> Result<Vec<EventRecord>, EngineError> {
        let first: Option<Version> =
            get(&*self.ports.store, EVENTS, record.id.0.as_bytes()).await?;
        let what = || EngineError::not_found(format!("events of deployment {}", record.id));
        let mut from = first.ok_or_else(what)?;
        let stream = StreamId::environment(&record.environment);
        let (mut events, mut read) = (Vec::new(), 0usize);
        loop {
            let page = self.ports.store.read(&stream, from, EVENTS_AT_ONCE).await?;
            let Some(last) = page.last() else { return Ok(events) };
            from = last.version.next();
            read = read.saturating_add(page.len());
            for event in page {
                let body = &event.event.body;
                if body.get("deployment").and_then(Value::as_str) != Some(&*record.id.0) {
                    continue;
                }
                // What comes later is of drift, and not the deployment's work.
                let ended = matches!(
                    event.event.kind.as_str(),
                    "deployment-ended" | "deployment-superseded"
                );
                events.push(event);
                if ended {
                    return Ok(events);
                }
            }
            if read > EVENTS_MAX {
                return Err(what());
            }
        }
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

    /// The plan, as far as documents make it.
    async fn plan(&self) -> Result<ReplayedPart, EngineError> {
        let mut part = ReplayedPart::new(
            Part::Plan,
            "environment type, values, resource graph with the definition of each resource, order of workloads, baseline and configurations of templater and strategy, the delta from what ran",
        );
        part.taken = Some("what drivers answered, what is borrowed, unused or pinned".to_owned());
        if let Some(pinned) = &self.plan.pinned {
            return self.pinned(part, pinned).await;
        }
        let Some(digest) = self.work.result("plan") else {
            return Ok(part.without("a record of what the plan was made from"));
        };
        let made = async {
            let basis: PlanBasis =
                content(&*self.engine.ports.store, "basis of the plan", digest).await?;
            let configuration = self.engine.configuration_at(basis.configuration).await?;
            self.plan_from(&basis, &configuration).await
        };
        let recorded = Digest::of_json(&self.plan).map_err(EngineError::bug)?;
        match made.await {
            Ok(plan) => {
                let replayed = Digest::of_json(&plan).map_err(EngineError::bug)?;
                let (old, new) = (json!(self.plan), json!(plan));
                Ok(part.compared(recorded, replayed, differences("plan", &old, &new)))
            }
            // That it can't be made any more is something else than the plan.
            Err(error @ EngineError::Invalid { .. }) => {
                Ok(part.compared(recorded, Digest::of(b""), vec![failed(&error.into_fault())]))
            }
            Err(error) => Ok(part.without(missing(error)?)),
        }
    }

    /// The plan of what is pinned: that of the deployment that it repeats, and
    /// what is pinned of it.
    async fn pinned(
        &self,
        part: ReplayedPart,
        pinned: &Pinned,
    ) -> Result<ReplayedPart, EngineError> {
        let store = &*self.engine.ports.store;
        let compared = format!("the plan of deployment {}, pinned", pinned.of);
        let taken = Some("what there was of resources, and what ran before".to_owned());
        let part = ReplayedPart { compared, taken, ..part };
        let of: Plan = match content(store, "plan", pinned.plan).await {
            Ok(of) => of,
            Err(error) => return Ok(part.without(missing(error)?)),
        };
        let again = pinned_plan(&of, pinned.clone(), self.plan.previous.clone());
        let digest = |plan: &Plan| Digest::of_json(plan).map_err(EngineError::bug);
        let found = differences("plan", &json!(self.plan), &json!(again));
        Ok(part.compared(digest(&self.plan)?, digest(&again)?, found))
    }

    async fn plan_from(
        &self,
        basis: &PlanBasis,
        configuration: &Configuration,
    ) -> Result<Plan, EngineError> {
        let store = &*self.engine.ports.store;
        let id = &self.record.environment;
        let Documented { environment_type, values, graph, workloads, templater, strategy } =
            documented(id, configuration, &basis.made_by, &self.set)?;
        let mut plan = self.plan.clone();
        plan.environment = id.clone();
        plan.environment_type = environment_type.0.clone();
        plan.take_over_fields = environment_type.1.take_over_fields
            || matches!(self.record.request.origin, Origin::Drift { .. });
        plan.set = Digest::of_json(&self.set).map_err(EngineError::bug)?;
        plan.graph = graph;
        plan.values = values;
        plan.workloads = workloads;
        if let Some(planned) = &mut plan.templater {
            planned.plugin.name = templater.plugin.to_string();
            planned.baseline = baseline(templater).map(|object| object.digest);
            planned.config = plugin_config(configuration, &templater.plugin);
        }
        if let Some(planned) = &mut plan.strategy {
            planned.plugin.name = strategy.plugin.to_string();
            planned.config = json!(strategy.config);
        }
        if let Some(previous) = &mut plan.previous {
            let old: DeploymentSet = content(store, "set", previous.set).await?;
            previous.delta = diff(&old, &self.set).map_err(EngineError::bug)?;
        }
        Ok(plan)
    }

    /// What was there of the plan's resources when manifests were made: each was
    /// provisioned by this very deployment, or is borrowed by content.
    async fn resources(&self) -> Result<BTreeMap<Uid, Provisioned>, EngineError> {
        let store = &*self.engine.ports.store;
        let mut resources = BTreeMap::new();
        for (uid, node) in &self.plan.graph.nodes {
            let borrowed = self.plan.borrowed.get(uid);
            let digest = match borrowed {
                Some(borrowed) => Some(borrowed.provisioned),
                None => self.work.result(&format!("provision:{uid}")),
            };
            let what = format!("result of provisioning {}", node.key);
            let digest = digest.ok_or_else(|| EngineError::not_found(&what))?;
            let mut there: Provisioned = content(store, &what, digest).await?;
            if borrowed.is_some() {
                there.manifests.clear();
            }
            resources.insert(uid.clone(), there);
        }
        Ok(resources)
    }

    /// The templater's manifests, with the objects of resources before them.
    async fn manifests(&self) -> Result<ReplayedPart, EngineError> {
        let part = ReplayedPart::new(
            Part::Manifests,
            "all objects: those of resources as they were provisioned then, and what the templater makes of the workloads",
        );
        let rendered = self.work.steps.iter().find(|step| step.kind == StepKind::Render);
        let (digest, fault) = match rendered {
            Some(step) => {
                (step.result, step.fault.as_ref().filter(|_| step.status == StepStatus::Failed))
            }
            None => (None, None),
        };
        // What a templater refuses, it refuses again.
        let refused = fault.filter(|fault| {
            matches!(fault.class, FaultClass::Invalid | FaultClass::Denied | FaultClass::Bug)
        });
        if digest.is_none() && refused.is_none() {
            return Ok(part.nothing("it never came to manifests"));
        }
        let mut plan = self.plan.clone();
        let Some(templater) = &mut plan.templater else {
            return Ok(part.without("a templater in the plan"));
        };
        match self.loaded(&templater.plugin).await? {
            Ok(plugin) => templater.plugin = plugin,
            Err(why) => return Ok(part.without(why)),
        }
        let part = ReplayedPart { plugin: Some(templater.plugin.clone()), ..part };
        let made = match self.resources().await {
            Ok(resources) => self.render(&plan, &resources).await,
            Err(error) => return Ok(part.without(missing(error)?)),
        };
        self.compare_manifests(part, digest, refused, made).await
    }

    async fn render(
        &self,
        plan: &Plan,
        resources: &BTreeMap<Uid, Provisioned>,
    ) -> Result<Manifests, EngineError> {
        let outputs: BTreeMap<Uid, Value> =
            resources.iter().map(|(uid, there)| (uid.clone(), there.outputs.clone())).collect();
        let log = CallLog::default();
        let (engine, scope) = (self.engine, self.scope());
        let rendered =
            engine.render(plan, &self.set, &outputs, Missing::Fault, &scope, &log).await?;
        manifests(plan, resources, rendered)
    }

    async fn compare_manifests(
        &self,
        part: ReplayedPart,
        recorded: Option<Digest>,
        refused: Option<&Fault>,
        made: Result<Manifests, EngineError>,
    ) -> Result<ReplayedPart, EngineError> {
        let found = match made {
            Ok(manifests) => Ok(manifests),
            Err(error @ EngineError::NotFound { .. } | error @ EngineError::Store(_)) => {
                return Ok(part.without(missing(error)?));
            }
            Err(error) => match error.into_fault() {
                fault if fault.is_transient() => return Err(fault.into()),
                fault => Err(fault),
            },
        };
        let told = |fault: &Fault| Digest::of_json(fault).map_err(EngineError::bug);
        match (recorded, refused, found) {
            (Some(digest), _, Ok(replayed)) => {
                let again = Digest::of_json(&replayed).map_err(EngineError::bug)?;
                if again == digest {
                    return Ok(part.compared(digest, again, Vec::new()));
                }
                let store = &*self.engine.ports.store;
                let recorded: Manifests = match content(store, "manifests", digest).await {
                    Ok(recorded) => recorded,
                    Err(error) => return Ok(part.without(missing(error)?)),
                };
                let found = differences_of_manifests(&recorded, &replayed);
                Ok(part.compared(digest, again, found))
            }
            (Some(digest), _, Err(fault)) => {
                Ok(part.compared(digest, told(&fault)?, vec![failed(&fault)]))
            }
            (None, Some(recorded), Ok(replayed)) => {
                let again = Digest::of_json(&replayed).map_err(EngineError::bug)?;
                let difference = Difference {
                    what: "fault".to_owned(),
                    path: String::new(),
                    recorded: Some(json!(recorded)),
                    replayed: None,
                };
                Ok(part.compared(told(recorded)?, again, vec![difference]))
            }
            (None, Some(recorded), Err(fault)) => {
                let (old, new) = (json!(recorded), json!(fault));
                Ok(part.compared(told(recorded)?, told(&fault)?, differences("fault", &old, &new)))
            }
            (None, None, _) => Ok(part),
        }
    }

    /// What the strategy decided, each decision from what is recorded before it.
    async fn decisions(&self) -> Result<ReplayedPart, EngineError> {
        let part = ReplayedPart::new(
            Part::Decisions,
            "each decision of the strategy, from its recorded state and the recorded observation",
        );
        let Some(digest) = self.work.result("render").filter(|_| self.work.rollout.is_some())
        else {
            return Ok(part.nothing("it never came to a rollout"));
        };
        let Some(strategy) = &self.plan.strategy else {
            return Ok(part.without("a strategy in the plan"));
        };
        let plugin = match self.loaded(&strategy.plugin).await? {
            Ok(plugin) => plugin,
            Err(why) => return Ok(part.without(why)),
        };
        let part = ReplayedPart { plugin: Some(plugin.clone()), ..part };
        let store = &*self.engine.ports.store;
        let rendered = content::<Manifests>(store, "manifests", digest).await;
        let events = self.engine.events_of(self.record).await;
        let (manifests, events) = match (rendered, events) {
            (Ok(manifests), Ok(events)) => (manifests, events),
            (Err(error), _) | (_, Err(error)) => return Ok(part.without(missing(error)?)),
        };
        let context = StrategyContext {
            config: strategy.config.clone(),
            workloads: workloads(&self.plan, &manifests, self.plan.previous.is_some()),
        };
        let (mut before, mut recorded, mut replayed) = (None::<Value>, Vec::new(), Vec::new());
        let mut found = Vec::new();
        for event in events {
            let event = serde_json::from_value(event.event.body).map_err(EngineError::bug)?;
            let Event::RolloutDecided { step, state, action, progress, message, .. } = event else {
                continue;
            };
            let observation = match self.work.step(&step).map(|step| &step.kind) {
                Some(StepKind::Decide { observation }) => observation.clone(),
                _ => return Ok(part.without(format!("the record of step {step}"))),
            };
            let asked = (before.as_ref(), observation.as_ref());
            let made = self.decide(&plugin, &context, asked).await;
            let old = Decision { state, action, progress, message };
            let new = match made {
                Ok(decision) => json!(decision),
                Err(fault) if fault.is_transient() => return Err(fault.into()),
                Err(fault) => json!({ "fault": fault }),
            };
            before = Some(old.state.clone());
            let old = json!(old);
            found.extend(differences(&step.0, &old, &new));
            recorded.push(old);
            replayed.push(new);
        }
        if recorded.is_empty() {
            return Ok(part.without("the journal's events of its rollout"));
        }
        let digest = |all: &[Value]| Digest::of_json(&all).map_err(EngineError::bug);
        Ok(part.compared(digest(&recorded)?, digest(&replayed)?, found))
    }

    async fn decide(
        &self,
        plugin: &PluginRef,
        context: &StrategyContext,
        asked: (Option<&Value>, Option<&Value>),
    ) -> Result<Decision, Fault> {
        let (scope, log) = (self.scope(), CallLog::default());
        let call = Call { plugin, scope: &scope, log: &log };
        let strategies = &self.engine.ports.strategies;
        match asked {
            (Some(state), Some(observation)) => {
                strategies.next(call, context, state, observation).await
            }
            _ => strategies.start(call, context).await,
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
