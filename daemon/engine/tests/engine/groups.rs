//! Groups: who is in which.

use std::collections::BTreeSet;

use deployd_core::Actor;
use deployd_core::config::{Document, DocumentKey, DocumentKind};
use deployd_engine::Caller;
use serde_json::json;

use crate::documents::{document, name};
use crate::world::{Stage, caller};

fn leads() -> Document {
    document(DocumentKind::Group, "leads", json!({"members": ["ada"], "claims": ["corp:sre"]}))
}

impl Stage {
    async fn groups(&self, actor: &str, claimed: &[&str]) -> Vec<String> {
        let groups: BTreeSet<String> = claimed.iter().map(|group| (*group).to_owned()).collect();
        let caller = Caller { groups, ..Caller::new(Actor(actor.to_owned())) };
        self.engine.groups_of(&caller).await.unwrap().into_iter().collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_counts_from_when_its_document_is_applied_until_it_is_removed() {
    let stage = Stage::new().await;
    assert_eq!(stage.groups("ada", &[]).await, Vec::<String>::new());
    stage.engine.apply(&caller(), vec![leads()], false).await.unwrap();
    assert_eq!(stage.groups("ada", &[]).await, ["leads"]);
    assert_eq!(stage.groups("corp:bob", &["corp:sre"]).await, ["corp:sre", "leads"]);
    assert_eq!(stage.groups("bob", &[]).await, Vec::<String>::new());
    let key = DocumentKey { kind: DocumentKind::Group, application: None, name: name("leads") };
    stage.engine.remove_document(&caller(), &key, false, false).await.unwrap();
    assert_eq!(stage.groups("ada", &[]).await, Vec::<String>::new());
}
