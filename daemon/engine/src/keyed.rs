//! A hash that nobody can compute who has the store but not the daemon's key:
//! for what has to be known again and must not be guessed.

use deployd_core::Digest;
use deployd_core::ports::Recipe;
use deployd_core::secret::SecretRef;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use crate::{Engine, EngineError, Inner};

/// Characters of the key, of 62 each: more bits than the hash has.
const KEY_LENGTH: usize = 64;

const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

impl Engine {
    /// What stands for a secret value where a repeat has to be recognised: the
    /// plain digest of a short value could be found by trying all of them.
    pub async fn secret_digest(&self, value: &[u8]) -> Result<Digest, EngineError> {
        self.inner.keyed("secret", value).await
    }
}

impl Inner {
    /// HMAC-SHA256 with a key that the vault keeps, and makes when it is first
    /// asked for. Each purpose has hashes of its own.
    pub(crate) async fn keyed(&self, purpose: &str, input: &[u8]) -> Result<Digest, EngineError> {
        let name = SecretRef { owner: "deployd".to_owned(), name: "hash-key".to_owned() };
        let recipe = Recipe { length: KEY_LENGTH, alphabet: ALPHABET.to_owned() };
        self.ports.vault.generate(&name, &recipe).await?;
        let key = self.ports.vault.get(&name).await?;
        let mut mac = Hmac::<Sha256>::new_from_slice(key.expose()).map_err(EngineError::bug)?;
        mac.update(purpose.as_bytes());
        mac.update(&[0]);
        mac.update(input);
        Ok(Digest::from_bytes(mac.finalize().into_bytes().into()))
    }
}
