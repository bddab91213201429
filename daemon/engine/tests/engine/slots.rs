//! Slots: asked for, answered, kept for those who have them, and open for them.

use std::time::Duration;

use deployd_core::audit::AuditFilter;
use deployd_core::calendar::{Decision, OPEN_SLOTS_MAX, Slot, SlotAct, SlotState, Span};
use deployd_core::deployment::{Deferral, DeploymentRecord, Outcome, Schedule};
use deployd_core::views::{DeployRequest, SlotReply, SlotRequest};
use deployd_core::{Actor, DeploymentId, SlotId};
use deployd_engine::{Caller, EngineError, SlotFilter};

use crate::calendars::{HOUR, assert_soon_after, frozen, hour, started};
use crate::fakes::life::Life;
use crate::world::{Stage, assert_succeeded, caller, development, keyed, request};

fn who(name: &str) -> Caller {
    Caller::new(Actor(name.to_owned()))
}

fn wanted(from: u64, to: u64) -> SlotRequest {
    let reason = "the database moves".to_owned();
    SlotRequest { environment: development(), from: hour(from), to: hour(to), reason }
}

fn because(reason: &str) -> SlotReply {
    SlotReply { reason: Some(reason.to_owned()) }
}

impl Stage {
    /// A slot that Ada has asked for.
    async fn slot(&self, from: u64, to: u64) -> SlotId {
        self.engine.request_slot(&caller(), wanted(from, to)).await.unwrap().id
    }

    async fn answer(&self, by: &str, id: &SlotId, act: SlotAct) -> Result<Slot, EngineError> {
        self.engine.answer_slot(&who(by), id, act, because("as was said")).await
    }

    /// A slot that Ada has.
    async fn granted(&self, from: u64, to: u64) -> SlotId {
        let id = self.slot(from, to).await;
        self.answer("bob", &id, SlotAct::Grant).await.unwrap();
        id
    }

    async fn deploys_in(
        &self,
        by: &Caller,
        slot: &SlotId,
    ) -> Result<DeploymentRecord, EngineError> {
        let schedule = Schedule { slot: Some(slot.clone()), ..Schedule::default() };
        self.engine.deploy(by, DeployRequest { schedule, ..request() }).await
    }

