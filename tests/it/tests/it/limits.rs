//! How often one identity may ask.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::client::Client;
use crate::stage::Stage;

/// Loops that ask at the same time, each without a pause.
const LOOPS: usize = 8;

/// Requests after which one must have been too many, however slow this machine is.
const REQUESTS_MAX: usize = 20_000;

/// Asks until a request is one too many; gives the seconds that it is told to wait, and
/// the problem.
async fn run_away(client: &Client, path: &'static str) -> (u64, Value) {
    let mut loops = JoinSet::new();
    for _ in 0..LOOPS {
        let client = client.clone();
        loops.spawn(async move {
            for _ in 0..REQUESTS_MAX / LOOPS {
                let answer = client.request(Method::GET, path).send().await.unwrap();
                if answer.status() == 429 {
                    let wait = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
                    return Some((wait, answer.json().await.unwrap()));
                }
            }
            None
        });
    }
    // Each to its end: who goes before the answer may take its note in the audit along.
    let found = loops.join_all().await.into_iter().flatten().next();
    found.unwrap_or_else(|| panic!("{REQUESTS_MAX} requests, and none is too many"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_that_has_run_away_is_slowed_down_and_nobody_else() {
    let stage = Stage::set().await;
    let token = stage.client.post("/v1/tokens", &json!({"name": "loop", "scope": "read"})).await;
    let looping = stage.client.with_token(token.ok()["secret"].as_str().unwrap());
    let (wait, problem) = run_away(&looping, "/v1/whoami").await;
    assert!((1..=10).contains(&wait), "{wait}");
    assert_eq!(problem["code"], "rate-limited");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.starts_with("loop sends more than 100 requests a second"), "{detail}");
    stage.client.get("/v1/whoami").await.ok();
    looping.get("/readyz").await.ok();
    // The audit tells that it has begun to, and not of each request.
    let audit = stage.client.get("/v1/audit?refused=true").await.ok();
    let notes = audit["entries"].as_array().unwrap();
    assert_eq!(notes.len(), 1, "{audit:#}");
    assert_eq!(notes[0]["actor"], "loop", "{audit:#}");

    // Who has no token, or a wrong one, is an address; probes of it are answered.
    let nobody = stage.client.with_token("dpl_guessed");
    let (_, problem) = run_away(&nobody, "/v1/whoami").await;
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.starts_with("This address sends more than"), "{detail}");
    stage.client.get("/v1/whoami").await.ok();
    nobody.get("/readyz").await.ok();
}
