//! Shows a deployment on a terminal: rows that change in place.

use std::io::Write as _;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::lines::Renderer;
use super::rollout::Left;
use super::screen::{Mark, Row, RowKind};
use super::view::{News, View};
use crate::error::CliError;
use crate::output::{Glyphs, Paint, Tone, lasted, now};

/// How often what goes on is drawn.
const TICK: Duration = Duration::from_millis(120);

/// How often a time that is left is drawn.
const SECOND: Duration = Duration::from_secs(1);

/// Cells of the bar of a rollout.
const BAR_CELLS: usize = 24;

/// Rows on standard error, drawn by indicatif.
pub struct Bars {
    multi: MultiProgress,
    rows: Vec<(String, ProgressBar)>,
    paint: Paint,
    glyphs: Glyphs,
    /// Whether only the rollout is shown.
    rollout_alone: bool,
    still: ProgressStyle,
    running: ProgressStyle,
}

impl std::fmt::Debug for Bars {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bars").field("rows", &self.rows.len()).finish_non_exhaustive()
    }
}

impl Bars {
    /// On standard error.
    pub fn new(paint: Paint) -> Self {
        Self::on(ProgressDrawTarget::stderr(), paint)
    }

    /// On standard error, the rollout alone.
    pub fn of_rollout(paint: Paint) -> Self {
        let mut bars = Self::new(paint);
        bars.rollout_alone = true;
        bars
    }

    pub(super) fn on(target: ProgressDrawTarget, paint: Paint) -> Self {
        let spinner = if paint.has_colours() { "{spinner:.cyan}" } else { "{spinner}" };
        Self {
            multi: MultiProgress::with_draw_target(target),
            rows: Vec::new(),
            paint,
            glyphs: Glyphs::detect(),
            rollout_alone: false,
            still: style("{msg}"),
            running: style(&format!("{{prefix}}{spinner} {{msg}} {{elapsed}}"))
                .tick_strings(&["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏", "·"]),
        }
    }

    fn screen(&self, view: &View) -> Vec<Row> {
        if self.rollout_alone {
            view.rollout_screen(self.glyphs, self.paint)
        } else {
            view.screen(self.glyphs, self.paint)
        }
    }

    fn draw(&mut self, screen: &[Row]) {
        self.rows.retain(|(key, bar)| {
            let stays = screen.iter().any(|row| row.key == *key);
            if !stays {
                self.multi.remove(bar);
            }
            stays
        });
        for (index, row) in screen.iter().enumerate() {
            let bar = match self.rows.iter().position(|(key, _)| *key == row.key) {
                Some(found) => self.rows.get(found).map(|(_, bar)| bar.clone()),
                None => None,
            };
            let bar = bar.unwrap_or_else(|| {
                let bar = ProgressBar::new_spinner().with_elapsed(elapsed(row));
                let bar = self.multi.insert(index, bar);
                let at = index.min(self.rows.len());
                self.rows.insert(at, (row.key.clone(), bar.clone()));
                bar
            });
            self.show(&bar, row);
        }
    }

    fn show(&self, bar: &ProgressBar, row: &Row) {
        let ticks = matches!(row.kind, RowKind::Step | RowKind::Bar(_))
            && matches!(row.mark, Mark::Busy | Mark::Trouble)
            && row.ended.is_none();
        if ticks {
            // The style last: each of these draws.
            bar.set_prefix(indent(row));
            bar.set_message(self.running_text(row));
            bar.set_style(self.running.clone());
            bar.enable_steady_tick(TICK);
        } else if let (RowKind::Text, Some(left)) = (row.kind, row.left) {
            bar.set_message(row.label.clone());
            bar.set_style(counting_down(left));
            bar.enable_steady_tick(SECOND);
        } else {
            bar.disable_steady_tick();
            bar.set_message(row_text(row, self.paint));
            bar.set_style(self.still.clone());
            bar.tick();
        }
    }

    fn running_text(&self, row: &Row) -> String {
        let note = if row.note.is_empty() { String::new() } else { format!(" {}", row.note) };
        let tone = if row.mark == Mark::Trouble { Tone::Warn } else { Tone::Dim };
        format!("{}{}{}", row.label, progress(row), self.paint.tone(tone, note))
    }

