//! Bills of materials: attached to images, and asked for packages.

use deployd_core::Digest;
use deployd_core::access::Action;
use deployd_core::sbom::{PackagePage, PackageQuery, SBOM_BYTES_MAX, Sbom};
use schemars::JsonSchema;
use serde::Deserialize;

use super::paging::PageSize;
use crate::access::Access::Needs;
use crate::answer::{Document, Found};
use crate::api::Api;
use crate::asked::{Asked, Nothing};
use crate::body::Raw;
use crate::operation::{Operation, Operations, Verb::Get, Verb::Put};
use crate::problem::Problem;
use crate::target::Target;

const ATTACH: Operation = Operation::new(
    Put,
    "/v1/artifacts/{digest}/sbom",
    Needs(Action::Announce, Target::Installation),
    "attachSbom",
    "Attaches a bill of materials to an image: CycloneDX or SPDX 2, as JSON",
)
.body_max(SBOM_BYTES_MAX);

const DOCUMENT: Operation = Operation::new(
    Get,
    "/v1/artifacts/{digest}/sbom",
    Needs(Action::Read, Target::Installation),
    "getSbom",
    "The bill of materials of an image, as it was attached",
);

const PACKAGES: Operation = Operation::new(
    Get,
    "/v1/inventory/packages",
    Needs(Action::Read, Target::Installation),
    "findPackage",
    "Images with a package, and where they are and were",
);

pub(super) fn operations(operations: Operations) -> Operations {
    operations.add(ATTACH, attach).add(DOCUMENT, document).add(PACKAGES, packages)
}

#[derive(Deserialize, JsonSchema)]
struct ImageDigest {
    /// The image's digest.
    digest: Digest,
}

async fn attach(
    api: Api,
    asked: Asked<ImageDigest, Nothing, Raw>,
) -> Result<Found<Sbom>, Box<Problem>> {
    let Raw(document) = asked.body;
    let image = asked.path.digest;
    Ok(Found(api.engine().attach_sbom(&asked.caller, image, document.to_vec()).await?))
}

async fn document(api: Api, asked: Asked<ImageDigest>) -> Result<Document, Box<Problem>> {
    Ok(Document(api.engine().sbom_document(asked.path.digest).await?))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PackagesQuery {
    /// The package's name, with its group where it has one: `@angular/core`.
    name: String,
    /// Only of this version.
    version: Option<String>,
    /// Only images that run somewhere, and where they do.
    #[serde(default)]
    now: bool,
    /// The `next` of the page before.
    cursor: Option<String>,
    /// Images on the page; at most 200.
    #[serde(default)]
    limit: PageSize,
}

async fn packages(
    api: Api,
    asked: Asked<Nothing, PackagesQuery>,
) -> Result<Found<PackagePage>, Box<Problem>> {
    let PackagesQuery { name, version, now, cursor, limit } = asked.query;
    let query = PackageQuery { name, version, now };
    Ok(Found(api.engine().images_with_package(&query, cursor.as_deref(), limit.0).await?))
}
