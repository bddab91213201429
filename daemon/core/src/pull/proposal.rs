//! What a pull request tells of the deployment that it is for: all that somebody needs
//! who merges or closes it.

mod changes;
#[cfg(test)]
mod tests;

use super::markdown::code;
use super::message::version;
use super::preview::{PullPreview, preview};
use crate::approval::{Approval, Approvals};
use crate::config::WhenUnused;
use crate::deployment::{Deployment, Origin};
use crate::plan::{Gate, GateCondition, Manifests, Plan};
use crate::policy::PolicyReport;
use crate::ports::DriverAction;
use crate::set::DeploymentSet;

/// Lines of each list: nobody reads more, and the record has all of them.
const LINES_MAX: usize = 50;

/// Characters of each list. All of them, what is told of objects, and what is before them
/// are less than the 65,536 that GitHub takes, which takes the least.
const LIST_CHARS_MAX: usize = 7_000;

/// Lines of a driver that are shown of a resource.
const SUMMARY_MAX: usize = 3;

/// What is proposed, and all that is told of it.
#[derive(Debug, Clone, Copy)]
pub struct Proposed<'a> {
    /// The deployment, with its plan's digest, its approvals and what policies said.
    pub deployment: &'a Deployment,
    /// Its plan.
    pub plan: &'a Plan,
    /// Its set.
    pub set: &'a DeploymentSet,
    /// The set of what runs, when something does.
    pub set_before: Option<&'a DeploymentSet>,
    /// What is on the branch now, when something is.
    pub before: Option<&'a Manifests>,
    /// What will be on it.
    pub after: &'a Manifests,
}

/// The text of a pull request, in Markdown: bounded, and whatever others have named or
/// said in it is code, so that it is no markup, mentions nobody and closes nothing.
/// Values in Secrets are left out.
pub fn body(proposed: &Proposed<'_>) -> String {
    let Proposed { deployment, plan, .. } = proposed;
    let mut text = head(proposed);
    section(&mut text, "Images", &images(proposed));
    changes::section(&mut text, proposed);
    section(&mut text, "Resources", &resources(plan));
    if let Some(report) = &deployment.policies {
        section(&mut text, "Policies", &policies(report));
    }
    section(&mut text, "Gates", &gates(deployment, plan));
    section(&mut text, "Rollout", &rollout(proposed));
    text
}

fn head(proposed: &Proposed<'_>) -> String {
    let Proposed { deployment, plan, .. } = proposed;
    let environment = code(&plan.environment.to_string());
    let kind = code(plan.environment_type.as_str());
    let mut text = if plan.teardown {
        format!("**{environment}** ({kind}) is taken away.\n\n")
    } else {
        format!("deployd deploys to **{environment}** ({kind}).\n\n")
    };
    text.push_str(
        "**To accept, merge this as it is.** To reject, close it: then nothing of it comes to \
         the branch, and the deployment ends.\n\n",
    );
    let mut line = |name: &str, value: &str| text.push_str(&format!("- {name}: {value}\n"));
    let number = deployment.number;
    line("deployment", &format!("{}, number {number} there", code(&deployment.id.0)));
    line("asked for by", &code(&deployment.actor.0));
    line("because", &reason(&deployment.request.origin));
    if let Some(comment) = &deployment.request.comment {
        line("comment", &code(comment));
    }
    line("set", &code(&plan.set.to_string()));
    if let Some(digest) = deployment.plan {
        line("plan", &code(&digest.to_string()));
    }
    if let Some(git) = &plan.pull {
        line("files", &format!("in {} on {}", code(&git.path), code(&git.branch)));
    }
    match &plan.previous {
        Some(previous) => line("on top of deployment", &code(&previous.deployment.0)),
        None => line("on top of", "nothing: it is the first there"),
    }
    text
}

fn reason(origin: &Origin) -> String {
    match origin {
        Origin::Artifact { image, .. } => format!("{} became available", code(image)),
        Origin::Request => "somebody asked for it".to_owned(),
        Origin::Drift { of } => {
            format!("what is there differs from what deployment {} brought", code(&of.0))
        }
        Origin::Redeploy { of, .. } => format!("deployment {} is made again", code(&of.0)),
        Origin::Rollback { to, from, .. } => {
            format!("deployment {} is to be back, after {}", code(&to.0), code(&from.0))
        }
        Origin::Promotion { from, .. } => format!("it runs in {}", code(&from.to_string())),
        Origin::Clone { of, .. } => format!("it runs in {}", code(&of.to_string())),
        Origin::Expired { at } => format!("its time was over at {at}"),
    }
}

/// A heading and a list, if there is something to list.
fn section(text: &mut String, heading: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    text.push_str(&format!("\n### {heading}\n\n"));
    let mut left = LIST_CHARS_MAX;
    for (place, line) in lines.iter().enumerate() {
        let length = line.chars().count();
        if place >= LINES_MAX || length > left {
            text.push_str(&format!("- and {} more\n", lines.len().saturating_sub(place)));
            return;
        }
        left = left.saturating_sub(length);
        text.push_str(&format!("- {line}\n"));
    }
}

