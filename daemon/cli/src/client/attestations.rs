//! Attestations and results, attached and asked.

use deployd_core::attestation::{Attestation, RuleStanding};
use deployd_core::policy::AttachedResult;
use deployd_core::reference::{AttachByReference, AttachedByReference};
use deployd_core::{DeploymentId, Digest};
use http::Method;

use super::Client;
use super::request::Request;
use crate::error::CliError;

impl Client {
    /// Attaches an attestation to an image.
    pub async fn attach_attestation(
        &self,
        image: Digest,
        document: Vec<u8>,
    ) -> Result<Attestation, CliError> {
        let url = self.url(["v1", "artifacts", &image.to_string(), "attestations"])?;
        let mut asked = Request::new(Method::POST, url);
        asked.body = Some(("application/json", document.into()));
        self.ask(asked).await
    }

    /// Attestations of an image.
    pub async fn attestations(&self, image: Digest) -> Result<Vec<Attestation>, CliError> {
        self.ask(self.get(&["v1", "artifacts", &image.to_string(), "attestations"])?).await
    }

    /// Attaches a result to an image.
    pub async fn attach_result(
        &self,
        image: Digest,
        result: &AttachedResult,
    ) -> Result<AttachedResult, CliError> {
        let url = self.url(["v1", "artifacts", &image.to_string(), "results"])?;
        self.ask(Request::new(Method::POST, url).json(result)?).await
    }

    /// Has something fetched and attached to an image.
    pub async fn attach_reference(
        &self,
        image: Digest,
        reference: &AttachByReference,
    ) -> Result<AttachedByReference, CliError> {
        let url = self.url(["v1", "artifacts", &image.to_string(), "references"])?;
        self.ask(Request::new(Method::POST, url).json(reference)?).await
    }

    /// Results of an image.
    pub async fn results(&self, image: Digest) -> Result<Vec<AttachedResult>, CliError> {
        self.ask(self.get(&["v1", "artifacts", &image.to_string(), "results"])?).await
    }

    /// Attestations that a deployment waits for.
    pub async fn standing(&self, id: &DeploymentId) -> Result<Vec<RuleStanding>, CliError> {
        self.ask(self.get(&["v1", "deployments", &id.0, "attestations"])?).await
    }
}
