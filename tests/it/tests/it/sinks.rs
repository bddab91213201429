//! Notifications to a receiver that fails in every way: each is delivered in the
//! end or dead, none is lost, and dead ones are delivered on request.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::client::Client;
use crate::load::{APPLICATIONS, Yard, image};
use crate::sink::{FAILURES, GONE, Sink};
use crate::wait::until;

#[tokio::test(flavor = "multi_thread")]
async fn i11_a_receiver_that_fails_in_every_way_gets_everything() {
    let sink = Sink::start().await;
    let (_yard, daemon) = Yard::telling(&sink.url, |start| start).await;
    let client = daemon.client();
    assert!(APPLICATIONS >= FAILURES.len(), "every failure has a message");
    for number in 0..APPLICATIONS {
        client.post("/v1/artifacts", &image(number, 1)).await.ok();
    }
    let messages = until("no message is pending", || async {
        let messages = messages(&client).await;
        let settled = messages.values().all(|status| status != "pending");
        (messages.len() == APPLICATIONS && settled).then_some(messages)
    })
    .await;

    // Who said that it is gone is not asked again; all others were.
    let failed = sink.failed();
    assert_eq!(failed.values().collect::<BTreeSet<_>>().len(), FAILURES.len(), "{failed:?}");
    let dead: BTreeSet<&String> =
        failed.iter().filter(|(_, failure)| **failure == GONE).map(|(id, _)| id).collect();
    for (id, status) in &messages {
        let expected = if dead.contains(id) { "dead" } else { "delivered" };
        assert_eq!(status, expected, "{id} {:?}", failed.get(id));
        assert_eq!(sink.accepted().contains(id), expected == "delivered", "{id}");
    }
    assert!(!dead.is_empty());

    // A person says that it is there again.
    for id in dead {
        client.post(&format!("/v1/notifications/{id}/redeliver"), &json!({})).await.ok();
    }
    until("all are delivered", || async {
        let messages = self::messages(&client).await;
        messages.values().all(|status| status == "delivered").then_some(())
    })
    .await;
    assert_eq!(sink.accepted().len(), APPLICATIONS);
}

/// The status of every message, by id: delivered, dead and pending ones together
/// are all that were accepted.
async fn messages(client: &Client) -> BTreeMap<String, String> {
    let list: Value = client.get("/v1/notifications?limit=500").await.ok();
    let text = |message: &Value, field: &str| message[field].as_str().unwrap().to_owned();
    list.as_array()
        .unwrap()
        .iter()
        .map(|message| (text(message, "id"), text(message, "status")))
        .collect()
}
