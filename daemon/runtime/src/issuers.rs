//! Verifies tokens of issuers: their keys, by OpenID Connect Discovery 1.0 and RFC 7517,
//! through the one way out; signatures by ring, which TLS has brought already.
//!
//! Not by a library for JSON Web Tokens: those that there are read the system's clock
//! instead of ours, bring a second or third implementation of RSA, and leave the claims
//! to be judged here all the same. What remains is three parts of base 64.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use deployd_core::Fault;
use deployd_core::config::{HostGrant, IssuerSpec, TokenAlgorithm};
use deployd_core::ports::{Access, Egress, EgressLimits, Exchange, Issuers};
use deployd_core::rate::{Bucket, Rate};
use reqwest::Url;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::sender::{Logged, fault};

/// For how long keys are believed without being asked for again: who takes one back
/// that was stolen wants that to count today.
const KEYS_AGE_MAX: Duration = Duration::from_secs(60 * 60);

/// For how long they are if the issuer can't be reached: an outage of it should not be
/// one of ours.
const KEYS_AGE_AWAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Questions for the keys of one issuer, whatever tokens name: who invents names of keys
/// has us ask no more often. Some at once, so that keys which change soon after a start
/// are found as soon as any.
const KEYS_ASKED: Rate = Rate { at_once: 3, each: Duration::from_secs(30) };

/// Bytes of an answer. Keys have 2 KiB each, with certificates.
const BODY_MAX: usize = 256 * 1024;

/// Keys of one issuer that are kept. GitHub has six.
const KEYS_MAX: usize = 50;

/// Issuers whose keys are kept: as many as there are documents, and room.
const ISSUERS_MAX: usize = 100;

/// Issuers, through the one way out.
pub(crate) struct EgressIssuers {
    egress: Arc<dyn Egress>,
    known: Mutex<BTreeMap<String, Arc<Mutex<Keys>>>>,
    started: Instant,
}

/// Keys of one issuer.
#[derive(Default)]
struct Keys {
    all: Vec<Key>,
    fetched: Option<Instant>,
    asked: Bucket,
}

/// A key that signatures are verified with.
#[derive(Debug, Clone)]
struct Key {
    id: String,
    public: Public,
}

#[derive(Debug, Clone)]
enum Public {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256 { point: Vec<u8> },
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

fn refused(why: impl Into<String>) -> Fault {
    Fault::denied("token-refused", why)
}

#[async_trait]
impl Issuers for EgressIssuers {
    async fn claims(&self, issuer: &IssuerSpec, token: &str) -> Result<Value, Fault> {
        let none = || refused("it is no signed JSON Web Token");
        let mut parts = token.split('.');
        let (Some(head), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(none());
        };
        let header: Header = part(head).ok_or_else(none)?;
        let algorithm = issuer.algorithms.iter().find(|known| known.as_str() == header.alg);
        let Some(algorithm) = algorithm else {
            let allowed: Vec<&str> = issuer.algorithms.iter().map(|one| one.as_str()).collect();
            let (found, allowed) = (shown(&header.alg), allowed.join(" or "));
            return Err(refused(format!("it is signed by {found}, expected {allowed}")));
        };
        if header.crit.is_some() {
            return Err(refused("it has extensions that have to be understood, and are not"));
        }
        // An access token is for somebody else, also where the same key has signed it.
        if header.typ.as_ref().is_some_and(|typ| !typ.eq_ignore_ascii_case("JWT")) {
            return Err(refused("it is another kind of token, by its `typ`"));
        }
        let id = header.kid.ok_or_else(|| refused("it does not name the key that signed it"))?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| none())?;
        let key = self.key(issuer, &id).await?;
        let length = head.len() + 1 + claims.len();
        let signed = token.get(..length).ok_or_else(none)?;
        if !key.public.has_signed(*algorithm, signed.as_bytes(), &signature) {
            return Err(refused("its signature is not by the key that it names"));
        }
        part(claims).ok_or_else(none)
    }
}

/// A part of a token: JSON in base 64.
fn part<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

/// What a stranger wrote, as far as it is shown.
fn shown(text: &str) -> String {
    format!("{:?}", text.chars().take(40).collect::<String>())
}

impl Public {
    fn has_signed(&self, algorithm: TokenAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        match (algorithm, self) {
            (TokenAlgorithm::RS256, Self::Rsa { n, e }) => {
                let key = RsaPublicKeyComponents { n, e };
                key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok()
            }
            (TokenAlgorithm::ES256, Self::P256 { point }) => {
                let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
                key.verify(message, signature).is_ok()
            }
            _ => false,
        }
    }
}

