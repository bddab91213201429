//! What the active deployment waits for between its plan and its execution.

use super::event::Event;
use super::next::Intent;
use super::state::Deployment;
use super::turn::deferral;
use crate::approval::rules;
use crate::calendar::Outlook;
use crate::config::AttestationRule;
use crate::plan::{Gate, GateCondition};
use crate::seeded::{Bug, seeded};
use crate::{Digest, Timestamp};

/// What follows from its gates.
///
/// Approvals and calendars open together, when all of them hold: until then an approval
/// can be withdrawn, and what calendars say counts at the moment at which execution
/// begins.
pub(super) fn gates(active: &Deployment, now: Timestamp, outlook: &Outlook) -> Vec<Intent> {
    let Some(plan) = active.plan else { return Vec::new() };
    let mut intents = Vec::new();
    let mut waits = false;
    for gate in &active.gates {
        match &gate.condition {
            GateCondition::NotBefore { at } if *at <= now => intents.push(pass(active, gate)),
            GateCondition::NotBefore { at } => {
                intents.push(Intent::WakeAt(*at));
                waits = true;
            }
            GateCondition::Signal => waits = true,
            GateCondition::Approval { rule } => waits |= !active.approvals.holds(rule, plan),
            GateCondition::Attestation { rule } => {
                intents.push(unattested(active, rule, now));
                waits = true;
            }
            GateCondition::Calendar => {}
        }
    }
    if let Some(intent) = ask(active, plan) {
        return vec![intent];
    }
    intents.extend(rules(&active.gates).filter_map(|rule| {
        let at = active.approvals.expires(rule, plan)?;
        let (deployment, rule_name) = (active.id.clone(), rule.name.clone());
        match active.approvals.holds(rule, plan) {
            true => None,
            false if at <= now && !seeded(Bug::ApprovalNeverExpires) => {
                Some(Intent::Append(Event::ApprovalExpired { deployment, rule: rule_name }))
            }
            false => Some(Intent::WakeAt(at)),
        }
    }));
    if waits {
        return intents;
    }
    // Calendars and slots may have come after the plan, which knows of neither.
    let is_time = |gate: &&Gate| matches!(gate.condition, GateCondition::NotBefore { .. });
    if !active.gates.iter().all(|gate| is_time(&gate))
        && let Some(deferral) = deferral(&active.request, now, outlook)
    {
        intents.extend(deferral.until.map(Intent::WakeAt));
        if active.deferred.as_ref().is_none_or(|known| known.is_other(&deferral)) {
            let deployment = active.id.clone();
            intents.push(Intent::Append(Event::DeploymentDeferred { deployment, deferral }));
        }
        return intents;
    }
    let together = active.gates.iter().filter(|gate| !is_time(gate));
    intents.extend(together.map(|gate| pass(active, gate)));
    intents
}

fn pass(active: &Deployment, gate: &Gate) -> Intent {
    let (deployment, gate) = (active.id.clone(), gate.id.clone());
    Intent::Append(Event::GatePassed { deployment, gate, evidence: Vec::new() })
}

/// That it is waited for an attestation, until it is not any more. What there is opens
/// the gate before anybody asks what is to be done.
fn unattested(active: &Deployment, rule: &AttestationRule, now: Timestamp) -> Intent {
    let until = active.started.plus_ms(rule.expires_ms());
    if until > now {
        return Intent::WakeAt(until);
    }
    let (deployment, rule) = (active.id.clone(), rule.name.clone());
    Intent::Append(Event::AttestationExpired { deployment, rule })
}

/// That people are asked, unless they were for this plan. Those who were asked for
/// another one learn of the difference.
fn ask(active: &Deployment, plan: Digest) -> Option<Intent> {
    rules(&active.gates).next()?;
    let asked = active.approvals.asked.as_ref().map(|asked| asked.plan);
    (asked != Some(plan)).then(|| {
        let deployment = active.id.clone();
        Intent::Append(Event::ApprovalRequested { deployment, plan, before: asked })
    })
}
