use serde_json::{Value, json};

use super::*;
use crate::config::CheckChoice;
use crate::deployment::{
    Action, Deployment, DeploymentRecord, Mode, Origin, Request, Rollout, Schedule, Step, StepKind,
    StepStatus,
};
use crate::plan::{Manifest, Manifests, ObjectOwner, Plan};
use crate::ports::{CheckOutcome, Measurement, Verdict};
use crate::rollout::checking::Checking;
use crate::{Actor, Digest, Fault};

const NOW: Timestamp = Timestamp(1_000_000);

fn id() -> DeploymentId {
    DeploymentId("one".into())
}

fn plan() -> Plan {
    let check = json!({
        "plugin": {"name": "check", "digest": Digest::of(b"check")},
        "config": {},
        "timing": timing(),
    });
    serde_json::from_value(json!({
        "version": 1, "environment": "shop/production", "environmentType": "production",
        "set": Digest::of(b"set"), "workloads": [{"name": "web"}],
        "graph": {"nodes": {}, "names": {}}, "resources": {}, "values": {}, "takeOverFields": false,
        "checks": {"errors": check},
        "strategy": {"plugin": {"name": "canary", "digest": Digest::of(b"canary")}, "config": {}},
    }))
    .unwrap()
}

fn timing() -> crate::config::CheckTiming {
    let choice = json!({"plugin": "check", "intervalMs": 10_000, "count": 3, "failureLimit": 1});
    serde_json::from_value::<CheckChoice>(choice).unwrap().timing()
}

fn manifests(version: &str, route: bool) -> Manifests {
    let selector = json!({"app": "web", "deployd.dev/track": "stable"});
    let owner = ObjectOwner::Workload("web".into());
    let mut objects = vec![
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
            "spec": {"selector": selector, "ports": [{"port": 80}]}}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": {"replicas": 3, "selector": {"matchLabels": selector}, "template": {
                "metadata": {"labels": selector},
                "spec": {"containers": [{"name": "main", "image": format!("web:{version}")}]}}}}),
    ];
    if route {
        objects.push(json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": "web"},
            "spec": {"rules": [{"backendRefs": [{"name": "web", "port": 80}]}]}}));
    }
    let objects = objects.into_iter().map(|object| Manifest { owner: owner.clone(), object });
    Manifests { namespace: "shop".into(), objects: objects.collect(), ..Manifests::default() }
}

/// What a strategy asked for, and how the step for it stands.
type Done<'a> = (Value, StepStatus, &'a [Value]);

fn pending(token: &str, left_ms: u64) -> StepStatus {
    StepStatus::Pending { token: token.into(), poll_at: NOW.plus_ms(left_ms) }
}

