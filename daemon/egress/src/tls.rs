//! TLS as a grant has it: whom to trust, and as whom to appear.

use std::io;
use std::sync::Arc;

use deployd_core::config::{CaSource, HostGrant};
use deployd_core::ports::{Destination, EgressError, TlsOptions};
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::credential::Secrets;
use crate::wire::Wire;

/// Makes TLS connections.
pub(crate) struct Tls {
    secrets: Secrets,
    provider: Arc<rustls::crypto::CryptoProvider>,
    /// Whom the system trusts: read once, when it is first needed.
    system: OnceCell<RootCertStore>,
    /// What is used where a grant says nothing else.
    plain: OnceCell<Arc<ClientConfig>>,
}

impl Tls {
    pub(crate) fn new(secrets: Secrets) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Self { secrets, provider, system: OnceCell::new(), plain: OnceCell::new() }
    }

    /// What a grant says about TLS with its host.
    pub(crate) async fn config(
        &self,
        grant: &HostGrant,
        destination: &Destination,
    ) -> Result<Arc<ClientConfig>, EgressError> {
        if grant.ca.is_none() && grant.client_certificate.is_none() {
            let made = self.plain.get_or_try_init(|| self.make(grant, destination)).await?;
            return Ok(Arc::clone(made));
        }
        self.make(grant, destination).await
    }

    async fn make(
        &self,
        grant: &HostGrant,
        destination: &Destination,
    ) -> Result<Arc<ClientConfig>, EgressError> {
        let unusable = |what, reason: String| EgressError::Credential {
            what,
            destination: destination.clone(),
            reason,
        };
        let roots = self.roots(grant).await.map_err(|reason| unusable("ca", reason))?;
        let verifier = WebPkiServerVerifier::builder_with_provider(
            Arc::new(roots),
            Arc::clone(&self.provider),
        )
        .build()
        .map_err(|error| EgressError::Tls {
            destination: destination.clone(),
            reason: format!(
                "nobody is trusted ({error}); the system has no certificates of \
                authorities, and the grant has no ca"
            ),
        })?;
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| EgressError::Tls {
                destination: destination.clone(),
                reason: error.to_string(),
            })?
            .with_webpki_verifier(verifier);
        let config = match &grant.client_certificate {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let what = "clientCertificate";
                let pem = self.secrets.get(name).await.map_err(|reason| unusable(what, reason))?;
                let (chain, key) = identity(&pem).map_err(|reason| unusable(what, reason))?;
                // What rustls says of a key has nothing of the key in it.
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| unusable(what, error.to_string()))?
            }
        };
        Ok(Arc::new(config))
    }

    /// Whom a grant trusts: its own authority alone, unless it says otherwise. A
    /// guest chooses the name in the certificate, so that with the public's
    /// authorities beside a private one, anybody on the way could have it choose
    /// theirs.
    async fn roots(&self, grant: &HostGrant) -> Result<RootCertStore, String> {
        let mut roots = if grant.ca.is_none() || grant.system_roots {
            self.system_roots().await
        } else {
            RootCertStore::empty()
        };
        if let Some(ca) = &grant.ca {
            self.add_ca(&mut roots, ca).await?;
        }
        Ok(roots)
    }

    async fn system_roots(&self) -> RootCertStore {
        let read = || async {
            let read = tokio::task::spawn_blocking(|| {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                roots
            });
            read.await.unwrap_or_else(|_| RootCertStore::empty())
        };
        self.system.get_or_init(read).await.clone()
    }

    async fn add_ca(&self, roots: &mut RootCertStore, ca: &CaSource) -> Result<(), String> {
        let pem = match (&ca.pem, &ca.secret) {
            (Some(pem), None) => pem.clone().into_bytes(),
            (None, Some(name)) => self.secrets.get(name).await?,
            _ => return Err("it needs either pem or secret".to_owned()),
        };
        let mut added = 0_usize;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|error| format!("no PEM: {error}"))?;
            roots.add(certificate).map_err(|error| error.to_string())?;
            added += 1;
        }
        if added == 0 { Err("there is no certificate in it".to_owned()) } else { Ok(()) }
    }
}

/// Who we are: a chain of certificates and the key of the first.
fn identity(pem: &[u8]) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|_| "it is no PEM".to_owned())?;
    if chain.is_empty() {
        return Err("there is no certificate in it".to_owned());
    }
    let key = PrivateKeyDer::from_pem_slice(pem)
        .map_err(|_| "there is no private key in it".to_owned())?;
    Ok((chain, key))
}

/// Which name the server's certificate must have.
pub(crate) fn server_name(
    destination: &Destination,
    options: &TlsOptions,
) -> Result<ServerName<'static>, EgressError> {
    let name = options.server_name.clone().unwrap_or_else(|| destination.host.to_string());
    ServerName::try_from(name).map_err(|_| {
        EgressError::Request("the server name is neither a DNS name nor an address".to_owned())
    })
}

/// Begins TLS on a connection.
pub(crate) async fn handshake(
    wire: Wire,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
) -> io::Result<TlsStream<Wire>> {
    TlsConnector::from(config).connect(name, wire).await
}

/// Why TLS failed: who can't be trusted will not be when asked again.
pub(crate) fn failure(destination: &Destination, error: &io::Error) -> EgressError {
    let destination = destination.clone();
    let reason = error.to_string();
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(
            rustls::Error::InvalidCertificate(_)
            | rustls::Error::NoCertificatesPresented
            | rustls::Error::UnsupportedNameType
            | rustls::Error::AlertReceived(_),
        ) => EgressError::Untrusted { destination, reason },
        _ => EgressError::Tls { destination, reason },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use deployd_core::ports::{Recipe, Vault, VaultError};
    use deployd_core::secret::{SecretRef, SecretValue};

    /// A vault that nobody needs.
    struct Nothing;

    #[async_trait]
    impl Vault for Nothing {
        async fn generate(&self, _: &SecretRef, _: &Recipe) -> Result<(), VaultError> {
            unreachable!()
        }

        async fn put(&self, _: &SecretRef, _: SecretValue) -> Result<(), VaultError> {
            unreachable!()
        }

        async fn get(&self, _: &SecretRef) -> Result<SecretValue, VaultError> {
            unreachable!()
        }

        async fn contains(&self, _: &SecretRef) -> Result<bool, VaultError> {
            unreachable!()
        }

        async fn list(&self, _: &str) -> Result<Vec<String>, VaultError> {
            unreachable!()
        }

        async fn remove_owner(&self, _: &str) -> Result<(), VaultError> {
            unreachable!()
        }
    }

    fn authority() -> rcgen::Certificate {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap()
    }

    /// The name in a certificate is chosen by whoever connects: a certificate of the
    /// public's for another name must not pass where a private authority is granted.
    #[tokio::test]
    async fn a_granted_authority_is_trusted_and_no_other() {
        let tls = Tls::new(Secrets(Arc::new(Nothing)));
        let mut system = RootCertStore::empty();
        system.add(authority().der().clone()).unwrap();
        tls.system.set(system).unwrap();
        let ca = CaSource { pem: Some(authority().pem()), secret: None };
        for (ca, system_roots, subjects) in
            [(None, false, 1), (None, true, 1), (Some(&ca), false, 1), (Some(&ca), true, 2)]
        {
            let own = ca.is_some();
            let grant = HostGrant { ca: ca.cloned(), system_roots, ..HostGrant::default() };
            let roots = tls.roots(&grant).await.unwrap();
            assert_eq!(roots.len(), subjects, "{own} {system_roots}");
        }
    }
}
