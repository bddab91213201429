//! Threads that read: the async runtime must not wait for a disk.
//!
//! A reader takes all that waits, up to a number, and reads it within one view
//! that is opened afterwards: each read sees what was committed before it was
//! asked for. Under load readers find the next reads when they come back, and
//! nobody has to be woken: waking a thread costs more than most reads do.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use redb::{Database, ReadTransaction, ReadableDatabase as _};

use crate::error::Failure;

/// Reads of one view. More would make those who wait for its first answer wait
/// for its last, if the disk is slow.
const READS_OF_A_VIEW: usize = 16;

/// A read, which answers whoever asked for it and never panics.
pub(crate) type Read = Box<dyn FnOnce(Result<&ReadTransaction, Failure>) + Send>;

/// Reads that wait, and the threads that do them.
pub(crate) struct Readers {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Read>,
    /// Readers that sleep.
    idle: usize,
    /// Readers that were woken and have not come yet: each takes what it finds.
    coming: usize,
    closed: bool,
}

impl Readers {
    /// Starts so many readers of a database; fails when the system has no threads.
    pub(crate) fn start(database: &Arc<Database>, count: usize) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let mut threads = Vec::with_capacity(count);
        for _ in 0..count {
            let (shared, database) = (shared.clone(), database.clone());
            let run = move || shared.run(&database);
            let thread = std::thread::Builder::new().name("store-reader".to_owned()).spawn(run)?;
            threads.push(thread);
        }
        Ok(Self { shared, threads: Mutex::new(threads) })
    }

    /// Hands in a read; gives it back when the readers are closed.
    pub(crate) fn submit(&self, read: Read) -> Result<(), Read> {
        let mut state = self.shared.state();
        if state.closed {
            return Err(read);
        }
        state.waiting.push_back(read);
        if state.idle > 0 && state.coming == 0 {
            state.coming += 1;
            drop(state);
            self.shared.wake.notify_one();
        }
        Ok(())
    }

    /// Takes no more reads. What waits is still done. Returns the threads, to be
    /// waited for.
    pub(crate) fn close(&self) -> Vec<JoinHandle<()>> {
        self.shared.state().closed = true;
        self.shared.wake.notify_all();
        std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Readers {
    /// The threads end by themselves, and with them what they hold.
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    /// Nothing that holds this lock can panic; a poisoned one is as good.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, database: &Database) {
        while let Some(reads) = self.take() {
            match database.begin_read() {
                Ok(view) => reads.into_iter().for_each(|read| read(Ok(&view))),
                // Each gets an error of its own.
                Err(_) => reads.into_iter().for_each(|read| match database.begin_read() {
                    Ok(view) => read(Ok(&view)),
                    Err(error) => read(Err(error.into())),
                }),
            }
        }
    }

    /// Waits for reads; none when there will be no more.
    fn take(&self) -> Option<Vec<Read>> {
        let mut state = self.state();
        while state.waiting.is_empty() {
            if state.closed {
                return None;
            }
            state.idle += 1;
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle = state.idle.saturating_sub(1);
            state.coming = state.coming.saturating_sub(1);
        }
        let count = state.waiting.len().min(READS_OF_A_VIEW);
        let reads = state.waiting.drain(..count).collect();
        // Somebody has to see to the rest.
        if !state.waiting.is_empty() && state.idle > 0 && state.coming == 0 {
            state.coming += 1;
            drop(state);
            self.wake.notify_one();
        }
        Some(reads)
    }
}
