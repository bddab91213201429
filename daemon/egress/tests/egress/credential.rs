//! Credentials that the broker adds: to the host of their grant, and nobody else.

use std::sync::{Arc, Mutex};

use deployd_core::FaultClass;
use deployd_core::config::{HostGrant, HttpCredential};
use deployd_core::ports::{Egress as _, EgressError, Exchange, Exchanged};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::support::{Stage, grant, head, serve};

const TOKEN: &str = "t0ken-of-the-operator";

/// A server that remembers what it was asked.
#[derive(Clone, Default)]
struct Asked(Arc<Mutex<Vec<String>>>);

impl Asked {
    async fn server(&self, answer: &'static str) -> u16 {
        let asked = self.clone();
        let address = serve(move |mut stream| {
            let asked = asked.clone();
            async move {
                let head = head(&mut stream).await?;
                asked.0.lock().unwrap().push(head.clone());
                stream.write_all(answer.replace("HEAD", &head).as_bytes()).await?;
                stream.shutdown().await
            }
        });
        address.await.port()
    }

    /// Values of this header in all requests.
    fn values(&self, header: &str) -> Vec<String> {
        let asked = self.0.lock().unwrap();
        let lines = asked.iter().flat_map(|head| head.lines());
        lines
            .filter_map(|line| line.split_once(": "))
            .filter(|(name, _)| *name == header)
            .map(|(_, value)| value.to_owned())
            .collect()
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

const FINE: &str = "HTTP/1.1 204 No Content\r\n\r\n";

fn stage() -> Stage {
    let stage = Stage::with_name("api.internal");
    stage.secrets.0.lock().unwrap().insert("token".into(), TOKEN.into());
    stage
}

fn with(credential: &Value, grant: HostGrant) -> HostGrant {
    let credential: HttpCredential = serde_json::from_value(credential.clone()).unwrap();
    HostGrant { credential: Some(credential), ..grant }
}

fn request(method: &str, url: String, headers: &[(&str, &str)]) -> Exchange {
    let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    Exchange { method: method.into(), url, headers, body: Vec::new() }
}

async fn get(stage: &Stage, grants: &[HostGrant], url: String) -> Result<Exchanged, EgressError> {
    stage.broker.exchange(&stage.access(grants), request("GET", url, &[])).await
}

#[tokio::test]
async fn a_credential_is_added_in_the_form_that_the_grant_names() {
    let (stage, asked) = (stage(), Asked::default());
    let port = asked.server(FINE).await;
    for (credential, header, value) in [
        (json!({"secret": "token"}), "authorization", format!("Bearer {TOKEN}")),
        (
            json!({"secret": "token", "form": "basic", "user": "ci"}),
            "authorization",
            "Basic Y2k6dDBrZW4tb2YtdGhlLW9wZXJhdG9y".to_owned(),
        ),
        (
            json!({"secret": "token", "form": "raw", "header": "X-Api-Key"}),
            "x-api-key",
            TOKEN.to_owned(),
        ),
        (
            json!({"secret": "token", "form": "raw", "prefix": "Token "}),
            "authorization",
            format!("Token {TOKEN}"),
        ),
    ] {
        asked.0.lock().unwrap().clear();
        let granted = with(&credential, grant("http", "api.internal", port));
        get(&stage, &[granted], format!("http://api.internal:{port}/")).await.unwrap();
        assert_eq!(asked.values(header), [value], "{credential}");
    }
    // Where to and how long, and nothing of what was sent.
    let uses = stage.uses.0.lock().unwrap();
    assert!(uses.iter().all(|used| !format!("{used:?} {used}").contains(TOKEN)));
}

#[tokio::test]
async fn a_secret_from_a_file_may_end_with_its_line() {
    let (stage, asked) = (stage(), Asked::default());
    stage.secrets.0.lock().unwrap().insert("token".into(), format!("{TOKEN}\r\n"));
    let port = asked.server(FINE).await;
    let granted = with(&json!({"secret": "token"}), grant("http", "api.internal", port));
    get(&stage, &[granted], format!("http://api.internal:{port}/")).await.unwrap();
    assert_eq!(asked.values("authorization"), [format!("Bearer {TOKEN}")]);
}

/// A token of the operator was sent to wherever a user's URL pointed.
#[tokio::test]
async fn cve_2026_40161_a_credential_goes_to_the_host_of_its_grant_alone() {
    let (stage, trusted, other) = (stage(), Asked::default(), Asked::default());
    stage.name("evil.internal", &["127.0.0.1"]);
    let (port, evil) = (trusted.server(FINE).await, other.server(FINE).await);
    let credential = json!({"secret": "token"});
    let grants = [
        with(&credential, grant("http", "api.internal", port)),
        // The same name and machine at another port, and another name: without.
        grant("http", "api.internal", evil),
        grant("http", "evil.internal", evil),
    ];
    for url in [
        format!("http://evil.internal:{evil}/"),
        format!("http://api.internal:{evil}/"),
        format!("http://evil.internal:{evil}/?url=http://api.internal:{port}/"),
        format!("http://evil.internal:{evil}/#@api.internal:{port}"),
    ] {
        assert_eq!(get(&stage, &grants, url.clone()).await.unwrap().status, 204, "{url}");
    }
    assert_eq!((other.count(), other.values("authorization")), (4, Vec::new()));
    for url in [
        format!("http://evil.internal:{port}/"),
        format!("https://api.internal:{port}/"),
        format!("http://api.internal:{port}@evil.internal:{evil}/"),
        format!("http://api.internal.evil.internal:{port}/"),
    ] {
        assert!(get(&stage, &grants, url.clone()).await.is_err(), "{url}");
    }
    assert_eq!(trusted.count(), 0);
    get(&stage, &grants, format!("http://API.internal.:{port}/")).await.unwrap();
    assert_eq!(trusted.values("authorization"), [format!("Bearer {TOKEN}")]);
}

/// A credential stayed when what it was for was pointed elsewhere: by a changed
/// address, and by a redirect.
#[tokio::test]
async fn cve_2026_45625_a_credential_does_not_follow_to_another_place() {
    let (stage, trusted, other) = (stage(), Asked::default(), Asked::default());
    stage.name("evil.internal", &["127.0.0.1"]);
    let evil = other.server(FINE).await;
    let moved =
        "HTTP/1.1 307 Moved\r\nlocation: http://evil.internal/\r\ncontent-length: 0\r\n\r\n";
    let port = trusted.server(moved).await;
    let granted = with(&json!({"secret": "token"}), grant("http", "api.internal", port));
    let grants = [granted, grant("http", "evil.internal", evil)];
    // The redirect is the answer, and nobody goes there.
    let answer = get(&stage, &grants, format!("http://api.internal:{port}/")).await.unwrap();
    assert_eq!((answer.status, other.count()), (307, 0));
    // Who goes there by itself takes nothing along.
    get(&stage, &grants, format!("http://evil.internal:{evil}/")).await.unwrap();
    assert_eq!(other.values("authorization"), Vec::<String>::new());
    // A name that means another machine the second time: in plain text, not there.
    stage.name("api.internal", &["192.0.2.1"]);
    stage.network.names.lock().unwrap().get_mut("api.internal").unwrap().remove(0);
    *stage.network.instead.lock().unwrap() = Some(([127, 0, 0, 1], evil).into());
    let refused = get(&stage, &grants, format!("http://api.internal:{port}/")).await.unwrap_err();
    assert_eq!((refused.code(), other.count()), ("credential-plaintext", 1));
}

/// An API answered with the credentials that it keeps, to whoever could ask it.
#[tokio::test]
async fn cve_2025_55190_an_answer_with_the_credential_in_it_reaches_nobody() {
    let user = json!({"secret": "token", "form": "basic", "user": "ci"});
    for (answer, credential) in [
        ("HTTP/1.1 200 OK\r\n\r\nHEAD", json!({"secret": "token"})),
        ("HTTP/1.1 200 OK\r\n\r\nHEAD", user),
        ("HTTP/1.1 200 OK\r\nx-was: t0ken-of-the-operator\r\n\r\n", json!({"secret": "token"})),
    ] {
        let (stage, asked) = (stage(), Asked::default());
        let port = asked.server(answer).await;
        let granted = with(&credential, grant("http", "api.internal", port));
        let url = format!("http://api.internal:{port}/");
        let refused = get(&stage, &[granted], url).await.unwrap_err();
        assert_eq!((refused.code(), asked.count()), ("credential-returned", 1), "{credential}");
        assert!(!refused.to_string().contains(TOKEN));
    }
}

#[tokio::test]
async fn of_two_grants_for_a_host_the_method_chooses() {
    let (stage, asked) = (stage(), Asked::default());
    stage.secrets.0.lock().unwrap().insert("reader".into(), "reads-only".into());
    let port = asked.server(FINE).await;
    let of = |secret: &str, methods: &[&str]| HostGrant {
        methods: methods.iter().map(ToString::to_string).collect(),
        ..with(&json!({"secret": secret}), grant("http", "api.internal", port))
    };
    let access = stage.access(&[of("reader", &["GET"]), of("token", &["POST", "PUT"])]);
    for (method, value) in [("GET", "Bearer reads-only"), ("PUT", "Bearer t0ken-of-the-operator")] {
        asked.0.lock().unwrap().clear();
        let request = request(method, format!("http://api.internal:{port}/"), &[]);
        stage.broker.exchange(&access, request).await.unwrap();
        assert_eq!(asked.values("authorization"), [value]);
    }
    let request = request("DELETE", format!("http://api.internal:{port}/"), &[]);
    let refused = stage.broker.exchange(&access, request).await.unwrap_err();
    assert!(refused.to_string().ends_with("granted are: GET, POST, PUT"), "{refused}");
}

#[tokio::test]
async fn who_sets_the_header_of_a_credential_is_refused() {
    let (stage, asked) = (stage(), Asked::default());
    let port = asked.server(FINE).await;
    let granted = with(&json!({"secret": "token"}), grant("http", "api.internal", port));
    let access = stage.access(&[granted]);
    for name in ["authorization", "Authorization", "AUTHORIZATION"] {
        let headers = [(name, "Bearer of-the-guest")];
        let request = request("GET", format!("http://api.internal:{port}/"), &headers);
        let refused = stage.broker.exchange(&access, request).await.unwrap_err();
        assert_eq!((refused.code(), refused.class()), ("credential-header", FaultClass::Denied));
        assert!(refused.to_string().contains("must be left out"), "{refused}");
        assert!(!refused.to_string().contains("of-the-guest"), "{refused}");
    }
    assert_eq!(asked.count(), 0);
}

#[tokio::test]
async fn in_plain_text_a_credential_stays_on_this_machine() {
    let (stage, asked) = (stage(), Asked::default());
    stage.name("far.internal", &["10.0.0.1"]);
    let port = asked.server(FINE).await;
    *stage.network.instead.lock().unwrap() = Some(([127, 0, 0, 1], port).into());
    let far = |credential: &Value| with(credential, grant("http", "far.internal", port));
    let url = format!("http://far.internal:{port}/");
    let refused = get(&stage, &[far(&json!({"secret": "token"}))], url.clone()).await.unwrap_err();
    assert_eq!((refused.code(), asked.count()), ("credential-plaintext", 0));
    // Unless the operator says so.
    get(&stage, &[far(&json!({"secret": "token", "plaintext": true}))], url).await.unwrap();
    assert_eq!(asked.values("authorization"), [format!("Bearer {TOKEN}")]);
}

#[tokio::test]
async fn a_credential_that_can_not_be_used_is_told() {
    let (stage, asked) = (stage(), Asked::default());
    stage.secrets.0.lock().unwrap().insert("two-lines".into(), "one\r\nhost: evil".into());
    let port = asked.server(FINE).await;
    for secret in ["not-there", "two-lines"] {
        let granted = with(&json!({"secret": secret}), grant("http", "api.internal", port));
        let url = format!("http://api.internal:{port}/");
        let refused = get(&stage, &[granted], url).await.unwrap_err();
        assert_eq!(refused.code(), "credential-unusable", "{secret}: {refused}");
        assert!(!refused.to_string().contains("evil"), "{refused}");
    }
    assert_eq!(asked.count(), 0);
}
