//! Announces images.

use deployd_core::artifact::Artifact;

use super::{Context, attestations};
use crate::args::ArtifactCommand;
use crate::error::CliError;
use crate::exit;
use crate::output::clean;

pub(super) async fn artifact(
    context: &mut Context<'_>,
    command: ArtifactCommand,
) -> Result<u8, CliError> {
    let args = match command {
        ArtifactCommand::Announce(args) => args,
        ArtifactCommand::Attach(args) => return attestations::attach(context, &args).await,
        ArtifactCommand::Result(args) => return attestations::result(context, args).await,
        ArtifactCommand::Show(args) => return attestations::show(context, &args).await,
    };
    let artifact = Artifact {
        repository: args.image.repository,
        digest: args.image.digest,
        tag: args.image.tag,
        git_ref: args.git_ref,
        commit: args.commit,
        author: args.author,
        committed_at: args.committed_at.map(|at| at.at(context.output.now)),
        build_url: args.build_url,
        sequence: args.sequence,
        paths: args.paths,
    };
    let announced = context.client()?.announce(&[artifact]).await?;
    let output = &mut *context.output;
    if !output.is_human() {
        output.document(&announced)?;
        return Ok(exit::OK);
    }
    for artifact in &announced.artifacts {
        output.note(format!("announced: {}", artifact.image()))?;
    }
    for route in &announced.routes {
        for late in &route.superseded {
            output.line(format!(
                "{}: {} is number {}, and number {} came before it: it is not deployed",
                route.environment, late.image, late.sequence, late.newest
            ))?;
        }
        for kept in &route.quarantined {
            output.line(format!(
                "{}: {} has failed there ({}) and is not deployed; `deployd quarantine lift {} {}` lifts that",
                route.environment, kept.image, kept.deployment, route.environment, kept.image
            ))?;
        }
        match (&route.deployment, &route.problem) {
            (Some(id), _) => output.line(format!("{}: deployment {id}", route.environment))?,
            (None, Some(problem)) => output.line(format!("{}: {problem}", route.environment))?,
            (None, None) if route.waits_for.is_empty() => {}
            (None, None) => {
                let missing = route.waits_for.join(", ");
                output.line(format!("{}: waits for images of {missing}", route.environment))?;
            }
        }
    }
    for passed in &announced.passed {
        let because = clean(&passed.because);
        output.note(format!("{}: not deployed by itself: {because}", passed.environment))?;
    }
    if announced.routes.is_empty() && announced.passed.is_empty() {
        output.note("no environment deploys it by itself")?;
    }
    Ok(exit::OK)
}
