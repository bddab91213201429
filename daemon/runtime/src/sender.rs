//! Sends requests to receivers, and to nobody that they must not reach: through
//! the one way out, with a grant for the receiver that the subscription names.

mod mail;

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deployd_core::config::HostGrant;
use deployd_core::ports::{
    ANSWER_BYTES, Access, Answer, Egress, EgressError, EgressLimits, Exchange, Outgoing, Sender,
    Use, Uses, Vault,
};
use deployd_core::{Fault, FaultClass};
use reqwest::Url;

/// What is read of an answer's body, which is of no interest: enough for a
/// page that says why.
const BODY_MAX: usize = 1024 * 1024;

/// Sends through the broker.
pub(crate) struct EgressSender {
    /// The way out.
    pub(crate) egress: Arc<dyn Egress>,
    /// Passwords of mail servers.
    pub(crate) vault: Arc<dyn Vault>,
}

#[async_trait]
impl Sender for EgressSender {
    async fn send(&self, request: Outgoing) -> Result<Answer, Fault> {
        if mail::is_mail(&request.url) {
            return mail::send(&*self.egress, &*self.vault, request).await;
        }
        let invalid = |message: String| Fault::invalid("request-invalid", message);
        let mut url = Url::parse(&request.url)
            .map_err(|error| invalid(format!("the notifier's URL is none: {error}")))?;
        let mut headers = request.headers;
        headers.extend(credentials(&mut url));
        let grants = if request.hosts.is_empty() {
            vec![HostGrant {
                host: url.host_str().unwrap_or_default().to_owned(),
                port: url.port_or_known_default().unwrap_or_default(),
                scheme: url.scheme().to_owned(),
                private_address: request.private_address,
                ..HostGrant::default()
            }]
        } else {
            request.hosts
        };
        let access = Access {
            grants: grants.into(),
            limits: EgressLimits { body_bytes: BODY_MAX, ..EgressLimits::default() },
            uses: uses(),
        };
        let exchange =
            Exchange { method: request.method, url: url.to_string(), headers, body: request.body };
        let answer = self
            .egress
            .exchange(&access, exchange)
            .await
            .map_err(|error| fault(error, "Subscription"))?;
        let retry_after_ms = answer
            .headers
            .iter()
            .find(|(name, _)| name == "retry-after")
            .and_then(|(_, value)| value.trim().parse::<u64>().ok())
            .map(|seconds| seconds.saturating_mul(1_000));
        let mut body = answer.body;
        body.truncate(ANSWER_BYTES);
        Ok(Answer { status: answer.status, retry_after_ms, body })
    }
}

/// Takes user and password out of a URL, and makes the header of them.
fn credentials(url: &mut Url) -> Option<(String, String)> {
    let user = url.username().to_owned();
    let password = url.password().map(str::to_owned);
    if user.is_empty() && password.is_none() {
        return None;
    }
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    let plain = [user.as_str(), password.as_deref().unwrap_or_default()].map(decoded).join(&b':');
    Some(("authorization".to_owned(), format!("Basic {}", STANDARD.encode(plain))))
}

/// A text without percent-encoding.
fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| *first == b'%');
        let byte = hex
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = after.get(if byte.is_some() { 2 } else { 0 }..).unwrap_or_default();
    }
    bytes
}

/// What the engine is told: whether it is the request that is wrong, or only
/// the moment. `place` is where an operator allows more.
pub(crate) fn fault(error: EgressError, place: &str) -> Fault {
    let message = error.to_string();
    match error {
        EgressError::Address { host, .. } => Fault::denied(
            "address-not-allowed",
            format!(
                "{host} is no public address; if it is meant, set privateAddress: true in the {place}"
            ),
        ),
        EgressError::Unresolved { .. } => Fault::transient("name-unresolved", message),
        error => match error.class() {
            FaultClass::Invalid => Fault::invalid("request-invalid", message),
            FaultClass::Denied => Fault::denied(error.code(), message),
            // Who is not trusted today may have a new certificate tomorrow, and
            // who says too much may say less.
            _ => Fault::transient("receiver-unreachable", message),
        },
    }
}

/// Notes uses in the log.
fn uses() -> Arc<dyn Uses> {
    Arc::new(Logged)
}

/// Deliveries have records of their own; here is what went over the network.
pub(crate) struct Logged;

impl Uses for Logged {
    fn record(&self, used: Use) {
        tracing::debug!(%used, "sent");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::NoSecrets;
    use deployd_egress::{Broker, System};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    fn sender() -> EgressSender {
        let vault: Arc<dyn Vault> = Arc::new(NoSecrets);
        EgressSender { egress: Arc::new(Broker::new(Arc::new(System), vault.clone())), vault }
    }

    #[tokio::test]
    async fn a_private_receiver_is_reached_where_the_subscription_says_so() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let receiving = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"{}") {
                assert_ne!(stream.read_buf(&mut asked).await.unwrap(), 0);
            }
            let answer = b"HTTP/1.1 503 Busy\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer).await.unwrap();
            String::from_utf8(asked).unwrap()
        };
        let request = Outgoing {
            private_address: true,
            body: b"{}".to_vec(),
            headers: vec![("webhook-id".to_owned(), "m1".to_owned())],
            ..request(&format!("http://ad%20min:pw@localhost:{port}/hook?x=1"))
        };
        let sender = sender();
        let (answer, asked) = tokio::join!(sender.send(request), receiving);
        assert_eq!(
            answer.unwrap(),
            Answer { status: 503, retry_after_ms: Some(7_000), body: Vec::new() }
        );
        assert!(asked.starts_with("POST /hook?x=1 HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains("webhook-id: m1\r\n"), "{asked}");
        assert!(asked.contains("authorization: Basic YWQgbWluOnB3\r\n"), "{asked}");
    }

    #[tokio::test]
    async fn who_is_not_there_may_be_there_later() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let url = format!("http://127.0.0.1:{port}/token");
        let request = Outgoing { private_address: true, ..request(&url) };
        let fault = sender().send(request).await.unwrap_err();
        assert_eq!(fault.code, "receiver-unreachable");
        assert!(fault.is_transient() && !fault.message.contains("token"), "{fault}");
    }

    fn request(url: &str) -> Outgoing {
        Outgoing {
            method: "POST".into(),
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            private_address: false,
            hosts: Vec::new(),
        }
    }

    #[tokio::test]
    async fn what_is_not_public_is_refused_however_it_is_written() {
        for url in [
            "http://127.0.0.1/",
            "http://localhost/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://169.254.169.254/",
            "http://127.1/",
        ] {
            let fault = sender().send(request(url)).await.unwrap_err();
            assert_eq!(fault.code, "address-not-allowed", "{url}: {fault}");
        }
        for url in ["ftp://1.1.1.1/", "file:///etc/passwd", "nonsense", "http://"] {
            assert_eq!(
                sender().send(request(url)).await.unwrap_err().code,
                "request-invalid",
                "{url}"
            );
        }
    }
}
