//! What a benchmark says: a table for people, and a line of JSON.

use super::blocks::{Estimate, Measured, Percentile};
use serde::Serialize;
use std::collections::BTreeMap;
use std::{fmt, fs};

/// Times of one contender, in microseconds.
#[derive(Serialize)]
struct Figures {
    p50_us: Estimate,
    p99_us: Estimate,
}

/// How many times as long a peer takes.
#[derive(Serialize)]
struct Ratios {
    p50: Estimate,
    p99: Estimate,
}

#[derive(Serialize)]
struct Goal {
    goal: String,
    wanted: f64,
    /// Of a ratio, the end of its interval that is nearer to missing the goal.
    reached: f64,
    ok: bool,
}

/// What was found.
#[derive(Serialize)]
pub(crate) struct Report {
    bench: &'static str,
    /// The contender that most others are compared with.
    #[serde(skip)]
    main: &'static str,
    facts: BTreeMap<String, String>,
    figures: BTreeMap<String, Figures>,
    ratios: BTreeMap<String, Ratios>,
    goals: Vec<Goal>,
    ok: bool,
}

impl Report {
    /// The times of all contenders.
    pub(crate) fn new(
        bench: &'static str,
        main: &'static str,
        measured: &Measured,
    ) -> anyhow::Result<Self> {
        let mut figures = BTreeMap::new();
        for contender in measured.contenders() {
            let p50_us = measured.time(contender, |block| block.p50)?;
            let p99_us = measured.time(contender, |block| block.p99)?;
            figures.insert(contender.to_owned(), Figures { p50_us, p99_us });
        }
        let mut facts = measured.facts.clone();
        let processors = std::thread::available_parallelism().map_or(0, usize::from);
        facts.insert("processors".to_owned(), processors.to_string());
        if let Ok(load) = fs::read_to_string("/proc/loadavg") {
            facts.insert("load average, at the end".to_owned(), load.trim_end().to_owned());
        }
        Ok(Self {
            bench,
            main,
            facts,
            figures,
            ratios: BTreeMap::new(),
            goals: Vec::new(),
            ok: true,
        })
    }

    /// Adds a fact that belongs beside the figures.
    pub(crate) fn fact(&mut self, name: &str, fact: String) {
        self.facts.insert(name.to_owned(), fact);
    }

    /// Compares a peer with us. A goal, if there is one, is for both percentiles.
    /// The comparison is named by the peer and, where that is not the bench's
    /// main contender, by ours.
    pub(crate) fn compare(
        &mut self,
        measured: &Measured,
        peer: &str,
        ours: &str,
        wanted: Option<f64>,
    ) -> anyhow::Result<()> {
        let p50 = measured.ratio(peer, ours, |block| block.p50)?;
        let p99 = measured.ratio(peer, ours, |block| block.p99)?;
        if let Some(wanted) = wanted {
            for (name, ratio) in [("p50", p50), ("p99", p99)] {
                let goal = format!("{ours}: {wanted} times as fast as {peer}, {name}");
                let ok = ratio.at_least >= wanted;
                self.add(Goal { goal, wanted, reached: ratio.at_least, ok });
            }
        }
        let name = if ours == self.main { peer.to_owned() } else { format!("{peer} : {ours}") };
        self.ratios.insert(name, Ratios { p50, p99 });
        Ok(())
    }

    /// Wants a contender to take at most so many times as long as another one, at
    /// both percentiles: the upper end of the interval is what counts.
    pub(crate) fn no_slower(
        &mut self,
        measured: &Measured,
        contender: &str,
        than: &str,
        wanted: f64,
    ) -> anyhow::Result<()> {
        self.compare(measured, contender, than, None)?;
        for (name, of) in [("p50", (|block| block.p50) as Percentile), ("p99", |block| block.p99)] {
            let reached = measured.ratio(contender, than, of)?.at_most;
            let goal = format!("{contender}: at most {wanted} times as long as {than}, {name}");
            self.add(Goal { goal, wanted, reached, ok: reached <= wanted });
        }
        Ok(())
    }

    /// Wants a contender to take less than so many milliseconds. This one goal is
    /// for the median itself: an interval of absolute times tells of the machine.
    pub(crate) fn at_most(
        &mut self,
        measured: &Measured,
        contender: &str,
        wanted: f64,
    ) -> anyhow::Result<()> {
        let reached = measured.time(contender, |block| block.p50)?.median / 1000.0;
        let goal = format!("{contender}: less than {wanted} ms");
        self.add(Goal { goal, wanted, reached, ok: reached < wanted });
        Ok(())
    }

    /// Wants 99 of 100 calls of a contender to take less than so many
    /// milliseconds, in the median of all blocks.
    pub(crate) fn mostly_at_most(
        &mut self,
        measured: &Measured,
        contender: &str,
        wanted: f64,
    ) -> anyhow::Result<()> {
        let reached = measured.time(contender, |block| block.p99)?.median / 1000.0;
        let goal = format!("{contender}: 99 of 100 in less than {wanted} ms");
        self.add(Goal { goal, wanted, reached, ok: reached < wanted });
        Ok(())
    }

    /// Wants a fact to be less than so much.
    pub(crate) fn fact_at_most(&mut self, name: &str, reached: f64, wanted: f64) {
        let goal = format!("{name}: less than {wanted}");
        self.add(Goal { goal, wanted, reached, ok: reached < wanted });
    }

    fn add(&mut self, goal: Goal) {
        self.ok &= goal.ok;
        self.goals.push(goal);
    }

    /// Whether all goals are reached.
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
        writeln!(f, "\n{:54}{:>14}{:>14}", "microseconds", "p50", "p99")?;
        for (name, figures) in &self.figures {
            let (p50, p99) = (figures.p50_us.median, figures.p99_us.median);
            writeln!(f, "{name:54}{p50:>14.1}{p99:>14.1}")?;
        }
        writeln!(f, "\n{:54}{:>20}{:>20}", "times as long as ours", "p50", "p99")?;
        for (name, ratios) in &self.ratios {
            let text = |ratio: &Estimate| format!("{:.1} (>= {:.1})", ratio.median, ratio.at_least);
            writeln!(f, "{name:54}{:>20}{:>20}", text(&ratios.p50), text(&ratios.p99))?;
        }
        writeln!(f)?;
        for Goal { goal, reached, ok, .. } in &self.goals {
            writeln!(f, "{} {goal}: {reached:.1}", if *ok { "reached" } else { "MISSED " })?;
        }
        writeln!(f)
    }
}
