//! What is between the client and the practice cluster when both are in one
//! process: no socket, so that tests in simulated time know when nothing goes
//! on, and a hand that may meddle with any request or answer.

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use deployd_practice::Practice;
use futures::{Stream, StreamExt, stream};
use http::header::{AUTHORIZATION, HOST, RETRY_AFTER};
use http::{HeaderValue, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, BodyStream, Full, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::TokioIo;
use kube::client::Body;
use serde_json::{Value, json};

type Failed = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type Answer = UnsyncBoxBody<Bytes, Failed>;

/// What happens to a request.
pub(crate) enum Act {
    /// A status of the API server instead of an answer.
    Status(u16, Value),
    /// The same, with `Retry-After`.
    RetryAfter(u16, u64),
    /// A body instead of an answer.
    Body(Bytes),
    /// No connection.
    Refuse(io::ErrorKind),
    /// No answer, ever, on a connection that stays open.
    Hang,
    /// The answer, late.
    Late(Duration),
    /// The answer, with its body changed.
    Change(Box<dyn FnOnce(Answer) -> Answer + Send>),
}

type Rule = Box<dyn FnMut(&str, &str) -> Option<Act> + Send>;

pub(crate) struct Wire {
    practice: Practice,
    rules: Mutex<Vec<Rule>>,
    /// What is answered to a method without asking the server.
    answers: Mutex<Vec<(&'static str, &'static str)>>,
    under_way: AtomicUsize,
    most: AtomicUsize,
}

impl Wire {
    pub(crate) fn to(practice: &Practice) -> Arc<Self> {
        Arc::new(Self {
            practice: practice.clone(),
            rules: Mutex::default(),
            answers: Mutex::default(),
            under_way: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        })
    }

    /// A client through this wire.
    pub(crate) fn client(self: &Arc<Self>) -> kube::Client {
        let wire = Arc::clone(self);
        let service = tower::service_fn(move |request| Arc::clone(&wire).serve(request));
        kube::Client::new(service, "default")
    }

    /// Decides about requests by method and path with query; the rule that was
    /// added last is asked first.
    pub(crate) fn rule(&self, rule: impl FnMut(&str, &str) -> Option<Act> + Send + 'static) {
        self.rules.lock().unwrap().push(Box::new(rule));
    }

    /// The next so many requests of a method whose path has this in it.
    pub(crate) fn next(
        &self,
        times: usize,
        method: &'static str,
        part: &'static str,
        act: impl Fn() -> Act + Send + 'static,
    ) {
        let mut left = times;
        self.rule(move |m, path| {
            let fits = left > 0 && m == method && path.contains(part);
            left -= usize::from(fits);
            fits.then(&act)
        });
    }

    /// Answers a method without asking the server: where thousands of requests
    /// are sent, and it does not matter what becomes of them.
    pub(crate) fn answer(&self, method: &'static str, body: &'static str) {
        self.answers.lock().unwrap().push((method, body));
    }

    pub(crate) fn clear(&self) {
        self.rules.lock().unwrap().clear();
    }

    /// The most requests that were under way at a time, watches not counted.
    pub(crate) fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }

    async fn serve(self: Arc<Self>, request: Request<Body>) -> Result<Response<Answer>, Failed> {
        let path = request.uri().path_and_query().unwrap().to_string();
        let _counted = (!path.contains("watch=true")).then(|| Counted::of(&self));
        let act = {
            let mut rules = self.rules.lock().unwrap();
            rules.iter_mut().rev().find_map(|rule| rule(request.method().as_str(), &path))
        };
        match act {
            None => self.forward(request).await,
            Some(Act::Status(code, document)) => Ok(answer(code, document.to_string().into())),
            Some(Act::RetryAfter(code, seconds)) => {
                let mut answer = answer(code, status(code, "TooManyRequests", "slow down").into());
                answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
                Ok(answer)
            }
            Some(Act::Body(body)) => Ok(answer(200, body)),
            Some(Act::Refuse(kind)) => Err(io::Error::from(kind).into()),
            Some(Act::Hang) => pending().await,
            Some(Act::Late(by)) => {
                tokio::time::sleep(by).await;
                self.forward(request).await
            }
            Some(Act::Change(change)) => Ok(self.forward(request).await?.map(change)),
        }
    }

    async fn forward(&self, mut request: Request<Body>) -> Result<Response<Answer>, Failed> {
        let canned = {
            let answers = self.answers.lock().unwrap();
            answers.iter().find(|(method, _)| *method == request.method().as_str()).copied()
        };
        if let Some((_, body)) = canned {
            return Ok(answer(200, Bytes::from_static(body.as_bytes())));
        }
        let stream = self.practice.connect()?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let token = format!("Bearer {}", self.practice.token());
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, HeaderValue::try_from(token)?);
        headers.insert(HOST, HeaderValue::from_static("practice"));
        Ok(sender.send_request(request).await?.map(|body| body.map_err(Into::into).boxed_unsync()))
    }
}

