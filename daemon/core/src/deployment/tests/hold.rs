//! What comes by itself after a person went back.

use super::turns::rollback;
use super::*;
use crate::calendar::Reason;

fn id(text: &str) -> DeploymentId {
    DeploymentId(text.to_owned())
}

impl World<'_> {
    fn ask_as(&mut self, who: &str, name: &str, request: Request) {
        for event in queue(&self.state, &id(name), request).unwrap() {
            self.append_as(who, event).unwrap();
        }
    }

    fn waits(&self, name: &str) -> Vec<Reason> {
        let queued = self.state.queue.iter().find(|queued| queued.id == id(name));
        let deferral = queued.and_then(|queued| queued.deferred.clone());
        deferral.map(|deferral| deferral.reasons).unwrap_or_default()
    }

    fn release(&mut self, name: &str) -> Result<(), Illegal> {
        self.append_as("ana", Event::HoldReleased { deployment: id(name), reason: None })
    }
}

#[test]
fn i4_what_comes_by_itself_waits_after_a_person_went_back() {
    let mut world = World::new(&well);
    world.request("one", Mode::Manual);
    world.settle();
    // It was there first, and has not begun: who goes back comes before it.
    world.request("two", Mode::Automatic);
    world.ask_as("ana", "back", rollback("back", Mode::Manual));
    world.settle();
    assert!(world.when("back", "deployment-ended").is_some());
    let reason = Reason::WentBack { by: Actor("ana".into()), deployment: id("back") };
    assert_eq!(world.waits("two"), std::slice::from_ref(&reason));
    assert_eq!(world.kept_state(), world.state);
    // Newest wins also there.
    world.request("three", Mode::Automatic);
    world.settle();
    assert!(world.when("two", "deployment-superseded").is_some());
    assert_eq!(world.waits("three"), [reason]);

    assert!(world.release("two").is_err(), "nothing is held by that");
    world.release("back").unwrap();
    assert_eq!(world.kept_state(), world.state);
    assert_eq!(world.run(), Outcome::Succeeded);
    assert!(world.when("three", "deployment-ended").is_some());
    assert!(world.release("back").is_err(), "once");
}

#[test]
fn what_a_person_deploys_is_not_held_and_ends_the_hold() {
    let mut world = World::new(&well);
    world.ask_as("ana", "back", rollback("back", Mode::Manual));
    world.settle();
    world.request("automatic", Mode::Automatic);
    world.ask_as("bob", "one", request("one", Mode::Manual));
    world.settle();
    let order = ["one", "automatic"].map(|name| world.when(name, "deployment-started").unwrap());
    assert!(order.is_sorted(), "{order:?}");
    assert_eq!(world.state.hold, None);
}

#[test]
fn what_deployd_went_back_from_holds_nothing_and_healing_is_never_held() {
    let mut world = World::new(&well);
    world.ask_for("back", rollback("back", Mode::Manual)).unwrap();
    world.settle();
    world.request("automatic", Mode::Automatic);
    assert_eq!(world.run(), Outcome::Succeeded);

    world.ask_as("ana", "again", rollback("again", Mode::Manual));
    world.settle();
    let origin = Origin::Drift { of: id("again") };
    world.ask_for("heal", Request { origin, ..request("heal", Mode::Automatic) }).unwrap();
    world.settle();
    assert!(world.when("heal", "deployment-ended").is_some());
    assert!(world.state.hold.is_some());
}

#[test]
fn who_does_not_want_to_go_back_after_all_holds_nothing() {
    let mut world = World::new(&well);
    world.ask_as("ana", "back", rollback("back", Mode::Manual));
    world.request("automatic", Mode::Automatic);
    let (outcome, fault) = (Outcome::Cancelled, None);
    world.append(Event::DeploymentEnded { deployment: id("back"), outcome, fault }).unwrap();
    assert_eq!(world.run(), Outcome::Succeeded);
    assert!(world.when("automatic", "deployment-ended").is_some());
}

#[test]
fn each_of_those_that_come_by_themselves_has_its_turn_where_that_is_wanted() {
    let mut world = World::new(&well);
    for name in ["one", "two", "three"] {
        world.request(name, Mode::Each);
    }
    world.request("newest", Mode::Automatic);
    assert_eq!(world.run(), Outcome::Succeeded);
    let order =
        ["one", "two", "three", "newest"].map(|name| world.when(name, "deployment-ended").unwrap());
    assert!(order.is_sorted(), "{order:?}");
    assert_eq!(world.when("one", "deployment-superseded"), None);
}
