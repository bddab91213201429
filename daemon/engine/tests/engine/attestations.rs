//! What waits for attestations, and what results tell policies.

use std::time::Duration;

use deployd_core::DeploymentId;
use deployd_core::attestation::Evidence;
use deployd_core::config::Document;
use deployd_core::deployment::{DeploymentRecord, Outcome, Phase};
use deployd_core::policy::AttachedResult;
use deployd_core::views::RollbackRequest;
use deployd_engine::EngineError;
use serde_json::{Value, json};

use crate::checks::check;
use crate::documents::{self, artifact, environment_type};
use crate::drift::events;
use crate::fakes::life::Life;
use crate::world::{Stage, assert_succeeded, caller, development, keyed};

const PROVENANCE: &str = "https://slsa.dev/provenance/v1";

/// The environment's type, with what has to be attested.
fn asking(rules: Value) -> Document {
    let Document::EnvironmentType(mut of_type) = environment_type("development", json!({})) else {
        panic!("another kind");
    };
    of_type.spec.attestations = serde_json::from_value(rules).unwrap();
    Document::EnvironmentType(of_type)
}

fn provenance() -> Document {
    asking(json!([{
        "name": "provenance", "type": PROVENANCE, "images": ["*/frontend"],
        "fields": {"/builder": "https://ci.test/*"}, "signedBy": {"keys": ["build"]},
        "expires": "2h",
    }]))
}

fn all() -> Vec<Document> {
    let sample = documents::platform().into_iter().chain(documents::shop("shop"));
    sample.chain([provenance()]).collect()
}

fn attests(version: &str, signer: &str, builder: &str) -> Vec<u8> {
    let about = [artifact("frontend", version).digest];
    json!({"signer": signer, "about": about, "type": PROVENANCE, "says": {"builder": builder}})
        .to_string()
        .into_bytes()
}

impl Stage {
    /// With these documents over the sample's.
    async fn asking(documents: Vec<Document>) -> Self {
        let stage = Self::new().await;
        stage.apply(documents).await;
        stage
    }

    async fn attach(&self, version: &str, document: Vec<u8>) {
        let image = artifact("frontend", version).digest;
        self.engine.attach_attestation(&caller(), image, document).await.unwrap();
    }

