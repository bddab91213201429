//! The only thread that writes: takes what waits, commits it together, answers.

use std::collections::{BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use deployd_core::journal::{Head, StreamId};
use deployd_core::ports::StoreError;
use deployd_core::seeded::{Bug, seeded};
use redb::{Database, Durability, WriteTransaction};
use tokio::sync::oneshot;

use crate::apply::{self, feed_end};
use crate::error::{Failure, damaged};
use crate::heads::Heads;
use crate::limits::{COMPANY_FROM, GROUP_BYTES_MAX, GROUP_REQUESTS_MAX, LINGER, LINGERS_MAX};
use crate::request::{Answer, Command, Request, Share};
use crate::room::Room;
use crate::sealed::Findings;
use crate::tables::Tables;
use crate::wal::Wal;
use crate::wal::changes::Changes;
use crate::wal::recovery::next_key;
use crate::watermark::Watermark;

/// What the writer has done since the store was opened.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Groups that were committed: to the log by one sync, or to the file by two.
    pub(crate) commits: AtomicU64,
    /// Commits to the file, of groups that the log had no room for or of the log alone.
    pub(crate) checkpoints: AtomicU64,
    /// Requests that were taken from the queue.
    pub(crate) taken: AtomicU64,
    /// Requests answered by a commit.
    pub(crate) committed: AtomicU64,
    /// Requests answered without one: refused, replayed, nothing to do.
    pub(crate) uncommitted: AtomicU64,
    /// Times that company was waited for.
    pub(crate) lingers: AtomicU64,
}

