//! The only thread that writes: takes what waits, commits it together, answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use deployd_core::ports::StoreError;
use redb::{Database, Durability};
use tokio::sync::{mpsc, oneshot};

use crate::apply::feed_end;
use crate::error::Failure;
use crate::limits::{GROUP_BYTES_MAX, GROUP_REQUESTS_MAX};
use crate::request::{Answer, Command, Request, Share};
use crate::room::Room;
use crate::tables::Tables;
use crate::watermark::Watermark;

/// What the writer has done since the store was opened.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Commits: each is two syncs.
    pub(crate) commits: AtomicU64,
    /// Requests answered by a commit.
    pub(crate) committed: AtomicU64,
    /// Requests answered without one: refused, replayed, nothing to do.
    pub(crate) uncommitted: AtomicU64,
}

/// The writer's end of the queue, and what it writes to.
pub(crate) struct Writer {
    pub(crate) database: Arc<Database>,
    pub(crate) queue: mpsc::Receiver<Request>,
    pub(crate) watermark: Watermark,
    pub(crate) counts: Arc<Counts>,
    pub(crate) room: Room,
}

/// Says that the store has stopped if the writer ends in any other way than by
/// the end of its queue: a panic must not look like a slow disk.
struct Alarm(Watermark);

impl Drop for Alarm {
    fn drop(&mut self) {
        self.0.stop("its writer has ended");
    }
}

impl Writer {
    /// Works until all ends of the queue for requests are gone.
    pub(crate) fn run(mut self) {
        let _alarm = Alarm(self.watermark.clone());
        while let Some(first) = self.queue.blocking_recv() {
            let group = self.group(first);
            match self.watermark.check() {
                Ok(()) => self.write(group),
                Err(stopped) => refuse(group.into_iter().map(|request| request.reply), &stopped),
            }
        }
        self.watermark.stop("it was closed");
    }

    /// What waits already, up to the limits of a group.
    fn group(&mut self, first: Request) -> Vec<Request> {
        let mut bytes = first.bytes;
        let mut group = vec![first];
        while group.len() < GROUP_REQUESTS_MAX && bytes < GROUP_BYTES_MAX {
            let Ok(request) = self.queue.try_recv() else { break };
            bytes = bytes.saturating_add(request.bytes);
            group.push(request);
        }
        group
    }

    /// Writes a group and answers it; stops the store when that fails.
    fn write(&self, group: Vec<Request>) {
        let mut replies = Vec::with_capacity(group.len());
        let mut commands = Vec::with_capacity(group.len());
        for Request { command, share, reply, .. } in group {
            replies.push(reply);
            commands.push((command, share));
        }
        match self.transact(commands) {
            Ok(answers) => {
                for (reply, answer) in replies.into_iter().zip(answers) {
                    // Whoever asked may have gone; what is stored stays stored.
                    let _ = reply.send(answer);
                }
            }
            Err(failure) => {
                let reason = format!("a write failed: {failure}");
                tracing::error!(reason, "the store stops");
                self.watermark.stop(&reason);
                // All of them, also the refused: they were refused because of a
                // state that may never come to be.
                refuse(replies, &StoreError::Stopped(reason));
            }
        }
    }

    /// One transaction. What it returns is on stable storage.
    fn transact(&self, commands: Vec<(Command, Share)>) -> Result<Vec<Outcome>, Failure> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        // Else opening after a crash would read the whole file.
        transaction.set_quick_repair(true);

        let mut outcomes = Vec::with_capacity(commands.len());
        let mut changes = 0;
        let end = {
            let mut tables = Tables::open(&transaction)?;
            for (command, _share) in commands {
                match command.apply(&mut tables, &mut |needs| self.room.check(needs)) {
                    Ok(applied) => {
                        changes += u64::from(applied.changed);
                        outcomes.push(Ok(applied.answer));
                    }
                    Err(Failure::Refused(error)) => outcomes.push(Err(error)),
                    Err(failure) => return Err(failure),
                }
            }
            feed_end(&tables.feed)?
        };

        let unchanged = (outcomes.len() as u64).saturating_sub(changes);
        self.counts.uncommitted.fetch_add(unchanged, Ordering::Relaxed);
        if changes == 0 {
            transaction.abort()?;
            return Ok(outcomes);
        }
        transaction.commit()?;
        self.counts.commits.fetch_add(1, Ordering::Relaxed);
        self.counts.committed.fetch_add(changes, Ordering::Relaxed);
        self.watermark.grown(end);
        Ok(outcomes)
    }
}

/// The answer to one command of a group.
type Outcome = Result<Answer, StoreError>;

fn refuse(replies: impl IntoIterator<Item = oneshot::Sender<Outcome>>, error: &StoreError) {
    for reply in replies {
        let _ = reply.send(Err(error.clone()));
    }
}
