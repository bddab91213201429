//! Which image is or was where: now, before, at a time, and where nothing is any
//! more.

use std::time::Duration;

use deployd_core::deployment::Outcome;
use deployd_core::deployment::stays::{RUNNING, running_key};
use deployd_core::image::ImageQuery;
use deployd_core::inventory::{InventoryFilter, Location, When};
use deployd_core::ports::{Batch, Put, Store};
use deployd_core::quarantine::LiftRequest;
use deployd_core::views::{DeployRequest, TeardownRequest};
use deployd_core::{EnvironmentId, Timestamp};
use deployd_engine::EngineError;

use crate::checks::check;
use crate::documents::{self, artifact, image};
use crate::world::{Stage, assert_succeeded, caller, development};

fn production() -> EnvironmentId {
    "shop/production".parse().unwrap()
}

fn query(text: &str) -> ImageQuery {
    text.parse().unwrap()
}

/// Environment, tag, whether it is there now, and how its deployment ended.
fn shown(locations: &[Location]) -> Vec<(String, String, bool, Outcome)> {
    locations
        .iter()
        .map(|location| {
            let Location { environment, stay, .. } = location;
            (
                environment.environment.to_string(),
                stay.tag.clone().unwrap_or_default(),
                stay.is_now(),
                stay.outcome,
            )
        })
        .collect()
}

impl Stage {
    async fn promoted(&self) {
        let set = self.state().await.deployed.unwrap().set;
        let request = DeployRequest {
            environment: Some(production()),
            set_digest: Some(set),
            ..DeployRequest::default()
        };
        let id = self.engine.deploy(&caller(), request).await.unwrap().id;
        assert_succeeded(&self.end_of(&id).await);
    }

    async fn ever(&self, text: &str) -> Vec<Location> {
        let found = self.engine.whereabouts(&query(text), When::Ever, None, None, 100).await;
        found.unwrap().locations
    }
}

#[tokio::test(start_paused = true)]
async fn an_image_is_found_by_all_its_names_now_and_before() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    stage.promoted().await;
    assert_succeeded(&stage.deployed("2").await);
    let old = artifact("frontend", "1");
    let expected = [
        ("development".to_owned(), "1".to_owned(), false, Outcome::Succeeded),
        ("production".to_owned(), "1".to_owned(), true, Outcome::Succeeded),
    ];
    for name in [old.image(), old.digest.to_string(), format!("{}:1", old.repository)] {
        assert_eq!(shown(&stage.ever(&name).await), expected, "{name}");
    }
    // Of the whole repository: what is there now.
    let now = query("registry.test/shop/frontend");
    let now = stage.engine.whereabouts(&now, When::Now, None, None, 100).await.unwrap();
    let tags: Vec<String> = now.locations.iter().filter_map(|at| at.stay.tag.clone()).collect();
    assert_eq!(tags, ["2", "1"]);
    assert_eq!(now.announced.len(), 2);
    assert_eq!(now.announced[0].artifact.tag.as_deref(), Some("1"));
    let all = stage.ever("registry.test/shop/frontend").await;
    assert_eq!(all.len(), 3);
    assert_eq!(all[0].stay.containers, ["frontend/main"]);
    assert_eq!(all[0].stay.environment_type, Some(documents::name("development")));

    // In one table, by environment.
    let inventory = stage.engine.inventory(&InventoryFilter::default(), None, 100).await.unwrap();
    let rows: Vec<(String, String)> = inventory
        .locations
        .iter()
        .map(|at| (at.environment.to_string(), at.image.clone()))
        .collect();
    let row = |environment: &EnvironmentId, workload, version| {
        (environment.to_string(), image(workload, version))
    };
    let expected = [
        row(&development(), "backend", "2"),
        row(&development(), "frontend", "2"),
        row(&production(), "backend", "1"),
        row(&production(), "frontend", "1"),
    ];
    assert_eq!(rows, expected);
    check(&stage.world, &documents::platform()).await;
}

