//! Connections: plain HTTP, and TLS with the certificates of the system.

use std::time::Duration;

use reqwest::{Certificate, Url, redirect};

use super::ClientOptions;
use crate::error::CliError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest silence of a connection. The daemon sends a comment every 15
/// seconds on streams where nothing happens.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// The address of a daemon.
pub(super) fn base(server: &str) -> Result<Url, CliError> {
    let wrong = |why: &str| {
        CliError::Usage(format!(
            "--server: {why}, expected an address as http://127.0.0.1:7070 or https://deployd.example.com"
        ))
    };
    let url = Url::parse(server).map_err(|error| wrong(&format!("found {server:?} ({error})")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong(&format!("found {server:?}")));
    }
    // They would be shown in errors, and are no way to log in here.
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("found credentials in the address, which go into --token-file"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong(&format!("found {server:?}")));
    }
    Ok(url)
}

/// The connections to it.
pub(super) fn http(base: &Url, options: &ClientOptions) -> Result<reqwest::Client, CliError> {
    let builder = reqwest::Client::builder()
        .user_agent(concat!("deployd/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(SILENCE_MAX.max(options.timeout))
        // The daemon has none, and a token must not go elsewhere.
        .redirect(redirect::Policy::none());
    let builder = if base.scheme() == "http" {
        // Nothing is looked up that is not needed: a machine may have no
        // certificates at all.
        builder.tls_backend_preconfigured(no_trust()?)
    } else {
        with_ring();
        let extra = match &options.certificates {
            Some(pem) => Certificate::from_pem_bundle(pem)
                .map_err(|error| CliError::Input(format!("--ca-file: {error}")))?,
            None => Vec::new(),
        };
        builder.tls_certs_merge(extra)
    };
    builder
        .build()
        .map_err(|error| CliError::Failed(format!("no connections: {}", deepest(&error))))
}

/// TLS that trusts nobody.
fn no_trust() -> Result<rustls::ClientConfig, CliError> {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| CliError::Failed(format!("no TLS: {error}")))?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    Ok(config)
}

/// Cryptography for the whole process, unless somebody has chosen already.
fn with_ring() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // It fails only when another thread was quicker, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

/// The cause of an error that says the most: the last one.
pub(super) fn deepest(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for good in ["http://127.0.0.1:7070", "https://deployd.example.com/prefix/"] {
            assert!(base(good).is_ok(), "{good}");
        }
        for bad in ["", "127.0.0.1:7070", "ftp://x", "http://", "http://x?y=1", "unix:/run/x"] {
            assert!(base(bad).is_err(), "{bad}");
        }
        let error = base("http://me:hunter2@x").unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn both_schemes_make_connections() {
        for server in ["http://127.0.0.1:1", "https://127.0.0.1:1"] {
            let options =
                ClientOptions { certificates: Some(Vec::new()), ..ClientOptions::new(server) };
            // Where the system has no certificates, TLS says so instead of panicking.
            let made = http(&base(server).unwrap(), &options);
            assert!(made.is_ok() || server.starts_with("https"), "{made:?}");
        }
    }
}
