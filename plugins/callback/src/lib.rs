//! Check `callback`: has others check what is rolled out (a suite of tests, a load
//! generator, a person with a checklist) and waits for their signed answer.
//!
//! ```yaml
//! apiVersion: deployd.dev/v1
//! kind: Plugin
//! metadata: { name: callback }
//! spec:
//!   kind: check
//!   source: { shipped: callback }
//!   grant:
//!     hosts:
//!       - { host: tests.example.com, port: 443, scheme: https }
//!     secrets: { suite: suite-webhook }   # whsec_…, which both sides have
//!     reveal: [suite]
//! ---
//! apiVersion: deployd.dev/v1
//! kind: EnvironmentType
//! metadata: { name: production }
//! spec:
//!   # templater, strategy …
//!   checks:
//!     suite:
//!       plugin: callback
//!       config: { url: "https://tests.example.com/run", secret: suite }
//!       once: true       # not again, however long the checks go on
//! ```
//!
//! **The request** is a Standard Webhook, signed with the secret: type
//! `check.requested`; `data` has `check` (which one, the same for every repeat, and
//! the `webhook-id`), `deployment`, `application`, `environment`,
//! `environment-type`, `namespace`, `workloads`, `track`, `baseline`, `callback`
//! (where to answer), `deadline`, and what the configuration adds as `more`.
//!
//! **The answer** is a Standard Webhook, too, signed with the same secret, and posted
//! to `callback`: `{"type": "check.answered", "timestamp", "data": {"check",
//! "verdict": "passed" | "failed" | "inconclusive", "message", "measurements":
//! [{"name", "value", "unit"}]}}`. The first counts that has the right signature, is
//! not older than five minutes when it arrives, and names the check. Others are
//! logged, and change nothing.
//!
//! Without an answer by the deadline the check is inconclusive, or failed, as
//! configured.

mod signature;
#[cfg(test)]
mod tests;

use deployd_plugin_sdk::check::{Answer, Callback, Check, Input, Outcome, Request, Verdict};
use deployd_plugin_sdk::{Fault, Host, Pending, Scope, export_check, http, shown};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use signature::Key;
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

struct WebhookCallback;

export_check!(WebhookCallback);

/// How far the clocks of both sides may be apart, the way included.
const TOLERANCE_MS: u64 = 5 * 60_000;

/// Values of an answer that are taken, of which the host takes 32.
const MEASUREMENTS_MAX: usize = 32;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    url: String,
    secret: String,
    #[serde(default = "deadline_ms")]
    deadline_ms: u64,
    #[serde(default)]
    on_deadline: OnDeadline,
    #[serde(default = "poll_ms")]
    poll_ms: u64,
    #[serde(default)]
    data: Map<String, Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum OnDeadline {
    #[default]
    Inconclusive,
    Failed,
}

fn deadline_ms() -> u64 {
    30 * 60_000
}

fn poll_ms() -> u64 {
    5_000
}

/// Since when an answer is waited for.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Waiting {
    asked_ms: u64,
}

/// What others answer.
#[derive(Deserialize)]
struct Payload {
    data: Found,
}

#[derive(Deserialize)]
struct Found {
    check: String,
    verdict: Word,
    #[serde(default)]
    message: String,
    #[serde(default)]
    measurements: Vec<Measured>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Word {
    Passed,
    Failed,
    Inconclusive,
}

#[derive(Deserialize)]
struct Measured {
    name: String,
    value: f64,
    #[serde(default)]
    unit: String,
}

impl Check for WebhookCallback {
    type Config = Config;

