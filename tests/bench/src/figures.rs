//! What a benchmark without contenders has measured: a table for people, and a
//! line of JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

#[derive(Debug, Serialize)]
struct Goal {
    goal: String,
    wanted: f64,
    reached: f64,
    ok: bool,
}

/// Figures, and which goals they reach.
#[derive(Debug, Serialize)]
pub struct Figures {
    bench: &'static str,
    facts: BTreeMap<String, String>,
    figures: BTreeMap<String, f64>,
    ratios: BTreeMap<String, f64>,
    goals: Vec<Goal>,
    ok: bool,
}

impl Figures {
    /// None yet, of a benchmark of this name; facts about the machine.
    pub fn new(bench: &'static str) -> Self {
        let mut facts = BTreeMap::new();
        let processors = std::thread::available_parallelism().map_or(0, usize::from);
        facts.insert("processors".to_owned(), processors.to_string());
        if let Ok(load) = std::fs::read_to_string("/proc/loadavg") {
            facts.insert("load average, at the start".to_owned(), load.trim_end().to_owned());
        }
        let (figures, ratios) = (BTreeMap::new(), BTreeMap::new());
        Self { bench, facts, figures, ratios, goals: Vec::new(), ok: true }
    }

    /// Adds a figure, and shows it: all of it takes minutes, and whoever waits sees
    /// that it goes on.
    #[expect(clippy::print_stderr, reason = "for a terminal")]
    pub fn figure(&mut self, name: &str, value: f64) {
        eprintln!("   {name}: {value:.2}");
        self.figures.insert(name.to_owned(), value);
    }

    /// Adds a ratio of two figures.
    pub fn ratio(&mut self, name: String, value: f64) {
        self.ratios.insert(name, value);
    }

    /// Adds a goal: what is wanted, what was reached, and whether that is enough.
    pub fn goal(&mut self, goal: String, wanted: f64, reached: f64, ok: bool) {
        self.ok &= ok;
        self.goals.push(Goal { goal, wanted, reached, ok });
    }

    /// Whether all goals are reached.
    pub fn ok(&self) -> bool {
        self.ok
    }

    /// All of it in one line.
    pub fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|error| format!("{{\"error\": \"{error}\"}}"))
    }
}

impl fmt::Display for Figures {
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

/// The value in the middle; NaN of none.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    quantile(values, 0.5)
}

/// The value below which such a part of all are; NaN of none.
pub fn quantile(values: impl Iterator<Item = f64>, part: f64) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 at least")]
    let index = (values.len() as f64 * part.clamp(0.0, 1.0)) as usize;
    values.get(index.min(values.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

/// In milliseconds.
pub fn ms(time: &Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
