//! What a forge refuses, and who is away: each with a fault that says what to do.

use std::sync::Arc;

use deployd_core::config::HostGrant;
use deployd_core::ports::{Forge, Proposal};
use fixtures::forges::{Kind, Token, Trouble};

use crate::support::{KINDS, Stage, assert_fault, proposal};

#[tokio::test]
async fn what_can_not_be_merged_is_refused_with_the_words_of_the_forge() {
    let cases = [
        (Kind::Github, "same", "main", "forge-refused", "No commits between main and same"),
        (Kind::Github, "gone", "main", "forge-refused", "head is invalid"),
        (Kind::Github, "same", "gone", "forge-refused", "base is invalid"),
        (Kind::Gitlab, "main", "main", "forge-refused", "same project/branch"),
        (Kind::Gitea, "gone", "main", "forge-not-found", "couldn't be found"),
    ];
    for (kind, from, into, code, words) in cases {
        let stage = Stage::new(kind);
        let proposal = Proposal { from: from.into(), into: into.into(), ..proposal() };
        let came = stage.propose_this(&proposal).await;
        let fault = assert_fault(&stage, came, code, false);
        assert!(fault.message.contains(words), "{fault}");
    }
}

#[tokio::test]
async fn a_token_that_is_not_let_in_is_told_as_such() {
    for kind in KINDS {
        let stage = Stage::new(kind);
        stage.set_secret("another-token-0123456789");
        let came = stage.propose().await;
        assert_fault(&stage, came, "forge-denied", false);
        stage.set_secret(&stage.server.token);
        stage.server.set_token(Token::Expired);
        let came = stage.look(1).await;
        assert_fault(&stage, came, "forge-denied", false);
        stage.server.set_token(Token::ReadOnly);
        let came = stage.propose().await;
        let fault = assert_fault(&stage, came, "forge-denied", false);
        assert!(fault.message.contains("may read and write pull requests"), "{fault}");
        stage.server.set_token(Token::Full);
        stage.propose().await.unwrap();
    }
}

#[tokio::test]
async fn what_is_not_there_is_told_as_such() {
    for kind in KINDS {
        let mut stage = Stage::new(kind);
        let came = stage.look(7).await;
        assert_fault(&stage, came, "forge-not-found", false);
        stage.forge.project = "shop/other".into();
        let came = stage.propose().await;
        assert_fault(&stage, came, "forge-not-found", false);
        stage.forge.project = "shop".into();
        let came = stage.propose().await;
        assert_fault(&stage, came, "forge-not-found", false);
    }
}

#[tokio::test]
async fn who_is_away_may_be_there_later() {
    for kind in KINDS {
        let stage = Stage::new(kind);
        stage.server.set_away(true);
        let came = stage.propose().await;
        assert_fault(&stage, came, "forge-unreachable", true);
        stage.server.set_away(false);
        stage.server.trouble(None, Trouble::BadGateway);
        let came = stage.propose().await;
        let fault = assert_fault(&stage, came, "forge-unreachable", true);
        assert!(!fault.message.contains("html"), "{fault}");
        stage.server.trouble(Some("POST"), Trouble::BadGateway);
        let came = stage.propose().await;
        assert_fault(&stage, came, "forge-unreachable", true);
        stage.propose().await.unwrap();
    }
}

#[tokio::test]
async fn who_throttles_says_when_to_come_back() {
    for kind in KINDS {
        let stage = Stage::new(kind);
        stage.server.trouble(None, Trouble::Throttled);
        let came = stage.propose().await;
        let fault = assert_fault(&stage, came, "forge-unreachable", true);
        let wait = fault.retry_after_ms.unwrap();
        let most = match kind {
            Kind::Github => 600_000,
            Kind::Gitlab => 60_000,
            Kind::Gitea => 30_000,
        };
        assert!((most / 2..=most).contains(&wait), "{kind:?}: {wait}");
        stage.propose().await.unwrap();
    }
}

#[tokio::test]
async fn nobody_is_asked_who_is_not_granted() {
    for kind in KINDS {
        let mut stage = Stage::new(kind);
        let granted = stage.forge.clone();
        let public = HostGrant { private_address: false, ..granted.grants[0].clone() };
        stage.forge = Forge { grants: Arc::new([public]), ..granted.clone() };
        let came = stage.propose().await;
        let fault = assert_fault(&stage, came, "address-not-allowed", false);
        assert!(fault.message.contains("privateAddress"), "{fault}");
        stage.forge = Forge { grants: Arc::new([]), ..granted.clone() };
        let came = stage.propose().await;
        assert_fault(&stage, came, "host-not-granted", false);
        let reads = HostGrant { methods: vec!["GET".into()], ..granted.grants[0].clone() };
        stage.forge = Forge { grants: Arc::new([reads]), ..granted };
        let came = stage.propose().await;
        assert_fault(&stage, came, "method-not-granted", false);
        assert_eq!(stage.asked("POST"), 0);
    }
}

#[tokio::test]
async fn an_address_without_mention_is_asked_over_https_and_in_public_alone() {
    for kind in KINDS {
        let mut stage = Stage::new(kind);
        stage.forge.grants = Arc::new([]);
        stage.forge.api = stage.server.api().replace("http://", "https://");
        let came = stage.propose().await;
        assert_fault(&stage, came, "address-not-allowed", false);
        assert_eq!(stage.server.asked().len(), 0);
    }
}
