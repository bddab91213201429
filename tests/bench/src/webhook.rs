//! The plugin `webhook` as ordinary Rust: the work itself, with no boundary
//! around it.

use std::collections::BTreeMap;

use anyhow::ensure;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Deserialize)]
struct Event {
    id: String,
    r#type: String,
    time: String,
    application: Option<String>,
    environment: Option<String>,
    #[serde(default)]
    data: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    url: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    events: Option<Vec<String>>,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'a str,
    timestamp: &'a str,
    data: BodyData<'a>,
}

#[derive(Serialize)]
struct BodyData<'a> {
    id: &'a str,
    application: Option<&'a str>,
    environment: Option<&'a str>,
    detail: &'a Value,
}

/// A request for the host to send.
#[derive(Serialize)]
pub struct Request {
    /// `POST`.
    pub method: &'static str,
    /// Where to.
    pub url: String,
    /// Names and values.
    pub headers: BTreeMap<String, String>,
    /// What to send.
    pub body: String,
    /// Requests of one thread go out in order.
    pub thread: Option<String>,
}

/// Makes one POST of an event, from documents to requests.
pub fn format(event: &str, config: &str) -> anyhow::Result<Vec<Request>> {
    requests(&serde_json::from_str(event)?, serde_json::from_str(config)?)
}

fn requests(event: &Event, config: Config) -> anyhow::Result<Vec<Request>> {
    let http = config.url.starts_with("https://") || config.url.starts_with("http://");
    ensure!(http, "url: an http or https URL");
    let reserved = |name: &String| name.to_ascii_lowercase().starts_with("webhook-");
    ensure!(!config.headers.keys().any(reserved), "headers: the host sets some of these");
    let matches = |pattern: &String| match pattern.strip_suffix('*') {
        Some(prefix) => event.r#type.starts_with(prefix),
        None => event.r#type == *pattern,
    };
    if !config.events.as_ref().is_none_or(|patterns| patterns.iter().any(matches)) {
        return Ok(Vec::new());
    }
    let (application, environment) = (event.application.as_deref(), event.environment.as_deref());
    let body = Body {
        r#type: &event.r#type,
        timestamp: &event.time,
        data: BodyData { id: &event.id, application, environment, detail: &event.data },
    };
    let mut headers = config.headers;
    headers.insert("content-type".to_owned(), "application/json".to_owned());
    Ok(vec![Request {
        method: "POST",
        url: config.url,
        headers,
        body: serde_json::to_string(&body)?,
        thread: application.zip(environment).map(|(one, other)| format!("{one}/{other}")),
    }])
}
