//! Rollouts with tracks: what is in the cluster meanwhile, and afterwards.

use std::collections::BTreeSet;

use deployd_core::config::{DRAIN_MS_DEFAULT, Document, DocumentKind};
use deployd_core::deployment::{DeploymentRecord, Origin, Outcome, Skip, StepStatus};
use deployd_core::quarantine::LiftRequest;
use deployd_core::steering::Steering;
use deployd_core::views::{RolloutView, WaitsFor};
use deployd_core::{DeploymentId, Timestamp};
use futures::StreamExt;
use serde_json::{Value, json};

use crate::documents::{document, image, plugin};
use crate::world::{Stage, assert_succeeded, caller};

/// A type whose strategy does what a program says.
fn programmed(program: &Value, checks: &Value) -> Document {
    let spec = json!({
        "templater": {"plugin": "templater", "baseline": "the platform's"},
        "strategy": {"plugin": "rolling", "config": {"program": program}},
        "checks": checks,
    });
    document(DocumentKind::EnvironmentType, "development", spec)
}

/// A shop that runs its first version, and is rolled out by a program from now on.
pub async fn running(program: Value, checks: Value) -> Stage {
    let stage = Stage::new().await;
    let tracks = plugin("templater", "templater", json!({"tracks": true}));
    stage.apply(vec![tracks, plugin("check", "check", json!({}))]).await;
    assert_succeeded(&stage.deployed("1").await);
    stage.apply(vec![programmed(&program, &checks)]).await;
    stage.world.cluster().calls.clear();
    stage
}

pub fn apply(track: &str) -> Value {
    json!({"do": "apply", "track": track, "workloads": ["backend", "frontend"]})
}

pub fn ready(track: &str) -> Value {
    json!({"do": "await-ready", "track": track, "workloads": ["backend", "frontend"], "deadline-ms": 60_000})
}

pub fn shift(canary: u32) -> Value {
    json!({"do": "shift", "weights": {"stable": 100 - canary, "canary": canary}})
}

pub fn retire() -> Value {
    json!({"do": "retire", "track": "canary"})
}

pub fn pause() -> Value {
    json!({"do": "pause", "message": "look at it"})
}

/// A canary of a quarter of the traffic, a pause, and the rest.
pub fn canary() -> Value {
    json!([
        apply("canary"),
        ready("canary"),
        shift(25),
        pause(),
        apply("stable"),
        ready("stable"),
        shift(0),
        retire(),
    ])
}

