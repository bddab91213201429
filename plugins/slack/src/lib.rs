//! Notifier `slack`: a thread for each deployment, whose first message shows how it
//! stands.
//!
//! ```yaml
//! notifier: slack
//! events: ["deployment.*"]
//! config: {channel: C0123456789}
//! hosts:
//!   - {host: slack.com, port: 443, scheme: https, credential: {secret: slack-bot}}
//! ```
//!
//! The first event of a deployment becomes a message. Each one after it becomes a
//! reply to that message, which then is changed so that who reads only the channel
//! sees the outcome. The bot needs the scope `chat:write`. Without a channel, each
//! event becomes a message of an incoming webhook, which knows no threads.

mod answer;
mod blocks;
#[cfg(test)]
mod tests;

use blocks::{Message, blocks, text};
use deployd_plugin_sdk::notifier::{Event, HttpRequest};
use deployd_plugin_sdk::teller::{Answer, Step, Teller, Telling};
use deployd_plugin_sdk::{Fault, Log, export_teller};
use notices::{Mood, Notice};
use serde::{Deserialize, Serialize};

struct Slack;

export_teller!(Slack);

/// Slack's API.
const API: &str = "https://slack.com/api";

/// Where to.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    channel: Option<String>,
    url: Option<String>,
    #[serde(default = "yes")]
    broadcast: bool,
}

fn yes() -> bool {
    true
}

/// What is known of a thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Memory {
    /// The channel, as Slack has named it.
    channel: String,
    /// The first message.
    ts: String,
    /// The event whose reply is there, while the first message is still to be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replied: Option<String>,
}

impl Teller for Slack {
    type Config = Config;
    type Memory = Memory;

    fn tell(telling: Telling<Self>, log: &impl Log) -> Result<Step<Memory>, Fault> {
        let Telling { event, config, memory, answer } = telling;
        let notice = Notice::of(&event)?;
        match &config.channel {
            Some(channel) => in_channel(&event, &notice, &config, channel, memory, answer, log),
            None => by_webhook(&notice, &config, answer),
        }
    }
}

/// One message, for itself.
fn by_webhook(
    notice: &Notice,
    config: &Config,
    answer: Option<Answer>,
) -> Result<Step<Memory>, Fault> {
    if let Some(answer) = answer {
        answer.accepted("Slack")?;
        return Ok(Step::done(None));
    }
    let message = Message::of(None, notice);
    // Without one, the host posts to the subscription's secret address.
    let url = config.url.clone().unwrap_or_default();
    Ok(Step::send(HttpRequest::post_json(url, &message)?, None))
}

/// A thread: begin it, or reply in it and change its first message.
fn in_channel(
    event: &Event,
    notice: &Notice,
    config: &Config,
    channel: &str,
    memory: Option<Memory>,
    answer: Option<Answer>,
    log: &impl Log,
) -> Result<Step<Memory>, Fault> {
    let api = config.url.as_deref().unwrap_or(API).trim_end_matches('/');
    // Slack takes a document whose charset is not said, with a warning.
    let post = |method: &str, message: &Message<'_>| -> Result<HttpRequest, Fault> {
        let mut request = HttpRequest::post_json(format!("{api}/{method}"), message)?;
        request.headers =
            vec![("content-type".to_owned(), "application/json; charset=utf-8".to_owned())];
        Ok(request)
    };
    let begin = || post("chat.postMessage", &Message::of(Some(channel), notice));
    let replied = memory.as_ref().is_some_and(|memory| memory.replied.as_ref() == Some(&event.id));
    let Some(memory) = memory else {
        let Some(answer) = answer else { return Ok(Step::send(begin()?, None)) };
        let posted = answer::posted(&answer)?;
        let memory = Memory { channel: posted.channel, ts: posted.ts, replied: None };
        return Ok(Step::done(Some(memory)));
    };
    let change = |memory: Memory| {
        let message = Message {
            channel: Some(&memory.channel),
            text: text(notice),
            blocks: blocks(notice, false),
            ts: Some(&memory.ts),
            ..Message::default()
        };
        Ok(Step::send(post("chat.update", &message)?, Some(memory.clone())))
    };
    match (answer, replied) {
        (None, false) => {
            let message = Message {
                channel: Some(&memory.channel),
                text: text(notice),
                blocks: blocks(notice, true),
                thread_ts: Some(&memory.ts),
                reply_broadcast: config.broadcast && matches!(notice.mood, Mood::Bad | Mood::Asks),
                ..Message::default()
            };
            Ok(Step::send(post("chat.postMessage", &message)?, Some(memory)))
        }
        (Some(answer), false) => match answer::posted(&answer) {
            Ok(_) => change(Memory { replied: Some(event.id.clone()), ..memory }),
            // Somebody has deleted the thread: another one is begun.
            Err(_) if answer::is_gone(&answer) => Ok(Step::send(begin()?, None)),
            Err(fault) => Err(fault),
        },
        (None, true) => change(memory),
        (Some(answer), true) => {
            match answer::accepted(&answer) {
                Ok(()) => {}
                // The reply is there, and tells it all.
                Err(fault) if answer::is_final(&answer) => {
                    log.warn(&format!("the thread's first message stays as it is: {fault}"));
                }
                Err(fault) => return Err(fault),
            }
            Ok(Step::done(Some(Memory { replied: None, ..memory })))
        }
    }
}
