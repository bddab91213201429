//! Notifier `cdevents`: CDEvents 0.5.1, as structured CloudEvents 1.0.
//!
//! ```yaml
//! notifier: cdevents
//! events: ["deployment.*", "teardown.*", "drift.*"]
//! config: {url: "https://events.example.com/", batch: true}
//! ```
//!
//! | what happens | event |
//! | --- | --- |
//! | a deployment or a teardown is queued, begins, ends | `pipelinerun.queued`, `.started`, `.finished` with its outcome |
//! | a deployment succeeds | for each image, `service.deployed`, `service.upgraded` after the first deployment, or `service.rolledback` |
//! | an environment is taken away | `environment.deleted` |
//! | drift is found, is gone | `incident.detected`, `incident.resolved` |
//!
//! Ids follow from the event, so that whoever gets one twice can tell.

mod event;
#[cfg(test)]
mod tests;

use deployd_plugin_sdk::notifier::{Event, HttpRequest, Notifier};
use deployd_plugin_sdk::{Fault, Log, export_notifier, fit};
use notices::Several;
use serde::Deserialize;
use std::collections::BTreeMap;

struct CdEvents;

export_notifier!(CdEvents);

/// Where to post.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    url: Option<String>,
    source: Option<String>,
    headers: BTreeMap<String, String>,
    batch: bool,
}

/// Requests that the host takes of one event.
const REQUESTS_MAX: usize = 16;

impl Notifier for CdEvents {
    type Config = Config;

    fn format(event: &Event, config: &Config, _: &impl Log) -> Result<Vec<HttpRequest>, Fault> {
        // Without a url, the host posts to the subscription's secret address.
        let url = config.url.as_deref().unwrap_or_default();
        let source = config.source.as_deref().unwrap_or_else(|| own(event));
        let several = match event.r#type == notices::GROUP {
            true => fit::<Several>("event/data", event.data.clone())?.events,
            false => vec![event.clone()],
        };
        let told = several.iter().map(|one| event::of(one, source));
        let told: Vec<_> = told.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
        let request = |content_type: &str, request: HttpRequest| {
            let mut request = HttpRequest { headers: Vec::new(), ..request };
            request = request.header("content-type", content_type);
            for (name, value) in &config.headers {
                request = request.header(name, value);
            }
            request
        };
        if told.is_empty() {
            return Ok(Vec::new());
        }
        if config.batch {
            let batch = HttpRequest::post_json(url, &told)?;
            return Ok(vec![request("application/cloudevents-batch+json", batch)]);
        }
        if told.len() > REQUESTS_MAX {
            return Err(Fault::invalid(
                "/config/batch",
                format!(
                    "this tells of {} events, and at most {REQUESTS_MAX} are sent one by one: \
                     expected `batch: true`, and a receiver that takes batches",
                    told.len()
                ),
            ));
        }
        let one = |event| {
            let structured = HttpRequest::post_json(url, event)?;
            Ok(request("application/cloudevents+json", structured))
        };
        told.iter().map(one).collect()
    }
}

/// This daemon's own URL, as far as the event has it.
fn own(event: &Event) -> &str {
    let link = event.link.as_deref().unwrap_or("/deployd");
    link.split_once('#').map_or(link, |(page, _)| page)
}
