//! Shows a deployment as lines, or not at all.

use std::io::Write;

use super::view::{Line, News, View};
use crate::error::CliError;
use crate::output::{Paint, Tone};

/// Shows a deployment while it runs.
pub trait Renderer: Send {
    /// Something is new.
    fn update(&mut self, view: &View, news: &News) -> Result<(), CliError>;

    /// Something about the watching itself, as a lost connection.
    fn note(&mut self, text: &str) -> Result<(), CliError>;

    /// It has ended.
    fn finish(&mut self, view: &View) -> Result<(), CliError>;
}

/// Shows one thing or another, as it was decided.
impl<R: Renderer + ?Sized> Renderer for Box<R> {
    fn update(&mut self, view: &View, news: &News) -> Result<(), CliError> {
        (**self).update(view, news)
    }

    fn note(&mut self, text: &str) -> Result<(), CliError> {
        (**self).note(text)
    }

    fn finish(&mut self, view: &View) -> Result<(), CliError> {
        (**self).finish(view)
    }
}

/// Lines, for logs of CI and everything else that is no terminal.
pub struct Lines<'a> {
    writer: &'a mut (dyn Write + Send),
    paint: Paint,
}

impl<'a> Lines<'a> {
    /// Lines to a writer.
    pub fn new(writer: &'a mut (dyn Write + Send), paint: Paint) -> Self {
        Self { writer, paint }
    }

    fn write(&mut self, lines: &[Line]) -> Result<(), CliError> {
        for line in lines {
            writeln!(self.writer, "{}", self.paint.tone(line.tone, &line.text))?;
        }
        // What is followed is wanted now.
        self.writer.flush()?;
        Ok(())
    }
}

impl Renderer for Lines<'_> {
    fn update(&mut self, _: &View, news: &News) -> Result<(), CliError> {
        self.write(&news.lines)
    }

    fn note(&mut self, text: &str) -> Result<(), CliError> {
        self.write(&[Line::new(Tone::Warn, text)])
    }

    fn finish(&mut self, view: &View) -> Result<(), CliError> {
        self.write(&view.summary())
    }
}

/// Shows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Renderer for Silent {
    fn update(&mut self, _: &View, _: &News) -> Result<(), CliError> {
        Ok(())
    }

    fn note(&mut self, _: &str) -> Result<(), CliError> {
        Ok(())
    }

    fn finish(&mut self, _: &View) -> Result<(), CliError> {
        Ok(())
    }
}
