//! How versions move through the environments of an application.

use deployd_core::config::Promotion;
use deployd_core::deployment::{Hold, Skip};
use deployd_core::flow::{FlowStage, ReleaseRequest, StageStanding, WENT_BACK};
use deployd_core::steering::Steering;
use deployd_core::subject::Subject;
use deployd_core::views::DeployRequest;
use deployd_core::{EnvironmentId, Name};

use super::{Context, deploy, deployments, plan_text};
use crate::args::{FlowCommand, FlowReleaseArgs, FlowShowArgs, PromoteArgs, Steered, WhyArgs};
use crate::error::CliError;
use crate::exit;
use crate::output::{Output, Paint, Rails, Tone, ago, clean, rails, short};

pub(super) async fn flow(context: &mut Context<'_>, command: FlowCommand) -> Result<u8, CliError> {
    match command {
        FlowCommand::Show(args) => show(context, args).await,
        FlowCommand::Release(args) => release(context, args).await,
    }
}

async fn release(context: &mut Context<'_>, args: FlowReleaseArgs) -> Result<u8, CliError> {
    let request = ReleaseRequest { reason: args.reason };
    let hold = context.client()?.release(&args.environment, &request).await?;
    let output = &mut *context.output;
    if output.is_human() {
        let Hold { by, deployment, .. } = &hold;
        output.line(clean(&format!(
            "What comes to {} by itself goes on; {by} went back by {deployment}",
            args.environment
        )))?;
    } else {
        output.document(&hold)?;
    }
    Ok(exit::OK)
}

async fn show(context: &mut Context<'_>, args: FlowShowArgs) -> Result<u8, CliError> {
    let flow = context.client()?.flow(&args.application).await?;
    let output = &mut *context.output;
    if !output.is_human() {
        output.document(&flow)?;
        return Ok(exit::OK);
    }
    if flow.stages.is_empty() {
        output
            .line(format!("{} has no flow: nothing comes anywhere by itself.", args.application))?;
        return Ok(exit::OK);
    }
    let place = |name: &Name| flow.stages.iter().position(|stage| stage.environment == *name);
    let before = |stage: &FlowStage| stage.after.iter().filter_map(place).collect();
    let before: Vec<Vec<usize>> = flow.stages.iter().map(before).collect();
    for (stage, rails) in flow.stages.iter().zip(rails(&before)) {
        if let Some(above) = &rails.above {
            output.line(above.trim_end())?;
        }
        match args.graph {
            true => stage_line(output, stage, &rails)?,
            false => stage_lines(output, &flow.application, stage, &rails)?,
        }
        if let Some(below) = &rails.below {
            output.line(below.trim_end())?;
        }
    }
    Ok(exit::OK)
}

fn mark(paint: Paint, stage: &FlowStage) -> String {
    match stage.standing {
        StageStanding::Held => paint.tone(Tone::Warn, "◐"),
        _ if stage.hold.is_some() => paint.tone(Tone::Warn, "◐"),
        StageStanding::Ready => paint.tone(Tone::Busy, "◑"),
        _ if stage.set.is_some() => paint.tone(Tone::Good, "●"),
        _ => paint.tone(Tone::Dim, "○"),
    }
}

/// A stage in a line: what it has, and how it stands, in a word.
fn stage_line(output: &mut Output, stage: &FlowStage, rails: &Rails) -> Result<(), CliError> {
    let paint = output.paint;
    let word = match (&stage.hold, stage.standing) {
        (Some(_), _) => WENT_BACK.to_owned(),
        (None, StageStanding::First) => String::new(),
        (None, StageStanding::UpToDate) => "up to date".to_owned(),
        (None, StageStanding::Ready) => "ready".to_owned(),
        (None, StageStanding::Held) => {
            stage.held.first().map(|held| held.reason.clone()).unwrap_or_default()
        }
    };
    let has = match (&stage.set, stage.since) {
        (Some(set), Some(since)) => {
            format!("{}, {}", short(&set.to_string()), ago(since, output.now))
        }
        _ => "nothing".to_owned(),
    };
    let (left, right) = &rails.node;
    let name = paint.tone(Tone::Strong, stage.environment.as_str());
    let text = format!("{left}{} {right}{name}  {has}  {}", mark(paint, stage), clean(&word));
    output.line(text.trim_end())
}

