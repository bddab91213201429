//! One comparison: resources by their drivers, objects by their cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use deployd_core::config::GitSpec;
use deployd_core::deployment::{ActiveResource, Deployed, EnvironmentState, Shared};
use deployd_core::drift::{Check, Compared, ObjectCheck, Subject, outputs};
use deployd_core::graph::Uid;
use deployd_core::plan::{Manifest, Manifests, ObjectOwner, Plan};
use deployd_core::ports::{Applier, Call, CallLog, Provisioned};
use deployd_core::pull;
use deployd_core::resolve::Missing;
use deployd_core::set::DeploymentSet;
use deployd_core::{Fault, Timestamp};
use futures::stream::{self, StreamExt};
use serde_json::Value;

use crate::effects::{Contents, Way, objects};
use crate::environments::EnvironmentEntry;
use crate::planner::{context, request, scope};
use crate::records::content;
use crate::{EngineError, Inner};

/// Resources of one environment that are observed at a time: their drivers may
/// all ask the same server.
const OBSERVED_AT_ONCE: usize = 4;

/// The longest that observing one resource may take. A driver asks a server a
/// question or two.
const OBSERVE_MAX: Duration = Duration::from_secs(60);

/// The longest that observing all resources of an environment may take: behind a
/// server that hangs, each of them would take its own time, four by four.
const OBSERVE_ALL_MAX: Duration = Duration::from_secs(300);

/// The longest that comparing all objects of an environment may take.
const COMPARE_MAX: Duration = Duration::from_secs(300);

impl Inner {
    /// Compares all that was deployed. What can't be compared is in it too.
    pub(super) async fn compare(
        &self,
        entry: &EnvironmentEntry,
        deployed: &Deployed,
        at: Timestamp,
    ) -> Result<Vec<Compared>, EngineError> {
        let mut checked = self.observe_all(&entry.state).await;
        checked.extend(Box::pin(self.compare_objects(entry, deployed, at)).await?);
        Ok(checked)
    }

    /// Has all resources observed, as far as there is time for it.
    async fn observe_all(&self, state: &EnvironmentState) -> Vec<Compared> {
        let looks = state.resources.iter().map(|(uid, active)| async move {
            let observed = tokio::time::timeout(OBSERVE_MAX, self.observe(state, uid, active));
            let check = match observed.await {
                Ok(Ok(check)) => check,
                Ok(Err(error)) => failed(error.into_fault()),
                Err(_) => Check::Unknown(late("observing it", OBSERVE_MAX)),
            };
            (uid, check)
        });
        let looks: Vec<_> = looks.collect();
        let over = tokio::time::sleep(OBSERVE_ALL_MAX);
        let mut checks: BTreeMap<&Uid, Check> =
            stream::iter(looks).buffer_unordered(OBSERVED_AT_ONCE).take_until(over).collect().await;
        let compared = |(uid, active): (&Uid, &Shared<ActiveResource>)| {
            let check = checks.remove(uid).unwrap_or_else(|| {
                Check::Unknown(late("observing the resources of the environment", OBSERVE_ALL_MAX))
            });
            let subject = Subject::Resource { uid: uid.clone(), name: active.name.clone() };
            Compared { subject, check }
        };
        state.resources.iter().map(compared).collect()
    }

    /// Asks the driver that has made a resource, in the version that has made it.
    async fn observe(
        &self,
        state: &EnvironmentState,
        uid: &Uid,
        active: &ActiveResource,
    ) -> Result<Check, EngineError> {
        let store = &*self.ports.store;
        let plan: Plan = content(store, "plan", active.plan).await?;
        let set: DeploymentSet = content(store, "set", plan.set).await?;
        let planned = plan
            .resources
            .get(uid)
            .ok_or_else(|| EngineError::bug(format!("resource {uid} is in no plan")))?;
        let after = plan.graph.nodes.get(uid).into_iter().flat_map(|node| &node.after);
        let there = self.provisioned(state, &plan, after.chain([uid])).await?;
        let known: BTreeMap<Uid, Value> =
            there.iter().map(|(uid, made)| (uid.clone(), made.outputs.clone())).collect();
        let recorded: Provisioned = content(store, "resource", active.provisioned).await?;
        let context = context(&plan, &known, Missing::Preview);
        let request = request(&context, &set, uid, Some(&recorded), "")?;
        let (scope, log) = (scope(&plan, ""), CallLog::default());
        self.need(&planned.driver).await?;
        let call = Call { plugin: &planned.driver, scope: &scope, log: &log };
        let observed = self.ports.drivers.observe(call, &request).await?;
        Ok(Check::Compared(outputs(&recorded.outputs, observed.as_ref())))
    }

