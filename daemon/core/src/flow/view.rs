//! A flow, as people and programs are shown it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Held, StageFacts, Standing};
use crate::config::{Batching, Promotion, Stage, StartRule};
use crate::deployment::Hold;
use crate::{DeploymentId, Digest, Name, Timestamp};

/// The flow of an application.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FlowView {
    /// Whose.
    pub application: Name,
    /// In the order of the application's document.
    pub stages: Vec<FlowStage>,
}

/// A stage, and how it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlowStage {
    /// The environment's name.
    pub environment: Name,
    /// Environments that it comes after.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<Name>,
    /// Which artifacts come here by themselves, if any, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub takes: Option<String>,
    /// Who brings what is verified before.
    pub promotion: Promotion,
    /// What runs here: its set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<Digest>,
    /// The deployment that brought it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentId>,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Its images, by `workload/container`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<(String, String)>,
    /// What becomes of what comes here by itself while something waits.
    #[serde(default, skip_serializing_if = "Batching::is_newest")]
    pub batching: Batching,
    /// That somebody went back here, and automation leaves it at that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// What is next here.
    pub standing: StageStanding,
    /// What is next: its set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Digest>,
    /// What that waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<HeldView>,
}

/// That automation is to go on where somebody went back, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseRequest {
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The word for what is held because somebody went back.
pub const WENT_BACK: &str = "went-back";

/// How a stage stands, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StageStanding {
    /// It comes after no other.
    First,
    /// It has what those before it have.
    UpToDate,
    /// Something is verified, and can be deployed.
    Ready,
    /// Something is not here yet, for reasons.
    Held,
}

/// Why something is not in a stage yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HeldView {
    /// In a word: `soaking`.
    pub reason: String,
    /// For people, with what can be done about it.
    pub message: String,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl FlowStage {
    /// Of a stage's document, what is known of it, and how it stands.
    pub fn of(application: &Name, stage: &Stage, facts: &StageFacts, standing: Standing) -> Self {
        let (word, next, reasons) = match standing {
            Standing::First => (StageStanding::First, None, Vec::new()),
            Standing::UpToDate => (StageStanding::UpToDate, None, Vec::new()),
            Standing::Ready { set } => (StageStanding::Ready, Some(set), Vec::new()),
            Standing::Held { set, reasons } => (StageStanding::Held, set, reasons),
        };
        let place = format!("{application}/{}", stage.environment);
        let takes = stage.automatic.as_ref().map(StartRule::told);
        Self {
            environment: stage.environment.clone(),
            after: stage.after.iter().map(|before| before.environment.clone()).collect(),
            takes,
            promotion: stage.promotion,
            set: facts.runs.as_ref().map(|runs| runs.set),
            deployment: facts.runs.as_ref().map(|runs| runs.deployment.clone()),
            since: facts.runs.as_ref().map(|runs| runs.since),
            images: facts.images.clone(),
            batching: stage.batching,
            hold: facts.hold.clone(),
            standing: word,
            next,
            held: reasons.iter().map(|held| held.view(application, &place)).collect(),
        }
    }
}

impl Held {
    /// For people; `place` is where it is held.
    pub fn view(&self, application: &Name, place: &str) -> HeldView {
        let view = |reason: &str, message: String| HeldView {
            reason: reason.to_owned(),
            message,
            until: None,
        };
        match self {
            Self::Nothing { environment } => view(
                "nothing-before",
                format!("nothing runs in {application}/{environment}, which it comes after"),
            ),
            Self::Differ { environments } => {
                let names: Vec<String> =
                    environments.iter().map(|name| format!("{application}/{name}")).collect();
                let message = match names.as_slice() {
                    [one] => format!("{one}, which it comes after, runs something else"),
                    _ => format!("{} run different versions", names.join(" and ")),
                };
                view("differ", message)
            }
            Self::Soaking { environment, until } => HeldView {
                until: Some(*until),
                ..view(
                    "soaking",
                    format!("it has to run in {application}/{environment} until {until}"),
                )
            },
            Self::WentBackBefore { environment, deployment } => view(
                "went-back-before",
                format!(
                    "somebody went back in {application}/{environment} by {deployment}; going back here, too, is for a person"
                ),
            ),
            Self::Failed { deployment, outcome } => view(
                "failed",
                format!(
                    "deployment {deployment} of it here has ended as {}; `deployd debug {deployment}` says why, and a person may deploy it again",
                    outcome.as_str()
                ),
            ),
            Self::Busy { deployment } => {
                view("busy", format!("deployment {deployment} goes on here"))
            }
            Self::WentBack { deployment } => view(
                WENT_BACK,
                format!(
                    "somebody went back here by {deployment}, and automation leaves it at that until a person deploys something, or `deployd flow release {place}`"
                ),
            ),
            Self::Quarantined { images } => view(
                "quarantined",
                format!(
                    "{} failed here; `deployd quarantine lift {place}` lets it come again",
                    images.join(", ")
                ),
            ),
        }
    }
}
