//! `wasi:http` for drivers: requests to hosts that the grant names, through the
//! one way out, and nothing that comes in. Each use stands in the log of its
//! call, and so does the reason of each that came to nothing.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use deployd_core::ports::{Access, Egress, EgressError, Exchange, Exchanged, LogLevel};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use wasmtime::component::Linker;
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

use crate::interfaces::net::{NetAccess, OVER, until};
use crate::limits;
use crate::record::CallRecord;
use crate::store::CallState;

/// What is linked, for drivers only.
pub(crate) const OFFERED: [&str; 2] = ["wasi:http/outgoing-handler", "wasi:http/types"];

/// Adds [`OFFERED`] to what a component can import.
pub(crate) fn link(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)
}

impl WasiHttpView for CallState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let HttpAccess { context, requests } =
            self.http.get_or_insert_with(|| HttpAccess::new(&self.net, &self.record));
        WasiHttpCtxView { hooks: requests, table: &mut self.table, ctx: context }
    }
}

/// What a call may do with HTTP.
pub(crate) struct HttpAccess {
    context: WasiHttpCtx,
    requests: Requests,
}

impl HttpAccess {
    fn new(net: &NetAccess, record: &Arc<CallRecord>) -> Self {
        let mut context = WasiHttpCtx::new();
        context.set_field_size_limit(limits::HTTP_FIELDS_BYTES);
        let (egress, access, ends) = net.shared();
        let requests = Requests {
            egress,
            access,
            ends,
            record: Arc::clone(record),
            asked: 0,
            turns: Arc::new(Semaphore::new(limits::HTTP_AT_ONCE)),
            carried: Arc::default(),
            under_way: Vec::new(),
        };
        Self { context, requests }
    }
}

/// The requests of a call.
struct Requests {
    /// The way out; none where the host was made without.
    egress: Option<Arc<dyn Egress>>,
    access: Access,
    /// When nothing is waited for any more, of all uses together.
    ends: Instant,
    record: Arc<CallRecord>,
    /// Requests that were made, also in vain.
    asked: usize,
    turns: Arc<Semaphore>,
    /// Bytes of bodies, in both directions.
    carried: Arc<AtomicUsize>,
    under_way: Vec<Weak<Slot>>,
}

type Job = Pin<Box<dyn Future<Output = Result<Response<WasiBody>, Error>> + Send>>;
type Slot = Mutex<Option<Job>>;
/// What goes on after the head of an answer: nothing, for it is whole.
type Rest = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for Requests {
    fn set_host_header(&mut self) -> bool {
        // The broker's, which knows where it connects to.
        false
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        limits::HTTP_CHUNK_BYTES
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _sent: Rest,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Rest), Error>> + Send> {
        let Some(egress) = self.egress.clone() else {
            return Box::new(async { Err(Error::HttpRequestDenied) });
        };
        self.asked = self.asked.saturating_add(1);
        if self.asked > limits::HTTP_REQUESTS {
            if self.asked == limits::HTTP_REQUESTS + 1 {
                self.record.line(
                    LogLevel::Warn,
                    format!("a call may make {} HTTP requests", limits::HTTP_REQUESTS),
                );
            }
            return Box::new(async { Err(Error::ConnectionLimitReached) });
        }
        let one = One {
            egress,
            access: within(&self.access, options),
            ends: self.ends,
            record: Arc::clone(&self.record),
            turns: Arc::clone(&self.turns),
            carried: Arc::clone(&self.carried),
        };
        let job: Job = Box::pin(one.make(request));
        let slot = Arc::new(Mutex::new(Some(job)));
        self.under_way.retain(|other| other.strong_count() > 0);
        self.under_way.push(Arc::downgrade(&slot));
        Box::new(UnderWay(slot))
    }
}

/// Requests end with their call, and not some time after it: what became of
/// them is to stand in its log.
impl Drop for Requests {
    fn drop(&mut self) {
        for slot in self.under_way.iter().filter_map(Weak::upgrade) {
            drop(job(&slot).take());
        }
    }
}

