//! Rollouts by the shipped strategies, rehearsed in the practice cluster: hours in
//! seconds, and as the model foresees them.

use std::collections::BTreeMap;
use std::sync::Arc;

use deployd_core::config::{DRAIN_MS_DEFAULT, PluginKind, PluginSource, PluginSpec};
use deployd_core::plan::{Manifest, Manifests, ObjectOwner, PlannedStrategy, PlannedWorkload};
use deployd_core::ports::{
    Call, CallLog, PluginCatalog, PluginRef, Rehearsals, Rehearsed, Scope, Staged, Store,
    Strategies, StrategyContext,
};
use deployd_core::rehearsal::{Ending, Rehearsal, Report, Scenario, Scene, Then};
use deployd_core::rollout::checking::PlannedCheck;
use deployd_core::rollout::{Choice, STABLE, ways};
use deployd_core::{Digest, Name};
use deployd_host::{Backoff, HostOptions, PluginHost};
use deployd_store::MemoryStore;
use serde_json::{Value, from_value, json};
use tempfile::TempDir;

use super::outside::Outside;
use super::{PracticeRehearsals, objects};
use crate::audit::JournalAudit;
use crate::catalog::Catalog;
use crate::world::SystemClock;

const HOUR_MS: u64 = 3_600_000;

/// How users reach the shop.
#[derive(Clone, Copy)]
enum Front {
    Route,
    Ingress,
    Service,
}

fn front(front: Front) -> Option<Value> {
    let metadata = json!({"name": "shop", "labels": {"deployd.dev/workload": "web"}});
    match front {
        Front::Route => Some(json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": metadata,
            "spec": {"parentRefs": [{"name": "public", "namespace": "gateways"}],
                "hostnames": ["shop.test"],
                "rules": [{"backendRefs": [{"name": "web", "port": 80}]}]},
        })),
        Front::Ingress => Some(json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata,
            "spec": {"ingressClassName": "nginx", "rules": [{"host": "shop.test", "http": {
                "paths": [{"path": "/", "pathType": "Prefix",
                    "backend": {"service": {"name": "web", "port": {"number": 80}}}}]}}]},
        })),
        Front::Service => None,
    }
}

fn manifests(version: &str, reached: Front) -> Manifests {
    let labels = json!({"app": "web", "deployd.dev/track": STABLE});
    let metadata = json!({"name": "web", "labels": {"deployd.dev/workload": "web"}});
    // What pods need in earnest is nothing that a rehearsal has.
    let container = json!({
        "name": "main", "image": format!("registry.test/web:{version}"),
        "ports": [{"containerPort": 8080}],
        "envFrom": [{"secretRef": {"name": "made-by-somebody"}}],
        "resources": {"requests": {"cpu": "64"}},
    });
    let objects = [
        Some(json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata,
            "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]}})),
        Some(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
            "spec": {"replicas": 4, "selector": {"matchLabels": labels}, "minReadySeconds": 5,
                "template": {"metadata": {"labels": labels},
                    "spec": {"containers": [container], "nodeSelector": {"disk": "fast"}}}}})),
        front(reached),
    ];
    let owner = ObjectOwner::Workload("web".to_owned());
    let manifest = |object| Manifest { owner: owner.clone(), object };
    let mut objects: Vec<Manifest> = objects.into_iter().flatten().map(manifest).collect();
    let certificate = json!({"apiVersion": "cert-manager.io/v1", "kind": "Certificate",
        "metadata": {"name": "shop"}, "spec": {"dnsNames": ["(known after provisioning: x)"]}});
    objects.push(Manifest { owner: ObjectOwner::Environment, object: certificate });
    Manifests { namespace: "shop-production".to_owned(), objects, ..Manifests::default() }
}

/// The shipped strategies, in the sandbox.
struct Ground {
    host: Arc<PluginHost>,
    catalog: Catalog,
    _state: TempDir,
}

impl Ground {
    fn new() -> Self {
        let state = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let audit = JournalAudit { store: store.clone(), clock: Arc::new(SystemClock) };
        let options = HostOptions {
            state_dir: state.path().to_owned(),
            vault: Arc::new(Outside::of(objects::Prepared::default(), None)),
            audit: Arc::new(audit),
            egress: None,
            backoff: Backoff::default(),
            compiler: None,
        };
        let host = Arc::new(PluginHost::new(options).unwrap());
        let catalog = Catalog::new(host.clone(), store);
        Self { host, catalog, _state: state }
    }

