//! Artifacts: announced, recorded, and sent where the flow says.

use std::collections::BTreeMap;

use deployd_core::announcement::Announcement;
use deployd_core::artifact::{
    ARTIFACTS_MAX, Artifact, Images, PASSED_MAX, Routed, destinations, images, route,
};
use deployd_core::deployment::{Origin, Request, Schedule, queue};
use deployd_core::journal::StreamId;
use deployd_core::ports::{Batch, Object, Order};
use deployd_core::set::DeploymentSet;
use deployd_core::views::{Announced, PassedBy, Route, Superseded};
use deployd_core::{Digest, EnvironmentId, Name};
use serde_json::json;

use crate::configuration::Configuration;
use crate::error::Problem;
use crate::journal::{Appended, StoreOrEngine, until_no_conflict};
use crate::records::{IMAGES, SCAN_MAX, SOURCES, below, decode, key, object, put};
use crate::{Caller, Counts, Engine, EngineError, Inner};

impl Engine {
    /// Records artifacts, and begins the deployments that the flow asks for.
    /// All of one request are taken together: an application whose workloads
    /// were all built gets one deployment.
    pub async fn announce(
        &self,
        caller: &Caller,
        artifacts: Vec<Artifact>,
    ) -> Result<Announced, EngineError> {
        let decided = match check(&artifacts) {
            Ok(()) => until_no_conflict(|| self.inner.try_announce(caller, &artifacts)).await,
            Err(error) => Err(error),
        };
        let announced = match decided {
            // A repeat is answered like the first, and found out only when it is
            // stored: most are no repeats. Neither is one refused by what has
            // changed since.
            Ok(announced) => announced,
            Err(error) => self.inner.replayed(caller).await?.ok_or(error)?,
        };
        // Also for a repeat: the worker may never have got its bell.
        for route in &announced.routes {
            self.inner.workers.wake(&self.inner, &route.environment);
        }
        Ok(announced)
    }
}

fn check(artifacts: &[Artifact]) -> Result<(), EngineError> {
    if artifacts.is_empty() || artifacts.len() > ARTIFACTS_MAX {
        let message = format!("found {}, expected 1 to {ARTIFACTS_MAX}", artifacts.len());
        return Err(EngineError::invalid("artifacts", message));
    }
    let problems: Vec<Problem> = artifacts
        .iter()
        .enumerate()
        .filter_map(|(n, artifact)| {
            artifact.fault().map(|message| Problem::new(format!("artifacts[{n}]"), message))
        })
        .collect();
    if problems.is_empty() { Ok(()) } else { Err(EngineError::Invalid { problems }) }
}

/// What artifacts mean for an environment.
struct Arrival<'a> {
    set: DeploymentSet,
    images: Images,
    /// The last one, which the deployment is named for; none when all are late.
    artifact: Option<&'a Artifact>,
    /// The newest of their sources from now on, by the key of the source.
    newest: BTreeMap<Vec<u8>, u64>,
    late: Vec<Superseded>,
}

impl Arrival<'_> {
    fn route(&self, environment: &EnvironmentId) -> Route {
        Route {
            environment: environment.clone(),
            deployment: None,
            waits_for: Vec::new(),
            superseded: self.late.clone(),
            quarantined: Vec::new(),
            problem: None,
        }
    }
}

/// The key of an artifact's source in an environment. A ref is any text, so its
/// digest stands for it.
fn source_key(environment: &EnvironmentId, artifact: &Artifact) -> Vec<u8> {
    let git_ref = artifact.git_ref.as_deref().unwrap_or_default();
    let source = Digest::of(format!("{}\n{git_ref}", artifact.repository).as_bytes());
    key(&[&environment.to_string(), &source.to_string()])
}

