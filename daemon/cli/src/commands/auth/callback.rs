//! Where the browser comes back to after somebody has signed in: a port of this machine
//! alone, which is open as long as it is waited for (RFC 8252, 7.3).
//!
//! One request line is read and one page answered, which a server of HTTP is not needed
//! for: what is read is bounded, and decides nothing but what [`Attempt`] says.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::attempt::{Attempt, Returned};
use crate::error::CliError;

/// Bytes of a request that are read: its first line has the code, which has some
/// hundred characters, or 2 KiB at Entra ID.
const REQUEST_BYTES_MAX: usize = 16 << 10;

/// For a request to arrive, and its answer to be taken: it comes from this machine.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections at the same time: browsers open a few ahead of needing them.
const CONNECTIONS_MAX: usize = 16;

/// A port that waits for a browser.
pub(super) struct Callback {
    listener: TcpListener,
    port: u16,
}

impl Callback {
    /// Opens one that is free.
    pub(super) async fn open() -> Result<Self, CliError> {
        let failed = |source| CliError::Io { what: "listening on 127.0.0.1".to_owned(), source };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        Ok(Self { listener, port })
    }

    /// Its number.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Waits until the provider's page has sent somebody back: a code, or why there is
    /// none. Whatever else comes is turned away.
    pub(super) async fn returned(
        &self,
        attempt: &Arc<Attempt>,
    ) -> Result<Result<String, String>, CliError> {
        let mut asked = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => {
                    let (stream, _) = accepted.map_err(|source| {
                        CliError::Io { what: "waiting for the browser".to_owned(), source }
                    })?;
                    if asked.len() < CONNECTIONS_MAX {
                        let attempt = attempt.clone();
                        asked.spawn(async move {
                            let answered = answer(stream, &attempt);
                            tokio::time::timeout(REQUEST_TIMEOUT, answered).await
                        });
                    }
                }
                Some(ended) = asked.join_next() => match ended {
                    Ok(Ok(Some(Returned::Code(code)))) => return Ok(Ok(code)),
                    Ok(Ok(Some(Returned::Refused(why)))) => return Ok(Err(why)),
                    // Somebody else, or a browser that has gone: the next one may be it.
                    _ => {}
                }
            }
        }
    }
}

/// Reads what one connection asks for, and answers.
async fn answer(mut stream: TcpStream, attempt: &Attempt) -> Option<Returned> {
    let head = head(&mut stream).await?;
    let mut words = head.lines().next()?.split(' ');
    let returned = match (words.next(), words.next()) {
        (Some("GET"), Some(target)) => attempt.returned(target),
        _ => Returned::Elsewhere,
    };
    let (status, text) = match &returned {
        Returned::Code(_) => (
            "200 OK",
            "deployd has what it needs of your identity provider. You can close this page; \
             the terminal says whether you are signed in.",
        ),
        Returned::Refused(_) => {
            ("200 OK", "You are not signed in. You can close this page; the terminal says why.")
        }
        Returned::Strange => (
            "400 Bad Request",
            "This is no answer to the sign-in that deployd waits for. Open the address that \
             the terminal shows.",
        ),
        Returned::Elsewhere => ("404 Not Found", "There is nothing here."),
    };
    let page = format!("<!doctype html><title>deployd</title><p>{text}</p>");
    let length = page.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\n\
         Content-Length: {length}\r\nCache-Control: no-store\r\nReferrer-Policy: no-referrer\r\n\
         Content-Security-Policy: default-src 'none'\r\nConnection: close\r\n\r\n{page}"
    );
    // Who has gone needs no page; what they have brought counts.
    if stream.write_all(answer.as_bytes()).await.is_ok() {
        let _ = stream.shutdown().await;
    }
    Some(returned)
}

/// The head of a request, as far as it is a text.
async fn head(stream: &mut TcpStream) -> Option<String> {
    let mut read = Vec::new();
    let mut bytes = [0u8; 1024];
    while !read.windows(4).any(|end| end == b"\r\n\r\n") {
        let count = stream.read(&mut bytes).await.ok()?;
        if count == 0 || read.len() + count > REQUEST_BYTES_MAX {
            return None;
        }
        read.extend_from_slice(bytes.get(..count)?);
    }
    String::from_utf8(read).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(port: u16, request: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        // Who is turned away may be reset.
        let _ = stream.read_to_string(&mut answer).await;
        answer
    }

    #[tokio::test]
    async fn strangers_are_turned_away_and_the_page_is_waited_for() {
        let callback = Callback::open().await.unwrap();
        let attempt = Arc::new(Attempt::new("https://login.example.com").unwrap());
        let page = reqwest::Url::parse("https://login.example.com/").unwrap();
        let login = deployd_core::views::LoginView {
            name: "corp".parse().unwrap(),
            issuer: "https://login.example.com".to_owned(),
            client_id: "deployd".to_owned(),
            scopes: Vec::new(),
        };
        let address = attempt.address(&page, &login, "http://127.0.0.1/callback");
        let state = address.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
        let port = callback.port();
        let browser = async move {
            // One that was opened ahead, and asks for nothing.
            let _ahead = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let icon = ask(port, "GET /favicon.ico HTTP/1.1\r\nHost: x\r\n\r\n").await;
            assert!(icon.starts_with("HTTP/1.1 404"), "{icon}");
            let guess = ask(port, "GET /callback?code=evil&state=guess HTTP/1.1\r\n\r\n").await;
            assert!(guess.starts_with("HTTP/1.1 400"), "{guess}");
            let endless = format!("GET /callback?{} HTTP/1.1\r\n\r\n", "x".repeat(1 << 20));
            assert_eq!(ask(port, &endless).await, "");
            let good = format!("GET /callback?code=good&state={state} HTTP/1.1\r\n\r\n");
            let good = ask(port, &good).await;
            assert!(good.starts_with("HTTP/1.1 200") && good.contains("no-store"), "{good}");
        };
        let (returned, ()) = tokio::join!(callback.returned(&attempt), browser);
        assert_eq!(returned.unwrap(), Ok("good".to_owned()));
    }
}
