//! What is attached by reference: fetched once, and attached as if it had been posted.

use deployd_core::policy::AttachedResult;
use deployd_core::reference::{AttachByReference, AttachedByReference, Reference, ReferredKind};
use deployd_core::{Digest, Fault};

use crate::{Caller, Engine, EngineError};

impl Engine {
    /// Fetches a document, and attaches it to an image if it has the digest that was
    /// named. What is attached keeps where it came from.
    pub async fn attach_reference(
        &self,
        caller: &Caller,
        image: Digest,
        asked: AttachByReference,
    ) -> Result<AttachedByReference, EngineError> {
        if let Some(message) = asked.fault() {
            return Err(EngineError::invalid("url", message));
        }
        let from = Some(asked.kept());
        // Before anything is fetched: a repeat needs no server.
        match asked.kind {
            ReferredKind::Sbom => {
                let attached = match self.inner.replayed(caller).await? {
                    Some(answer) => answer,
                    None => {
                        let document = self.fetched(&asked).await?;
                        Box::pin(self.attach_sbom_from(caller, image, document, from)).await?
                    }
                };
                Ok(AttachedByReference::Sbom(attached))
            }
            ReferredKind::Attestation => {
                let attached = match self.inner.replayed(caller).await? {
                    Some(answer) => answer,
                    None => {
                        let document = self.fetched(&asked).await?;
                        Box::pin(self.attach_attestation_from(caller, image, document, from))
                            .await?
                    }
                };
                Ok(AttachedByReference::Attestation(attached))
            }
            ReferredKind::Result => {
                let attached = match self.inner.replayed(caller).await? {
                    Some(answer) => answer,
                    None => {
                        let result = result(&self.fetched(&asked).await?, from)?;
                        Box::pin(self.attach_result_from(caller, image, result)).await?
                    }
                };
                Ok(AttachedByReference::Result(attached))
            }
        }
    }

    /// The document, which is what was named.
    async fn fetched(&self, asked: &AttachByReference) -> Result<Vec<u8>, EngineError> {
        let references = &self.inner.ports.references;
        let document = references.fetch(&asked.url, asked.kind.bytes_max()).await?;
        let found = Digest::of(&document);
        if found != asked.digest {
            let message = format!(
                "{} has the digest {found}, expected {}: it is another document, or has changed",
                asked.kept().url,
                asked.digest
            );
            return Err(Fault::invalid("reference-differs", message).into());
        }
        Ok(document)
    }
}

fn result(document: &[u8], from: Option<Reference>) -> Result<AttachedResult, EngineError> {
    let result: AttachedResult = serde_json::from_slice(document).map_err(|error| {
        EngineError::invalid("url", format!("the document there is no result: {error}"))
    })?;
    Ok(AttachedResult { from, ..result })
}