impl Inner {
    async fn try_announce(
        &self,
        caller: &Caller,
        artifacts: &[Artifact],
    ) -> Result<Announced, StoreOrEngine> {
        let configuration = self.configuration().await?;
        // Before what came last is read: whoever announces something appends
        // here.
        let mut streams = Vec::new();
        for application in applications(&configuration, artifacts) {
            let stream = StreamId::artifacts(&application);
            let version = self.version(&stream).await?;
            streams.push((application, stream, version));
        }
        let mut known = Vec::new();
        for artifact in artifacts {
            known.push(self.completed(&configuration, artifact).await?);
        }
        let artifacts: Vec<Artifact> = known.iter().map(|(whole, _)| whole.clone()).collect();
        let mut arrivals: BTreeMap<EnvironmentId, Arrival<'_>> = BTreeMap::new();
        let mut announced =
            Announced { artifacts: artifacts.clone(), routes: Vec::new(), passed: Vec::new() };
        let mut problems = Vec::new();
        for (artifact, paths) in &known {
            for (application, spec) in &configuration.applications {
                for (name, refusal) in destinations(spec, artifact, paths) {
                    let id = EnvironmentId {
                        application: application.clone(),
                        environment: name.clone(),
                    };
                    if let Some(because) = refusal {
                        let image = artifact.image();
                        announced.passed.push(PassedBy { environment: id, image, because });
                        continue;
                    }
                    let set = match configuration.set(application) {
                        Ok(set) => set,
                        Err(error) => {
                            problems.push((id, error));
                            continue;
                        }
                    };
                    let new = images(spec, &set, artifact);
                    let source = source_key(&id, artifact);
                    let arrival = arrivals.entry(id).or_insert_with(|| Arrival {
                        set,
                        images: Images::new(),
                        artifact: None,
                        newest: BTreeMap::new(),
                        late: Vec::new(),
                    });
                    // Who does not say its place is as new as its announcement.
                    let newest = match artifact.sequence {
                        Some(_) => self.newest(&arrival.newest, &source).await?,
                        None => None,
                    };
                    if artifact.is_late(newest) {
                        arrival.late.push(Superseded {
                            image: artifact.image(),
                            sequence: artifact.sequence.unwrap_or_default(),
                            newest: newest.unwrap_or_default(),
                        });
                        continue;
                    }
                    arrival.newest.extend(artifact.sequence.map(|place| (source, place)));
                    arrival.images.extend(new);
                    arrival.artifact = Some(artifact);
                }
            }
        }
        announced.passed.truncate(PASSED_MAX);
        let mut batch = Batch::default();
        let mut appended = Vec::new();
        for (id, arrival) in &arrivals {
            let arriving = Box::pin(self.arrive(caller, &configuration, id, arrival));
            match arriving.await {
                Ok((route, its, one)) => {
                    merge(&mut batch, its);
                    appended.extend(one);
                    announced.routes.push(route);
                }
                // What is wrong with one application holds up no other.
                Err(error) if is_of_application(&error) => problems.push((id.clone(), error)),
                Err(error) => return Err(error.into()),
            }
        }
        if announced.routes.is_empty()
            && let Some((_, error)) = problems.pop()
        {
            return Err(error.into());
        }
        for (environment, error) in problems {
            tracing::warn!(%environment, %error, "artifacts lead to nothing here");
            announced.routes.push(Route {
                environment,
                deployment: None,
                waits_for: Vec::new(),
                superseded: Vec::new(),
                quarantined: Vec::new(),
                problem: Some(error.to_string()),
            });
        }
        let at = self.ports.clock.now();
        for artifact in &artifacts {
            // What nobody waits for is not kept: anybody could fill the store.
            if configuration.expects(&artifact.repository) {
                let (by, artifact) = (caller.actor.clone(), artifact.clone());
                let announcement = Announcement { at, by, artifact };
                batch.puts.extend(announcement.puts().map_err(EngineError::bug)?);
            }
        }
        for (application, stream, version) in streams {
            let routes: Vec<&Route> = announced
                .routes
                .iter()
                .filter(|route| route.environment.application == application)
                .collect();
            let body =
                json!({"type": "artifacts-announced", "artifacts": artifacts, "routes": routes});
            batch = self.note(stream, version, caller, body, batch)?;
        }
        let answer = self.commit(caller, announced, batch, &appended).await?;
        for _ in &appended {
            Counts::count(&self.counts.accepted);
        }
        Ok(answer)
    }

