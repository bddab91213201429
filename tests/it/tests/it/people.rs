//! People and machines whom an identity provider knows, with a real one.

use fixtures::oidc_provider::{CLIENT, CLIENT_ES256, CLIENT_HS256, CLIENT_PS256, OidcProvider};
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::sample::{document, request};
use crate::signing_in::id_token;
use crate::stage::Stage;

/// Has the daemon believe a provider about tokens for one of its clients.
async fn believe(stage: &Stage, provider: &OidcProvider, client: &str) {
    let issuer = json!({
        "issuer": provider.issuer, "audience": client, "groupsClaim": "groups",
        "privateAddress": true, "login": {"scopes": ["email", "groups"]},
    });
    let binding = json!({"role": "read", "subjects": {"groups": ["corp:shop"]}});
    let documents =
        [document("Issuer", "corp", issuer), document("RoleBinding", "readers", binding)];
    stage.client.post("/v1/documents:apply", &request(&documents)).await.ok();
}

/// Exchanges a token, as somebody without any other.
async fn exchange(stage: &Stage, token: &str) -> Answer {
    let nobody = Client::new(stage.daemon.base(), "");
    nobody.post("/v1/auth/exchange", &json!({ "token": token })).await
}

/// That a token is not believed, for a reason that is told and in the audit.
#[track_caller]
fn is_refused(answer: &Answer, why: &str) {
    let problem = answer.json();
    assert_eq!(answer.status, 401, "{problem:#}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(why), "expected {why:?} in {detail:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_a_real_provider_gives_a_session_once() {
    let provider = OidcProvider::start().unwrap();
    let stage = Stage::set().await;
    for client in [CLIENT, CLIENT_ES256] {
        believe(&stage, &provider, client).await;
        let token = id_token(&provider, client, "ada").await;
        let session = exchange(&stage, &token).await.ok();
        assert_eq!(session["name"], "corp:ada", "{session:#}");
        let ada = stage.client.with_token(session["secret"].as_str().unwrap());
        let known = ada.get("/v1/whoami").await.ok();
        assert_eq!(known["name"], "corp:ada");
        assert_eq!(known["groups"], json!(["corp:shop"]));
        // Their group may look, and no more.
        ada.get("/v1/environments").await.ok();
        assert_eq!(ada.put("/v1/secrets/any", "x").await.status, 403);
        is_refused(&exchange(&stage, &token).await, "it was exchanged before; each counts once");

        ada.post("/v1/auth/logout", &Value::Null).await.ok();
        assert_eq!(ada.get("/v1/whoami").await.status, 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_a_real_provider_did_not_mean_for_now_and_us_are_refused() {
    let mut provider = OidcProvider::start().unwrap();
    let stage = Stage::set().await;
    believe(&stage, &provider, CLIENT).await;
    let elsewhere = id_token(&provider, CLIENT_ES256, "ada").await;
    let why = r#"corp: `aud` is "deployd-es256", expected deployd"#;
    is_refused(&exchange(&stage, &elsewhere).await, why);

    for (client, algorithm) in [(CLIENT_PS256, "PS256"), (CLIENT_HS256, "HS256")] {
        let token = id_token(&provider, client, "ada").await;
        let why = format!("it is signed by {algorithm:?}, expected RS256 or ES256");
        is_refused(&exchange(&stage, &token).await, &why);
    }

    let good = id_token(&provider, CLIENT, "ada").await;
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (head, _) = signed.split_once('.').unwrap();
    let other = id_token(&provider, CLIENT, "eve").await;
    let claims = other.split('.').nth(1).unwrap();
    let forged = format!("{head}.{claims}.{signature}");
    is_refused(&exchange(&stage, &forged).await, "its signature is not by the key that it names");

    // Tokens last ten minutes there, and clocks may differ by one.
    provider.be_behind(660).unwrap();
    let late = id_token(&provider, CLIENT, "ada").await;
    is_refused(&exchange(&stage, &late).await, "corp: it has expired at 20");
    provider.be_behind(0).unwrap();

    let refused = stage.client.get("/v1/audit?limit=200").await.ok().to_string();
    for why in ["`aud` is", "HS256", "it has expired"] {
        assert!(refused.contains(why), "no {why:?} in the audit: {refused}");
    }
    exchange(&stage, &good).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn new_keys_of_a_real_provider_are_found_and_old_ones_forgotten() {
    let mut provider = OidcProvider::start().unwrap();
    let stage = Stage::set().await;
    believe(&stage, &provider, CLIENT).await;
    let before = id_token(&provider, CLIENT, "ada").await;
    let kept = id_token(&provider, CLIENT, "ada").await;
    exchange(&stage, &before).await.ok();
    provider.rotate().unwrap();
    let after = id_token(&provider, CLIENT, "ada").await;
    exchange(&stage, &after).await.ok();
    is_refused(&exchange(&stage, &kept).await, "the issuer has no key");
}
