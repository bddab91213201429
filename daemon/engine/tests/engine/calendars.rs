//! Deployments that calendars keep, and that go on when these say so.

use std::time::Duration;

use deployd_core::calendar::{Decision, Reason, Span};
use deployd_core::config::{Document, DocumentKey, DocumentKind, RollbackRule};
use deployd_core::deployment::{Deferral, DeploymentRecord, Outcome, Schedule};
use deployd_core::views::{DeployRequest, ResumeRequest, RollbackRequest, StopRequest};
use deployd_core::{DeploymentId, Timestamp};
use deployd_engine::EngineError;
use serde_json::{Value, json};

use crate::documents::document;
use crate::fakes::life::Life;
use crate::world::{Stage, assert_succeeded, caller, development, keyed, request};

pub const HOUR: Duration = Duration::from_secs(3_600);
const HOUR_MS: u64 = 3_600_000;

/// A little later than something is due, by which it has begun.
const SOON_MS: u64 = 5_000;

/// A calendar in UTC. The world begins on a Saturday at three.
fn calendar(spec: Value) -> Document {
    let mut whole = json!({"timeZone": "UTC"});
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    document(DocumentKind::Calendar, "week", whole)
}

/// A freeze from this hour of the first day until that one.
pub fn frozen(from: u32, to: u32) -> Document {
    let time = |hour: u32| format!("2026-11-21T{hour:02}:00");
    calendar(json!({"freezes": [
        {"name": "audit", "from": time(from), "to": time(to), "reason": "the auditors are here"},
    ]}))
}

pub fn hour(hour: u64) -> Timestamp {
    // 2026-11-21T00:00Z.
    Timestamp(1_795_219_200_000 + hour * HOUR_MS)
}

pub fn assert_soon_after(at: Timestamp, due: Timestamp) {
    assert!(at >= due && at.ms_since(due) < SOON_MS, "{at}, and not {due}");
}

pub fn started(record: &DeploymentRecord) -> Timestamp {
    record.work.as_ref().unwrap().started
}