impl Jwk {
    /// The key, if it is of a kind that is used here.
    fn key(self) -> Option<Key> {
        if self.usage.is_some_and(|usage| usage != "sig") {
            return None;
        }
        let bytes = |text: Option<String>| URL_SAFE_NO_PAD.decode(text?).ok();
        let public = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => Public::Rsa { n: bytes(self.n)?, e: bytes(self.e)? },
            ("EC", Some("P-256")) => {
                // A point that is not compressed (SEC 1, 2.3.3).
                let mut point = vec![4];
                point.extend(bytes(self.x)?);
                point.extend(bytes(self.y)?);
                Public::P256 { point }
            }
            _ => return None,
        };
        Some(Key { id: self.kid?, public })
    }
}

impl EgressIssuers {
    pub(crate) fn new(egress: Arc<dyn Egress>) -> Self {
        Self { egress, known: Mutex::default(), started: Instant::now() }
    }

    /// A key of an issuer, by its name.
    async fn key(&self, issuer: &IssuerSpec, id: &str) -> Result<Key, Fault> {
        let keys = {
            let mut known = self.known.lock().await;
            if known.len() >= ISSUERS_MAX && !known.contains_key(&issuer.issuer) {
                known.clear();
            }
            known.entry(issuer.issuer.clone()).or_default().clone()
        };
        // One question at a time: who comes meanwhile has its answer.
        let mut keys = keys.lock().await;
        let age = |at: Option<Instant>| at.map(|at| at.elapsed());
        let fresh = age(keys.fetched).is_some_and(|age| age < KEYS_AGE_MAX);
        let find = |keys: &Keys| keys.all.iter().find(|key| key.id == id).cloned();
        if fresh && let Some(key) = find(&keys) {
            return Ok(key);
        }
        if keys.asked.take(&KEYS_ASKED, self.started.elapsed()).is_ok() {
            match self.fetch(issuer).await {
                Ok(all) => {
                    keys.all = all;
                    keys.fetched = Some(Instant::now());
                }
                Err(error) if age(keys.fetched).is_some_and(|age| age < KEYS_AGE_AWAY) => {
                    let issuer = &issuer.issuer;
                    tracing::warn!(%issuer, %error, "its keys can't be had; those of before count");
                }
                Err(error) => return Err(error),
            }
        }
        let usable = age(keys.fetched).is_some_and(|age| age < KEYS_AGE_AWAY);
        match find(&keys).filter(|_| usable) {
            Some(key) => Ok(key),
            None if usable => Err(refused(format!("the issuer has no key {}", shown(id)))),
            None => {
                let message = format!("the keys of {} can't be had", issuer.issuer);
                Err(Fault::transient("issuer-away", message))
            }
        }
    }

    async fn fetch(&self, issuer: &IssuerSpec) -> Result<Vec<Key>, Fault> {
        let base = issuer.issuer.trim_end_matches('/');
        let address = format!("{base}/.well-known/openid-configuration");
        let discovery: Discovery = self.get(issuer, &address).await?;
        if discovery.issuer != issuer.issuer {
            let (found, expected) = (shown(&discovery.issuer), &issuer.issuer);
            let message = format!("{address} is of the issuer {found}, expected {expected}");
            return Err(Fault::invalid("issuer-strange", message));
        }
        let set: KeySet = self.get(issuer, &discovery.jwks_uri).await?;
        let keys = set.keys.into_iter().take(KEYS_MAX);
        // Keys of kinds that are not known here are no mistake.
        let keys = keys.filter_map(|key| serde_json::from_value::<Jwk>(key).ok()?.key());
        Ok(keys.collect())
    }

