//! One request over `wasi:http`, and its whole answer.

use super::bindings::wasi::http::outgoing_handler;
use super::bindings::wasi::http::types::{
    self as wit, ErrorCode, Fields, FutureIncomingResponse, IncomingResponse, OutgoingBody,
    OutgoingRequest, Scheme,
};
use super::bindings::wasi::io::streams::StreamError;
use crate::Fault;
use crate::http::{RESPONSE_BYTES, Request, Response, Target};

/// What `blocking-write-and-flush` takes at once.
const WRITE_BYTES: usize = 4096;
/// How much of an answer is asked for at once.
const READ_BYTES: u64 = 64 * 1024;

pub(in crate::guest) fn exchange(request: &Request) -> Result<Response, Fault> {
    let target = Target::of(&request.url)?;
    let failed = |code: &ErrorCode| fault(code, request, &target);
    let outgoing = outgoing(request, &target)?;
    let body = match request.body.as_slice() {
        [] => None,
        _ => Some(outgoing.body().map_err(|()| unusable("the request has no body"))?),
    };
    let future = outgoing_handler::handle(outgoing, None).map_err(|code| failed(&code))?;
    if let Some(body) = body {
        send(body, &request.body);
    }
    let response = wait(&future).map_err(|code| failed(&code))?;
    let headers = response.headers().entries();
    Ok(Response {
        status: response.status(),
        headers: headers
            .into_iter()
            .filter_map(|(name, value)| Some((name, String::from_utf8(value).ok()?)))
            .collect(),
        body: receive(&response, &failed)?,
    })
}

fn outgoing(request: &Request, target: &Target<'_>) -> Result<OutgoingRequest, Fault> {
    let mut headers: Vec<_> = request
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), value.clone().into_bytes()))
        .collect();
    if !request.body.is_empty() {
        headers.push(("content-length".to_owned(), request.body.len().to_string().into_bytes()));
    }
    let headers = Fields::from_list(&headers).map_err(|error| match error {
        wit::HeaderError::Forbidden => {
            unusable("one of its headers speaks of the connection, which is the host's")
        }
        wit::HeaderError::InvalidSyntax | wit::HeaderError::Immutable => {
            unusable("one of its headers is none")
        }
    })?;
    let outgoing = OutgoingRequest::new(headers);
    let scheme = if target.tls { Scheme::Https } else { Scheme::Http };
    outgoing.set_method(&method(&request.method)).map_err(|()| unusable("its method is none"))?;
    outgoing.set_scheme(Some(&scheme)).map_err(|()| unusable("its scheme is none"))?;
    outgoing
        .set_authority(Some(target.authority))
        .map_err(|()| unusable("its host and port are none"))?;
    outgoing
        .set_path_with_query(Some(&target.path_with_query()))
        .map_err(|()| unusable("its path or query is none"))?;
    Ok(outgoing)
}

fn unusable(why: &str) -> Fault {
    Fault::permanent(format!("the HTTP request can't be made: {why}"))
}

fn method(name: &str) -> wit::Method {
    match name {
        "GET" => wit::Method::Get,
        "HEAD" => wit::Method::Head,
        "POST" => wit::Method::Post,
        "PUT" => wit::Method::Put,
        "DELETE" => wit::Method::Delete,
        "OPTIONS" => wit::Method::Options,
        "PATCH" => wit::Method::Patch,
        other => wit::Method::Other(other.to_owned()),
    }
}

/// Sends a body. Whether it arrived, and why not, is in the answer: who refuses
/// a request takes none of its body.
fn send(body: OutgoingBody, bytes: &[u8]) {
    let Ok(stream) = body.write() else { return };
    let sent =
        bytes.chunks(WRITE_BYTES).try_for_each(|chunk| stream.blocking_write_and_flush(chunk));
    drop(stream);
    if sent.is_ok() {
        // Fails only for who has written less than announced.
        let _ = OutgoingBody::finish(body, None);
    }
}

fn wait(future: &FutureIncomingResponse) -> Result<IncomingResponse, ErrorCode> {
    loop {
        match future.get() {
            Some(Ok(answer)) => return answer,
            // It was taken before, which nobody does.
            Some(Err(())) => return Err(ErrorCode::InternalError(None)),
            None => future.subscribe().block(),
        }
    }
}