/// The writer's end of the queue, and what it writes to.
pub(crate) struct Writer {
    pub(crate) database: Arc<Database>,
    pub(crate) queue: Receiver<Request>,
    /// None where each commit is to the file.
    pub(crate) wal: Option<Wal>,
    /// How long nobody must have come before a checkpoint.
    pub(crate) rest: Duration,
    pub(crate) watermark: Watermark,
    pub(crate) counts: Arc<Counts>,
    pub(crate) heads: Heads,
    pub(crate) room: Room,
    pub(crate) findings: Findings,
    /// Requests in the group before this one.
    pub(crate) last_group: usize,
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
        while let Some(first) = self.next() {
            let group = self.group(first);
            match self.watermark.check() {
                Ok(()) => self.write(group),
                Err(stopped) => refuse(group.into_iter().map(|request| request.reply), &stopped),
            }
        }
        self.checkpoint();
        self.watermark.stop("it was closed");
    }

    /// The next request; none once nobody can ask any more. Where nobody does for a
    /// while, there is a checkpoint.
    fn next(&mut self) -> Option<Request> {
        loop {
            let rest = if self.has_logged() { self.rest } else { Duration::MAX };
            match self.queue.recv_timeout(rest) {
                Ok(request) => {
                    self.counts.taken.fetch_add(1, Ordering::Relaxed);
                    return Some(request);
                }
                Err(RecvTimeoutError::Timeout) => self.checkpoint(),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// Whether something is in the log and not in the rest of the file; nothing is written
    /// any more once the store has stopped.
    fn has_logged(&self) -> bool {
        self.wal.as_ref().is_some_and(|wal| !wal.is_empty()) && self.watermark.check().is_ok()
    }

    /// Commits to the file what the log has; stops the store when that fails.
    fn checkpoint(&mut self) {
        if !self.has_logged() {
            return;
        }
        let begun = self.database.begin_write().map_err(|e| self.failed(&e.into()));
        if let Err(Abandoned::Failed(reason) | Abandoned::Damage(StoreError::Stopped(reason))) =
            begun.and_then(|transaction| self.commit_to_file(transaction))
        {
            self.stop(&reason);
        }
    }

    fn stop(&self, reason: &str) -> StoreError {
        let reason = format!("a write failed: {reason}");
        tracing::error!(reason, "the store stops");
        self.watermark.stop(&reason);
        StoreError::Stopped(reason)
    }

    /// What waits already, up to the limits of a group; where many ask, also those
    /// that come while some still do.
    fn group(&mut self, first: Request) -> Vec<Request> {
        let mut group = Group { bytes: first.bytes, requests: vec![first] };
        self.take_waiting(&mut group);
        if self.last_group >= COMPANY_FROM {
            for _ in 0..LINGERS_MAX {
                let before = group.requests.len();
                if group.is_full() {
                    break;
                }
                self.counts.lingers.fetch_add(1, Ordering::Relaxed);
                // Nobody else runs on this thread.
                std::thread::sleep(LINGER);
                self.take_waiting(&mut group);
                if group.requests.len() == before {
                    break;
                }
            }
        }
        self.last_group = group.requests.len();
        group.requests
    }

    fn take_waiting(&mut self, group: &mut Group) {
        while !group.is_full() {
            let Ok(request) = self.queue.try_recv() else { break };
            self.counts.taken.fetch_add(1, Ordering::Relaxed);
            group.bytes = group.bytes.saturating_add(request.bytes);
            group.requests.push(request);
        }
    }

    /// Writes a group and answers it; stops the store when that fails.
    fn write(&mut self, group: Vec<Request>) {
        let mut replies = Replies::with_capacity(group.len());
        let mut commands = Vec::with_capacity(group.len());
        // Held until the end: they are the memory of the commands.
        let mut shares: Vec<Share> = Vec::with_capacity(group.len());
        for Request { command, share, reply, .. } in group {
            replies.push_back(reply);
            commands.push(command);
            shares.push(share);
        }
        let written = match self.transact(&commands, &mut replies) {
            // One of them met damage. Each by itself, so that only that one fails.
            Err(Abandoned::Damage(_)) if commands.len() > 1 => {
                self.one_by_one(&commands, &mut replies)
            }
            Err(Abandoned::Damage(why)) => {
                refuse(replies.drain(..), &why);
                Ok(())
            }
            Err(Abandoned::Failed(reason)) => Err(reason),
            Ok(()) => Ok(()),
        };
        if let Err(reason) = written {
            // All of them, also the refused: they were refused because of a
            // state that may never come to be.
            let stopped = self.stop(&reason);
            refuse(replies, &stopped);
        }
    }

    /// Each command in a transaction of its own. When one fails, it and those
    /// after it are still to be answered.
    fn one_by_one(&mut self, commands: &[Command], replies: &mut Replies) -> Result<(), String> {
        for command in commands {
            let mut reply: Replies = replies.pop_front().into_iter().collect();
            match self.transact(std::slice::from_ref(command), &mut reply) {
                Ok(()) => {}
                Err(Abandoned::Damage(why)) => refuse(reply, &why),
                Err(Abandoned::Failed(reason)) => {
                    reply.into_iter().for_each(|reply| replies.push_front(reply));
                    return Err(reason);
                }
            }
        }
        Ok(())
    }

    /// One transaction. Its commands are answered when it is on stable storage;
    /// when it is abandoned, none of them is.
    fn transact(&mut self, commands: &[Command], replies: &mut Replies) -> Result<(), Abandoned> {
        let transaction = self.database.begin_write().map_err(|e| self.failed(&e.into()))?;
        let noted = match self.wal {
            Some(_) => Changes::kept(),
            None => Changes::not_kept(),
        };
        let applied = self.guarded(|| self.apply(&transaction, commands, &noted));
        let Applied { mut outcomes, changes, end, heads } = match applied {
            Ok(Ok(applied)) => applied,
            Ok(Err(failure)) if !failure.is_damage() => return Err(self.failed(&failure)),
            damaged => {
                let why = match damaged {
                    Ok(Err(failure)) => failure.to_string(),
                    _ => "reading failed in a way that only damage explains".to_owned(),
                };
                transaction.abort().map_err(|e| self.failed(&e.into()))?;
                return Err(Abandoned::Damage(damaged_store(&why, &self.findings)));
            }
        };

        let unchanged = (outcomes.len() as u64).saturating_sub(changes);
        self.counts.uncommitted.fetch_add(unchanged, Ordering::Relaxed);
        if changes == 0 {
            transaction.abort().map_err(|e| self.failed(&e.into()))?;
            answer(replies, outcomes);
            return Ok(());
        }
        if seeded(Bug::AcknowledgedBeforeSync) {
            answer(replies, std::mem::take(&mut outcomes));
        }
        self.heads.committing(&heads);
        match self.commit(transaction, &noted.take()) {
            Err(_) if seeded(Bug::FailedSyncAcknowledged) => {}
            committed => committed?,
        }
        self.apply_late(commands).map_err(|failure| self.failed(&failure))?;
        self.counts.commits.fetch_add(1, Ordering::Relaxed);
        self.counts.committed.fetch_add(changes, Ordering::Relaxed);
        self.heads.committed(heads);
        self.watermark.grown(end);
        answer(replies, outcomes);
        Ok(())
    }

    /// Makes a transaction durable, and then visible: by the log where that has room.
    fn commit(&mut self, mut transaction: WriteTransaction, noted: &[u8]) -> Result<(), Abandoned> {
        let Some(wal) = self.wal.as_mut().filter(|wal| wal.has_room(noted.len())) else {
            return self.commit_to_file(transaction);
        };
        let logged = wal.append(noted);
        logged.map_err(|error| self.failed(&redb::StorageError::Io(error).into()))?;
        transaction.set_durability(Durability::None).map_err(|error| self.failed(&error.into()))?;
        self.finish(transaction)
    }

    /// Makes a transaction and all that the log has durable in the rest of the file.
    fn commit_to_file(&mut self, mut transaction: WriteTransaction) -> Result<(), Abandoned> {
        if seeded(Bug::LogCutTooEarly)
            && let Some(wal) = &mut self.wal
        {
            let _ = wal.cut();
        }
        let durability = match seeded(Bug::SyncSkipped) {
            false => Durability::Immediate,
            true => Durability::None,
        };
        transaction.set_durability(durability).map_err(|e| self.failed(&e.into()))?;
        // Else opening after a crash would read the whole file.
        transaction.set_quick_repair(true);
        let key = match self.wal {
            Some(_) => Some(next_key(&transaction).map_err(|failure| self.failed(&failure))?),
            None => None,
        };
        self.finish(transaction)?;
        self.counts.checkpoints.fetch_add(1, Ordering::Relaxed);
        if let (Some(wal), Some(key)) = (&mut self.wal, key) {
            wal.restart(key);
        }
        Ok(())
    }

    fn finish(&self, transaction: WriteTransaction) -> Result<(), Abandoned> {
        match self.guarded(|| transaction.commit()) {
            Ok(committed) => committed.map_err(|e| self.failed(&e.into())),
            Err(why) => Err(Abandoned::Failed(self.findings.describe(why))),
        }
    }

    /// What two seeded bugs leave out of the transaction; else nothing.
    fn apply_late(&self, commands: &[Command]) -> Result<(), Failure> {
        if !seeded(Bug::OutboxOutsideTransaction) && !seeded(Bug::IndexOutsideTransaction) {
            return Ok(());
        }
        let transaction = self.database.begin_write()?;
        {
            let mut tables = Tables::open(&transaction, &Changes::not_kept())?;
            commands.iter().try_for_each(|command| command.apply_late(&mut tables))?;
        }
        Ok(transaction.commit()?)
    }

    fn apply(
        &self,
        transaction: &WriteTransaction,
        commands: &[Command],
        noted: &Changes,
    ) -> Result<Applied, Failure> {
        let mut tables = Tables::open(transaction, noted)?;
        let mut outcomes = Vec::with_capacity(commands.len());
        let mut changes = 0;
        for command in commands {
            match command.apply(&mut tables, &mut |needs| self.room.check(needs)) {
                Ok(applied) => {
                    changes += u64::from(applied.changed);
                    outcomes.push(Ok(applied.answer));
                }
                Err(Failure::Refused(error)) => outcomes.push(Err(error)),
                Err(failure) => return Err(failure),
            }
        }
        let streams: BTreeSet<&StreamId> = commands.iter().flat_map(Command::streams).collect();
        let heads = streams
            .into_iter()
            .map(|stream| Ok((stream.clone(), apply::head(&tables, stream)?)))
            .collect::<Result<_, Failure>>()?;
        Ok(Applied { outcomes, changes, end: feed_end(&*tables.feed)?, heads })
    }

    /// redb asserts what it reads: where damage was met, a panic is one more way
    /// to say so. Without damage it is a fault in the program, and goes on.
    fn guarded<T>(&self, work: impl FnOnce() -> T) -> Result<T, &'static str> {
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(done) => Ok(done),
            Err(_) if self.findings.count() > 0 => Err("redb refused what it read"),
            Err(panic) => resume_unwind(panic),
        }
    }

    fn failed(&self, failure: &Failure) -> Abandoned {
        let text = failure.to_string();
        Abandoned::Failed(if failure.is_damage() { self.findings.describe(&text) } else { text })
    }
}

