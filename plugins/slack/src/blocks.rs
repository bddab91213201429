//! Messages in Slack's form.

use notices::{Mood, Notice};
use serde::Serialize;
use serde_json::{Value, json};

/// Characters of a text of a block; Slack takes 3000, and counts what is escaped.
const SECTION_CHARS: usize = 2900;

/// A message of `chat.postMessage`, of `chat.update`, or of an incoming webhook.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Message<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) channel: Option<&'a str>,
    /// What notifications show.
    pub(crate) text: String,
    pub(crate) blocks: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ts: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) thread_ts: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) reply_broadcast: bool,
}

impl<'a> Message<'a> {
    /// A message that begins something.
    pub(crate) fn of(channel: Option<&'a str>, notice: &Notice) -> Self {
        Self { channel, text: text(notice), blocks: blocks(notice, false), ..Self::default() }
    }
}

/// The message in a line.
pub(crate) fn text(notice: &Notice) -> String {
    format!("{} {}", sign(notice.mood), escaped(&notice.title))
}

/// The message. A reply stands below what says where it is about.
pub(crate) fn blocks(notice: &Notice, is_reply: bool) -> Vec<Value> {
    let mut title = format!("{} *{}*", sign(notice.mood), escaped(&notice.title));
    if let Some(link) = notice.link.as_deref().filter(|_| !is_reply) {
        title = format!("{title}\n<{}|Look at it>", escaped(link).replace('|', "%7C"));
    }
    let mut blocks = vec![section(&title)];
    if let Some(message) = &notice.message {
        blocks.push(section(&escaped(message)));
    }
    if let Some(advice) = &notice.advice {
        blocks.push(section(&format!(":bulb: {}", escaped(advice))));
    }
    let facts: Vec<String> =
        notice.facts.iter().map(|(name, value)| format!("{name}: {}", escaped(value))).collect();
    if !facts.is_empty() && !is_reply {
        let facts = mrkdwn(&facts.join("\n"));
        blocks.push(json!({"type": "context", "elements": [facts]}));
    }
    blocks
}

fn section(text: &str) -> Value {
    json!({"type": "section", "text": mrkdwn(text)})
}

fn mrkdwn(text: &str) -> Value {
    // Cut where no entity is cut: the last one may have been.
    let mut cut: String = text.chars().take(SECTION_CHARS).collect();
    if cut.len() < text.len() {
        if let Some(entity) = cut.rfind('&').filter(|at| cut.len() - at < "&amp;".len()) {
            cut.truncate(entity);
        }
        cut.push('…');
    }
    json!({"type": "mrkdwn", "text": cut, "verbatim": true})
}

/// What others have written, so that it is neither a link nor a mention.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn sign(mood: Mood) -> &'static str {
    match mood {
        Mood::Busy => ":hourglass_flowing_sand:",
        Mood::Good => ":white_check_mark:",
        Mood::Neutral => ":white_circle:",
        Mood::Bad => ":x:",
        Mood::Asks => ":raised_hand:",
    }
}
