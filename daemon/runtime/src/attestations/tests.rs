//! Signed by keys of the tests' own, and by others: bundles of Sigstore's public
//! instance and of GitHub's, as they were made in 2025 (from the test data of
//! sigstore-rust, Apache-2.0).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deployd_core::Digest;
use deployd_core::config::{SignedBy, SignerIdentity};
use deployd_core::ports::Attestations;
use proptest::prelude::*;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

use super::SigstoreAttestations;

const PUBLIC: &[u8] =
    include_bytes!("../../../../tests/fixtures/attestations/conda-attestation.sigstore.json");
const PUBLIC_IMAGE: &str =
    "sha256:54303491a8418fbed24344b513546182c29b43bf282ceb433af65e2299f9271f";
const GITHUB: &[u8] = include_bytes!(
    "../../../../tests/fixtures/attestations/github-private-attestation.sigstore.json"
);
const GITHUB_IMAGE: &str =
    "sha256:76f1fe8593bf227cca2c089e3c16dc95014a8d3e89c5dd220530469ca043c428";

/// What comes before the point in a SubjectPublicKeyInfo (RFC 5480, RFC 8410).
const P256: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const ED25519: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

fn pem(head: &[u8], point: &[u8]) -> String {
    let text = STANDARD.encode([head, point].concat());
    format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
}

/// A key, and what signs with it.
fn ecdsa() -> (String, impl Fn(&[u8]) -> Vec<u8>) {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
    let pair =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref(), &random)
            .unwrap();
    let public = pem(P256, pair.public_key().as_ref());
    (public, move |data: &[u8]| pair.sign(&random, data).unwrap().as_ref().to_vec())
}

fn ed25519() -> (String, impl Fn(&[u8]) -> Vec<u8>) {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
    let public = pem(ED25519, pair.public_key().as_ref());
    (public, move |data: &[u8]| pair.sign(data).as_ref().to_vec())
}

/// What signs with a key.
type Signs = dyn Fn(&[u8]) -> Vec<u8>;

fn image() -> Digest {
    Digest::of(b"image")
}

/// A DSSE envelope about [`image`], as `cosign attest --key` makes it.
fn envelope(signs: &[&Signs]) -> Value {
    let hex = image().to_string().trim_start_matches("sha256:").to_owned();
    let payload = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "registry.test/shop", "digest": {"sha256": hex}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {"runDetails": {"builder": {"id": "https://ci.test"}}},
    })
    .to_string();
    let of = "application/vnd.in-toto+json";
    let message = format!("DSSEv1 {} {of} {} {payload}", of.len(), payload.len());
    let signature = |sign: &&Signs| json!({"sig": STANDARD.encode(sign(message.as_bytes()))});
    json!({
        "payloadType": of, "payload": STANDARD.encode(payload),
        "signatures": signs.iter().map(signature).collect::<Vec<_>>(),
    })
}

fn by_keys(keys: &[&str]) -> SignedBy {
    SignedBy { keys: keys.iter().map(ToString::to_string).collect(), ..SignedBy::default() }
}

fn signer(document: &Value, image: Digest, by: &SignedBy) -> Result<String, String> {
    SigstoreAttestations::new().signer(document.to_string().as_bytes(), image, by)
}

#[test]
fn a_key_has_signed_it_or_has_not() {
    let (ours, sign) = ecdsa();
    let (theirs, _) = ecdsa();
    let (edwards, sign_edwards) = ed25519();
    let document = envelope(&[&sign]);
    let found = signer(&document, image(), &by_keys(&[&theirs, &ours])).unwrap();
    assert!(found.starts_with("key sha256:"), "{found}");
    let both = envelope(&[&sign, &sign_edwards]);
    signer(&both, image(), &by_keys(&[&edwards])).unwrap();

    let mut changed = document.clone();
    let payload = STANDARD.decode(document["payload"].as_str().unwrap()).unwrap();
    let payload = String::from_utf8(payload).unwrap().replace("ci.test", "ci.evil");
    changed["payload"] = json!(STANDARD.encode(payload));
    let mut none = document.clone();
    none["signatures"] = json!([]);
    let other = Digest::of(b"other");
    for (document, image, by, said) in [
        (&document, image(), by_keys(&[&theirs]), "has not signed it"),
        (&document, image(), by_keys(&["no key"]), "signedBy.keys[0] is no public key"),
        (&changed, image(), by_keys(&[&ours]), "has not signed it"),
        (&document, other, by_keys(&[&ours]), "it is about other images"),
        (&document, image(), identity(ACTIONS, "*", None), "it is no bundle of Sigstore"),
        (&none, image(), by_keys(&[&ours]), "signatures: found none"),
    ] {
        let refused = signer(document, image, &by).unwrap_err();
        assert!(refused.contains(said), "{refused}");
    }
}