fn job(slot: &Slot) -> MutexGuard<'_, Option<Job>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A request that its call can end.
struct UnderWay(Arc<Slot>);

impl Future for UnderWay {
    type Output = Result<(Response<WasiBody>, Rest), Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slot = job(&self.0);
        let Some(job) = slot.as_mut() else {
            return Poll::Ready(Err(Error::ConnectionTerminated));
        };
        job.as_mut().poll(context).map(|answer| {
            *slot = None;
            let rest: Rest = Box::new(async { Ok(()) });
            answer.map(|answer| (answer, rest))
        })
    }
}

/// The access of a request whose guest has less patience than there is.
fn within(access: &Access, options: Option<RequestOptions>) -> Access {
    let mut access = access.clone();
    access.limits.body_bytes = limits::HTTP_BODY_BYTES;
    if let Some(options) = options {
        let limits = &mut access.limits;
        let shorter = |limit: &mut Duration, wanted: Option<Duration>| {
            *limit = wanted.unwrap_or(*limit).min(*limit);
        };
        shorter(&mut limits.connect, options.connect_timeout);
        shorter(&mut limits.answer, options.first_byte_timeout);
        shorter(&mut limits.idle, options.between_bytes_timeout);
    }
    access
}

/// One request on its way.
struct One {
    egress: Arc<dyn Egress>,
    access: Access,
    ends: Instant,
    record: Arc<CallRecord>,
    turns: Arc<Semaphore>,
    carried: Arc<AtomicUsize>,
}

impl One {
    async fn make(self, request: Request<WasiBody>) -> Result<Response<WasiBody>, Error> {
        match timeout_at(self.ends, self.exchange(request)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(self.refused(OVER.to_owned(), Error::ConnectionReadTimeout)),
        }
    }

    async fn exchange(&self, request: Request<WasiBody>) -> Result<Response<WasiBody>, Error> {
        // Never closed.
        let _turn = self.turns.acquire().await;
        let (head, body) = request.into_parts();
        let headers = texts(&head.headers).map_err(|name| {
            self.refused(format!("the value of the header {name} is no text"), internal())
        })?;
        let collecting = tokio::time::timeout(limits::HOST_CALL_WALL, self.collect(body));
        let body = collecting.await.map_err(|_| {
            let told = format!(
                "the body of an HTTP request was not finished within {} ms",
                limits::HOST_CALL_WALL.as_millis()
            );
            self.refused(told, Error::ConnectionWriteTimeout)
        })??;
        let method = head.method.to_string();
        let exchange = Exchange { method, url: head.uri.to_string(), headers, body };
        let access = until(&self.access, self.ends);
        let answer = self.egress.exchange(&access, exchange).await;
        self.answer(answer.map_err(|error| self.refused(error.to_string(), of(&error)))?)
    }

    /// All that the guest sends.
    async fn collect(&self, mut body: WasiBody) -> Result<Vec<u8>, Error> {
        let mut collected = Vec::new();
        while let Some(frame) = body.frame().await {
            // Who drops a body that is not finished has changed its mind.
            let frame = frame.map_err(|error| {
                self.refused("the body of an HTTP request was dropped".to_owned(), error)
            })?;
            // Trailers are not sent: few servers know them.
            let Ok(data) = frame.into_data() else { continue };
            if collected.len().saturating_add(data.len()) > limits::HTTP_BODY_BYTES {
                let limit = limits::HTTP_BODY_BYTES;
                return Err(self.too_much("the body of an HTTP request", limit, |limit| {
                    Error::HttpRequestBodySize(Some(limit))
                }));
            }
            self.carry(data.len())?;
            collected.extend_from_slice(&data);
        }
        Ok(collected)
    }

