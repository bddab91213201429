//! A plan, for people.

use deployd_core::calendar::Decision;
use deployd_core::config::{PullerKind, WhenUnused};
use deployd_core::deployment::Deferral;
use deployd_core::found::Found;
use deployd_core::plan::{ChangeKind, ObjectChange, Plan, Preview, UnusedResource};
use deployd_core::ports::DriverAction;
use deployd_core::rehearsal::RolloutPreview;
use deployd_core::rollout::jobs::{ForeseenJob, When};
use deployd_core::views::PlanView;

use super::drift::becomes;
use super::policies;
use crate::error::CliError;
use crate::output::{Output, Paint, Table, Tone, clean, counted, lasted};

/// Characters of a value in a change that are shown.
const VALUE_CHARS_MAX: usize = 100;

/// Steps of a rollout that are shown: half of a screen.
const STEPS_SHOWN_MAX: usize = 20;

/// What calendars say now.
fn said(decision: &Decision, paint: Paint) -> String {
    match decision {
        Decision::Open { until: None } => "  calendar: open".to_owned(),
        Decision::Open { until: Some(until) } => format!("  calendar: open until {until}"),
        Decision::Closed { until, reasons } => {
            let deferral = Deferral { until: *until, reasons: reasons.clone() };
            paint.tone(Tone::Warn, format!("  calendar: closed {}", clean(&deferral.to_string())))
        }
    }
}

/// `does` is the command that does what is shown.
pub(super) fn show(
    output: &mut Output,
    view: &PlanView,
    brief: bool,
    does: &str,
) -> Result<(), CliError> {
    let PlanView { digest, plan, preview, calendar } = view;
    let paint = output.paint;
    let what = if plan.teardown { "Plan to take away" } else { "Plan for" };
    let title = format!("{what} {} ({})", plan.environment, plan.environment_type);
    output.line(paint.tone(Tone::Strong, title))?;
    match &plan.previous {
        Some(previous) if plan.teardown => {
            output.line(format!("  deployment {} runs there", previous.deployment))?;
        }
        Some(previous) => output.line(format!("  on top of deployment {}", previous.deployment))?,
        None => output.line("  nothing runs there yet")?,
    }
    if let (Some(templater), Some(strategy)) = (&plan.templater, &plan.strategy) {
        output.line(format!("  set {}", plan.set))?;
        let (templater, strategy) = (&templater.plugin.name, &strategy.plugin.name);
        output.line(format!("  templater {templater}, strategy {strategy}"))?;
    }
    if let Some(decision) = calendar {
        output.line(said(decision, paint))?;
    }
    for gate in &plan.gates {
        output.line(paint.tone(Tone::Warn, format!("  waits: {}", clean(&gate.message))))?;
    }
    pulled(output, view)?;
    resources(output, plan)?;
    changes(output, &preview.changes, brief)?;
    found(output, preview, brief)?;
    jobs(output, &preview.jobs)?;
    if let Some(rollout) = &preview.rollout {
        foreseen(output, rollout)?;
    }
    if let Some(report) = &preview.policies {
        policies::said(output, report)?;
    }
    output.line("")?;
    output.line(format!("{digest}"))?;
    let replaced = plan.replaced();
    if !replaced.is_empty() {
        let names: Vec<String> = replaced.iter().map(|name| clean(name)).collect();
        let text = format!("made anew, what is in the old is lost: {}", names.join(", "));
        output.line(paint.tone(Tone::Bad, text))?;
    }
    if plan.teardown {
        return output.note("history, plans, sets, manifests and the journal stay");
    }
    output.note(format!("`{does} --expect-plan {digest}` executes this plan and no other"))
}

/// What the first deployment would take over, and what it would change of it.
fn found(output: &mut Output, preview: &Preview, brief: bool) -> Result<(), CliError> {
    let paint = output.paint;
    if let Some(fault) = &preview.not_looked {
        let text = format!("what is new may be there already: {}", fault.message);
        output.line(paint.tone(Tone::Warn, clean(&text)))?;
    }
    if preview.found.is_empty() {
        return Ok(());
    }
    let (same, others): (Vec<&Found>, Vec<&Found>) =
        preview.found.iter().partition(|it| it.differs.is_empty());
    output.line(format!(
        "Taken over: {} that stay as they are, {} changed",
        counted(same.len() as u64, "object"),
        others.len()
    ))?;
    for it in others.iter().filter(|_| !brief) {
        output.line(format!("  {}", clean(&it.object.to_string())))?;
        for drift in &it.differs {
            output.line(format!("    {}", clean(&becomes(drift))))?;
        }
    }
    Ok(())
}

