//! Who may do what: bearer tokens and their scopes.

use std::time::Instant;

use deployd_core::Actor;
use deployd_core::journal::Source;
use deployd_core::views::{TokenScope, TokenView};
use http::request::Parts;
use http::{HeaderMap, header};

use crate::api::Api;
use crate::limits::TOKEN_BYTES_MAX;
use crate::problem::{Code, Problem};
use crate::source::source;

/// What an operation needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing: it says nothing that is anybody's business.
    Open,
    /// A token with this scope, or a wider one.
    Needs(TokenScope),
}

/// A scope, as it is written.
pub(crate) fn scope_name(scope: TokenScope) -> &'static str {
    match scope {
        TokenScope::Read => "read",
        TokenScope::Ci => "ci",
        TokenScope::Deploy => "deploy",
        TokenScope::Admin => "admin",
    }
}

/// The token of a request to an operation; none where it needs none.
///
/// What is refused is journalled before it is answered.
pub(crate) async fn authorize(
    api: &Api,
    access: Access,
    parts: &Parts,
    operation: &str,
) -> Result<Option<TokenView>, Box<Problem>> {
    let Access::Needs(needed) = access else { return Ok(None) };
    let secret = match bearer(&parts.headers) {
        Ok(secret) => secret,
        Err(problem) => {
            refused(api, None, parts, &format!("{operation}: no token")).await;
            return Err(problem);
        }
    };
    let Some(token) = api.engine().authenticate(secret).await? else {
        refused(api, None, parts, &format!("{operation}: unknown token")).await;
        let detail = "The token is not known; it may have been revoked.";
        return Err(challenged(detail, r#"Bearer realm="deployd", error="invalid_token""#));
    };
    if token.scope >= needed {
        return Ok(Some(token));
    }
    let (has, needs) = (scope_name(token.scope), scope_name(needed));
    let actor = Actor(token.name.to_string());
    refused(api, Some(actor), parts, &format!("{operation}: scope {has}, needs {needs}")).await;
    let detail = format!("This needs a token of scope {needs}; this one has {has}.");
    let mut problem = Problem::new(Code::Forbidden, detail);
    problem.challenge = Some(r#"Bearer realm="deployd", error="insufficient_scope""#);
    Err(problem)
}

async fn refused(api: &Api, actor: Option<Actor>, parts: &Parts, what: &str) {
    journal_refusal(api, actor, Some(source(parts)), what).await;
}

/// Journals that something was refused, unless that happens too often.
pub(crate) async fn journal_refusal(
    api: &Api,
    actor: Option<Actor>,
    source: Option<Source>,
    what: &str,
) {
    match api.shared().refusals.journalled(Instant::now()) {
        Some(0) => api.engine().refused(actor, source, what).await,
        Some(more) => {
            let what = format!("{what} (and {more} refusals before it that are not recorded)");
            api.engine().refused(actor, source, &what).await;
        }
        None => tracing::warn!(what, "refused, and not journalled: there are too many"),
    }
}

/// The text of the request's bearer token.
fn bearer(headers: &HeaderMap) -> Result<&str, Box<Problem>> {
    let needed = r#"Bearer realm="deployd""#;
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        let detail = "Send a token: `Authorization: Bearer dpl_...`.";
        return Err(challenged(detail, needed));
    };
    let parts = value.to_str().ok().and_then(|value| value.split_once(' '));
    match parts {
        Some((scheme, secret))
            if scheme.eq_ignore_ascii_case("bearer")
                && !secret.trim().is_empty()
                && secret.len() <= TOKEN_BYTES_MAX
                && values.next().is_none() =>
        {
            Ok(secret.trim())
        }
        _ => {
            let detail = "`Authorization` is there but holds no one token: `Bearer dpl_...`.";
            Err(challenged(detail, needed))
        }
    }
}

fn challenged(detail: &str, challenge: &'static str) -> Box<Problem> {
    let mut problem = Problem::new(Code::Unauthenticated, detail);
    problem.challenge = Some(challenge);
    problem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_bearer_token_is_taken() {
        let of = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, value.parse().unwrap());
            }
            bearer(&headers).map(str::to_owned).map_err(|problem| problem.code)
        };
        assert_eq!(of(&["Bearer abc"]).as_deref(), Ok("abc"));
        assert_eq!(of(&["bearer  abc "]).as_deref(), Ok("abc"));
        let long = format!("Bearer {}", "x".repeat(600));
        for bad in
            [&[][..], &["abc"], &["Basic abc"], &["Bearer "], &["Bearer a", "Bearer b"], &[&long]]
        {
            assert_eq!(of(bad), Err(Code::Unauthenticated), "{bad:?}");
        }
    }
}
