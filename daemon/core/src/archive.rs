//! Archives: a past deployment with all that it was made from, in one file that
//! another installation can verify, keep and make again.
//!
//! A tar archive. First the index, [`INDEX_NAME`], and its digest, [`SUM_NAME`];
//! then the members, each compressed by itself, so that damage to one leaves the
//! others readable, and each named by the digest of its content, so that it can be
//! verified also where the index is damaged. The digest of the index names the
//! archive: it stands for all that is in it.
//!
//! What is here needs no bytes of files: names, the index, what is wrong with an
//! archive, and whether what is in it fits together ([`check`]). `deployd-archive`
//! reads and writes.

mod check;
mod finding;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use check::check;
pub use finding::{Finding, FindingKind, Verified};

use crate::deployment::StepKind;
use crate::journal::Head;
use crate::ports::{Index, PluginRef};
use crate::{Actor, DeploymentId, Digest, EnvironmentId, Timestamp};

/// The version of the form that is written, and the newest that is read.
pub const FORMAT: u32 = 1;

/// The first member.
pub const INDEX_NAME: &str = "archive.json";

/// The second: the index's digest, in the form of `sha256sum`.
pub const SUM_NAME: &str = "archive.json.sha256";

/// Bytes of an archive: one with the plugins of a deployment has some megabytes. It
/// is held in memory by who sends and by who receives it, as a plugin is.
pub const ARCHIVE_BYTES_MAX: usize = 40 << 20;

/// Bytes of the index, which has some hundred bytes per member.
pub const INDEX_BYTES_MAX: usize = 4 << 20;

/// Members: some per resource, step and document of a deployment, which has at most
/// a few thousand of these.
pub const MEMBERS_MAX: usize = 10_000;

/// Bytes of one member's content: no store takes larger ones.
pub const MEMBER_BYTES_MAX: u64 = 32 << 20;

/// Bytes of the contents of all members, which are held in memory at once: a few
/// plugins and manifests of the largest kind, and no bomb.
pub const CONTENTS_BYTES_MAX: u64 = 128 << 20;

/// Deployments in one archive: one, and those that it repeats exactly, one after
/// the other.
pub const DEPLOYMENTS_MAX: usize = 100;

/// Deployments that were imported: id -> [`Imported`].
pub const IMPORTS: Index = Index("imports");

/// What is in an archive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ArchiveIndex {
    /// [`FORMAT`].
    pub format: u32,
    /// Who made it.
    pub made: Made,
    /// The deployment that was asked for, and after it those that it repeats.
    pub deployments: Vec<ArchivedDeployment>,
    /// The plugins whose components are in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plugins: Vec<ArchivedPlugin>,
    /// All members after the index and its digest, in their order.
    pub members: Vec<Member>,
    /// What belongs to it and was not there any more, or was left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<Absent>,
}

/// Who made an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Made {
    /// The version of deployd.
    pub deployd: String,
    /// The installation: the hash of the first event of its configuration, which
    /// no other one has.
    pub installation: Digest,
    /// When.
    pub at: Timestamp,
}

/// A deployment in an archive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ArchivedDeployment {
    /// Which.
    pub id: DeploymentId,
    /// Where it was.
    pub environment: EnvironmentId,
    /// Its number there.
    pub number: u64,
    /// Its record.
    pub record: Digest,
    /// The documents that its plan follows from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<Digest>,
    /// The events of its environment's stream from its first to its last, without
    /// a gap: also those of others in between, since only all of them are a chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<Digest>,
    /// Where that stream stood when the archive was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<Head>,
    /// Its log, and how its pods were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Digest>,
}

/// A plugin in an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ArchivedPlugin {
    /// Which; its component is the member of that digest.
    pub plugin: PluginRef,
    /// Its `plugin.toml`.
    pub manifest: Digest,
}

/// Content in an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Member {
    /// What it is.
    pub kind: MemberKind,
    /// Of its content.
    pub digest: Digest,
    /// Bytes of its content.
    pub bytes: u64,
    /// Bytes of it in the archive.
    pub packed: u64,
}

impl Member {
    /// Its path in the archive.
    pub fn name(&self) -> String {
        format!("{}/{}.{}.zst", self.kind, self.digest.hex(), self.kind.extension())
    }

