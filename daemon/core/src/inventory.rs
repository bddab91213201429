//! Which image is or was where: what is asked, and what is answered.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::announcement::Announcement;
use crate::attestation::Evidence;
use crate::deployment::Outcome;
use crate::deployment::stays::Stay;
use crate::drift::DriftSummary;
use crate::{Actor, DeploymentId, EnvironmentId, Name, Timestamp};

/// Which environments of the inventory are wanted: those for which all that is
/// given holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryFilter {
    /// Of this application.
    pub application: Option<Name>,
    /// Of this type.
    pub environment_type: Option<Name>,
    /// What ran at this time; what runs, when not given.
    pub at: Option<Timestamp>,
}

/// An image in an environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Location {
    /// Where.
    pub environment: EnvironmentId,
    /// The image, without its tag where it has a digest.
    pub image: String,
    /// The deployment that brought it.
    pub deployment: DeploymentId,
    /// From when to when, in which containers, by whom, and how that ended.
    #[serde(flatten)]
    pub stay: Stay,
}

/// A page of the inventory, by environment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InventoryPage {
    /// An entry for each image of each environment.
    pub locations: Vec<Location>,
    /// To be given as the cursor to get the next page; none on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// When an image was somewhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// Now and before, and also where its deployment did not succeed.
    #[default]
    Ever,
    /// Now.
    Now,
}

/// Where images are or were, and what was announced of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Whereabouts {
    /// Where, by image and environment, the oldest stay first.
    pub locations: Vec<Location>,
    /// The first announcement of each image on this page.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub announced: Vec<Announcement>,
    /// When one of these was first anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<Timestamp>,
    /// When one of these was last anywhere: now, where one still is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Timestamp>,
    /// To be given as the cursor to get the next page; none on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Whereabouts {
    /// Counts when something was there.
    pub fn saw(&mut self, stay: &Stay, now: Timestamp) {
        let Some(from) = stay.from else { return };
        let until = stay.until.unwrap_or(now);
        self.first_seen = Some(self.first_seen.map_or(from, |seen| seen.min(from)));
        self.last_seen = Some(self.last_seen.map_or(until, |seen| seen.max(until)));
    }
}

/// The way of an image to an environment: where it was before, and how it was
/// checked there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Passage {
    /// The images that were asked for.
    pub images: Vec<String>,
    /// The environment.
    pub before: EnvironmentId,
    /// When one of them first ran there; none when none ever did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reached: Option<Timestamp>,
    /// The first announcement of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub announced: Vec<Announcement>,
    /// Where they were before, the first one first.
    pub stations: Vec<Station>,
    /// Whether there were more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

/// Where an image was on its way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Station {
    /// Where and when.
    #[serde(flatten)]
    pub location: Location,
    /// For how long it ran, until it came to the environment that is asked for;
    /// none when it never ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lasted_ms: Option<u64>,
    /// Gates that its deployment has passed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GatePassed>,
    /// What checks for drift have found while it ran, each time it changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<DriftFound>,
}

/// A gate that was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GatePassed {
    /// Which.
    pub gate: String,
    /// What was attested, where it waited for that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
    /// Who opened it.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
}

/// What a check for drift has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DriftFound {
    /// When.
    pub at: Timestamp,
    /// In numbers.
    pub summary: DriftSummary,
}

/// What ran in an environment at a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentThen {
    /// Which environment.
    pub environment: EnvironmentId,
    /// When.
    pub at: Timestamp,
    /// The deployment that had brought what ran.
    pub deployment: DeploymentId,
    /// Its number there.
    pub number: u64,
    /// Who had asked for it.
    pub by: Actor,
    /// How it had ended.
    pub outcome: Outcome,
    /// Its set.
    pub set: crate::Digest,
    /// Its manifests.
    pub manifests: crate::Digest,
    /// Since when it ran.
    pub from: Timestamp,
    /// Until when; none when it still runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Images, and since when each ran.
    pub locations: Vec<Location>,
}
