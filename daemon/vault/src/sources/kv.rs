//! Vault's KV engine, version 2, as HashiCorp's Vault and OpenBao serve it over
//! HTTP. What the server says of an error is not repeated: only what it means.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use deployd_core::Fault;
use deployd_core::config::{CaSource, HostGrant};
use deployd_core::ports::{
    Access, Egress, EgressError, EgressLimits, Exchange, Exchanged, SecretSource, Use, Uses,
};
use deployd_core::secret::{Link, SecretValue};
use serde::Deserialize;
use url::Url;

use super::wrong_place;
use crate::keys::Environment;

/// Bytes of an answer: a secret may have many fields, and Vault itself takes no
/// larger one than this by default.
const ANSWER_BYTES: usize = 2 * 1024 * 1024;

/// Where Vault is, and as whom it is asked.
#[derive(Debug, Clone)]
pub struct KvAddress {
    /// `https://vault.example.com:8200`; with a path, if it is below one.
    pub address: String,
    /// Where the token is.
    pub token: KvToken,
    /// A file with the PEM of the authority that the server's certificate is of;
    /// without it, whom the system trusts.
    pub ca_file: Option<PathBuf>,
    /// The namespace of all links.
    pub namespace: Option<String>,
}

impl KvAddress {
    /// Fails when the address is none.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it, without repeating it.
    pub fn check(&self) -> Result<(), KvError> {
        self.base().map(drop)
    }

    fn base(&self) -> Result<Url, KvError> {
        // Without the address in the message: somebody may have put a password there.
        let base = Url::parse(&self.address).map_err(|error| KvError(error.to_string()))?;
        let wrong = |reason: &str| Err(KvError(reason.to_owned()));
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return wrong("it is neither https nor http");
        }
        if !base.username().is_empty() || base.password().is_some() {
            return wrong("it has a user in it");
        }
        if base.query().is_some() || base.fragment().is_some() {
            return wrong("it has a query or a fragment");
        }
        Ok(base)
    }
}

/// Where a token is. It is read for each use, so that a renewed one counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KvToken {
    /// In a file, such as an agent's sink.
    File(PathBuf),
    /// In a variable of the environment.
    Variable(String),
}

/// Why an address is none.
#[derive(Debug, thiserror::Error)]
#[error("secrets.vault.address: {0}; expected https://HOST:PORT")]
pub struct KvError(String);

/// Reads secrets of Vault.
pub struct KvSource {
    egress: Arc<dyn Egress>,
    environment: Environment,
    base: Url,
    settings: KvAddress,
}

impl KvSource {
    /// Through this way out.
    ///
    /// # Errors
    ///
    /// When the address is none.
    pub fn new(
        egress: Arc<dyn Egress>,
        environment: Environment,
        settings: KvAddress,
    ) -> Result<Self, KvError> {
        let base = settings.base()?;
        Ok(Self { egress, environment, base, settings })
    }

    fn url(&self, mount: &str, path: &str) -> Result<Url, Fault> {
        let mut url = self.base.clone();
        let mut segments = url
            .path_segments_mut()
            .map_err(|()| Fault::bug("internal", "the address of Vault can have no path"))?;
        segments.pop_if_empty().push("v1").extend(mount.split('/'));
        segments.push("data").extend(path.split('/'));
        drop(segments);
        Ok(url)
    }

    /// For this server only, and for nothing but reading.
    async fn access(&self) -> Result<Access, Fault> {
        let ca = match &self.settings.ca_file {
            None => None,
            Some(file) => {
                let pem = tokio::fs::read_to_string(file).await.map_err(|error| {
                    let message = format!("secrets.vault.ca-file {}: {error}", file.display());
                    Fault::permanent("vault-ca-unreadable", message)
                })?;
                Some(CaSource { pem: Some(pem), secret: None })
            }
        };
        let grant = HostGrant {
            host: self.base.host_str().unwrap_or_default().to_owned(),
            port: self.base.port_or_known_default().unwrap_or_default(),
            scheme: self.base.scheme().to_owned(),
            methods: vec!["GET".to_owned()],
            // The operator named it in the daemon's own settings.
            private_address: true,
            ca,
            ..HostGrant::default()
        };
        let limits = EgressLimits { body_bytes: ANSWER_BYTES, ..EgressLimits::default() };
        Ok(Access { grants: Arc::new([grant]), limits, uses: Arc::new(Logged) })
    }

    async fn token(&self) -> Result<String, Fault> {
        let (token, from) = match &self.settings.token {
            KvToken::Variable(name) => {
                ((self.environment)(name).unwrap_or_default(), format!("the variable {name}"))
            }
            KvToken::File(file) => {
                let read = tokio::fs::read_to_string(file).await.map_err(|error| {
                    let message = format!("secrets.vault.token-file {}: {error}", file.display());
                    Fault::permanent("vault-token-unreadable", message)
                })?;
                (read, format!("the file {}", file.display()))
            }
        };
        let token = token.trim();
        if token.is_empty() || !token.chars().all(|c| c.is_ascii_graphic()) {
            let message = format!("there is no token for Vault in {from}");
            return Err(Fault::permanent("vault-token-unreadable", message));
        }
        Ok(token.to_owned())
    }