/// A deployment whose strategy has asked for these actions; what it observed
/// after each comes with it.
fn at_work(done: &[Done<'_>]) -> Deployment {
    let mut steps = Vec::new();
    let mut observed: Option<Value> = None;
    for (round, (action, status, came)) in (1..).zip(done) {
        let decide = format!("decide:{round}");
        let kind = StepKind::Decide { observation: observed.take() };
        let mut decided = Step::new(&id(), &decide, kind, Vec::new());
        decided.status = StepStatus::Succeeded;
        let after = vec![decided.id.clone()];
        steps.push(decided);
        let action: Action = serde_json::from_value(action.clone()).unwrap();
        let kind = StepKind::Rollout { action };
        let mut step = Step::new(&id(), format!("rollout:{round}"), kind, after);
        (step.started, step.attempts) = (Some(Timestamp(NOW.0 - 60_000)), 1);
        step.status = status.clone();
        if let StepStatus::Pending { token, .. } = status {
            step.operation = Some(token.clone());
        }
        if matches!(status, StepStatus::Succeeded | StepStatus::Failed) {
            step.ended = Some(Timestamp(NOW.0 - 1_000));
            observed = Some(came.first().cloned().unwrap_or(json!({"outcome": "done"})));
        }
        steps.push(step);
    }
    if let Some(observation) = observed {
        let kind = StepKind::Decide { observation: Some(observation) };
        steps.push(Step::new(&id(), "decide:last", kind, Vec::new()));
    }
    let request = Request {
        set: Digest::of(b"set"),
        mode: Mode::Manual,
        origin: Origin::Request,
        comment: None,
        expected_plan: None,
        confirm_replace: false,
        teardown: None,
        schedule: Schedule::default(),
    };
    let message = "as the strategy says".to_owned();
    Deployment {
        id: id(),
        number: 2,
        actor: Actor("ci".into()),
        queued: Timestamp(0),
        request,
        started: Timestamp(0),
        plan: Some(Digest::of(b"plan")),
        approvals: crate::approval::Approvals::default(),
        unattested: None,
        gates: Vec::new(),
        deferred: None,
        steps: steps.into(),
        destroy: Vec::new(),
        jobs: Vec::new(),
        rollout: Some(Rollout { round: 1, state: json!({}), progress: 40, message }),
        policies: None,
        held: None,
        cancel: None,
        superseded: None,
        failure: None,
    }
}

fn record(work: Deployment) -> DeploymentRecord {
    DeploymentRecord {
        id: id(),
        environment: "shop/production".parse().unwrap(),
        number: 2,
        actor: work.actor.clone(),
        request: work.request.clone(),
        queued: Timestamp(0),
        ended: None,
        phase: Phase::RollingOut,
        outcome: None,
        fault: None,
        deferred: None,
        yielded: None,
        work: Some(work),
        imported: None,
    }
}

fn seen(record: &DeploymentRecord, route: bool) -> RolloutView {
    let (plan, new, current) = (plan(), manifests("2", route), manifests("1", route));
    let recorded = Recorded { plan: Some(&plan), new: Some(&new), current: Some(&current) };
    rollout_view(record, recorded, NOW)
}

fn view(done: &[Done<'_>]) -> RolloutView {
    seen(&record(at_work(done)), true)
}

fn done(action: Value) -> Done<'static> {
    (action, StepStatus::Succeeded, &[])
}

fn applied() -> Done<'static> {
    done(json!({"do": "apply", "track": "canary", "workloads": ["web"]}))
}

fn shifted(canary: u32) -> Done<'static> {
    done(json!({"do": "shift", "weights": {"canary": canary, "stable": 100 - canary}}))
}

fn commands(view: &RolloutView) -> Vec<&str> {
    view.next.iter().filter_map(|next| next.command.strip_prefix("deployd ")).collect()
}

#[test]
fn tracks_are_told_with_their_pods_and_what_they_get() {
    let told = |view: &RolloutView| -> Vec<(String, Version, u32, u8, Option<u8>)> {
        let tracks = view.workloads[0].tracks.iter();
        tracks.map(|it| (it.name.clone(), it.version, it.replicas, it.weight, it.wanted)).collect()
    };
    let stable = |replicas, weight, wanted| {
        ("stable".to_owned(), Version::Current, replicas, weight, wanted)
    };
    let canary =
        |replicas, weight, wanted| ("canary".to_owned(), Version::New, replicas, weight, wanted);
    assert_eq!(told(&view(&[])), [stable(3, 100, None)]);
    assert_eq!(told(&view(&[applied()])), [stable(3, 100, None), canary(3, 0, None)]);
    let by_route = view(&[applied(), shifted(10)]);
    assert_eq!(told(&by_route), [stable(3, 90, None), canary(3, 10, None)]);
    assert_eq!(
        (by_route.workloads[0].via, &by_route.workloads[0].reachable),
        (Via::HttpRoute, &None)
    );

    // Three pods can't give a third to one: what is got and what is wanted differ.
    let by_pods = seen(&record(at_work(&[applied(), shifted(33)])), false);
    assert_eq!(told(&by_pods), [stable(3, 75, Some(67)), canary(1, 25, Some(33))]);
    assert_eq!(by_pods.workloads[0].reachable.as_ref().unwrap()[1], 25);
    assert!(by_pods.workloads[0].divided.contains("with 3 replicas"), "{by_pods:?}");
}

#[test]
fn headers_and_mirrors_are_told() {
    let view = view(&[
        applied(),
        done(json!({"do": "shift", "weights": {"stable": 100}, "mirror": "canary",
            "headers": [{"name": "x-canary", "value": "yes", "track": "canary"}]})),
    ]);
    let web = &view.workloads[0];
    assert_eq!(web.headers[0].name, "x-canary");
    assert_eq!(web.mirror.as_deref(), Some("canary"));
}

