//! Programs that a strategy could be, in the simulated world.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, from_value, json};

use super::*;
use crate::Name;
use crate::plan::{Manifest, Manifests, ObjectOwner};
use crate::ports::{Decision, PluginRef};
use crate::rollout::checking::PlannedCheck;
use crate::rollout::{Choice, Way, ways};

fn workload(name: &str, version: &str, replicas: u32) -> Vec<Manifest> {
    let labels = json!({"app": name, "deployd.dev/track": "stable"});
    let objects = [
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"selector": labels, "ports": [{"port": 80}]}}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [
                    {"name": "main", "image": format!("shop/{name}:{version}")}]}}}}),
    ];
    let owner = ObjectOwner::Workload(name.to_owned());
    objects.into_iter().map(|object| Manifest { owner: owner.clone(), object }).collect()
}

fn route() -> Manifest {
    let rules = json!([{"backendRefs": [{"name": "web", "port": 80}]}]);
    let object = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": "shop"}, "spec": {"rules": rules}});
    Manifest { owner: ObjectOwner::Environment, object }
}

/// A workload `web` of four pods behind a route, or behind its Service alone.
struct Stage {
    workloads: Vec<String>,
    new: Manifests,
    current: Option<Manifests>,
    ways: BTreeMap<String, Way>,
    checks: BTreeMap<Name, PlannedCheck>,
    drain_ms: u64,
}

impl Stage {
    fn new(is_routed: bool) -> Self {
        let manifests = |version: &str| Manifests {
            namespace: "shop".to_owned(),
            objects: is_routed.then(route).into_iter().chain(workload("web", version, 4)).collect(),
            jobs: Vec::new(),
        };
        let (new, current) = (manifests("2"), Some(manifests("1")));
        let ways = ways(&new, current.as_ref(), Choice::Auto).unwrap();
        let timing = json!({"initialDelayMs": 0, "intervalMs": 60_000, "count": 3,
            "failureLimit": 0, "inconclusiveLimit": 0, "errorLimit": 0});
        let check = PlannedCheck {
            plugin: PluginRef { name: "prometheus".to_owned(), digest: crate::Digest::of(b"p") },
            config: json!({}),
            pods: false,
            timing: from_value(timing).unwrap(),
        };
        let checks = BTreeMap::from([("errors".parse().unwrap(), check)]);
        Self { workloads: vec!["web".to_owned()], new, current, ways, checks, drain_ms: 0 }
    }

    fn routed() -> Self {
        Self::new(true)
    }

    /// Plays a program, whose failures roll back.
    fn play(&self, program: &[Value], scenario: &Scenario) -> Report {
        assert_eq!(scenario.problem(), None);
        let scene = Scene {
            workloads: &self.workloads,
            new: &self.new,
            current: self.current.as_ref(),
            ways: &self.ways,
            checks: &self.checks,
            drain_ms: self.drain_ms,
        };
        let mut rehearsal = Rehearsal::new(scene, scenario);
        let mut place = 0;
        let mut action = program[0].clone();
        loop {
            let decision =
                Decision { state: json!(place), action, progress: 0, message: format!("{place}") };
            let observation = match rehearsal.decided(&decision, None) {
                Then::Observe(observation) => observation,
                Then::Ended(report) => return *report,
            };
            place += 1;
            action = match observation["outcome"].as_str() {
                Some("failed") => json!({"do": "roll-back", "reason": observation["message"]}),
                _ => program.get(place).cloned().unwrap_or(json!({"do": "complete"})),
            };
        }
    }
}

fn scenario(value: Value) -> Scenario {
    from_value(value).unwrap()
}

fn apply(track: &str) -> Value {
    json!({"do": "apply", "track": track, "workloads": ["web"]})
}

fn ready(track: &str) -> Value {
    json!({"do": "await-ready", "track": track, "workloads": ["web"], "deadline-ms": 600_000})
}

fn shift(canary: u32) -> Value {
    json!({"do": "shift", "weights": {"stable": 100 - canary, "canary": canary}})
}

fn check() -> Value {
    json!({"do": "run-checks", "checks": ["errors"], "track": "canary"})
}

fn canary() -> Vec<Value> {
    vec![
        apply("canary"),
        ready("canary"),
        shift(5),
        check(),
        shift(25),
        check(),
        shift(50),
        check(),
        apply("stable"),
        ready("stable"),
        shift(0),
        json!({"do": "retire", "track": "canary"}),
    ]
}