    fn unreachable(&self, error: &EgressError) -> Fault {
        let advice = match error {
            EgressError::Untrusted { .. } => {
                "; name the authority of its certificate in secrets.vault.ca-file"
            }
            _ => "",
        };
        Fault::new(error.class(), error.code(), format!("{error}{advice}"))
    }
}

#[async_trait]
impl SecretSource for KvSource {
    fn allows(&self, link: &Link) -> Result<(), Fault> {
        // What the token may read, Vault's policies say.
        let Link::Vault { mount, path, .. } = link else { return Err(wrong_place(link)) };
        self.url(mount, path).map(drop)
    }

    async fn read(&self, link: &Link) -> Result<SecretValue, Fault> {
        let Link::Vault { mount, path, field } = link else { return Err(wrong_place(link)) };
        let mut headers = vec![
            ("x-vault-token".to_owned(), self.token().await?),
            ("x-vault-request".to_owned(), "true".to_owned()),
        ];
        if let Some(namespace) = &self.settings.namespace {
            headers.push(("x-vault-namespace".to_owned(), namespace.clone()));
        }
        let request = Exchange {
            method: "GET".to_owned(),
            url: self.url(mount, path)?.to_string(),
            headers,
            body: Vec::new(),
        };
        let access = self.access().await?;
        let answer = self.egress.exchange(&access, request).await;
        let answer = answer.map_err(|error| self.unreachable(&error))?;
        match answer.status {
            200 => value(&answer.body, field),
            _ => Err(refusal(&answer, &format!("{mount}/data/{path}"))),
        }
    }
}

/// What of an answer is of interest.
#[derive(Deserialize)]
struct Answer {
    data: Version,
}

#[derive(Deserialize)]
struct Version {
    #[serde(default)]
    data: Option<serde_json::Map<String, serde_json::Value>>,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(default)]
    version: u64,
    #[serde(default)]
    deletion_time: String,
    #[serde(default)]
    destroyed: bool,
}

/// A field's text. The answer is in no error: it is the secret.
fn value(body: &[u8], field: &str) -> Result<SecretValue, Fault> {
    let parsed = serde_json::from_slice::<Answer>(body).ok();
    // Every secret of version 2 has a version.
    let answer = parsed.filter(|answer| answer.data.metadata.version > 0).ok_or_else(|| {
        let message = "the answer is not that of a KV engine, version 2; is the mount one, and \
                       does secrets.vault.address lead to Vault?";
        Fault::permanent("vault-answer-unreadable", message)
    })?;
    let Some(mut data) = answer.data.data else { return Err(deleted(&answer.data.metadata)) };
    match data.remove(field) {
        Some(serde_json::Value::String(text)) => Ok(SecretValue::new(text.into_bytes())),
        Some(_) => {
            let message = format!("the field {field:?} is no text; store it as a string");
            Err(Fault::invalid("vault-field-invalid", message))
        }
        None => {
            let message = format!("there is a secret, and it has no field {field:?}");
            Err(Fault::invalid("vault-field-missing", message))
        }
    }
}

fn deleted(metadata: &Metadata) -> Fault {
    let how = if metadata.destroyed { "destroyed" } else { "deleted" };
    let message = format!(
        "its newest version, {}, was {how}; undelete it, or write a new one",
        metadata.version
    );
    Fault::invalid("vault-version-deleted", message)
}

/// What a status means, and what to do.
fn refusal(answer: &Exchanged, path: &str) -> Fault {
    let header = |name: &str| {
        answer.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    };
    let retry_after_ms = header("retry-after")
        .and_then(|seconds| seconds.trim().parse::<u64>().ok())
        .map(|seconds| seconds.saturating_mul(1_000));
    let status = answer.status;
    match status {
        301..=308 => {
            let target = header("location").and_then(|to| Url::parse(to).ok());
            let host = target.as_ref().and_then(Url::host_str).unwrap_or("another server");
            let message = format!(
                "Vault answers that {host} is to be asked instead (status {status}), as a standby \
                 does that does not forward; deployd takes its token to no other server: let \
                 secrets.vault.address lead to the active one"
            );
            Fault::transient("vault-redirects", message)
        }
        403 => {
            let message = format!(
                "Vault refuses the token (403): it has expired or was revoked, or its policies do \
                 not allow to read {path}"
            );
            Fault::denied("vault-denied", message)
        }
        404 => match serde_json::from_slice::<Answer>(&answer.body) {
            Ok(known)
                if known.data.metadata.destroyed
                    || !known.data.metadata.deletion_time.is_empty() =>
            {
                deleted(&known.data.metadata)
            }
            _ => {
                let message = format!(
                    "Vault has nothing at {path} (404); check mount, path and namespace, and that \
                     the mount is a KV engine, version 2"
                );
                Fault::invalid("vault-path-missing", message)
            }
        },
        503 => {
            let message = "Vault is sealed or not ready (503); unseal it";
            Fault::transient("vault-sealed", message).with_retry_after_ms(retry_after_ms)
        }
        412 | 429 | 472 | 473 | 500..=599 => {
            let message = format!("Vault can't answer now (status {status})");
            Fault::transient("vault-unavailable", message).with_retry_after_ms(retry_after_ms)
        }
        _ => {
            let message = format!("Vault answered {path} with status {status}");
            Fault::permanent("vault-refused", message)
        }
    }
}

/// Without path and token.
struct Logged;

impl Uses for Logged {
    fn record(&self, used: Use) {
        tracing::debug!(%used, "asked Vault for a secret");
    }
}