    /// Why something does not begin, once that is what is known.
    async fn waits_as(&self, id: &DeploymentId, why: &str) -> Deferral {
        for _ in 0..1_000 {
            let record = self.engine.deployment(id).await.unwrap();
            if let Some(found) = record.deferral().filter(|found| found.to_string().contains(why)) {
                return found.clone();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it does not wait because {why}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_frozen_begins_in_the_slot_that_somebody_else_has_granted() {
    let mut stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    stage.apply(vec![frozen(3, 20)]).await;
    let slot = stage.slot(5, 6).await;
    let id = stage.deploys_in(&caller(), &slot).await.unwrap().id;
    assert_eq!(stage.waits_as(&id, "which was not granted yet").await.until, None);
    let own = stage.answer("ada", &slot, SlotAct::Grant).await.unwrap_err();
    assert!(own.to_string().contains("was asked for by ada: somebody else has to answer"), "{own}");
    stage.answer("bob", &slot, SlotAct::Grant).await.unwrap();
    assert_eq!(stage.waits_as(&id, "which begins at").await.until, Some(hour(5)));
    // What was said is known after a restart.
    stage.engine.abort();
    stage.engine = stage.world.engine(&Life::long());
    stage.engine.start().await.unwrap();
    let record = stage.end_of(&id).await;
    assert_succeeded(&record);
    assert_soon_after(started(&record), hour(5));
}

#[tokio::test(start_paused = true)]
async fn while_a_slot_lasts_others_wait_and_who_goes_back_does_not() {
    let stage = Stage::new().await;
    stage.deployed("1").await;
    assert_succeeded(&stage.deployed("2").await);
    let slot = stage.granted(4, 8).await;
    let plan = stage.engine.plan(&request()).await.unwrap();
    assert_eq!(plan.calendar, Some(Decision::Open { until: Some(hour(4)) }));
    tokio::time::sleep(2 * HOUR).await;
    let other = stage.deploy().await;
    let why = format!("slot {slot} is kept for ada: the database moves");
    assert_eq!(stage.waits_as(&other, &why).await.until, Some(hour(8)));
    let back = stage.end_of(&stage.rolled_back().await.id).await;
    assert_succeeded(&back);
    assert!(back.ended.unwrap() < hour(6));
    let own = stage.deploys_in(&caller(), &slot).await.unwrap().id;
    let own = stage.end_of(&own).await;
    assert_succeeded(&own);
    assert!(own.ended.unwrap() < hour(6));
    assert_soon_after(started(&stage.end_of(&other).await), hour(8));
}

#[tokio::test(start_paused = true)]
async fn who_takes_a_slot_back_ends_what_waits_for_it_and_lets_others_begin() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    let (first, second) = (stage.granted(4, 8).await, stage.slot(10, 11).await);
    let later = stage.deploys_in(&caller(), &second).await.unwrap().id;
    stage.waits_as(&later, "which was not granted yet").await;
    let bob = who("bob");
    let empty = stage.engine.answer_slot(&bob, &second, SlotAct::Refuse, because(" "));
    assert!(empty.await.unwrap_err().to_string().contains("expected why"));
    stage.answer("bob", &second, SlotAct::Refuse).await.unwrap();
    let record = stage.end_of(&later).await;
    assert_eq!(record.outcome, Some(Outcome::Cancelled));
    let fault = record.fault.unwrap();
    let said = format!("it was to begin in slot {second}, which was refused by bob: as was said");
    assert_eq!((fault.code.as_str(), fault.message), ("cancelled", said));
    tokio::time::sleep(2 * HOUR).await;
    let other = stage.deploy().await;
    stage.waits_as(&other, "is kept for ada").await;
    let before = stage.world.now();
    stage.answer("ada", &first, SlotAct::Withdraw).await.unwrap();
    assert_soon_after(started(&stage.end_of(&other).await), before);
}

#[tokio::test(start_paused = true)]
async fn what_has_not_begun_when_its_slot_ends_expires() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    let slot = stage.slot(4, 5).await;
    let record = stage.deploys_in(&caller(), &slot).await.unwrap();
    assert_eq!(record.request.schedule.expires, Some(hour(5)));
    let record = stage.end_of(&record.id).await;
    assert_soon_after(record.ended.unwrap(), hour(5));
    assert_eq!(record.fault.unwrap().code, "expired");
    // Nobody grants what is over.
    let late = stage.answer("bob", &slot, SlotAct::Grant).await.unwrap_err();
    assert!(late.to_string().contains("was over at"), "{late}");
}

#[tokio::test(start_paused = true)]
async fn a_deployment_names_a_slot_of_its_own_that_can_be() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    let slot = stage.granted(4, 5).await;
    let theirs = stage.deploys_in(&who("eva"), &slot).await.unwrap_err();
    assert!(theirs.to_string().contains("was asked for by ada, and is theirs"), "{theirs}");
    let none = stage.deploys_in(&caller(), &SlotId("none".into())).await.unwrap_err();
    assert!(none.to_string().contains("found none, expected one of shop/development"), "{none}");
    let schedule =
        Schedule { not_before: Some(hour(6)), slot: Some(slot.clone()), ..Schedule::default() };
    let after = stage.scheduled(schedule).await.unwrap_err();
    assert!(after.to_string().contains("schedule.expires"), "{after}");
    stage.answer("bob", &slot, SlotAct::Withdraw).await.unwrap();
    let gone = stage.deploys_in(&caller(), &slot).await.unwrap_err();
    assert!(matches!(gone, EngineError::Conflict { .. }), "{gone}");
    assert!(gone.to_string().contains("was withdrawn by bob: as was said"), "{gone}");
}

#[tokio::test(start_paused = true)]
async fn two_slots_at_the_same_time_are_granted_to_nobody_and_each_act_counts_once() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    let (engine, twice) = (&stage.engine, keyed("slot", "it"));
    let first = engine.request_slot(&twice, wanted(4, 8)).await.unwrap();
    assert_eq!(engine.request_slot(&twice, wanted(4, 8)).await.unwrap(), first);
    let second = stage.slot(6, 9).await;
    let grants = [&first.id, &second].map(|id| stage.answer("bob", id, SlotAct::Grant));
    let [one, other] = futures::future::join_all(grants).await.try_into().unwrap();
    let refused = match (one, other) {
        (Ok(_), Err(refused)) | (Err(refused), Ok(_)) => refused.to_string(),
        both => panic!("{both:?}"),
    };
    assert!(refused.contains("of ada was granted already, from"), "{refused}");
    let about = AuditFilter { environment: Some(development()), ..AuditFilter::default() };
    let audit = engine.audit(&about, None, 10).await.unwrap().entries;
    let told = format!("shop/development: slot requested {}: the database moves", first.id);
    assert_eq!(audit.iter().filter(|entry| entry.what == told).count(), 1, "{audit:#?}");
    assert_eq!(audit.iter().filter(|entry| entry.kind == "slot-granted").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn slots_are_listed_shown_and_bounded() {
    let stage = Stage::new().await;
    let (second, first) = (stage.granted(9, 10).await, stage.slot(4, 8).await);
    let gone = stage.slot(4, 5).await;
    stage.answer("ada", &gone, SlotAct::Withdraw).await.unwrap();
    let engine = &stage.engine;
    let listed = async |filter: SlotFilter| -> Vec<SlotId> {
        engine.slots(&filter).await.unwrap().into_iter().map(|slot| slot.id).collect()
    };
    let of = |application: &str| Some(application.parse().unwrap());
    assert_eq!(listed(SlotFilter::default()).await, [first.clone(), second.clone()]);
    let all = SlotFilter { all: true, application: of("shop"), ..SlotFilter::default() };
    assert_eq!(listed(all).await.len(), 3);
    let other = SlotFilter { application: of("bank"), ..SlotFilter::default() };
    assert_eq!(listed(other).await, []);

    let (here, day) = (development(), Span { from: hour(0), to: hour(24) });
    for of in [None, Some(&here)] {
        let view = engine.calendar(of, day).await.unwrap();
        let shown: Vec<SlotState> = view.slots.iter().map(|slot| slot.state).collect();
        assert_eq!(shown, [SlotState::Requested, SlotState::Granted]);
        assert_eq!(view.closures, []);
    }
    let check = engine.calendar_check(&here, Some(hour(9))).await.unwrap();
    assert_eq!(check.outlook.deployments.until(), Some(hour(10)));
    assert!(!check.outlook.deployments.is_open());
    assert!(check.outlook.of_slot(&second).unwrap().decision.is_open());
    // Who has asked for much asks for no more, until something is over.
    for _ in 2..OPEN_SLOTS_MAX {
        stage.slot(20, 21).await;
    }
    let more = engine.request_slot(&caller(), wanted(20, 21)).await.unwrap_err();
    assert!(more.to_string().contains("50 slots of shop/development are open already"), "{more}");
}