impl Stage {
    /// Waits until the rollout waits for a person.
    pub async fn paused(&self, id: &DeploymentId) -> DeploymentRecord {
        loop {
            let record = self.engine.deployment(id).await.unwrap();
            assert!(record.outcome.is_none(), "{record:#?}");
            if record.work.as_ref().is_some_and(|work| work.paused().is_some()) {
                return record;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }

    fn spec(&self, kind: &str, name: &str, pointer: &str) -> Value {
        let cluster = self.world.cluster();
        let object = cluster.object(kind, name).unwrap_or_else(|| panic!("no {kind} {name}"));
        object.pointer(pointer).cloned().unwrap_or_default()
    }

    fn image_of(&self, name: &str) -> Value {
        self.spec("Deployment", name, "/spec/template/spec/containers/0/image")
    }
}

#[tokio::test(start_paused = true)]
async fn a_canary_gets_its_part_and_leaves_nothing_behind() {
    let stage = running(canary(), json!({})).await;
    let id = stage.announce("2").await;
    stage.paused(&id).await;
    assert_eq!(stage.image_of("frontend"), json!(image("frontend", "1")), "not touched yet");
    assert_eq!(stage.image_of("frontend-canary"), json!(image("frontend", "2")));
    // A quarter of the pods behind one Service.
    assert_eq!(stage.spec("Deployment", "frontend", "/spec/replicas"), 3);
    assert_eq!(stage.spec("Deployment", "frontend-canary", "/spec/replicas"), 1);
    assert_eq!(stage.spec("Service", "frontend", "/spec/selector"), json!({"app": "frontend"}));
    assert!(stage.state().await.tracks.contains("canary"));

    stage.resume(&id).await.unwrap();
    assert_succeeded(&stage.end_of(&id).await);
    let rolling = Stage::new().await;
    rolling.apply(vec![plugin("templater", "templater", json!({"tracks": true}))]).await;
    assert_succeeded(&rolling.deployed("1").await);
    assert_succeeded(&rolling.deployed("2").await);
    assert_eq!(
        stage.world.cluster().objects,
        rolling.world.cluster().objects,
        "what is there is what a plain rollout leaves"
    );
    assert!(stage.state().await.tracks.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_abort_in_the_middle_leaves_what_ran_before() {
    for at in 1..=8 {
        let mut program = canary().as_array().unwrap().clone();
        program.retain(|action| action["do"] != "pause");
        program.insert(at.min(program.len()), pause());
        let stage = running(json!(program), json!({})).await;
        let before = stage.world.cluster().objects.clone();
        let id = stage.announce("2").await;
        stage.paused(&id).await;
        let reason = Some("latency".to_owned());
        stage.engine.cancel(&caller(), &id, reason).await.unwrap();
        let record = stage.end_of(&id).await;
        assert_eq!(record.outcome, Some(Outcome::Cancelled), "paused at {at}");
        assert_eq!(stage.world.cluster().objects, before, "paused at {at}");
        assert!(stage.state().await.tracks.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_reached_everybody_goes_back_before_a_canary_loses_its_requests() {
    let stage = running(
        json!([
            apply("canary"),
            ready("canary"),
            shift(50),
            apply("stable"),
            ready("stable"),
            pause()
        ]),
        json!({}),
    )
    .await;
    let id = stage.announce("2").await;
    stage.paused(&id).await;
    stage.world.cluster().calls.clear();
    stage.engine.cancel(&caller(), &id, None).await.unwrap();
    stage.end_of(&id).await;
    let calls = stage.world.cluster().calls.clone();
    let place = |what: &str, name: &str| {
        calls.iter().position(|(call, names)| *call == what && names.iter().any(|it| it == name))
    };
    // Those who need others go back first, and the new pods stay until then.
    let (front, back) = (place("await", "frontend").unwrap(), place("await", "backend").unwrap());
    assert!(front < back, "{calls:#?}");
    assert!(place("prune", "frontend-canary").unwrap() > back, "{calls:#?}");
}

/// Milliseconds that the first step took of which this holds.
fn took(record: &DeploymentRecord, such: impl Fn(&Value) -> bool) -> u64 {
    let steps = serde_json::to_value(&record.work.as_ref().unwrap().steps).unwrap();
    let step = steps.as_array().unwrap().iter().find(|step| such(step)).unwrap().clone();
    let at = |field: &str| serde_json::from_value::<Timestamp>(step[field].clone()).unwrap();
    at("ended").ms_since(at("started"))
}

#[tokio::test(start_paused = true)]
async fn who_has_lost_all_traffic_is_drained_before_anything_else_happens() {
    let is_shift = |to: u64| {
        move |step: &Value| {
            step["action"]["do"] == "shift" && step["action"]["weights"]["canary"] == to
        }
    };
    let program = json!([
        apply("canary"),
        ready("canary"),
        shift(50),
        shift(100),
        apply("stable"),
        ready("stable"),
        shift(0),
        retire(),
    ]);
    let stage = running(program, json!({})).await;
    let record = stage.deployed("2").await;
    assert!(took(&record, is_shift(50)) < DRAIN_MS_DEFAULT, "everybody is served from still");
    assert!(took(&record, is_shift(100)) >= DRAIN_MS_DEFAULT, "the old version is not");
    assert!(took(&record, is_shift(0)) >= DRAIN_MS_DEFAULT, "the canary is not");

    // An abort takes the traffic of a track as well; where it has none, nobody waits.
    for (weight, waits) in [(50, true), (0, false)] {
        let program = json!([apply("canary"), ready("canary"), shift(weight), pause()]);
        let stage = running(program, json!({})).await;
        let id = stage.announce("2").await;
        stage.paused(&id).await;
        stage.engine.cancel(&caller(), &id, None).await.unwrap();
        let record = stage.end_of(&id).await;
        let restored = took(&record, |step| step["kind"] == "restore");
        assert_eq!(restored >= DRAIN_MS_DEFAULT, waits, "{weight} %: {restored} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_strategy_that_forgets_a_track_or_traffic_is_stopped() {
    let impossible = |program: Value| async move {
        let stage = running(program, json!({})).await;
        let before = stage.world.cluster().objects.clone();
        let record = stage.deployed("2").await;
        assert_eq!(stage.world.cluster().objects, before, "{record:#?}");
        let fault = record.fault.unwrap();
        (record.outcome.unwrap(), fault.code, fault.message)
    };
    let (outcome, code, message) = impossible(json!([apply("canary"), ready("canary")])).await;
    assert_eq!((outcome, code.as_str()), (Outcome::RolledBack, "rollout-unfinished"));
    assert!(message.contains("the track canary is still there"), "{message}");
    let (outcome, code, _) = impossible(json!([shift(10)])).await;
    assert_eq!((outcome, code.as_str()), (Outcome::RolledBack, "track-unknown"));
    let (_, code, _) = impossible(json!([
        apply("canary"),
        {"do": "shift", "weights": {"stable": 60, "canary": 60}},
    ]))
    .await;
    assert_eq!(code, "weights-invalid");
    let (_, code, message) = impossible(json!([
        apply("canary"),
        {"do": "shift", "weights": {"stable": 100}, "headers": [{"name": "x", "value": "y", "track": "canary"}]},
    ]))
    .await;
    assert_eq!(code, "traffic-impossible");
    assert!(message.contains("by the number of pods"), "{message}");
    let (_, code, _) = impossible(json!([ready("canary")])).await;
    assert_eq!(code, "track-unknown");
    let (_, code, message) = impossible(json!([{"do": "run-checks", "checks": ["none"]}])).await;
    assert_eq!(code, "check-unknown");
    assert!(message.contains("environment type development has none"), "{message}");
}

pub fn measured(answers: Value, more: Value) -> Value {
    let mut check = json!({"plugin": "check", "config": {"answers": answers}, "intervalMs": 1000});
    for (name, value) in more.as_object().unwrap() {
        check[name] = value.clone();
    }
    json!({"errors": check})
}

fn checked() -> Value {
    json!([
        apply("canary"), ready("canary"), shift(25),
        {"do": "run-checks", "checks": ["errors"], "track": "canary", "workloads": ["frontend"]},
        apply("stable"), ready("stable"), shift(0), retire(),
    ])
}

#[tokio::test(start_paused = true)]
async fn checks_decide_whether_a_canary_goes_on() {
    let well = running(checked(), measured(json!(["passed"]), json!({"count": 3}))).await;
    let id = well.announce("2").await;
    assert_succeeded(&well.end_of(&id).await);
    let asked = well.world.asked_of_checks.lock().unwrap().clone();
    assert_eq!(asked.len(), 3);
    assert_eq!(asked[0]["track"], "canary");
    assert_eq!(asked[0]["workloads"], json!(["frontend"]));
    assert_eq!(asked[0]["namespace"], "shop-development");
    let since = asked[0]["since-ms"].as_u64().unwrap();
    assert!(asked.iter().all(|input| input["since-ms"] == since), "{asked:#?}");
    let keys: BTreeSet<String> = asked.iter().map(|it| it["idempotency-key"].to_string()).collect();
    assert_eq!(keys.len(), 3, "each measurement has a key of its own");

    let badly = running(
        checked(),
        measured(json!(["passed", "failed", "failed"]), json!({"count": 9, "failureLimit": 1})),
    )
    .await;
    let before = badly.world.cluster().objects.clone();
    let record = badly.deployed("2").await;
    assert_eq!(record.outcome, Some(Outcome::RolledBack));
    let fault = record.fault.unwrap();
    assert_eq!(fault.code, "checks-failed");
    assert!(fault.message.contains("errors: it has"), "{fault}");
    assert_eq!(badly.world.asked_of_checks.lock().unwrap().len(), 3);
    assert_eq!(badly.world.cluster().objects, before);
}

#[tokio::test(start_paused = true)]
async fn no_data_and_no_answer_are_no_pass() {
    let unclear = running(checked(), measured(json!(["no data"]), json!({}))).await;
    let record = unclear.deployed("2").await;
    assert_eq!(record.fault.unwrap().code, "checks-inconclusive");
    let away = running(checked(), measured(json!(["away"]), json!({"errorLimit": 2}))).await;
    let record = away.deployed("2").await;
    assert_eq!(record.outcome, Some(Outcome::RolledBack));
    assert_eq!(record.fault.unwrap().code, "checks-inconclusive");
    assert_eq!(away.world.asked_of_checks.lock().unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn checks_go_on_where_they_were_after_a_restart_and_can_be_skipped() {
    let stage = running(checked(), measured(json!(["passed"]), json!({"count": 100}))).await;
    let id = stage.announce("2").await;
    while stage.world.asked_of_checks.lock().unwrap().len() < 5 {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    stage.engine.stop().await;
    let asked = stage.world.asked_of_checks.lock().unwrap().clone();
    let engine = stage.world.engine(&crate::fakes::life::Life::long());
    engine.start().await.unwrap();
    let stage = Stage { world: stage.world, engine };
    while stage.world.asked_of_checks.lock().unwrap().len() < asked.len() + 3 {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    let all = stage.world.asked_of_checks.lock().unwrap().clone();
    assert!(all.iter().all(|input| input["since-ms"] == all[0]["since-ms"]), "one run of checks");
    let work = stage.engine.deployment(&id).await.unwrap().work.unwrap();
    let step = work.waits().unwrap();
    assert!(step.message.as_ref().unwrap().starts_with("checks: errors"), "{step:?}");
    assert!(matches!(step.status, StepStatus::Pending { .. }));
    let how = Steering::Promote(Skip::Step);
    stage.engine.steer(&caller(), &id, how, Some("seen enough".into())).await.unwrap();
    assert_succeeded(&stage.end_of(&id).await);
    assert!(stage.world.now() > Timestamp(0));
}

#[tokio::test(start_paused = true)]
async fn tracks_that_a_failed_deployment_left_go_with_the_next() {
    let stage = running(canary(), json!({})).await;
    let id = stage.announce("2").await;
    stage.paused(&id).await;
    stage.world.cluster().broken.insert(image("frontend", "1"));
    stage.engine.cancel(&caller(), &id, None).await.unwrap();
    assert_eq!(stage.end_of(&id).await.outcome, Some(Outcome::NeedsOperator));
    assert!(stage.world.cluster().object("Deployment", "frontend-canary").is_some());
    stage.world.cluster().broken.clear();
    stage.apply(vec![programmed(&json!([apply("stable"), ready("stable")]), &json!({}))]).await;
    assert_succeeded(&stage.deployed("3").await);
    let names = stage.world.cluster().names();
    assert!(!names.iter().any(|name| name.contains("canary")), "{names:?}");
}

#[tokio::test(start_paused = true)]
async fn what_has_failed_is_not_brought_back_by_automation() {
    let stage = running(json!([apply("stable"), ready("stable")]), json!({})).await;
    let place = crate::world::development();
    stage.world.cluster().broken.insert(image("frontend", "2"));
    let failed = stage.deployed("2").await;
    assert_eq!(failed.outcome, Some(Outcome::RolledBack));
    let kept = stage.engine.quarantine(&place).await.unwrap();
    assert_eq!(kept.len(), 2, "all that came with it: {kept:?}");
    assert!(kept.iter().all(|one| one.deployment == failed.id && one.code == "crash-loop"));

    let artifact = |workload: &str, version: &str| crate::documents::artifact(workload, version);
    let again = vec![artifact("frontend", "2")];
    let announced = stage.engine.announce(&caller(), again).await.unwrap();
    let route = &announced.routes[0];
    assert!(route.deployment.is_none(), "{route:?}");
    assert_eq!(route.quarantined[0].image, image("frontend", "2"));
    // A newer backend comes with the frontend that runs, not with the one that failed.
    let newer = vec![artifact("backend", "3")];
    let announced = stage.engine.announce(&caller(), newer).await.unwrap();
    let id = announced.routes[0].deployment.clone().unwrap();
    assert_succeeded(&stage.end_of(&id).await);
    let view = stage.engine.environment(&place).await.unwrap();
    let images: Vec<&str> = view.images.iter().map(|(_, image)| image.as_str()).collect();
    assert_eq!(images, [image("backend", "3"), image("frontend", "1")]);

    stage.world.cluster().broken.clear();
    let request = LiftRequest { image: image("frontend", "2"), reason: Some("a bad node".into()) };
    stage.engine.lift(&caller(), &place, request.clone()).await.unwrap();
    assert!(stage.engine.lift(&caller(), &place, request).await.is_err(), "it is lifted");
    let again = vec![artifact("frontend", "2")];
    let announced = stage.engine.announce(&caller(), again).await.unwrap();
    assert_succeeded(&stage.end_of(announced.routes[0].deployment.as_ref().unwrap()).await);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_ends_or_nobody_can_tell_is_not_put_into_quarantine() {
    let stage = running(checked(), measured(json!(["no data"]), json!({}))).await;
    let place = crate::world::development();
    assert_eq!(stage.deployed("2").await.outcome, Some(Outcome::RolledBack));
    assert_eq!(stage.engine.quarantine(&place).await.unwrap(), []);
    stage.apply(vec![programmed(&canary(), &json!({}))]).await;
    let id = stage.announce("3").await;
    stage.paused(&id).await;
    stage.engine.cancel(&caller(), &id, None).await.unwrap();
    stage.end_of(&id).await;
    assert_eq!(stage.engine.quarantine(&place).await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn what_does_no_longer_well_after_its_end_is_rolled_back() {
    let stage = running(json!([apply("stable"), ready("stable")]), json!({})).await;
    let cared_for = |on_failure: &str| {
        let answers = json!(["passed", "passed", "passed", "failed"]);
        let mut of_type = serde_json::to_value(programmed(
            &json!([apply("stable"), ready("stable")]),
            &measured(answers, json!({"intervalMs": 60_000})),
        ))
        .unwrap();
        of_type["spec"]["afterwards"] =
            json!({"window": "1h", "checks": ["errors"], "onFailure": on_failure});
        document(DocumentKind::EnvironmentType, "development", of_type["spec"].take())
    };
    stage.apply(vec![cared_for("roll-back")]).await;
    let place = crate::world::development();
    let before = stage.state().await.deployed.unwrap();
    let second = stage.deployed("2").await;
    assert_succeeded(&second);
    let minutes = |n: u64| std::time::Duration::from_secs(60 * n);
    tokio::time::sleep(minutes(10)).await;
    let history = stage.engine.history(Some(&place), None, 10).await.unwrap().deployments;
    let back = &history[0];
    assert_eq!(back.number, second.number + 1, "one rollback and no more");
    assert!(matches!(&back.request.origin, Origin::Rollback { from, .. } if *from == second.id));
    assert!(back.request.comment.as_ref().unwrap().starts_with("degraded: errors: "));
    assert_eq!(back.outcome, Some(Outcome::Succeeded));
    assert_eq!(stage.state().await.deployed.unwrap().set, before.set);
    let kept = stage.engine.quarantine(&place).await.unwrap();
    assert_eq!(kept.len(), 2);
    assert!(kept.iter().all(|one| one.code == "degraded"));

    // Only for as long as the type says, and only told where it says so.
    stage.world.asked_of_checks.lock().unwrap().clear();
    stage.apply(vec![cared_for("report")]).await;
    let third = stage.deployed("3").await;
    tokio::time::sleep(minutes(180)).await;
    assert_eq!(stage.state().await.deployed.unwrap().deployment, third.id);
    assert_eq!(stage.engine.quarantine(&place).await.unwrap().len(), 4);
    assert_eq!(stage.world.asked_of_checks.lock().unwrap().len(), 4, "nothing after the failure");
}

#[tokio::test(start_paused = true)]
async fn a_long_sleep_lasts_as_long_as_it_says() {
    let hour = 3_600_000;
    let program = json!([apply("stable"), ready("stable"), {"do": "sleep", "ms": hour}]);
    let stage = running(program, json!({})).await;
    let began = stage.world.now();
    let id = stage.announce("2").await;
    tokio::time::sleep(std::time::Duration::from_secs(40 * 60)).await;
    let doing = stage.engine.rollout(&id).await.unwrap().doing.unwrap();
    assert_eq!(doing.waits_for, WaitsFor::Time);
    let left = doing.left_ms.unwrap();
    assert!((19 * 60_000..=20 * 60_000).contains(&left), "{left}");
    assert_succeeded(&stage.end_of(&id).await);
    assert!(stage.world.now().ms_since(began) >= hour);
}

#[tokio::test(start_paused = true)]
async fn a_canary_is_shown_with_its_tracks_checks_and_what_it_waits_for() {
    let stage = running(checked(), measured(json!(["passed"]), json!({"count": 100}))).await;
    let id = stage.announce("2").await;
    let watch = stage.engine.watch(&id).map(Result::unwrap);
    let measured = |view: &RolloutView| view.running().map_or(0, |run| run.checks[0].points.len());
    // Whoever watches gets it with each change.
    let view = {
        let mut views = std::pin::pin!(watch.filter_map(|update| async { update.rollout }));
        loop {
            let view = views.next().await.expect("the checks go on");
            if measured(&view) >= 3 {
                break view;
            }
        }
    };
    let asked = stage.engine.rollout(&id).await.unwrap();
    assert!(measured(&asked) >= measured(&view));
    for view in [*view, asked] {
        let web = view.workloads.iter().find(|it| it.name == "frontend").unwrap();
        let tracks: Vec<_> =
            web.tracks.iter().map(|it| (it.name.as_str(), it.replicas, it.weight)).collect();
        assert_eq!(tracks, [("stable", 3, 75), ("canary", 1, 25)]);
        let doing = view.doing.as_ref().unwrap();
        assert_eq!(doing.waits_for, WaitsFor::Checks);
        // A hundred passes, a second apart.
        let left = doing.left_ms.unwrap();
        assert!((90_000..100_000).contains(&left), "{left}");
        let check = &view.running().unwrap().checks[0];
        assert_eq!((check.needed, check.failures), (100, 0));
        assert_eq!(check.series()[0].unit, "%");
        let commands: Vec<&str> = view.next.iter().map(|next| next.command.as_str()).collect();
        assert!(commands.contains(&"deployd promote shop/development"), "{commands:?}");
    }
    let how = Steering::Promote(Skip::Step);
    stage.engine.steer(&caller(), &id, how, None).await.unwrap();
    assert_succeeded(&stage.end_of(&id).await);
    let after = stage.engine.rollout(&id).await.unwrap();
    assert!(after.doing.is_none() && after.next.is_empty());
    assert!(after.checks[0].skipped);
    assert!(after.workloads.iter().all(|it| it.tracks.len() == 1 && it.tracks[0].weight == 100));
    let nobody = stage.engine.rollout(&DeploymentId("nobody".into())).await;
    assert!(nobody.unwrap_err().to_string().contains("there is no"));
}
