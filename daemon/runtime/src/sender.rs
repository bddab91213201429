//! Sends requests to receivers, and to nobody that they must not reach.
//!
//! The name is resolved once, each address is checked, and only checked
//! addresses are connected to: a name that resolves differently the second time
//! gains nothing. Redirects are not followed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use deployd_core::Fault;
use deployd_core::ports::{Answer, Outgoing, Sender};
use reqwest::{Client, Method, Url, redirect};

/// The longest wait for a connection.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// The longest wait for an answer: Standard Webhooks says 15 to 30 seconds.
const ANSWER_MAX: Duration = Duration::from_secs(25);

/// Sends with reqwest.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct HttpSender;

#[async_trait]
impl Sender for HttpSender {
    async fn send(&self, request: Outgoing) -> Result<Answer, Fault> {
        let invalid = |message: String| Fault::invalid("request-invalid", message);
        let url = Url::parse(&request.url)
            .map_err(|error| invalid(format!("the notifier's URL is none: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(invalid(format!(
                "the URL's scheme is {:?}, expected http or https",
                url.scheme()
            )));
        }
        let method = Method::from_bytes(request.method.as_bytes())
            .map_err(|_| invalid(format!("{:?} is no HTTP method", request.method)))?;
        let (host, addresses) = addresses(&url, request.private_address).await?;
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_MAX)
            .timeout(ANSWER_MAX)
            .user_agent(concat!("deployd/", env!("CARGO_PKG_VERSION")))
            .resolve_to_addrs(&host, &addresses)
            .build()
            .map_err(|error| Fault::bug("http-client", error.to_string()))?;
        let mut sending = client.request(method, url).body(request.body);
        for (name, value) in request.headers {
            sending = sending.header(name, value);
        }
        // Without the URL, which may hold a credential.
        let response = sending.send().await.map_err(|error| {
            Fault::transient("receiver-unreachable", story(&error.without_url()))
        })?;
        let retry_after_ms = response
            .headers()
            .get(reqwest::header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok())
            .map(|seconds| seconds.saturating_mul(1_000));
        Ok(Answer { status: response.status().as_u16(), retry_after_ms })
    }
}

/// An error and its causes, in one line.
fn story(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

async fn addresses(url: &Url, private: bool) -> Result<(String, Vec<SocketAddr>), Fault> {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = url.port_or_known_default().unwrap_or(80);
    let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), port))
        .await
        .map_err(|error| {
            Fault::transient("name-unresolved", format!("{host} can't be resolved: {error}"))
        })?
        .collect();
    let allowed: Vec<SocketAddr> =
        found.iter().copied().filter(|address| private || is_public(address.ip())).collect();
    if allowed.is_empty() {
        return Err(Fault::denied(
            "address-not-allowed",
            format!(
                "{host} is no public address; if it is meant, set privateAddress: true in the Subscription"
            ),
        ));
    }
    Ok((host, allowed))
}

/// Whether an address is of the public internet: not loopback, private,
/// link-local (cloud metadata among it), shared, documentation, benchmark,
/// multicast or reserved, also not wrapped in IPv6 (IANA special-purpose
/// registries).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    !(v4.is_loopback()
        || v4.is_private()
        || v4.is_link_local()
        || v4.is_multicast()
        || v4.is_documentation()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (b == 18 || b == 19)))
}

fn is_public_v6(v6: Ipv6Addr) -> bool {
    let segments = v6.segments();
    let [a, b, ..] = segments;
    let low = |v6: Ipv6Addr| {
        let [.., a, b, c, d] = v6.octets();
        Ipv4Addr::new(a, b, c, d)
    };
    if v6.to_ipv4_mapped().is_some() || (a == 0x64 && b == 0xff9b) {
        // IPv4-mapped and NAT64.
        return is_public_v4(low(v6));
    }
    if a == 0x2002 {
        // 6to4 has the IPv4 address in its second and third segments.
        let [_, b, c, ..] = segments;
        let [b0, b1] = b.to_be_bytes();
        let [c0, c1] = c.to_be_bytes();
        return is_public_v4(Ipv4Addr::new(b0, b1, c0, c1));
    }
    // Global unicast but for documentation and Teredo.
    (a & 0xe000) == 0x2000 && !(a == 0x2001 && (b == 0xdb8 || b == 0)) && a != 0x3fff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_public() {
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.0.8",
            "198.18.0.1",
            "203.0.113.1",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001::1",
            "fec0::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "::ffff:1.1.1.1"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    fn request(url: &str) -> Outgoing {
        Outgoing {
            method: "POST".into(),
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            private_address: false,
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
            let fault = HttpSender.send(request(url)).await.unwrap_err();
            assert_eq!(fault.code, "address-not-allowed", "{url}: {fault}");
        }
        for url in ["ftp://1.1.1.1/", "file:///etc/passwd", "nonsense", "http://"] {
            assert_eq!(
                HttpSender.send(request(url)).await.unwrap_err().code,
                "request-invalid",
                "{url}"
            );
        }
    }
}
