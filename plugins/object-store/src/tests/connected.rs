//! How the driver's requests reach a real server.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use deployd_plugin_sdk::Fault;
use deployd_plugin_sdk::http::{Request, Response};
use deployd_plugin_sdk::testing::FakeHost;

use super::ADMIN;

/// A host whose requests reach servers, with the right time.
pub(super) fn host() -> FakeHost {
    FakeHost::new().grant_secret("admin", ADMIN.1).at_ms(now_ms()).answer(send)
}

pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

/// HTTP/1.0, where an answer ends with its connection.
pub(super) fn send(request: &Request) -> Result<Response, Fault> {
    let failed = |error: std::io::Error| Fault::unavailable(error.to_string());
    let rest = request.url.strip_prefix("http://").unwrap();
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(at);
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let mut text = format!("{} {path} HTTP/1.0\r\nhost: {authority}\r\n", request.method);
    for (name, value) in &request.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("content-length: {}\r\n\r\n", request.body.len()));
    let mut stream = TcpStream::connect(authority).map_err(failed)?;
    stream.set_read_timeout(Some(Duration::from_secs(60))).map_err(failed)?;
    stream.write_all(text.as_bytes()).map_err(failed)?;
    stream.write_all(&request.body).map_err(failed)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(failed)?;
    let split = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..split].to_vec()).unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect();
    Ok(Response { status, headers, body: answer[split + 4..].to_vec() })
}
