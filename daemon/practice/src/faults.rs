//! Faults of the API that a test asks for.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::status::ApiError;

/// Faults that wait at most; a test needs a handful.
const MOST_FAULTS: usize = 256;

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// 429 with a `Retry-After` of so many seconds.
    TooManyRequests {
        /// Seconds.
        retry_after: u64,
    },
    /// 500
    InternalError,
    /// 503
    Unavailable,
    /// 504
    Timeout,
    /// 409, as if somebody else had been quicker.
    Conflict,
    /// 403
    Forbidden,
    /// The connection breaks before an answer.
    Disconnect,
    /// The request is answered, but late.
    Latency(Duration),
}

/// Which requests a fault is for; what is not said fits every request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestMatch {
    method: Option<String>,
    path: Option<String>,
}

impl RequestMatch {
    /// Every request.
    #[must_use]
    pub fn any() -> Self {
        Self::default()
    }

    /// Only requests of a method.
    #[must_use]
    pub fn method(mut self, method: impl Into<String>) -> Self {
        self.method = Some(method.into());
        self
    }

    /// Only requests whose path and query contain a text.
    #[must_use]
    pub fn path(mut self, part: impl Into<String>) -> Self {
        self.path = Some(part.into());
        self
    }

    fn fits(&self, method: &str, path: &str) -> bool {
        self.method.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
            && self.path.as_deref().is_none_or(|part| path.contains(part))
    }
}

/// What happens to watches that are open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct WatchOrders {
    /// Counts the times that all were dropped.
    pub(crate) drops: u64,
    /// Counts the times that all were told 410.
    pub(crate) expiries: u64,
}

/// The faults of a cluster's API.
#[derive(Debug)]
pub struct Faults {
    waiting: Mutex<Vec<(RequestMatch, Fault, Option<u32>)>>,
    watches: watch::Sender<WatchOrders>,
    away: watch::Sender<bool>,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            watches: watch::Sender::new(WatchOrders::default()),
            away: watch::Sender::new(false),
        }
    }
}

impl Faults {
    /// Lets a fault happen to the next `times` requests that fit.
    pub fn inject(&self, requests: RequestMatch, fault: Fault, times: u32) {
        self.push((requests, fault, Some(times)));
    }

    /// Lets a fault happen to every request that fits, until [`Faults::clear`].
    pub fn always(&self, requests: RequestMatch, fault: Fault) {
        self.push((requests, fault, None));
    }

    /// Forgets all faults, and lets the API come back if it was away.
    pub fn clear(&self) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.clear();
        self.away.send_replace(false);
    }

    /// Breaks the connections of all watches.
    pub fn drop_watches(&self) {
        self.watches.send_modify(|orders| orders.drops += 1);
    }

    /// Ends all watches with 410 Gone, and forgets the history, so that they
    /// cannot begin where they were either.
    pub fn expire_watches(&self) {
        self.watches.send_modify(|orders| orders.expiries += 1);
    }

    /// Closes the API: connections break, new ones are refused.
    pub fn go_away(&self) {
        self.away.send_replace(true);
    }

    /// Opens the API again, at the address it had.
    pub fn come_back(&self) {
        self.away.send_replace(false);
    }

    /// What is to happen to a request: delays first, then one failure.
    pub(crate) fn strike(&self, method: &str, path: &str) -> (Duration, Option<Fault>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut delay = Duration::ZERO;
        let mut failure = None;
        for (requests, fault, times) in waiting.iter_mut() {
            let is_latency = matches!(fault, Fault::Latency(_));
            if !requests.fits(method, path) || (failure.is_some() && !is_latency) {
                continue;
            }
            match times {
                Some(0) => continue,
                Some(left) => *left -= 1,
                None => {}
            }
            match fault {
                Fault::Latency(time) => delay += *time,
                other => failure = Some(*other),
            }
        }
        waiting.retain(|(_, _, times)| *times != Some(0));
        (delay, failure)
    }

    /// Orders to open watches.
    pub(crate) fn watch_orders(&self) -> watch::Receiver<WatchOrders> {
        self.watches.subscribe()
    }

    /// Whether the API is away.
    pub(crate) fn away(&self) -> watch::Receiver<bool> {
        self.away.subscribe()
    }

    fn push(&self, fault: (RequestMatch, Fault, Option<u32>)) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= MOST_FAULTS {
            waiting.remove(0);
        }
        waiting.push(fault);
    }
}

/// The answer that a fault gives.
pub(crate) fn answer(fault: Fault) -> Option<ApiError> {
    Some(match fault {
        Fault::TooManyRequests { retry_after } => ApiError {
            retry_after: Some(retry_after),
            ..ApiError::new(429, "TooManyRequests", "too many requests, please try again later")
        },
        Fault::InternalError => {
            ApiError::new(500, "InternalError", "Internal error occurred: practice fault")
        }
        Fault::Unavailable => ApiError::new(
            503,
            "ServiceUnavailable",
            "the server is currently unable to handle the request",
        ),
        Fault::Timeout => ApiError::new(
            504,
            "Timeout",
            "Timeout: request did not complete within the allotted timeout",
        ),
        Fault::Conflict => ApiError::new(
            409,
            "Conflict",
            "the object has been modified; please apply your changes to the latest version and try again",
        ),
        Fault::Forbidden => ApiError::new(403, "Forbidden", "forbidden: practice fault"),
        Fault::Disconnect | Fault::Latency(_) => return None,
    })
}