/// Where it is pulled from, and how it comes to the cluster.
fn pulled(output: &mut Output, PlanView { plan, preview, .. }: &PlanView) -> Result<(), CliError> {
    let Some(git) = &plan.pull else { return Ok(()) };
    let place = format!("  pulled from {} ({}), {}", git.repository, git.branch, git.path);
    output.line(clean(&place))?;
    if let Some(puller) = &git.puller {
        let kind = match puller.kind {
            PullerKind::ArgoCd => "Argo CD, Application",
            PullerKind::FluxKustomization => "Flux, Kustomization",
            PullerKind::FluxHelmRelease => "Flux, HelmRelease",
        };
        output.line(clean(&format!("  by {kind} {}/{}", puller.namespace, puller.name)))?;
    }
    if let Some(request) = &git.pull_request {
        output.line(clean(&format!("  by pull request at {}", request.project)))?;
    }
    let Some(pull) = &preview.pull else { return Ok(()) };
    output.line(format!("  {}", pull.stepping.sentence()))?;
    for delegated in &pull.delegated {
        let text = format!("  stepped by {}, by {}", delegated.by, delegated.object);
        output.line(clean(&text))?;
    }
    if !pull.direct.is_empty() {
        let names: Vec<String> = pull.direct.iter().map(ToString::to_string).collect();
        let text = format!("  applied by deployd itself, for its secrets: {}", names.join(", "));
        output.line(clean(&text))?;
    }
    Ok(())
}

/// Jobs that run once, before and after the rollout.
pub(super) fn jobs(output: &mut Output, jobs: &[ForeseenJob]) -> Result<(), CliError> {
    for (place, job) in jobs.iter().enumerate() {
        if place == 0 {
            output.line("")?;
            output.line(format!("Jobs: {}", jobs.len()))?;
        }
        let when = match job.when {
            When::Before => "before the rollout",
            When::After => "after the rollout",
        };
        let undone = job.undone_by.iter().map(|by| format!(", undone by {by}"));
        let undone: String = undone.collect();
        output.line(clean(&format!("  {} {when}{undone}", job.name)))?;
    }
    Ok(())
}

/// How it would be rolled out when all goes well.
fn foreseen(output: &mut Output, rollout: &RolloutPreview) -> Result<(), CliError> {
    let RolloutPreview { traffic, steps, more, duration_ms, notes, problem } = rollout;
    let paint = output.paint;
    output.line("")?;
    let took = duration_ms.map(|ms| format!(", {} with quick pods", lasted(ms)));
    let count = steps.len().saturating_add(*more);
    let steps_told = counted(count as u64, "step");
    output.line(format!("Rollout: {steps_told}{}", took.unwrap_or_default()))?;
    for (workload, way) in traffic {
        output.line(clean(&format!("  traffic of {workload} is divided {way}")))?;
    }
    for step in steps.iter().take(STEPS_SHOWN_MAX) {
        output.line(clean(&format!("  {:>3} %  {}", step.weight, step.what)))?;
    }
    let more = count.saturating_sub(steps.len().min(STEPS_SHOWN_MAX));
    if more > 0 {
        output.line(format!("         and {more} more; `deployd rehearse` shows all"))?;
    }
    for note in notes {
        output.line(paint.tone(Tone::Warn, clean(&format!("  {note}"))))?;
    }
    if let Some(fault) = problem {
        let text =
            clean(&format!("  it would not come to its end: {}: {}", fault.code, fault.message));
        output.line(paint.tone(Tone::Bad, text))?;
    }
    Ok(())
}

