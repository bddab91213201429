//! Has past deployments made once more, and says how that differs.

use deployd_core::DeploymentId;
use deployd_core::replay::{Difference, Part, Replay, ReplayedPart, Verdict};
use deployd_core::subject::Subject;
use serde::Serialize;
use serde_json::Value;

use super::Context;
use crate::args::ReplayArgs;
use crate::client::{Client, HistoryQuery};
use crate::error::CliError;
use crate::exit;
use crate::output::{Output, Tone, clean, counted};

/// Deployments on a page: the most that the daemon gives.
const PAGE: u32 = 500;

/// Differences that people are shown of one part: the rest is in the document.
const SHOWN: usize = 20;

/// The longest value that is shown on its line.
const VALUE_CHARS: usize = 60;

/// What came of several replays.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    replayed: u64,
    identical: u64,
    differ: u64,
    incomplete: u64,
    nothing: u64,
    /// Those that are not identical.
    replays: Vec<Replay>,
}

pub(super) async fn replay(context: &mut Context<'_>, args: ReplayArgs) -> Result<u8, CliError> {
    let client = context.client()?;
    if let Some(last) = args.last {
        let environment = args.environment().map_err(CliError::Usage)?;
        let query = HistoryQuery { environment, cursor: None, limit: None };
        return several(context, &client, query, last, &args).await;
    }
    let of = args.of.ok_or_else(|| CliError::Usage("expected a deployment".to_owned()))?;
    let replay = client.replay(&of, args.with.as_ref()).await?;
    if context.output.is_human() {
        describe(context.output, &replay)?;
    } else {
        context.output.document(&replay)?;
    }
    Ok(code(replay.verdict))
}

fn code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Identical => exit::OK,
        Verdict::Differs => exit::DIFFERS,
        Verdict::Incomplete | Verdict::Nothing => exit::NOT_ALL_COMPARED,
    }
}

async fn several(
    context: &mut Context<'_>,
    client: &Client,
    mut query: HistoryQuery,
    last: u32,
    args: &ReplayArgs,
) -> Result<u8, CliError> {
    let mut summary = Summary::default();
    let output = &mut *context.output;
    let all = async {
        let mut left = last;
        while left > 0 {
            query.limit = Some(left.min(PAGE));
            let page = client.history(&query).await?;
            for record in &page.deployments {
                let of = Subject::Deployment(record.id.0.clone());
                let replay = client.replay(&of, args.with.as_ref()).await?;
                summary.add(output, replay)?;
                left = left.saturating_sub(1);
            }
            match page.next {
                Some(next) => query.cursor = Some(next),
                None => break,
            }
        }
        Ok(())
    };
    // What was found so far is told also where the rest can't be asked about.
    let asked: Result<(), CliError> = all.await;
    if !output.is_human() {
        output.document(&summary)?;
        return asked.map(|()| code(summary.verdict()));
    }
    let text = format!(
        "{}: {} identical, {} differ, {} incomplete, {} had nothing to replay",
        counted(summary.replayed, "deployment"),
        summary.identical,
        summary.differ,
        summary.incomplete,
        summary.nothing
    );
    output.line(output.paint.tone(tone(summary.verdict()), text))?;
    asked.map(|()| code(summary.verdict()))
}

impl Summary {
    fn verdict(&self) -> Verdict {
        if self.differ > 0 {
            Verdict::Differs
        } else if self.incomplete > 0 {
            Verdict::Incomplete
        } else if self.identical == 0 {
            // That nothing was compared is no proof of anything.
            Verdict::Nothing
        } else {
            Verdict::Identical
        }
    }

