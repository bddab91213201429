//! Who may do what: the one place that is asked, for every operation.

use std::sync::Arc;
use std::time::Instant;

use deployd_core::access::{Action, Reach, Resource};
use deployd_core::config::DocumentKey;
use deployd_core::journal::Source;
use deployd_core::{Actor, EnvironmentId, Name};
use deployd_engine::{Bearer, Rights};
use http::request::Parts;
use http::{HeaderMap, header};

use crate::api::Api;
use crate::limits::TOKEN_BYTES_MAX;
use crate::operation::Operation;
use crate::problem::{Code, Problem};
use crate::rates::count;
use crate::source::source;
use crate::target::{Request, Target};

/// What an operation needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing: it says nothing that is anybody's business.
    Open,
    /// Somebody who is known, whatever they may do.
    Known,
    /// Somebody who may do this, to what the request is about.
    Needs(Action, Target),
}

/// Somebody who is known.
#[derive(Clone)]
pub(crate) struct Asker {
    /// Who.
    pub(crate) bearer: Bearer,
    /// What they may do; none where they may do everywhere what they ask for.
    limits: Option<Arc<Rights>>,
    operation: String,
    source: Source,
}

/// Who asks for an operation; none where it needs nobody. Who may do it nowhere is
/// refused, and who asks too often: nothing more of the request has been read.
///
/// What is refused is journalled before it is answered.
pub(crate) async fn authenticate(
    api: &Api,
    declared: &Operation,
    parts: &Parts,
) -> Result<Option<Asker>, Box<Problem>> {
    let access = declared.access;
    if access == Access::Open {
        count(api, declared, None, parts).await?;
        return Ok(None);
    }
    let operation = format!("{} {}", declared.verb.as_str(), declared.path);
    let secret = match bearer(&parts.headers) {
        Ok(secret) => secret,
        Err(problem) => {
            count(api, declared, None, parts).await?;
            refused(api, None, parts, &format!("{operation}: no token")).await;
            return Err(problem);
        }
    };
    let Some(bearer) = api.engine().authenticate(secret).await? else {
        count(api, declared, None, parts).await?;
        refused(api, None, parts, &format!("{operation}: unknown token")).await;
        let detail = "The token is not known; it may have been revoked, or its time is over.";
        return Err(challenged(detail, r#"Bearer realm="deployd", error="invalid_token""#));
    };
    count(api, declared, Some(&bearer.actor), parts).await?;
    let source = source(parts);
    let mut asker = Asker { bearer, limits: None, operation, source };
    let Access::Needs(action, target) = access else { return Ok(Some(asker)) };
    if asker.bearer.own(action).is_some() {
        return Ok(Some(asker));
    }
    let rights = api.engine().rights(&asker.bearer).await?;
    let reach = rights.reach(action);
    // What is asked for may be another action: the body says so.
    let reads_body = target == Target::ToDeploy && !rights.reach(Action::Promote).is_nowhere();
    if reach.is_nowhere() && !reads_body {
        return Err(asker.refuse(api, action, None, &rights.roles_with(action)).await);
    }
    if !matches!(reach, Reach::Everywhere(_)) {
        asker.limits = Some(Arc::new(rights));
    }
    Ok(Some(asker))
}

/// Whether somebody may do to what a request is about what they ask for.
pub(crate) async fn authorize(
    api: &Api,
    access: Access,
    asker: &Asker,
    parts: &mut Parts,
    body: &[u8],
) -> Result<(), Box<Problem>> {
    let (Access::Needs(action, target), Some(rights)) = (access, &asker.limits) else {
        return Ok(());
    };
    let request = Request::read(api.engine(), rights, action, parts, body).await?;
    for (action, resource) in request.needs(target).await? {
        if rights.decide(action, &resource).is_none() {
            let roles = rights.roles_with(action);
            return Err(asker.refuse(api, action, Some(&resource), &roles).await);
        }
    }
    Ok(())
}

impl Asker {
    /// Whether they may see an environment.
    pub(crate) fn sees(&self, id: &EnvironmentId) -> bool {
        self.limits.as_ref().is_none_or(|rights| {
            rights.decide(Action::Read, &rights.environment(id.clone())).is_some()
        })
    }

    /// Whether they may see a document.
    pub(crate) fn sees_document(&self, key: &DocumentKey) -> bool {
        self.limits
            .as_ref()
            .is_none_or(|rights| rights.decide(Action::Read, &rights.of_document(key)).is_some())
    }

    /// Refuses what they may not do, where that is known only after the body was read.
    pub(crate) async fn must(
        &self,
        api: &Api,
        action: Action,
        resource: &Resource,
    ) -> Result<(), Box<Problem>> {
        if self.bearer.own(action).is_some() {
            return Ok(());
        }
        let rights = api.engine().rights(&self.bearer).await?;
        if rights.decide(action, resource).is_some() {
            return Ok(());
        }
        Err(self.refuse(api, action, Some(resource), &rights.roles_with(action)).await)
    }

    async fn refuse(
        &self,
        api: &Api,
        action: Action,
        resource: Option<&Resource>,
        roles: &[Name],
    ) -> Box<Problem> {
        let (actor, operation) = (self.bearer.actor.clone(), &self.operation);
        let place = match resource {
            Some(resource) => format!("in {resource}"),
            None => "anywhere".to_owned(),
        };
        let what = format!("{operation}: not allowed to {action} {place}");
        let source = Some(self.source.clone());
        journal_refusal(api, Some(actor.clone()), source, &what).await;
        let roles: Vec<&str> = roles.iter().map(Name::as_str).collect();
        let detail = format!(
            "{actor} is not allowed to {action} {place}. Roles that allow it: {}.",
            roles.join(", "),
        );
        let mut problem = Problem::new(Code::Forbidden, detail);
        problem.challenge = Some(r#"Bearer realm="deployd", error="insufficient_scope""#);
        problem
    }
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