fn receive(
    response: &IncomingResponse,
    failed: &impl Fn(&ErrorCode) -> Fault,
) -> Result<Vec<u8>, Fault> {
    let taken = || failed(&ErrorCode::InternalError(None));
    let body = response.consume().map_err(|()| taken())?;
    // Declared after the body, and so dropped before it, as WASI demands.
    let stream = body.stream().map_err(|()| taken())?;
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(READ_BYTES) {
            Ok(read) => bytes.extend(read),
            Err(StreamError::Closed) => return Ok(bytes),
            Err(StreamError::LastOperationFailed(error)) => {
                let code = wit::http_error_code(&error);
                return Err(failed(&code.unwrap_or(ErrorCode::HttpResponseIncomplete)));
            }
        }
        if bytes.len() > RESPONSE_BYTES {
            return Err(failed(&ErrorCode::HttpResponseBodySize(None)));
        }
    }
}

/// What a plugin is told of a request that came to nothing. The host writes the
/// whole reason to the log of the call.
fn fault(code: &ErrorCode, request: &Request, target: &Target<'_>) -> Fault {
    let say = |why: &str| format!("{} {}: {why}", request.method, target.authority);
    let unavailable = |why| Fault::unavailable(say(why));
    let permanent = |why| Fault::permanent(say(why));
    match code {
        ErrorCode::HttpRequestDenied => Fault::denied(say("the host refuses it; its log says why")),
        ErrorCode::DestinationIpProhibited => {
            Fault::denied(say("its address is one that the grant does not allow"))
        }
        ErrorCode::ConnectionLimitReached => {
            Fault::denied(say("a call may not make so many requests"))
        }
        ErrorCode::DnsTimeout | ErrorCode::DnsError(_) | ErrorCode::DestinationNotFound => {
            unavailable("the name can't be resolved")
        }
        ErrorCode::ConnectionRefused
        | ErrorCode::DestinationUnavailable
        | ErrorCode::DestinationIpUnroutable => unavailable("it can't be connected to"),
        ErrorCode::ConnectionTimeout
        | ErrorCode::ConnectionReadTimeout
        | ErrorCode::ConnectionWriteTimeout
        | ErrorCode::HttpResponseTimeout => unavailable("it took too long"),
        ErrorCode::TlsCertificateError | ErrorCode::TlsAlertReceived(_) => {
            permanent("TLS: one of the two does not trust the other")
        }
        ErrorCode::TlsProtocolError => unavailable("TLS came to nothing"),
        ErrorCode::HttpResponseBodySize(_)
        | ErrorCode::HttpResponseHeaderSectionSize(_)
        | ErrorCode::HttpResponseHeaderSize(_) => permanent("its answer is too large"),
        ErrorCode::ConfigurationError => {
            permanent("what the grant names for it can't be used; the log says why")
        }
        ErrorCode::HttpRequestLengthRequired
        | ErrorCode::HttpRequestBodySize(_)
        | ErrorCode::HttpRequestMethodInvalid
        | ErrorCode::HttpRequestUriInvalid
        | ErrorCode::HttpRequestUriTooLong
        | ErrorCode::HttpRequestHeaderSectionSize(_)
        | ErrorCode::HttpRequestHeaderSize(_)
        | ErrorCode::HttpRequestTrailerSectionSize(_)
        | ErrorCode::HttpRequestTrailerSize(_) => {
            permanent("the host takes no such request; its log says why")
        }
        ErrorCode::ConnectionTerminated
        | ErrorCode::HttpResponseIncomplete
        | ErrorCode::HttpResponseTrailerSectionSize(_)
        | ErrorCode::HttpResponseTrailerSize(_)
        | ErrorCode::HttpResponseTransferCoding(_)
        | ErrorCode::HttpResponseContentCoding(_)
        | ErrorCode::HttpUpgradeFailed
        | ErrorCode::HttpProtocolError
        | ErrorCode::LoopDetected
        | ErrorCode::InternalError(_) => unavailable("its answer broke off, or is no HTTP"),
    }
}