/// A stage: what leads to it, what it has, what is next.
fn stage_lines(
    output: &mut Output,
    application: &Name,
    stage: &FlowStage,
    rails: &Rails,
) -> Result<(), CliError> {
    let paint = output.paint;
    let who = match stage.promotion {
        Promotion::Automatic => "by itself",
        Promotion::Manual => "by a person",
    };
    let each = if stage.batching.is_newest() { "" } else { ", each in its turn" };
    let way = match (&stage.takes, stage.after.is_empty()) {
        (Some(takes), _) => format!("takes {takes}"),
        (None, true) => "by a person".to_owned(),
        (None, false) => {
            let names: Vec<&str> = stage.after.iter().map(Name::as_str).collect();
            format!("after {}, {who}", names.join(" and "))
        }
    };
    let (left, right) = &rails.node;
    let (mark, beside) = (mark(paint, stage), rails.beside.as_str());
    let name = paint.tone(Tone::Strong, format!("{application}/{}", stage.environment));
    output.line(format!("{left}{mark} {right}{name}  {}{each}", clean(&way)))?;
    match (&stage.deployment, stage.since) {
        (Some(deployment), Some(since)) => {
            output.line(format!("{beside}  since {} by {deployment}", ago(since, output.now)))?;
        }
        _ => output.line(format!("{beside}  nothing runs there"))?,
    }
    for (place, image) in &stage.images {
        output.line(clean(&format!("{beside}  {place}  {}", short(image))))?;
    }
    match stage.standing {
        StageStanding::UpToDate => output.line(format!("{beside}  has what is before it"))?,
        StageStanding::Ready if stage.promotion == Promotion::Manual => {
            let from = stage.after.first().map(Name::as_str).unwrap_or_default();
            let to = &stage.environment;
            let text = format!(
                "{beside}  verified: `deployd promote {application} --from {from} --to {to}` brings it"
            );
            output.line(paint.tone(Tone::Busy, text))?;
        }
        StageStanding::Ready => output.line(format!("{beside}  about to get what is before it"))?,
        StageStanding::First | StageStanding::Held => {}
    }
    if let Some(Hold { by, deployment, at }) = &stage.hold {
        let (since, place) = (ago(*at, output.now), format!("{application}/{}", stage.environment));
        let text = format!(
            "{beside}  held: {by} went back {since} by {deployment}; `deployd flow release {place}` has it go on"
        );
        output.line(paint.tone(Tone::Warn, clean(&text)))?;
    }
    for held in stage.held.iter().filter(|held| held.reason != WENT_BACK) {
        output
            .line(paint.tone(Tone::Warn, clean(&format!("{beside}  waits: {}", held.message))))?;
    }
    Ok(())
}

pub(super) async fn why(context: &mut Context<'_>, args: WhyArgs) -> Result<u8, CliError> {
    let answer = context.client()?.why(&args.place(), &args.subject).await?;
    let output = &mut *context.output;
    let code = if answer.there { exit::OK } else { exit::FAILED };
    if !output.is_human() {
        output.document(&answer)?;
        return Ok(code);
    }
    for line in &answer.because {
        output.line(clean(line))?;
    }
    if let Some(next) = &answer.next {
        output.note(clean(next))?;
    }
    Ok(code)
}

pub(super) async fn promote(context: &mut Context<'_>, args: PromoteArgs) -> Result<u8, CliError> {
    let (Some(from), Some(to)) = (args.from.clone(), args.to.clone()) else {
        let of: Subject =
            args.of.parse().map_err(|error| CliError::Input(format!("{}: {error}", args.of)))?;
        let skip = if args.all { Skip::All } else { Skip::Step };
        let steered = Steered { of, reason: args.reason };
        return deployments::steer(context, steered, Steering::Promote(skip)).await;
    };
    let application: Name =
        args.of.parse().map_err(|error| CliError::Input(format!("{}: {error}", args.of)))?;
    let place = EnvironmentId { application, environment: to };
    let mut request = DeployRequest {
        environment: Some(place.clone()),
        promote: Some(from.clone()),
        unverified: args.unverified,
        comment: args.reason,
        ..DeployRequest::default()
    };
    let client = context.client()?;
    if !args.yes {
        if !(context.output.is_human() && context.typed) {
            let text = format!(
                "nobody is there to be asked whether {place} is to get what runs in {from}; --yes says so"
            );
            return Err(CliError::Input(text));
        }
        let view = client.plan(&request).await?;
        let does = format!("deployd promote {} --from {from} --to {}", args.of, place.environment);
        plan_text::show(context.output, &view, true, &does)?;
        if !context.confirmed(&format!("Bring it to {place}? [y/N] "))? {
            context.output.note("nothing was changed")?;
            return Ok(exit::FAILED);
        }
        // What was shown is what is done.
        request.expected_plan = Some(view.digest);
    }
    let record = client.deploy(&request).await?;
    deploy::accepted(context, &client, record, args.watching.wanted()).await
}