    fn run(request: &Request<Config>, host: &impl Host) -> Result<Outcome, Fault> {
        let Request { config, input, scope, token } = request;
        let Some(callback) = &input.callback else {
            return Err(Fault::unsupported("there is no place where others could answer"));
        };
        let key = Key::open(&config.secret, host)?;
        // Also before it is asked: what asked before may have broken off.
        if let Some(outcome) = answered(callback, &input.idempotency_key, &key, host) {
            return Ok(outcome);
        }
        let waiting = match token {
            Some(token) => serde_json::from_str::<Waiting>(token)
                .map_err(|_| Fault::permanent("the token is not one of this check"))?,
            None => {
                ask(config, input, scope, callback, &key, host)?;
                Waiting { asked_ms: input.now_ms }
            }
        };
        let deadline_ms = waiting.asked_ms.saturating_add(config.deadline_ms);
        if input.now_ms >= deadline_ms {
            let minutes = config.deadline_ms / 60_000;
            let verdict = Verdict::new(format!("no answer after {minutes} minutes"));
            return Ok(match config.on_deadline {
                OnDeadline::Inconclusive => verdict.inconclusive(),
                OnDeadline::Failed => verdict.failed(),
            });
        }
        let left_ms = deadline_ms - input.now_ms;
        let token = serde_json::to_string(&waiting)
            .map_err(|error| Fault::permanent(format!("the token can't be written: {error}")))?;
        Ok(Outcome::Pending(Pending {
            token,
            poll_after: Duration::from_millis(config.poll_ms.min(left_ms)),
            message: format!("waits for an answer, for {} s at most", left_ms.div_ceil(1000)),
        }))
    }
}

fn ask(
    config: &Config,
    input: &Input,
    scope: &Scope,
    callback: &Callback,
    key: &Key,
    host: &impl Host,
) -> Result<(), Fault> {
    let id = input.idempotency_key.replace('.', "-");
    let body = json!({
        "type": "check.requested",
        "timestamp": rfc_3339(input.now_ms),
        "data": {
            "check": input.idempotency_key,
            "deployment": input.deployment,
            "application": scope.application,
            "environment": scope.environment,
            "environment-type": scope.environment_type,
            "namespace": input.namespace,
            "workloads": input.workloads,
            "track": input.track,
            "baseline": input.baseline,
            "callback": callback.url,
            "deadline": rfc_3339(input.now_ms.saturating_add(config.deadline_ms)),
            "more": config.data,
        },
    })
    .to_string();
    let timestamp = (input.now_ms / 1000).to_string();
    let signature = key
        .sign(&id, &timestamp, &body)
        .ok_or_else(|| Fault::permanent("the request can't be signed"))?;
    let request = http::Request::post(&config.url)
        .header("content-type", "application/json")
        .header("webhook-id", id)
        .header("webhook-timestamp", timestamp)
        .header("webhook-signature", signature)
        .body(body);
    let response = host.http(&request)?;
    if response.is_success() {
        return Ok(());
    }
    let what = format!("asking {}", config.url);
    Err(response.passing(&what).unwrap_or_else(|| {
        let status = response.status;
        let text = shown(&String::from_utf8_lossy(&response.body));
        Fault::invalid("/config/url", format!("{what}: status {status}, expected 2xx; {text}"))
    }))
}

/// The first answer that counts.
fn answered(callback: &Callback, check: &str, key: &Key, host: &impl Host) -> Option<Outcome> {
    callback.answers.iter().find_map(|answer| match read(answer, check, key) {
        Ok(outcome) => Some(outcome),
        Err(why) => {
            host.warn(&format!("an answer counts for nothing: {why}"));
            None
        }
    })
}

fn read(answer: &Answer, check: &str, key: &Key) -> Result<Outcome, String> {
    let Answer { id, timestamp, signature, body, received_ms } = answer;
    if !key.has_signed(signature, id, timestamp, body) {
        return Err("its signature is not of the secret".to_owned());
    }
    let sent_ms = timestamp.parse::<u64>().ok().and_then(|seconds| seconds.checked_mul(1000));
    let sent_ms = sent_ms.ok_or("its timestamp is no number of seconds")?;
    if sent_ms.abs_diff(*received_ms) > TOLERANCE_MS {
        return Err("its timestamp is minutes from when it arrived".to_owned());
    }
    let payload: Payload = serde_json::from_str(body)
        .map_err(|error| format!("its body does not fit: {}", shown(&error.to_string())))?;
    let found = payload.data;
    if found.check != check {
        return Err(format!("it is of the check {}", shown(&found.check)));
    }
    let mut verdict = Verdict::new(shown(&found.message));
    for Measured { name, value, unit } in found.measurements.into_iter().take(MEASUREMENTS_MAX) {
        verdict = verdict.value(shown(&name), value, shown(&unit));
    }
    if verdict.message.is_empty() {
        "so others have answered".clone_into(&mut verdict.message);
    }
    Ok(match found.verdict {
        Word::Passed => verdict.passed(),
        Word::Failed => verdict.failed(),
        Word::Inconclusive => verdict.inconclusive(),
    })
}

/// A time that no calendar has is left out.
fn rfc_3339(ms: u64) -> Option<String> {
    let seconds = i64::try_from(ms / 1000).ok()?;
    OffsetDateTime::from_unix_timestamp(seconds).ok()?.format(&Rfc3339).ok()
}
