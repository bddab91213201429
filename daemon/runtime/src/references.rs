//! Fetches documents that are attached by reference, through the one way out: over HTTPS
//! at public addresses, and from what else the settings name.

use std::sync::Arc;

use async_trait::async_trait;
use deployd_core::Fault;
use deployd_core::config::HostGrant;
use deployd_core::ports::{Access, Egress, EgressLimits, Exchange, References};
use reqwest::Url;

use crate::sender::{Logged, fault};

/// Documents elsewhere, through the one way out.
pub(crate) struct EgressReferences {
    /// The way out.
    pub(crate) egress: Arc<dyn Egress>,
    /// Whose documents are fetched at private addresses, or without TLS: `http://host:port`.
    pub(crate) private: Vec<Url>,
}

#[async_trait]
impl References for EgressReferences {
    async fn fetch(&self, url: &str, bytes_max: usize) -> Result<Vec<u8>, Fault> {
        let invalid = |message: String| Fault::invalid("reference-invalid", message);
        let url = Url::parse(url).map_err(|error| invalid(format!("it is no address: {error}")))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("it has a user or a password in it".to_owned()));
        }
        let origin = url.origin();
        let is_private = self.private.iter().any(|one| one.origin() == origin);
        let place = origin.ascii_serialization();
        if url.scheme() != "https" && !is_private {
            let message = format!(
                "{place} is without TLS; expected https, or that `references.private` of the settings names it"
            );
            return Err(Fault::denied("reference-denied", message));
        }
        let grant = HostGrant {
            host: url.host_str().unwrap_or_default().to_owned(),
            port: url.port_or_known_default().unwrap_or_default(),
            scheme: url.scheme().to_owned(),
            private_address: is_private,
            ..HostGrant::default()
        };
        let access = Access {
            grants: Arc::new([grant]),
            limits: EgressLimits { body_bytes: bytes_max, ..EgressLimits::default() },
            uses: Arc::new(Logged),
        };
        let exchange = Exchange {
            method: "GET".to_owned(),
            url: url.to_string(),
            headers: vec![("accept".to_owned(), "application/json, */*;q=0.5".to_owned())],
            body: Vec::new(),
        };
        let answer = self.egress.exchange(&access, exchange).await.map_err(|error| {
            let fault = fault(error, "settings");
            match fault.code.as_str() {
                "address-not-allowed" => Fault::denied(
                    "address-not-allowed",
                    format!("{place} is at no public address; if it is meant, have `references.private` of the settings name it"),
                ),
                _ => fault,
            }
        })?;
        match answer.status {
            200 => Ok(answer.body),
            status @ 300..=399 => Err(invalid(format!(
                "{place} answers {status}, which leads elsewhere; expected the address of the document itself"
            ))),
            status @ (429 | 500..=599) => {
                let message = format!("{place} answers {status}");
                Err(Fault::transient("reference-unreachable", message))
            }
            status => Err(invalid(format!("{place} answers {status}, expected the document"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use axum::response::{IntoResponse as _, Redirect};
    use axum::routing::get;
    use deployd_egress::{Broker, System};

    use super::*;
    use crate::secrets::NoSecrets;

    const BYTES_MAX: usize = 1_000;

    async fn server() -> u16 {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = axum::Router::new()
            .route("/unit.json", get(async || "{}"))
            .route("/large", get(async || "x".repeat(BYTES_MAX + 1)))
            .route("/moved", get(async || Redirect::temporary("/unit.json").into_response()))
            .route("/busy", get(async || StatusCode::SERVICE_UNAVAILABLE.into_response()));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        port
    }

    fn references(private: &[String]) -> EgressReferences {
        EgressReferences {
            egress: Arc::new(Broker::new(Arc::new(System), Arc::new(NoSecrets))),
            private: private.iter().map(|one| Url::parse(one).unwrap()).collect(),
        }
    }

    #[tokio::test]
    async fn a_document_is_fetched_from_where_it_may_be_and_from_nowhere_else() {
        let port = server().await;
        let origin = format!("http://127.0.0.1:{port}");
        let named = references(std::slice::from_ref(&origin));
        let fetched = named.fetch(&format!("{origin}/unit.json"), BYTES_MAX).await;
        assert_eq!(fetched.unwrap(), b"{}");
        for (path, code, transient) in [
            ("/moved", "reference-invalid", false),
            ("/none", "reference-invalid", false),
            ("/busy", "reference-unreachable", true),
        ] {
            let fault = named.fetch(&format!("{origin}{path}"), BYTES_MAX).await.unwrap_err();
            assert_eq!((fault.code.as_str(), fault.is_transient()), (code, transient), "{fault}");
        }
        assert!(named.fetch(&format!("{origin}/large"), BYTES_MAX).await.is_err());
        let nobody = references(&[]);
        let fault = nobody.fetch(&format!("{origin}/unit.json"), BYTES_MAX).await.unwrap_err();
        assert_eq!(fault.code, "reference-denied");
        let tls = format!("https://127.0.0.1:{port}/unit.json");
        let fault = nobody.fetch(&tls, BYTES_MAX).await.unwrap_err();
        assert_eq!(fault.code, "address-not-allowed");
        let fault = nobody.fetch("https://a:b@ci.example/x", BYTES_MAX).await.unwrap_err();
        assert_eq!(fault.code, "reference-invalid");
    }
}
