//! Announces images, and attaches to them what they are made of.

use std::io::Read;

use deployd_core::artifact::Artifact;
use deployd_core::sbom::SBOM_BYTES_MAX;

use super::Context;
use crate::args::{ArtifactCommand, AttachArgs};
use crate::error::CliError;
use crate::exit;
use crate::output::counted;

pub(super) async fn artifact(
    context: &mut Context<'_>,
    command: ArtifactCommand,
) -> Result<u8, CliError> {
    let args = match command {
        ArtifactCommand::Announce(args) => args,
        ArtifactCommand::Attach(args) => return attach(context, &args).await,
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
    if announced.routes.is_empty() {
        output.note("no environment deploys it by itself")?;
    }
    Ok(exit::OK)
}

async fn attach(context: &mut Context<'_>, args: &AttachArgs) -> Result<u8, CliError> {
    let mut document = Vec::new();
    let mut read = |from: &mut dyn Read| {
        // One more than fits, so that what is too large is seen to be.
        from.take(SBOM_BYTES_MAX.saturating_add(1) as u64).read_to_end(&mut document)
    };
    let path = args.sbom.as_str();
    let read = match path {
        "-" => read(&mut context.input),
        path => std::fs::File::open(path).and_then(|mut file| read(&mut file)),
    };
    read.map_err(|error| CliError::file(path, error))?;
    if document.len() > SBOM_BYTES_MAX {
        let text = format!("{path} has more than the {SBOM_BYTES_MAX} bytes that are taken");
        return Err(CliError::Input(text));
    }
    let attached = context.client()?.attach_sbom(args.image.digest, document).await?;
    if context.output.is_human() {
        let count = counted(u64::from(attached.packages), "package");
        context.output.line(format!("attached to {}: {count}", attached.image))?;
    } else {
        context.output.document(&attached)?;
    }
    Ok(exit::OK)
}
