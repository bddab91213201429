//! Shows how a rollout stands, once or until its deployment ends.

use deployd_core::Timestamp;
use deployd_core::deployment::Outcome;
use deployd_core::views::RolloutView;

use super::named::{self, Alone};
use super::{Context, deploy};
use crate::args::{Format, RolloutArgs};
use crate::error::CliError;
use crate::exit;
use crate::live::{Bars, BlockLine, News, Renderer, View, block, heading};
use crate::output::Output;

pub(super) async fn rollout(context: &mut Context<'_>, args: RolloutArgs) -> Result<u8, CliError> {
    let client = context.client()?;
    let id = named::deployment(&client, &args.of, Alone::Newest).await?;
    if args.watch {
        let output = &mut *context.output;
        let record = if output.is_human() && output.terminal && output.err_terminal {
            let mut bars = Bars::of_rollout(output.err_paint);
            deploy::interruptible(&client, &id, &mut bars).await?
        } else {
            let mut changes = Changes { output, shown: Vec::new(), seen: None };
            deploy::interruptible(&client, &id, &mut changes).await?
        };
        return Ok(exit::of_outcome(record.outcome.unwrap_or(Outcome::NeedsOperator)));
    }
    let view = client.rollout(&id).await?;
    let output = &mut *context.output;
    if !output.is_human() {
        output.document(&view)?;
        return Ok(exit::OK);
    }
    if view.is_empty() {
        let text = format!("{} #{} has no rollout yet", view.environment, view.number);
        output.note(format!("{text}; `deployd watch {id}` follows it"))?;
        return Ok(exit::OK);
    }
    show(output, &view, &lines(output, &view))?;
    Ok(exit::OK)
}

fn lines(output: &Output, view: &RolloutView) -> Vec<BlockLine> {
    block(view, output.glyphs, output.paint)
}

fn show(output: &mut Output, view: &RolloutView, lines: &[BlockLine]) -> Result<(), CliError> {
    output.line(heading(view, output.paint))?;
    lines.iter().try_for_each(|line| output.line(line.to_string()))
}

/// Shows the rollout again with each change of it, where nothing can change in
/// place.
struct Changes<'a> {
    output: &'a mut Output,
    /// What was shown last, without times.
    shown: Vec<String>,
    /// When the rollout stood as it was seen last.
    seen: Option<Timestamp>,
}

impl Changes<'_> {
    fn changed(&mut self, view: &RolloutView) -> Result<(), CliError> {
        let lines = lines(self.output, view);
        let texts = lines.iter().map(|line| line.text.clone());
        let texts: Vec<String> =
            [heading(view, self.output.paint)].into_iter().chain(texts).collect();
        if texts == self.shown {
            return Ok(());
        }
        if !self.shown.is_empty() {
            self.output.line("")?;
        }
        self.shown = texts;
        show(self.output, view, &lines)
    }
}

impl Renderer for Changes<'_> {
    fn update(&mut self, view: &View, _: &News) -> Result<(), CliError> {
        let Some((rollout, _)) = view.rollout() else { return Ok(()) };
        // An update of the log alone brings nothing new.
        if self.seen.replace(rollout.at) == Some(rollout.at) {
            return Ok(());
        }
        match self.output.format {
            Format::Human => self.changed(rollout)?,
            Format::Yaml => {
                self.output.line("---")?;
                self.output.document(rollout)?;
            }
            Format::Json | Format::Csv => {
                let text = serde_json::to_string(rollout);
                self.output.line(text.map_err(|error| CliError::Failed(error.to_string()))?)?;
            }
        }
        self.output.flush()
    }

    fn note(&mut self, text: &str) -> Result<(), CliError> {
        self.output.note(text)
    }

    fn finish(&mut self, view: &View) -> Result<(), CliError> {
        if self.output.is_human() {
            for line in view.summary() {
                let text = self.output.paint.tone(line.tone, &line.text);
                self.output.line(text)?;
            }
        }
        Ok(())
    }
}
