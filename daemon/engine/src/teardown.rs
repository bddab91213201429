//! Takes environments away: a deployment of nothing, which leaves nothing but
//! what happened.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use deployd_core::calendar::Errand;
use deployd_core::config::{DocumentKey, DocumentKind, WhenUnused};
use deployd_core::deployment::projection::BY_ENVIRONMENT;
use deployd_core::deployment::{
    DeploymentRecord, EnvironmentState, Mode, Origin, Request, Schedule, Teardown,
};
use deployd_core::graph::{self, CLUSTER, NAMESPACE, ResourceGraph, ResourceKey, Uid};
use deployd_core::journal::StreamId;
use deployd_core::plan::{
    Manifests, PLAN_VERSION, Plan, Preview, UnfinishedResource, UnusedResource, changes,
};
use deployd_core::ports::{Batch, Order, Provisioned};
use deployd_core::seeded::{Bug, seeded};
use deployd_core::set::DeploymentSet;
use deployd_core::views::{PlanView, StoredDocument, TeardownRequest};
use deployd_core::{Actor, DeploymentId, Digest, EnvironmentId, Fault, Name, Timestamp};

use crate::configuration::{Configuration, removed_document};
use crate::drift;
use crate::environments::EnvironmentEntry;
use crate::error::Problem;
use crate::expiry::is_at_rest;
use crate::journal::StoreOrEngine;
use crate::planner::Planned;
use crate::records::{
    DOCUMENTS, below, content, decode, document_key, get, head_of_deployment, object,
};
use crate::resources::Made;
use crate::{Caller, Engine, EngineError, Inner};

/// How many deployments are looked at to find the last one that had a plan.
/// Those that have none never changed anything.
const LOOK_BACK: usize = 50;

impl Engine {
    /// What taking an environment away would do. Nothing is stored and nothing
    /// is done.
    pub async fn plan_teardown(
        &self,
        id: &EnvironmentId,
        teardown: &Teardown,
    ) -> Result<PlanView, EngineError> {
        let entry = self.inner.environment(id).await?;
        let planned = self.inner.teardown_plan(id, &entry.state, teardown).await?;
        let before: Manifests = match entry.state.applied.last() {
            Some(last) => content(&*self.inner.ports.store, "manifests", *last).await?,
            None => Manifests::default(),
        };
        let kept = self.inner.objects_of_kept(&planned.plan, &entry.state, &before).await?;
        let changes = changes(&before, &kept);
        let digest = Digest::of_json(&planned.plan).map_err(EngineError::bug)?;
        Ok(PlanView {
            digest,
            plan: planned.plan,
            preview: Preview { changes, ..Preview::default() },
            calendar: self.inner.calendar_says(id, Errand::Deployment).await?,
        })
    }

    /// Accepts that an environment is taken away. When this returns, it is on
    /// stable storage, and nothing more is deployed there.
    pub async fn teardown(
        &self,
        caller: &Caller,
        id: &EnvironmentId,
        request: TeardownRequest,
    ) -> Result<DeploymentRecord, EngineError> {
        if let Some(answer) = self.inner.asked_before(caller).await? {
            return Ok(answer);
        }
        let entry = self.inner.environment(id).await?;
        // What is wrong with what was asked for is told at once.
        let TeardownRequest { keep, comment, expected_plan } = request;
        let teardown = Teardown { keep };
        self.inner.teardown_plan(id, &entry.state, &teardown).await?;
        let wanted = Request {
            set: Digest::of_json(&nothing(id)).map_err(EngineError::bug)?,
            mode: Mode::Manual,
            origin: Origin::Request,
            comment,
            expected_plan,
            confirm_replace: false,
            teardown: Some(teardown),
            schedule: Schedule::default(),
        };
        self.inner.accept(caller, id, wanted, object(&nothing(id))?).await
    }
}

/// The set of an environment that is to have nothing.
fn nothing(id: &EnvironmentId) -> DeploymentSet {
    DeploymentSet {
        application: id.application.clone(),
        workloads: BTreeMap::new(),
        resources: BTreeMap::new(),
    }
}

