//! What is kept of deployments beside their records: packed into one compressed
//! value in the transaction in which a deployment ends, and dropped when its time
//! is over.
//!
//! For how long is counted back from the newest deployment, or from now where that
//! is earlier, as it was seen a while ago by a clock that can't be set: a clock
//! that is wrong drops nothing that is not old.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};

use deployd_core::config::DetailsSpec;
use deployd_core::deployment::projection::DEPLOYMENTS;
use deployd_core::details::Details;
use deployd_core::ports::{Batch, Index, KeyRange, Order, Put, Snapshot, Store};
use deployd_core::views::LogEntry;
use deployd_core::{DeploymentId, EnvironmentId, Timestamp};
use tokio::time::Instant;

use crate::clocks::Wall;
use crate::records::{LOGS, SCAN_MAX, below, decode, encode, get, key};
use crate::{EngineError, Inner};

/// Deployment -> [`Details`] as compressed JSON.
const DETAILS: Index = Index("details");
/// Environment type and deployment -> nothing: what [`Inner::drop_old_details`] goes by.
const BY_TYPE: Index = Index("details-by-type");
/// How the pods of a deployment were in its end, until it is packed: deployment ->
/// time and `Snapshot`.
pub(crate) const SNAPSHOTS: Index = Index("snapshots");

/// zstd's own default: fast, and logs repeat themselves so much that more effort
/// finds little more.
const LEVEL: i32 = 3;

/// Bytes of the beginning of a log that are read to be packed, and of its end:
/// logs that are longer than that are of programs, and for nobody to read. What
/// went wrong is told at the end.
const BEGINNING_BYTES: usize = 2 << 20;
const END_BYTES: usize = 6 << 20;

/// How large a packed value can be when it is unpacked: both of these, and what
/// is around them.
const UNPACKED_MAX: u64 = 16 << 20;

/// Lines that are compressed in less time than it takes to hand them to another
/// thread.
const SHORT_LOG: usize = 500;

/// Lines that are read at once.
const LINES_AT_ONCE: usize = 500;

/// Lines that are removed together with what takes their place; the rest of very
/// long logs goes right after. Far below what a store takes at once.
const REMOVED_AT_ONCE: usize = 1_000;

/// Each time a log is too large, so much of it stays, in percent.
const SHORTENED_TO: usize = 70;

/// How many deployments end between looks for what is too old.
const DROP_EVERY: u64 = 64;

/// Details that are dropped in one transaction.
const DROPPED_AT_ONCE: usize = 200;

impl Inner {
    /// Adds to the batch that ends a deployment what is kept of its details.
    /// Whether lines are left for [`Inner::remove_lines`]. Details that can't be
    /// packed are no reason for a deployment not to end.
    pub(crate) async fn pack(
        &self,
        id: &DeploymentId,
        environment: &EnvironmentId,
        batch: &mut Batch,
    ) -> bool {
        let (environment_type, spec) = match self.configuration().await {
            Ok(configuration) => {
                let of = configuration.environments.get(environment);
                let of = of.map(|spec| spec.environment_type.clone());
                let spec = of.as_ref().and_then(|of| configuration.environment_types.get(of));
                (of, spec.and_then(|spec| spec.details))
            }
            Err(_) => (None, None),
        };
        // Also of what can't be packed: its lines go when their time is over.
        let environment_type = environment_type.as_ref().map_or("", |name| name.as_str());
        let key = key(&[environment_type, &id.0]);
        batch.puts.push(Put { index: BY_TYPE, key, value: Some(Vec::from(b"null")) });
        match self.packed(id, spec.unwrap_or_default(), &batch.puts).await {
            Ok((packed, Stored { first, more })) => {
                batch.puts.retain(|put| !is_detail(put, id));
                batch.puts.push(packed);
                batch.puts.extend(first.into_iter().map(|key| gone(LOGS, key)));
                batch.puts.push(gone(SNAPSHOTS, id.0.as_bytes().to_vec()));
                more
            }
            Err(error) => {
                tracing::warn!(deployment = %id, %error, "its log is kept as it is, line by line");
                false
            }
        }
    }