    async fn get<T: DeserializeOwned>(&self, issuer: &IssuerSpec, url: &str) -> Result<T, Fault> {
        let strange = |what: String| Fault::transient("issuer-strange", what);
        let parsed = Url::parse(url).map_err(|_| strange(format!("{} is no URL", shown(url))))?;
        if parsed.scheme() != "https" && !issuer.private_address {
            return Err(strange(format!("{} is without TLS", shown(url))));
        }
        let grant = HostGrant {
            host: parsed.host_str().unwrap_or_default().to_owned(),
            port: parsed.port_or_known_default().unwrap_or_default(),
            scheme: parsed.scheme().to_owned(),
            private_address: issuer.private_address,
            ..HostGrant::default()
        };
        let access = Access {
            grants: Arc::new([grant]),
            limits: EgressLimits { body_bytes: BODY_MAX, ..EgressLimits::default() },
            uses: Arc::new(Logged),
        };
        let headers = vec![("accept".to_owned(), "application/json".to_owned())];
        let exchange =
            Exchange { method: "GET".to_owned(), url: parsed.into(), headers, body: Vec::new() };
        let answer = self.egress.exchange(&access, exchange).await;
        let answer = answer.map_err(|error| fault(error, "issuer"))?;
        if answer.status != 200 {
            return Err(strange(format!("{url} answers {}", answer.status)));
        }
        serde_json::from_slice(&answer.body)
            .map_err(|error| strange(format!("what {url} answers can't be read: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex as StdMutex;

    use axum::extract::State;
    use axum::routing::get;
    use deployd_core::FaultClass;
    use deployd_egress::{Broker, System};
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
    use serde_json::json;

    use super::*;
    use crate::secrets::NoSecrets;

    /// Made by openssl: a token of `ada`, and the modulus of the key that signed it.
    const RSA_TOKEN: &str = "eyJhbGciOiAiUlMyNTYiLCAia2lkIjogInJzYSIsICJ0eXAiOiAiSldUIn0.eyJzdWIiOiAiYWRhIn0.tP1FD6z8\
     94ktAtPRYN79vUfnMUgU7QI6E5NBQ5-FqBS5PeBSChGEqt1Ve9MLYTr3WN8btIN-cZVKrDOayFYV3iHpQSxt_BWY\
     S-zDRqk4ceyKDCQNOmaO6o3C-Y7c741LWks87MrV7-2nTyoZ9PEYScOgLvuZmSjO5eVNVLrsT0eZDF11VxHbmyN-\
     n8APy9Ec67HoAKwrkIAH6Rg4eMkwddqIVdLFKLurGcl17FLZBDKjbvU73FEB3fUGVNYajrdijWMPNfsp9eILtu3k\
     _vq9KIvNZV1kWwGz86dfGabm2HjLoh3tgezNbScVVfYfh8X702HC6B3AgNhd29dNMKYbzA";
    const RSA_N: &str = "ttC65L_IS-CiMWNF_HmGQGo1xZRF1MOw-xE3kPs5kJgsVv_iqbH-SnI1-T9MHok8aVcjRqege7na1uVUpuWiHtsU\
     XHbexBb3TPsFyUJ4oD1yefiSYNaWJhCITK_nrATDajxWs2ESQtxBds1yf55PwobrPppNxuxBEWX9PFMrNwJDN2AU\
     3Mhgl-AGVhDEC1s-MQMjTwM-YisMzkUTExv5sqk91R4DAIXjoyNOZvgQFq-0KBbuCUT4bAO9mjDPHizgdlP7cNtO\
     QWNdjnN-jjAi9e9uCaoLc3_K5hSn1P1hhyzZx8yurvuzUKDwlqePrBIoaoYRwg0v4Nmpby3gHGgIcw";

    /// An issuer whose keys change.
    #[derive(Clone)]
    struct Forge {
        url: String,
        keys: Arc<StdMutex<Vec<Value>>>,
        asked: Arc<StdMutex<u32>>,
    }

    impl Forge {
        async fn start() -> Self {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let this = Self { url, keys: Arc::default(), asked: Arc::default() };
            let discovery = async |State(forge): State<Forge>| {
                json!({"issuer": forge.url, "jwks_uri": format!("{}/keys", forge.url)}).to_string()
            };
            let keys = async |State(forge): State<Forge>| {
                *forge.asked.lock().unwrap() += 1;
                json!({"keys": *forge.keys.lock().unwrap()}).to_string()
            };
            let router = axum::Router::new()
                .route("/.well-known/openid-configuration", get(discovery))
                .route("/keys", get(keys))
                .with_state(this.clone());
            tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
            this
        }

        fn spec(&self) -> IssuerSpec {
            serde_json::from_value(json!({
                "issuer": self.url, "audience": "us", "privateAddress": true,
            }))
            .unwrap()
        }

        fn has(&self, id: &str, key: &EcdsaKeyPair) {
            let point = key.public_key().as_ref();
            let (x, y) = (&point[1..33], &point[33..]);
            let encode = |part: &[u8]| URL_SAFE_NO_PAD.encode(part);
            self.keys.lock().unwrap().push(json!({
                "kty": "EC", "crv": "P-256", "kid": id, "use": "sig", "x": encode(x), "y": encode(y),
            }));
        }
    }

    fn issuers() -> EgressIssuers {
        EgressIssuers::new(Arc::new(Broker::new(Arc::new(System), Arc::new(NoSecrets))))
    }

    fn key() -> EcdsaKeyPair {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let made = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        EcdsaKeyPair::from_pkcs8(algorithm, made.as_ref(), &random).unwrap()
    }

    fn signed(header: &Value, claims: &Value, key: &EcdsaKeyPair) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let signature = key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    #[tokio::test]
    async fn what_a_key_of_the_issuer_has_signed_is_believed_and_nothing_else() {
        let (forge, issuers, ours) = (Forge::start().await, issuers(), key());
        forge.has("one", &ours);
        forge
            .keys
            .lock()
            .unwrap()
            .push(json!({"kty": "RSA", "kid": "rsa", "n": RSA_N, "e": "AQAB"}));
        forge.keys.lock().unwrap().push(json!({"kty": "oct", "kid": "secret", "k": "AAAA"}));
        let spec = forge.spec();
        let (good, claims) = (json!({"alg": "ES256", "kid": "one"}), json!({"sub": "ada"}));
        let token = signed(&good, &claims, &ours);
        assert_eq!(issuers.claims(&spec, &token).await.unwrap(), claims);
        assert_eq!(issuers.claims(&spec, RSA_TOKEN).await.unwrap(), claims);

        let other = signed(&good, &json!({"sub": "root"}), &ours);
        let parts: Vec<&str> = token.split('.').collect();
        let swapped = format!("{}.{}.{}", parts[0], other.split('.').nth(1).unwrap(), parts[2]);
        let with = |header: Value| signed(&header, &claims, &ours);
        for (token, expected) in [
            (swapped, "its signature"),
            (signed(&good, &claims, &key()), "its signature"),
            (format!("{}.{}.", parts[0], parts[1]), "its signature"),
            (with(json!({"alg": "none", "kid": "one"})), "it is signed by \"none\""),
            (with(json!({"alg": "HS256", "kid": "one"})), "it is signed by \"HS256\""),
            (with(json!({"alg": "HS256", "kid": "secret"})), "it is signed by \"HS256\""),
            // A key of one kind is used for no other algorithm.
            (with(json!({"alg": "RS256", "kid": "one"})), "its signature"),
            (with(json!({"alg": "ES256", "kid": "rsa"})), "its signature"),
            (with(json!({"alg": "ES256", "kid": "one", "crit": ["b64"]})), "it has extensions"),
            (with(json!({"alg": "ES256", "kid": "one", "typ": "at+jwt"})), "it is another kind"),
            (with(json!({"alg": "ES256"})), "it does not name the key"),
            (with(json!({"alg": "ES256", "kid": "two"})), "the issuer has no key"),
            (format!("{token}.x"), "it is no signed"),
            ("a.b".to_owned(), "it is no signed"),
            (String::new(), "it is no signed"),
        ] {
            let fault = issuers.claims(&spec, &token).await.unwrap_err();
            assert_eq!(fault.class, FaultClass::Denied, "{token}");
            assert!(fault.message.starts_with(expected), "{token}: {}", fault.message);
        }
        let only = IssuerSpec { algorithms: vec![TokenAlgorithm::RS256], ..spec };
        let fault = issuers.claims(&only, &token).await.unwrap_err();
        assert!(fault.message.ends_with("expected RS256"), "{}", fault.message);
    }

    #[tokio::test]
    async fn keys_are_asked_for_again_when_a_token_names_a_new_one_but_not_each_time() {
        let (forge, issuers, first, second) = (Forge::start().await, issuers(), key(), key());
        forge.has("one", &first);
        let token = |id: &str, key: &EcdsaKeyPair| {
            signed(&json!({"alg": "ES256", "kid": id}), &json!({"sub": "ada"}), key)
        };
        let asked = || *forge.asked.lock().unwrap();
        let spec = forge.spec();
        issuers.claims(&spec, &token("one", &first)).await.unwrap();
        issuers.claims(&spec, &token("one", &first)).await.unwrap();
        assert_eq!(asked(), 1);
        // Who invents names has nobody asked more often than a few times.
        for number in 0..20 {
            let invented = token(&format!("key{number}"), &second);
            issuers.claims(&spec, &invented).await.unwrap_err();
        }
        assert_eq!(asked(), KEYS_ASKED.at_once);
        forge.has("two", &second);
        issuers.claims(&spec, &token("two", &second)).await.unwrap_err();
        let keys = issuers.known.lock().await[&forge.url].clone();
        keys.lock().await.asked = Bucket::default();
        issuers.claims(&spec, &token("two", &second)).await.unwrap();
        assert_eq!(asked(), KEYS_ASKED.at_once + 1);
    }

    #[tokio::test]
    async fn an_issuer_that_is_away_or_another_is_no_reason_to_believe() {
        let (forge, issuers, ours) = (Forge::start().await, issuers(), key());
        forge.has("one", &ours);
        let token = signed(&json!({"alg": "ES256", "kid": "one"}), &json!({}), &ours);
        let spec = |issuer: String| IssuerSpec { issuer, ..forge.spec() };
        let slash = spec(format!("{}/", forge.url));
        let fault = issuers.claims(&slash, &token).await.unwrap_err();
        assert_eq!(fault.code, "issuer-strange", "{}", fault.message);
        let away = spec("http://127.0.0.1:9".to_owned());
        assert_ne!(issuers.claims(&away, &token).await.unwrap_err().class, FaultClass::Denied);
        let public = IssuerSpec { private_address: false, ..forge.spec() };
        issuers.claims(&public, &token).await.unwrap_err();
    }
}
