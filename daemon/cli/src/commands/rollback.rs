//! Has what ran before run again, and environments made like others.

use deployd_core::deployment::Origin;
use deployd_core::views::{CloneRequest, RollbackRequest, RollbackView};

use super::Context;
use crate::args::{CloneArgs, RollbackArgs};
use crate::error::CliError;
use crate::exit;
use crate::output::{Output, Tone, clean};

pub(super) async fn rollback(
    context: &mut Context<'_>,
    args: RollbackArgs,
) -> Result<u8, CliError> {
    let client = context.client()?;
    let request = RollbackRequest {
        to: args.to,
        resolve: args.resolve,
        comment: args.comment,
        expected_plan: None,
        confirm_replace: args.confirm_replace,
        confirm_forward_only: args.confirm_forward_only,
    };
    if args.dry_run {
        let view = client.plan_of_rollback(&args.environment, &request).await?;
        if context.output.is_human() {
            describe(context.output, &args.environment.to_string(), &view)?;
        } else {
            context.output.document(&view)?;
        }
        return Ok(exit::OK);
    }
    let record = client.rollback(&args.environment, &request).await?;
    if let Origin::Rollback { to, exact, .. } = &record.request.origin {
        let how = if *exact { "exactly" } else { "its set, resolved anew" };
        context.output.note(format!("{}: back to {to}, {how}", record.environment))?;
    }
    super::deploy::accepted(context, &client, record, args.watching.wanted()).await
}

fn describe(output: &mut Output, environment: &str, view: &RollbackView) -> Result<(), CliError> {
    let paint = output.paint;
    let title = paint.tone(Tone::Strong, environment);
    let how = match view.exact {
        true => "exactly: its manifests, and nothing else",
        false => "its set, resolved anew",
    };
    let (from, to) = (view.from_number, view.to_number);
    output.line(format!("{title}: back from #{from} to #{to} ({}), {how}", view.to))?;
    for obstacle in &view.obstacles {
        let text = format!("  not exactly, since {}", clean(obstacle));
        output.line(paint.tone(Tone::Warn, text))?;
    }
    for resource in &view.not_undone {
        let text = format!("  can't be undone: {}", clean(resource));
        output.line(paint.tone(Tone::Warn, text))?;
    }
    let changes = &view.plan.preview.changes;
    if changes.is_empty() {
        output.line("  no object changes")?;
    }
    for change in changes {
        let verb = match change.change {
            deployd_core::plan::ChangeKind::Add => paint.tone(Tone::Good, "+"),
            deployd_core::plan::ChangeKind::Change => paint.tone(Tone::Busy, "~"),
            deployd_core::plan::ChangeKind::Remove => paint.tone(Tone::Bad, "-"),
        };
        output.line(format!("  {verb} {}", clean(&change.object.to_string())))?;
    }
    super::plan_text::jobs(output, &view.plan.preview.jobs)
}

pub(super) async fn clone(context: &mut Context<'_>, args: CloneArgs) -> Result<u8, CliError> {
    let client = context.client()?;
    let request = CloneRequest {
        name: args.name,
        environment_type: args.environment_type,
        comment: args.comment,
    };
    let record = client.clone_environment(&args.environment, &request).await?;
    super::deploy::accepted(context, &client, record, args.watching.wanted()).await
}
