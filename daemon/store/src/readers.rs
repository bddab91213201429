//! Threads that read: the async runtime must not wait for a disk.
//!
//! A reader takes all short reads that wait, up to a number, and reads them within
//! one view that is opened afterwards: each read sees what was committed before it
//! was asked for. Under load readers find the next reads when they come back, and
//! nobody has to be woken: waking a thread costs more than most reads do.
//!
//! What reads as much as there is, a reader takes alone, and not all readers do so
//! at once: nobody who asks for one value waits for the end of a long list.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use redb::{Database, ReadTransaction, ReadableDatabase as _};

use crate::error::Failure;

/// Reads of one view. More would make those who wait for its first answer wait
/// for its last, if the disk is slow.
const READS_OF_A_VIEW: usize = 16;

/// Of so many readers, how many may read much at the same time: half of them, so
/// that neither kind of read waits for the end of the other.
const MANY_OF_READERS: usize = 2;

/// The most records of a read that is short all the same.
const FEW: usize = 64;

/// How much is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// A record, or a few.
    Few,
    /// As many as there are, or content of any length.
    Many,
}

impl Extent {
    /// Of a read of at most so many records.
    pub(crate) fn of(max: usize) -> Self {
        if max <= FEW { Self::Few } else { Self::Many }
    }
}

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
    few: VecDeque<Read>,
    many: VecDeque<Read>,
    /// Readers that read much.
    reading_much: usize,
    /// As many of them as there may be.
    reading_much_max: usize,
    /// Readers that sleep.
    idle: usize,
    /// Readers that were woken and have not come yet: each takes what it finds.
    coming: usize,
    closed: bool,
}

impl State {
    /// What a reader is to read now, if anything: short reads together, or a long
    /// one alone.
    fn next(&mut self) -> Option<(Extent, Vec<Read>)> {
        if self.reading_much < self.reading_much_max
            && let Some(read) = self.many.pop_front()
        {
            self.reading_much += 1;
            return Some((Extent::Many, vec![read]));
        }
        let count = self.few.len().min(READS_OF_A_VIEW);
        (count > 0).then(|| (Extent::Few, self.few.drain(..count).collect()))
    }

    /// Whether there is anything for another reader.
    fn has_next(&self) -> bool {
        !self.few.is_empty() || (!self.many.is_empty() && self.reading_much < self.reading_much_max)
    }

    /// Whether somebody has to be woken for what waits. One at a time: who comes
    /// wakes the next, if there is more than it takes.
    fn calls(&mut self) -> bool {
        let calls = self.has_next() && self.idle > 0 && self.coming == 0;
        if calls {
            self.coming += 1;
        }
        calls
    }
}