    /// Counts a replay, and tells people of it at once.
    fn add(&mut self, output: &mut Output, replay: Replay) -> Result<(), CliError> {
        self.replayed = self.replayed.saturating_add(1);
        let count = match replay.verdict {
            Verdict::Identical => &mut self.identical,
            Verdict::Differs => &mut self.differ,
            Verdict::Incomplete => &mut self.incomplete,
            Verdict::Nothing => &mut self.nothing,
        };
        *count = count.saturating_add(1);
        if output.is_human() {
            match replay.verdict {
                Verdict::Differs | Verdict::Incomplete => describe(output, &replay)?,
                Verdict::Identical | Verdict::Nothing => output.line(title(output, &replay))?,
            }
            output.flush()?;
        }
        if matches!(replay.verdict, Verdict::Differs | Verdict::Incomplete) {
            self.replays.push(replay);
        }
        Ok(())
    }
}

fn tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Identical => Tone::Good,
        Verdict::Differs => Tone::Bad,
        Verdict::Incomplete => Tone::Warn,
        Verdict::Nothing => Tone::Dim,
    }
}

fn title(output: &Output, replay: &Replay) -> String {
    let paint = output.paint;
    let Replay { environment, number, deployment: DeploymentId(id), verdict, .. } = replay;
    let name = paint.tone(Tone::Strong, format!("{environment} #{number}"));
    let with =
        replay.with.as_ref().map(|with| format!(" with {}@{}", with.name, with.digest.short()));
    let verdict = paint.tone(tone(*verdict), verdict.to_string());
    format!("{name} ({id}){}: {verdict}", with.unwrap_or_default())
}

fn describe(output: &mut Output, replay: &Replay) -> Result<(), CliError> {
    output.line(title(output, replay))?;
    for part in &replay.parts {
        describe_part(output, part)?;
    }
    Ok(())
}

fn describe_part(output: &mut Output, part: &ReplayedPart) -> Result<(), CliError> {
    let paint = output.paint;
    let verdict = paint.tone(tone(part.verdict), part.verdict.to_string());
    let by = part.plugin.as_ref().map(|it| format!(" by {}@{}", it.name, it.digest.short()));
    let digest = match (part.part, part.verdict, part.recorded) {
        (Part::Plan | Part::Manifests, Verdict::Identical, Some(digest)) => format!(" {digest}"),
        _ => String::new(),
    };
    let name = part.part.to_string();
    output.line(format!("  {name:<10}{verdict}{digest}{}", by.unwrap_or_default()))?;
    if matches!(part.verdict, Verdict::Identical | Verdict::Differs) {
        output.line(paint.tone(Tone::Dim, format!("    compared: {}", part.compared)))?;
        if let Some(taken) = &part.taken {
            output.line(paint.tone(Tone::Dim, format!("    taken as recorded: {taken}")))?;
        }
    }
    for missing in &part.missing {
        output.line(format!("    {}", clean(missing)))?;
    }
    let mut what = None;
    for difference in part.differences.iter().take(SHOWN) {
        if what != Some(&difference.what) {
            let name = clean(&difference.what);
            output.line(format!("    {}", paint.tone(Tone::Strong, name)))?;
            what = Some(&difference.what);
        }
        output.line(format!("      {}", clean(&line(difference))))?;
    }
    let listed = part.differences.len().saturating_sub(SHOWN);
    let more = part.more.saturating_add(u64::try_from(listed).unwrap_or(u64::MAX));
    if more > 0 {
        output.line(format!("    and {more} more"))?;
    }
    Ok(())
}

/// `/spec/replicas: 1 is recorded, 3 was made`.
fn line(difference: &Difference) -> String {
    let Difference { what, path, recorded, replayed } = difference;
    let at = if path.is_empty() { String::new() } else { format!("{path}: ") };
    match (recorded, replayed) {
        (Some(recorded), Some(replayed)) => {
            format!("{at}{} is recorded, {} was made", text(recorded), text(replayed))
        }
        (Some(recorded), None) => format!("{at}{} is recorded, nothing was made", text(recorded)),
        (None, Some(replayed)) => format!("{at}nothing is recorded, {} was made", text(replayed)),
        (None, None) => format!("all fields are the same, and their {what} is not"),
    }
}

fn text(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= VALUE_CHARS {
        return text;
    }
    let cut: String = text.chars().take(VALUE_CHARS).collect();
    format!("{cut}…")
}
