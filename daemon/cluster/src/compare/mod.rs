//! How objects that were deployed differ from those that are there. Nothing is
//! changed: what is not plainly as it was applied is applied as a dry run, and the
//! API server's own answer is compared with the object as it is ([`fields`]), so
//! that defaults, webhooks and conversions look the same on both sides. What others have
//! applied that is not to be there any more is told from what they own ([`leftover`]).

mod fields;
mod hide;
mod leftover;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deployd_core::Fault;
use deployd_core::drift::{Drift, ObjectCheck};
use deployd_core::ports::{Applier, CallLog, LogLevel, ObjectRef, SensitiveObjects};
use futures::stream::{self, StreamExt};
use serde_json::Value;

use self::fields::{Sides, managers};
use self::hide::Hide;
use crate::FIELD_MANAGER;
use crate::client::Session;
use crate::discovery::Resource;
use crate::failure::Failure;
use crate::faults::{self, Doing};
use crate::fields::{is_leaving, uid};
use crate::options::ClusterOptions;
use crate::prepare::{self, Draft};
use crate::request::{Ask, with_query};
use crate::unchanged::is_as_applied;

/// How long a request of a comparison is tried again for. Nobody waits for what
/// comes of it, and there will be another.
const BUDGET: Duration = Duration::from_secs(10);

/// The place of an object among those given, how it is served, and it.
type Placed = (usize, Resource, Draft);

impl Session {
    /// See [`Cluster::compare`](deployd_core::ports::Cluster::compare).
    pub(crate) async fn compare(
        &self,
        namespace: &str,
        objects: &SensitiveObjects,
        applier: Applier,
        log: &CallLog,
    ) -> Result<Vec<ObjectCheck>, Fault> {
        let retry_budget = BUDGET.min(self.options.retry_budget);
        let options = Arc::new(ClusterOptions { retry_budget, ..(*self.options).clone() });
        let session = Self { options, ..self.clone() };
        let drafts = prepare::drafts(objects.expose())?;
        let hide = Hide::of(objects.expose());
        let mut checks: Vec<Option<ObjectCheck>> = drafts.iter().map(|_| None).collect();
        let mut done = |place: usize, check: ObjectCheck| {
            if let Some(slot) = checks.get_mut(place) {
                *slot = Some(check);
            }
        };
        let mut placed = Vec::with_capacity(drafts.len());
        for (place, draft) in drafts.into_iter().enumerate() {
            let ObjectRef { api_version, kind, .. } = &draft.reference;
            match session.resource(api_version, kind).await {
                Ok(Some(resource)) => {
                    let draft = match applier {
                        Applier::Deployd => draft.prepared(&resource, namespace),
                        Applier::Puller | Applier::Others => draft.placed(&resource, namespace),
                    };
                    placed.push((place, resource, draft));
                }
                Err(fault) if is_about_all(&fault) => return Err(fault),
                unserved => {
                    // With the definition of its kind, all objects of it have gone.
                    let drift = unserved.map(|_| vec![Drift::Missing]);
                    // Nobody says whether its kind has namespaces: it is the same
                    // object as when somebody does.
                    let mut object = draft.reference;
                    object.namespace.get_or_insert_with(|| namespace.to_owned());
                    done(place, ObjectCheck { object, drift });
                }
            }
        }
        for (place, check) in session.compare_all(placed, applier, &hide).await? {
            done(place, check);
        }
        let checks: Vec<ObjectCheck> = checks.into_iter().flatten().collect();
        let differ = checks.iter().filter(|check| check.drift.as_ref() != Ok(&Vec::new())).count();
        log.line(LogLevel::Debug, format!("{} objects compared, {differ} differ", checks.len()));
        Ok(checks)
    }

