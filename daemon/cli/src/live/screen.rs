//! A deployment as rows of a screen.

use deployd_core::Timestamp;
use deployd_core::deployment::{Deployment, Phase, Step, StepKind, StepStatus};
use deployd_core::plan::GateCondition;

use super::rollout::{Left, block, heading};
use super::step::{depths, is_in_trouble, is_round, label};
use super::view::{View, headline, rollout_times};
use crate::output::{Glyphs, Paint, clean};

/// Where something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// It has not begun.
    Waiting,
    /// It goes on.
    Busy,
    /// It failed, and is tried again.
    Trouble,
    /// It went well.
    Good,
    /// It did not go well.
    Bad,
}

/// What kind of row it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowKind {
    /// What is deployed where.
    Head,
    /// A step.
    Step,
    /// The rollout, done to so many of a hundred.
    Bar(u8),
    /// A line about the rollout, as it is.
    Text,
    /// A line of the log.
    Log,
}

/// A row of the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Recognises it from one screen to the next.
    pub key: String,
    /// What kind it is.
    pub kind: RowKind,
    /// How far it is moved to the right.
    pub depth: usize,
    /// Where it stands.
    pub mark: Mark,
    /// What it is about.
    pub label: String,
    /// What there is to say about it.
    pub note: String,
    /// Since when.
    pub started: Option<Timestamp>,
    /// Until when.
    pub ended: Option<Timestamp>,
    /// How long it goes on yet.
    pub left: Option<Left>,
}

impl Row {
    fn new(key: impl Into<String>, kind: RowKind, mark: Mark, label: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            kind,
            depth: 0,
            mark,
            label: label.into(),
            note: String::new(),
            started: None,
            ended: None,
            left: None,
        }
    }
}

impl View {
    /// How the rollout stands, in rows; none while there is no rollout.
    pub fn rollout_rows(&self, glyphs: Glyphs, paint: Paint) -> Vec<Row> {
        let Some((rollout, gone_ms)) = self.rollout() else { return Vec::new() };
        let lines = block(rollout, glyphs, paint).into_iter().enumerate();
        let row = |(place, line): (usize, super::rollout::BlockLine)| {
            let key = format!("rollout:{place}");
            let mut row = Row::new(key, RowKind::Text, Mark::Busy, line.text);
            row.left = line.left.map(|left| left.after(gone_ms));
            row
        };
        lines.map(row).collect()
    }

    /// The same below the name of the deployment: all there is to see for whoever
    /// watches the rollout alone.
    pub fn rollout_screen(&self, glyphs: Glyphs, paint: Paint) -> Vec<Row> {
        let Some(record) = self.record() else { return Vec::new() };
        let text = match self.rollout() {
            Some((rollout, _)) => heading(rollout, paint),
            None => one_line(&headline(record)),
        };
        let head = Row::new("head", RowKind::Text, Mark::Busy, text);
        [head].into_iter().chain(self.rollout_rows(glyphs, paint)).collect()
    }

    /// All rows, from top to bottom.
    pub fn screen(&self, glyphs: Glyphs, paint: Paint) -> Vec<Row> {
        let Some(record) = self.record() else { return Vec::new() };
        let mut rows =
            vec![Row::new("head", RowKind::Head, Mark::Busy, one_line(&headline(record)))];
        match &record.work {
            Some(work) => {
                rows.extend(work.gates.iter().map(|gate| {
                    let key = format!("gate:{}", gate.id);
                    let deferral = work.deferred.as_ref();
                    let deferral = deferral.filter(|_| gate.condition == GateCondition::Calendar);
                    let text = match deferral {
                        Some(deferral) => format!("waits {}", one_line(&deferral.to_string())),
                        None => format!("waits: {}", one_line(&gate.message)),
                    };
                    Row::new(key, RowKind::Step, Mark::Busy, text)
                }));
                rows.extend(steps(work));
                rows.extend(self.rollout_rows(glyphs, paint));
            }
            None if record.phase == Phase::Queued => {
                let text = match (record.deferral(), &record.yielded) {
                    (Some(deferral), _) => format!("waits {}", one_line(&deferral.to_string())),
                    (None, Some(yielded)) => format!("has made way for {}", yielded.to),
                    (None, None) => "waits for its turn".to_owned(),
                };
                rows.push(Row::new("queue", RowKind::Step, Mark::Busy, text));
            }
            None => {}
        }
        rows.extend(self.tail().enumerate().map(|(index, entry)| {
            let text = format!("{} | {}", one_line(&entry.step), one_line(&entry.message));
            Row::new(format!("log:{index}"), RowKind::Log, Mark::Waiting, text)
        }));
        rows
    }
}

fn steps(work: &Deployment) -> Vec<Row> {
    let depths = depths(work);
    let mut rows = Vec::new();
    let mut bar_is_there = false;
    for step in &work.steps {
        if is_round(step) {
            if !bar_is_there {
                bar_is_there = true;
                rows.push(bar(work));
            }
            continue;
        }
        let mut row = Row::new(&step.id.0, RowKind::Step, mark(step), label(step));
        row.depth = depths.get(&step.id).copied().unwrap_or(0);
        row.note = note(step);
        row.started = step.started;
        row.ended = step.ended;
        rows.push(row);
    }
    rows
}

/// All rounds of the rollout, as one row.
fn bar(work: &Deployment) -> Row {
    let rounds = || work.steps.iter().filter(|step| is_round(step));
    let current = rounds().rev().find(|step| step.is_open() || is_in_trouble(step));
    let (progress, message) = match &work.rollout {
        Some(rollout) => (rollout.progress.min(100), one_line(&rollout.message)),
        None => (0, String::new()),
    };
    let failed = rounds().any(|step| step.status == StepStatus::Failed);
    let mark = match current {
        _ if failed => Mark::Bad,
        Some(step) => mark(step),
        // Between two rounds, or at the end.
        None if work.is_committed() => Mark::Good,
        None if work.is_restoring() => Mark::Bad,
        None => Mark::Busy,
    };
    let mut row = Row::new("rollout", RowKind::Bar(progress), mark, "rollout");
    row.note = match current {
        Some(step) if is_in_trouble(step) => note(step),
        Some(step) if message.is_empty() && matches!(step.kind, StepKind::Rollout { .. }) => {
            label(step)
        }
        _ => message,
    };
    (row.started, row.ended) = rollout_times(work);
    row
}

fn mark(step: &Step) -> Mark {
    match step.status {
        StepStatus::Waiting => Mark::Waiting,
        StepStatus::Running | StepStatus::Pending { .. } => Mark::Busy,
        StepStatus::Retrying { .. } => Mark::Trouble,
        StepStatus::Succeeded => Mark::Good,
        StepStatus::Failed => Mark::Bad,
    }
}

fn note(step: &Step) -> String {
    let fault = || step.fault.as_ref().map(|fault| fault.message.as_str());
    let text = match step.status {
        StepStatus::Failed => fault().unwrap_or_default().to_owned(),
        StepStatus::Retrying { .. } => {
            format!("attempt {} failed: {}", step.attempts, fault().unwrap_or_default())
        }
        StepStatus::Pending { .. } => step.message.clone().unwrap_or_default(),
        _ => String::new(),
    };
    one_line(&text)
}

fn one_line(text: &str) -> String {
    clean(text).replace(['\n', '\t'], " ")
}
