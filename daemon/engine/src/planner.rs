//! Makes plans: gathers what they are made of, asks drivers what they would do,
//! and renders what is known already.

use std::collections::BTreeMap;

use deployd_core::calendar::Errand;
use deployd_core::config::{
    EffectLevel, EnvironmentTypeSpec, PluginKind, Provider, StrategyChoice, TemplaterChoice,
};
use deployd_core::deployment::EnvironmentState;
use deployd_core::graph::{self, GraphInput, ResourceGraph, Uid};
use deployd_core::plan::{
    Manifest, Manifests, ObjectOwner, PLAN_VERSION, Plan, PlannedResource, PlannedStrategy,
    PlannedTemplater, PlannedWorkload, Preview, Previous, changes, workload_order,
};
use deployd_core::ports::{
    Call, CallLog, DriverAction, DriverRequest, Object, PluginInfo, Provisioned, RenderInput, Scope,
};
use deployd_core::pull;
use deployd_core::replay::PlanBasis;
use deployd_core::resolve::{self, Context, Missing};
use deployd_core::rollout::checking::PlannedCheck;
use deployd_core::rollout::jobs;
use deployd_core::set::{DeploymentSet, diff};
use deployd_core::{Digest, EnvironmentId, Fault, Name};
use serde_json::{Value, json};

use crate::configuration::Configuration;
use crate::error::Problem;
use crate::records::{PLUGINS, content, get};
use crate::resources::Made;
use crate::unused::is_way;
use crate::{EngineError, Inner};

/// A plan, content that it names, and what drivers foresee.
pub(crate) struct Planned {
    pub(crate) plan: Plan,
    pub(crate) objects: Vec<Object>,
    /// Outputs of what is there, and those that are known before it is.
    pub(crate) outputs: BTreeMap<Uid, Value>,
    /// What it was made from, by content.
    pub(crate) basis: Option<Digest>,
}

/// What follows from documents and the set alone, nobody asked: the part of a
/// plan that can be made again at any time.
pub(crate) struct Documented<'c> {
    pub(crate) environment_type: (&'c Name, &'c EnvironmentTypeSpec),
    pub(crate) values: BTreeMap<String, Value>,
    pub(crate) graph: ResourceGraph,
    pub(crate) workloads: Vec<PlannedWorkload>,
    pub(crate) templater: &'c TemplaterChoice,
    pub(crate) strategy: &'c StrategyChoice,
}

/// What documents make of a set.
pub(crate) fn documented<'c>(
    id: &EnvironmentId,
    configuration: &'c Configuration,
    made_by: &BTreeMap<Uid, Name>,
    set: &DeploymentSet,
) -> Result<Documented<'c>, EngineError> {
    let spec = configuration
        .environments
        .get(id)
        .ok_or_else(|| EngineError::not_found(format!("environment {id}")))?;
    let name = &spec.environment_type;
    let environment_type = configuration
        .environment_types
        .get(name)
        .ok_or_else(|| EngineError::not_found(format!("environment type {name}")))?;
    let values = configuration.values(id);
    let graph = graph::build(&GraphInput {
        environment: id,
        environment_type: name,
        set,
        definitions: &configuration.definitions,
        made_by,
        values: &values,
    })
    .map_err(|errors| EngineError::Invalid {
        problems: errors
            .iter()
            .map(|error| Problem::new(id.to_string(), error.to_string()))
            .collect(),
    })?;
    Ok(Documented {
        environment_type: (name, environment_type),
        values,
        workloads: workload_order(set.workloads.keys(), graph.nodes.values()),
        graph,
        templater: &environment_type.templater,
        strategy: &environment_type.strategy,
    })
}

/// The baseline of a templater, as it is kept.
pub(crate) fn baseline(templater: &TemplaterChoice) -> Option<Object> {
    templater.baseline.as_ref().map(|text| Object::new(text.clone().into_bytes()))
}

