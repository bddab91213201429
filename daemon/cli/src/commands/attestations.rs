//! What is attached to images, and what waits for it.

use std::io::Read;

use deployd_core::Digest;
use deployd_core::attestation::{ATTESTATION_BYTES_MAX, Attestation};
use deployd_core::policy::AttachedResult;
use deployd_core::reference::{AttachByReference, AttachedByReference, ReferredKind};
use deployd_core::sbom::SBOM_BYTES_MAX;
use serde::Serialize;

use super::Context;
use super::named::{self, Alone};
use crate::args::{ArtifactShowArgs, AttachArgs, AttestationsArgs, ResultArgs};
use crate::error::CliError;
use crate::exit;
use crate::output::{Table, Tone, ago, clean, counted, short};

pub(super) async fn attach(context: &mut Context<'_>, args: &AttachArgs) -> Result<u8, CliError> {
    let image = args.image.digest;
    if let Some(reference) = reference(args) {
        let attached = context.client()?.attach_reference(image, &reference).await?;
        return fetched(context, image, &attached);
    }
    if let Some(path) = &args.attestation {
        let document = read(context, path, ATTESTATION_BYTES_MAX)?;
        let attached = context.client()?.attach_attestation(image, document).await?;
        if context.output.is_human() {
            let line =
                format!("attached to {}: {}", attached.image, clean(&attached.predicate_type));
            context.output.line(line)?;
        } else {
            context.output.document(&attached)?;
        }
        return Ok(exit::OK);
    }
    let path = args.sbom.as_deref().unwrap_or("-");
    let document = read(context, path, SBOM_BYTES_MAX)?;
    let attached = context.client()?.attach_sbom(image, document).await?;
    if context.output.is_human() {
        let count = counted(u64::from(attached.packages), "package");
        context.output.line(format!("attached to {}: {count}", attached.image))?;
    } else {
        context.output.document(&attached)?;
    }
    Ok(exit::OK)
}

/// What is to be fetched, if something is.
fn reference(args: &AttachArgs) -> Option<AttachByReference> {
    let digest = args.digest?;
    let of =
        |kind, url: &Option<String>| url.clone().map(|url| AttachByReference { kind, url, digest });
    of(ReferredKind::Sbom, &args.sbom_url)
        .or_else(|| of(ReferredKind::Attestation, &args.attestation_url))
        .or_else(|| of(ReferredKind::Result, &args.result_url))
}

fn fetched(
    context: &mut Context<'_>,
    image: Digest,
    attached: &AttachedByReference,
) -> Result<u8, CliError> {
    if !context.output.is_human() {
        context.output.document(attached)?;
        return Ok(exit::OK);
    }
    let what = match attached {
        AttachedByReference::Sbom(sbom) => counted(u64::from(sbom.packages), "package"),
        AttachedByReference::Attestation(attestation) => clean(&attestation.predicate_type),
        AttachedByReference::Result(result) => {
            let verdict = if result.passed { "passed" } else { "failed" };
            format!("{} {} {verdict}", clean(&result.kind), clean(&result.name))
        }
    };
    context.output.line(format!("attached to {image}: {what}"))?;
    Ok(exit::OK)
}

fn read(context: &mut Context<'_>, path: &str, max: usize) -> Result<Vec<u8>, CliError> {
    let mut document = Vec::new();
    let mut read = |from: &mut dyn Read| {
        // One more than fits, so that what is too large is seen to be.
        from.take(max.saturating_add(1) as u64).read_to_end(&mut document)
    };
    let read = match path {
        "-" => read(&mut context.input),
        path => std::fs::File::open(path).and_then(|mut file| read(&mut file)),
    };
    read.map_err(|error| CliError::file(path, error))?;
    if document.len() > max {
        return Err(CliError::Input(format!(
            "{path} has more than the {max} bytes that are taken"
        )));
    }
    Ok(document)
}

pub(super) async fn result(context: &mut Context<'_>, args: ResultArgs) -> Result<u8, CliError> {
    let now = context.output.now;
    let result = AttachedResult {
        kind: args.kind,
        name: args.name,
        at: args.at.map_or(now, |at| at.at(now)),
        passed: args.passed,
        findings: args.findings.into_iter().collect(),
        url: args.url,
        from: None,
    };
    let attached = context.client()?.attach_result(args.image.digest, &result).await?;
    if context.output.is_human() {
        let verdict = if attached.passed { "passed" } else { "failed" };
        let what = format!("{} {} {verdict}", clean(&attached.kind), clean(&attached.name));
        context.output.line(format!("attached to {}: {what}", args.image.digest))?;
    } else {
        context.output.document(&attached)?;
    }
    Ok(exit::OK)
}

/// What is attached to an image.
#[derive(Serialize)]
struct Attached {
    attestations: Vec<Attestation>,
    results: Vec<AttachedResult>,
}

pub(super) async fn show(
    context: &mut Context<'_>,
    args: &ArtifactShowArgs,
) -> Result<u8, CliError> {
    let client = context.client()?;
    let image = args.image.digest;
    let attestations = client.attestations(image).await?;
    let attached = Attached { attestations, results: client.results(image).await? };
    let output = &mut *context.output;
    if !output.is_human() {
        output.document(&attached)?;
        return Ok(exit::OK);
    }
    if attached.attestations.is_empty() && attached.results.is_empty() {
        output.line("Nothing is attached to it.")?;
        return Ok(exit::OK);
    }
    let mut table = Table::new(["attached", "what", "by", "when"]);
    for one in &attached.attestations {
        table.toned([
            ("attestation".to_owned(), Tone::Plain),
            (clean(&one.predicate_type), Tone::Strong),
            (clean(&one.by.0), Tone::Plain),
            (ago(one.at, output.now), Tone::Dim),
        ]);
    }
    for one in &attached.results {
        let findings: Vec<String> =
            one.findings.iter().map(|(severity, count)| format!("{count} {severity}")).collect();
        let verdict = if one.passed { "passed" } else { "failed" };
        let what = [vec![verdict.to_owned()], findings].concat().join(", ");
        table.toned([
            (clean(&one.kind), Tone::Plain),
            (clean(&what), if one.passed { Tone::Good } else { Tone::Bad }),
            (clean(&one.name), Tone::Plain),
            (ago(one.at, output.now), Tone::Dim),
        ]);
    }
    output.table(&table)?;
    Ok(exit::OK)
}

pub(super) async fn standing(
    context: &mut Context<'_>,
    args: &AttestationsArgs,
) -> Result<u8, CliError> {
    let client = context.client()?;
    let id = named::deployment(&client, &args.of, Alone::Active).await?;
    let found = client.standing(&id).await?;
    let output = &mut *context.output;
    if !output.is_human() {
        output.document(&found)?;
        return Ok(exit::OK);
    }
    if found.is_empty() {
        output.line("It waits for no attestation.")?;
        return Ok(exit::OK);
    }
    for standing in &found {
        output.line(format!("{}: {}", standing.rule.name, clean(&standing.rule.predicate_type)))?;
        for image in &standing.images {
            match &image.evidence {
                Some(evidence) => {
                    let by = clean(&evidence.signer);
                    let document = short(&evidence.attestation.to_string());
                    output
                        .line(format!("  {}: {document}, signed by {by}", clean(&image.image)))?;
                }
                None => {
                    output.line(format!("  {}: nothing counts", clean(&image.image)))?;
                    for problem in &image.problems {
                        output.line(format!("    {}", clean(problem)))?;
                    }
                }
            }
        }
    }
    Ok(exit::OK)
}