    fn answer(&self, answer: Exchanged) -> Result<Response<WasiBody>, Error> {
        self.carry(answer.body.len())?;
        let size = |(name, value): &(String, String)| name.len().saturating_add(value.len());
        let size = answer.headers.iter().map(size).fold(0, usize::saturating_add);
        if size > limits::HTTP_FIELDS_BYTES {
            let limit = limits::HTTP_FIELDS_BYTES;
            return Err(self.too_much("the head of an HTTP answer", limit, |limit| {
                Error::HttpResponseHeaderSectionSize(u32::try_from(limit).ok())
            }));
        }
        let body = Full::new(Bytes::from(answer.body)).map_err(Error::from).boxed_unsync();
        let mut response = Response::new(body);
        *response.status_mut() = http::StatusCode::from_u16(answer.status)
            .map_err(|_| self.refused("its status is none".to_owned(), Error::HttpProtocolError))?;
        for (name, value) in answer.headers {
            let field = (HeaderName::try_from(name), HeaderValue::try_from(value));
            if let (Ok(name), Ok(value)) = field {
                response.headers_mut().append(name, value);
            }
        }
        Ok(response)
    }

    /// Counts bytes of a body.
    fn carry(&self, bytes: usize) -> Result<(), Error> {
        let before = self.carried.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) <= limits::HTTP_BYTES {
            return Ok(());
        }
        let what = "all HTTP requests and answers of a call together";
        Err(self
            .too_much(what, limits::HTTP_BYTES, |limit| Error::HttpResponseBodySize(Some(limit))))
    }

    fn too_much(&self, what: &str, limit: usize, error: impl FnOnce(u64) -> Error) -> Error {
        let told = format!("{what} may have {}", limits::bytes_text(limit));
        self.refused(told, error(u64::try_from(limit).unwrap_or(u64::MAX)))
    }

    /// The case is for the guest, the sentence for people.
    fn refused(&self, told: String, error: Error) -> Error {
        self.record.line(LogLevel::Warn, told);
        error
    }
}

fn internal() -> Error {
    Error::InternalError(None)
}

/// Headers as texts, or the name of one that is none.
fn texts(headers: &HeaderMap) -> Result<Vec<(String, String)>, HeaderName> {
    let text = |(name, value): (&HeaderName, &HeaderValue)| match value.to_str() {
        Ok(value) => Ok((name.to_string(), value.to_owned())),
        Err(_) => Err(name.clone()),
    };
    headers.iter().map(text).collect()
}

/// The standard's case for an error of the broker.
fn of(error: &EgressError) -> Error {
    match error {
        EgressError::NotGranted(_)
        | EgressError::Method { .. }
        | EgressError::CredentialHeader { .. }
        | EgressError::CredentialInPlainText { .. } => Error::HttpRequestDenied,
        EgressError::Address { .. } => Error::DestinationIpProhibited,
        EgressError::Host { .. } | EgressError::Request(_) => Error::HttpRequestUriInvalid,
        EgressError::Unresolved { .. } => Error::DnsError { rcode: None, info_code: None },
        EgressError::Unreachable { .. } => Error::ConnectionRefused,
        EgressError::Untrusted { .. } => Error::TlsCertificateError,
        EgressError::Tls { .. } => Error::TlsProtocolError,
        EgressError::Credential { .. } | EgressError::CredentialReturned { .. } => {
            Error::ConfigurationError
        }
        EgressError::TimedOut { phase, .. } => match *phase {
            "resolving the name" => Error::DnsTimeout,
            "connecting" | "preparing TLS" | "the TLS handshake" => Error::ConnectionTimeout,
            "the answer" => Error::HttpResponseTimeout,
            _ => Error::ConnectionReadTimeout,
        },
        EgressError::TooLarge { limit, .. } => Error::HttpResponseBodySize(Some(*limit)),
        EgressError::Malformed { .. } => Error::HttpProtocolError,
        EgressError::Broken { .. } => Error::ConnectionTerminated,
        _ => internal(),
    }
}
