//! Check `http`: an address answers as it should.
//!
//! ```yaml
//! apiVersion: deployd.dev/v1
//! kind: Plugin
//! metadata: { name: http }
//! spec:
//!   kind: check
//!   source: { shipped: http }
//!   grant:
//!     hosts:
//!       - { host: "*.shop-production.svc", port: 8080, scheme: http, privateAddress: true }
//! ---
//! apiVersion: deployd.dev/v1
//! kind: EnvironmentType
//! metadata: { name: production }
//! spec:
//!   # templater, strategy …
//!   checks:
//!     healthy:
//!       plugin: http
//!       config:
//!         url: http://{{workload}}{{suffix}}.{{namespace}}.svc:8080/healthz
//!         body: { pointer: /status, equals: up }
//!         latency_ms: 500
//!       intervalMs: 5000
//!       count: 3          # three good answers, with no bad one in between
//!       failureLimit: 2
//! ```
//!
//! One request per workload and measurement, where the URL has `{{workload}}`;
//! one in all otherwise. `{{suffix}}` is what the names of a track's objects end
//! with: nothing on `stable`, `-canary` on `canary`.
//!
//! **Passed** if status, body and latency are right everywhere. **Failed** if not,
//! and also when nobody answers: that nobody is there is what was asked. What the
//! grant does not allow, and a certificate that is not trusted, are faults: nothing
//! was measured.

#[cfg(test)]
mod tests;

use deployd_plugin_sdk::check::{Check, Escape, Outcome, Request, Verdict};
use deployd_plugin_sdk::{Fault, Host, export_check, http};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

struct Http;

export_check!(Http);

/// The most of a body that a message repeats, in characters.
const SHOWN_CHARACTERS: usize = 80;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    url: String,
    #[serde(default = "get")]
    method: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    send: String,
    #[serde(default = "success")]
    status: Vec<Status>,
    #[serde(default)]
    body: Body,
    latency_ms: Option<u64>,
}

/// `404`, or `2xx`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Status {
    One(u16),
    Class(String),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    contains: Option<String>,
    pointer: Option<String>,
    // `null` is something to be equal to.
    #[serde(default, deserialize_with = "given")]
    equals: Option<Value>,
}

fn get() -> String {
    "GET".to_owned()
}

fn success() -> Vec<Status> {
    vec![Status::Class("2xx".to_owned())]
}

fn given<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

impl Check for Http {
    type Config = Config;

    fn run(request: &Request<Config>, host: &impl Host) -> Result<Outcome, Fault> {
        let Request { config, input, .. } = request;
        if config.body.equals.is_some() && config.body.pointer.is_none() {
            return Err(Fault::invalid("/config/body/pointer", "needed for equals"));
        }
        let addresses = input.filled("/config/url", &config.url, &input.track, Escape::Url)?;
        let mut verdict = Verdict::default();
        let mut wrong = Vec::new();
        for (name, url) in &addresses {
            let (problem, latency_ms) = ask(config, url, host)?;
            if let Some(latency_ms) = latency_ms {
                verdict = verdict.value(format!("latency {name}").trim(), latency_ms, "ms");
            }
            wrong.extend(problem.map(|problem| format!("{url}: {problem}")));
        }
        if wrong.is_empty() {
            let asked = addresses.len();
            verdict.message = match addresses.as_slice() {
                [(_, url)] => format!("{url} answers as it should"),
                _ => format!("all {asked} addresses answer as they should"),
            };
            return Ok(verdict.passed());
        }
        verdict.message = wrong.join("; ");
        Ok(verdict.failed())
    }
}

/// What is wrong with an answer, and how many milliseconds it took.
fn ask(
    config: &Config,
    url: &str,
    host: &impl Host,
) -> Result<(Option<String>, Option<f64>), Fault> {
    let mut request = http::Request::new(config.method.as_str(), url);
    for (name, value) in &config.headers {
        request = request.header(name, value);
    }
    let before = host.elapsed();
    let response = match host.http(&request.body(config.send.as_str())) {
        Ok(response) => response,
        // That nobody answers is what was asked.
        Err(Fault::Unavailable { message, .. }) => return Ok((Some(message), None)),
        Err(other) => return Err(other),
    };
    let took_ms = host.elapsed().saturating_sub(before).as_secs_f64() * 1000.0;
    let mut problems = Vec::new();
    problems.extend(wrong_status(&config.status, response.status));
    problems.extend(wrong_body(&config.body, &response));
    #[expect(clippy::cast_precision_loss, reason = "ten seconds at most, by the schema")]
    if let Some(limit) = config.latency_ms.filter(|limit| took_ms > *limit as f64) {
        problems.push(format!("took {took_ms:.0} ms, expected {limit} ms at most"));
    }
    Ok(((!problems.is_empty()).then(|| problems.join(", ")), Some(took_ms)))
}

fn wrong_status(expected: &[Status], found: u16) -> Option<String> {
    let fits = |status: &Status| match status {
        Status::One(one) => *one == found,
        Status::Class(class) => *class == format!("{}xx", found / 100),
    };
    if expected.iter().any(fits) {
        return None;
    }
    let texts = expected.iter().map(|status| match status {
        Status::One(one) => one.to_string(),
        Status::Class(class) => class.clone(),
    });
    let expected = texts.collect::<Vec<_>>().join(" or ");
    Some(format!("status {found}, expected {expected}"))
}

fn wrong_body(expected: &Body, response: &http::Response) -> Option<String> {
    let text = String::from_utf8_lossy(&response.body);
    if let Some(part) = expected.contains.as_ref().filter(|part| !text.contains(part.as_str())) {
        return Some(format!("a body without {part:?}: {}", beginning(&text)));
    }
    let pointer = expected.pointer.as_ref()?;
    let Ok(document) = serde_json::from_slice::<Value>(&response.body) else {
        return Some(format!("a body that is no JSON: {}", beginning(&text)));
    };
    match (document.pointer(pointer), &expected.equals) {
        (None, _) => Some(format!("a body with nothing at {pointer:?}: {}", beginning(&text))),
        (Some(found), Some(wanted)) if found != wanted => {
            let found = beginning(&found.to_string());
            Some(format!("{found} at {pointer:?}, expected {wanted}"))
        }
        _ => None,
    }
}

/// As much of somebody else's words as a message takes.
fn beginning(text: &str) -> String {
    let shown = deployd_plugin_sdk::shown(text);
    if shown.is_empty() {
        return "(empty)".to_owned();
    }
    shown.chars().take(SHOWN_CHARACTERS).collect()
}
