//! Who did what, when and from where, and what was refused; and that nothing
//! takes it away.

use deployd_core::audit::{AuditEntry, AuditFilter};
use deployd_core::journal::{Head, Source, StreamId, Version, genesis, verify_chain};
use deployd_core::ports::{Batch, Index, Put, Store};
use deployd_core::views::{TeardownRequest, TokenScope};
use deployd_core::{Actor, Timestamp};
use deployd_engine::Caller;

use crate::documents::name;
use crate::world::{Stage, assert_succeeded, caller, development};

fn from(actor: &str, address: &str) -> Caller {
    let source = Source { address: Some(address.to_owned()), ..Source::default() };
    Caller { source: Some(source), ..Caller::new(Actor(actor.to_owned())) }
}

impl Stage {
    /// All of it, in pages of a few.
    async fn audit(&self, filter: &AuditFilter) -> Vec<AuditEntry> {
        let (mut entries, mut cursor) = (Vec::new(), None);
        loop {
            let before: Option<String> = cursor.take();
            let page = self.engine.audit(filter, before.as_deref(), 3).await.unwrap();
            entries.extend(page.entries);
            match page.next {
                Some(next) => cursor = Some(next),
                None => return entries,
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_did_what_from_where_and_what_was_refused() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    let between = stage.world.now();
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    let (ops, scope) = (from("ops", "192.0.2.1"), TokenScope::Ci);
    stage.engine.create_token(&ops, &name("build"), scope).await.unwrap();
    let source = ops.source.clone();
    stage.engine.refused(Some(Actor("build".into())), source.clone(), "DELETE /v1/x").await;
    let teardown = TeardownRequest { comment: Some("too dear".into()), ..Default::default() };
    let id = stage.engine.teardown(&ops, &development(), teardown).await.unwrap().id;
    assert_succeeded(&stage.end_of(&id).await);

    let all = stage.audit(&AuditFilter::default()).await;
    assert!(all.windows(2).all(|pair| pair[0].at >= pair[1].at), "{all:#?}");
    let whats: Vec<&str> = all.iter().map(|entry| entry.what.as_str()).collect();
    assert_eq!(whats[0], "shop/development: asked to take it away: too dear");
    assert_eq!((whats[1], whats[2]), ("DELETE /v1/x", "created the token build (ci)"));
    assert_eq!(all[0].source, source);
    assert!(whats.contains(&"announced registry.test/shop/frontend, registry.test/shop/backend"));
    assert!(whats.contains(&"applied Application shop"), "{whats:?}");

    let refused = AuditFilter { refused: true, ..AuditFilter::default() };
    let refused = stage.audit(&refused).await;
    assert_eq!(refused.len(), 1);
    assert_eq!((refused[0].actor.0.as_str(), &refused[0].source), ("build", &source));
    let of = AuditFilter { environment: Some(development()), ..AuditFilter::default() };
    let in_it = stage.audit(&of).await;
    let whats: Vec<&str> = in_it.iter().map(|entry| entry.what.as_str()).collect();
    let asked = ["asked to take it away: too dear", "asked for a deployment"]
        .map(|what| format!("shop/development: {what}"));
    assert!(asked.iter().all(|what| whats.contains(&what.as_str())), "{whats:?}");
    // And what was done with its document.
    assert!(whats.contains(&"applied Environment shop/development"), "{whats:?}");
    let shop = AuditFilter { application: Some(name("shop")), ..AuditFilter::default() };
    let of_shop = stage.audit(&shop).await;
    assert!(in_it.iter().all(|entry| of_shop.contains(entry)));
    for base in [AuditFilter::default(), of] {
        let after = stage.audit(&AuditFilter { since: Some(between), ..base.clone() }).await;
        let before = stage.audit(&AuditFilter { until: Some(between), ..base.clone() }).await;
        assert_eq!(after.len() + before.len(), stage.audit(&base).await.len());
        assert!(after.iter().all(|entry| entry.at >= between));
    }
    let ops = AuditFilter { actor: Some(Actor("ops".into())), ..AuditFilter::default() };
    assert_eq!(stage.audit(&ops).await.len(), 2);
    let bad = stage.engine.audit(&ops, Some("zz"), 9).await;
    assert!(bad.is_err(), "{bad:?}");
}

#[tokio::test(start_paused = true)]
async fn i9_nothing_takes_an_entry_out_of_its_chain() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    let id =
        stage.engine.teardown(&caller(), &development(), TeardownRequest::default()).await.unwrap();
    assert_succeeded(&stage.end_of(&id.id).await);
    let before = stage.world.events().await;
    let entries = stage.audit(&AuditFilter::default()).await;
    // All that a batch can take away are entries of projections: also all of them,
    // and also where one has the name of something else.
    for index in ["audit", "environments", "deployments", "events", "feed", "heads", "objects"] {
        let removed = crate::checks::index(&stage.world, index).await.into_keys();
        let strange = [b"environment/shop/development".to_vec(), Vec::from(b"access")];
        let puts = removed
            .chain(strange)
            .map(|key| Put {
                index: Index(Box::leak(index.to_owned().into_boxed_str())),
                key,
                value: None,
            })
            .collect();
        stage.world.store.append(Batch { puts, ..Batch::default() }).await.unwrap();
    }
    assert_eq!(stage.world.events().await, before);
    assert!(stage.world.store.verify().await.unwrap().is_sound());
    // Each entry is proven by the chain of its stream.
    for entry in &entries {
        let stream: &StreamId = &entry.stream;
        let records = stage.world.store.read(stream, Version(1), usize::MAX).await.unwrap();
        let start = Head { version: Version(0), hash: genesis(stream) };
        let count = usize::try_from(entry.version.0).unwrap();
        let head = verify_chain(stream, start, &records[..count]).unwrap();
        assert_eq!((head.version, head.hash), (entry.version, entry.hash));
    }
    // Where it came from is part of what is proven.
    let mut records = stage.world.store.read(&StreamId::access(), Version(1), 9).await.unwrap();
    assert!(records.is_empty());
    stage.engine.refused(None, from("x", "192.0.2.1").source, "GET /").await;
    records = stage.world.store.read(&StreamId::access(), Version(1), 9).await.unwrap();
    records[0].event.source.as_mut().unwrap().address = Some("192.0.2.2".into());
    let start = Head { version: Version(0), hash: genesis(&StreamId::access()) };
    assert!(verify_chain(&StreamId::access(), start, &records).is_err());
    assert!(records[0].event.at > Timestamp(0));
}

#[tokio::test(start_paused = true)]
async fn nobody_gets_a_token_of_the_daemons_own_name() {
    let stage = Stage::new().await;
    for name in ["deployd", "unknown", "anonymous"] {
        let name = name.parse().unwrap();
        let refused = stage.engine.create_token(&caller(), &name, TokenScope::Admin).await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("expected another name"), "{refused}");
    }
}
