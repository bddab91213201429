//! One HTTP request and its answer, over a connection of its own.

use std::error::Error as _;
use std::io;
use std::pin::pin;

use bytes::Bytes;
use deployd_core::egress::{CONNECTION_HEADERS, Host, Passage, Refused, find_for_method};
use deployd_core::ports::{
    Access, Destination, EgressError, Exchange, Exchanged, Scheme, TlsOptions,
};
use http::header::{ACCEPT, CONNECTION, HOST, HeaderName, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::client::TlsStream;
use url::Url;

use crate::broker::{Broker, parsed};
use crate::credential::Credential;
use crate::stream::{broken, too_large};
use crate::tls;
use crate::usage::OpenUse;
use crate::wire::Wire;

/// Status line and headers of an answer: what wasmtime's own client takes, and
/// eight times what most servers send at most.
const HEADER_BYTES: usize = 128 * 1024;

/// Headers of an answer.
const HEADERS: usize = 256;

/// The longest URL: what servers accept at most.
const URL_BYTES: usize = 8 * 1024;

/// Who asks.
const AGENT: &str = concat!("deployd/", env!("CARGO_PKG_VERSION"));

/// What is asked for, read and checked.
struct Asked {
    destination: Destination,
    request: Request<Full<Bytes>>,
}

/// Makes one request.
pub(crate) async fn make(
    broker: &Broker,
    access: &Access,
    exchange: Exchange,
    open: &mut OpenUse,
) -> Result<Exchanged, EgressError> {
    let url = url(&exchange.url)?;
    let destination = destination(&url)?;
    open.destination = Some(destination.clone());
    let mut asked = asked(exchange, &url, destination)?;
    let destination = &asked.destination;
    open.method = Some(asked.request.method().to_string());
    let passage = passage(access, &asked)?;
    let headers = asked.request.headers();
    let credential = Credential::of(passage.grant, destination, headers, broker.secrets()).await?;
    let wire = broker.wire(access, passage, destination, open).await?;
    let plain_to = open.address.filter(|_| destination.scheme == Scheme::Http);
    if let Some(credential) = &credential {
        credential.add(asked.request.headers_mut(), destination, plain_to)?;
    }
    let destination = asked.destination.clone();
    let answer = if destination.scheme == Scheme::Http {
        over(wire, asked, access, open).await?
    } else {
        let stream = secured(broker, access, passage, &destination, wire, open).await?;
        over(stream, asked, access, open).await?
    };
    if credential.is_some_and(|credential| credential.is_in(&answer)) {
        return Err(EgressError::CredentialReturned { destination });
    }
    Ok(answer)
}

/// The grant that allows it.
fn passage<'a>(access: &'a Access, asked: &Asked) -> Result<Passage<'a>, EgressError> {
    let (destination, method) = (&asked.destination, asked.request.method().as_str());
    find_for_method(&access.grants, destination, method).map_err(|refused| match refused {
        Refused::Destination(refused) => EgressError::NotGranted(refused),
        Refused::Method(granted) => EgressError::Method {
            method: method.to_owned(),
            destination: destination.clone(),
            granted,
        },
    })
}

async fn secured(
    broker: &Broker,
    access: &Access,
    passage: Passage<'_>,
    destination: &Destination,
    wire: Wire,
    open: &OpenUse,
) -> Result<TlsStream<Wire>, EgressError> {
    let name = tls::server_name(destination, &TlsOptions::default())?;
    let limit = access.limits.tls;
    let making = broker.tls().config(passage.grant, destination);
    let config = open.within(destination, "preparing TLS", limit, making).await??;
    let shaking = tls::handshake(wire, config, name);
    let stream = open.within(destination, "the TLS handshake", limit, shaking).await?;
    stream.map_err(|error| {
        if open.counters.over() {
            too_large(destination, &open.counters)
        } else {
            tls::failure(destination, &error)
        }
    })
}

/// A URL that means the same to everybody who reads it.
fn url(text: &str) -> Result<Url, EgressError> {
    let invalid = |reason: &str| EgressError::Request(reason.to_owned());
    if text.len() > URL_BYTES {
        return Err(EgressError::Request(format!("the URL has more than {URL_BYTES} bytes")));
    }
    // Parsers drop some of these, and take others for what they are not.
    if text.chars().any(|c| c <= ' ' || c == '\u{7f}' || c == '\\') {
        return Err(invalid("the URL has a space, a control character or a backslash in it"));
    }
    // Without the URL in the reason: it may hold a credential.
    let url =
        Url::parse(text).map_err(|error| EgressError::Request(format!("it is no URL: {error}")))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("the URL has a user or password in it"));
    }
    Ok(url)
}

fn destination(url: &Url) -> Result<Destination, EgressError> {
    let (scheme, usual) = match url.scheme() {
        "http" => (Scheme::Http, 80),
        "https" => (Scheme::Https, 443),
        other => {
            return Err(EgressError::Request(format!(
                "the URL's scheme is {other:?}, expected http or https"
            )));
        }
    };
    let host = match url.host() {
        Some(url::Host::Domain(name)) => parsed(name)?,
        Some(url::Host::Ipv4(v4)) => Host::Address(v4.into()),
        Some(url::Host::Ipv6(v6)) => Host::Address(v6.into()),
        None => return Err(EgressError::Request("the URL has no host".to_owned())),
    };
    Ok(Destination { scheme, host, port: url.port().unwrap_or(usual) })
}

