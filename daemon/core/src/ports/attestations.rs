//! Attestations, read and verified.

use crate::Digest;
use crate::attestation::Statement;
use crate::config::SignedBy;

/// Reads and verifies attestations: DSSE envelopes and bundles of Sigstore. Nobody is
/// asked for it; what it takes is milliseconds of a processor.
pub trait Attestations: Send + Sync + 'static {
    /// What an attestation says, whoever has signed it.
    ///
    /// Fails with what was found and what is expected.
    fn read(&self, document: &[u8]) -> Result<Statement, String>;

    /// Who of those that count has signed an attestation about an image.
    ///
    /// Fails with why none of them has.
    fn signer(&self, document: &[u8], image: Digest, by: &SignedBy) -> Result<String, String>;
}
