//! Tokens that end after a while, from whoever gives them out.

use deployd_plugin_sdk::http::{Request, Response};
use deployd_plugin_sdk::{Fault, Host, shown};
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::inputs::{Server, ServiceAccount, TokenEndpoint};

/// The longest token that is believed. Those of clouds have two or three KiB.
const TOKEN_BYTES: usize = 64 * 1024;

/// How long a token is believed to be good when its giver does not say. The
/// daemon renews it sooner when the cluster does not let it in.
const UNKNOWN_LIFETIME_MS: u64 = 5 * 60_000;

/// A token and when it ends.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) expires_ms: u64,
}

#[derive(Deserialize)]
struct TokenRequest {
    status: TokenStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TokenStatus {
    token: String,
    expiration_timestamp: Option<String>,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    /// Some servers write the number as text.
    expires_in: Option<Value>,
}

/// Exchanges the credential of a service account for a token, by the cluster's API.
pub(crate) fn of_account(
    server: Server<'_>,
    account: &ServiceAccount,
    host: &impl Host,
) -> Result<Token, Fault> {
    for (path, text) in [("namespace", &account.namespace), ("name", &account.name)] {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
        if text.is_empty() || !text.chars().all(fits) {
            let path = format!("/inputs/service_account/{path}");
            return Err(Fault::invalid(path, format!("{text:?} is no name in Kubernetes")));
        }
    }
    let what = format!("a token for the service account {}/{}", account.namespace, account.name);
    let mut spec = json!({"expirationSeconds": account.expiration_seconds});
    if let (Some(spec), false) = (spec.as_object_mut(), account.audiences.is_empty()) {
        spec.insert("audiences".to_owned(), json!(account.audiences));
    }
    let url = format!(
        "{}/api/v1/namespaces/{}/serviceaccounts/{}/token",
        server.url, account.namespace, account.name
    );
    let mut request = Request::post(url).header("accept", "application/json").json(&json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": spec,
    }))?;
    if let Some(secret) = &account.credential_secret {
        let credential = revealed(host, "/inputs/service_account/credential_secret", secret)?;
        request = request.header("authorization", format!("Bearer {credential}"));
    }
    let response = host.http(&request)?;
    if !response.is_success() {
        return Err(refused_by_cluster(&what, &response));
    }
    let status = response.json::<TokenRequest>().map_err(|fault| named(&what, fault))?.status;
    let expires_ms = match status.expiration_timestamp.as_deref() {
        None => host.now_ms().saturating_add(UNKNOWN_LIFETIME_MS),
        Some(text) => milliseconds(text).ok_or_else(|| {
            Fault::unavailable(format!(
                "{what}: the answer has an expirationTimestamp that is none"
            ))
        })?,
    };
    checked(&what, status.token, expires_ms)
}

/// Asks a token endpoint (RFC 6749): by client credentials, unless the form names
/// another grant type.
pub(crate) fn of_endpoint(endpoint: &TokenEndpoint, host: &impl Host) -> Result<Token, Fault> {
    let what = format!("a token from {}", endpoint.url.split('?').next().unwrap_or_default());
    let mut form = form_urlencoded::Serializer::new(String::new());
    if !endpoint.form.contains_key("grant_type") {
        form.append_pair("grant_type", "client_credentials");
    }
    form.extend_pairs(&endpoint.form);
    for (field, secret) in &endpoint.secret_form {
        let path = format!("/inputs/token_endpoint/secret_form/{field}");
        if endpoint.form.contains_key(field) {
            return Err(Fault::invalid(path, "the field stands in form, too"));
        }
        form.append_pair(field, &revealed(host, &path, secret)?);
    }
    let request = Request::post(&endpoint.url)
        .header("accept", "application/json")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form.finish());
    let response = host.http(&request)?;
    if !response.is_success() {
        return Err(refused_by_endpoint(&what, &response));
    }
    let granted = response.json::<Granted>().map_err(|fault| named(&what, fault))?;
    let seconds = match &granted.expires_in {
        None => None,
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(value) => value.as_u64(),
    };
    let lifetime_ms =
        seconds.map_or(UNKNOWN_LIFETIME_MS, |seconds: u64| seconds.saturating_mul(1_000));
    checked(&what, granted.access_token, host.now_ms().saturating_add(lifetime_ms))
}

