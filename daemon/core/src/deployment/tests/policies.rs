//! What policies judge comes between what is rendered and what is applied.

use super::*;
use crate::policy::PolicyReport;

fn judged(step: &Step) -> Event {
    match (&step.kind, well(step)) {
        (StepKind::Plan, Event::DeploymentPlanned { deployment, plan, gates, resources, .. }) => {
            Event::DeploymentPlanned {
                deployment,
                plan,
                gates,
                resources,
                destroy: vec![],
                basis: None,
                policies: true,
                proposes: false,
            }
        }
        (StepKind::Policies, _) => Event::StepSucceeded {
            deployment: active(step),
            step: step.id.clone(),
            result: None,
            observed: Some(json!(PolicyReport { later: 7, ..PolicyReport::default() })),
            published: None,
        },
        (_, well) => well,
    }
}

fn refused(step: &Step) -> Event {
    match &step.kind {
        StepKind::Policies => failed(step, Fault::denied("policy-denied", "no latest here")),
        _ => judged(step),
    }
}

#[test]
fn nothing_is_applied_before_policies_have_let_it_through() {
    let mut world = World::new(&judged);
    world.request("one", Mode::Manual);
    assert_eq!(world.run(), Outcome::Succeeded);
    let work = world.last.clone().unwrap().work.unwrap();
    let steps: Vec<&str> = work.steps.iter().map(|step| step.id.0.as_str()).collect();
    assert_eq!(steps[3..6], ["render", "policies", "apply-resources"]);
    assert_eq!(work.steps.find("apply-resources").unwrap().after, [StepId("policies".into())]);
    assert_eq!(work.policies.unwrap().later, 7, "what was found is kept");
}

#[test]
fn what_policies_refuse_is_never_applied() {
    let mut world = World::new(&refused);
    world.request("one", Mode::Manual);
    assert_eq!(world.run(), Outcome::Failed);
    let record = world.last.clone().unwrap();
    assert_eq!(record.fault.unwrap().code, "policy-denied");
    assert!(world.state.applied.is_empty(), "nothing was begun to be applied");
    assert!(world.state.deployed.is_none());
}
