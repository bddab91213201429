//! The audit: events that somebody has caused, newest first, found by their
//! marks.

use deployd_core::audit::{AuditFilter, AuditPage, MARKS, Mark, mark_place, marks_between};
use deployd_core::ports::Order;
use deployd_core::views::PAGE_MAX;

use crate::inventory::{hex, key_of};
use crate::records::decode;
use crate::{Engine, EngineError};

/// The most marks that are looked at for one page: who looks for what is rare
/// goes on with the cursor.
const MARKS_MAX: usize = 20_000;

impl Engine {
    /// Who did what, newest first, as far as a filter lets it through.
    pub async fn audit(
        &self,
        filter: &AuditFilter,
        cursor: Option<&str>,
        max: usize,
    ) -> Result<AuditPage, EngineError> {
        let max = max.clamp(1, PAGE_MAX);
        let store = &*self.inner.ports.store;
        let mut range = marks_between(filter.since, filter.until);
        if let Some(before) = key_of(cursor)? {
            range.end = Some(range.end.map_or(before.clone(), |end| end.min(before)));
        }
        let mut page = AuditPage::default();
        let mut left = MARKS_MAX;
        loop {
            let want = if left == MARKS_MAX { max } else { left.min(1_000) };
            let marks = store.scan(MARKS, range.clone(), Order::Descending, want).await?;
            for (key, value) in &marks.entries {
                let found: Mark = decode(MARKS.0, value)?;
                if !filter.lets_through(&found) {
                    continue;
                }
                let (stream, version) =
                    mark_place(key).ok_or_else(|| EngineError::bug("a mark without a place"))?;
                let record = store.read(&stream, version, 1).await?.into_iter().next();
                let record = record.ok_or_else(|| EngineError::bug("a mark without its event"))?;
                page.entries.push(record.into());
                if page.entries.len() == max {
                    page.next = Some(hex(key));
                    return Ok(page);
                }
            }
            left = left.saturating_sub(marks.entries.len());
            let Some((last, _)) = marks.entries.last().filter(|_| marks.more) else {
                return Ok(page);
            };
            if left == 0 {
                page.next = Some(hex(last));
                return Ok(page);
            }
            range.end = Some(last.clone());
        }
    }
}
