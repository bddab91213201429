//! What no real server answers on request: redirects, and nonsense.

use std::sync::{Arc, Mutex};

use deployd_core::FaultClass;
use deployd_core::ports::SecretSource as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::stage::{ROOT, Variables, source};

/// Answers each request with the next of these, and remembers what it was asked.
async fn server(answers: Vec<String>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
            }
            seen.lock().unwrap().push(String::from_utf8(request).unwrap());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (address, asked)
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}")
}

#[tokio::test]
async fn redirects_are_not_followed() {
    // Who is redirected to would see the token.
    let (elsewhere, asked_elsewhere) = server(vec![answer("200 OK", "", "{}")]).await;
    let location = format!("location: {elsewhere}/v1/kv/data/db\r\n");
    let statuses = ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"];
    let answers = statuses.map(|status| answer(status, &location, "")).to_vec();
    let (address, asked) = server(answers).await;
    let variables = Variables::default();
    variables.set("TOKEN", ROOT);
    let source = source(&address, &variables, |settings| settings).await;
    for status in statuses {
        let fault = source.read(&"vault:kv/db#x".parse().unwrap()).await.unwrap_err();
        assert_eq!(fault.code, "vault-redirects", "{status}: {fault}");
        assert!(fault.is_transient() && fault.message.contains("secrets.vault.address"));
    }
    assert!(asked_elsewhere.lock().unwrap().is_empty());
    let asked = asked.lock().unwrap();
    assert!(asked[0].starts_with("GET /v1/kv/data/db HTTP/1.1\r\n"), "{}", asked[0]);
    assert!(asked[0].contains(ROOT));
}

#[tokio::test]
async fn answers_are_judged_by_what_may_be_done_about_them() {
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let canary = r#"{"data":{"data":{"y":"canary"},"metadata":{"version":1}}}"#;
    use FaultClass::{Denied, Invalid, Permanent, Transient};
    let table: Vec<(&str, &str, &str, FaultClass, &str)> = vec![
        ("200 OK", "", "<html>", Permanent, "vault-answer-unreadable"),
        ("200 OK", "", "", Permanent, "vault-answer-unreadable"),
        ("200 OK", "", &deep, Permanent, "vault-answer-unreadable"),
        ("200 OK", "", r#"{"data":{"data":[]}}"#, Permanent, "vault-answer-unreadable"),
        ("200 OK", "", r#"{"data":{"x":"canary"}}"#, Permanent, "vault-answer-unreadable"),
        ("200 OK", "", canary, Invalid, "vault-field-missing"),
        ("400 Bad Request", "", r#"{"errors":["canary"]}"#, Permanent, "vault-refused"),
        ("403 Forbidden", "", r#"{"errors":["canary"]}"#, Denied, "vault-denied"),
        ("404 Not Found", "", "canary", Invalid, "vault-path-missing"),
        ("412 Precondition Failed", "", "", Transient, "vault-unavailable"),
        ("429 Too Many Requests", "retry-after: 7\r\n", "", Transient, "vault-unavailable"),
        ("472 DR", "", "", Transient, "vault-unavailable"),
        ("500 Internal", "", "canary", Transient, "vault-unavailable"),
        ("502 Bad Gateway", "", "<html>", Transient, "vault-unavailable"),
        ("503 Service Unavailable", "", "", Transient, "vault-sealed"),
    ];
    let answers = table.iter().map(|(status, headers, body, ..)| answer(status, headers, body));
    let (address, _) = server(answers.collect()).await;
    let variables = Variables::default();
    variables.set("TOKEN", ROOT);
    let source = source(&address, &variables, |settings| settings).await;
    for (status, headers, body, class, code) in table {
        let fault = source.read(&"vault:kv/db#x".parse().unwrap()).await.unwrap_err();
        assert_eq!((fault.class, fault.code.as_str()), (class, code), "{status} {body}: {fault}");
        assert_eq!(fault.retry_after_ms, (!headers.is_empty()).then_some(7_000));
        assert!(!format!("{fault:?}").contains("canary"), "{fault:?}");
    }
}

#[tokio::test]
async fn a_server_below_a_path_is_asked_there() {
    let found = r#"{"data":{"data":{"x":"canary"},"metadata":{"version":1}}}"#;
    let (address, asked) = server(vec![answer("200 OK", "", found)]).await;
    let variables = Variables::default();
    variables.set("TOKEN", ROOT);
    let source = source(&format!("{address}/proxy/vault/"), &variables, |settings| settings).await;
    source.read(&"vault:kv/db#x".parse().unwrap()).await.unwrap();
    assert!(asked.lock().unwrap()[0].starts_with("GET /proxy/vault/v1/kv/data/db HTTP/1.1\r\n"));
}