    /// Compares the objects that were deployed, and those of resources that are
    /// kept though nothing asks for them.
    async fn compare_objects(
        &self,
        entry: &EnvironmentEntry,
        deployed: &Deployed,
        at: Timestamp,
    ) -> Result<Vec<Compared>, EngineError> {
        let store = &*self.ports.store;
        let plan: Plan = content(store, "plan", deployed.plan).await?;
        let mut manifests: Manifests = content(store, "manifests", deployed.manifests).await?;
        let mut known: BTreeSet<_> = manifests.references();
        for active in entry.state.resources.values() {
            let made: Provisioned = content(store, "resource", active.provisioned).await?;
            for object in made.manifests {
                if manifests.reference(&object).is_some_and(|one| known.insert(one)) {
                    manifests.objects.push(Manifest { owner: ObjectOwner::Environment, object });
                }
            }
        }
        if manifests.objects.is_empty() {
            return Ok(Vec::new());
        }
        let mut on_branch = Vec::new();
        if let Some(git) = &plan.pull {
            on_branch = match self.compare_branch(git, &entry.state, &manifests).await {
                Ok(compared) => compared,
                Err(error) => vec![Compared {
                    subject: Subject::File { path: git.path.clone() },
                    check: Check::Unknown(error.into_fault()),
                }],
            };
        }
        let compared = async {
            let parts = match &plan.pull {
                Some(git) => by_applier(git, &manifests)?,
                None => vec![(Applier::Deployd, manifests.of(|_| true))],
            };
            let (contents, log) = (Contents::default(), CallLog::default());
            let way = Way {
                engine: self,
                state: &entry.state,
                plan: &plan,
                deployment: "",
                key: format!("drift-{}-{}", plan.environment, at.0),
                contents: &contents,
                log: &log,
            };
            // To renew the access is to ask a driver for something: not beside a
            // deployment, which may be about to take the cluster away.
            self.unchanged(&plan.environment, entry).await?;
            let mut reach = way.reach(&manifests.namespace).await?;
            let mut checks = Vec::new();
            for (applier, all) in parts.into_iter().filter(|(_, all)| !all.is_empty()) {
                let revealed = objects(&*self.ports.vault, all).await?;
                let found = loop {
                    let cluster = &self.ports.cluster;
                    match cluster.compare(&reach.target, &revealed, applier, &log).await {
                        Ok(found) => break found,
                        Err(fault) => {
                            self.unchanged(&plan.environment, entry).await?;
                            way.again(&mut reach, fault).await?;
                        }
                    }
                };
                checks.extend(found);
            }
            Ok::<_, EngineError>(checks)
        };
        let fault = match tokio::time::timeout(COMPARE_MAX, compared).await {
            Ok(Ok(checks)) => {
                on_branch.extend(checks.into_iter().map(of_object));
                return Ok(on_branch);
            }
            Ok(Err(error)) => error.into_fault(),
            Err(_) => late("comparing the objects", COMPARE_MAX),
        };
        // Each of them is unknown: a cluster that is away has no drift, and is not
        // well either.
        let unknown = |object| Compared {
            subject: Subject::Object(object),
            check: Check::Unknown(fault.clone()),
        };
        on_branch.extend(known.into_iter().map(unknown));
        Ok(on_branch)
    }
}

/// All objects: as they are committed, and as deployd applies those that can't be.
fn by_applier(
    git: &GitSpec,
    manifests: &Manifests,
) -> Result<Vec<(Applier, Vec<Value>)>, EngineError> {
    let files = pull::paths(&git.path, &manifests.namespace, manifests.objects.iter())
        .map_err(|error| Fault::invalid("git-path-invalid", error.to_string()))?;
    let direct = manifests.direct().map(|manifest| manifest.object.clone());
    let (pulled, direct) = (files.into_values().collect(), direct.collect());
    Ok(vec![(Applier::Puller, pulled), (Applier::Deployd, direct)])
}

fn of_object(ObjectCheck { object, drift }: ObjectCheck) -> Compared {
    let check = match drift {
        Ok(drift) => Check::Compared(drift),
        Err(fault) => Check::Unknown(fault),
    };
    Compared { subject: Subject::Object(object), check }
}

/// The code of the fault of a plugin that can't do what it was asked.
const UNSUPPORTED: &str = "plugin-unsupported";

fn failed(fault: Fault) -> Check {
    if fault.code == UNSUPPORTED { Check::Unsupported } else { Check::Unknown(fault) }
}

fn late(what: &str, limit: Duration) -> Fault {
    Fault::transient("check-timeout", format!("{what} took longer than {} s", limit.as_secs()))
}