/// Requests that are committed together.
struct Group {
    requests: Vec<Request>,
    bytes: usize,
}

impl Group {
    fn is_full(&self) -> bool {
        self.requests.len() >= GROUP_REQUESTS_MAX || self.bytes >= GROUP_BYTES_MAX
    }
}

/// What a group of commands came to, before its commit.
struct Applied {
    outcomes: Vec<Outcome>,
    changes: u64,
    /// Of the feed.
    end: u64,
    /// Of all streams that were appended to.
    heads: Vec<(StreamId, Head)>,
}

/// Why a transaction did not come to be.
enum Abandoned {
    /// A command needs what is damaged. Nothing was changed, and others are not
    /// concerned.
    Damage(StoreError),
    /// Whether it came to be is known when the store is opened again.
    Failed(String),
}

fn damaged_store(why: &str, findings: &Findings) -> StoreError {
    damaged("the store can't change this", why, findings)
}

/// The answer to one command of a group.
type Outcome = Result<Answer, StoreError>;

/// To those that wait, in the order of their commands.
type Replies = VecDeque<oneshot::Sender<Outcome>>;

fn answer(replies: &mut Replies, outcomes: Vec<Outcome>) {
    for outcome in outcomes {
        // Whoever asked may have gone; what is stored stays stored.
        let _ = replies.pop_front().map(|reply| reply.send(outcome));
    }
}

fn refuse(replies: impl IntoIterator<Item = oneshot::Sender<Outcome>>, error: &StoreError) {
    for reply in replies {
        let _ = reply.send(Err(error.clone()));
    }
}