#[test]
fn what_it_waits_for_is_told_with_the_time_that_is_left() {
    let pause = json!({"do": "pause", "message": "look at it"});
    let sleep = json!({"do": "sleep", "ms": 3_600_000});
    let ready = json!({"do": "await-ready", "track": "canary", "workloads": ["web"], "deadline-ms": 90_000});
    for (action, status, waits_for, left_ms, what) in [
        (&pause, pending("paused", 900_000), WaitsFor::Person, None, "pause: look at it"),
        // A part of the sleep, and what comes after it.
        (&sleep, pending("600000", 20_000), WaitsFor::Time, Some(620_000), "wait 1h"),
        (&ready, StepStatus::Running, WaitsFor::Pods, Some(30_000), "await canary of web"),
        (
            &shifted(10).0,
            StepStatus::Running,
            WaitsFor::Cluster,
            None,
            "shift to canary 10 %, stable 90 %",
        ),
    ] {
        let doing = view(&[applied(), (action.clone(), status, &[])]).doing.unwrap();
        assert_eq!((doing.waits_for, doing.left_ms), (waits_for, left_ms), "{doing:?}");
        assert_eq!((doing.what.as_str(), doing.why.as_str()), (what, "as the strategy says"));
        assert_eq!(doing.since, Some(Timestamp(NOW.0 - 60_000)));
    }
    let retrying = StepStatus::Retrying { at: NOW.plus_ms(4_000) };
    let mut work = at_work(&[(shifted(10).0, retrying, &[])]);
    let last = work.steps.last().unwrap().id.clone();
    work.steps.find_mut(&last.0).unwrap().fault = Some(Fault::transient("away", "it is away"));
    let doing = seen(&record(work), true).doing.unwrap();
    assert_eq!((doing.waits_for, doing.left_ms), (WaitsFor::Retry, Some(4_000)));
    assert_eq!(doing.why, "it is away");
}

#[test]
fn the_commands_are_those_that_would_be_accepted() {
    let abort = "abort shop/production -m WHY";
    let pause = || (json!({"do": "pause", "message": "no"}), pending("paused", 0), &[][..]);
    let on = ["promote shop/production", "promote shop/production --all"];
    assert_eq!(commands(&view(&[applied(), pause()])), [on[0], on[1], abort]);
    let sleep = (json!({"do": "sleep", "ms": 5}), pending("0", 5), &[][..]);
    let stop = "pause shop/production";
    assert_eq!(commands(&view(&[applied(), sleep])), [on[0], on[1], stop, abort]);
    assert_eq!(commands(&view(&[applied()])), [stop, abort]);
    let failed = [json!({"outcome": "failed", "message": "not ready"})];
    let upon_failure = view(&[(applied().0, StepStatus::Failed, &failed), pause()]);
    assert_eq!(commands(&upon_failure), ["retry shop/production", on[0], abort]);

    let mut held = at_work(&[applied()]);
    held.held = Some("the night shift".into());
    let view = seen(&record(held.clone()), true);
    assert_eq!(commands(&view), ["resume shop/production", abort]);
    let doing = view.doing.unwrap();
    assert_eq!((doing.waits_for, doing.why.as_str()), (WaitsFor::Person, "the night shift"));
    held.cancel = Some("latency".into());
    assert!(seen(&record(held), true).next.is_empty(), "nothing more can be asked of it");
}

fn verdict(value: f64) -> Verdict {
    let measurements = vec![Measurement { name: "rate".into(), value, unit: "%".into() }];
    Verdict { message: format!("{value} %"), measurements }
}

fn checking(measured: &[f64]) -> Checking {
    let began = Timestamp(NOW.0 - 1_000 - 10_000 * measured.len() as u64);
    let name: Name = "errors".parse().unwrap();
    let mut checking = Checking::new([(name.clone(), timing())], 0, began);
    for (place, value) in (0..).zip(measured) {
        let came = Ok(CheckOutcome::Passed(verdict(*value)));
        checking.measured(&name, came, began.plus_ms(10_000 * place));
    }
    checking
}