    /// What is kept, and the lines that it takes the place of. Something is kept
    /// of each deployment, so that what was dropped is told from what never was.
    async fn packed(
        &self,
        id: &DeploymentId,
        spec: DetailsSpec,
        new: &[Put],
    ) -> Result<(Put, Stored), EngineError> {
        let store = &*self.ports.store;
        let (mut log, stored) = stored_log(store, id).await?;
        for put in new.iter().filter(|put| put.index == LOGS && is_detail(put, id)) {
            log.take(put.value.clone().unwrap_or_default());
        }
        let left_out = log.left_out;
        let logs = log.lines()?;
        let snapshot = new.iter().find(|put| put.index == SNAPSHOTS && is_detail(put, id));
        let snapshot: Option<(Timestamp, Snapshot)> =
            match snapshot.and_then(|put| put.value.as_deref()) {
                Some(bytes) => Some(decode("snapshot", bytes)?),
                None => get(store, SNAPSHOTS, id.0.as_bytes()).await?,
            };
        let lines = logs.len();
        let details = Details { logs, left_out, snapshot };
        let budget = spec.budget();
        let bytes = if lines <= SHORT_LOG {
            compress(details, budget)?
        } else {
            let compressing = tokio::task::spawn_blocking(move || compress(details, budget));
            compressing.await.map_err(EngineError::bug)??
        };
        let packed = Put { index: DETAILS, key: id.0.as_bytes().to_vec(), value: Some(bytes) };
        Ok((packed, stored))
    }

    /// Removes lines that are packed already. What a crash leaves goes with the
    /// rest of the details.
    pub(crate) async fn remove_lines(&self, id: &DeploymentId) {
        if let Err(error) = self.try_remove_lines(id).await {
            tracing::warn!(deployment = %id, %error, "lines of a log that is packed stay for now");
        }
    }

    async fn try_remove_lines(&self, id: &DeploymentId) -> Result<(), EngineError> {
        let store = &*self.ports.store;
        loop {
            let range = below(&[&id.0]);
            let page = store.scan(LOGS, range, Order::Ascending, REMOVED_AT_ONCE).await?;
            if page.entries.is_empty() {
                return Ok(());
            }
            let puts = page.entries.into_iter().map(|(key, _)| gone(LOGS, key)).collect();
            store.append(Batch { puts, ..Batch::default() }).await?;
        }
    }

    /// What is kept of a deployment that has ended; none for one that has not, and
    /// where its time is over.
    pub(crate) async fn details_of(
        &self,
        id: &DeploymentId,
    ) -> Result<Option<Details>, EngineError> {
        let Some(bytes) = self.ports.store.get(DETAILS, id.0.as_bytes()).await? else {
            return self.imported_details(id).await;
        };
        tokio::task::spawn_blocking(move || decompress(&bytes))
            .await
            .map_err(EngineError::bug)?
            .map(Some)
    }

    /// Looks now and then for details that are too old, deployments having ended.
    pub(crate) fn details_after(self: &Arc<Self>, ended: usize) {
        let ended = ended as u64;
        let before = self.packed.fetch_add(ended, std::sync::atomic::Ordering::Relaxed);
        if before / DROP_EVERY == before.saturating_add(ended) / DROP_EVERY {
            return;
        }
        let inner = self.clone();
        self.tasks.spawn(async move {
            if let Err(error) = inner.drop_old_details().await {
                tracing::warn!(%error, "details of old deployments are dropped another time");
            }
        });
    }

    /// Drops what is older than the types of environments say, by a time that was
    /// seen a while before: the first look of a process drops nothing.
    pub(crate) async fn drop_old_details(&self) -> Result<u64, EngineError> {
        let store = &*self.ports.store;
        let all = KeyRange { start: Vec::new(), end: None };
        let newest = store.scan(DEPLOYMENTS, all, Order::Descending, 1).await?;
        let Some((_, newest)) = newest.entries.first() else { return Ok(0) };
        let newest: deployd_core::deployment::DeploymentRecord = decode("deployment", newest)?;
        let now = (Instant::now(), self.ports.clock.now());
        let from = self.believed(now, newest.queued);
        let Some(from) = from else { return Ok(0) };
        let configuration = self.configuration().await?;
        let mut dropped = 0;
        for name in types(store).await? {
            let of_type =
                configuration.environment_types.iter().find(|(of, _)| of.as_str() == name);
            let spec = of_type.and_then(|(_, spec)| spec.details).unwrap_or_default();
            let Some(keep_ms) = spec.keep_ms() else { continue };
            let oldest = Timestamp(from.0.saturating_sub(keep_ms));
            let oldest_kept = DeploymentId::from_parts(oldest, [0; 10]);
            let range = KeyRange {
                end: Some(key(&[name.as_str(), oldest_kept.0.as_str()])),
                ..below(&[name.as_str()])
            };
            loop {
                let page =
                    store.scan(BY_TYPE, range.clone(), Order::Ascending, DROPPED_AT_ONCE).await?;
                if page.entries.is_empty() {
                    break;
                }
                dropped += page.entries.len() as u64;
                self.drop_details(&page.entries).await?;
            }
        }
        Ok(dropped)
    }

