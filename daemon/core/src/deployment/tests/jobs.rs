//! Jobs before and after a rollout, and what undoes them.

use super::super::jobs::observed;
use super::rollback::rollout_fails;
use super::*;
use crate::rollout::jobs::{RolloutJob, When};

fn job(name: &str, when: When, undone: bool) -> RolloutJob {
    RolloutJob {
        name: name.into(),
        when,
        manifests: Digest::of(b"manifests"),
        undone_by: undone.then(|| format!("{name}-back")),
    }
}

/// Rendering tells of two Jobs before and two after.
fn rendered(step: &Step) -> Event {
    let jobs = [
        job("shape", When::Before, true),
        job("fill", When::Before, true),
        job("warm", When::After, true),
        job("tell", When::After, true),
    ];
    Event::StepSucceeded {
        deployment: active(step),
        step: step.id.clone(),
        result: Some(Digest::of(b"manifests")),
        observed: observed(&jobs),
        published: None,
    }
}

fn with_jobs(step: &Step) -> Event {
    match &step.kind {
        StepKind::Render => rendered(step),
        _ => well(step),
    }
}

/// The second deployment fails at this step.
fn failing_at(at: &'static str) -> impl Fn(&Step) -> Event {
    move |step: &Step| match &step.kind {
        StepKind::Render => rendered(step),
        _ if step.id.0 == at && active(step).0 == "two" => {
            failed(step, Fault::permanent("job-failed", "no such column"))
        }
        _ => well(step),
    }
}

/// What was begun of a deployment, in the order in which it was.
fn begun(world: &World<'_>, of: &str) -> Vec<String> {
    let started = world.history.iter().filter_map(|(_, event)| match event {
        Event::StepStarted { deployment, step, .. } if deployment.0 == of => Some(step.0.clone()),
        _ => None,
    });
    let wanted = ["job:", "undo:", "rollout:1", "restore", "prune", "apply-"];
    started.filter(|id| wanted.iter().any(|one| id.starts_with(one))).collect()
}

fn two(answer: &dyn Fn(&Step) -> Event) -> (World<'_>, Outcome) {
    let mut world = World::new(answer);
    world.request("one", Mode::Manual);
    world.request("two", Mode::Manual);
    let outcome = world.run();
    (world, outcome)
}

#[test]
fn jobs_run_one_by_one_around_the_rollout() {
    let (world, outcome) = two(&with_jobs);
    assert_eq!(outcome, Outcome::Succeeded);
    assert_eq!(
        begun(&world, "two"),
        ["apply-resources", "job:shape", "job:fill", "rollout:1", "job:warm", "job:tell", "prune"]
    );
    let left: Vec<&str> = world.state.jobs.iter().map(|run| run.name.as_str()).collect();
    assert_eq!(left, ["shape", "fill", "warm", "tell"], "the last deployment's can be looked at");
    assert!(world.state.jobs.iter().all(|run| run.deployment.0 == "two"));
}

#[test]
fn i7_what_is_undone_is_so_in_the_reverse_order() {
    let answer = failing_at("job:tell");
    let (world, outcome) = two(&answer);
    assert_eq!(outcome, Outcome::RolledBack);
    assert_eq!(
        begun(&world, "two"),
        [
            "apply-resources",
            "job:shape",
            "job:fill",
            "rollout:1",
            "job:warm",
            "job:tell",
            // It failed, and nobody knows how far it came.
            "undo:tell",
            "undo:warm",
            "restore",
            "prune",
            "undo:fill",
            "undo:shape",
        ]
    );
}

#[test]
fn what_was_not_begun_is_not_undone() {
    let answer = failing_at("job:shape");
    let (world, outcome) = two(&answer);
    assert_eq!(outcome, Outcome::RolledBack);
    assert_eq!(
        begun(&world, "two"),
        ["apply-resources", "job:shape", "restore", "prune", "undo:shape"]
    );
    let answer = |step: &Step| match &step.kind {
        StepKind::Render => rendered(step),
        _ => rollout_fails(step),
    };
    let (world, outcome) = two(&answer);
    assert_eq!(outcome, Outcome::RolledBack);
    let after: Vec<String> =
        begun(&world, "two").into_iter().skip_while(|id| id != "restore").collect();
    assert_eq!(after, ["restore", "prune", "undo:fill", "undo:shape"]);
}

#[test]
fn what_can_not_be_undone_is_only_ended() {
    let answer = |step: &Step| match &step.kind {
        StepKind::Render => Event::StepSucceeded {
            deployment: active(step),
            step: step.id.clone(),
            result: Some(Digest::of(b"manifests")),
            observed: observed(&[
                job("shape", When::Before, false),
                job("fill", When::Before, false),
            ]),
            published: None,
        },
        _ => failing_at("job:fill")(step),
    };
    let (world, outcome) = two(&answer);
    assert_eq!(outcome, Outcome::RolledBack);
    let undone: Vec<String> =
        begun(&world, "two").into_iter().filter(|id| id.starts_with("undo:")).collect();
    assert_eq!(undone, ["undo:fill"], "the one that has come to its end is left");
}

#[test]
fn what_ran_before_comes_back_although_a_job_can_not_be_undone() {
    let answer = |step: &Step| match step.id.0.as_str() {
        "undo:tell" => failed(step, Fault::permanent("job-failed", "no")),
        _ => failing_at("job:tell")(step),
    };
    let (world, outcome) = two(&answer);
    assert_eq!(outcome, Outcome::NeedsOperator);
    let after: Vec<String> =
        begun(&world, "two").into_iter().skip_while(|id| id != "undo:tell").collect();
    // What came before it is not undone: it might need that.
    assert_eq!(after, ["undo:tell", "restore", "prune"]);
    assert_eq!(world.state.deployed.as_ref().unwrap().deployment.0, "one");
}

#[test]
fn somebody_who_cancels_has_them_undone() {
    let mut world = World::new(&with_jobs);
    world.request("one", Mode::Manual);
    world.run();
    world.request("two", Mode::Manual);
    let runs = |world: &World<'_>, id: &str| {
        let active = world.state.active.as_ref();
        let step = active.and_then(|active| active.step(&StepId(id.into())));
        step.is_some_and(|step| step.status == StepStatus::Running)
    };
    while !runs(&world, "job:fill") {
        assert!(world.step());
    }
    let cancel = Event::CancelRequested { deployment: DeploymentId("two".into()), reason: None };
    world.append(cancel).unwrap();
    let step = world.state.active.as_ref().unwrap().step(&StepId("job:fill".into())).unwrap();
    let abandoned = failed(step, Fault::permanent("abandoned", "nobody waits"));
    world.append(abandoned).unwrap();
    assert_eq!(world.run(), Outcome::Cancelled);
    let after: Vec<String> =
        begun(&world, "two").into_iter().skip_while(|id| id != "restore").collect();
    assert_eq!(after, ["restore", "prune", "undo:fill", "undo:shape"]);
}

#[test]
fn the_first_deployment_has_nothing_to_go_back_to() {
    let answer = |step: &Step| match step.id.0.as_str() {
        "job:fill" => failed(step, Fault::permanent("job-failed", "no")),
        _ => with_jobs(step),
    };
    let mut world = World::new(&answer);
    world.request("one", Mode::Manual);
    assert_eq!(world.run(), Outcome::Failed);
    assert_eq!(begun(&world, "one"), ["apply-resources", "job:shape", "job:fill"]);
    assert_eq!(world.state.jobs.len(), 2, "whoever runs Jobs next takes them away");
}
