//! People and machines whom an identity provider knows, with a real one.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};

use fixtures::oidc_provider::{CLIENT, CLIENT_ES256, CLIENT_HS256, CLIENT_PS256, OidcProvider};
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::program::{Build, Said, ended};
use crate::sample::{document, request};
use crate::signing_in::{Visitor, id_token};
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

/// Runs a command as somebody who has a folder for configuration and no token.
fn command(stage: &Stage, arguments: &[&str]) -> Command {
    let mut command = Build::Plain.command();
    command
        .args(arguments)
        .env("DEPLOYD_SERVER", stage.daemon.base())
        .env("XDG_CONFIG_HOME", stage.folder())
        .env("NO_PROXY", "127.0.0.1");
    command
}

/// Somebody's `deployd auth login`, which waits for them.
struct LoggingIn {
    child: Child,
    /// Of the provider's page.
    address: String,
}

impl LoggingIn {
    async fn begin(stage: &Stage) -> Self {
        let mut command = command(stage, &["auth", "login", "-o", "json"]);
        tokio::task::spawn_blocking(move || {
            let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let mut lines = BufReader::new(child.stderr.as_mut().unwrap()).lines();
            let address = lines.by_ref().map(Result::unwrap).find(|line| line.contains("http"));
            let address = address.unwrap().trim().to_owned();
            Self { child, address }
        })
        .await
        .unwrap()
    }

    async fn ended(self) -> Said {
        let Self { child, .. } = self;
        tokio::task::spawn_blocking(move || child.wait_with_output().unwrap().into()).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_with_one_command_and_out_with_another() {
    let provider = OidcProvider::start().unwrap();
    let stage = Stage::set().await;
    let said = ended(command(&stage, &["auth", "login"])).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("none of its Issuer documents has `login`"), "{said:?}");
    let said = ended(command(&stage, &["environments"])).await;
    assert_eq!(said.code, Some(4), "{said:?}");
    assert!(said.err.contains("deployd auth login"), "{said:?}");

    believe(&stage, &provider, CLIENT).await;
    let login = LoggingIn::begin(&stage).await;
    let mut visitor = Visitor::new();
    let back = visitor.sign_in(&login.address, "ada").await;
    // Somebody else on this machine has found the port, and tries a code of theirs.
    let mut forged = back.clone();
    forged.set_query(Some("code=of-eve&state=guessed"));
    assert_eq!(visitor.open(forged).await.0, 400);
    let (status, page) = visitor.open(back.clone()).await;
    assert_eq!(status, 200, "{page}");
    let said = login.ended().await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let session: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(session["name"], "corp:ada", "{session:#}");
    // Nobody listens there any more.
    assert!(reqwest::get(back).await.is_err());

    let file = stage.folder().join("deployd/sessions.json");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let kept: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let secret = kept[stage.daemon.base()]["secret"].as_str().unwrap().to_owned();
    assert!(!said.out.contains(&secret) && !said.err.contains(&secret));
    let said = ended(command(&stage, &["whoami"])).await;
    assert!(said.out.starts_with("corp:ada, in corp:shop"), "{said:?}");
    assert_eq!(ended(command(&stage, &["environments"])).await.code, Some(0));
    // It is shown at the address that it was given at, and at no other.
    let mut other = command(&stage, &["whoami"]);
    other.env("DEPLOYD_SERVER", stage.daemon.base().replace("127.0.0.1", "localhost"));
    assert_eq!(ended(other).await.code, Some(4));

    let said = ended(command(&stage, &["auth", "logout"])).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(!file.exists());
    assert_eq!(stage.client.with_token(&secret).get("/v1/whoami").await.status, 401);
    assert_eq!(ended(command(&stage, &["whoami"])).await.code, Some(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_turned_away_by_the_provider_is_told_why() {
    let provider = OidcProvider::start().unwrap();
    let stage = Stage::set().await;
    believe(&stage, &provider, CLIENT).await;
    let login = LoggingIn::begin(&stage).await;
    let mut visitor = Visitor::new();
    let back = visitor.sign_in(&login.address, "ada").await;
    // As the page of the provider says that somebody has not agreed.
    let state = back.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let mut denied = back.clone();
    denied
        .query_pairs_mut()
        .clear()
        .append_pair("error", "access_denied")
        .append_pair("state", &state);
    visitor.open(denied).await;
    let said = login.ended().await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("has not signed you in: access_denied"), "{said:?}");
    assert!(!stage.folder().join("deployd/sessions.json").exists());
}
