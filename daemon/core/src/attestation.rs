//! Attestations: what others have said of an image and signed, as in-toto statements;
//! results of tests and scans, which nobody has signed; and what waits for them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::{AttestationRule, SignedBy, glob_matches};
use crate::deployment::projection::key;
use crate::plan::{Gate, GateCondition};
use crate::policy::AttachedResult;
use crate::ports::{Index, KeyRange};
use crate::reference::Reference;
use crate::{Actor, Digest, Timestamp};

/// Digest of an image, digest of a document -> [`Attestation`].
pub const ATTESTATIONS: Index = Index("attestations");
/// Digest of an image, kind, name -> [`AttachedResult`].
pub const RESULTS: Index = Index("results");

/// Bytes of one attestation: provenance has 20 KiB, bills of materials half a megabyte.
pub const ATTESTATION_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Attestations of one image: a handful of types, and each repeated build of it.
pub const ATTESTATIONS_MAX: usize = 50;

/// Results of one image: a suite or a scanner has one, the newest.
pub const RESULTS_MAX: usize = 50;

/// Characters of a result's kind, of its name and of a severity.
const NAME_CHARS_MAX: usize = 100;
/// Characters of the address of a report.
const URL_CHARS_MAX: usize = 2_000;
/// Severities of one result.
const SEVERITIES_MAX: usize = 20;

/// What was attested, as in-toto statements say it (in-toto Attestation Framework,
/// Statement v1). Whether it is true follows from who has signed it.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// What it is about: sha256 digests.
    pub subjects: Vec<Digest>,
    /// What kind of statement it is: `https://slsa.dev/provenance/v1`.
    pub predicate_type: String,
    /// What it says.
    pub predicate: Value,
}

/// An attestation that was attached to an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attestation {
    /// The image.
    pub image: Digest,
    /// The document, by content.
    pub document: Digest,
    /// What kind of statement it is, as it says itself.
    pub predicate_type: String,
    /// Who has attached it.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
    /// Where it was fetched from, if it was not posted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Reference>,
}

/// What has opened a gate: what somebody trusted has attested of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// The image.
    pub image: String,
    /// The attestation, by content.
    pub attestation: Digest,
    /// Who has signed it: a key's fingerprint, or an identity and who says so.
    pub signer: String,
}

/// How an image stands to a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageStanding {
    /// The image.
    pub image: String,
    /// What counts, if anything does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// Why attestations that are attached do not count; or that there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// How a deployment stands to a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleStanding {
    /// The rule.
    pub rule: AttestationRule,
    /// The images that it is for.
    pub images: Vec<ImageStanding>,
}

impl RuleStanding {
    /// Whether it holds for every image.
    pub fn holds(&self) -> bool {
        self.images.iter().all(|image| image.evidence.is_some())
    }

    /// What opens the gate.
    pub fn evidence(&self) -> Vec<Evidence> {
        self.images.iter().filter_map(|image| image.evidence.clone()).collect()
    }
}

/// Name of an attestation in its index.
pub fn attestation_key(image: Digest, document: Digest) -> Vec<u8> {
    key(&image.to_string(), document.to_string().as_bytes())
}

/// Name of a result in its index.
pub fn result_key(image: Digest, result: &AttachedResult) -> Vec<u8> {
    key(&image.to_string(), &key(&result.kind, result.name.as_bytes()))
}

/// All attestations, or results, of an image.
pub fn attached_to(image: Digest) -> KeyRange {
    KeyRange::prefix(&key(&image.to_string(), &[]))
}

impl AttestationRule {
    /// What is wrong with a statement about an image, whoever has signed it.
    ///
    /// # Errors
    ///
    /// What was found and what is expected, if it does not say what the rule wants.
    pub fn judge(&self, statement: &Statement, image: Digest) -> Result<(), String> {
        if statement.predicate_type != self.predicate_type {
            let found = &statement.predicate_type;
            return Err(format!("its type is {found:?}, expected {:?}", self.predicate_type));
        }
        if !statement.subjects.contains(&image) {
            return Err(format!("it is about other images than {image}"));
        }
        for (pointer, pattern) in &self.fields {
            let found = statement.predicate.pointer(pointer);
            let text = match found {
                None | Some(Value::Null) => {
                    return Err(format!("its predicate has no {pointer}, expected {pattern:?}"));
                }
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
            };
            if !glob_matches(pattern, &text) {
                return Err(format!("{pointer} is {text:?}, expected {pattern:?}"));
            }
        }
        Ok(())
    }

    /// The gate at which it is waited for.
    pub fn gate(&self) -> Gate {
        let SignedBy { keys, identities, .. } = &self.signed_by;
        let keys = match keys.len() {
            0 => None,
            1 => Some("a key".to_owned()),
            count => Some(format!("one of {count} keys")),
        };
        let who: Vec<String> =
            keys.into_iter().chain(identities.iter().map(|one| one.subject.clone())).collect();
        let message = format!(
            "an attestation ({}) of each image: {}, signed by {}",
            self.name,
            self.predicate_type,
            who.join(" or ")
        );
        let condition = GateCondition::Attestation { rule: self.clone() };
        Gate { id: format!("attestation:{}", self.name), message, condition }
    }
}

