//! What was found to be damaged, and what redb is given in its stead.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Damaged places that a message names; it tells how many more there are.
const NAMED_MAX: usize = 4;

/// Damaged places that are remembered; a disk that is breaking has more.
const KEPT_MAX: usize = 10_000;

/// redb's mark of a page that has children.
const BRANCH: u8 = 2;

/// A number of a page that is larger than any page can be: redb says so of it.
const NO_PAGE: u64 = u64::MAX << 59;

/// Puts in the place of a damaged page one that redb refuses, whatever it is
/// looking for in it: a branch without keys, whose only child can't be.
pub(super) fn refuse(page: &mut [u8]) {
    page.fill(0);
    if let Some(mark) = page.first_mut() {
        *mark = BRANCH;
    }
    // After the mark, the number of keys and the checksum of the child.
    if let Some(child) = page.get_mut(24..32) {
        child.copy_from_slice(&NO_PAGE.to_le_bytes());
    }
}

/// What is damaged, by its place in the file; clones are the same list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Findings(Arc<Mutex<BTreeMap<u64, u64>>>);

impl Findings {
    fn places(&self) -> MutexGuard<'_, BTreeMap<u64, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These bytes are not what was written.
    pub(crate) fn changed(&self, place: u64, bytes: u64) {
        if self.add(place, bytes) {
            tracing::error!(place, bytes, "a part of the store is not what was written there");
        }
    }

    /// These bytes are past the end of the file.
    pub(super) fn cut(&self, place: u64, bytes: u64) {
        if self.add(place, bytes) {
            tracing::error!(place, bytes, "a part of the store is missing: the file was cut");
        }
    }

    fn add(&self, place: u64, bytes: u64) -> bool {
        let mut places = self.places();
        places.len() < KEPT_MAX && places.insert(place, bytes).is_none()
    }

    /// How many damaged places were met since the store was opened.
    pub(crate) fn count(&self) -> u64 {
        self.places().len() as u64
    }

    /// The sentence for an error: what is damaged, and what to do.
    pub(crate) fn describe(&self, otherwise: &str) -> String {
        let places = self.places();
        if places.is_empty() {
            return otherwise.to_owned();
        }
        let named: Vec<String> = places
            .iter()
            .take(NAMED_MAX)
            .map(|(place, bytes)| format!("{bytes} bytes at {place}"))
            .collect();
        let more = match places.len().saturating_sub(NAMED_MAX) {
            0 => String::new(),
            more => format!(" and {more} more places"),
        };
        format!(
            "what is in the file is not what was written there ({}{more}); `deployd doctor` \
             tells what is affected, and a backup has it whole",
            named.join(", ")
        )
    }
}
