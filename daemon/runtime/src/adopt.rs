//! `deployd adopt`: renders what is proposed for objects that run already, with the
//! shipped plugins and without a daemon, and compares it with these.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;
use deployd_cli::adopt::{Proposal, conclude, propose};
use deployd_cli::args::AdoptArgs;
use deployd_cli::{Globals, Output, tell};
use deployd_core::adopt::check;
use deployd_core::config::{PluginKind, Provider};
use deployd_core::graph::{self, GraphInput, NAMESPACE, ResourceKey, Uid};
use deployd_core::ports::{
    Call, CallLog, DriverRequest, Drivers as _, Progress, Recipe, RenderInput, Scope,
    Templaters as _, Vault, VaultError,
};
use deployd_core::resolve::{self, Missing};
use deployd_core::secret::{SecretRef, SecretValue};
use deployd_core::set::DeploymentSet;
use deployd_core::{Fault, Name};
use serde_json::{Value, json};

use crate::offline::Offline;

/// The driver whose manifests are rendered. That of the cluster renders none, and would
/// ask for what only the daemon has.
const DRIVER: &str = "template";

/// Proposes, renders, compares, and tells what came of it.
pub(crate) async fn run(globals: &Globals, args: &AdoptArgs) -> anyhow::Result<ExitCode> {
    let mut output = Output::standard(globals);
    let done = match propose(args, &mut std::io::stdin()) {
        Ok(proposal) => {
            let rendered = rendered(&proposal).await;
            let compared = rendered
                .map(|rendered| check(&proposal.adoption, &rendered, &proposal.options))
                // What a plugin refuses is told with its reasons.
                .map_err(|error| Fault::invalid("proposal-not-rendered", format!("{error:#}")));
            let compared = compared.as_deref();
            conclude(args, &proposal, compared, &mut output)
        }
        Err(error) => Err(error),
    };
    Ok(ExitCode::from(done.unwrap_or_else(|error| {
        tell(&mut output, &error);
        error.exit_code()
    })))
}

/// All objects that the proposal comes to, as a deployment would have them.
async fn rendered(proposal: &Proposal) -> anyhow::Result<Vec<Value>> {
    let Proposal { adoption, options, .. } = proposal;
    let environment = &options.environment;
    let set = DeploymentSet {
        application: environment.application.clone(),
        workloads: adoption
            .workloads
            .iter()
            .map(|(name, workload)| (name.to_string(), workload.clone()))
            .collect(),
        resources: adoption.application.spec.resources.clone(),
    };
    let definitions: BTreeMap<Name, _> =
        adoption.definitions.iter().map(|it| (it.metadata.name.clone(), it.spec.clone())).collect();
    let values = &adoption.environment.spec.values;
    let environment_type = &adoption.environment_type.metadata.name;
    let graph = graph::build(&GraphInput {
        environment,
        environment_type,
        set: &set,
        definitions: &definitions,
        made_by: &BTreeMap::new(),
        values,
    });
    let graph = graph.map_err(|errors| {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("{}", errors.join("; "))
    })?;
    let order = graph::order(&graph).map_err(|cycle| anyhow::anyhow!("{}", cycle.join(" -> ")))?;

    let offline = Offline::with(Arc::new(Named))?;
    let mut drivers = BTreeMap::new();
    for plugin in adoption.plugins.iter().filter(|it| it.spec.kind == PluginKind::Driver) {
        if plugin.spec.source.shipped.as_deref() != Some(DRIVER) {
            continue;
        }
        let name = plugin.metadata.name.as_str();
        let loaded = offline.load_as(name, PluginKind::Driver, DRIVER, &plugin.spec.grant).await?;
        drivers.insert(plugin.metadata.name.clone(), loaded);
    }
    let templater = offline.load(PluginKind::Templater, "score-k8s").await?;

    let scope = Scope {
        application: environment.application.to_string(),
        environment: environment.environment.to_string(),
        environment_type: environment_type.to_string(),
        deployment: String::new(),
    };
    let mut outputs: BTreeMap<Uid, Value> = BTreeMap::new();
    let mut objects = Vec::new();
    for uid in order {
        let Some(node) = graph.nodes.get(&uid) else { continue };
        let Provider::Driver(name) = &node.provider else { continue };
        let Some(plugin) = drivers.get(name) else { continue };
        let context = resolve::Context {
            environment,
            environment_type,
            values,
            graph: &graph,
            outputs: &outputs,
            missing: Missing::Fault,
        };
        let workload = node.workload.as_ref().and_then(|name| set.workloads.get(name));
        let metadata = workload.map(resolve::metadata_of).unwrap_or_default();
        let (params, inputs) = resolve::resource(&context, node, &metadata)?;
        let request = DriverRequest {
            uid: uid.0.clone(),
            resource_type: node.key.resource_type.clone(),
            class: node.key.class.clone(),
            id: node.key.id.clone(),
            params,
            inputs,
            state: None,
            idempotency_key: uid.0.clone(),
        };
        let log = CallLog::default();
        let call = Call { plugin, scope: &scope, log: &log };
        let made = Box::pin(offline.host.provision(call, &request, None)).await;
        let made = made.with_context(|| format!("resource {}", node.key))?;
        let Progress::Done(made) = made else {
            anyhow::bail!("resource {}: its driver waits for something", node.key)
        };
        outputs.insert(uid, made.outputs);
        objects.extend(made.manifests);
    }
    let context = resolve::Context {
        environment,
        environment_type,
        values,
        graph: &graph,
        outputs: &outputs,
        missing: Missing::Fault,
    };
    let namespace = outputs
        .get(&ResourceKey::of_environment(NAMESPACE).uid(environment))
        .and_then(|outputs| outputs.get("name"));
    let workloads = set.workloads.iter();
    let input = RenderInput {
        workloads: workloads
            .map(|(name, workload)| resolve::workload(&context, name, workload))
            .collect::<Result<_, _>>()?,
        values: json!(values),
        baseline: adoption.environment_type.spec.templater.baseline.clone().unwrap_or_default(),
        config: json!({}),
        target: json!({"namespace": namespace}),
    };
    let log = CallLog::default();
    let call = Call { plugin: &templater, scope: &scope, log: &log };
    objects.extend(Box::pin(offline.host.render(call, &input)).await?);
    Ok(objects)
}

/// A vault that has every secret by its name, and no value of any.
struct Named;

#[async_trait]
impl Vault for Named {
    async fn get(&self, secret: &SecretRef) -> Result<SecretValue, VaultError> {
        Err(VaultError::NotFound(secret.clone()))
    }

    async fn contains(&self, _: &SecretRef) -> Result<bool, VaultError> {
        Ok(true)
    }

    async fn generate(&self, secret: &SecretRef, _: &Recipe) -> Result<(), VaultError> {
        Err(VaultError::NotFound(secret.clone()))
    }

    async fn put(&self, secret: &SecretRef, _: SecretValue) -> Result<(), VaultError> {
        Err(VaultError::NotFound(secret.clone()))
    }

    async fn list(&self, _: &str) -> Result<Vec<String>, VaultError> {
        Ok(Vec::new())
    }

    async fn remove_owner(&self, _: &str) -> Result<(), VaultError> {
        Ok(())
    }
}