/// The rules among gates, each with its gate.
pub fn rules(gates: &[Gate]) -> impl Iterator<Item = (&Gate, &AttestationRule)> {
    gates.iter().filter_map(|gate| match &gate.condition {
        GateCondition::Attestation { rule } => Some((gate, rule)),
        _ => None,
    })
}

impl AttachedResult {
    /// What is wrong with it, if anything: the field, and what is expected there.
    pub fn fault(&self) -> Option<(&'static str, String)> {
        let is_name = |text: &str| {
            let plain = |c: char| !c.is_control();
            !text.trim().is_empty()
                && text.chars().count() <= NAME_CHARS_MAX
                && text.chars().all(plain)
        };
        let expected = |what: &str| {
            format!(
                "expected {what} of at most {NAME_CHARS_MAX} characters, none of them a control character"
            )
        };
        if !is_name(&self.kind) {
            return Some(("kind", expected("a kind, as tests or scan,")));
        }
        if !is_name(&self.name) {
            return Some(("name", expected("the name of a suite or a scanner")));
        }
        if self.findings.len() > SEVERITIES_MAX || self.findings.keys().any(|name| !is_name(name)) {
            let what = format!("at most {SEVERITIES_MAX} severities, each");
            return Some(("findings", expected(&what)));
        }
        let is_address = |url: &String| {
            url.chars().count() <= URL_CHARS_MAX
                && (url.starts_with("https://") || url.starts_with("http://"))
        };
        if self.url.as_ref().is_some_and(|url| !is_address(url)) {
            let what = format!("expected an address of at most {URL_CHARS_MAX} characters");
            return Some(("url", what));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rule(fields: &Value) -> AttestationRule {
        serde_json::from_value(json!({
            "name": "provenance", "type": "https://slsa.dev/provenance/v1", "fields": fields,
            "images": ["r.test/acme/*"], "signedBy": {"keys": ["k"]},
        }))
        .unwrap()
    }

    #[test]
    fn a_statement_is_held_to_its_type_its_subject_and_its_fields() {
        let image = Digest::of(b"image");
        let statement = Statement {
            subjects: vec![Digest::of(b"other"), image],
            predicate_type: "https://slsa.dev/provenance/v1".to_owned(),
            predicate: json!({
                "runDetails": {"builder": {"id": "https://ci.test/runner/7"}},
                "count": 3, "nothing": null,
            }),
        };
        let judged = |fields: &Value, of: &Statement, image| rule(fields).judge(of, image);
        let good = json!({"/runDetails/builder/id": "https://ci.test/*", "/count": "3"});
        assert_eq!(judged(&good, &statement, image), Ok(()));
        assert_eq!(judged(&json!({}), &statement, image), Ok(()));
        let other =
            Statement { predicate_type: "https://slsa.dev/v0".to_owned(), ..statement.clone() };
        for (fields, of, image, said) in [
            (good.clone(), &other, image, "its type is \"https://slsa.dev/v0\""),
            (good, &statement, Digest::of(b"third"), "about other images"),
            (
                json!({"/runDetails/builder/id": "https://*.evil/*"}),
                &statement,
                image,
                "expected \"https://*.evil/*\"",
            ),
            (json!({"/count": "4"}), &statement, image, "/count is \"3\""),
            (json!({"/nothing": "*"}), &statement, image, "has no /nothing"),
            (json!({"/missing": "*"}), &statement, image, "has no /missing"),
        ] {
            let refused = judged(&fields, of, image).unwrap_err();
            assert!(refused.contains(said), "{refused}");
        }
    }

    #[test]
    fn a_rule_is_for_the_images_that_it_names() {
        let rule = rule(&json!({}));
        assert!(rule.is_for("r.test/acme/shop"));
        assert!(!rule.is_for("r.test/postgres"));
        assert!(AttestationRule { images: Vec::new(), ..rule.clone() }.is_for("r.test/postgres"));
        assert_eq!(rule.gate().id, "attestation:provenance");
        assert!(rule.gate().message.ends_with("signed by a key"), "{}", rule.gate().message);
    }

    #[test]
    fn a_result_says_which_of_its_fields_is_wrong() {
        let good = json!({"kind": "scan", "name": "trivy", "at": "2026-11-14T14:00:00Z",
            "passed": true, "findings": {"high": 2}, "url": "https://ci.test/7"});
        let of = |patch: Value| {
            let mut result = good.clone();
            json_patch::merge(&mut result, &patch);
            serde_json::from_value::<AttachedResult>(result)
                .unwrap()
                .fault()
                .map(|(field, _)| field)
        };
        assert_eq!(of(json!({})), None);
        assert_eq!(of(json!({"kind": " "})), Some("kind"));
        assert_eq!(of(json!({"name": "a\nb"})), Some("name"));
        assert_eq!(of(json!({"findings": {"": 1}})), Some("findings"));
        assert_eq!(of(json!({"url": "javascript:alert(1)"})), Some("url"));
    }
}
