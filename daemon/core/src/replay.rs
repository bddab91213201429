//! A past deployment, made once more from its records: what is compared, and what
//! came of it.
//!
//! Pure parts only: the plan's own computation, the templater's manifests, the
//! strategy's decisions. What drivers answered is in the plan and in the results
//! of steps, and nobody is asked again.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::graph::Uid;
use crate::journal::Version;
use crate::plan::Manifests;
use crate::ports::PluginRef;
use crate::{DeploymentId, Digest, EnvironmentId, Name};

/// The most differences that are listed: a reader sees by then what it is, and an
/// upgrade that changes every object must not make an answer without end.
pub const DIFFERENCES_MAX: usize = 500;

/// What a plan was made from, besides the set: kept by content with each plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanBasis {
    /// The documents: the version of the stream of configuration.
    pub configuration: Version,
    /// The drivers of resources that were there, or may have been.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub made_by: BTreeMap<Uid, Name>,
}

/// What came of a comparison.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// There is nothing of it to make again: it never came so far.
    Nothing,
    /// What was made again is what is recorded, byte by byte.
    Identical,
    /// It could not be made again: something is missing.
    Incomplete,
    /// It is something else.
    Differs,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "nothing to replay",
            Self::Identical => "identical",
            Self::Incomplete => "incomplete",
            Self::Differs => "differs",
        })
    }
}

/// What is made again of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The plan, as far as it follows from documents.
    Plan,
    /// What the templater made.
    Manifests,
    /// What the strategy decided.
    Decisions,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plan => "plan",
            Self::Manifests => "manifests",
            Self::Decisions => "decisions",
        })
    }
}

/// A deployment, made once more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Replay {
    /// The deployment.
    pub deployment: DeploymentId,
    /// Where it was.
    pub environment: EnvironmentId,
    /// Its number there.
    pub number: u64,
    /// The version that took the place of the recorded one of a plugin. Then it
    /// is shown what that one makes of it, and nothing is proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<PluginRef>,
    /// The gravest of its parts.
    pub verdict: Verdict,
    /// What was made again.
    pub parts: Vec<ReplayedPart>,
}

impl Replay {
    /// A replay that consists of these parts.
    pub fn of(
        (deployment, environment, number): (DeploymentId, EnvironmentId, u64),
        with: Option<PluginRef>,
        parts: Vec<ReplayedPart>,
    ) -> Self {
        let verdict = parts.iter().map(|part| part.verdict).max().unwrap_or(Verdict::Nothing);
        Self { deployment, environment, number, with, verdict, parts }
    }
}

/// One part of a deployment, made once more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplayedPart {
    /// Which.
    pub part: Part,
    /// What came of it.
    pub verdict: Verdict,
    /// The plugin that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<PluginRef>,
    /// What was made again and compared, for a person.
    pub compared: String,
    /// What was not made again, and was taken as it is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken: Option<String>,
    /// What is recorded, by content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<Digest>,
    /// What was made, by content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replayed: Option<Digest>,
    /// How it differs, at most [`DIFFERENCES_MAX`] of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    /// How many differences there are beside those listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: u64,
    /// What is missing to make it again, or why there is nothing to make.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl ReplayedPart {
    /// A part of which nothing is known yet.
    pub fn new(part: Part, compared: impl Into<String>) -> Self {
        Self {
            part,
            verdict: Verdict::Nothing,
            plugin: None,
            compared: compared.into(),
            taken: None,
            recorded: None,
            replayed: None,
            differences: Vec::new(),
            more: 0,
            missing: Vec::new(),
        }
    }

    /// It could not be made again.
    #[must_use]
    pub fn without(mut self, missing: impl Into<String>) -> Self {
        self.verdict = Verdict::Incomplete;
        self.missing.push(missing.into());
        self
    }

    /// There is nothing to make again, and why.
    #[must_use]
    pub fn nothing(mut self, why: impl Into<String>) -> Self {
        self.missing.push(why.into());
        self
    }

    /// It was made again: the digests decide, and the differences tell. Bytes
    /// that differ are a difference also where the fields are the same.
    #[must_use]
    pub fn compared(
        mut self,
        recorded: Digest,
        replayed: Digest,
        mut differences: Vec<Difference>,
    ) -> Self {
        self.recorded = Some(recorded);
        self.replayed = Some(replayed);
        self.verdict = if recorded == replayed { Verdict::Identical } else { Verdict::Differs };
        if self.verdict == Verdict::Identical {
            return self;
        }
        if differences.is_empty() {
            differences.push(Difference {
                what: "order".to_owned(),
                path: String::new(),
                recorded: None,
                replayed: None,
            });
        }
        let more = differences.len().saturating_sub(DIFFERENCES_MAX);
        self.more = u64::try_from(more).unwrap_or(u64::MAX);
        differences.truncate(DIFFERENCES_MAX);
        self.differences = differences;
        self
    }
}