impl Inner {
    /// The plan of a set in an environment as it is now.
    pub(crate) async fn plan(
        &self,
        id: &EnvironmentId,
        state: &EnvironmentState,
        set: &DeploymentSet,
        (deployment, errand): (&str, Errand),
    ) -> Result<Planned, EngineError> {
        let configuration = self.configuration().await?;
        let made = self.made(state).await?;
        let basis = PlanBasis {
            configuration: configuration.version,
            made_by: self.makers(state, &made).await?,
        };
        let Documented { environment_type, values, graph, workloads, templater, strategy, .. } =
            documented(id, &configuration, &basis.made_by, set)?;
        let templater_info = self.plugin(&templater.plugin, PluginKind::Templater).await?;
        let strategy_info = self.plugin(&strategy.plugin, PluginKind::Strategy).await?;
        let baseline = baseline(templater);
        let set_object = crate::records::object(set)?;
        let previous = self.previous(state, set).await?;
        let unused = self.unused(id, &configuration, &made, &graph).await?;
        let mut plan = Plan {
            version: PLAN_VERSION,
            environment: id.clone(),
            environment_type: environment_type.0.clone(),
            set: set_object.digest,
            previous,
            workloads,
            resources: BTreeMap::new(),
            graph,
            borrowed: BTreeMap::new(),
            unused,
            values,
            templater: Some(PlannedTemplater {
                plugin: templater_info.plugin,
                baseline: baseline.as_ref().map(|object| object.digest),
                config: plugin_config(&configuration, &templater.plugin),
            }),
            strategy: Some(PlannedStrategy {
                plugin: strategy_info.plugin,
                config: json!(strategy.config),
                traffic: strategy.traffic,
                drain_ms: strategy.drain_ms,
            }),
            checks: self.checks(&configuration, environment_type.1).await?,
            take_over_fields: environment_type.1.take_over_fields,
            policies: self.planned_policies(&configuration, id, errand).await?,
            gates: configuration.gates(id, errand),
            teardown: false,
            pinned: None,
            pull: configuration.pull(id)?,
        };
        let outputs = self.plan_resources(&mut plan, set, state, deployment).await?;
        self.plan_replacements(&mut plan, state).await?;
        let basis = crate::records::object(&basis)?;
        let digest = basis.digest;
        let objects = baseline.into_iter().chain([set_object, basis]).collect();
        Ok(Planned { plan, objects, outputs, basis: Some(digest) })
    }

    /// The checks of an environment's type, pinned.
    async fn checks(
        &self,
        configuration: &Configuration,
        of_type: &EnvironmentTypeSpec,
    ) -> Result<BTreeMap<Name, PlannedCheck>, EngineError> {
        let mut found = BTreeMap::new();
        for (name, choice) in &of_type.checks {
            let plugin = self.plugin(&choice.plugin, PluginKind::Check).await?.plugin;
            let (config, timing) = (json!(choice.config), choice.timing());
            let spec = configuration.plugins.get(&choice.plugin);
            let pods = spec.is_some_and(|spec| spec.grant.pods);
            found.insert(name.clone(), PlannedCheck { plugin, config, timing, pods });
        }
        Ok(found)
    }

    /// What runs, and what a set changes of it.
    pub(crate) async fn previous(
        &self,
        state: &EnvironmentState,
        set: &DeploymentSet,
    ) -> Result<Option<Previous>, EngineError> {
        let Some(deployed) = &state.deployed else { return Ok(None) };
        let old: DeploymentSet = content(&*self.ports.store, "set", deployed.set).await?;
        let delta = diff(&old, set).map_err(EngineError::bug)?;
        Ok(Some(Previous {
            deployment: deployed.deployment.clone(),
            set: deployed.set,
            delta,
            manifests: Some(deployed.manifests),
        }))
    }

    /// The drivers of what is there, and of what may be: another driver must not
    /// take that for its own. Only the environment's own cluster and namespace
    /// are looked for where they always are.
    async fn makers(
        &self,
        state: &EnvironmentState,
        made: &BTreeMap<Uid, Made>,
    ) -> Result<BTreeMap<Uid, Name>, EngineError> {
        let driver = |made: &Made| made.driver.as_ref()?.name.parse().ok();
        let unfinished = self.unfinished(state).await?;
        let newest = unfinished.iter().filter_map(|(uid, begun)| Some((uid, &begun.last()?.1)));
        let begun = newest.filter(|(_, made)| !is_way(&made.node.key));
        let all = begun.chain(made);
        Ok(all.filter_map(|(uid, made)| Some((uid.clone(), driver(made)?))).collect())
    }