impl Inner {
    /// Accepts that an environment whose time is over is taken away; none when
    /// somebody has come to use it, or wants it for longer, since that was seen.
    pub(crate) async fn expire(
        self: &Arc<Self>,
        id: &EnvironmentId,
        over: Timestamp,
    ) -> Result<Option<DeploymentRecord>, EngineError> {
        let wanted = Request {
            set: Digest::of_json(&nothing(id)).map_err(EngineError::bug)?,
            mode: Mode::Manual,
            origin: Origin::Expired { at: over },
            comment: None,
            expected_plan: None,
            confirm_replace: false,
            teardown: Some(Teardown::default()),
            schedule: Schedule::default(),
        };
        let caller = Caller::new(Actor::deployd());
        let set = object(&nothing(id))?;
        let still_over = |entry: &EnvironmentEntry, configuration: &Configuration| {
            is_at_rest(&entry.state) && configuration.ends(id, &entry.state) == Some(over)
        };
        self.accept_if(&caller, id, wanted, set, Some(&still_over)).await
    }

    /// The plan of taking an environment away: what goes in which order, and
    /// what stays.
    pub(crate) async fn teardown_plan(
        &self,
        id: &EnvironmentId,
        state: &EnvironmentState,
        teardown: &Teardown,
    ) -> Result<Planned, EngineError> {
        let mut going = Going::of(self.made(state).await?, self.unfinished(state).await?);
        let last = match self.last_plan(id, state).await? {
            Some(digest) => Some(content::<Plan>(&*self.ports.store, "plan", digest).await?),
            None => None,
        };
        let configuration = self.configuration().await?;
        let environment_type = match (configuration.environments.get(id), &last) {
            (Some(spec), _) => spec.environment_type.clone(),
            (None, Some(plan)) if is_something(state) => plan.environment_type.clone(),
            _ => return Err(EngineError::not_found(format!("environment {id}"))),
        };
        let kept = self.kept(id, state, &mut going, teardown).await?;
        let unused = self.in_order_of_going(id, going, &kept).await?;
        let set = nothing(id);
        let set_object = object(&set)?;
        let previous = self.previous(state, &set).await?;
        // Where objects are: what is borrowed to get there stays borrowed
        // until they are gone.
        let ways = [CLUSTER, NAMESPACE].map(|kind| ResourceKey::of_environment(kind).uid(id));
        // Where its files are.
        let pull = last.as_ref().and_then(|plan| plan.pull.clone());
        let mut borrowed = last.map(|plan| plan.borrowed).unwrap_or_default();
        borrowed.retain(|uid, _| ways.contains(uid));
        let plan = Plan {
            version: PLAN_VERSION,
            environment: id.clone(),
            environment_type,
            set: set_object.digest,
            previous,
            workloads: Vec::new(),
            graph: ResourceGraph::default(),
            resources: BTreeMap::new(),
            borrowed,
            unused,
            values: BTreeMap::new(),
            templater: None,
            strategy: None,
            checks: BTreeMap::new(),
            policies: Vec::new(),
            take_over_fields: false,
            gates: Vec::new(),
            teardown: true,
            pinned: None,
            pull,
        };
        Ok(Planned { plan, objects: vec![set_object], outputs: BTreeMap::new(), basis: None })
    }

    /// The plan by which something was last changed here.
    pub(crate) async fn last_plan(
        &self,
        id: &EnvironmentId,
        state: &EnvironmentState,
    ) -> Result<Option<Digest>, EngineError> {
        if let Some(deployed) = &state.deployed {
            return Ok(Some(deployed.plan));
        }
        if let Some(newest) = state.resources.values().max_by_key(|resource| resource.at) {
            return Ok(Some(newest.plan));
        }
        let store = &*self.ports.store;
        let all = below(&[&id.to_string()]);
        let page = store.scan(BY_ENVIRONMENT, all, Order::Descending, LOOK_BACK).await?;
        for (_, bytes) in &page.entries {
            let deployment: DeploymentId = decode("deployment id", bytes)?;
            let record = head_of_deployment(store, &deployment).await?;
            if let Some(plan) = record.work.and_then(|work| work.plan) {
                return Ok(Some(plan));
            }
        }
        Ok(None)
    }

