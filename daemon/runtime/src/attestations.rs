//! Reads and verifies attestations: DSSE envelopes and bundles of Sigstore, whose
//! certificates, logs and times the library of Sigstore checks. It is given ring for
//! its cryptography, which TLS has brought already.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deployd_core::Digest;
use deployd_core::attestation::Statement;
use deployd_core::config::{SignedBy, Trust, glob_matches};
use deployd_core::ports::Attestations;
use serde_json::Value;
use sigstore_verify::crypto::VerificationKey;
use sigstore_verify::trust_root::{
    SIGSTORE_GITHUB_TRUSTED_ROOT, SIGSTORE_PRODUCTION_TRUSTED_ROOT, TrustedRoot,
};
use sigstore_verify::types::{Bundle, DerPublicKey, Sha256Hash, SignatureBytes, pae};
use sigstore_verify::{VerificationPolicy, Verifier};

mod cryptography;

/// What a DSSE envelope holds that is an in-toto statement.
const IN_TOTO: &str = "application/vnd.in-toto+json";

/// Signatures of one envelope that are looked at: one per key that is being exchanged.
const SIGNATURES_MAX: usize = 5;

/// Attestations as Sigstore and cosign write them.
pub(crate) struct SigstoreAttestations;

impl SigstoreAttestations {
    /// With ring behind them.
    pub(crate) fn new() -> Self {
        cryptography::install();
        Self
    }
}

impl Attestations for SigstoreAttestations {
    fn read(&self, document: &[u8]) -> Result<Statement, String> {
        statement(&Signed::of(&parsed(document)?)?)
    }

    fn signer(&self, document: &[u8], image: Digest, by: &SignedBy) -> Result<String, String> {
        let document = parsed(document)?;
        let mut problems = Vec::new();
        for found in [by_key(&document, image, by), by_identity(&document, image, by)] {
            match found {
                Some(Ok(signer)) => return Ok(signer),
                Some(Err(problem)) => problems.push(problem),
                None => {}
            }
        }
        Err(problems.join("; "))
    }
}

/// The key that has signed it; none where no key counts.
///
/// Who trusts a key trusts it wherever it was used: logs and times are for identities,
/// whose keys are gone after minutes.
fn by_key(document: &Value, image: Digest, by: &SignedBy) -> Option<Result<String, String>> {
    if by.keys.is_empty() {
        return None;
    }
    let signed = match Signed::of(document) {
        Ok(signed) => signed,
        Err(problem) => return Some(Err(problem)),
    };
    match statement(&signed) {
        Ok(statement) if statement.subjects.contains(&image) => {}
        Ok(_) => return Some(Err(format!("it is about other images than {image}"))),
        Err(problem) => return Some(Err(problem)),
    }
    let mut problems = Vec::new();
    for (place, pem) in by.keys.iter().enumerate() {
        let key = DerPublicKey::from_pem(pem).map_err(|error| error.to_string());
        let key = key.and_then(|key| {
            let verifies = VerificationKey::from_spki(&key).map_err(|error| error.to_string())?;
            Ok((format!("key {}", Digest::of(key.as_bytes())), verifies))
        });
        let (name, key) = match key {
            Ok(key) => key,
            Err(error) => {
                problems.push(format!("signedBy.keys[{place}] is no public key: {error}"));
                continue;
            }
        };
        let message = pae(IN_TOTO, &signed.payload);
        let mut signatures = signed.signatures.iter().take(SIGNATURES_MAX);
        if signatures.any(|signature| key.verify(&message, signature).is_ok()) {
            return Some(Ok(name));
        }
        problems.push(format!("{name} has not signed it"));
    }
    Some(Err(problems.join("; ")))
}