    /// A plugin that documents name, of the kind that is needed.
    pub(crate) async fn plugin(
        &self,
        name: &Name,
        kind: PluginKind,
    ) -> Result<PluginInfo, EngineError> {
        let info: Option<PluginInfo> =
            get(&*self.ports.store, PLUGINS, name.as_str().as_bytes()).await?;
        match info {
            Some(info) if info.kind == kind => Ok(info),
            Some(info) => Err(EngineError::invalid(
                format!("plugin {name}"),
                format!("is a {}, and a {kind} is needed", info.kind),
            )),
            None => Err(EngineError::not_found(format!("plugin {name}"))),
        }
    }

    /// Asks each driver what it would do, in the order of the graph, so that
    /// outputs which are known already are known to what comes after.
    async fn plan_resources(
        &self,
        plan: &mut Plan,
        set: &DeploymentSet,
        state: &EnvironmentState,
        deployment: &str,
    ) -> Result<BTreeMap<Uid, Value>, EngineError> {
        let mut problems = Vec::new();
        let mut outputs: BTreeMap<Uid, Value> = BTreeMap::new();
        let order = graph::order(&plan.graph)
            .map_err(|cycle| EngineError::invalid("resources", cycle.join(" -> ")))?;
        for uid in order {
            let Some(node) = plan.graph.nodes.get(&uid) else { continue };
            let driver = match &node.provider {
                Provider::Driver(driver) => driver,
                Provider::Lender(lender) => {
                    match self.borrow(node, lender).await {
                        Ok((borrowed, provisioned)) => {
                            outputs.insert(uid.clone(), provisioned.outputs);
                            plan.borrowed.insert(uid, borrowed);
                        }
                        Err(EngineError::Invalid { problems: found }) => problems.extend(found),
                        Err(error) => return Err(error),
                    }
                    continue;
                }
            };
            let info = match self.plugin(driver, PluginKind::Driver).await {
                Ok(info) => info,
                // It says nothing of the plugin: the step is tried again.
                Err(error @ EngineError::Store(_)) => return Err(error),
                Err(error) => {
                    problems.push(Problem::new(
                        format!("resource definition {}", node.definition),
                        error.to_string(),
                    ));
                    continue;
                }
            };
            let before: Option<Provisioned> = match state.resources.get(&uid) {
                Some(active) => {
                    Some(content(&*self.ports.store, "resource", active.provisioned).await?)
                }
                None => None,
            };
            let request = {
                let context = context(plan, &outputs, Missing::Preview);
                request(&context, set, &uid, before.as_ref(), "")
            };
            let request = match request {
                Ok(request) => request,
                Err(fault) => {
                    problems.push(Problem::new(node.key.to_string(), fault.message));
                    continue;
                }
            };
            match self.need(&info.plugin).await {
                Ok(()) => {}
                Err(EngineError::Fault(fault)) if !fault.is_transient() => {
                    problems.push(Problem::new(node.key.to_string(), fault.message));
                    continue;
                }
                Err(error) => return Err(error),
            }
            let scope = scope(plan, deployment);
            let log = CallLog::default();
            let call = Call { plugin: &info.plugin, scope: &scope, log: &log };
            let (action, summary, known) = match self.ports.drivers.plan(call, &request).await {
                Ok(planned) => (planned.action, planned.summary, planned.outputs),
                // Nothing is wrong with what was asked for: the step is tried again.
                Err(fault) if fault.is_transient() => {
                    return Err(fault.with_reason(&node.key).into());
                }
                Err(fault) => {
                    problems.push(Problem::new(node.key.to_string(), fault.message));
                    (DriverAction::None, Vec::new(), Value::Null)
                }
            };
            // What is there already is known better than what a driver foresees.
            outputs.insert(uid.clone(), before.map_or(known, |before| before.outputs));
            let effect = info.effect;
            plan.resources
                .insert(uid, PlannedResource { driver: info.plugin, effect, action, summary });
        }
        if problems.is_empty() { Ok(outputs) } else { Err(EngineError::Invalid { problems }) }
    }

