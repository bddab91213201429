//! A byte stream: in plain text, in TLS, or first one and then the other.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use deployd_core::config::HostGrant;
use deployd_core::egress::Passage;
use deployd_core::ports::{Connection, Destination, EgressError, EgressLimits, TlsOptions};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::client::TlsStream;

use crate::tls::{self, Tls};
use crate::usage::{Counters, OpenUse};
use crate::wire::Wire;

/// The most bytes of one read: four TLS records.
const READ_BYTES: usize = 64 * 1024;

/// What may be written in plain text where TLS is granted: PostgreSQL's request
/// for it has 8 bytes, LDAP's 31, `EHLO` and `STARTTLS` about as many. It is too
/// little for a password exchange.
const UPGRADE_WRITTEN: u64 = 32;

/// What may be read meanwhile: the greeting of a mail server.
const UPGRADE_READ: u64 = 1024;

enum State {
    Plain(Wire),
    Tls(Box<TlsStream<Wire>>),
    /// It failed, and its bytes are lost.
    Ended,
}

/// A stream that is not recorded yet.
pub(crate) struct Stream {
    state: State,
    tls: Arc<Tls>,
    grant: HostGrant,
    destination: Destination,
    limits: EgressLimits,
    must_upgrade: bool,
    plain_written: u64,
    plain_read: u64,
}

/// A stream with the record that is made when it is dropped.
pub(crate) struct Recorded {
    stream: Stream,
    open: OpenUse,
}

impl Stream {
    pub(crate) fn plain(
        wire: Wire,
        tls: Arc<Tls>,
        passage: Passage<'_>,
        destination: Destination,
        limits: EgressLimits,
    ) -> Self {
        Self {
            state: State::Plain(wire),
            tls,
            grant: passage.grant.clone(),
            destination,
            limits,
            must_upgrade: passage.must_upgrade,
            plain_written: 0,
            plain_read: 0,
        }
    }

    pub(crate) fn recorded_by(self, open: OpenUse) -> Recorded {
        Recorded { stream: self, open }
    }

    /// Goes on in TLS.
    pub(crate) async fn upgrade(
        &mut self,
        options: &TlsOptions,
        open: &OpenUse,
    ) -> Result<(), EgressError> {
        let name = tls::server_name(&self.destination, options)?;
        let wire = match std::mem::replace(&mut self.state, State::Ended) {
            State::Plain(wire) => wire,
            other => {
                self.state = other;
                return Err(self.unusable("it is in TLS already, or has ended"));
            }
        };
        let making = self.tls.config(&self.grant, &self.destination);
        let part = async { (making.await, wire) };
        let (config, wire) =
            open.within(&self.destination, "preparing TLS", self.limits.tls, part).await?;
        let shaking = tls::handshake(wire, config?, name);
        let stream = open
            .within(&self.destination, "the TLS handshake", self.limits.tls, shaking)
            .await?
            .map_err(|error| self.tls_failure(&error, &open.counters))?;
        self.state = State::Tls(Box::new(stream));
        Ok(())
    }

    fn tls_failure(&self, error: &io::Error, counters: &Counters) -> EgressError {
        if counters.over() {
            return self.too_large(counters);
        }
        tls::failure(&self.destination, error)
    }

    fn failure(&self, error: &io::Error, counters: &Counters) -> EgressError {
        broken(&self.destination, error, counters)
    }

    fn too_large(&self, counters: &Counters) -> EgressError {
        too_large(&self.destination, counters)
    }

    fn unusable(&self, reason: &'static str) -> EgressError {
        EgressError::State { destination: self.destination.clone(), reason }
    }

    async fn read(&mut self, max: usize, open: &OpenUse) -> Result<Vec<u8>, EgressError> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let mut max = max.min(READ_BYTES);
        let plain = matches!(self.state, State::Plain(_));
        if plain && self.must_upgrade {
            let left = UPGRADE_READ.saturating_sub(self.plain_read);
            max = max.min(usize::try_from(left).unwrap_or(0));
            if max == 0 {
                return Err(self.plain_text(UPGRADE_READ));
            }
        }
        let stream: &mut dyn Both = match &mut self.state {
            State::Plain(wire) => wire,
            State::Tls(stream) => &mut **stream,
            State::Ended => return Err(self.unusable("it has ended")),
        };
        let mut buffer = vec![0; max];
        let reading = stream.read(&mut buffer);
        let read = open.within(&self.destination, "reading", self.limits.idle, reading).await?;
        let read = read.map_err(|error| self.failure(&error, &open.counters))?;
        buffer.truncate(read);
        if plain {
            self.plain_read = self.plain_read.saturating_add(u64::try_from(read).unwrap_or(0));
        }
        Ok(buffer)
    }

    async fn write(&mut self, bytes: &[u8], open: &OpenUse) -> Result<(), EgressError> {
        if matches!(self.state, State::Plain(_)) {
            let more = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            self.plain_written = self.plain_written.saturating_add(more);
            if self.must_upgrade && self.plain_written > UPGRADE_WRITTEN {
                return Err(self.plain_text(UPGRADE_WRITTEN));
            }
        }
        let stream: &mut dyn Both = match &mut self.state {
            State::Plain(wire) => wire,
            State::Tls(stream) => &mut **stream,
            State::Ended => return Err(self.unusable("it has ended")),
        };
        let writing = async {
            stream.write_all(bytes).await?;
            stream.flush().await
        };
        let wrote = open.within(&self.destination, "writing", self.limits.idle, writing).await?;
        wrote.map_err(|error| self.failure(&error, &open.counters))
    }

    fn plain_text(&self, limit: u64) -> EgressError {
        EgressError::PlainText { destination: self.destination.clone(), limit }
    }
}

/// What both kinds of streams are.
trait Both: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Both for T {}

impl Recorded {
    /// Notes a failure, after which the stream is of no use to anybody.
    fn ended<T>(&mut self, result: Result<T, EgressError>) -> Result<T, EgressError> {
        result.map_err(|error| {
            self.stream.state = State::Ended;
            self.open.failed(error)
        })
    }
}

#[async_trait]
impl Connection for Recorded {
    async fn read(&mut self, max: usize) -> Result<Vec<u8>, EgressError> {
        let result = self.stream.read(max, &self.open).await;
        self.ended(result)
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), EgressError> {
        let result = self.stream.write(bytes, &self.open).await;
        self.ended(result)
    }

    async fn start_tls(&mut self, options: &TlsOptions) -> Result<(), EgressError> {
        let result = self.stream.upgrade(options, &self.open).await;
        self.ended(result)
    }
}

/// Why a connection broke.
pub(crate) fn broken(
    destination: &Destination,
    error: &io::Error,
    counters: &Counters,
) -> EgressError {
    if counters.over() {
        return too_large(destination, counters);
    }
    if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
        return tls::failure(destination, error);
    }
    EgressError::Broken { destination: destination.clone(), reason: error.to_string() }
}

pub(crate) fn too_large(destination: &Destination, counters: &Counters) -> EgressError {
    EgressError::TooLarge {
        destination: destination.clone(),
        what: "what is sent or received over one connection",
        limit: counters.limit(),
    }
}