fn asked(exchange: Exchange, url: &Url, destination: Destination) -> Result<Asked, EgressError> {
    let invalid = |reason: String| EgressError::Request(reason);
    let method = Method::from_bytes(exchange.method.as_bytes())
        .ok()
        .filter(|method| method != Method::CONNECT)
        .ok_or_else(|| invalid("its method is none, or CONNECT".to_owned()))?;
    let target = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .body(Full::new(Bytes::from(exchange.body)))
        .map_err(|error| invalid(error.to_string()))?;
    let headers = request.headers_mut();
    for (name, value) in exchange.headers {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| invalid("the name of a header is none".to_owned()))?;
        if CONNECTION_HEADERS.contains(&name.as_str()) {
            continue;
        }
        // Without the value, which may be a credential.
        let value = HeaderValue::from_str(&value)
            .map_err(|_| invalid(format!("the value of the header {name} can't be one")))?;
        headers.append(name, value);
    }
    headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
    headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    let host = host_header(url).ok_or_else(|| invalid("the URL has no host".to_owned()))?;
    headers.insert(HOST, host);
    Ok(Asked { destination, request })
}

fn host_header(url: &Url) -> Option<HeaderValue> {
    let host = url.host_str()?;
    let host = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    HeaderValue::from_str(&host).ok()
}

/// Asks and reads, over a connection that is there.
async fn over<S>(
    stream: S,
    asked: Asked,
    access: &Access,
    open: &OpenUse,
) -> Result<Exchanged, EgressError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let Asked { destination, request } = asked;
    let failed = |error: hyper::Error| failure(&destination, &error, open);
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEADER_BYTES)
        .max_headers(HEADERS)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(failed)?;
    let answering = async {
        // The body is sent meanwhile: who takes it slowly has as long as for the answer.
        let answer = open
            .within(&destination, "the answer", access.limits.answer, sender.send_request(request))
            .await?
            .map_err(failed)?;
        read(answer, &destination, access, open).await
    };
    let (mut connection, mut answering) = (pin!(connection), pin!(answering));
    tokio::select! {
        biased;
        answer = &mut answering => return answer,
        // What came of it is known to those who wait for the answer.
        _ = &mut connection => {}
    }
    answering.await
}

async fn read(
    answer: Response<Incoming>,
    destination: &Destination,
    access: &Access,
    open: &OpenUse,
) -> Result<Exchanged, EgressError> {
    let limit = access.limits.body_bytes;
    let too_large = || EgressError::TooLarge {
        destination: destination.clone(),
        what: "the answer's body",
        limit: u64::try_from(limit).unwrap_or(u64::MAX),
    };
    let (head, mut incoming) = answer.into_parts();
    // hyper compares what it has only when that is not yet a whole head: a longer
    // one that arrives at once passes it.
    if header_bytes(&head.headers) > HEADER_BYTES {
        return Err(large_head(destination));
    }
    if usize::try_from(incoming.size_hint().lower()).is_ok_and(|least| least > limit) {
        return Err(too_large());
    }
    let mut body = Vec::new();
    loop {
        let part = incoming.frame();
        let part = open.within(destination, "a part of the answer", access.limits.idle, part);
        let Some(frame) = part.await? else { break };
        let frame = frame.map_err(|error| failure(destination, &error, open))?;
        // Trailers are nobody's business.
        let Ok(data) = frame.into_data() else { continue };
        if body.len().saturating_add(data.len()) > limit {
            return Err(too_large());
        }
        body.extend_from_slice(&data);
    }
    Ok(Exchanged { status: head.status.as_u16(), headers: texts(&head.headers), body })
}

fn texts(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
    headers.iter().filter_map(|(name, value)| Some((name.to_string(), text(value)?))).collect()
}

fn large_head(destination: &Destination) -> EgressError {
    EgressError::TooLarge {
        destination: destination.clone(),
        what: "the head of the answer",
        limit: u64::try_from(HEADER_BYTES).unwrap_or(u64::MAX),
    }
}

/// How long the headers are as they were sent: name, colon, space, value, end of line.
fn header_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

fn failure(destination: &Destination, error: &hyper::Error, open: &OpenUse) -> EgressError {
    if open.counters.over() {
        return too_large(destination, &open.counters);
    }
    if error.is_parse_too_large() {
        return large_head(destination);
    }
    if error.is_parse() {
        return EgressError::Malformed {
            destination: destination.clone(),
            reason: error.to_string(),
        };
    }
    match error.source().and_then(|cause| cause.downcast_ref::<io::Error>()) {
        Some(cause) => broken(destination, cause, &open.counters),
        None => EgressError::Broken { destination: destination.clone(), reason: error.to_string() },
    }
}