    /// What stays: what was asked to, and what that needs. What was begun can be
    /// left by itself: then it goes with nobody, and needs nothing.
    async fn kept(
        &self,
        id: &EnvironmentId,
        state: &EnvironmentState,
        going: &mut Going,
        teardown: &Teardown,
    ) -> Result<BTreeSet<Uid>, EngineError> {
        let mut open = Vec::new();
        let mut problems = Vec::new();
        let mut left = BTreeSet::new();
        for wanted in &teardown.keep {
            if going.leave(wanted, &mut left) {
                continue;
            }
            let made = &going.made;
            let is_meant = |made: &Made| {
                made.node.key.resource_type == *wanted || made.node.key.to_string() == *wanted
            };
            let found: Vec<&Uid> =
                made.iter().filter(|(_, made)| is_meant(made)).map(|(uid, _)| uid).collect();
            if found.is_empty() {
                let begun = going.unfinished.values().flatten().map(|one| one.name.clone());
                let known: BTreeSet<String> =
                    made.values().map(|made| made.node.key.to_string()).chain(begun).collect();
                let known: Vec<String> = known.into_iter().collect();
                let message = format!(
                    "found {wanted:?}, expected the type or the name of a resource that is there: {}",
                    known.join(", ")
                );
                problems.push(Problem::new("keep", message));
            }
            open.extend(found.into_iter().cloned());
        }
        if !problems.is_empty() {
            return Err(EngineError::Invalid { problems });
        }
        let mut kept = BTreeSet::new();
        while let Some(uid) = open.pop() {
            let Some(one) = going.made.get(&uid) else { continue };
            if !kept.insert(uid.clone()) {
                continue;
            }
            open.extend(one.node.after.iter().cloned());
            if let Some(active) = state.resources.get(&uid) {
                let there: Provisioned =
                    content(&*self.ports.store, "resource", active.provisioned).await?;
                if !there.manifests.is_empty() {
                    let ways = [CLUSTER, NAMESPACE];
                    open.extend(ways.map(|kind| ResourceKey::of_environment(kind).uid(id)));
                }
            }
        }
        kept.extend(left);
        Ok(kept)
    }

    /// All resources, each after those that need it. Nothing is planned that
    /// would take away what others use.
    async fn in_order_of_going(
        &self,
        id: &EnvironmentId,
        going: Going,
        kept: &BTreeSet<Uid>,
    ) -> Result<Vec<UnusedResource>, EngineError> {
        let Going { made, mut unfinished, only_unfinished } = going;
        let needs = needs(id, &made);
        let mut order = graph::dependents_first(&needs);
        if seeded(Bug::UndoneInForwardOrder) {
            order.reverse();
        }
        let mut gone_before = graph::gone_before(&order, &needs);
        let mut lent = if made.is_empty() { BTreeMap::new() } else { self.loans(id).await? };
        lent.retain(|uid, _| made.contains_key(uid) && !kept.contains(uid));
        if !lent.is_empty() {
            let lines: Vec<String> = lent
                .iter()
                .filter_map(|(uid, users)| {
                    let users: Vec<String> = users.iter().map(ToString::to_string).collect();
                    Some(format!("{} by {}", made.get(uid)?.node.key, users.join(", ")))
                })
                .collect();
            let message = format!(
                "others use resources of {id}: {}; delete these environments first, or keep the resources",
                lines.join("; ")
            );
            return Err(Fault::conflict("resource-lent", message).into());
        }
        let unused = order.into_iter().filter_map(|uid| {
            let one = made.get(&uid)?;
            let goes = !kept.contains(&uid);
            Some(UnusedResource {
                key: one.node.key.clone(),
                when_unused: if goes { WhenUnused::Destroy } else { WhenUnused::Keep },
                lent_to: BTreeSet::new(),
                effect: one.effect,
                gone_before: gone_before.remove(&uid).unwrap_or_default(),
                replaced_by: None,
                unfinished: unfinished.remove(&uid).unwrap_or_default(),
                only_unfinished: only_unfinished.contains(&uid),
                uid,
            })
        });
        Ok(unused.collect())
    }

    /// Objects that resources keep, in the namespace of those that were applied.
    async fn objects_of_kept(
        &self,
        plan: &Plan,
        state: &EnvironmentState,
        applied: &Manifests,
    ) -> Result<Manifests, EngineError> {
        let mut kept = Manifests { namespace: applied.namespace.clone(), ..Manifests::default() };
        for unused in plan.unused.iter().filter(|one| one.when_unused == WhenUnused::Keep) {
            let of_it = deployd_core::plan::ObjectOwner::Resource(unused.uid.clone());
            if state.resources.contains_key(&unused.uid) {
                let objects = applied.objects.iter().filter(|object| object.owner == of_it);
                kept.objects.extend(objects.cloned());
            }
        }
        Ok(kept)
    }

