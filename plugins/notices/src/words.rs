//! What an event means.

use crate::data::{Asked, Data, Several};
use crate::version_of;
use deployd_plugin_sdk::Fault;
use deployd_plugin_sdk::notifier::Event;

/// Images that are named one by one; of more, how many there are.
const IMAGES_NAMED: usize = 5;

/// The longest text of others in a message: faults of clusters may have pages.
const TEXT_CHARS: usize = 600;

/// What a line of several says of what went wrong.
const LINE_CHARS: usize = 120;

/// The type of an event that tells of several.
pub const GROUP: &str = "group";

/// How an event is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// Something goes on.
    Busy,
    /// It has ended well.
    Good,
    /// It has ended, neither well nor badly.
    Neutral,
    /// It has ended badly.
    Bad,
    /// Somebody has to do something.
    Asks,
}

/// An event in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What has happened where, in a sentence without a full stop.
    pub title: String,
    /// What all messages of its deployment have in common.
    pub subject: String,
    /// How it is meant.
    pub mood: Mood,
    /// Names and values, in the order of their weight.
    pub facts: Vec<(&'static str, String)>,
    /// What went wrong, or what somebody is to look at.
    pub message: Option<String>,
    /// What to do about it.
    pub advice: Option<String>,
    /// Where to look at it.
    pub link: Option<String>,
}

