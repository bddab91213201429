//! The details of events, as far as notifiers use them.

use deployd_plugin_sdk::Fault as PluginFault;
use deployd_plugin_sdk::notifier::Event;
use serde::Deserialize;

/// The details of an event. Fields that are not there are of other types of events.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Data {
    /// The deployment.
    pub deployment: Option<String>,
    /// Its number in its environment, from 1 on.
    pub number: Option<u64>,
    /// Who asked for it.
    pub actor: Option<String>,
    /// Why there is one.
    pub origin: Option<Origin>,
    /// What they said of it.
    pub comment: Option<String>,
    /// Why it failed.
    pub fault: Option<Fault>,
    /// What somebody is to look at.
    pub message: Option<String>,
    /// What it waits for before it begins.
    pub gates: Vec<Gate>,
    /// Who has agreed, or has not.
    pub by: Option<String>,
    /// What people are asked to agree to.
    pub approvals: Vec<Asked>,
    /// What a check for drift has found.
    pub summary: Option<Summary>,
    /// Findings that are new.
    pub new: Option<u64>,
    /// How often drift was healed.
    pub heals: Option<u64>,
}

/// What several events tell together.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Several {
    /// Each of them, in the order in which they happened.
    pub events: Vec<Event>,
}

/// Why there is a deployment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Origin {
    /// `artifact`, `request`, `rollback` and so on.
    pub kind: String,
    /// The image that became available.
    pub image: Option<String>,
    /// The commit that it was built from.
    pub commit: Option<String>,
}

/// What a deployment waits for before it begins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Gate {
    /// For a person.
    pub message: String,
    /// What must hold.
    pub condition: Condition,
}

/// What must hold for a gate to open.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Condition {
    /// `not-before`, `signal` and so on.
    pub kind: String,
}

impl Gate {
    /// Whether it opens by itself, when its time has come.
    pub fn is_of_time(&self) -> bool {
        self.condition.kind == "not-before"
    }

    /// Whether it may be open already: calendars are asked before each deployment.
    pub fn is_of_calendars(&self) -> bool {
        self.condition.kind == "calendar"
    }
}

/// How many have yet to agree to a deployment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Asked {
    /// The rule that asks for it.
    pub rule: String,
    /// Groups and people who may; everybody who may approve at all, when empty.
    pub of: Vec<String>,
    /// How many are missing.
    pub missing: u64,
}

impl Asked {
    /// For a person.
    pub fn text(&self) -> String {
        match self.of.as_slice() {
            [] => format!("{}: {} more", self.rule, self.missing),
            of => format!("{}: {} more of {}", self.rule, self.missing, of.join(", ")),
        }
    }
}

/// A recorded failure.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Fault {
    /// Stable, for looking up.
    pub code: String,
    /// For a person.
    pub message: String,
}

/// Drift in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// Differences.
    pub findings: u64,
}

impl Data {
    /// Those of an event.
    ///
    /// # Errors
    /// They are not what this daemon records.
    pub fn of(event: &Event) -> Result<Self, PluginFault> {
        if event.data.is_null() {
            return Ok(Self::default());
        }
        deployd_plugin_sdk::fit("event/data", event.data.clone())
    }
}