/// A granted secret as a text of one line.
fn revealed(host: &impl Host, path: &str, name: &str) -> Result<String, Fault> {
    let text = host.reveal_text(path, name)?;
    if text.contains(char::is_control) {
        return Err(Fault::invalid(path, format!("the secret {name:?} is no text of one line")));
    }
    Ok(text)
}

/// What goes into a header has to fit there.
fn checked(what: &str, text: String, expires_ms: u64) -> Result<Token, Fault> {
    let is_token = !text.is_empty()
        && text.len() <= TOKEN_BYTES
        && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_token {
        Ok(Token { text, expires_ms })
    } else {
        Err(Fault::unavailable(format!("{what}: what was given is no token")))
    }
}

fn named(what: &str, fault: Fault) -> Fault {
    match fault {
        Fault::Unavailable { message, after } => {
            Fault::Unavailable { message: format!("{what}: {message}"), after }
        }
        other => other,
    }
}

/// A time as Kubernetes writes it, in milliseconds since 1970.
fn milliseconds(text: &str) -> Option<u64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    u64::try_from(time.unix_timestamp()).ok()?.checked_mul(1_000)
}

fn refused_by_cluster(what: &str, response: &Response) -> Fault {
    if let Some(fault) = response.passing(what) {
        return fault;
    }
    let said = said(response, "message");
    match response.status {
        401 => Fault::denied(format!(
            "{what}: the cluster does not know the credential; it may have expired, or the account \
             may be gone{said}"
        )),
        403 => Fault::denied(format!(
            "{what}: the credential's account may not; allow it to create serviceaccounts/token{said}"
        )),
        404 => Fault::not_found(format!("{what}: the cluster has no such account{said}")),
        400 | 422 => Fault::invalid("/inputs/service_account", format!("{what}{said}")),
        status => {
            Fault::permanent(format!("{what}: the cluster answers with status {status}{said}"))
        }
    }
}

fn refused_by_endpoint(what: &str, response: &Response) -> Fault {
    if let Some(fault) = response.passing(what) {
        return fault;
    }
    let error: Value = response.json().unwrap_or_default();
    let said = said(response, "error_description");
    match (response.status, error.get("error").and_then(Value::as_str).unwrap_or_default()) {
        (_, "invalid_scope" | "unsupported_grant_type" | "invalid_request" | "invalid_target") => {
            Fault::invalid("/inputs/token_endpoint", format!("{what} is refused{said}"))
        }
        (_, "temporarily_unavailable" | "slow_down") => {
            Fault::unavailable(format!("{what}: the server asks for another try{said}"))
        }
        (401 | 403, _) | (_, "invalid_client" | "invalid_grant" | "unauthorized_client") => {
            Fault::denied(format!(
                "{what}: the server does not accept the client or its proof{said}"
            ))
        }
        (status @ 300..=399, _) => Fault::invalid(
            "/inputs/token_endpoint/url",
            format!("{what}: it leads elsewhere (status {status}); redirects are not followed"),
        ),
        (status, _) => {
            Fault::permanent(format!("{what}: the answer has the status {status}{said}"))
        }
    }
}

/// A server's own words, as far as a person wants them.
fn said(response: &Response, field: &str) -> String {
    let answer: Value = response.json().unwrap_or_default();
    let text = answer.get(field).and_then(Value::as_str).unwrap_or_default();
    let text = shown(text);
    if text.is_empty() { String::new() } else { format!(" ({text})") }
}