impl Stage {
    pub async fn deferral(&self, id: &DeploymentId) -> Deferral {
        for _ in 0..1_000 {
            let record = self.engine.deployment(id).await.unwrap();
            if let Some(deferral) = record.deferral() {
                return deferral.clone();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it is not deferred");
    }

    pub async fn rolled_back(&self) -> DeploymentRecord {
        let id = development();
        self.engine.rollback(&caller(), &id, RollbackRequest::default()).await.unwrap()
    }

    pub async fn scheduled(&self, schedule: Schedule) -> Result<DeploymentRecord, EngineError> {
        self.engine.deploy(&caller(), DeployRequest { schedule, ..request() }).await
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_frozen_waits_and_begins_when_the_freeze_is_over() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    stage.apply(vec![frozen(3, 9)]).await;
    let id = stage.announce("2").await;
    let deferral = stage.deferral(&id).await;
    assert_eq!(deferral.until, Some(hour(9)));
    let told = deferral.to_string();
    assert!(told.ends_with("freeze audit of calendar week: the auditors are here"), "{told}");
    assert_eq!(stage.state().await.active, None, "who has to go back finds the place free");
    let record = stage.end_of(&id).await;
    assert_succeeded(&record);
    assert_soon_after(started(&record), hour(9));
}

#[tokio::test(start_paused = true)]
async fn a_window_that_opens_lets_one_after_the_other_begin_in_their_order() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    let office = json!({"name": "office", "effect": "allow", "start": "2026-01-01T06:00",
        "rule": "FREQ=DAILY", "duration": "2h"});
    stage.apply(vec![calendar(json!({"windows": [office]}))]).await;
    let (first, second) = (stage.deploy().await, stage.deploy().await);
    assert_eq!(stage.deferral(&second).await.until, Some(hour(6)));
    let (first, second) = (stage.end_of(&first).await, stage.end_of(&second).await);
    assert_soon_after(started(&first), hour(6));
    assert!(started(&second) >= first.ended.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_freeze_that_comes_while_something_waits_keeps_it_and_goes_with_its_document() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    let schedule = Schedule { not_before: Some(hour(5)), ..Schedule::default() };
    let id = stage.scheduled(schedule).await.unwrap().id;
    assert_eq!(stage.deferral(&id).await.reasons, [Reason::Scheduled { at: hour(5) }]);
    tokio::time::sleep(HOUR).await;
    stage.apply(vec![frozen(4, 20)]).await;
    tokio::time::sleep(2 * HOUR).await;
    assert_eq!(stage.deferral(&id).await.until, Some(hour(20)));
    // It is over sooner than was thought.
    let before = stage.world.now();
    let key = DocumentKey {
        kind: DocumentKind::Calendar,
        application: None,
        name: "week".parse().unwrap(),
    };
    stage.engine.remove_document(&caller(), &key, false, false).await.unwrap();
    let record = stage.end_of(&id).await;
    assert_succeeded(&record);
    assert_soon_after(started(&record), before);
}

#[tokio::test(start_paused = true)]
async fn who_goes_back_is_not_kept_and_what_waits_is_not_lost() {
    let stage = Stage::new().await;
    let first = stage.deployed("1").await;
    assert_succeeded(&stage.deployed("2").await);
    stage.apply(vec![frozen(3, 9)]).await;
    let waiting = stage.announce("3").await;
    stage.deferral(&waiting).await;
    let back = stage.end_of(&stage.rolled_back().await.id).await;
    assert_succeeded(&back);
    assert!(back.ended.unwrap() < hour(4));
    assert_eq!(stage.state().await.deployed.unwrap().set, first.request.set);
    stage.release().await;
    assert_soon_after(started(&stage.end_of(&waiting).await), hour(9));
}

#[tokio::test(start_paused = true)]
async fn a_calendar_may_keep_those_who_go_back_as_well() {
    let stage = Stage::new().await;
    stage.deployed("1").await;
    assert_succeeded(&stage.deployed("2").await);
    let mut frozen = frozen(3, 9);
    let Document::Calendar(calendar) = &mut frozen else { unreachable!() };
    calendar.spec.rollbacks = RollbackRule::Bound;
    stage.apply(vec![frozen]).await;
    let back = stage.rolled_back().await.id;
    assert_eq!(stage.deferral(&back).await.until, Some(hour(9)));
    assert_soon_after(started(&stage.end_of(&back).await), hour(9));
}

#[tokio::test(start_paused = true)]
async fn what_can_not_begin_in_its_time_ends_at_its_end() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    stage.apply(vec![frozen(3, 9)]).await;
    let schedule =
        Schedule { not_before: Some(hour(4)), expires: Some(hour(6)), ..Schedule::default() };
    let record = stage.end_of(&stage.scheduled(schedule).await.unwrap().id).await;
    assert_eq!(record.outcome, Some(Outcome::Cancelled));
    assert_eq!(record.fault.unwrap().code, "expired");
    assert_soon_after(record.ended.unwrap(), hour(6));
    // What could never begin is refused at once.
    let schedule =
        Schedule { not_before: Some(hour(8)), expires: Some(hour(8)), ..Schedule::default() };
    let refused = stage.scheduled(schedule).await.unwrap_err();
    assert!(refused.to_string().contains("schedule.expires"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn what_waits_waits_on_after_a_restart() {
    let mut stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    stage.apply(vec![frozen(3, 9)]).await;
    let id = stage.announce("2").await;
    stage.deferral(&id).await;
    stage.engine.abort();
    tokio::time::sleep(HOUR).await;
    stage.engine = stage.world.engine(&Life::long());
    stage.engine.start().await.unwrap();
    assert_eq!(stage.deferral(&id).await.until, Some(hour(9)));
    stage.engine.abort();
    // It opens while nobody looks.
    tokio::time::sleep(7 * HOUR).await;
    let began = stage.world.now();
    stage.engine = stage.world.engine(&Life::long());
    stage.engine.start().await.unwrap();
    assert_soon_after(started(&stage.end_of(&id).await), began);
}

#[tokio::test(start_paused = true)]
async fn a_freeze_that_comes_while_the_plan_is_made_keeps_its_execution() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    stage.apply(vec![frozen(15, 16)]).await;
    let engine = stage.engine.clone();
    stage.world.before("plan", async move {
        engine.apply(&caller(), vec![frozen(3, 9)], false).await.unwrap();
    });
    let id = stage.announce("2").await;
    assert_eq!(stage.deferral(&id).await.until, Some(hour(9)));
    let work = stage.engine.deployment(&id).await.unwrap().work.unwrap();
    assert_eq!(work.gates[0].message, "open by calendar week");
    let record = stage.end_of(&id).await;
    assert_succeeded(&record);
    let steps = &record.work.as_ref().unwrap().steps;
    let begun = steps.iter().skip(1).filter_map(|step| step.started).min();
    assert_soon_after(begun.unwrap(), hour(9));
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_stopped_keeps_everything_until_somebody_has_it_go_on() {
    let stage = Stage::new().await;
    stage.deployed("1").await;
    assert_succeeded(&stage.deployed("2").await);
    let engine = &stage.engine;
    let stop =
        || StopRequest { reason: "payments are down".into(), rollbacks: RollbackRule::Exempt };
    let stopped = engine.stop_line(&keyed("stop", "it"), stop()).await.unwrap();
    assert_eq!(engine.stop_line(&keyed("stop", "it"), stop()).await.unwrap(), stopped);
    let again = engine.stop_line(&caller(), stop()).await.unwrap_err();
    assert!(again.to_string().contains("payments are down"), "{again}");
    let id = stage.announce("3").await;
    let deferral = stage.deferral(&id).await;
    assert_eq!(deferral.until, None);
    let Reason::Stopped { because, by, .. } = &deferral.reasons[0] else { panic!("{deferral}") };
    assert_eq!((because.as_str(), by.0.as_str()), ("payments are down", "ada"));
    // Who has to go back can.
    assert_succeeded(&stage.end_of(&stage.rolled_back().await.id).await);
    stage.release().await;
    tokio::time::sleep(24 * HOUR).await;
    assert_eq!(engine.deployment(&id).await.unwrap().outcome, None);
    let before = stage.world.now();
    let reason = Some("they are back".to_owned());
    engine.resume_line(&caller(), ResumeRequest { reason }).await.unwrap();
    assert_soon_after(started(&stage.end_of(&id).await), before);
    assert!(engine.resume_line(&caller(), ResumeRequest::default()).await.is_err());
    let events = stage.world.events().await;
    let switched: Vec<(&str, &str)> = events
        .iter()
        .filter(|event| event.event.kind.starts_with("line-"))
        .map(|event| (event.event.kind.as_str(), event.event.body["reason"].as_str().unwrap()))
        .collect();
    assert_eq!(
        switched,
        [("line-stopped", "payments are down"), ("line-resumed", "they are back")]
    );
}

#[tokio::test(start_paused = true)]
async fn a_calendar_tells_what_is_closed_planned_and_done() {
    let stage = Stage::new().await;
    let first = stage.deployed("1").await;
    stage.apply(vec![frozen(5, 9)]).await;
    let schedule = Schedule { not_before: Some(hour(4)), ..Schedule::default() };
    let id = stage.scheduled(schedule).await.unwrap().id;
    stage.deferral(&id).await;
    let span = Span { from: hour(0), to: hour(24) };
    let here = development();
    for of in [None, Some(&here)] {
        let view = stage.engine.calendar(of, span).await.unwrap();
        assert_eq!(view.closures[0].span, Span { from: hour(5), to: hour(9) });
        let planned = &view.planned[0];
        assert_eq!((&planned.deployment, planned.begins()), (&id, Some(hour(4))));
        let done: Vec<&DeploymentId> = view.done.iter().map(|done| &done.deployment).collect();
        assert_eq!(done, [&first.id]);
    }
    let check = |at| stage.engine.calendar_check(&here, Some(at));
    let (open, closed) = (check(hour(4)).await.unwrap(), check(hour(6)).await.unwrap());
    assert_eq!(open.outlook.deployments, Decision::Open { until: Some(hour(5)) });
    assert_eq!(closed.outlook.deployments.until(), Some(hour(9)));
    assert!(closed.outlook.rollbacks.is_open());
    let plan = stage.engine.plan(&request()).await.unwrap();
    assert_eq!(plan.calendar, Some(Decision::Open { until: Some(hour(5)) }));
    let long = Span { from: hour(0), to: hour(367 * 24) };
    assert!(stage.engine.calendar(None, long).await.is_err());
}
