//! What is attached by reference: fetched once, and only if it is what was named.

use deployd_core::Digest;
use deployd_core::policy::AttachedResult;
use deployd_core::reference::{AttachByReference, AttachedByReference, ReferredKind};
use deployd_engine::EngineError;

use crate::documents::artifact;
use crate::fakes::receivers::elsewhere;
use crate::world::{Stage, caller, keyed};

const URL: &str = "https://ci.test/7/unit.json?token=s3cret";

fn asked(kind: ReferredKind, url: &str) -> AttachByReference {
    AttachByReference { kind, url: url.to_owned(), digest: Digest::of(&elsewhere(url)) }
}

#[tokio::test(start_paused = true)]
async fn what_is_fetched_is_attached_as_if_it_had_been_posted() {
    let stage = Stage::new().await;
    let image = artifact("frontend", "1").digest;
    let asked = asked(ReferredKind::Result, URL);
    let key = keyed("one", "asked");
    let attached = stage.engine.attach_reference(&key, image, asked.clone()).await.unwrap();
    let AttachedByReference::Result(result) = attached.clone() else { panic!("{attached:?}") };
    assert_eq!((result.kind.as_str(), result.passed), ("tests", true));
    assert_eq!(result.from, Some(asked.kept()));
    assert_eq!(stage.engine.results(image).await.unwrap(), std::slice::from_ref(&result));
    // The same request again fetches nothing, and says the same.
    assert_eq!(stage.engine.attach_reference(&key, image, asked).await.unwrap(), attached);
    let events = stage.world.events().await;
    let event = events.iter().find(|one| one.event.body["type"] == "result-attached").unwrap();
    assert_eq!(event.event.body["result"]["from"]["url"], "https://ci.test/7/unit.json");
    // Nobody says of what they post that it was fetched.
    let posted = AttachedResult { name: "mine".to_owned(), ..result };
    assert!(stage.engine.attach_result(&caller(), image, posted).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn what_is_something_else_or_nowhere_is_not_attached() {
    let stage = Stage::new().await;
    let image = artifact("frontend", "1").digest;
    let attach = async |asked| stage.engine.attach_reference(&caller(), image, asked).await;
    let changed =
        AttachByReference { digest: Digest::of(b"x"), ..asked(ReferredKind::Result, URL) };
    let EngineError::Fault(fault) = attach(changed).await.unwrap_err() else { panic!() };
    assert_eq!(fault.code, "reference-differs");
    assert!(!fault.message.contains("s3cret"), "{fault}");
    let away = asked(ReferredKind::Result, "https://ci.test/away");
    let EngineError::Fault(fault) = attach(away).await.unwrap_err() else { panic!() };
    assert_eq!((fault.code.as_str(), fault.is_transient()), ("reference-unreachable", true));
    for (kind, url) in [
        (ReferredKind::Sbom, URL),
        (ReferredKind::Attestation, URL),
        (ReferredKind::Result, "file:///etc/passwd"),
    ] {
        assert!(attach(asked(kind, url)).await.is_err(), "{kind:?} {url}");
    }
    assert_eq!(stage.engine.results(image).await.unwrap(), []);
}
