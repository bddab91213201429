//! What was measured of whole deployments.

use std::time::Duration;

use bench::daemon::Usage;
use bench::figures::{Figures, median, ms};

/// Whole deployments a second, on two cores.
const PER_SECOND: f64 = 100.0;
/// How much more one more may cost in a history that is twenty times as long.
const FLAT: f64 = 1.2;
/// From the start to ready.
const START_MS: f64 = 300.0;
/// Resident memory of an idle daemon.
const MEMORY_MIB: f64 = 65.0;

/// Medians of one more deployment.
struct OneMore {
    deployments: usize,
    ms: f64,
    processor_ms: f64,
    written: f64,
}

pub(crate) struct Report {
    figures: Figures,
    one_more: Vec<OneMore>,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self { figures: Figures::new("deploy"), one_more: Vec::new() }
    }

    fn figure(&mut self, name: &str, value: f64) {
        self.figures.figure(name, value);
    }

    fn goal(&mut self, goal: String, wanted: f64, reached: f64, ok: bool) {
        self.figures.goal(goal, wanted, reached, ok);
    }

    /// A round of deployments to all environments.
    pub(crate) fn throughput(&mut self, name: &str, count: usize, took: Duration, used: &Usage) {
        let per_second = count as f64 / took.as_secs_f64();
        let each = 1.0 / count as f64;
        self.figure(&format!("{name}, per second"), per_second);
        self.figure(&format!("{name}, daemon's processor ms each"), used.processor_s * 1e3 * each);
        self.figure(&format!("{name}, commits each"), used.commits as f64 * each);
        self.figure(&format!("{name}, syncs each"), used.syncs as f64 * each);
        self.figure(
            &format!("{name}, KiB written each"),
            used.written_bytes as f64 / 1024.0 * each,
        );
        self.figure(&format!("{name}, steps each"), used.steps as f64 * each);
        let goal = format!("{name}: {PER_SECOND} per second");
        self.goal(goal, PER_SECOND, per_second, per_second >= PER_SECOND);
    }

    pub(crate) fn start(&mut self, name: &str, times: &[Duration]) {
        let reached = median(times.iter().map(ms));
        self.figure(&format!("{name}, ms"), reached);
        self.goal(
            format!("{name}: less than {START_MS} ms"),
            START_MS,
            reached,
            reached < START_MS,
        );
    }

    /// With the longest history.
    pub(crate) fn long_start(&mut self, took: Duration) {
        self.figure("start to ready, with the longest history, ms", ms(&took));
    }

    pub(crate) fn memory(&mut self, name: &str, bytes: u64, is_goal: bool) {
        let mib = bytes as f64 / f64::from(1 << 20);
        self.figure(&format!("{name}, MiB"), mib);
        if is_goal {
            self.goal(
                format!("{name}: less than {MEMORY_MIB} MiB"),
                MEMORY_MIB,
                mib,
                mib < MEMORY_MIB,
            );
        }
    }

    pub(crate) fn one_more(&mut self, deployments: usize, times: &[(Duration, Usage)]) {
        let one = OneMore {
            deployments,
            ms: median(times.iter().map(|(took, _)| ms(took))),
            processor_ms: times.iter().map(|(_, used)| used.processor_s * 1e3).sum::<f64>()
                / times.len() as f64,
            written: median(times.iter().map(|(_, used)| used.written_bytes as f64)),
        };
        let name = format!("one more, {deployments} in history");
        self.figure(&format!("{name}, ms"), one.ms);
        self.figure(&format!("{name}, daemon's processor ms"), one.processor_ms);
        self.figure(&format!("{name}, KiB written"), one.written / 1024.0);
        self.one_more.push(one);
    }

    /// Compares the two histories.
    pub(crate) fn flat(&mut self) {
        let [short, long] = self.one_more.as_slice() else { return };
        let name = format!("one more, {} : {} in history", long.deployments, short.deployments);
        let ratios = [
            ("time", long.ms / short.ms),
            ("daemon's processor", long.processor_ms / short.processor_ms),
            ("bytes written", long.written / short.written),
        ];
        for (what, ratio) in ratios {
            self.figures.ratio(format!("{name}, {what}"), ratio);
        }
        let [(_, time), ..] = ratios;
        self.goal(format!("{name}: at most {FLAT} times the time"), FLAT, time, time <= FLAT);
    }

    /// All of it.
    pub(crate) fn figures(&self) -> &Figures {
        &self.figures
    }
}
