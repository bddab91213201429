//! Where a request comes from, as far as can be told.

use std::net::SocketAddr;

use deployd_core::journal::Source;
use http::HeaderMap;
use http::request::Parts;

use crate::limits::SOURCE_CHARS_MAX;

/// The other end of the connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// The request's name, once it has one.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) String);

/// Where a request comes from.
pub(crate) fn source(parts: &Parts) -> Source {
    let peer = parts.extensions.get::<Peer>();
    Source {
        address: peer.map(|Peer(address)| address.ip().to_canonical().to_string()),
        forwarded_for: header(&parts.headers, "x-forwarded-for"),
        request: parts.extensions.get::<RequestId>().map(|RequestId(id)| id.clone()),
        user_agent: header(&parts.headers, "user-agent"),
    }
}

/// What a header says, as long as anybody needs to know.
fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    let text = headers.get(name)?.to_str().ok()?;
    let text: String = text.chars().take(SOURCE_CHARS_MAX).collect();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_known_is_told_and_no_more_than_fits() {
        let request = http::Request::builder()
            .header("user-agent", "x".repeat(1_000))
            .header("x-forwarded-for", "203.0.113.7, 10.0.0.1")
            .extension(Peer("[::ffff:192.0.2.1]:4711".parse().unwrap()))
            .extension(RequestId("build-17".to_owned()))
            .body(())
            .unwrap();
        let source = source(&request.into_parts().0);
        assert_eq!(source.address.as_deref(), Some("192.0.2.1"));
        assert_eq!(source.request.as_deref(), Some("build-17"));
        assert_eq!(source.forwarded_for.as_deref(), Some("203.0.113.7, 10.0.0.1"));
        assert_eq!(source.user_agent.unwrap().len(), SOURCE_CHARS_MAX);
    }
}
