//! What is kept of a deployment beside its record, for those who ask why it went
//! as it did: packed when the deployment ends, within a budget, for a time. The
//! record itself stays for ever.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::ports::{LogLevel, Snapshot};
use crate::views::LogEntry;

/// Of a log that is too long, so much of what is kept is its beginning, in
/// percent: what went wrong is told at the end.
const BEGINNING_PERCENT: usize = 25;

/// What is kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Details {
    /// Lines of its log.
    pub logs: Vec<LogEntry>,
    /// Lines that are not among them, for want of room.
    #[serde(default)]
    pub left_out: u64,
    /// How its pods were in the end, and when that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<(Timestamp, Snapshot)>,
}

impl Details {
    /// The same with fewer lines: of those that there are, as many as are given
    /// in percent. Lines of the level `debug` go first, then what is in the middle.
    #[must_use]
    pub fn shortened(mut self, percent: usize) -> Self {
        let wanted = self.logs.len().saturating_mul(percent.min(100)) / 100;
        let surplus = self.logs.len().saturating_sub(wanted);
        let debug = self.logs.iter().filter(|line| line.level == LogLevel::Debug).count();
        if debug >= surplus {
            let mut left = surplus;
            self.logs.retain(|line| {
                let goes = left > 0 && line.level == LogLevel::Debug;
                left = left.saturating_sub(usize::from(goes));
                !goes
            });
        } else {
            self.logs.retain(|line| line.level != LogLevel::Debug);
            let rest = surplus.saturating_sub(debug);
            let beginning = wanted.saturating_mul(BEGINNING_PERCENT) / 100;
            let end = beginning.saturating_add(rest).min(self.logs.len());
            self.logs.drain(beginning.min(end)..end);
        }
        self.left_out = self.left_out.saturating_add(surplus as u64);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(levels: impl Iterator<Item = LogLevel>) -> Details {
        let line = |(sequence, level)| LogEntry {
            sequence,
            at: Timestamp(sequence),
            step: "render".to_owned(),
            level,
            message: "a line".to_owned(),
        };
        Details { logs: (1..).zip(levels).map(line).collect(), ..Details::default() }
    }

    fn kept(details: &Details) -> Vec<u64> {
        details.logs.iter().map(|line| line.sequence).collect()
    }

    #[test]
    fn what_is_told_at_the_end_is_kept_longest() {
        let shortened = lines(std::iter::repeat_n(LogLevel::Info, 8)).shortened(50);
        assert_eq!((kept(&shortened), shortened.left_out), (vec![1, 6, 7, 8], 4));
        let shortened = shortened.shortened(0);
        assert_eq!((kept(&shortened), shortened.left_out), (vec![], 8));
    }

    #[test]
    fn lines_for_those_who_look_for_a_mistake_go_first() {
        let levels = [LogLevel::Debug, LogLevel::Info];
        let shortened = lines(levels.into_iter().cycle().take(8)).shortened(75);
        assert_eq!((kept(&shortened), shortened.left_out), (vec![2, 4, 5, 6, 7, 8], 2));
        let shortened = lines(levels.into_iter().cycle().take(8)).shortened(25);
        assert_eq!((kept(&shortened), shortened.left_out), (vec![6, 8], 6));
    }
}