fn run_checks() -> Value {
    json!({"do": "run-checks", "checks": ["errors"], "track": "canary", "baseline": "baseline"})
}

#[test]
fn checks_that_run_are_told_with_what_they_have_measured() {
    let token = serde_json::to_string(&checking(&[0.5, 0.25])).unwrap();
    let view = view(&[applied(), (run_checks(), pending(&token, 9_000), &[])]);
    let run = view.running().unwrap();
    assert_eq!((run.verdict, run.track.as_deref()), (CheckResult::Running, Some("canary")));
    let check = &run.checks[0];
    assert_eq!((check.passes, check.needed, check.failures, check.failure_limit), (2, 3, 0, 1));
    let series = check.series();
    assert_eq!((series[0].name, series[0].unit, series[0].last), ("rate", "%", 0.25));
    let values: Vec<f64> = series[0].points.iter().map(|(_, value)| *value).collect();
    assert_eq!(values, [0.5, 0.25]);
    // It was due at the end of the interval, and one more is needed.
    assert_eq!(check.next_in_ms, Some(0));
    assert_eq!(view.doing.as_ref().unwrap().left_ms, Some(0));
    assert_eq!(view.doing.unwrap().waits_for, WaitsFor::Checks);

    // Before the first measurement is made, the plan says what is needed.
    let begun = self::view(&[applied(), (run_checks(), StepStatus::Running, &[])]);
    let check = &begun.running().unwrap().checks[0];
    assert_eq!((check.passes, check.needed, check.points.len()), (0, 3, 0));
    assert_eq!(begun.doing.unwrap().left_ms, Some(20_000), "three, ten seconds apart");
}

#[test]
fn checks_that_have_ended_are_told_with_their_last_measurement() {
    let report = json!({"name": "errors", "verdict": "passed", "message": "0.125 %",
        "measurements": [{"name": "rate", "value": 0.125, "unit": "%"}]});
    let observed = [json!({"outcome": "done", "checks": [report]})];
    let with_token = |mut work: Deployment| {
        let step = work.steps.find_mut("rollout:1").unwrap();
        step.operation = Some(serde_json::to_string(&checking(&[0.5, 0.25])).unwrap());
        work
    };
    let passed = at_work(&[(run_checks(), StepStatus::Succeeded, &observed)]);
    let view = seen(&record(with_token(passed.clone())), true);
    let run = &view.checks[0];
    assert_eq!((run.verdict, run.ended), (CheckResult::Passed, Some(Timestamp(NOW.0 - 1_000))));
    let check = &run.checks[0];
    assert_eq!((check.passes, check.message.as_str(), check.next), (3, "0.125 %", None));
    assert_eq!(check.series()[0].points.len(), 3);
    assert!(view.running().is_none());
    // One that ended with its first measurement was never pending.
    let at_once = seen(&record(passed), true);
    assert_eq!(at_once.checks[0].checks[0].points.len(), 1);

    let mut failed = at_work(&[(run_checks(), StepStatus::Failed, &[])]);
    let report = json!({"name": "errors", "verdict": "failed", "message": "9 %",
        "measurements": [{"name": "rate", "value": 9.0, "unit": "%"}]});
    let fault = Fault::permanent("checks-failed", "errors: 9 %");
    failed.steps.find_mut("rollout:1").unwrap().fault =
        Some(fault.with_detail(json!({"checks": [report]})));
    let view = seen(&record(with_token(failed)), true);
    assert_eq!(
        (view.checks[0].verdict, view.checks[0].checks[0].failures),
        (CheckResult::Failed, 1)
    );

    let promoted = [json!({"outcome": "promoted", "scope": "step"})];
    let skipped = at_work(&[(run_checks(), StepStatus::Succeeded, &promoted)]);
    let view = seen(&record(with_token(skipped)), true);
    assert!(view.checks[0].skipped);
    assert_eq!(view.checks[0].verdict, CheckResult::Running);
}

#[test]
fn only_the_newest_runs_are_told() {
    let many: Vec<Done<'_>> = (0..RUNS_SHOWN_MAX + 3).map(|_| done(run_checks())).collect();
    let view = view(&many);
    let last = format!("rollout:{}", many.len());
    assert_eq!(view.checks.len(), RUNS_SHOWN_MAX);
    assert_eq!(view.checks.last().unwrap().step.0, last);
}

