//! What a check has found.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::graph::Uid;
use crate::ports::ObjectRef;
use crate::{DeploymentId, EnvironmentId, Fault, Timestamp};

/// The most findings of a report. It is one value of a store, and an answer that
/// a person reads; where more is different, something else is wrong.
pub const FINDINGS_MAX: usize = 300;

/// The most that a report shows of one value. With the names around it, a report
/// stays well below what a store takes as one value (1 MiB).
pub const VALUE_BYTES_MAX: usize = 256;

/// The most bytes of a report, written as JSON: below what a store takes as one
/// value or keeps as an answer (1 MiB), with room for what is around it.
pub const REPORT_BYTES_MAX: usize = 768 * 1024;

/// The most of a fault's message. Its detail is left out.
const MESSAGE_BYTES_MAX: usize = 512;

/// What was compared.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(tag = "kind", content = "of", rename_all = "kebab-case")]
pub enum Subject {
    /// A resource.
    Resource {
        /// Which.
        uid: Uid,
        /// `postgres#backend.db`.
        name: String,
    },
    /// An object of a cluster.
    Object(ObjectRef),
    /// A file of the branch that the environment is pulled from.
    File {
        /// From the top of the repository.
        path: String,
    },
}

impl Subject {
    /// Whether what was found once is about what is asked for now. What is asked
    /// for has a namespace always, as manifests fill it in; what a cluster has
    /// looked at has none where its kind has none.
    fn is(&self, asked: &Self) -> bool {
        match (self, asked) {
            (Self::Object(found), Self::Object(asked)) => {
                let names = |object: &ObjectRef| {
                    (object.api_version.clone(), object.kind.clone(), object.name.clone())
                };
                names(found) == names(asked)
                    && (found.namespace.is_none() || found.namespace == asked.namespace)
            }
            _ => self == asked,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resource { name, .. } => write!(f, "resource {name}"),
            Self::Object(object) => object.fmt(f),
            Self::File { path } => write!(f, "file {path}"),
        }
    }
}

/// Two values of a field.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// What was deployed; none where the field is not to be there, or hidden.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<Value>,
    /// What is there; none where there is nothing, or hidden.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<Value>,
    /// Whether the values are secret: then only that they differ is said.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
}

/// How something differs from what was deployed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "drift", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Drift {
    /// It is not there any more, or on its way out.
    Missing,
    /// An output of a resource is another one.
    OutputDiffers {
        /// Its name.
        output: String,
        /// The two values.
        #[serde(flatten)]
        values: Difference,
    },
    /// Somebody has changed a field that was deployed.
    FieldDiffers {
        /// `.spec.replicas`, `.spec.containers[name=main].image`.
        path: String,
        /// The two values.
        #[serde(flatten)]
        values: Difference,
        /// Field managers that have it now; empty when nobody has.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        by: Vec<String>,
    },
    /// A field has the value that was deployed, and belongs to others: the next
    /// deployment may meet a conflict there.
    TakenOver {
        /// The field.
        path: String,
        /// Field managers that have it now.
        by: Vec<String>,
    },
    /// An object of this name is there that deployd has not applied: somebody has
    /// deleted ours and made another.
    Replaced {
        /// The uid of the one that is there.
        uid: String,
        /// Field managers that have made it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        by: Vec<String>,
    },
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Of what.
    pub subject: Subject,
    /// Which.
    #[serde(flatten)]
    pub drift: Drift,
    /// When it was found first.
    pub since: Timestamp,
}

impl Finding {
    /// Tells it from others: what it is about and who is behind it, and not
    /// which value a field has just now. A number that others change with every
    /// minute is one finding and not one with every check.
    pub fn key(&self) -> (Subject, u8, String, Vec<String>) {
        let (sort, path, by) = match &self.drift {
            Drift::Missing => (0, String::new(), Vec::new()),
            Drift::OutputDiffers { output, .. } => (1, output.clone(), Vec::new()),
            Drift::FieldDiffers { path, by, .. } => (2, path.clone(), by.clone()),
            Drift::TakenOver { path, by } => (3, path.clone(), by.clone()),
            Drift::Replaced { uid, by } => (4, uid.clone(), by.clone()),
        };
        (self.subject.clone(), sort, path, by)
    }
}

/// Something that could not be compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Unchecked {
    /// What.
    pub subject: Subject,
    /// Why.
    pub fault: Fault,
}

