//! How a rollout stands, as text: tracks with bars, checks with small graphs,
//! what it waits for and why, and what can be done about it.

use deployd_core::deployment::Outcome;
use deployd_core::rollout::checking::CheckResult;
use deployd_core::rollout::{HeaderMatch, Version};
use deployd_core::views::{
    CheckRun, NextCommand, RolloutCheck, RolloutDoing, RolloutTrack, RolloutView, RolloutWorkload,
    WaitsFor,
};

use crate::output::{Glyphs, Paint, Table, Tone, ago, clean, number, roughly};

/// Cells of the bar of a weight.
const BAR_CELLS: usize = 20;

/// Points of a graph that are shown, the newest: what fits beside the rest of a
/// line of 100 characters.
const GRAPH_POINTS: usize = 24;

/// A line of the block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockLine {
    /// What it says, painted.
    pub text: String,
    /// A time that is left, and that is told at its end.
    pub left: Option<Left>,
}

/// A time that is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// So long, when the view was made.
    pub ms: u64,
    /// What is true of it.
    pub is: &'static str,
}

impl Left {
    /// When so many milliseconds more are gone.
    #[must_use]
    pub fn after(self, gone_ms: u64) -> Self {
        Self { ms: self.ms.saturating_sub(gone_ms), ..self }
    }

    /// `, 3 min left`; nothing once it is over.
    pub fn text(self) -> String {
        if self.ms == 0 { String::new() } else { format!(", {} {}", roughly(self.ms), self.is) }
    }
}

impl std::fmt::Display for BlockLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let left = self.left.map(Left::text).unwrap_or_default();
        write!(f, "{}{left}", self.text)
    }
}

/// Texts of others stay on their line.
fn line(text: &str) -> String {
    clean(text).replace(['\n', '\t'], " ")
}

struct Block<'a> {
    view: &'a RolloutView,
    glyphs: Glyphs,
    paint: Paint,
    lines: Vec<BlockLine>,
}

/// What is to be seen of a rollout, below the name of its deployment. Nothing
/// before there is one.
pub fn block(view: &RolloutView, glyphs: Glyphs, paint: Paint) -> Vec<BlockLine> {
    let mut block = Block { view, glyphs, paint, lines: Vec::new() };
    block.doing();
    block.tracks();
    block.checks();
    block.next();
    for lost in &view.lost {
        block.say(Tone::Warn, format!("missing: {}", line(lost)));
    }
    block.lines
}

/// The name of a deployment, and where its rollout stands.
pub fn heading(view: &RolloutView, paint: Paint) -> String {
    let title = paint.tone(Tone::Strong, format!("{} #{}", view.environment, view.number));
    let (word, tone) = match view.outcome {
        Some(Outcome::Succeeded) => (Outcome::Succeeded.as_str().to_owned(), Tone::Good),
        Some(outcome) => (outcome.as_str().to_owned(), Tone::Warn),
        None => (format!("{} %", view.progress), Tone::Busy),
    };
    let by = view.strategy.as_ref().map(|it| format!(", by {}", it.name)).unwrap_or_default();
    format!("{title}  {}{by}", paint.tone(tone, word))
}

