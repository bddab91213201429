//! Sessions: begun with a token of an issuer, each of which counts once.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use deployd_core::access::{Action, Resource};
use deployd_core::config::{Document, DocumentKey, DocumentKind, Place};
use deployd_core::views::{ExchangeRequest, NewSession};
use deployd_engine::{Bearer, EngineError};
use serde_json::{Value, json};

use crate::documents::{document, name};
use crate::world::{Stage, caller, keyed};

/// 2026-11-21T03:00Z is when the world begins.
const SOON: u64 = 1_795_219_200 + 3 * 3_600 + 600;

fn forge() -> Document {
    let spec = json!({
        "issuer": "https://forge.test", "audience": "https://deployd.test",
        "identities": [{"claims": {"repository_id": "74"}, "groups": ["shop-ci"]}],
    });
    document(DocumentKind::Issuer, "forge", spec)
}

fn binding() -> Document {
    let spec = json!({
        "role": "deploy",
        "subjects": {"groups": ["forge:shop-ci"]},
        "within": {"applications": ["shop"]},
    });
    document(DocumentKind::RoleBinding, "shop-ci", spec)
}

fn token(more: &Value) -> String {
    let mut claims = json!({
        "iss": "https://forge.test", "aud": "https://deployd.test", "sub": "shop",
        "repository_id": "74", "exp": SOON, "jti": "one",
    });
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    format!("e30.{}.signed", URL_SAFE_NO_PAD.encode(claims.to_string()))
}

fn request(token: String) -> ExchangeRequest {
    let (actions, within) = (std::collections::BTreeSet::new(), Place::default());
    ExchangeRequest { token, issuer: None, actions, within }
}

impl Stage {
    async fn with_forge() -> Self {
        let stage = Self::new().await;
        stage.engine.apply(&caller(), vec![forge(), binding()], false).await.unwrap();
        stage
    }

    async fn exchanged(&self, token: String) -> Result<NewSession, String> {
        let found = self.engine.exchange(&caller(), &request(token)).await;
        found.map_err(|error| match error {
            EngineError::Fault(fault) if fault.code == "token-refused" => fault.message,
            other => panic!("{other}"),
        })
    }

    async fn bearer(&self, secret: &str) -> Option<Bearer> {
        self.engine.authenticate(secret).await.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_is_of_whom_the_token_names_and_may_what_bindings_say() {
    let stage = Stage::with_forge().await;
    let session = stage.exchanged(token(&json!({}))).await.unwrap();
    assert_eq!(session.name.0, "forge:shop");
    let bearer = stage.bearer(&session.secret).await.unwrap();
    assert_eq!((bearer.actor.0.as_str(), bearer.scope), ("forge:shop", None));
    let rights = stage.engine.rights(&bearer).await.unwrap();
    let common = |application: &str| Resource::Common(name(application));
    assert!(rights.decide(Action::Deploy, &common("shop")).is_some());
    assert!(rights.decide(Action::Deploy, &common("bank")).is_none());
    assert!(rights.decide(Action::Access, &common("shop")).is_none());
    // Less than that, where less was asked for.
    let less = ExchangeRequest {
        actions: [Action::Read].into(),
        ..request(token(&json!({"jti": "two"})))
    };
    let less = stage.engine.exchange(&caller(), &less).await.unwrap();
    let rights = stage.engine.rights(&stage.bearer(&less.secret).await.unwrap()).await.unwrap();
    assert!(rights.decide(Action::Read, &common("shop")).is_some());
    assert!(rights.decide(Action::Deploy, &common("shop")).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_by_time_by_its_holder_and_with_its_issuer() {
    let stage = Stage::with_forge().await;
    let [first, second] = [token(&json!({})), token(&json!({"jti": "two"}))];
    let first = stage.exchanged(first).await.unwrap().secret;
    let second = stage.exchanged(second).await.unwrap().secret;
    let session = stage.bearer(&first).await.unwrap().session.unwrap();
    stage.engine.end_session(&caller(), Some(&session)).await.unwrap();
    assert!(stage.bearer(&first).await.is_none());
    assert!(stage.bearer(&second).await.is_some());
    assert!(stage.bearer("dps_made-up").await.is_none());
    tokio::time::advance(std::time::Duration::from_secs(601)).await;
    assert!(stage.bearer(&second).await.is_none());
    let third = token(&json!({"jti": "three", "exp": SOON + 3_600}));
    let third = stage.exchanged(third).await.unwrap().secret;
    let key = DocumentKey { kind: DocumentKind::Issuer, application: None, name: name("forge") };
    stage.engine.remove_document(&caller(), &key, false, false).await.unwrap();
    assert!(stage.bearer(&third).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_token_counts_once_also_after_a_restart_and_a_repeat_is_answered_alike() {
    let stage = Stage::with_forge().await;
    let by = keyed("exchange", "1");
    let first = stage.engine.exchange(&by, &request(token(&json!({})))).await.unwrap();
    let again = stage.engine.exchange(&by, &request(token(&json!({})))).await.unwrap();
    assert_eq!(first, again);
    assert!(stage.exchanged(token(&json!({}))).await.unwrap_err().contains("exchanged before"));
    let found = stage.exchanged(token(&json!({"sub": "else"}))).await;
    assert!(found.unwrap_err().contains("exchanged before"));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_believed_is_refused_with_the_reason() {
    let stage = Stage::with_forge().await;
    for (token, expected) in [
        ("nonsense".to_owned(), "names its issuer"),
        (token(&json!({"iss": "https://evil.test"})), "no Issuer has the URL"),
        (token(&json!({"aud": "https://other.test"})), "`aud` is"),
        (token(&json!({"exp": SOON - 3_600})), "expired"),
        (token(&json!({"repository_id": "75"})), "none of the issuer's"),
        (token(&json!({})).replace("signed", "wrong"), "signature"),
        ("x".repeat(17_000), "longer than"),
    ] {
        let error = stage.exchanged(token).await.unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}
