//! Where a test plays: a cluster, a namespace of its own, and a way to meddle.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use deployd_cluster::{ClusterOptions, KubeCluster, Patience};
use deployd_core::Fault;
use deployd_core::ports::{
    ApplyRequest, CallLog, Cluster, ClusterAccess, ObjectRef, Readiness, SensitiveObjects, Target,
    WorkloadFault,
};
use deployd_core::secret::SecretValue;
use deployd_practice::{Behaviour, PodMatch, Practice, PracticeOptions};
use futures::FutureExt;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::config::Kubeconfig;
use serde_json::{Value, json};

use crate::wire::Wire;

/// No test takes longer: image pulls and back-off of real clusters included.
const GUARD: Duration = Duration::from_secs(240);

/// Enough for anything that works.
pub(crate) const LONG: Duration = Duration::from_secs(120);

/// In simulated time; outages of ten minutes are tests.
const SIMULATED_GUARD: Duration = Duration::from_secs(3_600);

pub(crate) struct Stage {
    practice: Option<Practice>,
    wire: Option<Arc<Wire>>,
    kubeconfig: String,
    pub(crate) cluster: KubeCluster,
    pub(crate) target: Target,
    pub(crate) log: CallLog,
}

/// Plays on the real cluster if there is one, else on a practice cluster.
pub(crate) async fn on_a_cluster(play: impl AsyncFnOnce(&Stage)) {
    let stage = match std::env::var("DEPLOYD_TEST_KUBECONFIG") {
        Ok(file) => Stage::over(std::fs::read_to_string(file).unwrap(), None, options()).await,
        Err(_) => Stage::practice(options()).await,
    };
    stage.run(play).await;
}

/// Plays on a practice cluster: for what a real one does not do on request.
pub(crate) async fn on_the_practice_cluster(play: impl AsyncFnOnce(&Stage, &Practice)) {
    on_the_practice_cluster_with(options(), play).await;
}

pub(crate) async fn on_the_practice_cluster_with(
    options: ClusterOptions,
    play: impl AsyncFnOnce(&Stage, &Practice),
) {
    let stage = Stage::practice(options).await;
    let practice = stage.practice.clone().unwrap();
    stage.run(async |stage| play(stage, &practice).await).await;
}

/// Plays on a practice cluster in this process, over a wire that can be meddled
/// with; for tests in simulated time. The cluster's settings are the defaults:
/// nothing has to be shortened.
pub(crate) async fn on_a_simulated_cluster(play: impl AsyncFnOnce(&Stage, &Wire)) {
    on_a_simulated_cluster_with(ClusterOptions::default(), play).await;
}

pub(crate) async fn on_a_simulated_cluster_with(
    options: ClusterOptions,
    play: impl AsyncFnOnce(&Stage, &Wire),
) {
    let practice = Practice::start(PracticeOptions::default()).await.unwrap();
    let wire = Wire::to(&practice);
    let cluster = KubeCluster::over(options, wire.client());
    let stage = Stage::of(practice.kubeconfig(), Some(practice), Some(wire.clone()), cluster);
    stage.run(async |stage| play(stage, &wire).await).await;
}

/// Patience for tests: what takes minutes on purpose takes seconds.
pub(crate) fn options() -> ClusterOptions {
    ClusterOptions {
        patience: Patience {
            image_pull: Duration::from_secs(3),
            unschedulable: Duration::from_secs(3),
            configuration: Duration::from_secs(3),
            quota: Duration::from_secs(3),
            refused: Duration::from_secs(3),
            ..Patience::default()
        },
        ..ClusterOptions::default()
    }
}

impl Stage {
    /// What the cluster is reached with.
    pub(crate) fn kubeconfig(&self) -> &str {
        &self.kubeconfig
    }

    async fn practice(options: ClusterOptions) -> Self {
        let practice = Practice::start(PracticeOptions::default()).await.unwrap();
        Self::over(practice.kubeconfig(), Some(practice), options).await
    }

    async fn over(kubeconfig: String, practice: Option<Practice>, options: ClusterOptions) -> Self {
        Self::of(kubeconfig, practice, None, KubeCluster::new(options))
    }