    async fn staged(
        &self,
        name: &str,
        config: Value,
        scenario: Scenario,
        reached: Front,
    ) -> Staged {
        let spec = PluginSpec {
            kind: PluginKind::Strategy,
            source: PluginSource { shipped: Some(name.to_owned()), uploaded: None },
            digest: None,
            grant: Default::default(),
            config: BTreeMap::new(),
        };
        let plugin_name: Name = name.parse().unwrap();
        let loaded = self.catalog.load(&plugin_name, &spec).await;
        let plugin = loaded.expect("`cargo xtask plugins` builds what is shipped").plugin;
        let timing = json!({"initialDelayMs": 0, "intervalMs": 60_000, "count": 3,
            "failureLimit": 0, "inconclusiveLimit": 0, "errorLimit": 0, "once": false});
        let check = PlannedCheck {
            plugin: PluginRef { name: "prometheus".to_owned(), digest: Digest::of(b"p") },
            config: json!({}),
            timing: from_value(timing).unwrap(),
            pods: false,
        };
        Staged {
            environment: "shop/production".parse().unwrap(),
            environment_type: "production".parse().unwrap(),
            strategy: PlannedStrategy {
                plugin,
                config,
                traffic: Choice::Auto,
                drain_ms: DRAIN_MS_DEFAULT,
            },
            checks: BTreeMap::from([("errors".parse().unwrap(), check)]),
            workloads: vec![PlannedWorkload { name: "web".to_owned(), after: Default::default() }],
            new: manifests("2", reached),
            current: Some(manifests("1", reached)),
            scenario,
        }
    }

    async fn rehearsed(&self, staged: &Staged) -> Rehearsed {
        let rehearsals = PracticeRehearsals::new(self.host.clone());
        rehearsals.rehearse(staged.clone()).await.unwrap()
    }

    /// What the model foresees of it.
    async fn foreseen(&self, staged: &Staged) -> Report {
        let current = staged.current.as_ref();
        let ways = ways(&staged.new, current, Choice::Auto).unwrap();
        let way = &ways["web"];
        let workload = json!({
            "name": "web", "replicas": 4, "after": [], "current": current.map(|_| "before"),
            "changed": true, "recent": false, "tracks": way.no_tracks.is_none(),
            "traffic": {"way": way.via, "weights": way.weights, "headers": way.headers,
                "mirror": way.mirror},
        });
        let context = StrategyContext {
            config: staged.strategy.config.clone(),
            workloads: json!([workload]),
        };
        let names = ["web".to_owned()];
        let scene = Scene {
            workloads: &names,
            new: &staged.new,
            current,
            ways: &ways,
            checks: &staged.checks,
            drain_ms: staged.strategy.drain_ms,
        };
        let mut model = Rehearsal::new(scene, &staged.scenario);
        let (scope, log) = (Scope::default(), CallLog::default());
        let call = Call { plugin: &staged.strategy.plugin, scope: &scope, log: &log };
        let mut decision = self.host.start(call, &context).await.unwrap();
        loop {
            match model.decided(&decision, None) {
                Then::Ended(report) => return *report,
                Then::Observe(observation) => {
                    let next = self.host.next(call, &context, &decision.state, &observation);
                    decision = next.await.unwrap();
                }
            }
        }
    }
}

/// An hour with each weight, of which the first is small and can be reached.
fn hours(reached: Front) -> Value {
    let least = if matches!(reached, Front::Service) { 20 } else { 10 };
    json!({"steps": [
        {"weight": least}, {"checks": ["errors"], "for": "1h"},
        {"weight": 25}, {"checks": ["errors"], "for": "1h"},
        {"weight": 50}, {"pause": {"message": "look at it"}}, {"checks": ["errors"], "for": "1h"},
    ]})
}

fn scenario(written: Value) -> Scenario {
    let scenario: Scenario = from_value(written).unwrap();
    assert_eq!(scenario.problem(), None);
    scenario
}

async fn canary(ground: &Ground, written: Value, reached: Front) -> Report {
    let staged = ground.staged("canary", hours(reached), scenario(written), reached).await;
    ground.rehearsed(&staged).await.report
}

fn reason(report: &Report) -> (&str, u64) {
    match &report.ended {
        Ending::RolledBack { reason, decided_ms } => (reason, *decided_ms),
        other => panic!("{other:?}: {report:#?}"),
    }
}