struct Counted<'a>(&'a Wire);

impl<'a> Counted<'a> {
    fn of(wire: &'a Wire) -> Self {
        let now = wire.under_way.fetch_add(1, Ordering::Relaxed) + 1;
        wire.most.fetch_max(now, Ordering::Relaxed);
        Self(wire)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

fn answer(code: u16, body: Bytes) -> Response<Answer> {
    let body = Full::new(body).map_err(|never| match never {}).boxed_unsync();
    Response::builder().status(code).body(body).unwrap()
}

/// A status as an API server gives it.
pub(crate) fn status(code: u16, reason: &str, message: &str) -> String {
    status_document(code, reason, message).to_string()
}

pub(crate) fn status_document(code: u16, reason: &str, message: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
        "reason": reason, "message": message})
}

/// Changes the lines of a watch: each becomes none, one or several. What is left
/// when the answer ends is a line too.
pub(crate) fn lines(
    body: Answer,
    mut change: impl FnMut(Value) -> Vec<Bytes> + Send + 'static,
) -> Answer {
    let mut frames = BodyStream::new(body);
    let mut read = Vec::new();
    let mut ready: VecDeque<Bytes> = VecDeque::new();
    let changed = async_lines(move |cx| {
        loop {
            if let Some(line) = ready.pop_front() {
                return std::task::Poll::Ready(Some(Ok(Frame::data(line))));
            }
            let frame = match frames.poll_next_unpin(cx) {
                std::task::Poll::Ready(Some(Ok(frame))) => frame,
                std::task::Poll::Ready(Some(Err(error))) => {
                    return std::task::Poll::Ready(Some(Err(error)));
                }
                std::task::Poll::Ready(None) if read.is_empty() => {
                    return std::task::Poll::Ready(None);
                }
                std::task::Poll::Ready(None) => {
                    let rest = std::mem::take(&mut read);
                    ready.extend(change(serde_json::from_slice(&rest).unwrap()));
                    continue;
                }
                std::task::Poll::Pending => return std::task::Poll::Pending,
            };
            let mut searched = read.len();
            read.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
            while let Some(end) = read.iter().skip(searched).position(|byte| *byte == b'\n') {
                let end = searched + end;
                searched = 0;
                let line: Vec<u8> = read.drain(..=end).collect();
                ready.extend(change(serde_json::from_slice(&line).unwrap()));
            }
        }
    });
    StreamBody::new(changed).boxed_unsync()
}

type Polled = std::task::Poll<Option<Result<Frame<Bytes>, Failed>>>;

fn async_lines(
    poll: impl FnMut(&mut std::task::Context<'_>) -> Polled + Send + 'static,
) -> impl Stream<Item = Result<Frame<Bytes>, Failed>> + Send {
    stream::poll_fn(poll)
}

/// A line as it was.
pub(crate) fn line(event: &Value) -> Bytes {
    Bytes::from(format!("{event}\n"))
}

/// An answer byte by byte, with a pause before each.
pub(crate) fn trickled(body: Answer, pause: Duration) -> Answer {
    let bytes = stream::once(async move { body.collect().await.unwrap().to_bytes() })
        .flat_map(stream::iter)
        .then(move |byte| async move {
            tokio::time::sleep(pause).await;
            Ok::<_, Failed>(Frame::data(Bytes::from(vec![byte])))
        });
    StreamBody::new(bytes).boxed_unsync()
}

/// The first bytes of an answer, and then its end.
pub(crate) fn cut(body: Answer, at: usize) -> Answer {
    let bytes = stream::once(async move {
        let whole = body.collect().await.unwrap().to_bytes();
        Ok::<_, Failed>(Frame::data(whole.slice(..at.min(whole.len()))))
    });
    StreamBody::new(bytes).boxed_unsync()
}

/// An answer that begins as it should and then is silent, on an open connection.
pub(crate) fn silent() -> Answer {
    StreamBody::new(stream::pending::<Result<Frame<Bytes>, Failed>>()).boxed_unsync()
}
