//! Messages that are told together: the first one of them waits a while for others,
//! and tells them with its own, once and for all the same.
//!
//! Which ones it tells is on stable storage before it is told the first time: whoever
//! gets it twice gets the same twice, under one id.

use serde_json::{Value, json};

use super::{Message, MessageId, MessageStatus};
use crate::Timestamp;
use crate::config::{GroupBy, Grouping};

/// The most messages that are told together: what a person reads in a chat at once.
pub const GROUP_MAX: usize = 50;

/// The type of the event that tells of several.
pub const GROUP_TYPE: &str = "group";

/// What a message finds before it is told, where messages are told together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is told now, with these, which was decided before.
    Tells(Vec<MessageId>),
    /// Whom it tells is still to be decided.
    Gathers,
    /// Another one tells it.
    Waits {
        /// Until when it is put off.
        until: Timestamp,
    },
    /// Another one has told it, or never will.
    Ended(MessageStatus),
}

/// What a message finds; `teller` is the one that is to tell it, where there is one.
pub fn standing(message: &Message, teller: Option<&Message>) -> Standing {
    if let Some(together) = &message.together {
        return Standing::Tells(together.clone());
    }
    let tells = |teller: &&Message| {
        message.with.as_ref() == Some(&teller.id)
            && teller.together.iter().flatten().any(|id| *id == message.id)
    };
    match teller.filter(tells) {
        // Nobody tells it: whoever was to has never recorded it.
        None => Standing::Gathers,
        Some(teller) if teller.status == MessageStatus::Pending => {
            Standing::Waits { until: teller.due }
        }
        Some(teller) => Standing::Ended(teller.status),
    }
}

/// Whether a message is told with another one, if it is not being told already.
pub fn joins(message: &Message, teller: &Message, grouping: &Grouping) -> bool {
    message.id != teller.id
        && message.subscription == teller.subscription
        && message.status == MessageStatus::Pending
        && message.tries == 0
        && message.together.is_none()
        && message.with.as_ref().is_none_or(|with| *with == teller.id)
        && key(grouping.by, &message.event) == key(grouping.by, &teller.event)
}

/// What messages that are told together have in common.
fn key(by: GroupBy, event: &Value) -> [Option<&str>; 2] {
    let text = |field: &str| event.get(field).and_then(Value::as_str);
    match by {
        GroupBy::Application => [text("application"), None],
        GroupBy::Environment => [text("application"), text("environment")],
        GroupBy::Subscription => [None, None],
    }
}

/// The event that tells of several, in the order in which they happened. Of where they
/// happened it says what they have in common.
pub fn together(message: &Message, mut events: Vec<Value>) -> Value {
    let time = |event: &Value| event.get("time").cloned().unwrap_or_default().to_string();
    events.sort_by_key(time);
    let same = |field: &str| {
        let first = events.first()?.get(field)?.clone();
        events.iter().all(|event| event.get(field) == Some(&first)).then_some(first)
    };
    let (application, environment) = (same("application"), same("environment"));
    let last = events.last().and_then(|event| event.get("time")).cloned();
    json!({
        "id": message.id,
        "type": GROUP_TYPE,
        "time": last,
        "application": application,
        "environment": application.and(environment),
        "data": {"events": events},
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Name;

    fn message(id: &str, application: &str, environment: &str) -> Message {
        let name: Name = "mail".parse().unwrap();
        let event = json!({
            "id": id, "type": "deployment.succeeded", "time": format!("2026-11-23T00:00:0{id}Z"),
            "application": application, "environment": environment,
        });
        Message::new(MessageId(id.into()), name, event, Timestamp(0))
    }

    fn by(text: &str) -> Grouping {
        serde_json::from_value(json!({"wait": "5m", "by": text})).unwrap()
    }

    #[test]
    fn those_of_one_application_are_told_together() {
        let teller = message("1", "shop", "production");
        for (application, environment, expected) in [
            ("shop", "production", [true, true, true]),
            ("shop", "staging", [true, false, true]),
            ("blog", "production", [false, false, true]),
        ] {
            let other = message("2", application, environment);
            let found = ["application", "environment", "subscription"]
                .map(|text| joins(&other, &teller, &by(text)));
            assert_eq!(found, expected, "{application} {environment}");
        }
        let other = message("2", "shop", "production");
        for other in [
            Message { tries: 1, ..other.clone() },
            Message { together: Some(Vec::new()), ..other.clone() },
            Message { with: Some(MessageId("3".into())), ..other.clone() },
            Message { status: MessageStatus::Delivered, ..other.clone() },
            Message { subscription: "chat".parse().unwrap(), ..other },
        ] {
            assert!(!joins(&other, &teller, &by("subscription")), "{other:?}");
        }
    }

    #[test]
    fn who_is_told_by_another_one_waits_for_it_and_ends_with_it() {
        let mut teller = message("1", "shop", "production");
        let mut other = message("2", "shop", "production");
        assert_eq!(standing(&other, None), Standing::Gathers);
        other.with = Some(teller.id.clone());
        assert_eq!(standing(&other, Some(&teller)), Standing::Gathers, "it was never recorded");
        teller.together = Some(vec![other.id.clone()]);
        teller.due = Timestamp(7);
        let until = Timestamp(7);
        assert_eq!(standing(&other, Some(&teller)), Standing::Waits { until });
        teller.status = MessageStatus::Dead;
        assert_eq!(standing(&other, Some(&teller)), Standing::Ended(MessageStatus::Dead));
        assert_eq!(standing(&teller, None), Standing::Tells(vec![other.id]));
    }

    #[test]
    fn the_event_says_what_all_have_in_common() {
        let message = message("2", "shop", "production");
        let first = self::message("1", "shop", "staging").event;
        let event = together(&message, vec![message.event.clone(), first.clone()]);
        assert_eq!(event["application"], "shop");
        assert_eq!(event["environment"], Value::Null);
        assert_eq!(event["data"]["events"], json!([first, message.event]));
        assert_eq!(event["time"], message.event["time"]);
    }
}