impl Block<'_> {
    fn push(&mut self, text: String, left: Option<Left>) {
        self.lines.push(BlockLine { text, left });
    }

    fn say(&mut self, tone: Tone, text: impl AsRef<str>) {
        let text = format!("  {}", self.paint.tone(tone, text));
        self.push(text, None);
    }

    fn gap(&mut self) {
        if !self.lines.is_empty() {
            self.push(String::new(), None);
        }
    }

    fn table(&mut self, table: &Table) {
        for row in table.render(false, self.paint).lines() {
            self.push(format!("  {row}"), None);
        }
    }

    fn doing(&mut self) {
        if let Some(reason) = &self.view.held {
            let why = if reason.is_empty() { String::new() } else { format!(": {}", line(reason)) };
            self.say(Tone::Warn, format!("paused by a person{why}"));
        }
        let Some(doing) = &self.view.doing else { return };
        // What a person has paused is told already, where nothing else goes on.
        if doing.step.is_some() {
            self.say(Tone::Plain, format!("now    {}", line(&doing.what)));
            let why = line(&doing.why);
            if !why.is_empty() && !doing.what.contains(&doing.why) {
                self.say(Tone::Plain, format!("why    {why}"));
            }
        }
        let (tone, text, left) = waits(doing, self.view);
        let text = format!("  {}", self.paint.tone(tone, format!("waits  {text}")));
        self.push(text, left);
    }

    fn tracks(&mut self) {
        let workloads = self.view.workloads.iter().filter(|it| !it.tracks.is_empty());
        let mut table = Table::new(["workload", "track", "version", "pods", "requests"]);
        for workload in workloads.clone() {
            for (place, track) in workload.tracks.iter().enumerate() {
                let name = if place == 0 { workload.name.clone() } else { String::new() };
                let (version, tone) = match track.version {
                    Version::New => ("new", Tone::Good),
                    Version::Current => ("current", Tone::Plain),
                };
                let wanted = track.wanted.map(|it| format!(", {it} % wanted")).unwrap_or_default();
                let bar = self.glyphs.bar(track.weight, BAR_CELLS);
                table.toned([
                    (line(&name), Tone::Plain),
                    (line(&track.name), Tone::Plain),
                    (version.to_owned(), tone),
                    pods(track, self.view),
                    (format!("{bar} {} %{wanted}", track.weight), Tone::Plain),
                ]);
            }
        }
        if table.is_empty() {
            return;
        }
        self.gap();
        self.table(&table);
        if let Some(why) = &self.view.pods_unknown {
            self.say(Tone::Warn, format!("it is not known how many pods are ready: {}", line(why)));
        }
        // How it is divided matters where there is something to divide.
        for workload in workloads.filter(|it| it.tracks.len() > 1) {
            for text in traffic(workload) {
                self.say(Tone::Dim, format!("{}: {}", line(&workload.name), line(&text)));
            }
        }
    }

    fn checks(&mut self) {
        let shown = self.view.running().or(self.view.checks.last());
        let Some(shown) = shown else { return };
        self.gap();
        for run in self.view.checks.iter().filter(|run| run.step != shown.step) {
            self.run(run);
        }
        self.run(shown);
        let mut table =
            Table::new(["check", "so far", "passed", "failed", "unclear", "next", "measured"]);
        for check in &shown.checks {
            self.check(&mut table, check);
        }
        self.table(&table);
    }

    /// One run of checks, in a line.
    fn run(&mut self, run: &CheckRun) {
        let names: Vec<&str> = run.checks.iter().map(|check| check.name.as_str()).collect();
        let on = run.track.as_ref().map(|it| format!(" on {}", line(it))).unwrap_or_default();
        let beside = run.baseline.as_ref().map(|it| format!(", compared with {}", line(it)));
        let beside = beside.unwrap_or_default();
        let when = match (run.ended, run.since) {
            (Some(at), _) => format!(", {}", ago(at, self.view.at)),
            (None, Some(at)) => format!(", begun {}", ago(at, self.view.at)),
            (None, None) => String::new(),
        };
        let (word, tone) = match (run.skipped, run.ended, run.verdict) {
            (true, ..) => ("skipped", Tone::Warn),
            (_, Some(_), CheckResult::Running) => ("not finished", Tone::Warn),
            (.., verdict) => result(verdict),
        };
        let word = self.paint.tone(tone, word);
        self.push(format!("  checks {}{on}{beside}: {word}{when}", names.join(", ")), None);
    }

    fn check(&self, table: &mut Table, check: &RolloutCheck) {
        let series = check.series();
        let measured = |place: usize| {
            series.get(place).map(|it| {
                let newest = it.points.len().saturating_sub(GRAPH_POINTS);
                let numbers: Vec<f64> = it.points.iter().skip(newest).map(|(_, n)| *n).collect();
                let unit = if it.unit.is_empty() { String::new() } else { format!(" {}", it.unit) };
                format!("{} {} {}{unit}", it.name, self.glyphs.graph(&numbers), number(it.last))
            })
        };
        let next = match check.next_in_ms {
            Some(..1_000) => "now".to_owned(),
            Some(ms) => format!("in {}", roughly(ms)),
            None => String::new(),
        };
        let (word, tone) = result(check.verdict);
        table.toned([
            (check.name.to_string(), Tone::Plain),
            (word.to_owned(), tone),
            (format!("{} of {}", check.passes, check.needed), Tone::Plain),
            (limit(check.failures, check.failure_limit), over(check.failures)),
            (limit(check.inconclusives, check.inconclusive_limit), over(check.inconclusives)),
            (next, Tone::Plain),
            (line(&measured(0).unwrap_or_else(|| check.message.clone())), Tone::Plain),
        ]);
        for place in 1..series.len() {
            let empty = || (String::new(), Tone::Plain);
            let cell = (line(&measured(place).unwrap_or_default()), Tone::Plain);
            table.toned([empty(), empty(), empty(), empty(), empty(), empty(), cell]);
        }
    }

    fn next(&mut self) {
        if self.view.next.is_empty() {
            return;
        }
        self.gap();
        let widest = self.view.next.iter().map(|next| next.command.len()).max().unwrap_or(0);
        for NextCommand { command, does } in &self.view.next {
            let does = self.paint.tone(Tone::Dim, does);
            self.push(format!("  {command:widest$}  {does}"), None);
        }
    }
}

