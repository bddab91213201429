//! Shows what a deployment has logged.

use deployd_core::ports::LogLevel;
use deployd_core::views::LogEntry;

use super::named::{self, Alone};
use super::{Context, deploy};
use crate::args::{Format, LogsArgs};
use crate::error::CliError;
use crate::exit;
use crate::live::{News, Renderer, View};
use crate::output::{Output, Tone, clean, no_list};

/// Lines on a page: the most that the daemon gives.
const PAGE: u32 = 500;

pub(super) async fn logs(context: &mut Context<'_>, args: LogsArgs) -> Result<u8, CliError> {
    let client = context.client()?;
    let id = named::deployment(&client, &args.of, Alone::Newest).await?;
    let output = &mut *context.output;
    if args.follow {
        let mut renderer = LogRenderer { output, after: args.after };
        deploy::interruptible(&client, &id, &mut renderer).await?;
        return Ok(exit::OK);
    }
    let mut after = args.after;
    let mut all = Vec::new();
    loop {
        let page = client.logs(&id, after, PAGE).await?;
        let full = page.len() >= PAGE as usize;
        // A page that brings nothing new would be asked for for ever.
        let Some(last) = page.last().map(|entry| entry.sequence).filter(|last| *last > after)
        else {
            break;
        };
        after = last;
        if output.is_human() {
            for entry in &page {
                show(output, entry)?;
            }
        } else {
            all.extend(page);
        }
        if !full {
            break;
        }
    }
    if !output.is_human() {
        output.document(&all)?;
    }
    if after == 0 && client.deployment(&id).await?.ended.is_some() {
        // What is not kept any more must not look like what never was.
        let kept = "`details` of the environment's type says for how long logs are kept";
        context.output.note(format!("nothing is kept of the log of {id}; {kept}"))?;
    }
    Ok(exit::OK)
}

/// How a line of a level looks.
pub(super) fn tone(level: LogLevel) -> Tone {
    match level {
        LogLevel::Debug => Tone::Dim,
        LogLevel::Info => Tone::Plain,
        LogLevel::Warn => Tone::Warn,
        LogLevel::Error => Tone::Bad,
    }
}

fn show(output: &mut Output, entry: &LogEntry) -> Result<(), CliError> {
    let tone = tone(entry.level);
    let place = output.paint.tone(Tone::Dim, format!("{} {}", entry.at, clean(&entry.step)));
    let message = output.paint.tone(tone, clean(&entry.message));
    output.line(format!("{place} {message}"))
}

/// Shows the log alone.
struct LogRenderer<'a> {
    output: &'a mut Output,
    after: u64,
}

impl Renderer for LogRenderer<'_> {
    fn update(&mut self, _: &View, news: &News) -> Result<(), CliError> {
        for entry in news.logs.iter().filter(|entry| entry.sequence > self.after) {
            match self.output.format {
                Format::Human => show(self.output, entry)?,
                Format::Json => {
                    let text = serde_json::to_string(entry)
                        .map_err(|error| CliError::Failed(error.to_string()))?;
                    self.output.line(text)?;
                }
                Format::Csv => return Err(no_list()),
                Format::Yaml => {
                    self.output.line("---")?;
                    self.output.document(entry)?;
                }
            }
        }
        self.output.flush()
    }

    fn note(&mut self, text: &str) -> Result<(), CliError> {
        self.output.note(text)
    }

    fn finish(&mut self, _: &View) -> Result<(), CliError> {
        Ok(())
    }
}
