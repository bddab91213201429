//! Bills of materials, attached and asked.

use deployd_core::Digest;
use deployd_core::sbom::{PackagePage, PackageQuery, Sbom};
use http::Method;

use super::Client;
use super::request::Request;
use crate::error::CliError;

impl Client {
    /// Attaches a bill of materials to an image.
    pub async fn attach_sbom(&self, image: Digest, document: Vec<u8>) -> Result<Sbom, CliError> {
        let url = self.url(["v1", "artifacts", &image.to_string(), "sbom"])?;
        let mut asked = Request::new(Method::PUT, url);
        asked.body = Some(("application/json", document.into()));
        self.ask(asked).await
    }

    /// A page of images with a package, and where they are and were.
    pub async fn images_with_package(
        &self,
        query: &PackageQuery,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<PackagePage, CliError> {
        let asked = self
            .get(&["v1", "inventory", "packages"])?
            .query("name", Some(&query.name))
            .query("version", query.version.as_ref())
            .query("now", query.now.then_some(true))
            .query("cursor", cursor)
            .query("limit", Some(limit));
        self.ask(asked).await
    }
}