/// Something that is not as it is recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    /// Of what: `plan`, an object, `decide:2`; `order` where all are the same and
    /// come in another order.
    pub what: String,
    /// The field, as a JSON Pointer; empty for all of it.
    pub path: String,
    /// As it is recorded; none where it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<Value>,
    /// As it was made; none where it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replayed: Option<Value>,
}

/// How two values differ, field by field; lists as a whole where their lengths
/// differ.
pub fn differences(what: &str, recorded: &Value, replayed: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    walk(what, String::new(), Some(recorded), Some(replayed), &mut found);
    found
}

fn walk(
    what: &str,
    path: String,
    recorded: Option<&Value>,
    replayed: Option<&Value>,
    found: &mut Vec<Difference>,
) {
    if recorded == replayed {
        return;
    }
    match (recorded, replayed) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                let at = format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
                walk(what, at, old.get(name), new.get(name), found);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) if old.len() == new.len() => {
            for (place, (old, new)) in old.iter().zip(new).enumerate() {
                walk(what, format!("{path}/{place}"), Some(old), Some(new), found);
            }
        }
        _ => found.push(Difference {
            what: what.to_owned(),
            path,
            recorded: recorded.cloned(),
            replayed: replayed.cloned(),
        }),
    }
}

/// How manifests differ, object by object, field by field.
pub fn differences_of_manifests(recorded: &Manifests, replayed: &Manifests) -> Vec<Difference> {
    let by_reference = |manifests: &Manifests| -> BTreeMap<_, Value> {
        let all = manifests.all();
        all.filter_map(|manifest| {
            Some((manifests.reference(&manifest.object)?, manifest.object.clone()))
        })
        .collect()
    };
    let (old, new) = (by_reference(recorded), by_reference(replayed));
    let mut references: Vec<_> = old.keys().chain(new.keys()).collect();
    references.sort();
    references.dedup();
    let mut found = Vec::new();
    for reference in references {
        let what = reference.to_string();
        walk(&what, String::new(), old.get(reference), new.get(reference), &mut found);
    }
    if recorded.namespace != replayed.namespace {
        found.push(Difference {
            what: "namespace".to_owned(),
            path: String::new(),
            recorded: Some(Value::String(recorded.namespace.clone())),
            replayed: Some(Value::String(replayed.namespace.clone())),
        });
    }
    found
}

/// A version of a plugin, as it is named in commands: `score-k8s@sha256:5f2a...`,
/// or by the first digits of the digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PluginVersion {
    /// The name of its `Plugin` document.
    pub name: Name,
    /// The first hex digits of its digest, all 64 of them or fewer.
    pub digits: String,
}

/// The fewest digits by which a version is named: fewer are a typing error.
const DIGITS_MIN: usize = 6;

/// Why a text names no version of a plugin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} names no version of a plugin; expected NAME@DIGEST, like \"score-k8s@sha256:5f2a...\", \
     with at least {DIGITS_MIN} hex digits"
)]
pub struct InvalidPluginVersion(String);

impl FromStr for PluginVersion {
    type Err = InvalidPluginVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidPluginVersion(text.to_owned());
        let (name, digest) = text.split_once('@').ok_or_else(invalid)?;
        let digits = digest.strip_prefix("sha256:").unwrap_or(digest).to_ascii_lowercase();
        let hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !hex || digits.len() < DIGITS_MIN || digits.len() > 64 {
            return Err(invalid());
        }
        Ok(Self { name: name.parse().map_err(|_| invalid())?, digits })
    }
}

impl TryFrom<String> for PluginVersion {
    type Error = InvalidPluginVersion;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<PluginVersion> for String {
    fn from(version: PluginVersion) -> Self {
        version.to_string()
    }
}

impl JsonSchema for PluginVersion {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PluginVersion".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?@(sha256:)?[0-9a-fA-F]{6,64}$",
            "description": "A version of a plugin: NAME@DIGEST, or the first digits of the digest",
        })
    }
}