#[tokio::test]
async fn when_all_goes_well_hours_pass_and_no_request_fails() {
    let ground = Ground::new();
    for reached in [Front::Route, Front::Ingress, Front::Service] {
        let staged = ground.staged("canary", hours(reached), Scenario::default(), reached).await;
        let Rehearsed { report, notes } = ground.rehearsed(&staged).await;
        assert_eq!(report.ended, Ending::Completed, "{report:#?}");
        assert_eq!(report.requests.failed, 0.0, "{report:#?}");
        assert!(report.duration_ms > 3 * HOUR_MS && report.duration_ms < 4 * HOUR_MS);
        assert!(report.requests.total > 100.0 * 3.0 * 3_600.0);
        assert_eq!(report.weight_max, 100);
        let shifted: Vec<u8> = report
            .timeline
            .iter()
            .filter(|moment| moment.what.starts_with("shift to canary"))
            .map(|moment| moment.weight)
            .collect();
        match reached {
            Front::Route | Front::Ingress => assert_eq!(shifted[..3], [10, 25, 50], "{report:#?}"),
            Front::Service => assert_eq!(shifted[1..3], [25, 50], "{report:#?}"),
        }
        assert!(notes.iter().any(|it| it.contains("Certificate shop is left out")), "{notes:?}");
    }
}

#[tokio::test]
async fn what_runs_already_is_rehearsed_as_if_it_were_new() {
    let ground = Ground::new();
    let errors = scenario(json!({"new": {"errorRate": 0.2}}));
    let mut staged = ground.staged("canary", hours(Front::Route), errors, Front::Route).await;
    staged.current = Some(staged.new.clone());
    let Rehearsed { report, notes } = ground.rehearsed(&staged).await;
    assert!(reason(&report).0.contains("20.00 % of the requests fail"), "{report:#?}");
    assert!(notes.iter().any(|it| it.starts_with("no workload differs")), "{notes:?}");
}

#[tokio::test]
async fn errors_are_found_by_the_check_and_few_see_them() {
    let report = canary(&Ground::new(), json!({"new": {"errorRate": 0.2}}), Front::Route).await;
    let (why, decided_ms) = reason(&report);
    assert!(why.contains("20.00 % of the requests fail"), "{why}");
    assert!(decided_ms < HOUR_MS);
    assert_eq!(report.weight_max, 10);
    assert!(!report.checks["errors"].passed);
    assert!(report.of_new.failed > 0.0);
    assert!((report.requests.failed - report.of_new.failed).abs() < 1e-6, "{report:#?}");
    assert_eq!(report.timeline.last().unwrap().weight, 0);
}

#[tokio::test]
async fn what_is_slow_is_counted_and_found() {
    let written = json!({
        "slowMs": 300,
        "new": {"latencyMs": 30, "latencyMsAfterWeight": {"percent": 25, "latencyMs": 900}},
        "checks": {"errors": {"failsAbove": {"latencyMs": 200}}},
    });
    let report = canary(&Ground::new(), written, Front::Ingress).await;
    let (why, decided_ms) = reason(&report);
    assert!(why.contains("requests take 900 ms"), "{why}");
    assert!(decided_ms > HOUR_MS && decided_ms < 2 * HOUR_MS);
    assert_eq!(report.weight_max, 25);
    assert!(report.of_new.slow > 0.0 && report.requests.failed == 0.0, "{report:#?}");
}

#[tokio::test]
async fn pods_that_crash_from_a_weight_on_are_taken_back_at_once() {
    let report =
        canary(&Ground::new(), json!({"new": {"crashAfterWeight": 25}}), Front::Route).await;
    let (_, decided_ms) = reason(&report);
    assert!(decided_ms > HOUR_MS && decided_ms < HOUR_MS + 5 * 60_000, "{report:#?}");
    assert_eq!(report.weight_max, 25);
    assert!(report.of_new.failed > 0.0 && report.of_new.failed_percent() < 50.0);
    assert_eq!(report.timeline.last().unwrap().tracks[STABLE].ready, 4);
}

#[tokio::test]
async fn pods_that_are_never_ready_are_seen_by_nobody() {
    let report = canary(&Ground::new(), json!({"new": {"neverReady": true}}), Front::Service).await;
    let (why, _) = reason(&report);
    assert!(why.contains("not-ready") || why.contains("ready"), "{why}");
    assert_eq!((report.requests.failed, report.of_new.total, report.weight_max), (0.0, 0.0, 0));
}

