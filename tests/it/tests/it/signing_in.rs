//! Somebody who signs in at an identity provider, as a browser would: follows where
//! they are led, keeps cookies, fills in forms.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fixtures::oidc_provider::{CLIENT_HS256, CLIENT_SECRET, OidcProvider};
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, Method, RequestBuilder, Url, redirect};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::wait::GUARD;

/// Where clients are led to. Nobody is there in tests that read the code themselves.
const REDIRECT: &str = "http://127.0.0.1:9/callback";

/// What proves that who has the code is who has asked for it.
const VERIFIER: &str = "a-verifier-of-forty-three-or-more-characters-as-needed";

/// More steps than any sign-in has.
const STEPS_MAX: usize = 20;

/// A browser with nobody's cookies.
pub(crate) struct Visitor {
    http: Client,
    cookies: BTreeMap<String, String>,
}

impl Visitor {
    pub(crate) fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder().no_proxy().timeout(GUARD).redirect(redirect::Policy::none());
        Self { http: http.build().unwrap(), cookies: BTreeMap::new() }
    }

    /// Opens an address of a provider, signs in there with a name, and agrees; gives the
    /// first address that is not the provider's, without asking for it.
    pub(crate) async fn sign_in(&mut self, address: &str, name: &str) -> Url {
        let provider = Url::parse(address).unwrap();
        let mut request = self.http.get(provider.clone());
        let mut at = provider.clone();
        for _ in 0..STEPS_MAX {
            let answer = self.send(request).await;
            if let Some(to) = answer.headers().get(LOCATION) {
                at = at.join(to.to_str().unwrap()).unwrap();
                if at.origin() != provider.origin() {
                    return at;
                }
                request = self.http.get(at.clone());
                continue;
            }
            let page = answer.text().await.unwrap();
            let form = page.split("action=\"").nth(1);
            let form = form.unwrap_or_else(|| panic!("no form: {page}"));
            at = at.join(form.split('"').next().unwrap()).unwrap();
            let filled = match page.contains("name=\"login\"") {
                true => format!("prompt=login&login={name}&password=any"),
                false => "prompt=consent".to_owned(),
            };
            request = self.http.post(at.clone()).body(filled);
            request = request.header("content-type", "application/x-www-form-urlencoded");
        }
        panic!("no end after {STEPS_MAX} steps, at {at}");
    }

    /// Opens an address, and reads the page.
    pub(crate) async fn open(&mut self, address: Url) -> (u16, String) {
        let answer = self.send(self.http.get(address)).await;
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn send(&mut self, request: RequestBuilder) -> reqwest::Response {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let answer = request.header(COOKIE, cookies.join("; ")).send().await.unwrap();
        for cookie in answer.headers().get_all(SET_COOKIE) {
            let cookie = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = cookie.split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        answer
    }
}

/// The ID token that a client of the provider gets for somebody.
pub(crate) async fn id_token(provider: &OidcProvider, client: &str, name: &str) -> String {
    let mut visitor = Visitor::new();
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
    let address = Url::parse_with_params(
        &format!("{}/auth", provider.issuer),
        [
            ("response_type", "code"),
            ("client_id", client),
            ("redirect_uri", REDIRECT),
            ("scope", "openid email groups"),
            ("state", "any"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ],
    );
    let back = visitor.sign_in(address.unwrap().as_str(), name).await;
    let code = back.query_pairs().find(|(name, _)| name == "code");
    let code = code.unwrap_or_else(|| panic!("no code: {back}")).1.into_owned();
    let mut form = vec![
        ("grant_type", "authorization_code"),
        ("client_id", client),
        ("redirect_uri", REDIRECT),
        ("code", &code),
        ("code_verifier", VERIFIER),
    ];
    if client == CLIENT_HS256 {
        form.push(("client_secret", CLIENT_SECRET));
    }
    let body = Url::parse_with_params("http://form/", form).unwrap();
    let request = visitor
        .http
        .request(Method::POST, format!("{}/token", provider.issuer))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body.query().unwrap().to_owned());
    let answer = request.send().await.unwrap().text().await.unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    answer["id_token"].as_str().unwrap_or_else(|| panic!("{answer:#}")).to_owned()
}
