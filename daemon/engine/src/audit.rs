//! The audit: events that somebody has caused, newest first, found by their
//! marks, or in the stream of their environment.

use deployd_core::EnvironmentId;
use deployd_core::audit::{AuditFilter, AuditPage, MARKS, Mark, mark, mark_place, marks_between};
use deployd_core::journal::{EventRecord, StreamId, Version};
use deployd_core::ports::Order;

use crate::inventory::{hex, key_of};
use crate::records::decode;
use crate::{Engine, EngineError, Inner};

/// The most entries on a page.
const PAGE_MAX: usize = 500;

/// The most marks that are looked at for one page: who looks for what is rare
/// goes on with the cursor.
const MARKS_MAX: usize = 20_000;

/// The most events of an environment that are looked at for one page, and how
/// many are read at once. Most are of steps.
const EVENTS_MAX: u64 = 10_000;
const EVENTS_AT_ONCE: u64 = 500;

impl Engine {
    /// Who did what, newest first, as far as a filter lets it through.
    pub async fn audit(
        &self,
        filter: &AuditFilter,
        cursor: Option<&str>,
        max: usize,
    ) -> Result<AuditPage, EngineError> {
        let max = max.clamp(1, PAGE_MAX);
        match &filter.environment {
            Some(environment) => self.inner.audit_of(environment, filter, cursor, max).await,
            None => self.inner.audit(filter, cursor, max).await,
        }
    }
}

impl Inner {
    async fn audit(
        &self,
        filter: &AuditFilter,
        cursor: Option<&str>,
        max: usize,
    ) -> Result<AuditPage, EngineError> {
        let store = &*self.ports.store;
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

    /// The same of one environment: its own stream has all of it.
    async fn audit_of(
        &self,
        environment: &EnvironmentId,
        filter: &AuditFilter,
        cursor: Option<&str>,
        max: usize,
    ) -> Result<AuditPage, EngineError> {
        let stream = StreamId::environment(environment);
        // Exclusive, as versions begin at 1.
        let mut end = match (cursor, filter.until) {
            (Some(cursor), _) => cursor.parse().map_err(|_| {
                let message = format!("found {cursor:?}, expected what `next` said");
                EngineError::invalid("cursor", message)
            })?,
            (None, Some(until)) => self.version_at(&stream, until).await?.0,
            (None, None) => self.version(&stream).await?.next().0,
        };
        let begin = match filter.since {
            Some(since) => self.version_at(&stream, since).await?.0,
            None => 1,
        };
        let mut page = AuditPage::default();
        let mut left = EVENTS_MAX;
        while end > begin && left > 0 {
            let start = end.saturating_sub(EVENTS_AT_ONCE.min(left)).max(begin);
            let count = usize::try_from(end.saturating_sub(start)).unwrap_or(PAGE_MAX);
            let events = self.ports.store.read(&stream, Version(start), count).await?;
            for record in events.into_iter().rev() {
                let version = record.version.0;
                if version < end && is_wanted(filter, &stream, &record) {
                    page.entries.push(record.into());
                    if page.entries.len() == max {
                        page.next = (version > begin).then(|| version.to_string());
                        return Ok(page);
                    }
                }
            }
            left = left.saturating_sub(end.saturating_sub(start));
            end = start;
        }
        page.next = (end > begin).then(|| end.to_string());
        Ok(page)
    }
}

fn is_wanted(filter: &AuditFilter, stream: &StreamId, record: &EventRecord) -> bool {
    mark(stream, &record.event).is_some_and(|mark| filter.lets_through(&mark))
}
