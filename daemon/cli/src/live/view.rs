//! What was seen of a deployment, and what is new to tell.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use deployd_core::Timestamp;
use deployd_core::deployment::{
    Deployment, DeploymentRecord, Outcome, Phase, Step, StepKind, StepStatus,
};
use deployd_core::ports::LogLevel;
use deployd_core::views::{LogEntry, RolloutView, WatchUpdate};

use super::findings::findings;
use super::step::{is_pause, is_round, label};
use crate::output::{Tone, clean, lasted};

/// Lines of the log that stay on the screen.
const TAIL: usize = 6;

/// Lines of a fault's detail that are shown.
const DETAIL_LINES_MAX: usize = 40;

/// A line to print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What it means.
    pub tone: Tone,
    /// The text, without line break.
    pub text: String,
}

impl Line {
    pub(super) fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self { tone, text: text.into() }
    }
}

/// What an update has brought.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct News {
    /// In lines, log included.
    pub lines: Vec<Line>,
    /// The log alone, without what came before.
    pub logs: Vec<LogEntry>,
}

/// What was seen of a deployment.
#[derive(Debug, Clone, Default)]
pub struct View {
    record: Option<Box<DeploymentRecord>>,
    last_line: u64,
    tail: VecDeque<LogEntry>,
    /// Status and attempts of each step, as last told.
    told: BTreeMap<String, (&'static str, u32)>,
    rollout: Option<(u8, String)>,
    /// How the rollout stood, and when that came.
    standing: Option<(Box<RolloutView>, Instant)>,
}

impl View {
    /// What is known.
    pub fn record(&self) -> Option<&DeploymentRecord> {
        self.record.as_deref()
    }

    /// How it ended, if it has.
    pub fn outcome(&self) -> Option<Outcome> {
        self.record()?.outcome
    }

    /// How the rollout stands while it goes on, and how many milliseconds ago that
    /// was told.
    pub fn rollout(&self) -> Option<(&RolloutView, u64)> {
        let (view, since) = self.standing.as_ref()?;
        Some((view, u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)))
    }

    /// The last lines of the log.
    pub(super) fn tail(&self) -> impl Iterator<Item = &LogEntry> {
        self.tail.iter()
    }

    /// Takes an update in, and says what is new. An update that came before
    /// brings nothing new.
    pub fn apply(&mut self, update: WatchUpdate) -> News {
        let mut lines = Vec::new();
        let mut logs = Vec::new();
        let mut ended = None;
        // A record without a rollout says that there is none, and no record nothing.
        if update.record.is_some() || update.rollout.is_some() {
            let going_on = update.rollout.filter(|rollout| rollout.doing.is_some());
            self.standing = going_on.map(|rollout| (rollout, Instant::now()));
        }
        if let Some(record) = update.record {
            self.compare(&record, &mut lines);
            ended = record.outcome;
            self.record = Some(record);
        }
        for entry in update.logs {
            if entry.sequence <= self.last_line {
                continue;
            }
            self.last_line = entry.sequence;
            lines.push(log_line(&entry));
            if self.tail.len() == TAIL {
                self.tail.pop_front();
            }
            self.tail.push_back(entry.clone());
            logs.push(entry);
        }
        if ended.is_some() {
            self.tail.clear();
        }
        News { lines, logs }
    }

    fn compare(&mut self, record: &DeploymentRecord, lines: &mut Vec<Line>) {
        let before = self.record.take();
        let before = before.as_deref();
        if before.is_none() {
            lines.push(Line::new(Tone::Strong, headline(record)));
        }
        if record.phase == Phase::Queued && before.is_none() {
            lines.push(Line::new(Tone::Plain, "waits for its turn"));
        }
        let deferral = record.deferral();
        let known = before.and_then(|before| before.deferral());
        if let Some(deferral) = deferral.filter(|_| deferral != known) {
            let text = format!("waits {}", clean(&deferral.to_string()));
            lines.push(Line::new(Tone::Warn, text));
        }
        let Some(work) = &record.work else { return };
        let known = before.and_then(|before| before.work.as_ref());
        for gate in &work.gates {
            let is_known =
                known.is_some_and(|known| known.gates.iter().any(|other| other.id == gate.id));
            if !is_known {
                let text = format!("waits: {}", clean(&gate.message));
                lines.push(Line::new(Tone::Warn, text));
            }
        }
        for step in &work.steps {
            lines.extend(self.step(step));
        }
        if let Some(report) = &work.policies
            && known.is_none_or(|known| known.policies.is_none())
        {
            lines.extend(findings(report));
        }
        if let Some(rollout) = &work.rollout {
            let now = (rollout.progress, rollout.message.clone());
            if self.rollout.as_ref() != Some(&now) {
                let text = format!("rollout {} %: {}", now.0, clean(&now.1));
                lines.push(Line::new(Tone::Plain, text));
                self.rollout = Some(now);
            }
        }
        if let (Some(reason), false) = (&work.cancel, known.is_some_and(|w| w.cancel.is_some())) {
            lines.push(Line::new(Tone::Warn, format!("is being cancelled: {}", clean(reason))));
        }
    }

