//! Signs in and out, and says who may do what.

mod attempt;
mod callback;
mod login;

use deployd_core::access::SubjectKind;

use super::Context;
use crate::args::{AuthCommand, CanArgs};
use crate::error::CliError;
use crate::exit;
use crate::output::{Table, Tone, clean};

pub(super) async fn auth(context: &mut Context<'_>, command: AuthCommand) -> Result<u8, CliError> {
    match command {
        AuthCommand::Login(args) => login::login(context, &args).await,
        AuthCommand::Logout => login::logout(context).await,
        AuthCommand::CanI(args) => can_i(context, &args).await,
        AuthCommand::WhoCan(args) => who_can(context, &args).await,
    }
}

async fn can_i(context: &mut Context<'_>, args: &CanArgs) -> Result<u8, CliError> {
    let CanArgs { action, environment, application } = args;
    let client = context.client()?;
    let view = client.can_i(*action, environment.as_ref(), application.as_ref()).await?;
    let output = &mut *context.output;
    let code = if view.by.is_some() { exit::OK } else { exit::UNAUTHORISED };
    if !output.is_human() {
        output.document(&view)?;
        return Ok(code);
    }
    match &view.by {
        Some(by) => {
            let bound = by.binding.as_ref().map(|binding| format!(", by the binding {binding}"));
            let bound = bound.unwrap_or_default();
            let text = format!("yes: {action} in {} by the role {}{bound}", view.to, by.role);
            output.line(output.paint.tone(Tone::Good, clean(&text)))?;
        }
        None => {
            let text = format!("no: nothing lets you {action} in {}", view.to);
            output.line(output.paint.tone(Tone::Bad, clean(&text)))?;
            let roles: Vec<String> = view.roles.iter().map(ToString::to_string).collect();
            output.note(format!("roles that would: {}", roles.join(", ")))?;
        }
    }
    Ok(code)
}

async fn who_can(context: &mut Context<'_>, args: &CanArgs) -> Result<u8, CliError> {
    let CanArgs { action, environment, application } = args;
    let client = context.client()?;
    let view = client.who_can(*action, environment.as_ref(), application.as_ref()).await?;
    let output = &mut *context.output;
    if !output.is_human() {
        output.document(&view)?;
        return Ok(exit::OK);
    }
    if view.who.is_empty() {
        output.line(format!("Nobody may {action} in {}.", clean(&view.to)))?;
        return Ok(exit::OK);
    }
    let mut table = Table::new(["who", "is", "by the role", "by the binding"]);
    for one in &view.who {
        let kind = match one.kind {
            SubjectKind::Token => "a token",
            SubjectKind::Actor => "an actor",
            SubjectKind::Group => "a group",
            SubjectKind::Issuer => "an issuer's",
        };
        let binding = one.binding.as_ref().map(ToString::to_string).unwrap_or_default();
        table.row([clean(&one.name), kind.to_owned(), one.role.to_string(), binding]);
    }
    output.table(&table)?;
    Ok(exit::OK)
}
