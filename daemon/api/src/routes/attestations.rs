//! Attestations and results: attached to images, and what waits for them.

use deployd_core::access::Action;
use deployd_core::attestation::{ATTESTATION_BYTES_MAX, Attestation, RuleStanding};
use deployd_core::policy::AttachedResult;
use deployd_core::reference::{AttachByReference, AttachedByReference};
use deployd_core::{DeploymentId, Digest};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::access::Access::Needs;
use crate::answer::Found;
use crate::api::Api;
use crate::asked::{Asked, Nothing};
use crate::body::{Json, Raw};
use crate::operation::{Operation, Operations, Verb::Get, Verb::Post};
use crate::problem::Problem;
use crate::target::Target;

const ATTEST: Operation = Operation::new(
    Post,
    "/v1/artifacts/{digest}/attestations",
    Needs(Action::Announce, Target::Installation),
    "attachAttestation",
    "Attaches an attestation to an image: a DSSE envelope or a bundle of Sigstore, as JSON",
)
.body_max(ATTESTATION_BYTES_MAX);

const ATTESTATIONS: Operation = Operation::new(
    Get,
    "/v1/artifacts/{digest}/attestations",
    Needs(Action::Read, Target::Installation),
    "listAttestations",
    "Attestations of an image, the newest last",
);

const ATTACH: Operation = Operation::new(
    Post,
    "/v1/artifacts/{digest}/results",
    Needs(Action::Announce, Target::Installation),
    "attachResult",
    "Attaches what a suite or a scanner has found to an image",
);

const REFER: Operation = Operation::new(
    Post,
    "/v1/artifacts/{digest}/references",
    Needs(Action::Announce, Target::Installation),
    "attachReference",
    "Fetches a result, an attestation or a bill of materials by its address and digest, and attaches it to an image",
);

const RESULTS: Operation = Operation::new(
    Get,
    "/v1/artifacts/{digest}/results",
    Needs(Action::Read, Target::Installation),
    "listResults",
    "What suites and scanners have found of an image, the newest last",
);

const STANDING: Operation = Operation::new(
    Get,
    "/v1/deployments/{id}/attestations",
    Needs(Action::Read, Target::Deployment),
    "getStanding",
    "Attestations that a deployment waits for: what counts, and why the others do not",
);

pub(super) fn operations(operations: Operations) -> Operations {
    operations
        .add(ATTEST, attest)
        .add(ATTESTATIONS, attestations)
        .add(ATTACH, attach)
        .add(REFER, refer)
        .add(RESULTS, results)
        .add(STANDING, standing)
}

#[derive(Deserialize, JsonSchema)]
struct ImageDigest {
    /// The image's digest.
    digest: Digest,
}

#[derive(Deserialize, JsonSchema)]
struct Id {
    /// The deployment.
    id: DeploymentId,
}

async fn attest(
    api: Api,
    asked: Asked<ImageDigest, Nothing, Raw>,
) -> Result<Found<Attestation>, Box<Problem>> {
    let Raw(document) = asked.body;
    let image = asked.path.digest;
    Ok(Found(api.engine().attach_attestation(&asked.caller, image, document.to_vec()).await?))
}

async fn attestations(
    api: Api,
    asked: Asked<ImageDigest>,
) -> Result<Found<Vec<Attestation>>, Box<Problem>> {
    Ok(Found(api.engine().attestations(asked.path.digest).await?))
}

async fn attach(
    api: Api,
    asked: Asked<ImageDigest, Nothing, Json<AttachedResult>>,
) -> Result<Found<AttachedResult>, Box<Problem>> {
    let Json(result) = asked.body;
    Ok(Found(api.engine().attach_result(&asked.caller, asked.path.digest, result).await?))
}

async fn refer(
    api: Api,
    asked: Asked<ImageDigest, Nothing, Json<AttachByReference>>,
) -> Result<Found<AttachedByReference>, Box<Problem>> {
    let Json(reference) = asked.body;
    let attaching = api.engine().attach_reference(&asked.caller, asked.path.digest, reference);
    Ok(Found(Box::pin(attaching).await?))
}

async fn results(
    api: Api,
    asked: Asked<ImageDigest>,
) -> Result<Found<Vec<AttachedResult>>, Box<Problem>> {
    Ok(Found(api.engine().results(asked.path.digest).await?))
}

async fn standing(api: Api, asked: Asked<Id>) -> Result<Found<Vec<RuleStanding>>, Box<Problem>> {
    Ok(Found(api.engine().standing(&asked.path.id).await?))
}
