//! Deploying exactly what was deployed before: its recorded manifests, by the
//! strategy that was used then. Nothing is resolved anew, and no driver is asked.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::deployment::{Deployed, DeploymentRecord, Origin, Outcome, Request};
use crate::graph::Uid;
use crate::plan::{Gate, Plan, Previous};
use crate::ports::Provisioned;
use crate::{DeploymentId, Digest};

/// What a plan has deployed as it is recorded, instead of having it made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Pinned {
    /// The deployment whose manifests they are.
    pub of: DeploymentId,
    /// Its plan.
    pub plan: Digest,
    /// The manifests.
    pub manifests: Digest,
    /// What there is of its resources, by content: as it was then, as far as
    /// manifests can tell.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resources: BTreeMap<Uid, Digest>,
}

/// The plan that deploys what is pinned of another one. Resources stay as they
/// are: none is provisioned, and what nothing asks for any more is left to the
/// next deployment that is resolved.
///
/// Policies of then judge nothing today: those of today are put in by whoever plans.
/// Whether fields are taken over from others is as it is today: a healing takes
/// them over, and who repeats one later does not mean that.
pub fn pinned_plan(
    recorded: &Plan,
    pinned: Pinned,
    take_over_fields: bool,
    previous: Option<Previous>,
    gates: Vec<Gate>,
) -> Plan {
    Plan {
        previous,
        take_over_fields,
        resources: BTreeMap::new(),
        unused: Vec::new(),
        policies: Vec::new(),
        gates,
        pinned: Some(pinned),
        ..recorded.clone()
    }
}

/// How what is there of a resource differs from what was there, as far as
/// manifests can tell: the names of outputs, and whether its objects do.
pub fn changed(recorded: &Provisioned, now: &Provisioned) -> Option<String> {
    let empty = serde_json::Map::new();
    let fields = |value: &Value| value.as_object().cloned().unwrap_or_else(|| empty.clone());
    let (old, new) = (fields(&recorded.outputs), fields(&now.outputs));
    let mut names: Vec<&String> =
        old.keys().chain(new.keys()).filter(|name| old.get(*name) != new.get(*name)).collect();
    names.sort();
    names.dedup();
    let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
    let mut told = Vec::new();
    if !names.is_empty() {
        told.push(format!("has other outputs than then: {}", names.join(", ")));
    }
    if recorded.manifests != now.manifests {
        told.push("has other objects than then".to_owned());
    }
    if told.is_empty() { None } else { Some(told.join("; ")) }
}

impl Request {
    /// The deployment that is to be repeated exactly, if one is.
    pub fn exact(&self) -> Option<&DeploymentId> {
        match &self.origin {
            Origin::Redeploy { of, exact: true } | Origin::Rollback { to: of, exact: true, .. } => {
                Some(of)
            }
            _ => None,
        }
    }

    /// The deployment whose set it deploys once more; a redeployment may be of
    /// another environment's.
    fn repeats(&self) -> Option<&DeploymentId> {
        match &self.origin {
            Origin::Redeploy { of, .. }
            | Origin::Rollback { to: of, .. }
            | Origin::Drift { of } => Some(of),
            _ => None,
        }
    }
}

/// What a search for something to go back to makes of a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// It is what runs, made by a repetition of this one: the search goes on
    /// before that, if that was in this environment.
    Before(DeploymentId),
    /// This is what to go back to.
    Take,
    /// An earlier one.
    Further,
    /// The environment was taken away: nothing before is of this one.
    Stop,
}

/// Looks at the deployments of an environment, newest first, for the last that
/// succeeded before what runs. Whoever goes back twice goes back further, and
/// not to what they have just left: what runs counts as the deployment that it
/// repeats.
///
/// `anchor` is the number of the one that what runs counts as: an environment
/// gives numbers out in order, and clocks can go back.
pub fn look(record: &DeploymentRecord, deployed: &Deployed, anchor: u64) -> Look {
    if record.number == anchor {
        return match record.request.repeats() {
            Some(of) => Look::Before(of.clone()),
            None => Look::Further,
        };
    }
    if record.request.teardown.is_some() && record.outcome == Some(Outcome::Succeeded) {
        return Look::Stop;
    }
    let manifests = record.work.as_ref().and_then(|work| work.result("render"));
    let succeeded = record.outcome == Some(Outcome::Succeeded);
    match manifests {
        Some(manifests)
            if succeeded && record.number < anchor && manifests != deployed.manifests =>
        {
            Look::Take
        }
        _ => Look::Further,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deployment::{Mode, Phase, Schedule};
    use crate::{Actor, Timestamp};
    use serde_json::json;

    #[test]
    fn what_manifests_can_tell_of_a_resource_is_its_outputs_and_objects() {
        let of = |outputs: Value, state: Value, manifests: Vec<Value>| Provisioned {
            state,
            outputs,
            manifests,
        };
        let recorded = of(json!({"host": "a", "port": 1}), json!(1), vec![]);
        let same = of(json!({"host": "a", "port": 1}), json!(2), vec![]);
        assert_eq!(changed(&recorded, &same), None, "its state is its driver's own");
        let other = of(json!({"host": "b", "user": "u"}), json!(1), vec![json!({})]);
        let told = "has other outputs than then: host, port, user; has other objects than then";
        assert_eq!(changed(&recorded, &other).as_deref(), Some(told));
    }

    fn record(number: u64, origin: Origin, outcome: Outcome) -> DeploymentRecord {
        DeploymentRecord {
            id: DeploymentId(number.to_string()),
            environment: "shop/dev".parse().unwrap(),
            number,
            actor: Actor("ada".into()),
            request: Request {
                set: Digest::of(b"set"),
                mode: Mode::Manual,
                origin,
                comment: None,
                expected_plan: None,
                confirm_replace: false,
                teardown: None,
                schedule: Schedule::default(),
            },
            queued: Timestamp(0),
            ended: None,
            phase: Phase::Ended,
            outcome: Some(outcome),
            fault: None,
            deferred: None,
            yielded: None,
            work: None,
            imported: None,
        }
    }

    #[test]
    fn what_runs_counts_as_what_it_repeats() {
        let id = |text: &str| DeploymentId(text.into());
        let digest = Digest::of(b"");
        let deployed = Deployed {
            deployment: id("4"),
            set: digest,
            plan: digest,
            manifests: digest,
            at: Timestamp(0),
        };
        let back = Origin::Rollback { to: id("2"), from: id("3"), exact: true, recent: true };
        let runs = record(4, back, Outcome::Succeeded);
        assert_eq!(runs.request.exact(), Some(&id("2")));
        assert_eq!(look(&runs, &deployed, 4), Look::Before(id("2")));
        let first = record(2, Origin::Request, Outcome::Succeeded);
        assert_eq!(look(&first, &deployed, 2), Look::Further);
        // What never came to manifests is nothing to go back to.
        assert_eq!(look(&first, &deployed, 4), Look::Further);
        let mut gone = record(1, Origin::Request, Outcome::Succeeded);
        gone.request.teardown = Some(crate::deployment::Teardown::default());
        assert_eq!(look(&gone, &deployed, 2), Look::Stop);
    }
}
