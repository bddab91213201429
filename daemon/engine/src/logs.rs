//! Logs of deployments: kept line by line, bounded, never with a secret (they
//! never get here: the host scrubs what plugins say).

use std::collections::HashMap;
use std::future::Future;
use std::sync::Mutex;
use std::time::Duration;

use deployd_core::ports::{Batch, CallLog, LogLevel, LogLine, Order, Put, Store};
use deployd_core::views::LogEntry;
use deployd_core::{DeploymentId, Timestamp};

use crate::records::{LOGS, below, decode, numbered_key, put};
use crate::{EngineError, Inner};

/// The most lines of one deployment: enough for the longest honest rollout,
/// and a few megabytes at worst.
pub(crate) const LINES_MAX: u64 = 10_000;

/// The longest line, in bytes; longer ones are cut.
pub(crate) const LINE_BYTES_MAX: usize = 4 * 1024;

/// Lines that are written at once: even if every character had to be escaped,
/// far below what the store takes.
const LINES_AT_ONCE: usize = 500;

/// How often lines of a step that runs are written, so that a watcher sees them
/// while it runs.
const FLUSH_EVERY: Duration = Duration::from_millis(200);

/// The next line's number, by deployment; forgotten when a deployment ends.
#[derive(Debug, Default)]
pub(crate) struct Sequences(Mutex<HashMap<DeploymentId, u64>>);

impl Sequences {
    fn take(&self, id: &DeploymentId, count: u64) -> Option<u64> {
        let mut next = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let at = next.get_mut(id)?;
        let first = *at;
        *at = at.saturating_add(count);
        Some(first)
    }

    fn begin(&self, id: &DeploymentId, first: u64) {
        let mut next = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        next.entry(id.clone()).or_insert(first);
    }

    pub(crate) fn forget(&self, id: &DeploymentId) {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(id);
    }
}

impl Inner {
    /// Keeps lines of a step. Lines that can't be kept are no reason for a
    /// deployment to fail: that is logged.
    pub(crate) async fn log(&self, id: &DeploymentId, step: &str, lines: Vec<LogLine>) {
        let puts = self.lines(id, step, lines).await;
        if !puts.is_empty() {
            self.keep(id, puts).await;
        }
    }

    async fn keep(&self, id: &DeploymentId, puts: Vec<Put>) {
        let batch = Batch { puts, ..Batch::default() };
        match self.ports.store.append(batch).await {
            Ok(_) => self.changes.announce(),
            Err(error) => {
                tracing::warn!(deployment = %id, %error, "lines of a log were lost");
            }
        }
    }

    /// Numbers lines of a step, to be kept with what comes of it. More than go
    /// well with that are kept at once.
    pub(crate) async fn lines(
        &self,
        id: &DeploymentId,
        step: &str,
        lines: Vec<LogLine>,
    ) -> Vec<Put> {
        if lines.is_empty() {
            return Vec::new();
        }
        match self.numbered(id, step, lines).await {
            Ok(mut puts) => {
                while puts.len() > LINES_AT_ONCE {
                    let rest = puts.split_off(LINES_AT_ONCE);
                    self.keep(id, std::mem::replace(&mut puts, rest)).await;
                }
                puts
            }
            Err(error) => {
                tracing::warn!(deployment = %id, %error, "lines of a log were lost");
                Vec::new()
            }
        }
    }

    async fn numbered(
        &self,
        id: &DeploymentId,
        step: &str,
        lines: Vec<LogLine>,
    ) -> Result<Vec<Put>, EngineError> {
        let count = lines.len() as u64;
        let first = match self.logs.take(id, count) {
            Some(first) => first,
            None => {
                let last = last_sequence(&*self.ports.store, id).await?;
                self.logs.begin(id, last.saturating_add(1));
                self.logs.take(id, count).unwrap_or(last.saturating_add(1))
            }
        };
        let at = self.ports.clock.now();
        let mut puts = Vec::with_capacity(lines.len());
        for (sequence, line) in (first..).zip(lines) {
            if sequence > LINES_MAX {
                break;
            }
            let entry = if sequence == LINES_MAX {
                let message = format!("the log has {LINES_MAX} lines; what follows is not kept");
                entry_of(sequence, at, step, LogLine { level: LogLevel::Warn, message })
            } else {
                entry_of(sequence, at, step, line)
            };
            puts.push(put(LOGS, numbered_key(&id.0, sequence), &entry)?);
        }
        Ok(puts)
    }

    /// Runs something that writes lines, and keeps them while it runs; the last
    /// of them are left in the log.
    pub(crate) async fn logged<T>(
        &self,
        id: &DeploymentId,
        step: &str,
        log: &CallLog,
        work: impl Future<Output = T>,
    ) -> T {
        self.logged_each(FLUSH_EVERY, id, step, log, work).await
    }

    /// The same for what takes long and says little: its lines are kept each time
    /// so much has passed.
    pub(crate) async fn logged_each<T>(
        &self,
        each: Duration,
        id: &DeploymentId,
        step: &str,
        log: &CallLog,
        work: impl Future<Output = T>,
    ) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                result = &mut work => return result,
                () = tokio::time::sleep(each) => self.log(id, step, log.take()).await,
            }
        }
    }

    /// At most `max` lines after one.
    pub(crate) async fn read_log(
        &self,
        id: &DeploymentId,
        after: u64,
        max: usize,
    ) -> Result<Vec<LogEntry>, EngineError> {
        if let Some(details) = self.details_of(id).await? {
            let wanted = details.logs.into_iter().filter(|line| line.sequence > after);
            return Ok(wanted.take(max).collect());
        }
        let mut range = below(&[&id.0]);
        range.start = numbered_key(&id.0, after.saturating_add(1));
        let page = self.ports.store.scan(LOGS, range, Order::Ascending, max).await?;
        page.entries.iter().map(|(_, bytes)| decode("line of a log", bytes)).collect()
    }
}

pub(crate) async fn last_sequence(
    store: &dyn Store,
    id: &DeploymentId,
) -> Result<u64, EngineError> {
    let page = store.scan(LOGS, below(&[&id.0]), Order::Descending, 1).await?;
    match page.entries.first() {
        Some((_, bytes)) => Ok(decode::<LogEntry>("line of a log", bytes)?.sequence),
        None => Ok(0),
    }
}

fn entry_of(sequence: u64, at: Timestamp, step: &str, line: LogLine) -> LogEntry {
    let mut message = line.message;
    if message.len() > LINE_BYTES_MAX {
        let mut end = LINE_BYTES_MAX;
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message.truncate(end);
        message.push_str(" ...");
    }
    LogEntry { sequence, at, step: step.to_owned(), level: line.level, message }
}
