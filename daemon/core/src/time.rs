//! Points in time, as the records keep them.

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01 UTC.
///
/// Nothing is ordered by it: order comes from stream versions. It is for people,
/// for windows and for retries.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// This point, later by so many milliseconds.
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds since an earlier point; zero if that is later.
    pub fn ms_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