#[tokio::test]
async fn an_api_server_that_is_away_for_a_minute_holds_nothing_up_for_long() {
    let ground = Ground::new();
    for at_ms in [0, 5_000, HOUR_MS + 12_000, 3 * HOUR_MS] {
        let written = json!({"apiServerAway": {"atMs": at_ms, "forMs": 60_000}});
        let report = canary(&ground, written, Front::Route).await;
        assert_eq!(report.ended, Ending::Completed, "away at {at_ms}: {report:#?}");
        assert_eq!(report.requests.failed, 0.0, "away at {at_ms}");
    }
}

#[tokio::test]
async fn people_answer_as_the_scenario_has_it() {
    let ground = Ground::new();
    let aborts = json!({"person": {"afterMs": 600_000, "does": "aborts"}});
    let report = canary(&ground, aborts, Front::Route).await;
    let (why, decided_ms) = reason(&report);
    assert_eq!(why, "a person has aborted it");
    assert_eq!(report.weight_max, 50);
    let paused = report.timeline.iter().find(|it| it.what.starts_with("pause")).unwrap();
    assert_eq!((paused.lasted_ms, paused.outcome.as_str()), (600_000, "aborted"));
    assert_eq!(paused.at_ms + paused.lasted_ms, decided_ms);

    let promotes = json!({"person": {"does": "promotes-all"}});
    let report = canary(&ground, promotes, Front::Route).await;
    assert_eq!(report.ended, Ending::Completed);
    assert!(report.duration_ms < 3 * HOUR_MS, "the last hour was not waited for");
}

#[tokio::test]
async fn what_can_not_be_is_told_as_the_engine_records_it() {
    let ground = Ground::new();
    let config = json!({"steps": [{"weight": 10}, {"checks": ["unheard-of"]}]});
    let staged = ground.staged("canary", config, Scenario::default(), Front::Route).await;
    let report = ground.rehearsed(&staged).await.report;
    let Ending::Stuck { fault } = &report.ended else { panic!("{report:#?}") };
    assert_eq!(fault.code, "check-unknown");

    let mut staged =
        ground.staged("canary", hours(Front::Route), Scenario::default(), Front::Route).await;
    staged.scenario.new.never_ready = true;
    staged.current = None;
    let report = ground.rehearsed(&staged).await.report;
    assert!(matches!(report.ended, Ending::Failed { .. }), "nothing to go back to: {report:#?}");
}

/// All sample scenarios with all shipped strategies: the model, which plans show,
/// comes to the same end as the engine does in the practice cluster.
#[tokio::test]
async fn the_model_foresees_what_the_rehearsal_shows() {
    let ground = Ground::new();
    let samples = ["well", "errors", "crash", "never-ready"];
    let checks = json!({"checks": ["errors"], "for": "5m"});
    let strategies = [
        ("rolling", json!({})),
        ("canary", json!({"steps": [{"weight": 25}, checks, {"weight": 50}, checks]})),
        ("blue-green", json!({})),
        ("rolling-blue-green", json!({})),
    ];
    for (strategy, config) in &strategies {
        for sample in samples {
            let staged =
                ground.staged(strategy, config.clone(), self::sample(sample), Front::Route).await;
            let Rehearsed { report, .. } = ground.rehearsed(&staged).await;
            let model = ground.foreseen(&staged).await;
            let both = format!("{strategy}, {sample}: {report:#?}\nand foreseen: {model:#?}");
            assert_eq!(
                std::mem::discriminant(&report.ended),
                std::mem::discriminant(&model.ended),
                "{both}"
            );
            let by = |of: &Report| (of.requests.failed, of.duration_ms, of.weight_max);
            let ((failed, took, weight), (failed_2, took_2, weight_2)) = (by(&report), by(&model));
            // One of them may just have missed it when a check was measured.
            let an_interval = staged.scenario.requests_per_second * 62.0;
            let part = f64::from(weight.max(weight_2)) / 100.0;
            assert!((failed - failed_2).abs() <= an_interval * part, "{both}");
            assert!(took.abs_diff(took_2) < 3 * 60_000 + took.max(took_2) / 10, "{both}");
            assert!(weight.abs_diff(weight_2) <= 5, "{both}");
        }
    }
}

/// The scenarios of `daemon/scenarios/`.
fn sample(name: &str) -> Scenario {
    let text = match name {
        "errors" => include_str!("../../../scenarios/errors.yaml"),
        "crash" => include_str!("../../../scenarios/crash.yaml"),
        "never-ready" => include_str!("../../../scenarios/never-ready.yaml"),
        _ => return Scenario::default(),
    };
    serde_saphyr::from_str(text).unwrap()
}
