//! Notifier `teams`: an Adaptive Card for each event, by a Workflow.
//!
//! ```yaml
//! notifier: teams
//! events: ["*.failed", "deployment.rolled-back"]
//! urlSecret: teams-workflow
//! ```
//!
//! The Workflow is made in Teams from the template "Send webhook alerts to a channel",
//! which gives an address. It takes a message, answers at once, and posts later: that
//! it has taken one is all that can be known, so there are no threads.

#[cfg(test)]
mod tests;

use deployd_plugin_sdk::notifier::{Event, HttpRequest, Notifier};
use deployd_plugin_sdk::{Fault, Log, export_notifier};
use notices::{Mood, Notice};
use serde::Deserialize;
use serde_json::{Value, json};

struct Teams;

export_notifier!(Teams);

/// Where to.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    url: Option<String>,
}

impl Notifier for Teams {
    type Config = Config;

    fn format(event: &Event, config: &Config, _: &impl Log) -> Result<Vec<HttpRequest>, Fault> {
        let message = json!({
            "type": "message",
            "attachments": [{
                "contentType": "application/vnd.microsoft.card.adaptive",
                "contentUrl": null,
                "content": card(&Notice::of(event)?),
            }],
        });
        // Without one, the host posts to the subscription's secret address.
        let url = config.url.clone().unwrap_or_default();
        Ok(vec![HttpRequest::post_json(url, &message)?])
    }
}

/// Version 1.4 is what Teams shows everywhere.
fn card(notice: &Notice) -> Value {
    let mut body = vec![json!({
        "type": "TextBlock",
        "text": escaped(&notice.title),
        "weight": "Bolder",
        "size": "Medium",
        "color": color(notice.mood),
        "wrap": true,
    })];
    for text in [&notice.message, &notice.advice].into_iter().flatten() {
        body.push(json!({"type": "TextBlock", "text": escaped(text), "wrap": true}));
    }
    if !notice.facts.is_empty() {
        let facts: Vec<Value> = notice
            .facts
            .iter()
            .map(|(name, value)| json!({"title": name, "value": escaped(value)}))
            .collect();
        body.push(json!({"type": "FactSet", "facts": facts}));
    }
    let link = notice.link.iter();
    let actions: Vec<Value> = link
        .map(|link| json!({"type": "Action.OpenUrl", "title": "Look at it", "url": link}))
        .collect();
    json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": body,
        "actions": actions,
    })
}

fn color(mood: Mood) -> &'static str {
    match mood {
        Mood::Busy => "Accent",
        Mood::Good => "Good",
        Mood::Neutral => "Default",
        Mood::Bad => "Attention",
        Mood::Asks => "Warning",
    }
}

/// What means something in a card's Markdown.
const MARKDOWN: [char; 12] = ['\\', '*', '_', '[', ']', '(', ')', '#', '~', '`', '<', '>'];

/// What others have written, so that it is no Markdown. What is a list or a heading
/// only at the beginning of a line stays, and does no harm.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if MARKDOWN.contains(&c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}
