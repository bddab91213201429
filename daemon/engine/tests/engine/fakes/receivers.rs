//! A receiver: the body is a list of documents, and tells them. A registry: what a tag
//! means is the digest of both, unless it is away.

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use deployd_core::attestation::Statement;
use deployd_core::config::{IssuerSpec, SignedBy};
use deployd_core::ports::{
    Attestations, Call, Delivery, Issuers, Receivers, References, Registries, RegistryAccess,
};
use deployd_core::{Digest, Fault};
use serde_json::{Value, json};

use super::Instance;

#[async_trait]
impl Receivers for Instance {
    async fn decode(
        &self,
        _call: Call<'_>,
        delivery: &Delivery,
        config: &Value,
    ) -> Result<Vec<Value>, Fault> {
        self.look("decode", async { Ok::<(), Fault>(()) }).await?;
        if let Some(code) = config.get("fails").and_then(Value::as_str) {
            return Err(Fault::transient(code, "the receiver is not there just now"));
        }
        match serde_json::from_slice(&delivery.body) {
            Ok(Value::Array(documents)) => Ok(documents),
            _ => Err(Fault::invalid("plugin-invalid", "/body: expected a list")),
        }
    }
}

/// What a tag of a repository means.
pub fn tagged(repository: &str, tag: &str) -> Digest {
    Digest::of(format!("{repository}:{tag}").as_bytes())
}

#[async_trait]
impl Registries for Instance {
    async fn digest(
        &self,
        repository: &str,
        tag: &str,
        access: &RegistryAccess,
    ) -> Result<Digest, Fault> {
        self.look("digest", async { Ok::<(), Fault>(()) }).await?;
        let password = access.credentials.as_ref().map(|value| value.expose().to_vec());
        if password.as_deref() != Some(b"ci:hunter2") {
            return Err(Fault::denied("registry-refused", "the registry answers 401"));
        }
        Ok(tagged(repository, tag))
    }
}

/// The document that everybody finds at an address; none where it says `away`.
pub fn elsewhere(url: &str) -> Vec<u8> {
    let at = "2026-11-01T00:00:00Z";
    json!({"kind": "tests", "name": url, "at": at, "passed": true}).to_string().into_bytes()
}

#[async_trait]
impl References for Instance {
    async fn fetch(&self, url: &str, _: usize) -> Result<Vec<u8>, Fault> {
        self.look("fetch", async { Ok::<(), Fault>(()) }).await?;
        match url.contains("away") {
            true => Err(Fault::transient("reference-unreachable", "it answers 503")),
            false => Ok(elsewhere(url)),
        }
    }
}

impl Attestations for Instance {
    /// `{"signer": .., "about": [..], "type": .., "says": ..}`, as if it were signed.
    fn read(&self, document: &[u8]) -> Result<Statement, String> {
        let document: Value = serde_json::from_slice(document).map_err(|e| e.to_string())?;
        Ok(Statement {
            subjects: serde_json::from_value(document["about"].clone())
                .map_err(|e| e.to_string())?,
            predicate_type: document["type"].as_str().unwrap_or_default().to_owned(),
            predicate: document["says"].clone(),
        })
    }

    fn signer(&self, document: &[u8], _: Digest, by: &SignedBy) -> Result<String, String> {
        let document: Value = serde_json::from_slice(document).map_err(|e| e.to_string())?;
        let signer = document["signer"].as_str().unwrap_or_default().to_owned();
        let counts = by.keys.contains(&signer);
        if counts { Ok(signer) } else { Err(format!("{signer} does not count")) }
    }
}

#[async_trait]
impl Issuers for Instance {
    /// Whatever is between the dots, as if it were signed; none where the signature is
    /// called wrong.
    async fn claims(&self, _: &IssuerSpec, token: &str) -> Result<Value, Fault> {
        self.look("claims", async { Ok::<(), Fault>(()) }).await?;
        let mut parts = token.split('.').skip(1);
        let claims = parts.next().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        claims
            .filter(|_| parts.next() != Some("wrong"))
            .and_then(|claims| serde_json::from_slice(&claims).ok())
            .ok_or_else(|| Fault::denied("token-refused", "its signature is wrong"))
    }
}
