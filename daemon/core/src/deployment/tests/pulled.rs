//! What comes to its branch by a pull request waits for whoever merges it.

use std::cell::RefCell;

use super::turns::rollback;
use super::*;
use crate::journal::StreamId;
use crate::notice::notice;
use crate::ports::CommitId;
use crate::pull::Published;

/// When the forge is asked again.
const LATER_MS: u64 = 1_000_000_000;

/// What becomes of the pull request.
#[derive(Clone, Copy, PartialEq)]
enum Request {
    Open,
    Merged,
    Closed,
    /// Merged in the moment in which it was to be closed.
    MergedLate,
}

fn published(changed: bool) -> Option<Box<Published>> {
    Some(Box::new(Published {
        repository: "https://git.example.com/x.git".to_owned(),
        branch: "main".to_owned(),
        commit: CommitId("c".repeat(40)),
        files: Digest::of(b"files"),
        changed,
        pull_request: None,
    }))
}

fn answer(step: &Step, request: Request) -> Event {
    let (deployment, id) = (active(step), step.id.clone());
    match (&step.kind, well(step)) {
        (StepKind::Plan, Event::DeploymentPlanned { plan, gates, resources, .. }) => {
            Event::DeploymentPlanned {
                deployment,
                plan,
                gates,
                resources,
                destroy: vec![],
                basis: None,
                policies: false,
                proposes: true,
            }
        }
        (StepKind::Propose, _) if request == Request::Merged => Event::StepSucceeded {
            deployment,
            step: id,
            result: None,
            observed: None,
            published: published(true),
        },
        (StepKind::Propose, _) if request == Request::Closed => {
            failed(step, Fault::denied(CLOSED, "ana has closed it"))
        }
        (StepKind::Propose, _) => Event::StepPending {
            deployment,
            step: id,
            token: "12".to_owned(),
            poll_at: Timestamp(LATER_MS),
            message: "waits for pull request #12".to_owned(),
        },
        (StepKind::Withdraw, _) => Event::StepSucceeded {
            deployment,
            step: id,
            result: None,
            observed: None,
            published: published(true).filter(|_| request == Request::MergedLate),
        },
        (_, well) => well,
    }
}

impl World<'_> {
    /// Goes on until the active deployment waits to be merged.
    fn until_it_waits(&mut self) {
        while !self.state.active.as_ref().is_some_and(Deployment::waits_for_merge) {
            assert!(self.step(), "it does not come to its pull request");
        }
    }

    fn steps_of(&self, name: &str) -> Vec<String> {
        let work = self.kept_record(&DeploymentId(name.into())).work.unwrap();
        let begun = work.steps.iter().filter(|step| step.started.is_some());
        begun.map(|step| step.id.0.clone()).collect()
    }

    fn came_to(&self, name: &str) -> Option<Outcome> {
        self.kept_record(&DeploymentId(name.into())).outcome
    }
}

#[test]
fn nothing_is_applied_before_it_is_merged() {
    let request = RefCell::new(Request::Open);
    let answered = |step: &Step| answer(step, *request.borrow());
    let mut world = World::new(&answered);
    world.request("one", Mode::Manual);
    world.until_it_waits();
    assert!(!world.steps_of("one").iter().any(|step| step == "apply-resources"));
    assert_eq!(world.kept_state(), world.state);
    let (at, event) = world.history.last().unwrap();
    let (stream, version) = (StreamId("s".into()), Version(world.history.len() as u64));
    let told = notice(&environment(), &stream, version, *at, event, world.last.as_ref()).unwrap();
    assert_eq!(told.notice_type, "deployment.proposed");
    assert_eq!(told.data["message"], "waits for pull request #12");
    *request.borrow_mut() = Request::Merged;
    world.now = Timestamp(LATER_MS);
    assert_eq!(world.run(), Outcome::Succeeded);
    assert_eq!(world.state.published, published(true), "what is on the branch is known");
    assert_eq!(world.kept_state(), world.state);
}

#[test]
fn a_request_that_is_closed_is_a_refusal() {
    let answered = |step: &Step| answer(step, Request::Closed);
    let mut world = World::new(&answered);
    world.request("one", Mode::Manual);
    assert_eq!(world.run(), Outcome::Failed);
    assert_eq!(world.last.clone().unwrap().fault.unwrap().code, CLOSED);
    assert!(!world.steps_of("one").contains(&"withdraw".to_owned()), "it is closed already");
}

#[test]
fn who_is_superseded_while_it_waits_closes_its_request_first() {
    let answered = |step: &Step| answer(step, Request::Open);
    let mut world = World::new(&answered);
    world.request("automatic", Mode::Automatic);
    world.until_it_waits();
    world.request("newest", Mode::Automatic);
    while world.came_to("automatic").is_none() {
        assert!(world.step());
    }
    assert_eq!(world.came_to("automatic"), Some(Outcome::Superseded));
    assert_eq!(world.steps_of("automatic").last().unwrap(), "withdraw");
    world.until_it_waits();
    assert_eq!(world.state.active.as_ref().unwrap().id.0, "newest");
}

#[test]
fn one_that_somebody_asked_for_keeps_its_request_and_one_that_goes_back_has_it_closed() {
    let merged = RefCell::new(Request::Open);
    let answered = |step: &Step| match active(step).0.as_str() {
        "two" => well(step),
        _ => answer(step, *merged.borrow()),
    };
    let mut world = World::new(&answered);
    world.request("manual", Mode::Manual);
    world.until_it_waits();
    world.request("newest", Mode::Automatic);
    while world.step() && world.now.0 < 1_000_000 {}
    assert_eq!(world.state.active.as_ref().unwrap().id.0, "manual");
    world.ask_for("two", rollback("two", Mode::Manual)).unwrap();
    while world.came_to("two").is_none() {
        assert!(world.step());
    }
    assert_eq!(world.came_to("manual"), Some(Outcome::Cancelled));
    assert_eq!(world.steps_of("manual").last().unwrap(), "withdraw");
    assert_eq!(world.came_to("two"), Some(Outcome::Succeeded));
}

#[test]
fn what_is_merged_while_it_is_withdrawn_is_brought_back() {
    let request = RefCell::new(Request::Merged);
    let answered = |step: &Step| answer(step, *request.borrow());
    let mut world = World::new(&answered);
    world.request("one", Mode::Manual);
    assert_eq!(world.run(), Outcome::Succeeded);
    *request.borrow_mut() = Request::MergedLate;
    world.request("two", Mode::Manual);
    world.until_it_waits();
    let deployment = DeploymentId("two".into());
    world.append(Event::CancelRequested { deployment, reason: None }).unwrap();
    assert_eq!(world.run(), Outcome::Cancelled);
    let steps = world.steps_of("two");
    let closing: Vec<&str> = steps.iter().rev().take(3).map(String::as_str).collect();
    assert_eq!(closing, ["prune", "restore", "withdraw"]);
}