fn identity(issuer: &str, subject: &str, trusted_root: Option<&str>) -> SignedBy {
    let (issuer, subject) = (issuer.to_owned(), subject.to_owned());
    let identities = vec![SignerIdentity { issuer, subject }];
    SignedBy { identities, trusted_root: trusted_root.map(str::to_owned), keys: Vec::new() }
}

const ACTIONS: &str = "https://token.actions.githubusercontent.com";

#[test]
fn an_identity_has_signed_it_or_has_not() {
    let attestations = SigstoreAttestations::new();
    let image: Digest = PUBLIC_IMAGE.parse().unwrap();
    let statement = attestations.read(PUBLIC).unwrap();
    assert_eq!(statement.subjects, [image]);
    assert_eq!(
        statement.predicate_type,
        "https://schemas.conda.org/attestations-publish-1.schema.json"
    );
    let found =
        attestations.signer(PUBLIC, image, &identity(ACTIONS, "https://github.com/*", None));
    let found = found.unwrap();
    assert!(found.ends_with(&format!(" ({ACTIONS})")), "{found}");
    let other = Digest::of(b"other");
    for (image, by, said) in [
        (image, identity(ACTIONS, "https://github.com/acme/*", None), "who does not count"),
        (image, identity("https://accounts.example", "*", None), "who does not count"),
        (other, identity(ACTIONS, "*", None), "does not match any subject"),
        (image, identity(ACTIONS, "*", Some("github")), "its certificate does not hold"),
        (image, identity(ACTIONS, "*", Some("{}")), "signedBy.trustedRoot"),
        (image, by_keys(&[&ecdsa().0]), "has not signed it"),
    ] {
        let refused = attestations.signer(PUBLIC, image, &by).unwrap_err();
        assert!(refused.contains(said), "{refused}");
    }
    // One byte of the signature's entry in the log.
    let mut changed: Value = serde_json::from_slice(PUBLIC).unwrap();
    let entry = &mut changed["verificationMaterial"]["tlogEntries"][0];
    entry["integratedTime"] = json!("1");
    let refused = signer(&changed, image, &identity(ACTIONS, "*", None)).unwrap_err();
    assert!(refused.contains("does not hold"), "{refused}");
}

#[test]
fn what_github_signs_of_private_repositories_is_verified_by_its_own_root() {
    let attestations = SigstoreAttestations::new();
    let image: Digest = GITHUB_IMAGE.parse().unwrap();
    // What it certifies releases with names nobody who says so, and counts for nobody.
    let by = |root| identity(ACTIONS, "*", root);
    let refused = attestations.signer(GITHUB, image, &by(Some("github"))).unwrap_err();
    assert!(refused.starts_with("https://dotcom.releases.github.com ()"), "{refused}");
    let refused = attestations.signer(GITHUB, image, &by(None)).unwrap_err();
    assert!(refused.contains("does not hold"), "{refused}");
}

proptest! {
    #[test]
    fn whatever_is_attached_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in ".{0,60}", place in 0usize..9_000) {
        let attestations = SigstoreAttestations::new();
        let by = identity(ACTIONS, "*", None);
        for document in [
            bytes,
            json!({"payload": text, "payloadType": text, "signatures": [{"sig": text}]}).to_string().into_bytes(),
            json!({"dsseEnvelope": {"payload": text}, "mediaType": text}).to_string().into_bytes(),
            PUBLIC.iter().enumerate().map(|(at, byte)| if at == place { byte ^ 1 } else { *byte }).collect(),
        ] {
            _ = attestations.read(&document);
            _ = attestations.signer(&document, image(), &by);
            _ = attestations.signer(&document, image(), &by_keys(&[&text]));
        }
    }
}