#[test]
fn what_has_not_begun_or_has_ended_does_nothing() {
    let queued = DeploymentRecord { work: None, ..record(at_work(&[])) };
    let view = rollout_view(&queued, Recorded::default(), NOW);
    assert!(view.is_empty() && view.next.is_empty() && view.checks.is_empty());

    let mut back = record(at_work(&[applied(), shifted(10)]));
    back.outcome = Some(Outcome::RolledBack);
    let view = seen(&back, true);
    assert!(view.doing.is_none() && view.next.is_empty());
    let [stable] = view.workloads[0].tracks.as_slice() else { panic!("{view:?}") };
    assert_eq!((stable.version, stable.weight), (Version::Current, 100), "as it was before");
}

fn asked_for(view: &RolloutView) -> Vec<RolloutPods> {
    let (plan, new, current) = (plan(), manifests("2", true), manifests("1", true));
    let recorded = Recorded { plan: Some(&plan), new: Some(&new), current: Some(&current) };
    rollout_pods(view, recorded)
}

#[test]
fn pods_are_counted_of_each_track_while_the_rollout_goes_on() {
    let running = view(&[applied(), shifted(20)]);
    let pods = asked_for(&running);
    let objects: Vec<String> = pods.iter().map(|it| it.runner.object.to_string()).collect();
    assert_eq!(objects, ["Deployment shop/web", "Deployment shop/web-canary"]);
    let counts = vec![PodCount { wanted: 3, ready: 3 }, PodCount { wanted: 3, ready: 2 }];
    let counted = PodsCounted { at: NOW, found: Ok(counts) };
    let seen = running.clone().with_pods(&pods, &counted);
    let ready: Vec<_> = seen.workloads[0].tracks.iter().map(|it| (it.ready, it.replicas)).collect();
    assert_eq!(ready, [(Some(3), 3), (Some(2), 3)]);
    assert_eq!((seen.pods_counted, &seen.pods_unknown), (Some(NOW), &None));
    assert!(seen.lacks_pods() && !seen.has_pods_like(&running));

    // A canary that is not there yet has none.
    let counts = vec![PodCount { wanted: 3, ready: 3 }, PodCount::of(None)];
    let seen = running.clone().with_pods(&pods, &PodsCounted { at: NOW, found: Ok(counts) });
    let canary = &seen.workloads[0].tracks[1];
    assert_eq!((canary.ready, canary.replicas), (Some(0), 3));

    let why = "nobody answers".to_owned();
    let seen = running.clone().with_pods(&pods, &PodsCounted { at: NOW, found: Err(why.clone()) });
    assert_eq!(seen, RolloutView { pods_unknown: Some(why), ..running });
    assert!(!seen.lacks_pods(), "it is not known");

    let mut over = record(at_work(&[applied(), shifted(20)]));
    over.outcome = Some(Outcome::Cancelled);
    assert_eq!(asked_for(&super::tests::seen(&over, true)), []);
}

#[test]
fn the_cluster_says_how_many_pods_are_wanted_where_the_manifest_does_not() {
    let (plan, mut new, current) = (plan(), manifests("2", true), manifests("1", true));
    new.objects[1].object["spec"].as_object_mut().unwrap().remove("replicas");
    let recorded = Recorded { plan: Some(&plan), new: Some(&new), current: Some(&current) };
    let apply = json!({"do": "apply", "track": "stable", "workloads": ["web"]});
    let view = rollout_view(&record(at_work(&[done(apply)])), recorded, NOW);
    let pods = rollout_pods(&view, recorded);
    let count = |wanted, ready| {
        let found = Ok(vec![PodCount { wanted, ready }]);
        let seen = view.clone().with_pods(&pods, &PodsCounted { at: NOW, found });
        let track = seen.workloads[0].tracks[0].clone();
        (track.ready, track.replicas)
    };
    assert_eq!(count(7, 6), (Some(6), 7), "an autoscaler has made them more");
    assert_eq!(count(0, 0), (Some(0), 1), "it is not there yet");
}
