//! Deliveries of forges and registries, to each receiver: whatever is sent, images are
//! told of as others can write them, or it is refused. Nobody has looked at it before but
//! for its signature, and who signs may be somebody else tomorrow.
#![no_main]

use deployd_plugin_sdk::receiver::{Delivery, Receiver};
use deployd_plugin_sdk::testing::FakeHost;
use image_events::testing::is_sound;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

/// More than is told of in one delivery that was read: the host takes no more.
const TOLD_MAX: usize = 100_000;

/// What deliveries say of their kind.
const KINDS: [&[(&str, &str)]; 10] = [
    &[],
    &[("x-github-event", "package"), ("x-gitlab-event", "Pipeline Hook"), ("x-gitea-event", "package")],
    &[("x-github-event", "registry_package")],
    &[("x-github-event", "workflow_run")],
    &[("x-github-event", "check_suite")],
    &[("x-github-event", "push"), ("x-gitlab-event", "Push Hook"), ("x-gitea-event", "push")],
    &[("x-github-event", "deployment")],
    &[("content-type", "application/cloudevents+json")],
    &[("content-type", "application/cloudevents-batch+json")],
    &[
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-source", "fuzzer"),
        ("ce-type", "dev.cdevents.artifact.published.0.3.0"),
    ],
];

// The first byte says what kind it is; the rest is the body, for all receivers.
fuzz_target!(|bytes: &[u8]| {
    let Some((kind, body)) = bytes.split_first() else { return };
    let headers = KINDS[usize::from(*kind) % KINDS.len()];
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let delivery = Delivery { headers: headers.collect(), body: body.to_vec() };
    let images = json!([{"repository": "r.test/web", "tag": "${ref-slug}-${short-commit}"}]);
    reads::<artifactory::Artifactory>(&delivery, json!({"registry": "r.test", "untagged": true}));
    reads::<cloudevents::CloudEvents>(&delivery, json!({"registry": "r.test"}));
    reads::<docker_hub::DockerHub>(&delivery, json!({}));
    reads::<gitea::Gitea>(&delivery, json!({"registry": "r.test", "untagged": true}));
    reads::<github::Github>(&delivery, json!({"untagged": true, "images": images.clone()}));
    reads::<gitlab::Gitlab>(&delivery, json!({"images": images}));
    reads::<harbor::Harbor>(&delivery, json!({"untagged": true}));
    reads::<quay::Quay>(&delivery, json!({}));
    reads::<registry::Registry>(&delivery, json!({"registry": "r.test", "untagged": true}));
});

fn reads<R: Receiver>(delivery: &Delivery, config: Value) {
    let config = serde_json::from_value(config).expect("the receiver's configuration");
    let Ok(told) = R::decode(delivery, &config, &FakeHost::new()) else { return };
    assert!(told.len() <= TOLD_MAX, "{} images of one delivery", told.len());
    for one in &told {
        assert_eq!(is_sound(one), Ok(()));
    }
}
