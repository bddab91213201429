//! Shows how deployments and sets differ.

mod text;
mod unified;

use deployd_core::EnvironmentId;
use deployd_core::compare::{Comparison, PartName, Wanted};
use deployd_core::subject::Subject;

use super::Context;
use crate::args::{DiffArgs, EnvironmentDiffArgs, Format, Showing};
use crate::client::Client;
use crate::error::CliError;
use crate::exit;

pub(super) async fn diff(context: &mut Context<'_>, args: DiffArgs) -> Result<u8, CliError> {
    let client = context.client()?;
    compared(context, &client, &args.a, &args.b, &args.showing).await
}

pub(super) async fn environments(
    context: &mut Context<'_>,
    args: EnvironmentDiffArgs,
) -> Result<u8, CliError> {
    let client = context.client()?;
    let a = Subject::now(environment(&client, &args.a).await?);
    let b = Subject::now(environment(&client, &args.b).await?);
    compared(context, &client, &a, &b, &args.showing).await
}

/// An environment by its whole name, or by its own where there is only one.
async fn environment(client: &Client, text: &str) -> Result<EnvironmentId, CliError> {
    if text.contains('/') {
        return text.parse().map_err(|error| CliError::Usage(format!("{text}: {error}")));
    }
    let all = client.environments().await?;
    let found: Vec<EnvironmentId> =
        all.into_iter().map(|view| view.id).filter(|id| id.environment.as_str() == text).collect();
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(CliError::Usage(format!(
            "there is no environment {text:?} of any application; `deployd env list` shows them"
        ))),
        many => {
            let names: Vec<String> = many.iter().map(ToString::to_string).collect();
            let message = format!("{text:?} is an environment of several applications");
            Err(CliError::Usage(format!("{message}: {}", names.join(", "))))
        }
    }
}

async fn compared(
    context: &mut Context<'_>,
    client: &Client,
    a: &Subject,
    b: &Subject,
    showing: &Showing,
) -> Result<u8, CliError> {
    let part = match showing.delta {
        true => Some(PartName::Set),
        false => showing.part.map(PartName::from),
    };
    let wanted = Wanted { part, documents: showing.unified };
    let comparison = client.compare(a, b, wanted).await?;
    let output = &mut *context.output;
    if showing.delta {
        match output.format {
            Format::Human => {
                let delta = serde_json::to_value(&comparison.delta)
                    .map_err(|error| CliError::Failed(error.to_string()))?;
                let text = deployd_config::to_yaml(&delta)?;
                output.text(&text)?;
            }
            _ => output.document(&comparison.delta)?,
        }
    } else if showing.unified {
        unified::print(output, &comparison, part)?;
    } else if output.is_human() {
        text::print(output, &comparison)?;
    } else {
        output.document(&comparison)?;
    }
    Ok(if showing.exit_code { code(&comparison) } else { exit::OK })
}

fn code(comparison: &Comparison) -> u8 {
    match (comparison.equal, comparison.is_partial()) {
        (false, _) => exit::DIFFERS,
        (true, true) => exit::NOT_ALL_COMPARED,
        (true, false) => exit::OK,
    }
}

#[cfg(test)]
mod tests;
