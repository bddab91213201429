//! Begins deployments, says what they would do, and follows them.

use deployd_core::DeploymentId;
use deployd_core::deployment::{DeploymentRecord, Outcome};
use deployd_core::views::DeployRequest;

use super::named::{self, Alone};
use super::{Context, plan_text, selection};
use crate::args::{DeployArgs, PlanArgs, RedeployArgs, WatchArgs};
use crate::client::Client;
use crate::error::CliError;
use crate::exit;
use crate::live::{Bars, Lines, Renderer, Silent, follow_with, outcome_text};
use crate::output::Tone;

pub(super) async fn deploy(context: &mut Context<'_>, args: DeployArgs) -> Result<u8, CliError> {
    let client = context.client()?;
    let mut request =
        selection::request(context, &client, &args.environment, &args.selection).await?;
    request.comment = args.comment;
    request.expected_plan = args.expect_plan;
    request.confirm_replace = args.confirm_replace;
    request.unverified = args.unverified;
    request.schedule = args.scheduling.schedule(context.output.now);
    let record = client.deploy(&request).await?;
    // What begins another day is followed by whoever says so.
    let later = args.scheduling.is_later() && !args.watching.watch;
    accepted(context, &client, record, args.watching.wanted() && !later).await
}

pub(super) async fn plan(context: &mut Context<'_>, args: PlanArgs) -> Result<u8, CliError> {
    let client = context.client()?;
    let request = selection::request(context, &client, &args.environment, &args.selection).await?;
    let view = client.plan(&request).await?;
    if context.output.is_human() {
        let does = format!("deployd deploy {}", args.environment);
        plan_text::show(context.output, &view, args.brief, &does)?;
    } else {
        context.output.document(&view)?;
    }
    let refused = view.preview.policies.is_some_and(|report| report.denies());
    Ok(if refused { exit::REFUSED } else { exit::OK })
}

pub(super) async fn redeploy(
    context: &mut Context<'_>,
    args: RedeployArgs,
) -> Result<u8, CliError> {
    let client = context.client()?;
    let of = named::deployment(&client, &args.of, Alone::Runs).await?;
    let request = DeployRequest {
        redeploy: Some(of),
        exact: args.exact,
        comment: args.comment,
        confirm_replace: args.confirm_replace,
        ..DeployRequest::default()
    };
    let record = client.deploy(&request).await?;
    accepted(context, &client, record, args.watching.wanted()).await
}

pub(super) async fn watch(context: &mut Context<'_>, args: WatchArgs) -> Result<u8, CliError> {
    let client = context.client()?;
    let id = named::deployment(&client, &args.of, Alone::Newest).await?;
    watched(context, &client, &id).await
}

/// Follows what was accepted, or says that it was.
pub(super) async fn accepted(
    context: &mut Context<'_>,
    client: &Client,
    record: DeploymentRecord,
    watch: bool,
) -> Result<u8, CliError> {
    if watch {
        return watched(context, client, &record.id).await;
    }
    let output = &mut *context.output;
    if !output.is_human() {
        output.document(&record)?;
    } else if output.quiet {
        output.line(&record.id.0)?;
    } else {
        let DeploymentRecord { environment, number, id, .. } = &record;
        output.line(format!("accepted: {environment} #{number} ({id})"))?;
        if let Some(at) = record.request.schedule.not_before {
            output.line(format!("  begins {at}, unless a calendar keeps it"))?;
        }
        if let Some(slot) = &record.request.schedule.slot {
            output.line(format!("  begins in slot {slot}, once that has begun and is granted"))?;
        }
        output.note(format!("`deployd watch {id}` follows it"))?;
    }
    Ok(exit::OK)
}

/// Follows a deployment to its end; its outcome is the exit code.
async fn watched(
    context: &mut Context<'_>,
    client: &Client,
    id: &DeploymentId,
) -> Result<u8, CliError> {
    let output = &mut *context.output;
    let record = {
        let live = output.is_human() && output.terminal && output.err_terminal;
        let quiet = output.quiet;
        let err_paint = output.err_paint;
        let (writer, paint) = output.progress();
        let mut renderer: Box<dyn Renderer + '_> = if quiet {
            Box::new(Silent)
        } else if live {
            Box::new(Bars::new(err_paint))
        } else {
            Box::new(Lines::new(writer, paint))
        };
        interruptible(client, id, &mut *renderer).await?
    };
    let outcome = record.outcome.unwrap_or(Outcome::NeedsOperator);
    if !output.is_human() {
        output.document(&record)?;
    } else if output.quiet && outcome != Outcome::Succeeded {
        let text = format!("{} #{} {}", record.environment, record.number, outcome_text(outcome));
        output.complain(output.err_paint.tone(Tone::Bad, text));
    }
    Ok(exit::of_outcome(outcome))
}

/// Follows until the end, or until somebody presses Ctrl-C: then only the
/// watching ends.
pub(super) async fn interruptible(
    client: &Client,
    id: &DeploymentId,
    renderer: &mut dyn Renderer,
) -> Result<DeploymentRecord, CliError> {
    tokio::select! {
        record = follow_with(client, id, renderer) => record,
        Ok(()) = tokio::signal::ctrl_c() => Err(CliError::Interrupted(format!(
            "deployment {id} goes on; `deployd watch {id}` follows it again, `deployd cancel {id}` ends it"
        ))),
    }
}
