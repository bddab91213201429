//! What the tests share: a network that is told what names mean, servers,
//! certificates.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use deployd_core::config::{CaSource, HostGrant};
use deployd_core::ports::{Access, EgressLimits, Recipe, Use, UseOutcome, Uses, Vault, VaultError};
use deployd_core::secret::{SecretRef, SecretValue};
use deployd_egress::{Broker, Network};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A network whose names are told, and which notes what it is asked.
#[derive(Default)]
pub struct Told {
    /// What names mean: the first answer, the second, and so on; the last stays.
    pub names: Mutex<BTreeMap<String, Vec<Vec<IpAddr>>>>,
    /// What names mean that are not among them.
    pub others: Mutex<Vec<IpAddr>>,
    /// Where all connections go instead of where they should.
    pub instead: Mutex<Option<SocketAddr>>,
    /// Whether names are never answered, or connections never made.
    pub hangs: Mutex<(bool, bool)>,
    pub asked: Mutex<Vec<String>>,
    pub connected: Mutex<Vec<SocketAddr>>,
}

#[async_trait]
impl Network for Told {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.lock().unwrap().push(name.to_owned());
        if self.hangs.lock().unwrap().0 {
            std::future::pending::<()>().await;
        }
        let mut names = self.names.lock().unwrap();
        let Some(answers) = names.get_mut(name) else {
            return Ok(self.others.lock().unwrap().clone());
        };
        Ok(if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() })
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        self.connected.lock().unwrap().push(address);
        if self.hangs.lock().unwrap().1 {
            std::future::pending::<()>().await;
        }
        let instead = *self.instead.lock().unwrap();
        TcpStream::connect(instead.unwrap_or(address)).await
    }
}

/// Remembers uses.
#[derive(Default)]
pub struct Remembered(pub Mutex<Vec<Use>>);

impl Uses for Remembered {
    fn record(&self, used: Use) {
        self.0.lock().unwrap().push(used);
    }
}

/// The operator's secrets.
#[derive(Default)]
pub struct Secrets(pub Mutex<BTreeMap<String, String>>);

#[async_trait]
impl Vault for Secrets {
    async fn get(&self, secret: &SecretRef) -> Result<SecretValue, VaultError> {
        let secrets = self.0.lock().unwrap();
        let value = secrets.get(&secret.name).cloned();
        let value = value.ok_or_else(|| VaultError::NotFound(secret.clone()))?;
        Ok(SecretValue::new(value.into_bytes()))
    }

    async fn contains(&self, secret: &SecretRef) -> Result<bool, VaultError> {
        Ok(self.0.lock().unwrap().contains_key(&secret.name))
    }

    async fn generate(&self, _: &SecretRef, _: &Recipe) -> Result<(), VaultError> {
        unreachable!("the broker makes no secrets")
    }

    async fn put(&self, _: &SecretRef, _: SecretValue) -> Result<(), VaultError> {
        unreachable!("the broker makes no secrets")
    }

    async fn list(&self, _: &str) -> Result<Vec<String>, VaultError> {
        unreachable!("the broker asks for secrets by name")
    }

    async fn remove_owner(&self, _: &str) -> Result<(), VaultError> {
        unreachable!("the broker removes no secrets")
    }
}

/// A broker with its surroundings.
pub struct Stage {
    pub broker: Broker,
    pub network: Arc<Told>,
    pub secrets: Arc<Secrets>,
    pub uses: Arc<Remembered>,
}

impl Stage {
    pub fn new() -> Self {
        let (network, secrets) = (Arc::new(Told::default()), Arc::new(Secrets::default()));
        let broker = Broker::new(network.clone(), secrets.clone());
        Self { broker, network, secrets, uses: Arc::default() }
    }

    /// A stage on which this name is this machine.
    pub fn with_name(name: &str) -> Self {
        let stage = Self::new();
        stage.name(name, &["127.0.0.1"]);
        stage
    }

    pub fn name(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        self.network.names.lock().unwrap().entry(name.into()).or_default().push(addresses);
    }

    pub fn access(&self, grants: &[HostGrant]) -> Access {
        self.access_within(grants, EgressLimits::default())
    }

    pub fn access_within(&self, grants: &[HostGrant], limits: EgressLimits) -> Access {
        Access { grants: grants.into(), limits, uses: self.uses.clone() }
    }

    /// The only use.
    pub fn used(&self) -> Use {
        let uses = self.uses.0.lock().unwrap();
        assert_eq!(uses.len(), 1, "{uses:?}");
        uses[0].clone()
    }

    pub fn outcome(&self) -> UseOutcome {
        self.used().outcome
    }
}

/// A grant that includes private addresses.
pub fn grant(scheme: &str, host: &str, port: u16) -> HostGrant {
    HostGrant {
        host: host.into(),
        port,
        scheme: scheme.into(),
        private_address: true,
        ..HostGrant::default()
    }
}

/// An authority of the tests.
pub struct Authority {
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    pub fn source(&self) -> Option<CaSource> {
        Some(CaSource { pem: Some(self.pem.clone()), secret: None })
    }

    /// A certificate for this name, and its key, both in PEM.
    pub fn issue(&self, name: &str) -> (String, String) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// A server of TLS with a certificate for this name.
    pub fn acceptor(&self, name: &str, clients_of: Option<&Authority>) -> TlsAcceptor {
        let (certificate, key) = self.issue(name);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match clients_of {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots
                    .add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap())
                    .unwrap();
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let config = builder
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// Serves each connection with this, and says where.
pub async fn serve<F, S>(each: S) -> SocketAddr
where
    S: Fn(TcpStream) -> F + Send + Sync + 'static,
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // How it ends is seen at the other side.
            tokio::spawn(each(stream));
        }
    });
    address
}

/// Answers every request with these bytes, and closes.
pub async fn answering(answer: impl Into<Vec<u8>>) -> SocketAddr {
    let answer = answer.into();
    serve(move |mut stream| {
        let answer = answer.clone();
        async move {
            head(&mut stream).await?;
            stream.write_all(&answer).await?;
            stream.shutdown().await
        }
    })
    .await
}

/// Reads the head of a request, and what came of its body with it.
pub async fn head(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> io::Result<String> {
    let mut read = Vec::new();
    while !read.windows(4).any(|window| window == b"\r\n\r\n") {
        if stream.read_buf(&mut read).await? == 0 {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&read).into_owned())
}