/// What came of comparing one thing.
#[derive(Debug, Clone, PartialEq)]
pub enum Check {
    /// How it differs; not at all when empty.
    Compared(Vec<Drift>),
    /// It can't be compared by its nature: its driver does not observe.
    Unsupported,
    /// It is not known, this time.
    Unknown(Fault),
}

/// One thing, and what came of comparing it.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// What.
    pub subject: Subject,
    /// What came of it.
    pub check: Check,
}

/// What came of comparing one object, as clusters say it.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectCheck {
    /// The object, its namespace filled in.
    pub object: ObjectRef,
    /// How it differs, or why that is not known.
    pub drift: Result<Vec<Drift>, Fault>,
}

/// At most so many bytes of a text, with a sign that there was more.
pub(super) fn cut(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let starts = text.char_indices().map(|(place, _)| place);
    let end = starts.take_while(|place| *place <= bytes).last().unwrap_or(0);
    format!("{}…", text.get(..end).unwrap_or_default())
}

/// A report in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DriftSummary {
    /// Resources that were looked at.
    pub resources: u32,
    /// Objects that were looked at.
    pub objects: u32,
    /// How many of both differ.
    pub drifted: u32,
    /// Resources whose drivers do not observe.
    pub unsupported: u32,
    /// How many of both could not be compared.
    pub unknown: u32,
    /// Findings in all, those that are left out of the report among them.
    pub findings: u32,
}

/// What a check has found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DriftReport {
    /// Where.
    pub environment: EnvironmentId,
    /// By whose record it was compared.
    pub deployment: DeploymentId,
    /// When.
    pub at: Timestamp,
    /// In numbers.
    pub summary: DriftSummary,
    /// The first of the findings, by subject.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// What could not be compared: nothing is said about it, and least of all
    /// that it does not differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<Unchecked>,
    /// Why deployd does not heal it by itself, as it was decided last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_healed: Option<String>,
}

impl DriftReport {
    /// The report of a check. Findings of the report before it about what is not
    /// known this time are kept: not to see a difference does not mend it.
    pub fn new(
        environment: EnvironmentId,
        deployment: DeploymentId,
        at: Timestamp,
        checked: Vec<Compared>,
        before: Option<&Self>,
    ) -> Self {
        let mut summary = DriftSummary::default();
        let (mut findings, mut unknown) = (Vec::new(), Vec::new());
        for Compared { subject, check } in checked {
            match subject {
                Subject::Resource { .. } => summary.resources += 1,
                Subject::Object(_) | Subject::File { .. } => summary.objects += 1,
            }
            match check {
                Check::Compared(found) => {
                    let subject = || subject.clone();
                    findings.extend(found.into_iter().map(|drift| Finding {
                        subject: subject(),
                        drift,
                        since: at,
                    }));
                }
                Check::Unsupported => summary.unsupported += 1,
                Check::Unknown(mut fault) => {
                    fault.message = cut(&fault.message, MESSAGE_BYTES_MAX);
                    fault.detail = Value::Null;
                    let known = before.into_iter().flat_map(|before| &before.findings);
                    findings.extend(known.filter(|known| known.subject.is(&subject)).cloned());
                    summary.unknown += 1;
                    unknown.push(Unchecked { subject, fault });
                }
            }
        }
        for finding in &mut findings {
            let known = before.into_iter().flat_map(|before| &before.findings);
            if let Some(known) = known.into_iter().find(|known| known.key() == finding.key()) {
                finding.since = known.since;
            }
        }
        findings.sort_by_cached_key(Finding::key);
        unknown.sort_by(|a, b| a.subject.cmp(&b.subject));
        let count = |many: usize| u32::try_from(many).unwrap_or(u32::MAX);
        summary.findings = count(findings.len());
        let mut subjects: Vec<&Subject> = findings.iter().map(|finding| &finding.subject).collect();
        subjects.dedup();
        summary.drifted = count(subjects.len());
        findings.truncate(FINDINGS_MAX);
        unknown.truncate(FINDINGS_MAX);
        let decided = before.filter(|before| before.deployment == deployment);
        let not_healed =
            decided.filter(|_| summary.findings > 0).and_then(|before| before.not_healed.clone());
        let mut report =
            Self { environment, deployment, at, summary, findings, unknown, not_healed };
        while serde_json::to_vec(&report).is_ok_and(|bytes| bytes.len() > REPORT_BYTES_MAX) {
            report.findings.truncate(report.findings.len() / 2);
            report.unknown.truncate(report.unknown.len() / 2);
        }
        report
    }

    /// Whether anything differs.
    pub fn has_drift(&self) -> bool {
        self.summary.findings > 0
    }
}