#[tokio::test(start_paused = true)]
async fn the_past_is_as_it_was_also_of_what_is_gone() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    let then = stage.world.now();
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_succeeded(&stage.deployed("2").await);
    let request = TeardownRequest::default();
    let id = stage.engine.teardown(&caller(), &development(), request).await.unwrap().id;
    assert_succeeded(&stage.end_of(&id).await);

    let now = stage.engine.inventory(&InventoryFilter::default(), None, 100).await.unwrap();
    assert!(now.locations.is_empty(), "{now:?}");
    let filter = InventoryFilter { at: Some(then), ..InventoryFilter::default() };
    let past = stage.engine.inventory(&filter, None, 100).await.unwrap().locations;
    let images: Vec<&str> = past.iter().map(|at| at.image.as_str()).collect();
    assert_eq!(images, [image("backend", "1"), image("frontend", "1")]);
    let wanted = query(&image("frontend", "1"));
    let found = stage.engine.whereabouts(&wanted, When::Ever, Some(then), None, 9).await.unwrap();
    assert_eq!(found.locations, past[1..]);
    assert_eq!(found.last_seen, past[1].stay.until);
    let whole = query("registry.test/shop/frontend");
    let found = stage.engine.whereabouts(&whole, When::Ever, Some(then), None, 9).await.unwrap();
    assert_eq!(found.locations, past[1..]);

    let environment = stage.engine.environment_then(&development(), then).await.unwrap();
    assert_eq!((environment.number, environment.locations.clone()), (1, past.clone()));
    assert_eq!(environment.until, past[1].stay.until);
    for (at, expected) in [
        (Timestamp(1), "the first ran from"),
        (stage.world.now(), "it had been taken away"),
        (stage.world.now().plus_ms(9_000), "no later time than now"),
    ] {
        let error = stage.engine.environment_then(&development(), at).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    check(&stage.world, &documents::platform()).await;
}

#[tokio::test(start_paused = true)]
async fn the_way_to_production_has_what_failed_too() {
    let stage = Stage::new().await;
    stage.world.cluster().broken.insert(image("frontend", "1"));
    assert_eq!(stage.deployed("1").await.outcome, Some(Outcome::Failed));
    stage.world.cluster().broken.clear();
    for workload in ["frontend", "backend"] {
        let lift = LiftRequest { image: image(workload, "1"), reason: None };
        stage.engine.lift(&caller(), &development(), lift).await.unwrap();
    }
    assert_succeeded(&stage.deployed("1").await);
    stage.promoted().await;
    let wanted = query(&image("frontend", "1"));
    let passage = stage.engine.passage(&wanted, &production(), true).await.unwrap();
    assert!(passage.reached.is_some() && !passage.cut);
    assert_eq!(passage.stations.len(), 2);
    let [failed, station] = &passage.stations[..] else { panic!("{passage:#?}") };
    assert_eq!((failed.location.stay.outcome, failed.lasted_ms), (Outcome::Failed, None));
    assert_eq!(station.location.environment, development());
    assert_eq!(station.location.stay.outcome, Outcome::Succeeded);
    assert_eq!(station.location.stay.seen_ready, ["frontend"]);
    assert!(station.lasted_ms.is_some());
    // Never there: all that is known of it.
    assert_succeeded(&stage.deployed("2").await);
    let wanted = query(&image("frontend", "2"));
    let passage = stage.engine.passage(&wanted, &production(), true).await.unwrap();
    assert_eq!((passage.reached, passage.stations.len()), (None, 1));
    let whole = query("registry.test/shop/frontend");
    let error = stage.engine.passage(&whole, &production(), true).await.unwrap_err();
    assert!(error.to_string().contains("expected one image"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn pages_lead_to_all_of_it_and_unknown_names_to_what_is_near() {
    let stage = Stage::new().await;
    for version in ["1", "2", "3", "1", "2"] {
        assert_succeeded(&stage.deployed(version).await);
    }
    stage.promoted().await;
    let wanted = query("registry.test/shop/frontend");
    let whole = stage.ever("registry.test/shop/frontend").await;
    assert_eq!(whole.len(), 6);
    for max in 1..4 {
        let (mut paged, mut cursor) = (Vec::new(), None);
        loop {
            let cursor_now: Option<String> = cursor.take();
            let page = stage
                .engine
                .whereabouts(&wanted, When::Ever, None, cursor_now.as_deref(), max)
                .await
                .unwrap();
            paged.extend(page.locations);
            match page.next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        assert_eq!(paged, whole, "{max}");
    }
    let bad = stage.engine.whereabouts(&wanted, When::Ever, None, Some("zz"), 9).await;
    assert!(matches!(bad, Err(EngineError::Invalid { .. })), "{bad:?}");
    let unknown = query("registry.test/shop/frontned:1");
    let error = stage.engine.whereabouts(&unknown, When::Ever, None, None, 9).await.unwrap_err();
    assert!(error.to_string().contains("there is registry.test/shop/frontend"), "{error}");
    // Announced, and nowhere: that is known of it.
    let held = artifact("frontend", "9");
    let mut other = held.clone();
    other.git_ref = None;
    stage.engine.announce(&caller(), vec![other]).await.unwrap();
    assert!(stage.ever(&held.image()).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn i7_a_deployment_ends_also_when_what_ran_can_not_be_read() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    let nonsense =
        Put { index: RUNNING, key: running_key(&development()), value: Some(b"nonsense".to_vec()) };
    let batch = Batch { puts: vec![nonsense], ..Batch::default() };
    stage.world.store.append(batch).await.unwrap();
    assert_succeeded(&stage.deployed("2").await);
}
