//! Notifier `webhook`: one POST per event, in the form of Standard Webhooks 1.0.
//!
//! ```yaml
//! plugin: webhook
//! config:
//!   url: https://hooks.example.com/deployments
//!   events: ["deployment.*", "gate.opened"]   # all if absent
//!   headers: { x-team: shop }
//! ```
//!
//! The body is `{"type", "timestamp", "data"}`. The host adds `webhook-id`,
//! `webhook-timestamp` and `webhook-signature`. Without a `url`, it posts to the
//! secret address of the subscription.

use deployd_plugin_sdk::notifier::{Event, HttpRequest, Notifier};
use deployd_plugin_sdk::{Fault, Log, export_notifier};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

struct Webhook;

export_notifier!(Webhook);

/// Where to post what.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    url: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    events: Option<Vec<String>>,
}

/// Headers that say who speaks: only the host may.
const SIGNATURE_PREFIX: &str = "webhook-";

impl Notifier for Webhook {
    type Config = Config;

    fn format(event: &Event, config: &Config, _: &impl Log) -> Result<Vec<HttpRequest>, Fault> {
        check(config)?;
        if !wanted(config, &event.r#type) {
            return Ok(Vec::new());
        }
        let mut request =
            HttpRequest::post_json(config.url.as_deref().unwrap_or_default(), &Payload::of(event))?;
        for (name, value) in &config.headers {
            request = request.header(name, value);
        }
        if let Some(thread) = thread(event) {
            request = request.thread(thread);
        }
        Ok(vec![request])
    }
}

fn check(config: &Config) -> Result<(), Fault> {
    let is_http = |url: &String| url.starts_with("https://") || url.starts_with("http://");
    if !config.url.as_ref().is_none_or(is_http) {
        return Err(Fault::invalid("/config/url", "an http or https URL"));
    }
    let reserved =
        config.headers.keys().find(|name| name.to_ascii_lowercase().starts_with(SIGNATURE_PREFIX));
    match reserved {
        Some(name) => {
            Err(Fault::invalid(format!("/config/headers/{name}"), "the host sets this header"))
        }
        None => Ok(()),
    }
}

fn wanted(config: &Config, event: &str) -> bool {
    let matches = |pattern: &String| match pattern.strip_suffix('*') {
        Some(prefix) => event.starts_with(prefix),
        None => event == pattern,
    };
    config.events.as_ref().is_none_or(|patterns| patterns.iter().any(matches))
}

/// What happened.
#[derive(Serialize)]
struct Payload<'a> {
    r#type: &'a str,
    timestamp: &'a str,
    data: PayloadData<'a>,
}

/// Where; the event's own data stays as it is, below.
#[derive(Serialize)]
struct PayloadData<'a> {
    id: &'a str,
    application: Option<&'a str>,
    environment: Option<&'a str>,
    detail: &'a Value,
}

impl<'a> Payload<'a> {
    fn of(event: &'a Event) -> Self {
        Self {
            r#type: &event.r#type,
            timestamp: &event.time,
            data: PayloadData {
                id: &event.id,
                application: event.application.as_deref(),
                environment: event.environment.as_deref(),
                detail: &event.data,
            },
        }
    }
}

/// Events of one environment go out in order; others wait for nobody.
fn thread(event: &Event) -> Option<String> {
    let application = event.application.as_deref()?;
    let environment = event.environment.as_deref()?;
    Some(format!("{application}/{environment}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use deployd_plugin_sdk::testing::FakeHost;
    use serde_json::json;

    fn format(config: Value) -> Result<Vec<HttpRequest>, Fault> {
        let event = Event {
            id: "evt-1".to_owned(),
            r#type: "deployment.succeeded".to_owned(),
            time: "2026-11-20T10:00:00Z".to_owned(),
            application: Some("shop".to_owned()),
            environment: Some("production".to_owned()),
            link: None,
            advice: None,
            images: Vec::new(),
            data: json!({"deployment": "dep-1"}),
        };
        let config = serde_json::from_value(config).unwrap();
        Webhook::format(&event, &config, &FakeHost::new())
    }

    #[test]
    fn the_body_is_that_of_standard_webhooks() {
        let requests =
            format(json!({"url": "https://h.example/x", "headers": {"x-a": "b"}})).unwrap();
        let [request] = &requests[..] else { panic!("one request: {requests:?}") };
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(body["type"], "deployment.succeeded");
        assert_eq!(body["timestamp"], "2026-11-20T10:00:00Z");
        assert_eq!(body["data"]["environment"], "production");
        assert_eq!(body["data"]["detail"]["deployment"], "dep-1");
        assert_eq!(request.thread.as_deref(), Some("shop/production"));
        assert_eq!(
            request.headers,
            [
                ("content-type".to_owned(), "application/json".to_owned()),
                ("x-a".to_owned(), "b".to_owned()),
            ]
        );
    }

    #[test]
    fn only_wanted_events_are_told() {
        let told = |events: Value| {
            !format(json!({"url": "https://h.example", "events": events})).unwrap().is_empty()
        };
        assert!(told(json!(["deployment.*"])));
        assert!(told(json!(["gate.opened", "deployment.succeeded"])));
        assert!(!told(json!(["deployment.failed"])));
        assert!(!told(json!([])));
    }

    #[test]
    fn a_signature_can_not_be_forged_by_configuration() {
        let config = json!({"url": "https://h.example", "headers": {"Webhook-Signature": "v1,x"}});
        let fault = format(config).unwrap_err();
        assert!(fault.to_string().contains("/config/headers/Webhook-Signature"));
    }

    #[test]
    fn without_a_url_the_host_knows_the_address() {
        assert_eq!(format(json!({})).unwrap()[0].url, "");
    }

    #[test]
    fn other_schemes_are_refused() {
        assert!(format(json!({"url": "file:///etc/passwd"})).is_err());
    }
}
