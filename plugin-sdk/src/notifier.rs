//! Notifiers turn events into HTTP requests, which the host sends.

use crate::{Fault, Log, document};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Tells others about events. Pure: the host signs, sends, retries and records.
pub trait Notifier: Sized {
    /// The notifier's configuration, from its Subscription document.
    type Config: DeserializeOwned;

    /// The requests that tell of an event; none when it is of no interest.
    fn format(
        event: &Event,
        config: &Self::Config,
        log: &impl Log,
    ) -> Result<Vec<HttpRequest>, Fault>;
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Event {
    /// The same for every delivery of the same event.
    pub id: String,
    /// What happened, such as `deployment.succeeded`.
    pub r#type: String,
    /// When, RFC 3339.
    pub time: String,
    /// The application it concerns, if one.
    #[serde(default)]
    pub application: Option<String>,
    /// The environment it concerns, if one.
    #[serde(default)]
    pub environment: Option<String>,
    /// Where people can look at it.
    #[serde(default)]
    pub link: Option<String>,
    /// What to do about what went wrong, where that is known.
    #[serde(default)]
    pub advice: Option<String>,
    /// The images that are deployed.
    #[serde(default)]
    pub images: Vec<Image>,
    /// The details.
    #[serde(default)]
    pub data: Value,
}

/// An image that is deployed, with what was announced of it last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// The workload it is in.
    pub workload: String,
    /// The container it is in.
    pub container: String,
    /// Its name, as manifests have it: `registry.example.com/shop/web@sha256:...`.
    pub image: String,
    /// The tag it was pushed with.
    #[serde(default)]
    pub tag: Option<String>,
    /// The Git ref it was built from.
    #[serde(default)]
    pub r#ref: Option<String>,
    /// The commit it was built from.
    #[serde(default)]
    pub commit: Option<String>,
    /// Where the build can be looked at.
    #[serde(default)]
    pub build_url: Option<String>,
}

/// A request for the host to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// `POST` and the like.
    pub method: String,
    /// Where to; empty for the secret address of the subscription.
    pub url: String,
    /// Names and values. Those of the signature are the host's.
    pub headers: Vec<(String, String)>,
    /// What to send.
    pub body: Vec<u8>,
    /// What belongs together, for the record: requests of one event go out in order,
    /// and of others nothing is promised. [`Teller`](crate::teller::Teller) has more.
    pub thread: Option<String>,
}

impl HttpRequest {
    /// A POST of a JSON document. A body that borrows from the event is written
    /// without a copy of it; `json!` makes one.
    pub fn post_json(url: impl Into<String>, body: &impl Serialize) -> Result<Self, Fault> {
        Ok(Self {
            method: "POST".to_owned(),
            url: url.into(),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: document::write("the body", body)?.into_bytes(),
            thread: None,
        })
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Says what it belongs to.
    #[must_use]
    pub fn thread(mut self, thread: impl Into<String>) -> Self {
        self.thread = Some(thread.into());
        self
    }
}

/// Fits the documents to the notifier's types and calls it.
#[cfg_attr(not(feature = "notifier"), allow(dead_code))]
pub(crate) fn format<N: Notifier>(
    event: &str,
    config: &str,
    log: &impl Log,
) -> Result<Vec<HttpRequest>, Fault> {
    let event = document::read("event", event)?;
    let config = document::read("config", config)?;
    N::format(&event, &config, log)
}

/// Makes a [`Notifier`] the plugin's export.
#[macro_export]
macro_rules! export_notifier {
    ($notifier:ty) => {
        const _: () = {
            const fn assert_notifier<N: $crate::notifier::Notifier>() {}
            assert_notifier::<$notifier>();
        };
        #[cfg(target_family = "wasm")]
        const _: () = {
            type Exported = $crate::guest::notifier::Exported<$notifier>;
            $crate::guest::notifier::bindings::__export_notifier!(Exported with_types_in $crate::guest::notifier::bindings);
        };
    };
}
