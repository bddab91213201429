//! Why something is not in an environment yet.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Held;
use super::view::{FlowStage, FlowView, StageStanding};
use crate::Name;
use crate::config::Promotion;

/// The answer to why something is not in an environment yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WhyView {
    /// What was asked for.
    pub subject: String,
    /// Where.
    pub environment: Name,
    /// Whether it is there.
    pub there: bool,
    /// For people: where it is, and what it waits for on its way, in order.
    pub because: Vec<String>,
    /// What can be done about it, if a person has to do something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// The fewest characters of what is asked for: anything shorter is in too many names.
pub const SUBJECT_CHARS_MIN: usize = 4;

/// The most: the longest image with its digest has fewer.
pub const SUBJECT_CHARS_MAX: usize = 512;

/// Whether a stage runs what a text names: an image or a part of it, or a set.
fn runs(stage: &FlowStage, subject: &str) -> bool {
    let is_set = |digest: &crate::Digest| digest.to_string().contains(subject);
    stage.set.as_ref().is_some_and(is_set)
        || stage.images.iter().any(|(_, image)| image.contains(subject))
}

/// Why what a text names (an image, a part of its name or digest, a set) is not in an
/// environment of a flow; none when the flow has no such stage.
pub fn why(flow: &FlowView, subject: &str, environment: &Name) -> Option<WhyView> {
    let find = |name: &Name| flow.stages.iter().find(|stage| stage.environment == *name);
    let target = find(environment)?;
    let application = &flow.application;
    let mut answer = WhyView {
        subject: subject.to_owned(),
        environment: environment.clone(),
        there: runs(target, subject),
        because: Vec::new(),
        next: None,
    };
    if answer.there {
        let since = target.since.map(|since| format!(" since {since}")).unwrap_or_default();
        answer.because.push(format!("it runs in {application}/{environment}{since}"));
        return Some(answer);
    }
    // From the target back to where it is.
    let mut way = vec![target];
    let mut place = 0;
    while let Some(stage) = way.get(place) {
        place = place.saturating_add(1);
        if runs(stage, subject) {
            continue;
        }
        let before: Vec<&FlowStage> = stage.after.iter().filter_map(find).collect();
        for one in before {
            if !way.iter().any(|known| known.environment == one.environment) {
                way.push(one);
            }
        }
    }
    for stage in way.iter().rev() {
        let place = format!("{application}/{}", stage.environment);
        if runs(stage, subject) {
            let since = stage.since.map(|since| format!(" since {since}")).unwrap_or_default();
            answer.because.push(format!("{place} runs it{since}"));
            continue;
        }
        answer.because.push(format!("{place} does not run it"));
        match stage.standing {
            StageStanding::First => {
                let how = match &stage.takes {
                    Some(takes) => format!(
                        "{place} takes {takes} by itself: announce it, or deploy it by hand"
                    ),
                    None => format!("nothing comes to {place} by itself: `deployd deploy {place}`"),
                };
                if let (Some(hold), Some(_)) = (&stage.hold, &stage.takes) {
                    let held = Held::WentBack { deployment: hold.deployment.clone() };
                    let message = held.view(application, &place).message;
                    answer.because.push(format!("{place}: {message}"));
                } else {
                    answer.next.get_or_insert(how);
                }
            }
            StageStanding::UpToDate => {
                answer.because.push(format!("{place} has what the stages before it have"));
            }
            StageStanding::Ready => match (stage.promotion, stage.after.first()) {
                (Promotion::Manual, Some(from)) => {
                    let how = format!(
                        "what {application}/{from} runs is verified: `deployd promote {application} --from {from} --to {}`",
                        stage.environment
                    );
                    answer.next.get_or_insert(how);
                }
                _ => answer.because.push(format!("{place} is about to get what is before it")),
            },
            StageStanding::Held => {
                let reasons = stage.held.iter().map(|held| format!("{place}: {}", held.message));
                answer.because.extend(reasons);
            }
        }
    }
    Some(answer)
}
