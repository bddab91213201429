//! Announces images.

use deployd_core::artifact::Artifact;

use super::Context;
use crate::args::ArtifactCommand;
use crate::error::CliError;
use crate::exit;

pub(super) async fn artifact(
    context: &mut Context<'_>,
    command: ArtifactCommand,
) -> Result<u8, CliError> {
    let ArtifactCommand::Announce(args) = command;
    let artifact = Artifact {
        repository: args.image.repository,
        digest: args.image.digest,
        tag: args.image.tag,
        git_ref: args.git_ref,
        commit: args.commit,
        build_url: args.build_url,
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
        match &route.deployment {
            Some(id) => output.line(format!("{}: deployment {id}", route.environment))?,
            None => {
                let missing = route.waits_for.join(", ");
                output.line(format!("{}: waits for images of {missing}", route.environment))?;
            }
        }
    }
    if announced.routes.is_empty() {
        output.note("no environment deploys it by itself")?;
    }
    Ok(exit::OK)
}
