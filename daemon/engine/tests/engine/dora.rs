//! DORA's figures of what the engine has done.

use std::time::Duration;

use deployd_core::Timestamp;
use deployd_core::deployment::Outcome;
use deployd_core::views::DeployRequest;
use deployd_engine::DoraFilter;

use crate::documents::{artifact, image, name};
use crate::world::{Stage, assert_succeeded, caller, deployment_of};

const DAY_MS: u64 = 86_400_000;

#[tokio::test(start_paused = true)]
async fn deliveries_are_counted_from_their_commits_and_failures_until_they_are_mended() {
    let stage = Stage::new().await;
    let began = stage.world.now();
    // A day old when it is announced; the other one says nothing of its commit.
    let mut frontend = artifact("frontend", "1");
    frontend.committed_at = Some(Timestamp(began.0 - DAY_MS));
    let both = vec![frontend, artifact("backend", "1")];
    let announced = stage.engine.announce(&caller(), both).await.unwrap();
    let first = stage.end_of(&deployment_of(&announced)).await;
    assert_succeeded(&first);
    stage.world.cluster().broken.insert(image("frontend", "2"));
    assert_eq!(stage.deployed("2").await.outcome, Some(Outcome::RolledBack));
    stage.world.cluster().broken.clear();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_succeeded(&stage.deployed("3").await);
    tokio::time::sleep(Duration::from_secs(600)).await;
    // What came with 3 was bad: back to what was there before.
    let request = DeployRequest { redeploy: Some(first.id.clone()), ..DeployRequest::default() };
    let back = stage.engine.deploy(&caller(), request).await.unwrap();
    assert_succeeded(&stage.end_of(&back.id).await);

    let until = began.plus_ms(DAY_MS);
    let filter = DoraFilter { application: Some(name("shop")), ..DoraFilter::default() };
    let report = stage.engine.dora(&filter, began, until).await.unwrap();
    let [group] = &report.groups[..] else { panic!("{report:#?}") };
    assert_eq!(group.application, Some(name("shop")));
    assert_eq!(group.environment_type, Some(name("development")));
    let figures = &group.figures;
    assert_eq!((figures.deployments, figures.changes, figures.failed), (2, 3, 2));
    assert_eq!(figures.per_day, 2.0);
    let lead = figures.lead_time.unwrap();
    // Two images by two deployments, of which one says when it was committed.
    assert_eq!((lead.count, figures.lead_times_from_announcement), (4, 3));
    assert!(lead.p90_ms >= DAY_MS && lead.median_ms < DAY_MS, "{lead:?}");
    let restore = figures.time_to_restore.unwrap();
    assert!(restore.p90_ms >= 600_000, "{restore:?}");
    assert_eq!((restore.count, figures.not_restored), (2, 0));

    let none = DoraFilter { environment_type: Some(name("other")), ..DoraFilter::default() };
    assert!(stage.engine.dora(&none, began, until).await.unwrap().groups.is_empty());
    let together = DoraFilter { together: true, ..DoraFilter::default() };
    let all = stage.engine.dora(&together, began, until).await.unwrap();
    assert_eq!((all.groups[0].application.as_ref(), &all.groups[0].figures), (None, figures));
    let error = stage.engine.dora(&none, until, began).await.unwrap_err();
    assert!(error.to_string().contains("expected a time before"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_comes_from_another_environment_is_a_change_and_no_remedy() {
    let stage = Stage::new().await;
    let began = stage.world.now();
    let first = stage.deployed("1").await;
    let promote = DeployRequest {
        environment: "shop/production".parse().ok(),
        set_digest: Some(first.request.set),
        ..DeployRequest::default()
    };
    let elsewhere = stage.engine.deploy(&caller(), promote).await.unwrap();
    assert_succeeded(&stage.end_of(&elsewhere.id).await);
    assert_succeeded(&stage.deployed("2").await);
    let redeploy = DeployRequest { redeploy: Some(elsewhere.id), ..crate::world::request() };
    let redeployed = stage.engine.deploy(&caller(), redeploy).await.unwrap();
    assert_succeeded(&stage.end_of(&redeployed.id).await);
    let (all, until) = (DoraFilter::default(), began.plus_ms(DAY_MS));
    let report = stage.engine.dora(&all, began, until).await.unwrap();
    let figures = &report.groups[0].figures;
    assert_eq!((figures.changes, figures.failed), (4, 0), "{report:#?}");
}