    /// Adds to the batch that ends a teardown that the environment's document
    /// is gone, too: nobody sees one without the other. So is what was found of
    /// drift: the next environment of the name has nothing to do with it.
    pub(crate) async fn forget_environment(
        &self,
        id: &EnvironmentId,
        mut batch: Batch,
    ) -> Result<Batch, EngineError> {
        batch.puts.push(drift::forgotten(id));
        let key = DocumentKey {
            kind: DocumentKind::Environment,
            application: Some(id.application.clone()),
            name: id.environment.clone(),
        };
        // Before the document: whoever changes it appends here.
        let head = self.ports.store.head(&StreamId::configuration()).await?;
        let stored: Option<StoredDocument> =
            get(&*self.ports.store, DOCUMENTS, &document_key(&key)).await?;
        match stored {
            Some(stored) => {
                let at = self.ports.clock.now();
                removed_document(head.version, at, &Caller::new(Actor::deployd()), &stored, batch)
            }
            // Whoever takes away what was kept has no document any more.
            None => Ok(batch),
        }
    }

    /// Refuses a change of the document of an environment that is being taken
    /// away: it would go with it.
    pub(crate) async fn not_while_torn_down(
        &self,
        application: &Name,
        environment: &Name,
    ) -> Result<(), StoreOrEngine> {
        let id =
            EnvironmentId { application: application.clone(), environment: environment.clone() };
        match self.environment(&id).await?.state.teardown() {
            Some(teardown) => {
                let message = format!(
                    "deployment {teardown} takes environment {id} away; apply it again once that has ended"
                );
                Err(EngineError::Conflict { message }.into())
            }
            None => Ok(()),
        }
    }
}

/// What an environment has that could go.
struct Going {
    /// By whom each was made, and what it needs.
    made: BTreeMap<Uid, Made>,
    /// What was begun of each and never finished.
    unfinished: BTreeMap<Uid, Vec<UnfinishedResource>>,
    /// Those of which nothing else is there.
    only_unfinished: BTreeSet<Uid>,
}

impl Going {
    fn of(
        mut made: BTreeMap<Uid, Made>,
        begun: BTreeMap<Uid, Vec<(UnfinishedResource, Made)>>,
    ) -> Self {
        let mut unfinished = BTreeMap::new();
        let mut only_unfinished = BTreeSet::new();
        for (uid, begun) in begun {
            let mut all = Vec::with_capacity(begun.len());
            for (one, by) in begun {
                match made.get_mut(&uid) {
                    // What it needs goes after all of it.
                    Some(known) => known.node.after.extend(by.node.after),
                    None => {
                        only_unfinished.insert(uid.clone());
                        made.insert(uid.clone(), by);
                    }
                }
                all.push(one);
            }
            unfinished.insert(uid, all);
        }
        Self { made, unfinished, only_unfinished }
    }

    /// Leaves what was begun under a name; whether there is any. Adds resources
    /// of which nothing goes then.
    fn leave(&mut self, name: &str, left: &mut BTreeSet<Uid>) -> bool {
        let found = self.unfinished.iter().find(|(_, all)| all.iter().any(|one| one.name == name));
        let Some(uid) = found.map(|(uid, _)| uid.clone()) else { return false };
        if let Some(all) = self.unfinished.get_mut(&uid) {
            all.retain(|one| one.name != name);
            if all.is_empty() && self.only_unfinished.contains(&uid) {
                left.insert(uid);
            }
        }
        true
    }
}

/// Whether there is anything to take away.
fn is_something(state: &EnvironmentState) -> bool {
    state.deployed.is_some()
        || !state.resources.is_empty()
        || !state.begun.is_empty()
        || !state.applied.is_empty()
}

/// What each needs: what its plan says, and what leads to its objects. The
/// cluster goes last, the namespace before it.
fn needs(id: &EnvironmentId, made: &BTreeMap<Uid, Made>) -> BTreeMap<Uid, BTreeSet<Uid>> {
    let there = |uid: &Uid| made.contains_key(uid);
    let mut needs: BTreeMap<Uid, BTreeSet<Uid>> = made
        .iter()
        .map(|(uid, one)| {
            (uid.clone(), one.node.after.iter().filter(|n| there(n)).cloned().collect())
        })
        .collect();
    // The cluster first: then the namespace is among those that need it, whether
    // its definition says so or not, and the cluster can't come to need it.
    for kind in [CLUSTER, NAMESPACE] {
        let way = ResourceKey::of_environment(kind).uid(id);
        if !there(&way) {
            continue;
        }
        // What it needs itself can't wait for it.
        let mut its = BTreeSet::from([way.clone()]);
        let mut open = vec![way.clone()];
        while let Some(uid) = open.pop() {
            let more = needs.get(&uid).cloned().unwrap_or_default();
            open.extend(more.into_iter().filter(|uid| its.insert(uid.clone())));
        }
        for (uid, needed) in &mut needs {
            if !its.contains(uid) {
                needed.insert(way.clone());
            }
        }
    }
    needs
}