    /// A deployment of this version, once it waits at its gates.
    async fn attested_by_nobody(&self, version: &str) -> DeploymentRecord {
        let id = self.announce(version).await;
        for _ in 0..1_000 {
            let record = self.engine.deployment(&id).await.unwrap();
            if record.phase == Phase::Waiting {
                return record;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it does not wait");
    }

    /// Why the attestations of what waits do not count.
    async fn problems(&self, id: &DeploymentId) -> String {
        let standing = self.engine.standing(id).await.unwrap();
        let problems = standing.iter().flat_map(|rule| &rule.images).flat_map(|one| &one.problems);
        problems.cloned().collect::<Vec<_>>().join("\n")
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_deployed_because_of_the_attestation() {
    let stage = Stage::asking(vec![provenance()]).await;
    let record = stage.attested_by_nobody("1").await;
    assert!(stage.problems(&record.id).await.contains("no attestation"));

    // What does not count is kept, with why.
    stage.attach("1", attests("1", "somebody", "https://ci.test/1")).await;
    stage.attach("1", attests("1", "build", "https://elsewhere.test")).await;
    let problems = stage.problems(&record.id).await;
    assert!(problems.contains("somebody does not count"), "{problems}");
    assert!(problems.contains("expected \"https://ci.test/*\""), "{problems}");
    assert_eq!(stage.engine.deployment(&record.id).await.unwrap().phase, Phase::Waiting);

    stage.attach("1", attests("1", "build", "https://ci.test/1")).await;
    let record = stage.end_of(&record.id).await;
    assert_succeeded(&record);
    // And it is remembered because of what.
    let image = artifact("frontend", "1").image();
    let passed = events(&stage, "gate-passed").await;
    let evidence: Vec<Evidence> = passed
        .iter()
        .flat_map(|record| {
            serde_json::from_value::<Vec<Evidence>>(record.event.body["evidence"].clone())
        })
        .flatten()
        .collect();
    assert_eq!(evidence.len(), 1, "{passed:#?}");
    assert_eq!(
        (evidence[0].image.as_str(), evidence[0].signer.as_str()),
        (image.as_str(), "build")
    );
    let kept = stage.engine.attestations(artifact("frontend", "1").digest).await.unwrap();
    assert_eq!(kept.len(), 3);
    assert_eq!(kept[2].document, evidence[0].attestation);
}

#[tokio::test(start_paused = true)]
async fn what_was_attested_before_keeps_nothing_and_a_restart_forgets_nothing() {
    let stage = Stage::asking(vec![provenance()]).await;
    stage.attach("1", attests("1", "build", "https://ci.test/1")).await;
    assert_succeeded(&stage.deployed("1").await);
    let waiting = stage.attested_by_nobody("2").await;
    let Stage { world, engine } = stage;
    engine.stop().await;
    let engine = world.engine(&Life::long());
    engine.start().await.unwrap();
    let stage = Stage { world, engine };
    stage.attach("2", attests("2", "build", "https://ci.test/2")).await;
    assert_succeeded(&stage.end_of(&waiting.id).await);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_attested_in_time_is_over_and_going_back_waits_for_nothing() {
    let stage = Stage::asking(vec![provenance()]).await;
    for version in ["1", "2"] {
        stage.attach(version, attests(version, "build", "https://ci.test/1")).await;
        assert_succeeded(&stage.deployed(version).await);
    }
    let waiting = stage.attested_by_nobody("3").await;
    tokio::time::advance(Duration::from_secs(2 * 3_600)).await;
    let record = stage.end_of(&waiting.id).await;
    assert_eq!(record.outcome, Some(Outcome::Cancelled));
    assert_eq!(record.fault.unwrap().code, "attestation-missing");
    let back = stage.engine.rollback(&caller(), &development(), RollbackRequest::default()).await;
    assert_succeeded(&stage.end_of(&back.unwrap().id).await);
    stage.engine.stop().await;
    check(&stage.world, &all()).await;
}

#[tokio::test(start_paused = true)]
async fn whose_signature_counts_can_be_mended_while_it_is_waited_for() {
    let stage = Stage::asking(vec![provenance()]).await;
    let waiting = stage.attested_by_nobody("1").await;
    stage.attach("1", attests("1", "another", "https://ci.test/1")).await;
    assert!(stage.problems(&waiting.id).await.contains("another does not count"));
    let rule = json!([{"name": "provenance", "type": PROVENANCE, "images": ["*/frontend"],
        "signedBy": {"keys": ["another"]}}]);
    stage.apply(vec![asking(rule)]).await;
    assert_succeeded(&stage.end_of(&waiting.id).await);
    stage.engine.stop().await;
    check(&stage.world, &all()).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_attached_is_about_its_image_and_repeated_once() {
    let stage = Stage::asking(vec![]).await;
    let image = artifact("frontend", "1").digest;
    let document = attests("1", "build", "https://ci.test/1");
    let ci = keyed("attest", "body");
    let first = stage.engine.attach_attestation(&ci, image, document.clone()).await.unwrap();
    assert_eq!(stage.engine.attach_attestation(&ci, image, document.clone()).await.unwrap(), first);
    assert_eq!(
        stage.engine.attach_attestation(&caller(), image, document.clone()).await.unwrap(),
        first
    );
    let other = artifact("frontend", "2").digest;
    for (image, document) in [(other, document), (image, b"{}".to_vec()), (image, b"no".to_vec())] {
        let refused = stage.engine.attach_attestation(&caller(), image, document).await;
        assert!(matches!(refused, Err(EngineError::Invalid { .. })), "{refused:?}");
    }
    assert_eq!(stage.engine.attestations(image).await.unwrap(), [first]);

    let result = |name: &str, passed: bool, at: &str| -> AttachedResult {
        let result = json!({"kind": "tests", "name": name, "at": at, "passed": passed});
        serde_json::from_value(result).unwrap()
    };
    let newer = result("unit", true, "2026-11-02T00:00:00Z");
    let e2e = result("e2e", true, "2026-11-01T12:00:00Z");
    for one in [&result("unit", false, "2026-11-01T00:00:00Z"), &newer, &e2e] {
        stage.engine.attach_result(&caller(), image, one.clone()).await.unwrap();
    }
    assert_eq!(stage.engine.results(image).await.unwrap(), [e2e, newer]);
}