    /// The kind and digest that a path says, if it is one of a member.
    pub fn named(path: &str) -> Option<(MemberKind, Digest)> {
        let (folder, file) = path.split_once('/')?;
        let kind = MemberKind::ALL.into_iter().find(|kind| kind.folder() == folder)?;
        let hex = file.strip_suffix(".zst")?.strip_suffix(kind.extension())?.strip_suffix('.')?;
        let digest: Digest = format!("sha256:{hex}").parse().ok()?;
        (digest.hex() == hex).then_some((kind, digest))
    }
}

/// Something that is not in an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Absent {
    /// For a person.
    pub what: String,
    /// Of its content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemberKind {
    /// The record of a deployment.
    Record,
    /// A deployment set.
    Set,
    /// A plan.
    Plan,
    /// What a plan was made from.
    Basis,
    /// A document of the configuration.
    Document,
    /// The platform's baseline.
    Baseline,
    /// What a driver returned.
    Resource,
    /// Manifests.
    Manifests,
    /// What came of another step.
    Result,
    /// Events of a stream.
    Events,
    /// A log, and how pods were.
    Details,
    /// The component of a plugin.
    Plugin,
    /// The `plugin.toml` of a plugin.
    PluginManifest,
}

impl MemberKind {
    /// All kinds.
    pub const ALL: [Self; 13] = [
        Self::Record,
        Self::Set,
        Self::Plan,
        Self::Basis,
        Self::Document,
        Self::Baseline,
        Self::Resource,
        Self::Manifests,
        Self::Result,
        Self::Events,
        Self::Details,
        Self::Plugin,
        Self::PluginManifest,
    ];

    /// The folder of such members.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Set => "set",
            Self::Plan => "plan",
            Self::Basis => "basis",
            Self::Document => "document",
            Self::Baseline => "baseline",
            Self::Resource => "resource",
            Self::Manifests => "manifests",
            Self::Result => "result",
            Self::Events => "events",
            Self::Details => "details",
            Self::Plugin => "plugin",
            Self::PluginManifest => "plugin-manifest",
        }
    }

    /// What the result of a step is.
    pub fn of_result(step: &StepKind) -> Self {
        match step {
            StepKind::Plan => Self::Basis,
            StepKind::Provision { .. } => Self::Resource,
            StepKind::Render => Self::Manifests,
            _ => Self::Result,
        }
    }

    fn extension(self) -> &'static str {
        match self {
            Self::Baseline => "yaml",
            Self::Plugin => "wasm",
            Self::PluginManifest => "toml",
            _ => "json",
        }
    }
}

impl fmt::Display for MemberKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.folder())
    }
}

/// Where an imported deployment came from: part of its record, wherever that is
/// shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Provenance {
    /// The archive: the digest of its index.
    pub archive: Digest,
    /// Who made that.
    pub made: Made,
    /// When it was imported.
    pub at: Timestamp,
    /// By whom.
    pub by: Actor,
}

/// An imported deployment, as it is found by its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Imported {
    /// Which.
    pub id: DeploymentId,
    /// Where it was, in the other installation.
    pub environment: EnvironmentId,
    /// Its number there.
    pub number: u64,
    /// Its record, by content.
    pub record: Digest,
    /// Where it came from.
    pub from: Provenance,
}

/// What became of a deployment in an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ImportOutcome {
    /// It is here now.
    Imported,
    /// It was imported before; nothing was changed.
    ThereAlready,
    /// It was deployed here; nothing was changed.
    FromHere,
}

/// What an import has done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImportView {
    /// The archive: the digest of its index.
    pub archive: Digest,
    /// Who made that.
    pub made: Made,
    /// The deployments in it: first the one that was exported, then those that it
    /// repeats.
    pub deployments: Vec<ImportedDeployment>,
    /// What is not as it was there: what the archive does not have, and plugins that
    /// can't be loaded here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A deployment in an archive, and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImportedDeployment {
    /// Which.
    pub id: DeploymentId,
    /// Where it was.
    pub environment: EnvironmentId,
    /// Its number there.
    pub number: u64,
    /// Its set, which can be deployed here.
    pub set: Digest,
    /// What became of it.
    pub outcome: ImportOutcome,
}