/// What is done with resources.
pub(super) fn resources(output: &mut Output, plan: &Plan) -> Result<(), CliError> {
    let mut table = Table::new(["resource", "action", "driver", "what"]);
    for (uid, resource) in &plan.resources {
        let name = plan.graph.nodes.get(uid).map_or_else(|| uid.to_string(), |n| n.key.to_string());
        let (action, tone) = match resource.action {
            DriverAction::None => ("none", Tone::Dim),
            DriverAction::Create => ("create", Tone::Good),
            DriverAction::Update => ("update", Tone::Warn),
            DriverAction::Replace => ("replace", Tone::Bad),
            DriverAction::Destroy => ("destroy", Tone::Bad),
        };
        table.toned([
            (name, Tone::Plain),
            (action.to_owned(), tone),
            (resource.driver.name.clone(), Tone::Plain),
            (resource.summary.join("; "), Tone::Plain),
        ]);
    }
    for (uid, borrowed) in plan.borrowed.iter().filter(|_| !plan.teardown) {
        let name = plan.graph.nodes.get(uid).map_or_else(|| uid.to_string(), |n| n.key.to_string());
        table.toned([
            (name, Tone::Plain),
            ("borrow".to_owned(), Tone::Dim),
            (String::new(), Tone::Plain),
            (format!("of {}", borrowed.lender), Tone::Plain),
        ]);
    }
    for unused in &plan.unused {
        let (action, tone) = match unused.when_unused {
            WhenUnused::Destroy => ("destroy", Tone::Bad),
            _ => ("keep", Tone::Dim),
        };
        table.toned([
            (unused.key.to_string(), Tone::Plain),
            (action.to_owned(), tone),
            (String::new(), Tone::Plain),
            (unused_text(plan, unused), Tone::Plain),
        ]);
    }
    output.line("")?;
    if table.is_empty() {
        return output.line("No resources.");
    }
    output.table(&table)
}

fn unused_text(plan: &Plan, unused: &UnusedResource) -> String {
    let text = |uids: &mut dyn Iterator<Item = String>| uids.collect::<Vec<_>>().join(", ");
    if plan.teardown {
        let name = |uid: &deployd_core::graph::Uid| {
            let found = plan.unused.iter().find(|one| one.uid == *uid);
            found.map(|one| one.key.to_string())
        };
        let after = text(&mut unused.gone_before.iter().filter_map(name));
        let begun = text(&mut unused.unfinished.iter().map(|begun| begun.name.clone()));
        let mut lines = Vec::new();
        if !after.is_empty() {
            lines.push(format!("after {after}"));
        }
        if !begun.is_empty() {
            lines.push(format!("with what was begun: {begun}"));
        }
        return lines.join("; ");
    }
    if let Some(by) = &unused.replaced_by {
        if let Some(borrowed) = plan.borrowed.get(by) {
            return format!("it is borrowed from {} from now on", borrowed.lender);
        }
        return format!("{} is replaced by {by}", unused.uid);
    }
    if unused.lent_to.is_empty() {
        return "nothing asks for it any more".to_owned();
    }
    let users: Vec<String> = unused.lent_to.iter().map(ToString::to_string).collect();
    format!("nothing asks for it here any more; used by {}", users.join(", "))
}

pub(super) fn changes(
    output: &mut Output,
    changes: &[ObjectChange],
    brief: bool,
) -> Result<(), CliError> {
    output.line("")?;
    if changes.is_empty() {
        return output.line("No object changes.");
    }
    let paint = output.paint;
    for change in changes {
        let (mark, tone) = match change.change {
            ChangeKind::Add => ("+", Tone::Good),
            ChangeKind::Change => ("~", Tone::Warn),
            ChangeKind::Remove => ("-", Tone::Bad),
        };
        let object = clean(&change.object.to_string());
        output.line(format!("{} {object}", paint.tone(tone, mark)))?;
        let operations = change.patch.iter().filter(|_| !brief).flat_map(|patch| patch.iter());
        for operation in operations {
            output.line(format!("    {}", clean(&operation_text(operation))))?;
        }
    }
    let count = |kind| changes.iter().filter(|change| change.change == kind).count();
    let (added, changed) = (count(ChangeKind::Add), count(ChangeKind::Change));
    let removed = count(ChangeKind::Remove);
    output.line(format!(
        "{} new, {changed} changed, {removed} removed",
        counted(added as u64, "object")
    ))
}

/// `replace /spec/replicas: 3`.
fn operation_text(operation: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(operation).unwrap_or_default();
    let text = |name: &str| value.get(name).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
    let shown = value.get("value").map(|value| {
        let text = value.to_string();
        if text.chars().count() > VALUE_CHARS_MAX {
            let cut: String = text.chars().take(VALUE_CHARS_MAX).collect();
            format!(": {cut}...")
        } else {
            format!(": {text}")
        }
    });
    format!("{} {}{}", text("op"), text("path"), shown.unwrap_or_default())
}