    fn of(
        kubeconfig: String,
        practice: Option<Practice>,
        wire: Option<Arc<Wire>>,
        cluster: KubeCluster,
    ) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("deployd-test-{}-{number}", std::process::id());
        let access = ClusterAccess::Kubeconfig(SecretValue::new(kubeconfig.clone().into_bytes()));
        let target = Target { name: "stage".to_owned(), access, namespace };
        Self { practice, wire, kubeconfig, cluster, target, log: CallLog::default() }
    }

    async fn run(self, play: impl AsyncFnOnce(&Self)) {
        let namespace = vec![self.namespace_object()];
        self.apply(namespace).await.unwrap();
        let guard = if self.wire.is_some() { SIMULATED_GUARD } else { GUARD };
        let played =
            AssertUnwindSafe(tokio::time::timeout(guard, play(&self))).catch_unwind().await;
        if self.practice.is_none() {
            let _ = self.delete("v1", "Namespace", "namespaces", &self.target.namespace).await;
        }
        match played {
            Ok(Ok(())) => {}
            Ok(Err(_)) => panic!("not over after {guard:?}; log: {:#?}", self.lines()),
            Err(panic) => {
                eprintln!("log: {:#?}", self.lines().iter().rev().take(30).collect::<Vec<_>>());
                resume_unwind(panic)
            }
        }
    }

    /// The practice cluster, where there is one.
    pub(crate) fn practiced(&self) -> &Practice {
        self.practice.as_ref().unwrap()
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.target.namespace
    }

    pub(crate) fn namespace_object(&self) -> Value {
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace()}})
    }

    /// How pods of an app behave; a real cluster's do what their manifest says.
    pub(crate) fn behave(&self, app: &str, behaviour: Behaviour) {
        if let Some(practice) = &self.practice {
            practice.behaviours().set(PodMatch::any().label("app", app), behaviour);
        }
    }

    pub(crate) async fn apply(&self, objects: Vec<Value>) -> Result<Vec<ObjectRef>, Fault> {
        self.apply_with(objects, false).await
    }

    pub(crate) async fn apply_with(
        &self,
        objects: Vec<Value>,
        force: bool,
    ) -> Result<Vec<ObjectRef>, Fault> {
        let target = self.target.clone();
        let request = ApplyRequest { target, objects: SensitiveObjects::new(objects), force };
        self.cluster.apply(&request, &self.log).await
    }

    pub(crate) async fn await_ready(
        &self,
        objects: &[ObjectRef],
        limit: Duration,
    ) -> Result<Readiness, Fault> {
        let limit = u64::try_from(limit.as_millis()).unwrap();
        self.cluster.await_ready(&self.target, objects, limit, &self.log).await
    }

    /// Applies and expects all to become ready.
    pub(crate) async fn roll_out(&self, objects: Vec<Value>) -> Vec<ObjectRef> {
        let applied = self.apply(objects).await.unwrap();
        assert_eq!(self.await_ready(&applied, LONG).await, Ok(Readiness::Ready));
        applied
    }

    /// Applies and expects a failure of one object.
    pub(crate) async fn fail(&self, objects: Vec<Value>, limit: Duration) -> WorkloadFault {
        let applied = self.apply(objects).await.unwrap();
        match self.await_ready(&applied, limit).await {
            Ok(Readiness::Failed(mut faults)) => {
                assert_eq!(faults.len(), 1, "{faults:#?}");
                faults.remove(0)
            }
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn prune(&self, objects: &[ObjectRef]) -> Result<Vec<ObjectRef>, Fault> {
        self.cluster.prune(&self.target, objects, &self.log).await
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.log.take().into_iter().map(|line| line.message).collect()
    }

    /// Waits until a call has logged a line with this in it. Takes the lines.
    pub(crate) async fn until_line(&self, part: &str) {
        self.until(async || self.lines().iter().any(|line| line.contains(part))).await;
    }

    /// Waits until something is so. The guard of the whole play ends it.
    pub(crate) async fn until(&self, is_so: impl AsyncFn() -> bool) {
        // Simulated time flies: looking less often is quick enough.
        let pause = if self.wire.is_some() { 100 } else { 10 };
        let mut look = tokio::time::interval(Duration::from_millis(pause));
        while !is_so().await {
            look.tick().await;
        }
    }

    // What others do in the cluster.

    pub(crate) async fn client(&self) -> kube::Client {
        if let (Some(_), Some(practice)) = (&self.wire, &self.practice) {
            return Wire::to(practice).client();
        }
        let kubeconfig = Kubeconfig::from_yaml(&self.kubeconfig).unwrap();
        let mut config =
            kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.unwrap();
        config.proxy_url = None;
        kube::Client::try_from(config).unwrap()
    }

    pub(crate) async fn api(&self, version: &str, kind: &str, plural: &str) -> Api<DynamicObject> {
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let resource = ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version: if group.is_empty() {
                version.to_owned()
            } else {
                format!("{group}/{version}")
            },
            kind: kind.to_owned(),
            plural: plural.to_owned(),
        };
        if kind == "Namespace" || kind == "CustomResourceDefinition" {
            Api::all_with(self.client().await, &resource)
        } else {
            Api::namespaced_with(self.client().await, self.namespace(), &resource)
        }
    }

    /// The object as it is, or null.
    pub(crate) async fn get(&self, version: &str, kind: &str, plural: &str, name: &str) -> Value {
        let found = self.api(version, kind, plural).await.get_opt(name).await.unwrap();
        found.map_or(Value::Null, |object| serde_json::to_value(object).unwrap())
    }

    pub(crate) async fn delete(
        &self,
        version: &str,
        kind: &str,
        plural: &str,
        name: &str,
    ) -> Result<(), kube::Error> {
        let api = self.api(version, kind, plural).await;
        api.delete(name, &DeleteParams::default()).await.map(|_| ())
    }

    /// Applies as somebody else.
    pub(crate) async fn apply_as(&self, manager: &str, plural: &str, object: Value) {
        let version = object["apiVersion"].as_str().unwrap();
        let kind = object["kind"].as_str().unwrap();
        let api = self.api(version, kind, plural).await;
        let params = PatchParams::apply(manager).force();
        let name = object["metadata"]["name"].as_str().unwrap();
        api.patch(name, &params, &Patch::Apply(&object)).await.unwrap();
    }

    /// Changes without applying.
    pub(crate) async fn merge(
        &self,
        (version, kind, plural): (&str, &str, &str),
        name: &str,
        patch: Value,
    ) {
        let api = self.api(version, kind, plural).await;
        api.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    }
}