    fn step(&mut self, step: &Step) -> Option<Line> {
        let status = step.status.as_str();
        let now = (status, step.attempts);
        if self.told.get(&step.id.0) == Some(&now) {
            return None;
        }
        self.told.insert(step.id.0.clone(), now);
        let name = label(step);
        let time = duration(step).map_or_else(String::new, |ms| format!(" ({})", lasted(ms)));
        let fault = step.fault.as_ref().map(|fault| clean(&fault.message)).unwrap_or_default();
        match &step.status {
            StepStatus::Waiting => None,
            // Short, and told when they are done.
            StepStatus::Running
                if matches!(
                    step.kind,
                    StepKind::Plan
                        | StepKind::Render
                        | StepKind::Policies
                        | StepKind::Decide { .. }
                ) =>
            {
                None
            }
            StepStatus::Running if is_pause(step) => {
                Some(Line::new(Tone::Warn, format!("! {name}; `deployd resume` has it go on")))
            }
            StepStatus::Running => Some(Line::new(Tone::Plain, format!("… {name}"))),
            StepStatus::Pending { .. } => {
                let message = step.message.as_deref().map(clean).unwrap_or_default();
                Some(Line::new(Tone::Plain, format!("… {name}: {message}")))
            }
            StepStatus::Retrying { .. } => {
                Some(Line::new(Tone::Warn, format!("! {name}: {fault}; it is tried again")))
            }
            // The strategy's message tells more.
            StepStatus::Succeeded if is_round(step) => None,
            StepStatus::Succeeded => Some(Line::new(Tone::Good, format!("✓ {name}{time}"))),
            StepStatus::Failed => Some(Line::new(Tone::Bad, format!("✗ {name}{time}: {fault}"))),
        }
    }

    /// What came of it; nothing while it runs.
    pub fn summary(&self) -> Vec<Line> {
        let Some(record) = self.record() else { return Vec::new() };
        let Some(outcome) = record.outcome else { return Vec::new() };
        summary(record, outcome)
    }
}

/// What came of a deployment, for people.
fn summary(record: &DeploymentRecord, outcome: Outcome) -> Vec<Line> {
    let took = record.ended.map_or_else(String::new, |ended| {
        format!(" after {}", lasted(ended.ms_since(record.queued)))
    });
    let (tone, mark) = match outcome {
        Outcome::Succeeded => (Tone::Good, "✓"),
        Outcome::Cancelled | Outcome::Superseded => (Tone::Warn, "!"),
        Outcome::Failed | Outcome::RolledBack | Outcome::NeedsOperator => (Tone::Bad, "✗"),
    };
    let text =
        format!("{mark} {} #{} {}{took}", record.environment, record.number, outcome_text(outcome));
    let mut lines = vec![Line::new(tone, text)];
    if let Some(fault) = &record.fault {
        let message = format!("  {}: {}", clean(&fault.code), clean(&fault.message));
        lines.extend(message.lines().map(|line| Line::new(Tone::Plain, line)));
        lines.extend(detail(&fault.detail));
    }
    lines
}

/// The detail of a fault, as YAML.
pub(crate) fn detail(detail: &serde_json::Value) -> Vec<Line> {
    if detail.is_null() {
        return Vec::new();
    }
    let text = deployd_config::to_yaml(detail).unwrap_or_else(|_| detail.to_string());
    let mut lines: Vec<Line> = text
        .lines()
        .take(DETAIL_LINES_MAX)
        .map(|line| Line::new(Tone::Dim, format!("    {}", clean(line))))
        .collect();
    if text.lines().count() > DETAIL_LINES_MAX {
        lines.push(Line::new(Tone::Dim, "    ... -o json has all of it"));
    }
    lines
}

/// How it ended, in words.
pub(crate) fn outcome_text(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded => "succeeded",
        Outcome::Failed => "failed",
        Outcome::RolledBack => "was rolled back: what ran before runs again",
        Outcome::Cancelled => "was cancelled",
        Outcome::Superseded => "was superseded by a newer one",
        Outcome::NeedsOperator => "needs an operator",
    }
}

/// What it is, in a line.
pub(super) fn headline(record: &DeploymentRecord) -> String {
    let comment = record.request.comment.as_deref().map(clean);
    let comment = comment.map_or_else(String::new, |comment| format!(": {comment}"));
    let DeploymentRecord { environment, number, id, actor, .. } = record;
    format!("{environment} #{number} ({id}) by {}{comment}", clean(&actor.0))
}

/// How long a step has taken.
pub(crate) fn duration(step: &Step) -> Option<u64> {
    Some(step.ended?.ms_since(step.started?))
}

/// When the rollout began, and ended.
pub(super) fn rollout_times(work: &Deployment) -> (Option<Timestamp>, Option<Timestamp>) {
    let rounds = || work.steps.iter().filter(|step| is_round(step));
    let started = rounds().filter_map(|step| step.started).min();
    let ended = if rounds().all(|step| step.ended.is_some()) {
        rounds().filter_map(|step| step.ended).max()
    } else {
        None
    };
    (started, ended)
}

fn log_line(entry: &LogEntry) -> Line {
    let tone = match entry.level {
        LogLevel::Debug | LogLevel::Info => Tone::Dim,
        LogLevel::Warn => Tone::Warn,
        LogLevel::Error => Tone::Bad,
    };
    // One line each, whatever was logged.
    let message = clean(&entry.message).replace('\n', " ⏎ ");
    Line::new(tone, format!("  {} | {message}", clean(&entry.step)))
}
