//! Arguments of commands for what is attached to images.

use clap::{ArgGroup, Args};
use deployd_core::Digest;

use super::values::ImageReference;
use deployd_core::subject::Subject;

/// Attach a bill of materials, or an attestation; or have one fetched, or a result.
#[derive(Debug, Clone, Args)]
#[command(group = ArgGroup::new("what").required(true).args(
    ["sbom", "attestation", "sbom_url", "attestation_url", "result_url"]
))]
#[command(after_help = "\
A bill of materials is CycloneDX or SPDX 2, as JSON, with at most 16 MiB and 9000 packages; one that is
attached later takes the place of the one before. An attestation is a DSSE envelope or a bundle of
Sigstore, as `cosign attest`, `gh attestation download` and SLSA's generators write them, with at most
2 MiB; an image has as many as are attached, up to 50.

Examples:
  deployd artifact attach registry.test/shop/frontend@sha256:5f2a... --sbom frontend.cdx.json
  syft -o cyclonedx-json \"$IMAGE\" | deployd artifact attach \"$IMAGE\" --sbom -
  deployd artifact attach \"$IMAGE\" --attestation provenance.sigstore.json
  deployd artifact attach \"$IMAGE\" --result-url https://ci.example.com/7/unit.json \\
    --digest \"sha256:$(sha256sum < unit.json | cut -d ' ' -f 1)\"")]
pub struct AttachArgs {
    /// The image, with its digest
    #[arg(value_name = "IMAGE@DIGEST")]
    pub image: ImageReference,
    /// The bill of materials; - for standard input
    #[arg(long, value_name = "FILE")]
    pub sbom: Option<String>,
    /// The attestation; - for standard input
    #[arg(long, value_name = "FILE")]
    pub attestation: Option<String>,
    /// Where the daemon finds the bill of materials
    #[arg(long, value_name = "URL", requires = "digest")]
    pub sbom_url: Option<String>,
    /// Where the daemon finds the attestation
    #[arg(long, value_name = "URL", requires = "digest")]
    pub attestation_url: Option<String>,
    /// Where the daemon finds the result, as it would be posted
    #[arg(long, value_name = "URL", requires = "digest")]
    pub result_url: Option<String>,
    /// What it finds there has this digest, or is not attached
    #[arg(long, value_name = "DIGEST", conflicts_with_all = ["sbom", "attestation"])]
    pub digest: Option<Digest>,
}

/// Attach what a suite or a scanner has found.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Policies see it as `artifacts[].results`. What the same suite or scanner has found before is replaced.

Examples:
  deployd artifact result \"$IMAGE\" --kind tests --name unit --passed --url \"$BUILD_URL\"
  deployd artifact result \"$IMAGE\" --kind scan --name trivy --failed --finding critical=1 --finding high=4")]
pub struct ResultArgs {
    /// The image, with its digest
    #[arg(value_name = "IMAGE@DIGEST")]
    pub image: ImageReference,
    /// What it is: tests, scan
    #[arg(long, value_name = "KIND")]
    pub kind: String,
    /// Who says so: the suite, the scanner
    #[arg(long, value_name = "NAME")]
    pub name: String,
    /// That it passed
    #[arg(long, required_unless_present = "failed")]
    pub passed: bool,
    /// That it failed
    #[arg(long, conflicts_with = "passed")]
    pub failed: bool,
    /// How many findings of a severity there are
    #[arg(long = "finding", value_name = "SEVERITY=COUNT", value_parser = finding)]
    pub findings: Vec<(String, u64)>,
    /// When it was made; now when not given
    #[arg(long, value_name = "TIME")]
    pub at: Option<super::PointInTime>,
    /// Where the report can be looked at
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
}

/// Show what is attached to an image.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  deployd artifact show registry.test/shop/frontend@sha256:5f2a...")]
pub struct ArtifactShowArgs {
    /// The image, with its digest
    #[arg(value_name = "IMAGE@DIGEST")]
    pub image: ImageReference,
}

/// Show which attestations a deployment waits for.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  deployd attestations shop/production")]
pub struct AttestationsArgs {
    /// The deployment: an id (or how it begins), APP/ENV or APP/ENV#NUMBER
    #[arg(value_name = "DEPLOYMENT")]
    pub of: Subject,
}

fn finding(text: &str) -> Result<(String, u64), String> {
    let found = text.split_once('=').and_then(|(severity, count)| {
        Some((severity.trim().to_owned(), count.trim().parse().ok()?))
    });
    found
        .filter(|(severity, _)| !severity.is_empty())
        .ok_or_else(|| format!("found {text:?}, expected a severity and a number, as critical=0"))
}
