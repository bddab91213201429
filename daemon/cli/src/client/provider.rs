//! What is asked of an identity provider, in two requests: where its addresses are
//! (OpenID Connect Discovery 1.0), and the token for a code (RFC 6749, 4.1.3).

use deployd_core::views::LoginView;
use http::StatusCode;
use http::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Response, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::request::reason;
use super::{ClientOptions, transport};
use crate::error::CliError;
use crate::output::clean;

/// Bytes of an answer: tokens with many groups have some ten KiB.
const ANSWER_BYTES_MAX: usize = 256 << 10;

/// An identity provider, as the daemon names it.
#[derive(Debug)]
pub struct Provider {
    http: reqwest::Client,
    issuer: String,
    /// The page that people sign in at.
    pub page: Url,
    tokens: Url,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    #[serde(default)]
    code_challenge_methods_supported: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
    error_description: Option<String>,
}

impl Provider {
    /// Asks an issuer where its addresses are. Fails where it is another one than the
    /// daemon believes, or could be listened to on the way.
    pub async fn find(login: &LoginView, options: &ClientOptions) -> Result<Self, CliError> {
        let base = login.issuer.trim_end_matches('/');
        let about = secured(&format!("{base}/.well-known/openid-configuration"), base)?;
        let http = transport::http(&about, options)?;
        let answer = http.get(about).header(ACCEPT, "application/json").timeout(options.timeout);
        let answer = answer.send().await.map_err(|error| away(base, &error))?;
        let status = answer.status();
        let body = body(answer, base).await?;
        if status != StatusCode::OK {
            return Err(strange(base, format!("it says {status} where its addresses should be")));
        }
        let found: Discovery = read(&body, base)?;
        if found.issuer != login.issuer {
            return Err(strange(base, format!("it calls itself {}", clean(&found.issuer))));
        }
        let methods = found.code_challenge_methods_supported;
        if methods.is_some_and(|methods| methods.iter().all(|method| method != "S256")) {
            return Err(strange(base, "it knows no PKCE by S256"));
        }
        Ok(Self {
            http,
            issuer: login.issuer.clone(),
            page: secured(&found.authorization_endpoint, base)?,
            tokens: secured(&found.token_endpoint, base)?,
        })
    }

    /// The ID token for a code that its page has given.
    pub async fn id_token(
        &self,
        client_id: &str,
        code: &str,
        verifier: &str,
        redirect: &str,
    ) -> Result<String, CliError> {
        let mut form =
            Url::parse("http://form/").map_err(|error| CliError::Failed(error.to_string()))?;
        form.query_pairs_mut()
            .append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", redirect)
            .append_pair("client_id", client_id)
            .append_pair("code_verifier", verifier);
        let answer = self
            .http
            .post(self.tokens.clone())
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form.query().unwrap_or_default().to_owned())
            .send()
            .await
            .map_err(|error| away(&self.issuer, &error))?;
        let status = answer.status();
        let body = body(answer, &self.issuer).await?;
        if !status.is_success() {
            let why = match serde_json::from_slice(&body) {
                Ok(Refusal { error, error_description: Some(why) }) => format!("{error}: {why}"),
                Ok(Refusal { error, .. }) => error,
                Err(_) => status.to_string(),
            };
            return Err(strange(&self.issuer, format!("it gives no token: {}", clean(&why))));
        }
        let tokens: Tokens = read(&body, &self.issuer)?;
        tokens.id_token.ok_or_else(|| strange(&self.issuer, "it gives no ID token"))
    }
}

/// An address that nobody on the way can listen at: of TLS, or of this machine.
fn secured(address: &str, issuer: &str) -> Result<Url, CliError> {
    let found = || clean(address);
    let url = Url::parse(address)
        .map_err(|error| strange(issuer, format!("{} is no address: {error}", found())))?;
    let local = matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
    if url.scheme() == "https" || (url.scheme() == "http" && local) {
        return Ok(url);
    }
    let what = format!("{}: expected https, or an address of this machine", found());
    Err(strange(issuer, what))
}

async fn body(mut answer: Response, issuer: &str) -> Result<Vec<u8>, CliError> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| away(issuer, &error))? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            let what = format!("it answers more than {ANSWER_BYTES_MAX} bytes");
            return Err(strange(issuer, what));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn read<T: DeserializeOwned>(body: &[u8], issuer: &str) -> Result<T, CliError> {
    serde_json::from_slice(body)
        .map_err(|error| strange(issuer, format!("what it answers can't be read: {error}")))
}

fn away(issuer: &str, error: &reqwest::Error) -> CliError {
    let what = format!("the identity provider {issuer} can't be reached: {}", reason(error));
    CliError::Failed(what)
}

fn strange(issuer: &str, what: impl std::fmt::Display) -> CliError {
    CliError::Failed(format!("the identity provider {issuer}: {what}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{Answer, Daemon};

    async fn found(change: impl FnOnce(&mut Value)) -> (Daemon, Result<Provider, CliError>) {
        // It is asked for its own address before it can say it.
        let daemon = Daemon::new([]).await;
        let mut about = json!({
            "issuer": daemon.url,
            "authorization_endpoint": format!("{}/auth", daemon.url),
            "token_endpoint": format!("{}/token", daemon.url),
        });
        change(&mut about);
        daemon.answers(Answer::json(200, &about));
        let login = LoginView {
            name: "corp".parse().unwrap(),
            issuer: daemon.url.clone(),
            client_id: "deployd".to_owned(),
            scopes: Vec::new(),
        };
        let provider = Provider::find(&login, &ClientOptions::new(&daemon.url)).await;
        (daemon, provider)
    }

    #[tokio::test]
    async fn a_provider_that_is_another_or_could_be_listened_to_is_refused() {
        assert!(found(|_| {}).await.1.is_ok());
        for (field, value, why) in [
            ("issuer", json!("https://evil.example"), "it calls itself https://evil.example"),
            ("authorization_endpoint", json!("http://login.example.com/"), "expected https"),
            ("token_endpoint", json!("http://10.0.0.1/token"), "expected https"),
            ("token_endpoint", json!("javascript:alert(1)"), "expected https"),
            ("code_challenge_methods_supported", json!(["plain"]), "no PKCE by S256"),
            ("token_endpoint", Value::Null, "can't be read"),
        ] {
            let error = found(|about| about[field] = value).await.1.unwrap_err().to_string();
            assert!(error.contains(why), "{field}: {error}");
        }
    }

    #[tokio::test]
    async fn why_there_is_no_token_is_told() {
        let (daemon, provider) = found(|_| {}).await;
        let provider = provider.unwrap();
        let ask = || provider.id_token("deployd", "c&d", "v", "http://127.0.0.1:1/callback");
        daemon.answers(Answer::json(200, &json!({"id_token": "a.b.c"})));
        assert_eq!(ask().await.unwrap(), "a.b.c");
        let seen = daemon.seen();
        let form = String::from_utf8(seen.last().unwrap().body.clone()).unwrap();
        assert!(form.contains("code=c%26d&") && form.contains("code_verifier=v"), "{form}");
        let refusal = json!({"error": "invalid_grant", "error_description": "too late"});
        for (answer, why) in [
            (Answer::json(400, &refusal), "invalid_grant: too late"),
            (Answer::new(502, "<html>"), "502 Bad Gateway"),
            (Answer::json(200, &json!({"access_token": "x"})), "no ID token"),
            (Answer::new(200, "x".repeat(ANSWER_BYTES_MAX + 1)), "more than"),
        ] {
            daemon.answers(answer);
            let error = ask().await.unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