impl ArchiveIndex {
    /// Reads an index. An archive of a newer form is told from one that is damaged.
    pub fn read(bytes: &[u8]) -> Result<Self, Finding> {
        let wrong = |found: String| {
            Finding::new(INDEX_NAME, FindingKind::Damaged, found, "an index of an archive")
        };
        if bytes.len() > INDEX_BYTES_MAX {
            let found = format!("{} bytes", bytes.len());
            let expected = format!("at most {INDEX_BYTES_MAX}");
            return Err(Finding::new(INDEX_NAME, FindingKind::TooLarge, found, expected));
        }
        let value: serde_json::Value =
            serde_json::from_slice(bytes).map_err(|error| wrong(format!("no JSON ({error})")))?;
        let format = value.get("format").and_then(serde_json::Value::as_u64);
        match format {
            None => return Err(wrong("no number of its form (`format`)".to_owned())),
            Some(format) if format > u64::from(FORMAT) => {
                let by = value.pointer("/made/deployd").and_then(serde_json::Value::as_str);
                let found = format!("form {format}, of deployd {}", by.unwrap_or("?"));
                let expected = format!("form {FORMAT}, or an older one");
                return Err(Finding::new(INDEX_NAME, FindingKind::Newer, found, expected));
            }
            Some(_) => {}
        }
        let index: Self =
            serde_json::from_value(value).map_err(|error| wrong(error.to_string()))?;
        let too_many = |what: &str, found: usize, most: usize| {
            let (found, expected) = (format!("{found} {what}"), format!("at most {most}"));
            Finding::new(INDEX_NAME, FindingKind::TooLarge, found, expected)
        };
        if index.members.len() > MEMBERS_MAX {
            return Err(too_many("members", index.members.len(), MEMBERS_MAX));
        }
        if index.deployments.len() > DEPLOYMENTS_MAX {
            return Err(too_many("deployments", index.deployments.len(), DEPLOYMENTS_MAX));
        }
        Ok(index)
    }

    /// The entry of a deployment.
    pub fn deployment(&self, id: &DeploymentId) -> Option<&ArchivedDeployment> {
        self.deployments.iter().find(|entry| entry.id == *id)
    }

    /// The name of the member with some content.
    pub fn name_of(&self, digest: Digest) -> String {
        let member = self.members.iter().find(|member| member.digest == digest);
        member.map_or_else(|| digest.to_string(), Member::name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_say_what_a_member_is_and_lead_nowhere_else() {
        for kind in MemberKind::ALL {
            let digest = Digest::of(b"x");
            let name = Member { kind, digest, bytes: 1, packed: 1 }.name();
            assert_eq!(Member::named(&name), Some((kind, digest)), "{name}");
            assert!(name.len() <= 100, "{name}: tar has no room for more");
            assert_eq!(json!(kind), json!(kind.folder()));
        }
        let hex = Digest::of(b"x").hex();
        let upper = hex.to_uppercase();
        for bad in [
            format!("../set/{hex}.json.zst"),
            format!("/set/{hex}.json.zst"),
            format!("set/../{hex}.json.zst"),
            format!("set/{hex}.json"),
            format!("set/{hex}.wasm.zst"),
            format!("set/{upper}.json.zst"),
            format!("other/{hex}.json.zst"),
            "set/1.json.zst".to_owned(),
        ] {
            assert_eq!(Member::named(&bad), None, "{bad}");
        }
    }

    #[test]
    fn an_index_of_a_newer_form_is_told_from_a_damaged_one() {
        let newer = json!({"format": 2, "made": {"deployd": "9.0"}, "unheard": {}});
        let found = ArchiveIndex::read(newer.to_string().as_bytes()).unwrap_err();
        assert_eq!(found.kind, FindingKind::Newer);
        let told = found.to_string();
        assert!(
            told.contains("form 2, of deployd 9.0") && told.contains("newer deployd"),
            "{told}"
        );
        for bad in ["", "[]", "{\"format\": \"1\"}", "{\"format\": 1}", "{\"format\": 1, \"x\": 2}"]
        {
            let found = ArchiveIndex::read(bad.as_bytes()).unwrap_err();
            assert_eq!(found.kind, FindingKind::Damaged, "{bad}: {found}");
        }
    }
}
