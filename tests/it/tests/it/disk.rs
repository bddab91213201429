//! A disk that is full, and has room again.

use deployd_practice::{Practice, PracticeOptions};
use reqwest::Method;
use serde_json::json;

use crate::client::Client;
use crate::daemon::Start;
use crate::load::{APPLICATIONS, apply, deployments, image, settled};
use crate::program::Build;
use crate::receiver::Receiver;

/// The size of the disk: what the store holds in reserve, and some room.
const DISK_MIB: usize = 448;

/// How often it is filled and freed.
const ROUNDS: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn i1_i13_a_full_disk_refuses_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let practice = Practice::start(PracticeOptions::new()).await.unwrap();
    let receiver = Receiver::start().await;
    let start = Start::new(Build::Plain, folder.path()).on_a_disk_of(DISK_MIB);
    let mut daemon = start.ready().await;
    let client = daemon.client();
    apply(&client, &practice, receiver.url()).await;

    let mut promised = Vec::new();
    let mut number = 0;
    for round in 0..ROUNDS {
        for application in 0..APPLICATIONS {
            let answer = client.post("/v1/artifacts", &image(application, number)).await.ok();
            promised.push(answer["routes"][0]["deployment"].as_str().unwrap().to_owned());
            number += 1;
        }
        // Others fill the disk to the last block while it works.
        let ballast = daemon.data().join("ballast");
        fill(&ballast);
        let refused = json!(image(0, 1_000_000 + round));
        let request = client.request(Method::POST, "/v1/artifacts").json(&refused);
        let answer = Client::send(request.header("Idempotency-Key", format!("{round}"))).await;
        assert_eq!(answer.status, 507, "{}", answer.text);
        assert!(answer.text.contains("room"), "{}", answer.text);
        // Reading goes on.
        assert_eq!(client.get("/v1/deployments").await.status, 200);

        std::fs::remove_file(&ballast).unwrap();
        // The refused request left nothing behind, so its key is free.
        let request = client.request(Method::POST, "/v1/artifacts").json(&refused);
        let answer = Client::send(request.header("Idempotency-Key", format!("{round}"))).await;
        promised.push(answer.ok()["routes"][0]["deployment"].as_str().unwrap().to_owned());
    }
    settled(&client).await;
    promised.sort();
    assert_eq!(deployments(&client).await, promised);
    let report = client.post("/v1/journal/verify", &json!({})).await.ok();
    assert_eq!((&report["broken"], &report["damaged"]), (&json!([]), &json!([])), "{report:#}");
    assert!(daemon.stop().await.success(), "{}", daemon.log());
}

/// Writes into this file until nothing more goes in.
fn fill(ballast: &std::path::Path) {
    use std::io::Write as _;
    let mut file = std::fs::File::create(ballast).unwrap();
    for size in [1 << 20, 4096, 1] {
        let block = vec![0; size];
        while file.write_all(&block).is_ok() {}
    }
}