    fn believed(&self, now: (Instant, Timestamp), newest: Timestamp) -> Option<Timestamp> {
        let mut horizon = self.horizon.lock().unwrap_or_else(PoisonError::into_inner);
        horizon.look(now, newest)
    }

    async fn drop_details(&self, page: &[(Vec<u8>, Vec<u8>)]) -> Result<(), EngineError> {
        let mut puts = Vec::new();
        for (place, _) in page {
            let id = place.rsplit(|byte| *byte == 0).next().unwrap_or_default();
            // Lines that could not be packed, and what a crash has left.
            self.try_remove_lines(&DeploymentId(String::from_utf8_lossy(id).into_owned())).await?;
            puts.push(gone(DETAILS, id.to_vec()));
            puts.push(gone(BY_TYPE, place.clone()));
        }
        self.ports.store.append(Batch { puts, ..Batch::default() }).await?;
        Ok(())
    }
}

/// From when the age of details is counted back: a time that was so a while ago,
/// so that no clock which is wrong for less than that drops anything.
#[derive(Debug, Default)]
pub(crate) struct Horizon {
    wall: Wall,
    /// The last time that was seen, and since when.
    seen: Option<(Instant, Timestamp)>,
}

impl Horizon {
    /// Looks at the clocks, and when the newest deployment was asked for. None as
    /// long as nothing is to be believed.
    fn look(
        &mut self,
        (instant, now): (Instant, Timestamp),
        newest: Timestamp,
    ) -> Option<Timestamp> {
        let wait = self.wall.look((instant, now));
        let at = newest.min(now);
        let (since, seen) = *self.seen.get_or_insert((instant, at));
        // Set back: what was seen before was wrong.
        let is_wrong = at < seen;
        if !is_wrong && instant.duration_since(since) < wait {
            return None;
        }
        self.seen = Some((instant, at));
        (!is_wrong).then_some(seen)
    }
}

/// Stored lines of a log: the keys of as many as are removed at once, and whether
/// there are more.
struct Stored {
    first: Vec<Vec<u8>>,
    more: bool,
}

/// The lines of a log, as they are stored: as many as are packed, from both ends.
#[derive(Debug, Default)]
struct Ends {
    beginning: Vec<Vec<u8>>,
    beginning_bytes: usize,
    end: VecDeque<Vec<u8>>,
    end_bytes: usize,
    left_out: u64,
}

impl Ends {
    fn take(&mut self, line: Vec<u8>) {
        let bytes = line.len();
        if self.end.is_empty() && self.beginning_bytes.saturating_add(bytes) <= BEGINNING_BYTES {
            self.beginning_bytes = self.beginning_bytes.saturating_add(bytes);
            self.beginning.push(line);
            return;
        }
        self.end_bytes = self.end_bytes.saturating_add(bytes);
        self.end.push_back(line);
        while self.end_bytes > END_BYTES
            && let Some(line) = self.end.pop_front()
        {
            self.end_bytes = self.end_bytes.saturating_sub(line.len());
            self.left_out = self.left_out.saturating_add(1);
        }
    }

    fn lines(self) -> Result<Vec<LogEntry>, EngineError> {
        let all = self.beginning.iter().chain(&self.end);
        all.map(|bytes| decode("line of a log", bytes)).collect()
    }
}