#[test]
fn when_all_goes_well_no_request_fails() {
    let report = Stage::routed().play(&canary(), &Scenario::default());
    assert_eq!(report.ended, Ending::Completed, "{report:#?}");
    assert_eq!(report.requests.failed, 0.0);
    assert!(report.requests.total > 1000.0);
    assert_eq!(report.checks["errors"], CheckFigures { weight_before: 5, passed: true });
    let weights: Vec<u8> = report.timeline.iter().map(|moment| moment.weight).collect();
    assert_eq!(&weights[..8], [0, 0, 5, 5, 25, 25, 50, 50]);
    let last = report.timeline.last().unwrap();
    assert_eq!((last.what.as_str(), last.weight), ("complete", 100));
    assert_eq!(last.tracks.keys().collect::<Vec<_>>(), ["stable"]);
    assert_eq!(last.tracks["stable"].ready, 4);
    // Three measurements, a minute apart, for each of three weights.
    assert!((6 * 60_000..8 * 60_000).contains(&report.duration_ms), "{}", report.duration_ms);
}

#[test]
fn who_has_lost_all_requests_is_drained() {
    let took = |drain_ms: u64, scenario: &Scenario| {
        Stage { drain_ms, ..Stage::routed() }.play(&canary(), scenario).duration_ms
    };
    // Once the canary has, at the end or on the way back.
    for checks in ["passes", "fails"] {
        let scenario = scenario(json!({"checks": {"errors": checks}}));
        assert_eq!(took(7_000, &scenario), took(0, &scenario) + 7_000, "{checks}");
    }
}

#[test]
fn what_is_bad_reaches_few_and_is_taken_back() {
    let stage = Stage::routed();
    for (what, world, most_weight, most_failed, reason) in [
        ("errors", json!({"new": {"errorRate": 0.2}}), 5, 2.0, "20.00 % of the requests fail"),
        (
            "errors from a quarter on",
            json!({"new": {"errorRateAfterWeight": {"percent": 25, "errorRate": 0.5}}}),
            25,
            14.0,
            "50.00 % of the requests fail",
        ),
        ("never ready", json!({"new": {"neverReady": true}}), 0, 0.001, "0 of 4 pods"),
        ("crash", json!({"new": {"crashAfterWeight": 25}}), 25, 26.0, "100.00 % of the requests"),
        (
            "slow",
            json!({"new": {"latencyMs": 900}, "checks": {"errors": {"failsAbove": {"latencyMs": 300}}}}),
            5,
            0.001,
            "requests take 900 ms",
        ),
        ("no data", json!({"checks": {"errors": "inconclusive"}}), 5, 0.001, "no data"),
        ("said to fail", json!({"checks": {"errors": "fails"}}), 5, 0.001, "as the scenario"),
    ] {
        let report = stage.play(&canary(), &scenario(world));
        let Ending::RolledBack { reason: found, decided_ms } = &report.ended else {
            panic!("{what}: {report:#?}");
        };
        assert!(found.contains(reason), "{what}: {found}");
        assert!(*decided_ms < report.duration_ms);
        assert!(report.weight_max <= most_weight, "{what}: {}", report.weight_max);
        assert!(report.requests.failed_percent() < most_failed, "{what}: {:?}", report.requests);
        let last = report.timeline.last().unwrap();
        assert_eq!(
            (last.weight, last.tracks.len(), last.tracks["stable"].ready),
            (0, 1, 4),
            "{what}"
        );
    }
}

#[test]
fn what_is_slow_is_counted() {
    let report =
        Stage::routed().play(&[shift_all()], &scenario(json!({"new": {"latencyMs": 500}})));
    assert!(matches!(report.ended, Ending::Stuck { .. }), "{report:#?}");
    let program = [apply("stable"), ready("stable"), json!({"do": "sleep", "ms": 3_600_000})];
    let report = Stage::routed().play(&program, &scenario(json!({"new": {"latencyMs": 500}})));
    let percent = report.requests.slow_percent();
    // Half of those are slower than the median.
    assert!((48.0..50.0).contains(&percent), "{percent}");
}

fn shift_all() -> Value {
    json!({"do": "shift", "weights": {"stable": 0, "canary": 100}})
}

#[test]
fn what_cannot_be_done_has_the_code_that_the_engine_would_record() {
    let stage = Stage::routed();
    let stuck = |program: &[Value]| match stage.play(program, &Scenario::default()).ended {
        Ending::Stuck { fault } => fault.code,
        other => panic!("{other:?}"),
    };
    assert_eq!(stuck(&[shift(10)]), "track-unknown");
    assert_eq!(stuck(&[ready("canary")]), "track-unknown");
    assert_eq!(stuck(&[apply("canary"), ready("canary")]), "rollout-unfinished");
    assert_eq!(stuck(&[json!({"do": "dance"})]), "strategy-action-unknown");
    assert_eq!(stuck(&vec![json!({"do": "sleep", "ms": 1}); 1000]), "rollout-without-end");
    assert_eq!(stuck(&[json!({"do": "run-checks", "checks": ["none"]})]), "check-unknown");
}

