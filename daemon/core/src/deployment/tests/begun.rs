//! What was begun of resources is remembered until it is there, or gone.

use super::*;

/// A database that is made of these inputs, and nothing else.
fn made_of(step: &Step, inputs: &str, answer: fn(&Step) -> Event) -> Event {
    match &step.kind {
        StepKind::Plan => Event::DeploymentPlanned {
            deployment: active(step),
            plan: Digest::of(inputs.as_bytes()),
            basis: None,
            policies: false,
            gates: vec![],
            resources: vec![ResourceStep {
                uid: Uid("db".into()),
                name: "postgres#db".into(),
                after: vec![],
                unsafe_to_repeat: false,
                inputs: Some(Digest::of(inputs.as_bytes())),
            }],
            destroy: vec![],
            proposes: false,
        },
        _ => answer(step),
    }
}

fn well_made(step: &Step) -> Event {
    well(step)
}

fn half_made(step: &Step) -> Event {
    match &step.kind {
        StepKind::Provision { .. } => failed(step, Fault::permanent("lost", "nobody knows")),
        _ => well(step),
    }
}

fn begun(world: &World<'_>) -> Vec<Digest> {
    let all = world.state.begun.values().flatten();
    all.map(|begun| begun.inputs.unwrap()).collect()
}

#[test]
fn i8_what_was_begun_with_other_inputs_is_known_until_it_is_there_or_gone() {
    let of = |text: &str| Digest::of(text.as_bytes());
    let run = |world: &mut World<'_>, id: &str, expected: Outcome| {
        world.request(id, Mode::Manual);
        assert_eq!(world.run(), expected);
        assert_eq!(world.kept_state(), world.state);
    };
    let first = |step: &Step| match active(step).0.as_str() {
        "one" => made_of(step, "a", half_made),
        "two" => made_of(step, "b", half_made),
        "three" => made_of(step, "a", half_made),
        "automatic" => made_of(step, "b", well_made),
        // What is there was made of the same.
        "manual" => made_of(step, "b", half_made),
        _ => made_of(step, "a", well_made),
    };
    let mut world = World::new(&first);
    run(&mut world, "one", Outcome::Failed);
    run(&mut world, "two", Outcome::Failed);
    run(&mut world, "three", Outcome::Failed);
    assert_eq!(begun(&world), [of("b"), of("a")], "each once, the newest last");
    run(&mut world, "automatic", Outcome::Succeeded);
    assert_eq!(begun(&world), [of("a")], "it does not forget what the other one has begun");
    run(&mut world, "manual", Outcome::Failed);
    assert_eq!(begun(&world), [of("a")]);
    run(&mut world, "end", Outcome::Succeeded);
    assert_eq!(begun(&world), []);
}

#[test]
fn what_is_there_goes_first_and_then_each_that_was_begun() {
    let destroy = |step: &Step| {
        let one = |uid: &str, inputs: Option<&str>, after: &[&str]| DestroyStep {
            uid: Uid(uid.into()),
            unsafe_to_repeat: false,
            after: Some(after.iter().map(|uid| Uid((*uid).into())).collect()),
            inputs: inputs.map(|inputs| Digest::of(inputs.as_bytes())),
        };
        match (&step.kind, made_of(step, "c", well_made)) {
            (
                StepKind::Plan,
                Event::DeploymentPlanned { deployment, plan, gates, resources, .. },
            ) => {
                let destroy = vec![
                    one("db", None, &[]),
                    one("db", Some("a"), &[]),
                    one("db", Some("b"), &[]),
                    one("server", None, &["db"]),
                ];
                Event::DeploymentPlanned {
                    deployment,
                    plan,
                    gates,
                    resources,
                    destroy,
                    basis: None,
                    policies: false,
                    proposes: false,
                }
            }
            _ => well(step),
        }
    };
    let mut world = World::new(&destroy);
    world.request("one", Mode::Manual);
    assert_eq!(world.run(), Outcome::Succeeded);
    let steps = &world.last.as_ref().unwrap().work.as_ref().unwrap().steps;
    let order: Vec<String> = world
        .history
        .iter()
        .filter_map(|(_, event)| match event {
            Event::StepSucceeded { step, .. } if step.0.starts_with("destroy:") => {
                Some(step.0.clone())
            }
            _ => None,
        })
        .collect();
    let short = |text: &str| Digest::of(text.as_bytes()).short();
    let expected = [
        "destroy:db".to_owned(),
        format!("destroy:db@{}", short("a")),
        format!("destroy:db@{}", short("b")),
        "destroy:server".to_owned(),
    ];
    assert_eq!(order, expected);
    let server = steps.iter().find(|step| step.id.0 == "destroy:server").unwrap();
    assert_eq!(server.after.len(), 4, "after all of the database, and the pruning");
}
