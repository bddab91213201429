//! Private keys of OpenSSH, and signatures that are made with them (PROTOCOL.sshsig).

use deployd_core::Fault;
use deployd_core::secret::SecretValue;
use russh::keys::ssh_key::LineEnding;
use russh::keys::{HashAlg, PrivateKey};

use crate::fault;

/// What signatures of Git's objects are for, so that they count for nothing else.
const NAMESPACE: &str = "git";
/// The longest key: RSA's have some KiB.
const KEY_BYTES_MAX: usize = 16 * 1024;

/// Reads a private key, as `ssh-keygen` writes it. Nothing of it stands in the fault.
pub(crate) fn private_key(secret: &SecretValue) -> Result<PrivateKey, Fault> {
    let wrong = |why: &str| {
        fault::invalid(format!(
            "it is no private key that can be used: {why}; expected what `ssh-keygen -t ed25519 -N ''` \
             writes, from -----BEGIN OPENSSH PRIVATE KEY----- to the end"
        ))
    };
    let text = secret.expose();
    if text.len() > KEY_BYTES_MAX {
        return Err(wrong("it is too long"));
    }
    // Secrets are typed and pasted: a last line without its end is meant all the same.
    let mut text = text.trim_ascii().to_vec();
    text.push(b'\n');
    let key = PrivateKey::from_openssh(&text);
    text.fill(0);
    let key = key.map_err(|_| wrong("it can't be read"))?;
    if key.is_encrypted() {
        return Err(wrong("it has a passphrase"));
    }
    Ok(key)
}

/// Signs a commit's content.
pub(crate) fn sign(key: &PrivateKey, content: &[u8]) -> Result<String, Fault> {
    let algorithm = key.algorithm();
    let failed = |error: russh::keys::ssh_key::Error| {
        fault::invalid(format!(
            "commits can't be signed with a key of the kind {algorithm} ({error}); expected ssh-ed25519 or \
             ecdsa-sha2-nistp256"
        ))
    };
    let signature = key.sign(NAMESPACE, HashAlg::Sha512, content).map_err(failed)?;
    signature.to_pem(LineEnding::LF).map_err(failed)
}