impl Notice {
    /// What an event means.
    ///
    /// # Errors
    /// Its details are not what this daemon records.
    pub fn of(event: &Event) -> Result<Self, Fault> {
        if event.r#type == GROUP {
            return Self::of_several(event);
        }
        let mut data = Data::of(event)?;
        data.gates.retain(|gate| !gate.is_of_calendars());
        let place = match (&event.application, &event.environment) {
            (Some(application), Some(environment)) => format!("{application}/{environment}"),
            (Some(name), None) | (None, Some(name)) => name.clone(),
            (None, None) => "deployd".to_owned(),
        };
        let subject = match data.number {
            Some(number) => format!("{place}, deployment {number}"),
            None => place,
        };
        let (verb, mood) = meaning(&event.r#type, &data);
        let waits: Vec<String> = data.gates.into_iter().map(|gate| gate.message).collect();
        let asked = data.approvals.iter().filter(|one| one.missing > 0).map(Asked::text);
        let asked = (event.r#type == "approval.requested").then(|| asked.collect::<Vec<_>>());
        let waits = asked.unwrap_or(waits);
        let message = data
            .message
            .or(data.fault.as_ref().map(|fault| fault.message.clone()))
            .or((!waits.is_empty()).then(|| waits.join("\n")));
        let mut facts = Vec::new();
        facts.extend(data.actor.map(|actor| ("By", clipped(&actor, TEXT_CHARS))));
        facts.extend(data.by.map(|by| ("Said by", clipped(&by, TEXT_CHARS))));
        facts.extend(data.origin.and_then(|origin| {
            let why = match origin.kind.as_str() {
                "artifact" => "a new image",
                "redeploy" => "an earlier deployment, once more",
                "rollback" => "back to an earlier deployment",
                "drift" => "drift, to be healed",
                "clone" => "a copy of another environment",
                "expired" => "its time is over",
                _ => return None,
            };
            Some(("Why", why.to_owned()))
        }));
        facts.extend(images(event).map(|images| ("Images", clipped(&images, TEXT_CHARS))));
        facts.extend(data.comment.map(|comment| ("Comment", clipped(&comment, TEXT_CHARS))));
        facts.extend(data.fault.map(|fault| ("Fault", clipped(&fault.code, TEXT_CHARS))));
        facts.retain(|(_, value)| !value.is_empty());
        let said = |text: Option<String>| {
            text.map(|text| clipped(&text, TEXT_CHARS)).filter(|text| !text.is_empty())
        };
        Ok(Self {
            title: format!("{subject} {verb}"),
            subject,
            mood,
            facts,
            message: said(message),
            advice: said(event.advice.clone()),
            link: event.link.clone(),
        })
    }
}

impl Notice {
    /// What several events mean that are told together: each in a line.
    fn of_several(event: &Event) -> Result<Self, Fault> {
        let several: Several = deployd_plugin_sdk::fit("event/data", event.data.clone())?;
        let notices = several.events.iter().map(Self::of).collect::<Result<Vec<_>, _>>()?;
        let subject = match (&event.application, &event.environment) {
            (Some(application), Some(environment)) => format!("{application}/{environment}"),
            (Some(application), None) => application.clone(),
            (None, _) => "deployd".to_owned(),
        };
        let count = |mood: Mood, word: &str| {
            let many = notices.iter().filter(|notice| notice.mood == mood).count();
            (many > 0).then(|| format!("{many} {word}"))
        };
        let [bad, asks, good] =
            [count(Mood::Bad, "bad"), count(Mood::Asks, "to look at"), count(Mood::Good, "good")];
        let counts: Vec<String> = [bad, asks, good].into_iter().flatten().collect();
        let title = match counts.is_empty() {
            true => format!("{subject}: {} events", notices.len()),
            false => format!("{subject}: {} events, {}", notices.len(), counts.join(", ")),
        };
        let worst = [Mood::Bad, Mood::Asks, Mood::Good, Mood::Neutral];
        let mood = worst.into_iter().find(|mood| notices.iter().any(|one| one.mood == *mood));
        let lines: Vec<String> = notices
            .iter()
            .map(|notice| match &notice.message {
                Some(message) if matches!(notice.mood, Mood::Bad | Mood::Asks) => {
                    let first = message.lines().next().unwrap_or_default();
                    format!("{}: {}", notice.title, clipped(first, LINE_CHARS))
                }
                _ => notice.title.clone(),
            })
            .collect();
        Ok(Self {
            title,
            subject,
            mood: mood.unwrap_or(Mood::Busy),
            facts: Vec::new(),
            message: Some(lines.join("\n")),
            advice: None,
            link: event.link.clone(),
        })
    }
}

/// What has happened, as the rest of a sentence about it.
fn meaning(event: &str, data: &Data) -> (String, Mood) {
    let (verb, mood) = match event {
        "deployment.queued" => ("is queued", Mood::Busy),
        "deployment.deferred" => ("does not begin yet", Mood::Neutral),
        "deployment.yielded" => ("makes way for going back", Mood::Neutral),
        "deployment.started" => ("has begun", Mood::Busy),
        "deployment.planned" if data.gates.iter().any(|gate| !gate.is_of_time()) => {
            ("is planned and waits for somebody to let it begin", Mood::Asks)
        }
        "deployment.planned" if !data.gates.is_empty() => {
            ("is planned and waits for its time", Mood::Busy)
        }
        "deployment.planned" => ("is planned", Mood::Busy),
        "deployment.proposed" => ("waits for its pull request to be merged", Mood::Asks),
        "deployment.paused" => ("waits for somebody", Mood::Asks),
        "deployment.succeeded" => ("has succeeded", Mood::Good),
        "deployment.failed" => ("has failed", Mood::Bad),
        "deployment.rolled-back" => ("has failed and was rolled back", Mood::Bad),
        "deployment.cancelled" => ("was cancelled", Mood::Neutral),
        "deployment.superseded" => ("has given way to a newer one", Mood::Neutral),
        "deployment.needs-operator" => ("needs an operator", Mood::Asks),
        "approval.requested" => ("waits for approval", Mood::Asks),
        "approval.given" => ("was approved", Mood::Good),
        "approval.withdrawn" => ("is approved by one less", Mood::Neutral),
        "approval.refused" => ("was refused", Mood::Bad),
        "approval.expired" => ("was not approved in time", Mood::Bad),
        "approval.bypassed" => ("goes on without approvals", Mood::Asks),
        "teardown.queued" => ("is to be taken away", Mood::Busy),
        "teardown.deferred" => ("is not taken away yet", Mood::Neutral),
        "teardown.yielded" => ("is not taken away before it has gone back", Mood::Neutral),
        "teardown.started" => ("is being taken away", Mood::Busy),
        "teardown.planned" => ("is being taken away: the plan is made", Mood::Busy),
        "teardown.proposed" => ("is gone once its pull request is merged", Mood::Asks),
        "teardown.succeeded" => ("is gone", Mood::Neutral),
        "teardown.failed" => ("could not be taken away", Mood::Bad),
        "teardown.cancelled" => ("is not taken away after all", Mood::Neutral),
        "teardown.needs-operator" => ("could not be taken away and needs an operator", Mood::Asks),
        "drift.found" => {
            let found = data.summary.as_ref().map_or(0, |summary| summary.findings);
            let new = data.new.unwrap_or(0);
            let verb = format!("differs from what was deployed: {found} findings, {new} new");
            return (verb, Mood::Bad);
        }
        "drift.gone" => ("is as it was deployed again", Mood::Good),
        "drift.healing-given-up" => {
            let heals = data.heals.unwrap_or(0);
            let verb = format!("differs again after {heals} attempts to heal it");
            return (verb, Mood::Asks);
        }
        // A daemon that is newer than this plugin.
        other => {
            let mood = if other.ends_with("requested") { Mood::Asks } else { Mood::Neutral };
            return (format!("tells: {}", other.replace(['.', '-', '_'], " ")), mood);
        }
    };
    (verb.to_owned(), mood)
}

fn images(event: &Event) -> Option<String> {
    let named: Vec<String> = event
        .images
        .iter()
        .take(IMAGES_NAMED)
        .map(|image| format!("{} {}", image.workload, version_of(image)))
        .collect();
    let more = event.images.len().saturating_sub(named.len());
    match (named.is_empty(), more) {
        (true, _) => None,
        (false, 0) => Some(named.join(", ")),
        (false, more) => Some(format!("{} and {more} more", named.join(", "))),
    }
}

/// The beginning of a text, without control characters but line breaks.
pub fn clipped(text: &str, chars: usize) -> String {
    let clean = |c: char| if c.is_control() && c != '\n' { ' ' } else { c };
    let mut short: String = text.trim().chars().map(clean).take(chars).collect();
    if text.trim().chars().nth(chars).is_some() {
        short.push('…');
    }
    short
}
