//! Creates, lists and revokes tokens.

use super::Context;
use crate::args::TokenCommand;
use crate::error::CliError;
use crate::exit;
use crate::output::{Table, ago, clean};

pub(super) async fn token(
    context: &mut Context<'_>,
    command: TokenCommand,
) -> Result<u8, CliError> {
    let client = context.client()?;
    let output = &mut *context.output;
    match command {
        TokenCommand::Create(args) => {
            let new = client.create_token(&args.name, args.scope.into()).await?;
            if output.is_human() {
                // The one time that it is shown, to who has asked for it.
                output.line(&new.secret)?;
                output
                    .note(format!("token {}; it is shown once and never again", new.token.name))?;
            } else {
                output.document(&new)?;
            }
        }
        TokenCommand::List => {
            let tokens = client.tokens().await?;
            if !output.is_human() {
                output.document(&tokens)?;
                return Ok(exit::OK);
            }
            let mut table = Table::new(["name", "scope", "created by", "when"]);
            for token in &tokens {
                table.row([
                    token.name.to_string(),
                    token.scope.as_str().to_owned(),
                    token.created_by.to_string(),
                    ago(token.created, output.now),
                ]);
            }
            output.table(&table)?;
        }
        TokenCommand::Revoke { name } => {
            client.revoke_token(&name).await?;
            if output.is_human() {
                output.note(format!("token {name} is revoked"))?;
            } else {
                output.document(&serde_json::json!({"name": name}))?;
            }
        }
    }
    Ok(exit::OK)
}

pub(super) async fn whoami(context: &mut Context<'_>) -> Result<u8, CliError> {
    let token = context.client()?.whoami().await?;
    let output = &mut *context.output;
    if output.is_human() {
        let mut line = clean(&token.name.0);
        if let Some(scope) = token.scope {
            line.push_str(&format!(" ({})", scope.as_str()));
        }
        if let Some(by) = &token.created_by {
            line.push_str(&format!(", created by {}", clean(&by.0)));
        }
        if !token.groups.is_empty() {
            let groups: Vec<_> = token.groups.iter().map(|group| clean(group)).collect();
            line.push_str(&format!(", in {}", groups.join(", ")));
        }
        if let Some(expires) = token.expires {
            line.push_str(&format!(", until {expires}"));
        }
        output.line(line)?;
    } else {
        output.document(&token)?;
    }
    Ok(exit::OK)
}