/// The stored lines of a deployment, and keys of the first.
async fn stored_log(store: &dyn Store, id: &DeploymentId) -> Result<(Ends, Stored), EngineError> {
    let mut ends = Ends::default();
    let mut stored = Stored { first: Vec::new(), more: false };
    let mut range = below(&[&id.0]);
    loop {
        let page = store.scan(LOGS, range.clone(), Order::Ascending, LINES_AT_ONCE).await?;
        // The first key after the last one.
        let last = page.entries.last().filter(|_| page.more);
        let next = last.map(|(key, _)| key.iter().copied().chain([0]).collect());
        for (key, line) in page.entries {
            ends.take(line);
            match stored.first.len() < REMOVED_AT_ONCE {
                true => stored.first.push(key),
                false => stored.more = true,
            }
        }
        match next {
            Some(next) => range.start = next,
            None => return Ok((ends, stored)),
        }
    }
}

/// The types of environments that there are details of: each is the first key
/// after all of the one before.
async fn types(store: &dyn Store) -> Result<Vec<String>, EngineError> {
    let mut found = Vec::new();
    let mut range = KeyRange { start: Vec::new(), end: None };
    while found.len() < SCAN_MAX {
        let page = store.scan(BY_TYPE, range.clone(), Order::Ascending, 1).await?;
        let Some((first, _)) = page.entries.first() else { break };
        let name = first.split(|byte| *byte == 0).next().unwrap_or_default();
        let name = String::from_utf8_lossy(name).into_owned();
        range.start = KeyRange::prefix(&key(&[&name, ""])).end.unwrap_or_default();
        found.push(name);
    }
    Ok(found)
}

fn is_detail(put: &Put, id: &DeploymentId) -> bool {
    match put.index {
        LOGS => put.key.strip_prefix(id.0.as_bytes()).is_some_and(|rest| rest.starts_with(&[0])),
        SNAPSHOTS => put.key == id.0.as_bytes(),
        _ => false,
    }
}

fn gone(index: Index, key: Vec<u8>) -> Put {
    Put { index, key, value: None }
}

/// Compressed, and shortened until it is within the budget.
fn compress(mut details: Details, budget: usize) -> Result<Vec<u8>, EngineError> {
    loop {
        let bytes = zstd::bulk::compress(&encode(&details)?, LEVEL).map_err(EngineError::bug)?;
        if bytes.len() <= budget {
            return Ok(bytes);
        }
        if details.logs.is_empty() {
            details.snapshot = None;
            details.left_out = details.left_out.max(1);
            return zstd::bulk::compress(&encode(&details)?, LEVEL).map_err(EngineError::bug);
        }
        details = details.shortened(SHORTENED_TO);
    }
}

fn decompress(bytes: &[u8]) -> Result<Details, EngineError> {
    let reader = zstd::stream::read::Decoder::new(bytes).map_err(EngineError::bug)?;
    let mut json = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(reader, UNPACKED_MAX), &mut json)
        .map_err(|error| EngineError::bug(format!("stored details can't be read: {error}")))?;
    decode("details", &json)
}

#[cfg(test)]
mod tests {
    use deployd_core::ports::LogLevel;

    use super::*;

    #[test]
    fn details_are_shortened_to_their_budget_and_read_again() {
        // Nothing that repeats itself: each message is a digest.
        let line = |sequence: u64| LogEntry {
            sequence,
            at: Timestamp(sequence),
            step: "render".to_owned(),
            level: LogLevel::Info,
            message: deployd_core::Digest::of(&sequence.to_be_bytes()).hex(),
        };
        let details = Details { logs: (1..=2_000).map(line).collect(), ..Details::default() };
        let whole = decompress(&compress(details.clone(), 1 << 20).unwrap()).unwrap();
        assert_eq!(whole, details);
        let packed = compress(details.clone(), 16 * 1024).unwrap();
        assert!(packed.len() <= 16 * 1024, "{}", packed.len());
        let kept = decompress(&packed).unwrap();
        assert_eq!(kept.left_out + kept.logs.len() as u64, 2_000);
        assert_eq!(kept.logs.first(), details.logs.first());
        assert_eq!(kept.logs.last(), details.logs.last());
        let nothing = decompress(&compress(details, 1).unwrap()).unwrap();
        assert_eq!((nothing.logs.len(), nothing.left_out), (0, 2_000));
    }
}
