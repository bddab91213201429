//! Artifacts of one source come in the order of their builds, or are not deployed.

use deployd_core::artifact::Artifact;
use deployd_core::views::{Announced, Superseded};

use crate::documents::{artifact, image};
use crate::world::{Stage, assert_succeeded, caller, deployment_of};

impl Stage {
    /// The image that runs.
    fn runs(&self, workload: &str) -> String {
        let cluster = self.world.cluster();
        let object = cluster.object("Deployment", workload).unwrap();
        object["spec"]["images"][0].as_str().unwrap().to_owned()
    }

    /// Announces a version of the frontend that was built from this ref, with its
    /// place.
    async fn built(&self, version: &str, git_ref: &str, place: Option<u64>) -> Announced {
        let artifact = Artifact {
            git_ref: Some(git_ref.to_owned()),
            sequence: place,
            ..artifact("frontend", version)
        };
        self.engine.announce(&caller(), vec![artifact]).await.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn i3_an_artifact_that_comes_late_is_recorded_and_not_deployed() {
    let stage = Stage::new().await;
    stage.deployed("1").await;
    let newer = stage.built("7", "refs/heads/main", Some(7)).await;
    assert_succeeded(&stage.end_of(&deployment_of(&newer)).await);

    let late = stage.built("6", "refs/heads/main", Some(6)).await;
    let [route] = late.routes.as_slice() else { panic!("{late:?}") };
    assert_eq!(route.deployment, None);
    assert_eq!(
        route.superseded,
        [Superseded { image: image("frontend", "6"), sequence: 6, newest: 7 }]
    );
    let events = stage.world.events().await;
    let recorded = events.iter().rev().find(|one| one.event.body["type"] == "artifacts-announced");
    assert_eq!(recorded.unwrap().event.body["routes"][0]["superseded"][0]["sequence"], 6);

    // What a person asks for next has the newest, and not the late one.
    let asked = stage.deploy().await;
    assert_succeeded(&stage.end_of(&asked).await);
    assert_eq!(stage.runs("frontend"), image("frontend", "7"));
}

#[tokio::test(start_paused = true)]
async fn i3_late_ones_hold_up_no_other_of_their_request() {
    let stage = Stage::new().await;
    stage.deployed("1").await;
    let newest = stage.built("7", "refs/heads/main", Some(7)).await;
    assert_succeeded(&stage.end_of(&deployment_of(&newest)).await);
    let late = Artifact { sequence: Some(6), ..artifact("frontend", "6") };
    let good = Artifact { sequence: Some(6), ..artifact("backend", "6") };
    let announced = stage.engine.announce(&caller(), vec![good, late]).await.unwrap();
    assert_eq!(announced.routes[0].superseded.len(), 1);
    assert_succeeded(&stage.end_of(&deployment_of(&announced)).await);
    assert_eq!(stage.runs("frontend"), image("frontend", "7"));
    assert_eq!(stage.runs("backend"), image("backend", "6"));

    // Within one request the order counts as well.
    let both = [9, 8].map(|place| Artifact {
        sequence: Some(place),
        ..artifact("frontend", &place.to_string())
    });
    let announced = stage.engine.announce(&caller(), both.to_vec()).await.unwrap();
    assert_succeeded(&stage.end_of(&deployment_of(&announced)).await);
    assert_eq!(stage.runs("frontend"), image("frontend", "9"));
}

#[tokio::test(start_paused = true)]
async fn i3_sources_have_an_order_of_their_own_and_who_says_no_place_is_new() {
    let stage = Stage::new().await;
    stage.deployed("1").await;
    for (version, git_ref, place) in [
        ("7", "refs/heads/main", Some(7)),
        // Another branch counts for itself, as does a build that says nothing; a
        // build that was run again has its place again.
        ("x", "refs/heads/main-2", Some(2)),
        ("y", "refs/heads/main", None),
        ("z", "refs/heads/main", Some(7)),
    ] {
        let announced = stage.built(version, git_ref, place).await;
        if git_ref == "refs/heads/main" {
            assert_succeeded(&stage.end_of(&deployment_of(&announced)).await);
            assert_eq!(stage.runs("frontend"), image("frontend", version));
        }
        assert!(announced.routes.iter().all(|route| route.superseded.is_empty()));
    }
}

#[tokio::test(start_paused = true)]
async fn i3_of_two_that_come_at_once_the_newer_one_counts() {
    let stage = Stage::new().await;
    // Nothing is deployed until the other workload has come.
    let (engine, world) = (stage.engine.clone(), stage.world.clone());
    let newer = Artifact { sequence: Some(7), ..artifact("frontend", "7") };
    let after_looking = async move {
        world.before("scan", async move {
            engine.announce(&caller(), vec![newer]).await.unwrap();
        });
    };
    stage.world.before("get", after_looking);
    let late = stage.built("6", "refs/heads/main", Some(6)).await;
    assert_eq!(late.routes[0].superseded.len(), 1, "{late:?}");
    let announced = stage.engine.announce(&caller(), vec![artifact("backend", "1")]).await.unwrap();
    assert_succeeded(&stage.end_of(&deployment_of(&announced)).await);
    assert_eq!(stage.runs("frontend"), image("frontend", "7"));
}