#[test]
fn by_the_number_of_pods_a_weight_is_what_the_pods_make_it() {
    let stage = Stage::new(false);
    let program = [
        apply("canary"),
        ready("canary"),
        shift(10),
        shift(50),
        apply("stable"),
        ready("stable"),
        shift(0),
        json!({"do": "retire", "track": "canary"}),
    ];
    let report = stage.play(&program, &Scenario::default());
    assert_eq!(report.ended, Ending::Completed, "{report:#?}");
    assert_eq!(report.requests.failed, 0.0, "{report:#?}");
    let weights: Vec<u8> = report.timeline.iter().map(|moment| moment.weight).collect();
    // With four pods the least is a fifth, so that a tenth comes to nothing.
    assert_eq!(&weights[..4], [0, 0, 0, 50], "{report:#?}");
}

#[test]
fn people_answer_and_the_api_server_comes_back() {
    let mut program = canary();
    program.insert(3, json!({"do": "pause", "message": "look"}));
    let stage = Stage::routed();
    let aborted = json!({"person": {"does": "aborts", "afterMs": 7_200_000}});
    let report = stage.play(&program, &scenario(aborted));
    assert!(
        matches!(&report.ended, Ending::RolledBack { reason, .. } if reason.contains("person"))
    );
    assert!(report.duration_ms > 7_200_000);

    let plain = stage.play(&canary(), &Scenario::default());
    let away = scenario(json!({"apiServerAway": {"atMs": 60_000, "forMs": 90_000}}));
    let late = stage.play(&canary(), &away);
    assert_eq!(late.ended, Ending::Completed);
    assert!(late.duration_ms >= plain.duration_ms);
    let gone = scenario(json!({"apiServerAway": {"atMs": 0, "forMs": 3_600_000}}));
    let report = stage.play(&canary(), &gone);
    assert!(
        matches!(&report.ended, Ending::RolledBack { reason, .. } if reason.contains("API server")),
        "{report:#?}"
    );
}

#[test]
fn the_first_deployment_has_nothing_to_go_back_to() {
    let mut stage = Stage::routed();
    stage.current = None;
    let program = [apply("stable"), ready("stable")];
    let report = stage.play(&program, &Scenario::default());
    assert_eq!(report.ended, Ending::Completed);
    let report = stage.play(&program, &scenario(json!({"new": {"neverReady": true}})));
    assert!(matches!(report.ended, Ending::Failed { .. }), "{report:#?}");
}

#[test]
fn a_scenario_that_means_nothing_is_refused() {
    for (field, value) in [
        ("requestsPerSecond", json!({"requestsPerSecond": -1})),
        ("new.errorRate", json!({"new": {"errorRate": 2}})),
        ("current.crashAfterWeight", json!({"current": {"crashAfterWeight": 0}})),
        (
            "checks.a.failsAbove.errorRate",
            json!({"checks": {"a": {"failsAbove": {"errorRate": 50}}}}),
        ),
    ] {
        let problem = scenario(value).problem().unwrap();
        assert!(problem.starts_with(field) && problem.contains("expected"), "{problem}");
    }
    assert!(from_value::<Scenario>(json!({"errorRate": 1})).is_err());
}

fn step() -> impl Strategy<Value = Value> {
    let weight = 0u32..=100;
    prop_oneof![
        Just(apply("canary")),
        Just(ready("canary")),
        weight.prop_map(shift),
        Just(check()),
        Just(apply("stable")),
        Just(ready("stable")),
        (0u32..=100).prop_map(|percent| json!({"do": "scale", "track": "canary", "workloads": ["web"], "percent": percent})),
        Just(json!({"do": "retire", "track": "canary"})),
        Just(json!({"do": "pause", "message": "look"})),
        Just(json!({"do": "sleep", "ms": 1_000})),
    ]
}

fn any_scenario() -> impl Strategy<Value = Scenario> {
    (0.0f64..1.0, any::<bool>(), proptest::option::of(1u8..=100), 0u64..120_000).prop_map(
        |(errors, never, crash, away)| {
            let mut scenario = Scenario::default();
            scenario.new.error_rate = errors;
            scenario.new.never_ready = never;
            scenario.new.crash_after_weight = crash;
            scenario.api_server_away = Some(Away { at_ms: away, for_ms: 20_000 });
            scenario
        },
    )
}

proptest! {
    /// Whatever a strategy does and whatever happens, a rehearsal ends with one
    /// version everywhere, counts no more failures than requests, and comes to the
    /// same a second time.
    #[test]
    fn it_ends_in_one_version(
        program in proptest::collection::vec(step(), 1..12),
        scenario in any_scenario(),
        is_routed in any::<bool>(),
    ) {
        let stage = Stage::new(is_routed);
        let report = stage.play(&program, &scenario);
        prop_assert_eq!(&report, &stage.play(&program, &scenario));
        prop_assert!(report.requests.failed + report.requests.slow <= report.requests.total + 1e-6);
        let last = report.timeline.last();
        let weight = last.map_or(0, |last| last.weight);
        match report.ended {
            // The new version may be bad, and yet nobody has asked for a check.
            Ending::Completed => prop_assert!(last.is_some_and(|last| last.tracks.len() == 1)),
            _ => prop_assert_eq!(weight, 0, "{:#?}", report),
        }
    }
}
