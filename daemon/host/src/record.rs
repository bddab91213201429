//! What is noted about a call while it runs: its log, the secrets that must not
//! appear in it, and which limit it hit. It outlives the call's store, which is
//! gone when a call is cut off.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deployd_core::ports::{CallLog, LogLevel, LogLine};

use crate::lanes::thread_cpu;
use crate::limits;

/// What stands where a secret's value was.
const SCRUBBED: &str = "[secret]";

/// Values shorter than this are not looked for in documents: a "1" that happens
/// to be a secret too would make every document wrong.
const FINDABLE_BYTES: usize = 8;

/// A limit that a call hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LimitHit {
    /// Linear memory; it wanted so many bytes.
    Memory(usize),
    /// Table elements; it wanted so many.
    Table(usize),
    /// Processor time.
    Cpu,
    /// Handles.
    Handles,
}

/// What a call came to.
#[derive(Debug, Default)]
pub(crate) struct CallRecord(Mutex<Noted>);

#[derive(Debug, Default)]
struct Noted {
    lines: Vec<LogLine>,
    /// Uses of the network: a plugin's own lines leave them their place.
    connections: Vec<String>,
    bytes: usize,
    dropped_lines: u64,
    dropped_bytes: u64,
    secrets: Vec<Vec<u8>>,
    hit: Option<LimitHit>,
    memory_peak: usize,
    ticks: u64,
    cpu: Duration,
}

impl CallRecord {
    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line, or counts it if there are too many already.
    pub(crate) fn line(&self, level: LogLevel, message: String) {
        let mut noted = self.noted();
        let full = noted.lines.len() >= limits::LOG_LINES
            || noted.bytes.saturating_add(message.len().min(limits::LOG_LINE_BYTES))
                > limits::LOG_BYTES;
        if full {
            noted.dropped_lines = noted.dropped_lines.saturating_add(1);
            noted.dropped_bytes =
                noted.dropped_bytes.saturating_add(u64::try_from(message.len()).unwrap_or(0));
            return;
        }
        let message = cut(message, limits::LOG_LINE_BYTES);
        noted.bytes = noted.bytes.saturating_add(message.len());
        noted.lines.push(LogLine { level, message });
    }

    /// Adds a line about a use of the network; the host limits how many there are.
    pub(crate) fn connected(&self, line: String) {
        self.noted().connections.push(line);
    }

    /// From here on, and in the lines before, this value is scrubbed.
    pub(crate) fn keep_secret(&self, value: &[u8]) {
        let mut noted = self.noted();
        if !value.is_empty() && !noted.secrets.iter().any(|known| known == value) {
            noted.secrets.push(value.to_vec());
            // Longest first: of two secrets, one may begin with the other.
            noted.secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        }
    }

    /// A text for people, without secrets, and not too long.
    pub(crate) fn message(&self, text: String) -> String {
        cut(self.noted().scrub(text), limits::MESSAGE_BYTES)
    }

    /// Whether there is any secret that a text could hold.
    pub(crate) fn knows_secrets(&self) -> bool {
        !self.noted().secrets.is_empty()
    }

    /// Whether a text holds a secret that can be told from anything else.
    pub(crate) fn holds_secret(&self, text: &str) -> bool {
        self.noted()
            .secrets
            .iter()
            .filter(|secret| secret.len() >= FINDABLE_BYTES)
            .filter_map(|secret| std::str::from_utf8(secret).ok())
            .any(|secret| text.contains(secret))
    }

    /// Notes the first limit that was hit.
    pub(crate) fn hit(&self, limit: LimitHit) {
        self.noted().hit.get_or_insert(limit);
    }

    /// The limit that was hit.
    pub(crate) fn limit_hit(&self) -> Option<LimitHit> {
        self.noted().hit
    }

    /// Notes how much memory there is now.
    pub(crate) fn memory(&self, bytes: usize) {
        let mut noted = self.noted();
        noted.memory_peak = noted.memory_peak.max(bytes);
    }

    /// Notes a tick of the epoch that passed while the guest ran.
    pub(crate) fn tick(&self) {
        self.noted().ticks += 1;
    }

    /// The most memory, in bytes, and the ticks that passed.
    pub(crate) fn used(&self) -> (usize, u64) {
        let noted = self.noted();
        (noted.memory_peak, noted.ticks)
    }

    /// Does a part of the call, and notes the processor time that it takes.
    pub(crate) fn working<T>(&self, part: impl FnOnce() -> T) -> T {
        let before = thread_cpu();
        let done = part();
        let took = thread_cpu().saturating_sub(before);
        let mut noted = self.noted();
        noted.cpu = noted.cpu.saturating_add(took);
        done
    }

    /// The processor time that it took, reading its result included.
    pub(crate) fn cpu(&self) -> Duration {
        self.noted().cpu
    }

    /// Lines that were over the limit.
    pub(crate) fn lines_dropped(&self) -> u64 {
        self.noted().dropped_lines
    }
}

impl Noted {
    fn scrub(&self, text: String) -> String {
        let mut text = text;
        for secret in &self.secrets {
            if let Ok(secret) = std::str::from_utf8(secret)
                && text.contains(secret)
            {
                text = text.replace(secret, SCRUBBED);
            }
        }
        text
    }
}

/// Hands the lines over when a call ends, however it ends: returned, trapped,
/// timed out, or dropped by its caller.
pub(crate) struct HandOver<'a> {
    pub(crate) record: &'a CallRecord,
    pub(crate) log: &'a CallLog,
}

impl Drop for HandOver<'_> {
    fn drop(&mut self) {
        let mut noted = self.record.noted();
        for LogLine { level, message } in std::mem::take(&mut noted.lines) {
            self.log.line(level, noted.scrub(message));
        }
        for line in std::mem::take(&mut noted.connections) {
            self.log.line(LogLevel::Info, noted.scrub(line));
        }
        if noted.dropped_lines > 0 {
            self.log.line(
                LogLevel::Warn,
                format!(
                    "{} more lines ({} bytes) are not kept: a call may log {} lines and {}",
                    noted.dropped_lines,
                    noted.dropped_bytes,
                    limits::LOG_LINES,
                    limits::bytes_text(limits::LOG_BYTES),
                ),
            );
        }
    }
}

/// A text of at most so many bytes, cut between characters.
pub(crate) fn cut(mut text: String, bytes: usize) -> String {
    if text.len() > bytes {
        let whole = text.len();
        let mut end = bytes;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str(&format!("… ({whole} bytes)"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surplus_lines_are_counted() {
        let record = CallRecord::default();
        for _ in 0..limits::LOG_LINES + 5 {
            record.line(LogLevel::Info, "x".to_owned());
        }
        let log = CallLog::default();
        drop(HandOver { record: &record, log: &log });
        let lines = log.take();
        assert_eq!(lines.len(), limits::LOG_LINES + 1);
        assert!(lines.last().unwrap().message.starts_with("5 more lines (5 bytes)"));
    }

    #[test]
    fn secrets_are_scrubbed_also_from_earlier_lines() {
        let record = CallRecord::default();
        record.line(LogLevel::Info, "the password is hunter22".to_owned());
        record.keep_secret(b"hunter2");
        record.keep_secret(b"hunter22");
        let log = CallLog::default();
        drop(HandOver { record: &record, log: &log });
        assert_eq!(log.take()[0].message, "the password is [secret]");
        assert!(record.holds_secret("postgres://app:hunter22@db"));
        assert!(!record.holds_secret("postgres://app:hunter2@db"));
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("aé".to_owned(), 2), "a… (3 bytes)");
        assert_eq!(cut("aé".to_owned(), 3), "aé");
    }
}
