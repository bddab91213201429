//! A wall clock that jumps by years while the daemon works.

use serde_json::json;

use crate::load::{APPLICATIONS, Yard, deployments, image, settled};

/// Where the clock jumps to, one after the other: from now, and absolutely.
const JUMPS: [&str; 5] = ["+3650d", "-3650d", "@2000-02-29 23:59:59", "@2038-01-19 03:14:08", "+0"];

/// Where Debian's package `libfaketime` has its library.
const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

#[tokio::test(flavor = "multi_thread")]
async fn i3_i15_a_clock_that_jumps_changes_neither_order_nor_outcome() {
    assert!(
        std::path::Path::new(LIBRARY).exists(),
        "{LIBRARY} is not there; `cargo xtask test --only black-box` installs libfaketime"
    );
    let folder = tempfile::tempdir().unwrap();
    let clock = folder.path().join("clock");
    std::fs::write(&clock, "+0").unwrap();
    let (_yard, mut daemon) = Yard::set(|start| {
        start
            .env("LD_PRELOAD", LIBRARY)
            .env("FAKETIME_TIMESTAMP_FILE", clock.display().to_string())
            .env("FAKETIME_NO_CACHE", "1")
            // Only the wall clock jumps: no kernel's monotonic clock does.
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    })
    .await;
    let client = daemon.client();
    let mut promised = Vec::new();
    for (number, jump) in JUMPS.iter().enumerate() {
        for application in 0..APPLICATIONS / 2 {
            let answer = client.post("/v1/artifacts", &image(application, number)).await.ok();
            promised.push(answer["routes"][0]["deployment"].as_str().unwrap().to_owned());
            if application == APPLICATIONS / 4 {
                // In the middle of the work for those before.
                std::fs::write(&clock, jump).unwrap();
            }
        }
    }
    settled(&client).await;
    promised.sort();
    assert_eq!(deployments(&client).await, promised);
    // The newest image of each application is what runs, whatever the time was.
    let environments = client.get("/v1/environments").await.ok();
    for application in 0..APPLICATIONS / 2 {
        let digest = image(application, JUMPS.len() - 1)["digest"].as_str().unwrap().to_owned();
        let name = format!("load-{application}");
        let mut all = environments.as_array().unwrap().iter();
        let one = all.find(|one| one["id"].to_string().contains(&format!("{name}/"))).unwrap();
        assert!(one["images"].to_string().contains(&digest), "{one:#}");
    }
    let report = client.post("/v1/journal/verify", &json!({})).await.ok();
    assert_eq!((&report["broken"], &report["damaged"]), (&json!([]), &json!([])), "{report:#}");
    assert!(daemon.stop().await.success(), "{}", daemon.log());
}
