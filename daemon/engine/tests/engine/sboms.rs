//! Which image has a package, and where it is.

use deployd_core::Digest;
use deployd_core::deployment::stays::{STAYS, Stay, stay_key, stay_place};
use deployd_core::image::Image;
use deployd_core::ports::{Batch, KeyRange, Order, Put, Store, StoreError};
use deployd_core::sbom::PackageQuery;
use deployd_engine::EngineError;
use serde_json::{Value, json};

use crate::documents::artifact;
use crate::world::{Stage, assert_succeeded, caller, development, keyed};

fn cyclonedx(packages: &[(&str, &str)]) -> Vec<u8> {
    let components: Vec<Value> = packages
        .iter()
        .map(|(name, version)| json!({"type": "library", "name": name, "version": version}))
        .collect();
    json!({"bomFormat": "CycloneDX", "components": components}).to_string().into_bytes()
}

impl Stage {
    /// Versions of a package, and in how many places images with it are.
    async fn with(&self, name: &str, version: Option<&str>, now: bool) -> Vec<(String, usize)> {
        let version = version.map(ToOwned::to_owned);
        let query = PackageQuery { name: name.to_owned(), version, now };
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let before: Option<String> = cursor.take();
            let page = self.engine.images_with_package(&query, before.as_deref(), 1).await.unwrap();
            found.extend(
                page.found.into_iter().map(|one| (one.package.version, one.locations.len())),
            );
            match page.next {
                Some(next) => cursor = Some(next),
                None => return found,
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_package_is_found_where_its_images_are_and_were() {
    let stage = Stage::new().await;
    let of = |version| artifact("frontend", version).digest;
    // Before anybody has announced it, and with a key, again.
    let ci = keyed("attach", "body");
    let first = cyclonedx(&[("openssl", "3.0.1"), ("zlib", "1.3")]);
    let attached = stage.engine.attach_sbom(&ci, of("1"), first.clone()).await.unwrap();
    assert_eq!(stage.engine.attach_sbom(&ci, of("1"), first.clone()).await.unwrap(), attached);
    assert_eq!(attached.packages, 2);
    assert_eq!(stage.engine.sbom_document(of("1")).await.unwrap(), first);
    let second = cyclonedx(&[("OpenSSL", "3.0.2")]);
    stage.engine.attach_sbom(&caller(), of("2"), second).await.unwrap();
    assert_succeeded(&stage.deployed("1").await);
    assert_succeeded(&stage.deployed("2").await);

    let both = [("3.0.1".to_owned(), 1), ("3.0.2".to_owned(), 1)];
    assert_eq!(stage.with("openssl", None, false).await, both);
    assert_eq!(stage.with("openssl", None, true).await, both[1..]);
    assert_eq!(stage.with("openssl", Some("3.0.1"), false).await, both[..1]);
    assert!(stage.with("open", None, false).await.is_empty());
    // What is attached later takes its place.
    stage.engine.attach_sbom(&caller(), of("1"), cyclonedx(&[("zlib", "1.3.1")])).await.unwrap();
    assert_eq!(stage.with("openssl", None, false).await, both[1..]);
    assert_eq!(stage.with("zlib", None, false).await, [("1.3.1".to_owned(), 1)]);
    let attached =
        |record: &deployd_core::journal::EventRecord| record.event.kind == "sbom-attached";
    assert_eq!(stage.world.events().await.iter().filter(|record| attached(record)).count(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_bill_of_materials_is_refused_and_large_ones_take_each_others_place() {
    let stage = Stage::new().await;
    let image = Digest::of(b"image");
    let bad = stage.engine.attach_sbom(&caller(), image, b"{}".to_vec()).await.unwrap_err();
    assert!(matches!(&bad, EngineError::Invalid { .. }), "{bad:?}");
    assert!(bad.to_string().contains("expected a CycloneDX or an SPDX 2 document"), "{bad}");
    assert!(matches!(stage.engine.sbom(image).await, Err(EngineError::NotFound { .. })));
    let many = |version: &str| {
        let names: Vec<String> = (0..8_999).map(|n| format!("package-{n}")).collect();
        let packages: Vec<(&str, &str)> =
            names.iter().map(|name| (name.as_str(), version)).collect();
        cyclonedx(&packages)
    };
    for version in ["1", "2"] {
        stage.engine.attach_sbom(&caller(), image, many(version)).await.unwrap();
    }
    assert_eq!(stage.with("package-7", None, false).await, [("2".to_owned(), 0)]);
}

/// Puts what is kept of an image in the shop's development into places before it.
async fn before_development(stage: &Stage, name: &str, over: bool, count: usize) {
    let all = KeyRange { start: Vec::new(), end: None };
    let page = stage.world.store.scan(STAYS, all, Order::Ascending, 100).await.unwrap();
    let kept = page.entries.iter().map(|(key, value)| (stay_place(key).unwrap(), value));
    let ((_, _, deployment), value) = kept.into_iter().find(|((of, ..), _)| of == name).unwrap();
    let mut stay: Stay = serde_json::from_slice(value).unwrap();
    stay.until = over.then_some(stay.queued.plus_ms(9_000));
    let puts = (0..count).map(|n| Put {
        index: STAYS,
        key: stay_key(&Image::of(name), &format!("shop/a-{n}").parse().unwrap(), &deployment),
        value: Some(serde_json::to_vec(&stay).unwrap()),
    });
    let batch = Batch { puts: puts.collect(), ..Batch::default() };
    stage.world.store.append(batch).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_runs_is_found_however_many_environments_there_were() {
    let stage = Stage::new().await;
    let image = artifact("frontend", "1");
    let document = cyclonedx(&[("openssl", "3.0.1")]);
    stage.engine.attach_sbom(&caller(), image.digest, document).await.unwrap();
    assert_succeeded(&stage.deployed("1").await);
    before_development(&stage, &image.image(), true, 60).await;
    let found = async |now| {
        let query = PackageQuery { name: "openssl".into(), version: None, now };
        let page = stage.engine.images_with_package(&query, None, 9).await.unwrap();
        let [one] = page.found.as_slice() else { panic!("{page:#?}") };
        (one.locations.len(), one.cut)
    };
    assert_eq!(found(true).await, (1, false));
    assert_eq!(found(false).await, (50, true));
}

#[tokio::test(start_paused = true)]
async fn what_an_interrupted_change_has_taken_out_comes_back() {
    let stage = Stage::new().await;
    let image = Digest::of(b"image");
    let many = |version: &str| {
        let names: Vec<String> = (0..8_999).map(|n| format!("package-{n}")).collect();
        let packages: Vec<(&str, &str)> =
            names.iter().map(|name| (name.as_str(), version)).collect();
        cyclonedx(&packages)
    };
    stage.engine.attach_sbom(&caller(), image, many("1")).await.unwrap();
    // What was attached goes by two writes; the one that brings the rest fails.
    let faults = [None, None, Some(StoreError::Busy)];
    stage.world.store_faults.lock().unwrap().extend(faults);
    stage.engine.attach_sbom(&caller(), image, many("2")).await.unwrap_err();
    assert!(stage.with("package-7", None, false).await.is_empty());
    stage.engine.attach_sbom(&caller(), image, many("1")).await.unwrap();
    assert_eq!(stage.with("package-7", None, false).await, [("1".to_owned(), 0)]);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_way_is_found_however_many_environments_there_were() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    let image = artifact("frontend", "1").image();
    before_development(&stage, &image, false, 120).await;
    let query = image.parse().unwrap();
    let passage = stage.engine.passage(&query, &development(), false).await.unwrap();
    assert!(passage.reached.is_some() && passage.cut, "{passage:#?}");
}
