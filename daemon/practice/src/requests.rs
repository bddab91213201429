//! The log of requests, for tests that ask what a client did.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Requests kept; a test looks at the last few.
const MOST_REQUESTS: usize = 2048;

/// A request that the API answered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeenRequest {
    /// When it came.
    pub at: Instant,
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// The query, empty if there was none.
    pub query: String,
    /// The client's name.
    pub user_agent: String,
    /// The type of the body.
    pub content_type: String,
    /// The status of the answer, 0 where the connection was broken instead.
    pub status: u16,
}

/// The last requests.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    seen: Mutex<VecDeque<SeenRequest>>,
}

impl Requests {
    pub(crate) fn record(&self, request: SeenRequest) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= MOST_REQUESTS {
            seen.pop_front();
        }
        seen.push_back(request);
    }

    pub(crate) fn all(&self) -> Vec<SeenRequest> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().cloned().collect()
    }

    pub(crate) fn clear(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.clear();
    }
}
