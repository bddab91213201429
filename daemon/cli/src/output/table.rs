//! Tables without borders.

use comfy_table::presets::NOTHING;
use comfy_table::{Cell, Color, ContentArrangement};

use super::paint::{Paint, Tone};
use super::text::clean;

/// A table: a heading and rows of cells.
#[derive(Debug, Clone)]
pub struct Table {
    heading: Vec<&'static str>,
    rows: Vec<Vec<(String, Tone)>>,
}

impl Table {
    /// A table without rows.
    pub fn new(heading: impl IntoIterator<Item = &'static str>) -> Self {
        Self { heading: heading.into_iter().collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|text| (clean(&text), Tone::Plain)).collect());
    }

    /// Adds a row whose cells have tones.
    pub fn toned(&mut self, cells: impl IntoIterator<Item = (String, Tone)>) {
        self.rows.push(cells.into_iter().map(|(text, tone)| (clean(&text), tone)).collect());
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// As text. Columns wrap to the width of a terminal; elsewhere, lines are
    /// as long as they are, for `grep`.
    pub(crate) fn render(&self, terminal: bool, paint: Paint) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(NOTHING);
        table.set_content_arrangement(if terminal {
            ContentArrangement::Dynamic
        } else {
            ContentArrangement::Disabled
        });
        if paint.has_colours() {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        table.set_header(self.heading.iter().map(|name| Cell::new(name.to_uppercase())));
        for row in &self.rows {
            table.add_row(row.iter().map(|(text, tone)| cell(text, *tone)));
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        // Trailing spaces are no content.
        let lines = table.lines().map(|line| line.trim_end().to_owned() + "\n");
        lines.collect()
    }
}

fn cell(text: &str, tone: Tone) -> Cell {
    let cell = Cell::new(text);
    match tone {
        Tone::Plain | Tone::Strong | Tone::Dim => cell,
        Tone::Good => cell.fg(Color::Green),
        Tone::Busy => cell.fg(Color::Cyan),
        Tone::Warn => cell.fg(Color::Yellow),
        Tone::Bad => cell.fg(Color::Red),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_tables_are_for_grep() {
        let mut table = Table::new(["name", "status"]);
        table.row(["shop/development".to_owned(), "ok".to_owned()]);
        table.toned([("x".repeat(300), Tone::Bad), ("bad\u{1b}[0m".to_owned(), Tone::Bad)]);
        let text = table.render(false, Paint::new(false));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].starts_with("NAME"));
        assert!(!text.contains('\u{1b}'));
        assert!(lines.iter().all(|line| !line.ends_with(' ')));
    }
}