    /// Manifests as far as they are known, and how they differ from what was
    /// applied last.
    pub(crate) async fn preview(
        &self,
        planned: &Planned,
        set: &DeploymentSet,
        state: &EnvironmentState,
    ) -> Result<Preview, EngineError> {
        let store = &*self.ports.store;
        let Planned { plan, outputs, objects, .. } = planned;
        let mut there = Vec::new();
        for uid in plan.graph.nodes.keys() {
            let Some(active) = state.resources.get(uid) else { continue };
            let provisioned: Provisioned = content(store, "resource", active.provisioned).await?;
            let owner = ObjectOwner::Resource(uid.clone());
            there.extend(
                provisioned
                    .manifests
                    .into_iter()
                    .map(|object| Manifest { owner: owner.clone(), object }),
            );
        }
        let log = CallLog::default();
        let input = self.render_input(plan, set, outputs, Missing::Preview, objects).await?;
        let scope = scope(plan, "");
        let templater = &templater_of(plan)?.plugin;
        self.need(templater).await?;
        let call = Call { plugin: templater, scope: &scope, log: &log };
        // The rest of the plan is worth seeing without it, and what is wrong.
        let (rendered, problem) = match self.ports.templaters.render(call, &input).await {
            Ok(rendered) => (owned(set, rendered), None),
            Err(fault) => (Vec::new(), Some(fault)),
        };
        let namespace = namespace(plan, outputs, Missing::Preview)?;
        let mut manifests = Manifests { namespace, objects: there, ..Manifests::default() };
        manifests.objects.extend(rendered);
        // What is wrong with one is said where it is rendered, too.
        let (manifests, problem) = match jobs::split(manifests) {
            Ok(manifests) => (manifests, problem),
            Err(error) => {
                let fault = Fault::invalid("job-invalid", error.to_string());
                (Manifests::default(), Some(fault))
            }
        };
        let before: Manifests = match &state.deployed {
            Some(deployed) => content(store, "manifests", deployed.manifests).await?,
            None => Manifests::default(),
        };
        // Without the templater everything else would seem to go away.
        let changes = if problem.is_none() { changes(&before, &manifests) } else { Vec::new() };
        let workloads = plan.workloads.iter().map(|workload| workload.name.as_str());
        let jobs = jobs::foreseen(&manifests, workloads);
        let pull = plan.pull.as_ref().map(|git| pull::preview(git, plan, &manifests));
        Ok(Preview { manifests, changes, problem, jobs, pull, ..Preview::default() })
    }

    /// The templater's objects for a set.
    pub(crate) async fn render(
        &self,
        plan: &Plan,
        set: &DeploymentSet,
        outputs: &BTreeMap<Uid, Value>,
        missing: Missing,
        scope: &Scope,
        log: &CallLog,
    ) -> Result<Manifests, EngineError> {
        let input = self.render_input(plan, set, outputs, missing, &[]).await?;
        let templater = &templater_of(plan)?.plugin;
        self.need(templater).await?;
        let call = Call { plugin: templater, scope, log };
        let rendered = self.ports.templaters.render(call, &input).await?;
        let namespace = namespace(plan, outputs, missing)?;
        Ok(Manifests { namespace, objects: owned(set, rendered), ..Manifests::default() })
    }

    /// What the templater gets. What the plan names may be stored, or, of a plan
    /// that is only shown, be at hand.
    async fn render_input(
        &self,
        plan: &Plan,
        set: &DeploymentSet,
        outputs: &BTreeMap<Uid, Value>,
        missing: Missing,
        at_hand: &[Object],
    ) -> Result<RenderInput, EngineError> {
        let context = context(plan, outputs, missing);
        let mut workloads = Vec::with_capacity(set.workloads.len());
        for (name, workload) in &set.workloads {
            workloads.push(resolve::workload(&context, name, workload)?);
        }
        let namespace = namespace(plan, outputs, missing)?;
        let templater = templater_of(plan)?;
        let baseline = match templater.baseline {
            Some(digest) => {
                // Without it other manifests would be made, and nobody be told.
                let known = at_hand.iter().find(|object| object.digest == digest);
                let bytes = match known {
                    Some(object) => Some(object.bytes.clone()),
                    None => self.ports.store.object(digest).await?,
                };
                let bytes = bytes.ok_or_else(|| {
                    EngineError::not_found(format!("baseline {digest} of the templater"))
                })?;
                String::from_utf8(bytes).map_err(EngineError::bug)?
            }
            None => String::new(),
        };
        Ok(RenderInput {
            workloads,
            values: json!(plan.values),
            baseline,
            config: templater.config.clone(),
            target: json!({"namespace": namespace}),
        })
    }
}

