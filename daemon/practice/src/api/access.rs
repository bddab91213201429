//! Who asks, and whether they may.

use http::{Method, header};

use super::path::{Path, Target};
use super::serve::{Api, Call};
use crate::auth::{self, Action, User};
use crate::resources::Resource;
use crate::status::{ApiError, ApiResult, Named};

/// Paths that answer without credentials; the rest of the API is closed to
/// those who bring none, as on a server whose anonymous requests are limited
/// to these paths.
const OPEN: [&str; 4] = ["/healthz", "/livez", "/readyz", "/version"];

/// The user of a request. A token that is sent must be right, whatever the path.
pub(super) fn user(api: &Api, call: &Call) -> ApiResult<User> {
    let user = match (call.header(header::AUTHORIZATION), &call.path_token) {
        ("", Some(token)) => api.cluster.user_of(token).ok_or_else(ApiError::unauthorized)?,
        ("", None) => {
            if OPEN.iter().any(|open| call.path.starts_with(open)) {
                return Ok(User::anonymous());
            }
            return Err(ApiError::unauthorized());
        }
        (sent, _) => sent
            .strip_prefix("Bearer ")
            .and_then(|token| api.cluster.user_of(token.trim()))
            .ok_or_else(ApiError::unauthorized)?,
    };
    impersonated(api, call, user)
}

/// The user that an administrator speaks as, where the headers say so.
fn impersonated(api: &Api, call: &Call, user: User) -> ApiResult<User> {
    let header = |name: &str| -> Vec<String> {
        let all = call.headers.get_all(name).iter();
        all.filter_map(|value| value.to_str().ok()).map(str::to_owned).collect()
    };
    let (names, groups) = (header("impersonate-user"), header("impersonate-group"));
    let Some(name) = names.first() else {
        if groups.is_empty() {
            return Ok(user);
        }
        return Err(ApiError::unclassified(format!(
            "requested [{{Group  {}  authentication.k8s.io/v1  }}] without impersonating a user",
            groups.concat()
        )));
    };
    let on = |resource: &str, namespace: &str, name: &str| Action {
        verb: "impersonate".to_owned(),
        resource: resource.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        ..Action::default()
    };
    match auth::account_of(name) {
        Some((namespace, account)) => {
            check(api, &user, &on("serviceaccounts", namespace, account))?
        }
        None => check(api, &user, &on("users", "", name))?,
    }
    for group in &groups {
        check(api, &user, &on("groups", "", group))?;
    }
    let uid = header("impersonate-uid").concat();
    Ok(User::impersonated(name, &uid, groups))
}

/// Refuses what the user may not do.
pub(super) fn check(api: &Api, user: &User, action: &Action) -> ApiResult<()> {
    if api.cluster.read(|store| auth::allowed(store, user, action)).is_some() {
        return Ok(());
    }
    let why = action.refusal(user);
    if action.path.is_some() {
        return Err(ApiError {
            details: Some(serde_json::json!({})),
            ..ApiError::new(403, "Forbidden", format!("forbidden: {why}"))
        });
    }
    let named = Named { group: &action.group, resource: &action.resource, kind: "" };
    Err(ApiError::forbidden(named, &action.name, &why))
}

/// What a request wants to do.
pub(super) fn action(call: &Call, path: &Path) -> Option<Action> {
    match path {
        Path::Nowhere => None,
        Path::Other(_) => Some(Action {
            verb: call.method.as_str().to_lowercase(),
            path: Some(call.path.clone()),
            ..Action::default()
        }),
        Path::Resource(target) => Some(on_resource(call, target)),
    }
}

fn on_resource(call: &Call, target: &Target) -> Action {
    let is_collection = target.name.is_empty();
    let verb = match call.method {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if is_collection => "deletecollection",
        Method::DELETE => "delete",
        _ if call.query.flag("watch") || target.is_watch => "watch",
        _ if is_collection => "list",
        _ => "get",
    };
    let resource: &Resource = &target.resource;
    Action {
        verb: verb.to_owned(),
        // A namespace is an object inside of itself, as far as rules go.
        namespace: match (&*resource.storage, target.namespace.as_str()) {
            ("namespaces", "") => target.name.clone(),
            (_, namespace) => namespace.to_owned(),
        },
        group: resource.group.clone(),
        resource: resource.plural.clone(),
        subresource: target.subresource.clone(),
        name: target.name.clone(),
        path: None,
    }
}
