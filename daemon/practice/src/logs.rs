//! What containers wrote.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

/// Lines kept of one run of a container.
const MOST_LINES: usize = 500;

/// Containers whose lines are kept; the longest dead go first.
const MOST_CONTAINERS: usize = 4096;

/// Runs of a container kept: the present one and the one before.
const RUNS: usize = 2;

/// A line, with the time it was written.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// Counts the lines of the container's run.
    pub(crate) number: u64,
    /// RFC 3339 with nanoseconds.
    pub(crate) time: String,
    /// Without a line break.
    pub(crate) text: String,
}

#[derive(Debug, Default)]
struct Run {
    number: u64,
    next: u64,
    lines: VecDeque<Line>,
}

#[derive(Debug, Default)]
struct Inner {
    containers: HashMap<(String, String), VecDeque<Run>>,
    order: VecDeque<(String, String)>,
}

/// The lines of all containers, by pod uid and container name.
#[derive(Debug)]
pub(crate) struct Logs {
    inner: Mutex<Inner>,
    written: watch::Sender<u64>,
}

impl Default for Logs {
    fn default() -> Self {
        Self { inner: Mutex::default(), written: watch::Sender::new(0) }
    }
}

impl Logs {
    /// Begins a run of a container; the run before it becomes the previous one.
    pub(crate) fn begin(&self, uid: &str, container: &str, number: u64) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (uid.to_owned(), container.to_owned());
        if !inner.containers.contains_key(&key) {
            inner.order.push_back(key.clone());
            if inner.order.len() > MOST_CONTAINERS
                && let Some(oldest) = inner.order.pop_front()
            {
                inner.containers.remove(&oldest);
            }
        }
        let runs = inner.containers.entry(key).or_default();
        if runs.iter().any(|run| run.number == number) {
            return;
        }
        runs.push_back(Run { number, ..Run::default() });
        while runs.len() > RUNS {
            runs.pop_front();
        }
    }

    /// Writes a line of the present run.
    pub(crate) fn write(&self, uid: &str, container: &str, text: impl Into<String>) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (uid.to_owned(), container.to_owned());
        let Some(run) = inner.containers.get_mut(&key).and_then(VecDeque::back_mut) else {
            return;
        };
        if run.lines.len() >= MOST_LINES {
            run.lines.pop_front();
        }
        run.lines.push_back(Line {
            number: run.next,
            time: crate::time::now_nano(),
            text: text.into(),
        });
        run.next += 1;
        drop(inner);
        self.written.send_modify(|count| *count += 1);
    }

    /// The lines of a run, present or previous; none if there was no such run.
    pub(crate) fn lines(&self, uid: &str, container: &str, previous: bool) -> Option<Vec<Line>> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let runs = inner.containers.get(&(uid.to_owned(), container.to_owned()))?;
        let mut newest = runs.iter().rev();
        let run = if previous { newest.nth(1) } else { newest.next() }?;
        Some(run.lines.iter().cloned().collect())
    }

    /// A receiver that wakes with every line.
    pub(crate) fn written(&self) -> watch::Receiver<u64> {
        self.written.subscribe()
    }
}