    async fn arrive(
        &self,
        caller: &Caller,
        configuration: &Configuration,
        id: &EnvironmentId,
        arrival: &Arrival<'_>,
    ) -> Result<(Route, Batch, Option<Appended>), EngineError> {
        let mut batch = Batch::default();
        if !configuration.environments.contains_key(id) {
            return Err(EngineError::invalid(
                format!("application {}", id.application),
                format!(
                    "its flow names the environment {}, which was never applied",
                    id.environment
                ),
            ));
        }
        let Some(artifact) = arrival.artifact else {
            return Ok((arrival.route(id), batch, None));
        };
        let quarantined = self.kept_from(id, arrival.images.values()).await?;
        if !quarantined.is_empty() {
            return Ok((Route { quarantined, ..arrival.route(id) }, batch, None));
        }
        for (source, place) in &arrival.newest {
            batch.puts.push(put(SOURCES, source.clone(), place)?);
        }
        let mut known = self.images(id).await?;
        known.extend(arrival.images.clone());
        for ((workload, container), image) in &arrival.images {
            let key = key(&[&id.to_string(), workload, container]);
            batch.puts.push(put(IMAGES, key, image)?);
        }
        let routed = route(&arrival.set, &known).map_err(|error| {
            EngineError::invalid(format!("application {}", id.application), error.to_string())
        })?;
        let set = match routed {
            Routed::Deploy { set } => set,
            Routed::Held { missing } => {
                return Ok((Route { waits_for: missing, ..arrival.route(id) }, batch, None));
            }
        };
        let content: Object = object(&*set)?;
        let request = Request {
            set: content.digest,
            mode: configuration.batching(id).mode(),
            origin: Origin::Artifact {
                image: artifact.image(),
                git_ref: artifact.git_ref.clone(),
                commit: artifact.commit.clone(),
            },
            comment: None,
            expected_plan: None,
            confirm_replace: false,
            teardown: None,
            schedule: Schedule::default(),
        };
        batch.objects.push(content);
        let deployment = self.new_deployment_id();
        let entry = self.environment(id).await?;
        let events = queue(&entry.state, &deployment, request)
            .map_err(|refused| EngineError::Conflict { message: refused.to_string() })?;
        let mut one = self.prepare(id, &entry, caller, &events).await?;
        merge(&mut batch, std::mem::take(&mut one.batch));
        Ok((Route { deployment: Some(deployment), ..arrival.route(id) }, batch, Some(one)))
    }

    /// The place of the newest artifact of a source: among those that come now, or
    /// before.
    async fn newest(
        &self,
        now: &BTreeMap<Vec<u8>, u64>,
        source: &[u8],
    ) -> Result<Option<u64>, EngineError> {
        if let Some(place) = now.get(source) {
            return Ok(Some(*place));
        }
        let stored = self.ports.store.get(SOURCES, source).await?;
        stored.map(|value| decode("place of a source", &value)).transpose()
    }

    /// The latest images of an environment.
    pub(crate) async fn images(&self, id: &EnvironmentId) -> Result<Images, EngineError> {
        let range = below(&[&id.to_string()]);
        let page = self.ports.store.scan(IMAGES, range, Order::Ascending, SCAN_MAX).await?;
        let mut images = Images::new();
        for (key, value) in &page.entries {
            let text = String::from_utf8_lossy(key);
            let mut parts = text.splitn(3, '\0').skip(1);
            if let (Some(workload), Some(container)) = (parts.next(), parts.next()) {
                let place = (workload.to_owned(), container.to_owned());
                images.insert(place, decode("image", value)?);
            }
        }
        Ok(images)
    }

    pub(crate) fn new_deployment_id(&self) -> deployd_core::DeploymentId {
        let mut random = [0u8; 10];
        self.ports.random.fill(&mut random);
        deployd_core::DeploymentId::from_parts(self.ports.clock.now(), random)
    }
}

/// Applications that any of the artifacts is for.
fn applications(configuration: &Configuration, artifacts: &[Artifact]) -> Vec<Name> {
    configuration
        .applications
        .iter()
        .filter(|(_, spec)| {
            spec.artifacts
                .iter()
                .any(|rule| artifacts.iter().any(|a| a.repository == rule.repository))
        })
        .map(|(name, _)| name.clone())
        .collect()
}

/// Whether it is about an application's documents, and nothing else.
fn is_of_application(error: &EngineError) -> bool {
    matches!(
        error,
        EngineError::Invalid { .. } | EngineError::NotFound { .. } | EngineError::Conflict { .. }
    )
}

/// Adds one batch to another.
pub(crate) fn merge(batch: &mut Batch, other: Batch) {
    batch.appends.extend(other.appends);
    batch.puts.extend(other.puts);
    batch.outbox.extend(other.outbox);
    batch.objects.extend(other.objects);
}
