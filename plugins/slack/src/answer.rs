//! What Slack answers: the status is 200 also for most of what it refuses.

use deployd_plugin_sdk::teller::Answer;
use deployd_plugin_sdk::{Fault, shown};
use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Said {
    ok: bool,
    error: Option<String>,
    channel: Option<String>,
    ts: Option<String>,
}

/// A message that is there.
#[derive(Debug)]
pub(crate) struct Posted {
    pub(crate) channel: String,
    pub(crate) ts: String,
}

/// Errors that are gone when Slack is well again.
const PASSING: [&str; 8] = [
    "accesslimited",
    "fatal_error",
    "internal_error",
    "ratelimited",
    "rate_limited",
    "request_timeout",
    "service_unavailable",
    "team_added_to_org",
];

/// Errors about the token, or about what it may do.
const DENIED: [&str; 12] = [
    "access_denied",
    "account_inactive",
    "invalid_auth",
    "missing_scope",
    "no_permission",
    "not_authed",
    "not_in_channel",
    "restricted_action",
    "team_access_not_granted",
    "token_expired",
    "token_revoked",
    "two_factor_setup_required",
];

/// Errors that say that the thread is not there any more.
const GONE: [&str; 3] = ["message_not_found", "thread_not_found", "cannot_reply_to_message"];

/// The message that was posted.
pub(crate) fn posted(answer: &Answer) -> Result<Posted, Fault> {
    accepted(answer)?;
    let said = said(answer);
    match (said.channel, said.ts) {
        (Some(channel), Some(ts)) => Ok(Posted { channel, ts }),
        _ => Err(Fault::permanent("Slack answered without channel and ts of the message")),
    }
}

/// Whether Slack has done what it was asked.
pub(crate) fn accepted(answer: &Answer) -> Result<(), Fault> {
    answer.accepted("Slack")?;
    let said = said(answer);
    if said.ok {
        return Ok(());
    }
    let Some(error) = said.error else {
        let body = shown(&String::from_utf8_lossy(&answer.body));
        return Err(Fault::permanent(format!("Slack answered what was not expected: {body}")));
    };
    let message = format!("Slack answered {:?}{}", shown(&error), what_to_do(&error));
    let error = error.as_str();
    Err(if PASSING.contains(&error) {
        Fault::Unavailable { message, after: answer.retry_after }
    } else if DENIED.contains(&error) {
        Fault::denied(message)
    } else if error == "channel_not_found" || GONE.contains(&error) {
        Fault::not_found(message)
    } else {
        Fault::permanent(message)
    })
}

/// Whether the thread is not there any more.
pub(crate) fn is_gone(answer: &Answer) -> bool {
    said(answer).error.is_some_and(|error| GONE.contains(&error.as_str()))
}

/// Whether asking again will not help.
pub(crate) fn is_final(answer: &Answer) -> bool {
    accepted(answer).is_err_and(|fault| !matches!(fault, Fault::Unavailable { .. }))
}

fn said(answer: &Answer) -> Said {
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

fn what_to_do(error: &str) -> &'static str {
    match error {
        "not_in_channel" | "channel_not_found" => {
            ": invite the bot into the channel (/invite), and give the channel's id"
        }
        "missing_scope" => ": the bot needs the scope chat:write",
        "invalid_auth" | "not_authed" | "token_expired" | "token_revoked" | "account_inactive" => {
            ": set the secret that the subscription's `hosts` names to a token of a bot (xoxb-...)"
        }
        _ => "",
    }
}