/// The identity that has signed it; none where no identity counts.
fn by_identity(document: &Value, image: Digest, by: &SignedBy) -> Option<Result<String, String>> {
    if by.identities.is_empty() {
        return None;
    }
    if document.get("dsseEnvelope").is_none() {
        let problem = "it is no bundle of Sigstore, which has the certificate of an identity";
        return Some(Err(problem.to_owned()));
    }
    let bundle = Bundle::from_json(&document.to_string()).map_err(|error| error.to_string());
    let hex = image.to_string();
    let image = Sha256Hash::from_hex(hex.trim_start_matches("sha256:"));
    let (bundle, image) = match (bundle, image) {
        (Ok(bundle), Ok(image)) => (bundle, image),
        (Err(error), _) => return Some(Err(format!("it is no bundle of Sigstore: {error}"))),
        (_, Err(error)) => return Some(Err(error.to_string())),
    };
    let trust = by.trust();
    let document = match trust {
        Trust::Sigstore => SIGSTORE_PRODUCTION_TRUSTED_ROOT,
        Trust::Github => SIGSTORE_GITHUB_TRUSTED_ROOT,
        Trust::Other(document) => document,
    };
    let root = TrustedRoot::from_json(document).map_err(|error| error.to_string());
    let verifier =
        match root.and_then(|root| Verifier::new(&root).map_err(|error| error.to_string())) {
            Ok(verifier) => verifier,
            Err(error) => return Some(Err(format!("signedBy.trustedRoot: {error}"))),
        };
    let mut policy = VerificationPolicy::any_identity();
    if trust == Trust::Github {
        // GitHub keeps no log of what private repositories sign, and certifies without
        // one; its own clock signs the time.
        policy = policy.skip_tlog_unsafe().skip_sct();
    }
    let found = match verifier.verify(image, &bundle, &policy) {
        Ok(found) => found,
        Err(error) => return Some(Err(format!("its certificate does not hold: {error}"))),
    };
    let subject = found.identity().map(|subject| subject.as_str().to_owned()).unwrap_or_default();
    let issuer = found.issuer().unwrap_or_default();
    let counts = by
        .identities
        .iter()
        .any(|one| one.issuer == issuer && glob_matches(&one.subject, &subject));
    Some(match counts {
        true => Ok(format!("{subject} ({issuer})")),
        false => Err(format!("{subject} ({issuer}) has signed it, who does not count")),
    })
}

fn parsed(document: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(document).map_err(|error| {
        format!("expected a DSSE envelope or a bundle of Sigstore, as JSON: {error}")
    })
}

/// A DSSE envelope, decoded.
struct Signed {
    payload: Vec<u8>,
    signatures: Vec<SignatureBytes>,
}

impl Signed {
    fn of(document: &Value) -> Result<Self, String> {
        let envelope = document.get("dsseEnvelope").unwrap_or(document);
        let text = |of: &Value, field: &str| {
            of.get(field).and_then(Value::as_str).map(str::to_owned).unwrap_or_default()
        };
        if envelope.get("payload").is_none() {
            return Err("found neither payload nor dsseEnvelope, expected a DSSE envelope, or a bundle of Sigstore with one".to_owned());
        }
        let payload_type = text(envelope, "payloadType");
        if payload_type != IN_TOTO {
            return Err(format!("payloadType: found {payload_type:?}, expected {IN_TOTO:?}"));
        }
        let payload = STANDARD.decode(text(envelope, "payload"));
        let payload = payload.map_err(|error| format!("payload: {error}"))?;
        let signatures = envelope.get("signatures").and_then(Value::as_array);
        let signatures = signatures.into_iter().flatten().map(|signature| {
            let decoded = STANDARD.decode(text(signature, "sig"));
            decoded.map(SignatureBytes::new).map_err(|error| format!("signatures: {error}"))
        });
        let signatures = signatures.collect::<Result<Vec<_>, _>>()?;
        match signatures.is_empty() {
            true => Err("signatures: found none, expected a DSSE envelope's".to_owned()),
            false => Ok(Self { payload, signatures }),
        }
    }
}

fn statement(signed: &Signed) -> Result<Statement, String> {
    let statement: Value = serde_json::from_slice(&signed.payload)
        .map_err(|error| format!("payload: expected an in-toto statement as JSON: {error}"))?;
    let Some(predicate_type) = statement.get("predicateType").and_then(Value::as_str) else {
        let problem = "payload: expected an in-toto statement, which has a predicateType";
        return Err(problem.to_owned());
    };
    let subjects = statement.get("subject").and_then(Value::as_array).into_iter().flatten();
    let digest = |subject: &Value| {
        let text = subject.pointer("/digest/sha256").and_then(Value::as_str)?;
        format!("sha256:{text}").parse().ok()
    };
    Ok(Statement {
        subjects: subjects.filter_map(digest).collect(),
        predicate_type: predicate_type.to_owned(),
        predicate: statement.get("predicate").cloned().unwrap_or(Value::Null),
    })
}

#[cfg(test)]
mod tests;
