//! How to go.

use deployd_plugin_sdk::strategy::HeaderMatch;
use rollout::{Deadlines, Millis, OnInconclusive};
use serde::Deserialize;
use serde_json::Value;

/// How to go.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) steps: Vec<Step>,
    #[serde(default)]
    pub(crate) background: Background,
    #[serde(default)]
    pub(crate) baseline: bool,
    #[serde(default)]
    pub(crate) scale_down_stable: bool,
    #[serde(default)]
    pub(crate) on_inconclusive: OnInconclusive,
    #[serde(default = "deadline", alias = "deadline_ms")]
    pub(crate) deadline: Millis,
}

/// What runs beside every wait.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Background {
    pub(crate) checks: Vec<String>,
}

/// One step; it says one thing.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Written")]
pub(crate) enum Step {
    /// The canary's percent of the traffic.
    Weight(u32),
    /// Nothing happens for a while.
    Wait(Millis),
    /// A person is waited for, who is told this.
    Pause(Option<String>),
    /// Checks run for at least so long.
    Checks(Vec<String>, Millis),
    /// The canary's percent of the replicas; none to follow its traffic.
    Scale(Option<u32>),
    /// What goes to the canary whatever its weight is, until another step says so.
    Headers(Vec<Header>),
    /// Whether copies of requests go to the canary, until another step says so.
    Mirror(bool),
}

/// Requests that go to the canary.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Header {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) wanted: HeaderMatch,
}

/// A step as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    weight: Option<u32>,
    pause: Option<Value>,
    checks: Option<Vec<String>>,
    #[serde(rename = "for", alias = "for_ms")]
    duration: Option<Millis>,
    scale: Option<Value>,
    headers: Option<Vec<Header>>,
    mirror: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPause {
    message: Option<String>,
}

impl TryFrom<Written> for Step {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { weight, pause, checks, duration, scale, headers, mirror } = written;
        if duration.is_some() && checks.is_none() {
            return Err("for belongs to checks; a step that only waits is a pause".to_owned());
        }
        let said = [
            weight.map(|weight| match weight {
                0..=100 => Ok(Self::Weight(weight)),
                _ => Err(format!("weight {weight}: expected 0 to 100 percent")),
            }),
            pause.map(pause_of),
            checks.map(|checks| Ok(Self::Checks(checks, duration.unwrap_or_default()))),
            scale.map(|scale| scale_of(&scale)),
            headers.map(|headers| Ok(Self::Headers(headers))),
            mirror.map(|mirror| Ok(Self::Mirror(mirror))),
        ];
        let mut said = said.into_iter().flatten();
        match (said.next(), said.next()) {
            (Some(step), None) => step,
            _ => Err("expected one of weight, pause, checks, scale, headers and mirror".to_owned()),
        }
    }
}

fn pause_of(pause: Value) -> Result<Step, String> {
    let wrong = |error: serde_json::Error| format!("pause: {error}");
    match pause {
        Value::Object(_) => {
            let WrittenPause { message } = serde_json::from_value(pause).map_err(wrong)?;
            Ok(Step::Pause(message))
        }
        _ => serde_json::from_value(pause).map(Step::Wait).map_err(wrong),
    }
}

fn scale_of(scale: &Value) -> Result<Step, String> {
    let percent = scale.as_u64().and_then(|percent| u32::try_from(percent).ok());
    match percent {
        Some(1..=100) => Ok(Step::Scale(percent)),
        None if scale == "weight" => Ok(Step::Scale(None)),
        _ => Err(format!("scale {scale}: expected 1 to 100 percent, or weight")),
    }
}

fn deadline() -> Millis {
    Deadlines::default().all
}