/// What it waits for, and the time that is left.
fn waits(doing: &RolloutDoing, view: &RolloutView) -> (Tone, String, Option<Left>) {
    let left = |is: &'static str| doing.left_ms.map(|ms| Left { ms, is });
    let (tone, text, left) = match doing.waits_for {
        WaitsFor::Decision => (Tone::Busy, "for the strategy to decide", None),
        WaitsFor::Cluster => (Tone::Busy, "for the cluster to take it", None),
        WaitsFor::Pods => (Tone::Busy, "for pods to be ready", left("left until that has failed")),
        WaitsFor::Time => (Tone::Busy, "for the time to pass", left("left")),
        WaitsFor::Checks => (Tone::Busy, "for checks to pass", left("left at least")),
        WaitsFor::Person => (Tone::Warn, "for a person", None),
        WaitsFor::Retry => (Tone::Warn, "for the next attempt", left("left")),
    };
    let since = doing.since.map(|since| view.at.ms_since(since)).filter(|ms| *ms >= 1_000);
    let since = since.map(|ms| format!(", since {}", roughly(ms))).unwrap_or_default();
    (tone, format!("{text}{since}"), left)
}

/// `2/3` pods that are ready of those wanted; `?/3` where the first is not known, and
/// `3` where there is nothing to count.
fn pods(track: &RolloutTrack, view: &RolloutView) -> (String, Tone) {
    let wanted = track.replicas;
    match track.ready {
        Some(ready) if track.lacks_pods() => (format!("{ready}/{wanted}"), Tone::Warn),
        Some(ready) => (format!("{ready}/{wanted}"), Tone::Good),
        None if view.pods_unknown.is_some() => (format!("?/{wanted}"), Tone::Warn),
        None => (wanted.to_string(), Tone::Plain),
    }
}

/// How the traffic of a workload is divided.
fn traffic(workload: &RolloutWorkload) -> Vec<String> {
    let mut found = vec![workload.divided.clone()];
    found.extend(workload.headers.iter().map(|HeaderMatch { name, value, pattern, track }| {
        let value = value.as_ref().or(pattern.as_ref()).map(String::as_str).unwrap_or_default();
        format!("requests with {name}: {value} go to {track}")
    }));
    found
        .extend(workload.mirror.iter().map(|track| format!("{track} gets a copy of each request")));
    found
}

fn result(verdict: CheckResult) -> (&'static str, Tone) {
    match verdict {
        CheckResult::Running => ("running", Tone::Busy),
        CheckResult::Passed => ("passed", Tone::Good),
        CheckResult::Failed => ("failed", Tone::Bad),
        CheckResult::Inconclusive => ("inconclusive", Tone::Warn),
        CheckResult::Error => ("not measured", Tone::Warn),
    }
}

/// `1, 2 borne`.
fn limit(found: u32, borne: u32) -> String {
    if borne == 0 { found.to_string() } else { format!("{found}, {borne} borne") }
}

fn over(found: u32) -> Tone {
    if found == 0 { Tone::Plain } else { Tone::Warn }
}

#[cfg(test)]
mod tests;
