//! What is wrong with an archive.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ArchiveIndex;
use crate::{DeploymentId, Digest, EnvironmentId};

/// Something that is wrong with an archive, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
pub struct Finding {
    /// The member; the place in the file where it is none.
    pub member: String,
    /// What is wrong.
    pub kind: FindingKind,
    /// What is there.
    pub found: String,
    /// What should be.
    pub expected: String,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// It is not as it was written.
    Damaged,
    /// It is not there.
    Missing,
    /// It does not belong there.
    Additional,
    /// It is larger than is read.
    TooLarge,
    /// It is of a newer deployd.
    Newer,
    /// It does not fit to the rest.
    Contradicts,
}

impl FindingKind {
    /// In a word, and what to do.
    fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::Damaged => ("damaged", "export it again"),
            Self::Missing => ("missing", "export it again"),
            Self::Additional => ("does not belong there", "use the archive as it was exported"),
            Self::TooLarge => ("too large", "this deployd takes no such archive"),
            Self::Newer => ("of a newer deployd", "import it with one as new as that"),
            Self::Contradicts => {
                ("contradicts the rest", "it was not exported so; ask who has made it")
            }
        }
    }
}

impl Finding {
    /// A finding.
    pub fn new(
        member: impl Into<String>,
        kind: FindingKind,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Self { member: member.into(), kind, found: found.into(), expected: expected.into() }
    }

    /// What is wrong and what to do, without where.
    pub fn message(&self) -> String {
        let (what, advice) = self.kind.told();
        format!("{what}: found {}, expected {}; {advice}", self.found, self.expected)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.member, self.message())
    }
}

/// What a verification of an archive has found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verified {
    /// The digest of its index; none where that is damaged.
    pub archive: Option<Digest>,
    /// The deployment, where and with which number.
    pub deployment: Option<(DeploymentId, EnvironmentId, u64)>,
    /// The installation that made it.
    pub installation: Option<Digest>,
    /// Members that are as they were written.
    pub sound: u64,
    /// Members that there should be; those that were found where the index can't
    /// say.
    pub members: u64,
    /// Bytes of the contents of those that are sound.
    pub bytes: u64,
    /// What belongs to the deployment and is not in the archive.
    pub absent: Vec<String>,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

impl Verified {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }

    /// What an index says of its archive.
    pub fn of(index: &ArchiveIndex, archive: Digest) -> Self {
        let first = index.deployments.first();
        Self {
            archive: Some(archive),
            deployment: first.map(|it| (it.id.clone(), it.environment.clone(), it.number)),
            installation: Some(index.made.installation),
            sound: 0,
            members: index.members.len() as u64,
            bytes: 0,
            absent: index.absent.iter().map(|absent| absent.what.clone()).collect(),
            findings: Vec::new(),
        }
    }

    /// Nothing that an index says.
    pub fn unknown() -> Self {
        Self {
            archive: None,
            deployment: None,
            installation: None,
            sound: 0,
            members: 0,
            bytes: 0,
            absent: Vec::new(),
            findings: Vec::new(),
        }
    }
}