impl Readers {
    /// Starts so many readers of a database; fails when the system has no threads.
    pub(crate) fn start(database: &Arc<Database>, count: usize) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        shared.state().reading_much_max = (count / MANY_OF_READERS).max(1);
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
    pub(crate) fn submit(&self, extent: Extent, read: Read) -> Result<(), Read> {
        let mut state = self.shared.state();
        if state.closed {
            return Err(read);
        }
        match extent {
            Extent::Few => state.few.push_back(read),
            Extent::Many => state.many.push_back(read),
        }
        if state.calls() {
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
        let mut before = None;
        while let Some((extent, reads)) = self.take(before) {
            match database.begin_read() {
                Ok(view) => reads.into_iter().for_each(|read| read(Ok(&view))),
                // Each gets an error of its own.
                Err(_) => reads.into_iter().for_each(|read| match database.begin_read() {
                    Ok(view) => read(Ok(&view)),
                    Err(error) => read(Err(error.into())),
                }),
            }
            before = Some(extent);
        }
    }

    /// Waits for reads, after what was read before; none when there will be no
    /// more.
    fn take(&self, before: Option<Extent>) -> Option<(Extent, Vec<Read>)> {
        let mut state = self.state();
        if before == Some(Extent::Many) {
            state.reading_much = state.reading_much.saturating_sub(1);
        }
        loop {
            if let Some(next) = state.next() {
                // Somebody has to see to the rest.
                if state.calls() {
                    drop(state);
                    self.wake.notify_one();
                }
                return Some(next);
            }
            // What still waits is for those who read much now.
            if state.closed {
                return None;
            }
            state.idle += 1;
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle = state.idle.saturating_sub(1);
            state.coming = state.coming.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use redb::backends::InMemoryBackend;

    use super::*;

    /// Longer than any read takes.
    const LONG: Duration = Duration::from_secs(60);

    fn readers(count: usize) -> Readers {
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        Readers::start(&Arc::new(database), count).unwrap()
    }

    /// A read that says that it has begun, and ends when it is let go.
    fn held(begun: mpsc::Sender<()>) -> (Read, mpsc::Sender<()>) {
        let (go, gone) = mpsc::channel();
        let read: Read = Box::new(move |view| {
            assert!(view.is_ok());
            begun.send(()).unwrap();
            gone.recv().unwrap();
        });
        (read, go)
    }

    fn said(done: mpsc::Sender<usize>, number: usize) -> Read {
        Box::new(move |_| done.send(number).unwrap())
    }

    #[test]
    fn a_long_read_holds_up_no_short_one() {
        let readers = readers(4);
        let (begun, has_begun) = mpsc::channel();
        // More of them than may read at the same time.
        let holds: Vec<_> = (0..6)
            .map(|_| {
                let (read, go) = held(begun.clone());
                assert!(readers.submit(Extent::Many, read).is_ok());
                go
            })
            .collect();
        for _ in 0..2 {
            has_begun.recv_timeout(LONG).unwrap();
        }
        let (done, answers) = mpsc::channel();
        for number in 0..100 {
            assert!(readers.submit(Extent::Few, said(done.clone(), number)).is_ok());
        }
        for _ in 0..100 {
            answers.recv_timeout(LONG).unwrap();
        }
        assert!(has_begun.try_recv().is_err(), "half of the readers read much, and no more");
        // The others have their turn, also when nothing else is asked any more.
        for go in holds {
            go.send(()).unwrap();
        }
        for _ in 0..4 {
            has_begun.recv_timeout(LONG).unwrap();
        }
        for thread in readers.close() {
            thread.join().unwrap();
        }
    }

    #[test]
    fn what_waits_is_read_after_the_end_and_nothing_is_taken_any_more() {
        let readers = readers(1);
        let (begun, has_begun) = mpsc::channel();
        let (read, go) = held(begun);
        assert!(readers.submit(Extent::Many, read).is_ok());
        has_begun.recv_timeout(LONG).unwrap();
        let (done, answers) = mpsc::channel();
        for (number, extent) in [Extent::Few, Extent::Many, Extent::Few].into_iter().enumerate() {
            assert!(readers.submit(extent, said(done.clone(), number)).is_ok());
        }
        let threads = readers.close();
        assert!(readers.submit(Extent::Few, said(done, 3)).is_err());
        go.send(()).unwrap();
        for thread in threads {
            thread.join().unwrap();
        }
        let mut all: Vec<usize> = answers.try_iter().collect();
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2]);
    }

    #[test]
    fn short_reads_that_wait_share_a_view() {
        let readers = readers(1);
        let (begun, has_begun) = mpsc::channel();
        let (read, go) = held(begun);
        assert!(readers.submit(Extent::Few, read).is_ok());
        has_begun.recv_timeout(LONG).unwrap();
        let (done, answers) = mpsc::channel();
        for _ in 0..READS_OF_A_VIEW {
            let done = done.clone();
            let place: Read =
                Box::new(move |view| done.send(std::ptr::from_ref(view.unwrap()).addr()).unwrap());
            assert!(readers.submit(Extent::Few, place).is_ok());
        }
        go.send(()).unwrap();
        let views: Vec<usize> =
            (0..READS_OF_A_VIEW).map(|_| answers.recv_timeout(LONG).unwrap()).collect();
        assert!(views.iter().all(|view| *view == views[0]), "{views:?}");
    }
}
