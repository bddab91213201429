//! Notifiers that read answers: what they send next follows from what came back.
//!
//! Messages about one deployment are told one after the other, and share a memory, so
//! that a service which gives what it makes an id is told of it again by that id.

use crate::notifier::{Event, HttpRequest};
use crate::{Fault, Log, document, shown};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Tells others about events, request by request. Pure: the host signs, sends,
/// retries and records.
pub trait Teller: Sized {
    /// The notifier's configuration, from its Subscription document.
    type Config: DeserializeOwned;
    /// What it remembers of a deployment. One that an older version has written, and
    /// that does not fit any more, is none.
    type Memory: DeserializeOwned + Serialize;

    /// What to send next. It is called at the beginning of each attempt, and with the
    /// answer to each request. An attempt can end at any time, and the next one begins
    /// with what was remembered last: at worst, one request is made again.
    fn tell(telling: Telling<Self>, log: &impl Log) -> Result<Step<Self::Memory>, Fault>;
}

/// What is to be told.
#[derive(Debug)]
pub struct Telling<T: Teller> {
    /// What happened.
    pub event: Event,
    /// The notifier's configuration.
    pub config: T::Config,
    /// What the last step returned, of this event or an earlier one of the deployment.
    pub memory: Option<T::Memory>,
    /// What came back of the last step's request; none at the beginning of an attempt.
    pub answer: Option<Answer>,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step<M> {
    /// The request to send; when there is none, all is told. Its thread counts for
    /// nothing.
    pub send: Option<HttpRequest>,
    /// What to remember, recorded before the request goes out. At most 4 KiB of JSON.
    pub memory: Option<M>,
}

impl<M> Step<M> {
    /// Sends a request.
    pub fn send(request: HttpRequest, memory: Option<M>) -> Self {
        Self { send: Some(request), memory }
    }

    /// All is told.
    pub fn done(memory: Option<M>) -> Self {
        Self { send: None, memory }
    }
}

/// What came back of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// When the receiver said to come back.
    pub retry_after: Option<Duration>,
    /// What it said; at most 64 KiB of it.
    pub body: Vec<u8>,
}

impl Answer {
    /// Its document.
    ///
    /// # Errors
    /// The answer is a refusal, or no such document.
    pub fn json<T: DeserializeOwned>(&self, service: &str) -> Result<T, Fault> {
        self.accepted(service)?;
        serde_json::from_slice(&self.body).map_err(|error| {
            let said = shown(&String::from_utf8_lossy(&self.body));
            Fault::permanent(format!("{service} answered what was not expected ({error}): {said}"))
        })
    }

    /// Whether the status is one of success. What a service is not able to do just now
    /// is tried again, and nothing else is.
    ///
    /// # Errors
    /// It is not.
    pub fn accepted(&self, service: &str) -> Result<(), Fault> {
        let said = shown(&String::from_utf8_lossy(&self.body));
        let message = format!("{service} answered {}: {said}", self.status);
        match self.status {
            200..=299 => Ok(()),
            401 | 403 if self.retry_after.is_none() => Err(Fault::denied(message)),
            404 | 410 => Err(Fault::not_found(message)),
            // Also a limit of requests that is told of by 403.
            401 | 403 | 408 | 425 | 429 | 500.. => {
                Err(Fault::Unavailable { message, after: self.retry_after })
            }
            _ => Err(Fault::permanent(message)),
        }
    }
}

/// Documents in, documents out: what the export does.
#[cfg_attr(not(feature = "teller"), allow(dead_code))]
pub(crate) fn tell<T: Teller>(
    event: &str,
    config: &str,
    memory: Option<&str>,
    answer: Option<Answer>,
    log: &impl Log,
) -> Result<(Option<HttpRequest>, Option<String>), Fault> {
    let telling = Telling {
        event: document::read("event", event)?,
        config: document::read("config", config)?,
        memory: memory.and_then(|memory| serde_json::from_str(memory).ok()),
        answer,
    };
    let step = T::tell(telling, log)?;
    let memory = step.memory.map(|memory| document::write("the memory", &memory)).transpose()?;
    Ok((step.send, memory))
}

/// Makes a [`Teller`] the plugin's export.
#[macro_export]
macro_rules! export_teller {
    ($teller:ty) => {
        const _: () = {
            const fn assert_teller<T: $crate::teller::Teller>() {}
            assert_teller::<$teller>();
        };
        #[cfg(target_family = "wasm")]
        const _: () = {
            type Exported = $crate::guest::teller::Exported<$teller>;
            $crate::guest::teller::bindings::__export_teller!(Exported with_types_in $crate::guest::teller::bindings);
        };
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, retry_after: Option<Duration>) -> Answer {
        Answer { status, retry_after, body: b"{\"id\": 7}".to_vec() }
    }

    #[test]
    fn only_what_may_be_better_later_is_tried_again() {
        let wait = Some(Duration::from_secs(9));
        for (status, retry_after, again) in [
            (400, None, false),
            (401, None, false),
            (403, None, false),
            (403, wait, true),
            (404, None, false),
            (422, None, false),
            (302, None, false),
            (408, None, true),
            (429, wait, true),
            (500, None, true),
            (503, None, true),
        ] {
            let fault = answer(status, retry_after).accepted("it").unwrap_err();
            let unavailable =
                matches!(&fault, Fault::Unavailable { after, .. } if *after == retry_after);
            assert_eq!(unavailable, again, "{status}: {fault}");
        }
    }

    #[test]
    fn a_document_is_only_read_of_a_success() {
        let id = |answer: Answer| Ok(answer.json::<serde_json::Value>("it")?["id"].clone());
        assert_eq!(id(answer(201, None)), Ok::<_, Fault>(7.into()));
        assert!(id(answer(500, None)).is_err());
    }
}
