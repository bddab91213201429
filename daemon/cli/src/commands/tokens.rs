//! Creates, lists and revokes tokens.

use deployd_core::views::TokenScope;

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
                    scope(token.scope).to_owned(),
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
        let by = clean(&token.created_by.0);
        output.line(format!("{} ({}), created by {by}", token.name, scope(token.scope)))?;
    } else {
        output.document(&token)?;
    }
    Ok(exit::OK)
}

fn scope(scope: TokenScope) -> &'static str {
    match scope {
        TokenScope::Read => "read",
        TokenScope::Ci => "ci",
        TokenScope::Deploy => "deploy",
        TokenScope::Admin => "admin",
    }
}