/// The templater of a plan that renders something.
fn templater_of(plan: &Plan) -> Result<&PlannedTemplater, EngineError> {
    plan.templater.as_ref().ok_or_else(|| EngineError::bug("a plan without a templater"))
}

/// A templater's objects, and whose they are.
fn owned(set: &DeploymentSet, rendered: Vec<Value>) -> Vec<Manifest> {
    rendered.into_iter().map(|object| Manifest { owner: owner(set, &object), object }).collect()
}

/// Whose an object of a templater is: the workload that its label names.
fn owner(set: &DeploymentSet, object: &Value) -> ObjectOwner {
    match object.pointer("/metadata/labels/deployd.dev~1workload").and_then(Value::as_str) {
        Some(name) if set.workloads.contains_key(name) => ObjectOwner::Workload(name.to_owned()),
        _ => ObjectOwner::Environment,
    }
}

/// The namespace that the environment's `k8s-namespace` resource names.
pub(crate) fn namespace(
    plan: &Plan,
    outputs: &BTreeMap<Uid, Value>,
    missing: Missing,
) -> Result<String, EngineError> {
    let uid = graph::ResourceKey::of_environment(graph::NAMESPACE).uid(&plan.environment);
    let name = outputs.get(&uid).and_then(|outputs| outputs.get("name")).and_then(Value::as_str);
    match (name, missing) {
        (Some(name), _) => Ok(name.to_owned()),
        (None, Missing::Preview) => Ok(resolve::known_later("resources.k8s-namespace.name")),
        (None, Missing::Fault) => Err(EngineError::invalid(
            "k8s-namespace#environment",
            "its driver returned no output `name`, which has to be the namespace",
        )),
    }
}

/// What placeholders of a plan refer to.
pub(crate) fn context<'a>(
    plan: &'a Plan,
    outputs: &'a BTreeMap<Uid, Value>,
    missing: Missing,
) -> Context<'a> {
    Context {
        environment: &plan.environment,
        environment_type: &plan.environment_type,
        values: &plan.values,
        graph: &plan.graph,
        outputs,
        missing,
    }
}

/// Where calls of a plan belong.
pub(crate) fn scope(plan: &Plan, deployment: &str) -> Scope {
    Scope {
        application: plan.environment.application.to_string(),
        environment: plan.environment.environment.to_string(),
        environment_type: plan.environment_type.to_string(),
        deployment: deployment.to_owned(),
    }
}

/// What a driver is asked about a resource.
pub(crate) fn request(
    context: &Context<'_>,
    set: &DeploymentSet,
    uid: &Uid,
    before: Option<&Provisioned>,
    idempotency_key: &str,
) -> Result<DriverRequest, deployd_core::Fault> {
    let Some(node) = context.graph.nodes.get(uid) else {
        return Err(deployd_core::Fault::bug("no-such-resource", format!("resource {uid}")));
    };
    let metadata = node
        .workload
        .as_ref()
        .and_then(|name| set.workloads.get(name))
        .map_or(Value::Null, resolve::metadata_of);
    let (params, inputs) = resolve::resource(context, node, &metadata)?;
    Ok(DriverRequest {
        uid: uid.0.clone(),
        resource_type: node.key.resource_type.clone(),
        class: node.key.class.clone(),
        id: node.key.id.clone(),
        params,
        inputs,
        state: before.map(|before| before.state.clone()),
        idempotency_key: idempotency_key.to_owned(),
    })
}

pub(crate) fn plugin_config(configuration: &Configuration, name: &Name) -> Value {
    configuration.plugins.get(name).map_or_else(|| json!({}), |spec| json!(spec.config))
}

/// Whether a repeat after an unknown outcome needs an operator.
pub(crate) fn is_unsafe(effect: EffectLevel) -> bool {
    effect == EffectLevel::Unsafe
}
