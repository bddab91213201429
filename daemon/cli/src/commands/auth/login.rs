//! Signs people in: their identity provider's page in a browser, its token exchanged at
//! the daemon for a session, which is kept (RFC 8252: authorization code with PKCE, and a
//! redirect to this machine).

use std::sync::Arc;
use std::time::Duration;

use deployd_core::Name;
use deployd_core::views::{ExchangeRequest, LoginView, NewSession};
use serde_json::json;

use super::attempt::Attempt;
use super::callback::Callback;
use crate::args::{LoginArgs, SecretText};
use crate::client::{Provider, server_address};
use crate::commands::Context;
use crate::commands::sessions::Kept;
use crate::error::CliError;
use crate::exit;
use crate::output::{Tone, clean};

/// How long somebody may take at their identity provider's page.
const SIGN_IN_TIMEOUT: Duration = Duration::from_secs(600);

pub(super) async fn login(context: &mut Context<'_>, args: &LoginArgs) -> Result<u8, CliError> {
    let client = context.client_with(None)?;
    // Where it will be kept is known before anybody is asked to sign in.
    let mut sessions = context.sessions()?;
    let login = chosen(client.logins().await?, args.issuer.as_ref())?;
    let provider = Provider::find(&login, &context.options()?).await?;
    let attempt = Arc::new(Attempt::new(&login.issuer)?);
    let callback = Callback::open().await?;
    let redirect = Attempt::redirect(callback.port());
    let address = attempt.address(&provider.page, &login, &redirect);
    // Beside the result, and also when quiet is wanted: nothing goes on without it.
    context.output.complain("Open this address in a browser on this machine, and sign in:\n");
    context.output.complain(format!("  {address}\n"));
    let returned = tokio::select! {
        returned = callback.returned(&attempt) => returned?,
        () = tokio::time::sleep(SIGN_IN_TIMEOUT) => {
            let minutes = SIGN_IN_TIMEOUT.as_secs() / 60;
            return Err(CliError::Failed(format!("nobody has signed in within {minutes} minutes")));
        }
        Ok(()) = tokio::signal::ctrl_c() => {
            return Err(CliError::Interrupted("not signed in".to_owned()));
        }
    };
    // Nobody is listened to any more.
    drop(callback);
    let code = returned.map_err(|why| {
        CliError::Failed(format!("{} has not signed you in: {}", login.issuer, clean(&why)))
    })?;
    let (client_id, verifier) = (&login.client_id, attempt.verifier());
    let token = provider.id_token(client_id, &code, verifier, &redirect).await?;
    if !attempt.has_asked_for(&token) {
        let what = format!("the token of {} is not for this sign-in (`nonce`)", login.issuer);
        return Err(CliError::Failed(what));
    }
    let asked = ExchangeRequest {
        token,
        issuer: Some(login.name),
        actions: args.actions.iter().copied().collect(),
        within: Default::default(),
    };
    let session = client.exchange(&asked).await?;
    sessions.keep(client.server(), Kept::from(session.clone()), context.output.now)?;
    shown(context, client.server(), &session)?;
    if context.output.is_human() {
        context.output.note(format!("kept in {}", sessions.path().display()))?;
    }
    Ok(exit::OK)
}

/// How somebody signs in: the one way there is, or the one that they have named.
fn chosen(logins: Vec<LoginView>, name: Option<&Name>) -> Result<LoginView, CliError> {
    let names: Vec<&str> = logins.iter().map(|login| login.name.as_str()).collect();
    let names = names.join(", ");
    if logins.is_empty() {
        let what = "nobody can sign in at this daemon: none of its Issuer documents has `login`";
        return Err(CliError::Failed(what.to_owned()));
    }
    let mut found = logins.into_iter().filter(|login| name.is_none_or(|name| login.name == *name));
    match (found.next(), found.next(), name) {
        (Some(login), None, _) => Ok(login),
        (None, _, Some(name)) => Err(CliError::Usage(format!(
            "nobody can sign in with {name} at this daemon, expected one of {names}"
        ))),
        _ => Err(CliError::Usage(format!(
            "there are several ways to sign in; say which: deployd auth login {{{names}}}"
        ))),
    }
}

fn shown(context: &mut Context<'_>, server: &str, session: &NewSession) -> Result<(), CliError> {
    let output = &mut *context.output;
    let NewSession { name, issuer, groups, expires, .. } = session;
    if !output.is_human() {
        return output.document(&json!({
            "server": server, "name": name, "issuer": issuer, "groups": groups, "expires": expires,
        }));
    }
    let line = format!("signed in at {server} as {}, until {expires}", clean(&name.0));
    output.line(output.paint.tone(Tone::Good, line))?;
    if context.globals.token.is_some() || context.globals.token_file.is_some() {
        output.note("DEPLOYD_TOKEN or a token file is set, and is used instead while it is")?;
    }
    Ok(())
}

/// Ends a session at the daemon, and forgets it here also where that can't be reached.
pub(super) async fn logout(context: &mut Context<'_>) -> Result<u8, CliError> {
    let server = server_address(&context.globals.server)?;
    let taken = context.sessions()?.take(&server)?;
    let name = taken.as_ref().map(|kept| kept.name.clone());
    if let Some(kept) = taken.filter(|kept| kept.expires > context.output.now) {
        let client = context.client_with(Some(SecretText::new(kept.secret)))?;
        match client.end_session().await {
            Ok(()) => {}
            // It has ended before.
            Err(CliError::Problem(problem)) if problem.status == 401 => {}
            Err(error) => {
                let until = kept.expires;
                let what = format!("the session is forgotten here, and counts there until {until}");
                context.output.complain(what);
                return Err(error);
            }
        }
    }
    let output = &mut *context.output;
    if !output.is_human() {
        output.document(&json!({"server": server, "name": name}))?;
        return Ok(exit::OK);
    }
    match name {
        Some(name) => output.line(format!("signed out at {server}: {}", clean(&name.0)))?,
        None => output.line(format!("nobody is signed in at {server}"))?,
    }
    Ok(exit::OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(name: &str) -> LoginView {
        LoginView {
            name: name.parse().unwrap(),
            issuer: format!("https://{name}.example.com"),
            client_id: "deployd".to_owned(),
            scopes: Vec::new(),
        }
    }

    #[test]
    fn the_one_way_needs_no_name_and_of_several_one_is_named() {
        let (one, two) = (vec![login("corp")], vec![login("corp"), login("guests")]);
        let name = |name: &str| name.parse::<Name>().unwrap();
        assert_eq!(chosen(one.clone(), None).unwrap(), login("corp"));
        assert_eq!(chosen(two.clone(), Some(&name("guests"))).unwrap(), login("guests"));
        let error = |logins, wanted: Option<&Name>| chosen(logins, wanted).unwrap_err().to_string();
        assert!(error(two.clone(), None).contains("corp, guests"));
        assert!(error(two, Some(&name("cor"))).contains("expected one of corp, guests"));
        assert!(error(one, Some(&name("x"))).contains("expected one of corp"));
        assert!(error(Vec::new(), None).contains("`login`"));
    }
}
