//! What was measured: a table for people, and a line of JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use bench::daemon::Usage;

/// Whole deployments a second, on two cores.
const PER_SECOND: f64 = 100.0;
/// How much more one more may cost in a history that is twenty times as long.
const FLAT: f64 = 1.2;
/// From the start to ready.
const START_MS: f64 = 300.0;
/// Resident memory of an idle daemon.
const MEMORY_MIB: f64 = 65.0;

#[derive(Serialize)]
struct Goal {
    goal: String,
    wanted: f64,
    reached: f64,
    ok: bool,
}

/// Medians of one more deployment.
struct OneMore {
    deployments: usize,
    ms: f64,
    processor_ms: f64,
    written: f64,
}

#[derive(Serialize)]
pub(crate) struct Report {
    bench: &'static str,
    facts: BTreeMap<String, String>,
    figures: BTreeMap<String, f64>,
    ratios: BTreeMap<String, f64>,
    goals: Vec<Goal>,
    ok: bool,
    #[serde(skip)]
    one_more: Vec<OneMore>,
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn ms(time: &Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

impl Report {
    pub(crate) fn new() -> Self {
        let mut facts = BTreeMap::new();
        let processors = std::thread::available_parallelism().map_or(0, usize::from);
        facts.insert("processors".to_owned(), processors.to_string());
        if let Ok(load) = std::fs::read_to_string("/proc/loadavg") {
            facts.insert("load average, at the start".to_owned(), load.trim_end().to_owned());
        }
        Self {
            bench: "deploy",
            facts,
            figures: BTreeMap::new(),
            ratios: BTreeMap::new(),
            goals: Vec::new(),
            ok: true,
            one_more: Vec::new(),
        }
    }

    fn figure(&mut self, name: &str, value: f64) {
        // All of it takes minutes: whoever waits sees that it goes on.
        eprintln!("   {name}: {value:.2}");
        self.figures.insert(name.to_owned(), value);
    }

    fn goal(&mut self, goal: String, wanted: f64, reached: f64, ok: bool) {
        self.ok &= ok;
        self.goals.push(Goal { goal, wanted, reached, ok });
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
            self.ratios.insert(format!("{name}, {what}"), ratio);
        }
        let [(_, time), ..] = ratios;
        self.goal(format!("{name}: at most {FLAT} times the time"), FLAT, time, time <= FLAT);
    }

    pub(crate) fn ok(&self) -> bool {
        self.ok
    }

    /// All of it in one line.
    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|error| format!("{{\"error\": \"{error}\"}}"))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        for (name, fact) in &self.facts {
            writeln!(f, "{name}: {fact}")?;
        }
        writeln!(f)?;
        for (name, value) in self.figures.iter().chain(&self.ratios) {
            writeln!(f, "{name:64}{value:>12.2}")?;
        }
        writeln!(f)?;
        for Goal { goal, reached, ok, .. } in &self.goals {
            writeln!(f, "{} {goal}: {reached:.2}", if *ok { "reached" } else { "MISSED " })?;
        }
        writeln!(f)
    }
}