    /// Those that lists show to be as they were applied need no look of their own.
    async fn compare_all(
        &self,
        placed: Vec<Placed>,
        applier: Applier,
        hide: &Hide,
    ) -> Result<Vec<(usize, ObjectCheck)>, Fault> {
        let (places, stage): (Vec<usize>, Vec<_>) =
            placed.into_iter().map(|(place, resource, draft)| (place, (resource, draft))).unzip();
        let stages = [stage];
        let unchanged = match applier {
            Applier::Deployd => self.unchanged(&stages, &HashSet::new()).await.pop(),
            // What others have applied is found by no label of ours.
            Applier::Puller | Applier::Others => None,
        };
        let unchanged = unchanged.unwrap_or_default();
        let [stage] = stages;
        // Who can't be reached for one object is not asked about the others.
        let ended: Mutex<Option<Fault>> = Mutex::default();
        let looks =
            stage.into_iter().zip(places).enumerate().map(|(index, ((resource, draft), place))| {
                let (ended, is_unchanged) = (&ended, unchanged.contains(&index));
                async move {
                    let is_over = || ended.lock().unwrap_or_else(PoisonError::into_inner).is_some();
                    let drift = match is_unchanged || is_over() {
                        true => Ok(Vec::new()),
                        false => self.compare_one(&resource, &draft, applier, hide).await,
                    };
                    if let Err(fault) = &drift
                        && is_about_all(fault)
                    {
                        let mut ended = ended.lock().unwrap_or_else(PoisonError::into_inner);
                        ended.get_or_insert_with(|| fault.clone());
                    }
                    (place, ObjectCheck { object: draft.reference, drift })
                }
            });
        let at_a_time = self.options.parallel.max(1);
        let checks = stream::iter(looks).buffer_unordered(at_a_time).collect().await;
        match ended.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(fault) => Err(fault),
            None => Ok(checks),
        }
    }

    async fn compare_one(
        &self,
        resource: &Resource,
        draft: &Draft,
        applier: Applier,
        hide: &Hide,
    ) -> Result<Vec<Drift>, Fault> {
        let object = &draft.reference;
        let live = match self.ask::<Value>(&Ask::get(resource.item(object))).await {
            Ok(answer) => answer.body,
            Err(failure) if failure.is_not_found() => return Ok(vec![Drift::Missing]),
            Err(failure) => return Err(self.not_compared(failure, draft)),
        };
        if is_leaving(&live) {
            return Ok(vec![Drift::Missing]);
        }
        if applier == Applier::Deployd {
            if is_as_applied(&draft.object, &live) {
                return Ok(Vec::new());
            }
            let managers = managers(&live);
            if managers.ours.is_none() {
                let by = managers.names();
                return Ok(vec![Drift::Replaced { uid: uid(&live).to_owned(), by }]);
            }
        }
        let wanted = match self.rehearse(resource, draft).await {
            Ok(wanted) => wanted,
            Err(failure) if failure.is_not_found() => return Ok(vec![Drift::Missing]),
            // It could not be applied as it is: then what was asked for is
            // compared, which has no defaults that could differ.
            Err(failure) if failure.code() == Some(422) => draft.object.clone(),
            Err(failure) => return Err(self.not_compared(failure, draft)),
        };
        let drift = Sides::new(&live, &wanted, &draft.object, applier).differences();
        Ok(drift.into_iter().map(|found| hide.drift(&draft.object, found)).collect())
    }

    /// What the object would be if it was applied now, taking over what others
    /// have changed.
    async fn rehearse(&self, resource: &Resource, draft: &Draft) -> Result<Value, Failure> {
        let query = [("fieldManager", FIELD_MANAGER), ("force", "true"), ("dryRun", "All")];
        let path = with_query(&resource.item(&draft.reference), &query);
        Ok(self.ask::<Value>(&Ask::apply(path, &draft.object)).await?.body)
    }

    fn not_compared(&self, failure: Failure, draft: &Draft) -> Fault {
        let failure = match crate::scrub::Scrubber::of(&draft.object) {
            Some(scrubber) => scrubber.failure(failure),
            None => failure,
        };
        let doing =
            Doing { cluster: &self.cluster, verb: "compare", object: Some(&draft.reference) };
        faults::fault(&failure, doing)
    }
}

/// Whether a fault is about the cluster, and not about one object of it.
fn is_about_all(fault: &Fault) -> bool {
    matches!(
        fault.code.as_str(),
        "cluster-unreachable"
            | "cluster-timeout"
            | "cluster-untrusted"
            | "cluster-access-invalid"
            | "cluster-unauthorized"
    )
}
