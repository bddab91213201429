use std::time::Duration;

use deployd_core::Digest;
use deployd_core::views::{DeployRequest, TokenScope};
use serde_json::{Value, json};

use super::*;
use crate::exit;
use crate::testing::{Answer, Daemon, id, options, record};

fn problem(status: u16) -> Answer {
    Answer::json(status, &json!({"title": "A title", "status": status, "detail": "Some detail."}))
}

#[tokio::test]
async fn writes_have_a_key_that_stays_the_same() {
    let daemon = Daemon::new([
        problem(503).header("retry-after", "0"),
        problem(429),
        Answer::json(202, &record()),
        Answer::json(202, &record()),
        Answer::json(200, &record()),
    ])
    .await;
    let client = daemon.client();
    let request = DeployRequest::default();
    assert_eq!(client.deploy(&request).await.unwrap(), record());
    client.deploy(&request).await.unwrap();
    client.deployment(&id()).await.unwrap();
    let seen = daemon.seen();
    let keys: Vec<Option<&str>> = seen.iter().map(|seen| seen.header("idempotency-key")).collect();
    assert!(keys[0].unwrap().len() >= 32, "{keys:?}");
    assert_eq!(keys[0], keys[1]);
    assert_eq!(keys[0], keys[2]);
    assert_ne!(keys[0], keys[3]);
    assert_eq!(keys[4], None);
    assert_eq!(seen[0].header("content-type"), Some("application/json"));
    assert_eq!(seen[0].body, seen[2].body);
}

#[tokio::test]
async fn a_given_key_and_token_are_used() {
    let daemon = Daemon::new([Answer::json(202, &record())]).await;
    let mut options = options(&daemon.url).with_token("dpl_secret");
    options.idempotency_key = Some("build-17".into());
    let client = Client::new(options).unwrap();
    client.cancel(&id(), Some("why")).await.unwrap();
    let seen = daemon.seen();
    assert_eq!(seen[0].header("idempotency-key"), Some("build-17"));
    assert_eq!(seen[0].header("authorization"), Some("Bearer dpl_secret"));
    assert_eq!(seen[0].line, format!("POST /v1/deployments/{}/cancel", id()));
    assert_eq!(seen[0].json(), json!({"reason": "why"}));
    assert!(!format!("{client:?}").contains("dpl_secret"));
}