    fn clear(&mut self) {
        for (_, bar) in self.rows.drain(..) {
            bar.disable_steady_tick();
            self.multi.remove(&bar);
        }
        // A terminal that is gone has nothing to clear.
        let _ = self.multi.clear();
    }
}

/// All are well formed; a row without its style is a row all the same.
fn style(text: &str) -> ProgressStyle {
    ProgressStyle::with_template(text).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// A line with a time that gets shorter by itself.
fn counting_down(left: Left) -> ProgressStyle {
    let began = Instant::now();
    style("{msg}{left}").with_key(
        "left",
        move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
            let gone = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            // The terminal's own buffer takes all.
            let _ = write!(out, "{}", left.after(gone).text());
        },
    )
}

/// How long it has gone on already.
fn elapsed(row: &Row) -> Duration {
    let since = row.started.map_or(0, |started| now().ms_since(started));
    Duration::from_millis(since)
}

fn indent(row: &Row) -> String {
    match row.kind {
        RowKind::Head | RowKind::Text => String::new(),
        RowKind::Log => "    ".to_owned(),
        RowKind::Step | RowKind::Bar(_) => "  ".repeat(row.depth + 1),
    }
}

fn progress(row: &Row) -> String {
    let RowKind::Bar(percent) = row.kind else { return String::new() };
    let full = usize::from(percent) * BAR_CELLS / 100;
    let rest = BAR_CELLS.saturating_sub(full);
    format!(" {}{} {percent} %", "█".repeat(full), "░".repeat(rest))
}

/// A row that does not move.
pub(super) fn row_text(row: &Row, paint: Paint) -> String {
    let time = match (row.started, row.ended) {
        (Some(started), Some(ended)) => format!(" {}", lasted(ended.ms_since(started))),
        _ => String::new(),
    };
    let note = if row.note.is_empty() { String::new() } else { format!(" {}", row.note) };
    let (mark, tone) = match (row.kind, row.mark) {
        (RowKind::Head, _) => return paint.tone(Tone::Strong, &row.label),
        (RowKind::Text, _) => {
            return format!("{}{}", row.label, row.left.map(Left::text).unwrap_or_default());
        }
        (RowKind::Log, _) => {
            return paint.tone(Tone::Dim, format!("{}{}", indent(row), row.label));
        }
        (_, Mark::Waiting) => ("·", Tone::Dim),
        (_, Mark::Busy) => ("…", Tone::Busy),
        (_, Mark::Trouble) => ("!", Tone::Warn),
        (_, Mark::Good) => ("✓", Tone::Good),
        (_, Mark::Bad) => ("✗", Tone::Bad),
    };
    let label = if row.mark == Mark::Waiting {
        paint.tone(Tone::Dim, &row.label)
    } else {
        row.label.clone()
    };
    format!(
        "{}{} {label}{}{}{}",
        indent(row),
        paint.tone(tone, mark),
        progress(row),
        paint.tone(Tone::Dim, time),
        note
    )
}

impl Renderer for Bars {
    fn update(&mut self, view: &View, _: &News) -> Result<(), CliError> {
        self.draw(&self.screen(view));
        Ok(())
    }

    fn note(&mut self, text: &str) -> Result<(), CliError> {
        self.multi.println(self.paint.tone(Tone::Warn, text))?;
        Ok(())
    }

    /// What moved is replaced by the same rows, standing still.
    fn finish(&mut self, view: &View) -> Result<(), CliError> {
        self.clear();
        let mut stderr = std::io::stderr().lock();
        for row in self.screen(view) {
            writeln!(stderr, "{}", row_text(&row, self.paint))?;
        }
        for line in view.summary() {
            writeln!(stderr, "{}", self.paint.tone(line.tone, &line.text))?;
        }
        Ok(())
    }
}

impl Drop for Bars {
    /// Whoever is interrupted gets a clean terminal back.
    fn drop(&mut self) {
        self.clear();
    }
}