/// Images, what has changed first.
fn images(proposed: &Proposed<'_>) -> Vec<String> {
    let before = proposed.set_before.map(DeploymentSet::images);
    let (mut changed, mut same) = (Vec::new(), Vec::new());
    for ((workload, container), image) in proposed.set.images() {
        let place = code(&format!("{workload}/{container}"));
        let was = before.as_ref().and_then(|before| before.get(&(workload, container)));
        match was {
            Some(was) if *was == image => {
                same.push(format!("{place}: {}, as before", code(&image)))
            }
            Some(was) => {
                let was = code(&version(was));
                changed.push(format!("{place}: **{}**, before {was}", code(&image)));
            }
            None => changed.push(format!("{place}: **{}**, new", code(&image))),
        }
    }
    changed.extend(same);
    changed
}

/// What is done with resources. What stays as it is comes last.
fn resources(plan: &Plan) -> Vec<String> {
    let name = |uid: &crate::graph::Uid| match plan.graph.nodes.get(uid) {
        Some(node) => code(&node.key.to_string()),
        None => code(&uid.to_string()),
    };
    let (mut lines, mut same) = (Vec::new(), Vec::new());
    for (uid, resource) in &plan.resources {
        let action = match resource.action {
            DriverAction::None => {
                same.push(format!("{}: stays as it is", name(uid)));
                continue;
            }
            DriverAction::Create => "**create**",
            DriverAction::Update => "**update**",
            DriverAction::Replace => "**replace**: what is in the old one is lost",
            DriverAction::Destroy => "**destroy**",
        };
        let summary: Vec<String> =
            resource.summary.iter().take(SUMMARY_MAX).map(|line| code(line)).collect();
        let dash = if summary.is_empty() { "" } else { " – " };
        lines.push(format!("{}: {action}{dash}{}", name(uid), summary.join(", ")));
    }
    for (uid, borrowed) in plan.borrowed.iter().filter(|_| !plan.teardown) {
        same.push(format!("{}: borrowed from {}", name(uid), code(&borrowed.lender.to_string())));
    }
    for unused in &plan.unused {
        let key = code(&unused.key.to_string());
        lines.push(match unused.when_unused {
            WhenUnused::Destroy => format!("{key}: **destroy**: nothing asks for it any more"),
            WhenUnused::Keep => format!("{key}: kept, although nothing asks for it any more"),
        });
    }
    lines.extend(same);
    lines
}

fn policies(report: &PolicyReport) -> Vec<String> {
    let found = report
        .findings
        .iter()
        .map(|finding| format!("**{}** {}", finding.effect.as_str(), code(&finding.to_string())));
    let mut lines: Vec<String> = found.collect();
    if report.more > 0 {
        lines.push(format!("and {} more", report.more));
    }
    if lines.is_empty() && !report.policies.is_empty() {
        let asked: Vec<String> = report.policies.iter().map(|name| code(name.as_str())).collect();
        lines.push(format!("nothing found by {}", asked.join(", ")));
    }
    lines
}

/// What it has waited for, and who has agreed.
fn gates(deployment: &Deployment, plan: &Plan) -> Vec<String> {
    let approvals = &deployment.approvals;
    let is_open = |gate: &Gate| !deployment.gates.iter().any(|closed| closed.id == gate.id);
    let mut lines = Vec::new();
    for gate in &plan.gates {
        let what = code(&gate.message);
        match (&gate.condition, deployment.plan) {
            (GateCondition::Approval { rule }, Some(digest)) => {
                let given = approvals.counted(rule, digest);
                let (count, of) = (given.len(), rule.count);
                lines.push(format!("{}: {count} of {of} agreed", code(rule.name.as_str())));
                lines.extend(given.into_iter().map(agreed));
            }
            _ if is_open(gate) => lines.push(format!("{what}: passed")),
            _ => lines.push(format!("{what}: waits")),
        }
    }
    lines.extend(broken(approvals));
    lines
}

fn agreed(approval: &Approval) -> String {
    let place = approval.on_behalf_of.as_ref();
    let place = place.map(|actor| format!(" in place of {}", code(&actor.0))).unwrap_or_default();
    let reason = approval.reason.as_ref();
    let reason = reason.map(|reason| format!(": {}", code(reason))).unwrap_or_default();
    format!("{}{place} agreed at {}{reason}", code(&approval.by.0), approval.at)
}

fn broken(approvals: &Approvals) -> Option<String> {
    let broken = approvals.broken_glass.as_ref()?;
    let (by, reason) = (code(&broken.by.0), code(&broken.reason));
    Some(format!("**{by} goes on without the approvals that are missing**: {reason}"))
}

/// How it comes to the cluster.
fn rollout(proposed: &Proposed<'_>) -> Vec<String> {
    let Proposed { plan, after, .. } = proposed;
    let Some(git) = &plan.pull else { return Vec::new() };
    let PullPreview { stepping, delegated, direct } = preview(git, plan, after);
    let mut lines = vec![stepping.sentence().to_owned()];
    lines.extend(
        delegated.iter().map(|it| format!("{} steps by {}", it.by, code(&it.object.to_string()))),
    );
    lines.extend(direct.iter().map(|object| {
        let object = code(&object.to_string());
        format!("{object} has values of secrets, is in no file, and is applied by deployd")
    }));
    lines
}
