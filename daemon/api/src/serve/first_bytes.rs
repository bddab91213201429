//! A deadline for a connection's first bytes.
//!
//! Whether it speaks HTTP/1 or HTTP/2 is known from them, and the time limits
//! of neither begin before that is known: who connects and says nothing would
//! hold a connection for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// What every HTTP/2 connection begins with (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A stream whose first bytes must come in time.
pub(super) struct FirstBytes<S> {
    stream: S,
    matched: usize,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> FirstBytes<S> {
    /// Must be called within a runtime.
    pub(super) fn new(stream: S, within: Duration) -> Self {
        Self { stream, matched: 0, deadline: Some(Box::pin(sleep(within))) }
    }

    /// Whether the version is known from what has come by now.
    fn tells(&mut self, bytes: &[u8]) -> bool {
        for byte in bytes {
            match PREFACE.get(self.matched) {
                Some(expected) if expected == byte => self.matched += 1,
                _ => return true,
            }
        }
        self.matched == PREFACE.len()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FirstBytes<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if let Some(deadline) = &mut self.deadline {
            if polled.is_pending() {
                ready!(deadline.as_mut().poll(context));
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            if self.tells(buffer.filled().get(before..).unwrap_or_default()) {
                self.deadline = None;
            }
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FirstBytes<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test(start_paused = true)]
    async fn silence_ends_a_connection_and_speech_lifts_the_deadline() {
        for (said, ends) in [("", true), ("P", true), ("PRI * HT", true), ("GET", false)] {
            let (mut client, server) = tokio::io::duplex(64);
            let mut server = FirstBytes::new(server, Duration::from_secs(5));
            client.write_all(said.as_bytes()).await.unwrap();
            let mut buffer = [0; 64];
            if !said.is_empty() {
                assert_eq!(server.read(&mut buffer).await.unwrap(), said.len());
            }
            // Time passes by itself: the clock is paused, and nothing else happens.
            let hour = Duration::from_secs(3600);
            let read = tokio::time::timeout(hour, server.read(&mut buffer)).await;
            match read {
                Ok(Err(error)) => assert!(ends && error.kind() == io::ErrorKind::TimedOut),
                Err(_) => assert!(!ends, "{said}"),
                Ok(Ok(read)) => panic!("read {read} bytes"),
            }
        }
    }
}
