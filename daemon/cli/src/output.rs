//! Where results, notes and errors are written, and how.

mod glyphs;
mod paint;
mod rails;
mod sheet;
mod table;
mod text;

use std::io::{IsTerminal as _, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use deployd_core::Timestamp;
use serde::Serialize;

use crate::args::{Format, Globals};
use crate::error::CliError;

pub use glyphs::Glyphs;
pub use paint::{Paint, Tone};
pub use rails::{Rails, rails};
pub use sheet::Sheet;
pub use table::Table;
pub use text::{ago, clean, counted, lasted, number, roughly, short};

/// A place to write to.
pub type Writer = Box<dyn Write + Send>;

/// Where results, notes and errors are written, and how.
pub struct Output {
    out: Writer,
    err: Writer,
    /// How results are written.
    pub format: Format,
    /// Whether only results and errors are.
    pub quiet: bool,
    /// Colours of results.
    pub paint: Paint,
    /// Colours of notes and errors.
    pub err_paint: Paint,
    /// Whether results are read by a person.
    pub terminal: bool,
    /// Whether notes are.
    pub err_terminal: bool,
    /// What times are told against.
    pub now: Timestamp,
    /// Characters for bars and graphs.
    pub glyphs: Glyphs,
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output").field("format", &self.format).finish_non_exhaustive()
    }
}

impl Output {
    /// Standard output and standard error, as the command line asks for.
    pub fn standard(globals: &Globals) -> Self {
        let colours = !globals.no_color && colours_wanted();
        let (out, err) = (std::io::stdout(), std::io::stderr());
        let (terminal, err_terminal) = (out.is_terminal(), err.is_terminal());
        Self {
            out: Box::new(out),
            err: Box::new(err),
            format: globals.output,
            quiet: globals.quiet,
            paint: Paint::new(colours && terminal),
            err_paint: Paint::new(colours && err_terminal),
            terminal,
            err_terminal,
            now: now(),
            glyphs: Glyphs::detect(),
        }
    }

    /// Other places than the standard ones, as no terminal.
    pub fn to(out: Writer, err: Writer, format: Format, now: Timestamp) -> Self {
        Self {
            out,
            err,
            format,
            quiet: false,
            paint: Paint::new(false),
            err_paint: Paint::new(false),
            terminal: false,
            err_terminal: false,
            now,
            glyphs: Glyphs::of(None),
        }
    }

    /// Whether results are for people.
    pub fn is_human(&self) -> bool {
        self.format == Format::Human
    }

    /// Whether results are for spreadsheets.
    pub fn is_sheet(&self) -> bool {
        self.format == Format::Csv
    }

    /// How many entries of a list are wanted: what was asked for, or else as many as
    /// people look at, and all for programs.
    pub fn at_most(&self, asked: Option<usize>, shown: usize) -> usize {
        asked.unwrap_or(if self.is_human() { shown } else { usize::MAX })
    }

    /// A list of the result.
    pub fn sheet(&mut self, sheet: &Sheet) -> Result<(), CliError> {
        self.out.write_all(&sheet.render()?)?;
        Ok(())
    }

    /// A line of the result.
    pub fn line(&mut self, text: impl AsRef<str>) -> Result<(), CliError> {
        writeln!(self.out, "{}", text.as_ref())?;
        Ok(())
    }

    /// Text of the result, as it is.
    pub fn text(&mut self, text: &str) -> Result<(), CliError> {
        self.out.write_all(text.as_bytes())?;
        Ok(())
    }

    /// A table of the result.
    pub fn table(&mut self, table: &Table) -> Result<(), CliError> {
        let text = table.render(self.terminal, self.paint);
        self.text(&text)
    }

    /// A result as a document: the format is not human.
    pub fn document(&mut self, value: &impl Serialize) -> Result<(), CliError> {
        let failed = |error: serde_json::Error| CliError::Failed(error.to_string());
        match self.format {
            Format::Yaml => {
                let value = serde_json::to_value(value).map_err(failed)?;
                let text = deployd_config::to_yaml(&value)?;
                self.text(&text)?;
            }
            Format::Csv => return Err(no_list()),
            Format::Json | Format::Human => {
                let text = serde_json::to_string_pretty(value).map_err(failed)?;
                self.line(text)?;
            }
        }
        Ok(())
    }

    /// A line beside the result, for people; nothing when they want quiet.
    pub fn note(&mut self, text: impl AsRef<str>) -> Result<(), CliError> {
        if !self.quiet {
            writeln!(self.err, "{}", text.as_ref())?;
        }
        Ok(())
    }

    /// A line about what went wrong. That it can't be written is no more to be
    /// told of.
    pub fn complain(&mut self, text: impl AsRef<str>) {
        let _ = writeln!(self.err, "{}", text.as_ref());
    }

    /// Where progress goes: beside a document it is no result.
    pub fn progress(&mut self) -> (&mut (dyn Write + Send), Paint) {
        if self.is_human() { (&mut self.out, self.paint) } else { (&mut self.err, self.err_paint) }
    }

    /// Writes what is kept back.
    pub fn flush(&mut self) -> Result<(), CliError> {
        self.out.flush()?;
        self.err.flush()?;
        Ok(())
    }
}

/// Why there is no CSV of a result.
pub(crate) fn no_list() -> CliError {
    let text = "this result is no list: -o csv is for `inventory`, `env APP/ENV --at`, `audit` and `dora`; -o json is for all";
    CliError::Usage(text.to_owned())
}

/// What time it is.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// `NO_COLOR` (no-color.org): present and not empty, whatever its value.
pub(crate) fn colours_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}