impl fmt::Display for PluginVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@sha256:{}", self.name, self.digits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Manifest, ObjectOwner};
    use serde_json::json;

    fn of(part: Part) -> ReplayedPart {
        ReplayedPart::new(part, "everything")
    }

    #[test]
    fn differences_name_fields_and_both_values() {
        let found = differences(
            "decide:1",
            &json!({"same": 1, "list": [1, 2], "a/b": {"c": 1}, "gone": true}),
            &json!({"same": 1, "list": [1, 3], "a/b": {"c": 2}, "new": [1]}),
        );
        let told: Vec<(&str, Option<Value>, Option<Value>)> = found
            .iter()
            .map(|one| (one.path.as_str(), one.recorded.clone(), one.replayed.clone()))
            .collect();
        assert_eq!(
            told,
            [
                ("/a~1b/c", Some(json!(1)), Some(json!(2))),
                ("/gone", Some(json!(true)), None),
                ("/list/1", Some(json!(2)), Some(json!(3))),
                ("/new", None, Some(json!([1]))),
            ]
        );
        assert_eq!(differences("x", &json!({"a": 1}), &json!({"a": 1})), []);
    }

    #[test]
    fn objects_are_compared_by_their_names_and_an_order_is_a_difference() {
        let object = |name: &str, value: u32| Manifest {
            owner: ObjectOwner::Environment,
            object: json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": value}),
        };
        let all = |objects| Manifests { namespace: "ns".into(), objects, ..Manifests::default() };
        let recorded = all(vec![object("a", 1), object("b", 1)]);
        let replayed = all(vec![object("b", 2), object("c", 1)]);
        let found = differences_of_manifests(&recorded, &replayed);
        let told: Vec<(&str, &str)> =
            found.iter().map(|one| (one.what.as_str(), one.path.as_str())).collect();
        assert_eq!(
            told,
            [("ConfigMap ns/a", ""), ("ConfigMap ns/b", "/data"), ("ConfigMap ns/c", "")]
        );
        let turned = all(vec![object("b", 1), object("a", 1)]);
        let found = differences_of_manifests(&recorded, &turned);
        let digest = |manifests: &Manifests| Digest::of_json(manifests).unwrap();
        let part = of(Part::Manifests).compared(digest(&recorded), digest(&turned), found);
        assert_eq!(part.verdict, Verdict::Differs);
        assert_eq!(part.differences[0].what, "order");
    }

    #[test]
    fn the_gravest_part_decides_and_lists_have_an_end() {
        let (one, other) = (Digest::of(b"1"), Digest::of(b"2"));
        let many: Vec<Difference> = (0..DIFFERENCES_MAX + 3)
            .flat_map(|n| differences(&n.to_string(), &json!(1), &json!(2)))
            .collect();
        let differs = of(Part::Plan).compared(one, other, many);
        assert_eq!((differs.differences.len(), differs.more), (DIFFERENCES_MAX, 3));
        let identical = of(Part::Manifests).compared(one, one, Vec::new());
        let incomplete = of(Part::Decisions).without("the events");
        let verdict = |parts: &[&ReplayedPart]| {
            let place = (DeploymentId("d".into()), "shop/dev".parse().unwrap(), 1);
            Replay::of(place, None, parts.iter().map(|part| (*part).clone()).collect()).verdict
        };
        let nothing = of(Part::Decisions).nothing("it never came to a rollout");
        assert_eq!(verdict(&[]), Verdict::Nothing);
        assert_eq!(verdict(&[&identical, &nothing]), Verdict::Identical);
        assert_eq!(verdict(&[&identical, &incomplete]), Verdict::Incomplete);
        assert_eq!(verdict(&[&incomplete, &differs, &identical]), Verdict::Differs);
    }

    #[test]
    fn a_version_is_named_by_all_or_the_first_digits_of_its_digest() {
        let version: PluginVersion = "score-k8s@sha256:5F2A99".parse().unwrap();
        assert_eq!(version.to_string(), "score-k8s@sha256:5f2a99");
        assert_eq!("score-k8s@5f2a99".parse(), Ok(version));
        for bad in ["score-k8s", "@5f2a99", "a@5f2a", "a@sha256:xyzxyz", "a@sha512:5f2a99"] {
            let error = bad.parse::<PluginVersion>().unwrap_err();
            assert!(error.to_string().contains(bad), "{error}");
        }
    }
}