#[tokio::test]
async fn attempts_have_a_bound() {
    let daemon = Daemon::new((0..9).map(|_| problem(503))).await;
    let error = daemon.client().whoami().await.unwrap_err();
    assert_eq!(error.exit_code(), exit::UNREACHABLE);
    assert_eq!(daemon.lines().len(), 3);

    // More patience than a command has.
    let daemon = Daemon::new([problem(503).header("retry-after", "3600")]).await;
    assert!(daemon.client().whoami().await.is_err());
    assert_eq!(daemon.lines().len(), 1);

    // What can't pass is not asked again.
    for status in [400, 401, 404, 409, 422, 500] {
        let daemon = Daemon::new([problem(status)]).await;
        assert!(daemon.client().whoami().await.is_err());
        assert_eq!(daemon.lines().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn broken_answers_are_asked_for_again_where_that_is_safe() {
    let daemon = Daemon::new([
        Answer::new(200, "{\"na").breaks(),
        Answer::json(200, &json!([{"name": "a"}])),
    ])
    .await;
    assert_eq!(daemon.client().secrets().await.unwrap()[0].name, "a");

    // Also where a repeat without the key would do it twice.
    let token = json!({
        "name": "ci", "scope": "ci", "createdBy": "admin", "created": "2026-01-01T00:00:00Z", "secret": "dpl_x",
    });
    let daemon = Daemon::new([Answer::new(201, "{\"na").breaks(), Answer::json(201, &token)]).await;
    let name = "ci".parse().unwrap();
    let made = daemon.client().create_token(&name, TokenScope::Ci).await.unwrap();
    assert_eq!(made.secret, "dpl_x");
    let seen = daemon.seen();
    assert!(seen[0].header("idempotency-key").is_some());
    assert_eq!(seen[0].header("idempotency-key"), seen[1].header("idempotency-key"));
}

#[tokio::test]
async fn nobody_answers() {
    let address = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let client = Client::new(options(&format!("http://{address}"))).unwrap();
    let error = client.whoami().await.unwrap_err();
    assert_eq!(error.exit_code(), exit::UNREACHABLE);
    assert!(error.to_string().contains(&address.to_string()), "{error}");

    // One that listens and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut options = options(&format!("http://{}", silent.local_addr().unwrap()));
    options.timeout = Duration::from_millis(20);
    let error = Client::new(options).unwrap().whoami().await.unwrap_err();
    assert!(error.to_string().contains("in time"), "{error}");
}

#[tokio::test]
async fn answers_that_are_no_answers() {
    let daemon = Daemon::new([Answer::new(200, "<html>")]).await;
    let error = daemon.client().whoami().await.unwrap_err();
    assert_eq!(error.exit_code(), exit::DAEMON);
    // A redirect could lead a token elsewhere.
    let daemon =
        Daemon::new([Answer::new(307, "").header("location", "http://127.0.0.1:1/")]).await;
    let error = daemon.client().whoami().await.unwrap_err();
    assert!(error.to_string().contains("307"), "{error}");
}

#[tokio::test]
async fn paths_and_queries_are_escaped() {
    let daemon = Daemon::new((0..5).map(|_| Answer::json(200, &Value::Null))).await;
    let client = Client::new(options(&format!("{}/prefix/", daemon.url))).unwrap();
    let _ = client.notification("../tokens?x=#y").await;
    let _ = client.set(Digest::of(b"x")).await;
    let query = HistoryQuery {
        environment: Some("shop/development".parse().unwrap()),
        cursor: Some("a&b=c".into()),
        limit: Some(5),
    };
    let _ = client.history(&query).await;
    let _ = client.apply(&DocumentFiles::default()).await;
    assert_eq!(
        daemon.lines(),
        [
            "GET /prefix/v1/notifications/..%2Ftokens%3Fx=%23y".to_owned(),
            format!("GET /prefix/v1/sets/{}", Digest::of(b"x")),
            "GET /prefix/v1/deployments?environment=shop%2Fdevelopment&cursor=a%26b%3Dc&limit=5"
                .to_owned(),
            "POST /prefix/v1/documents:apply".to_owned(),
        ]
    );
}

#[test]
fn problems_tell_all_that_is_known() {
    let told = |body: Value, status: u16| {
        let status = reqwest::StatusCode::from_u16(status).unwrap();
        Problem::of(status, &serde_json::to_vec(&body).unwrap()).to_string()
    };
    let items = json!({
        "title": "Documents have errors",
        "detail": "2 things are wrong with the documents; nothing was applied.",
        "errors": [
            {
                "file": "a.yaml", "line": 3, "column": 5, "document": "Environment dev",
                "field": "spec.type", "found": "\"x\"", "expected": "y", "hint": "did you mean `y`?",
                "message": "a.yaml:3:5: Environment dev: spec.type: found \"x\", expected y\n    help: did you mean `y`?"
            },
            {"field": "images", "message": "no artifact was announced"},
        ],
    });
    assert_eq!(
        told(items, 422),
        "Documents have errors (422): 2 things are wrong with the documents; nothing was applied.\n\
         a.yaml:3:5: Environment dev: spec.type: found \"x\", expected y\n    help: did you mean `y`?\n\
         images: no artifact was announced"
    );
    let one =
        json!({"title": "T", "detail": "It is wrong.", "errors": [{"message": "It is wrong."}]});
    assert_eq!(told(one, 400), "T (400): It is wrong.");
    let placed = json!({"title": "T", "errors": [
        {"file": "b.yaml", "line": 2, "message": "is wrong", "hint": "mend it"},
    ]});
    assert_eq!(told(placed, 400), "T (400)\nb.yaml:2:1: is wrong\n    help: mend it");
    let wild = json!({"title": "T\u{1b}[2J", "detail": "\u{7}"});
    assert_eq!(told(wild, 400), "T\u{fffd}[2J (400): \u{fffd}");
    let of = |status: u16, body: &[u8]| {
        Problem::of(reqwest::StatusCode::from_u16(status).unwrap(), body).to_string()
    };
    assert_eq!(of(502, b"upstream is away"), "Bad Gateway (502): upstream is away");
    assert_eq!(of(500, b""), "Internal Server Error (500)");
    assert!(of(500, "x".repeat(10_000).as_bytes()).len() < 400);
}

#[test]
fn exit_codes_of_problems() {
    let table = [
        (400, None, exit::INVALID),
        (401, None, exit::UNAUTHORISED),
        (403, None, exit::UNAUTHORISED),
        (404, None, exit::NOT_FOUND),
        (409, None, exit::CONFLICT),
        (413, None, exit::INVALID),
        (422, None, exit::INVALID),
        (422, Some("invalid-documents"), exit::INVALID),
        (422, Some("failed"), exit::FAILED),
        (422, Some("idempotency-key-reuse"), exit::CONFLICT),
        (429, None, exit::UNREACHABLE),
        (500, None, exit::DAEMON),
        (503, None, exit::UNREACHABLE),
        (507, None, exit::DAEMON),
    ];
    for (status, code, expected) in table {
        let code: Option<&str> = code;
        let problem = Problem { status, code: code.map(str::to_owned), ..Problem::default() };
        assert_eq!(problem.exit_code(), expected, "{status} {code:?}");
    }
}
