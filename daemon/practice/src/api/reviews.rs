//! The resources that are questions: who am I, may I, may they.

use http::Response;
use serde_json::{Value, json};

use super::answer::{self, Body};
use super::serve::Call;
use crate::auth::{self, Action, User};
use crate::cluster::Cluster;
use crate::json::{self, text};
use crate::resources::Resource;
use crate::status::{ApiError, ApiResult};

/// Answers a question.
pub(crate) fn answer(
    cluster: &Cluster,
    call: &Call,
    resource: &Resource,
    mut object: Value,
) -> ApiResult<Response<Body>> {
    json::put(&mut object, &["kind"], resource.kind.as_str());
    json::put(&mut object, &["apiVersion"], resource.api_version());
    json::put_default(&mut object, &["metadata"], json!({}));
    let status = match resource.plural.as_str() {
        "selfsubjectreviews" => json!({"userInfo": call.user.to_json()}),
        "selfsubjectaccessreviews" => access(cluster, &call.user, &object),
        "selfsubjectrulesreviews" => rules(cluster, &call.user, text(&object, "/spec/namespace")),
        "subjectaccessreviews" | "localsubjectaccessreviews" => {
            access(cluster, &subject(&object), &object)
        }
        "tokenreviews" => match cluster.user_of(text(&object, "/spec/token")) {
            Some(user) => json!({"authenticated": true, "user": user.to_json()}),
            None => json!({"user": {}, "error": "[invalid bearer token]"}),
        },
        _ => return Err(ApiError::method_not_allowed()),
    };
    json::put(&mut object, &["status"], status);
    Ok(answer::json(201, &object))
}

/// Whom a review is about.
fn subject(review: &Value) -> User {
    let groups = json::items(review, "/spec/groups").iter().filter_map(Value::as_str);
    User {
        name: text(review, "/spec/user").to_owned(),
        uid: text(review, "/spec/uid").to_owned(),
        groups: groups.map(str::to_owned).collect(),
    }
}

fn access(cluster: &Cluster, user: &User, review: &Value) -> Value {
    let of = |part: &str, field: &str| text(review, &format!("/spec/{part}/{field}")).to_owned();
    let action = if json::has(review, "/spec/nonResourceAttributes") {
        Action {
            verb: of("nonResourceAttributes", "verb"),
            path: Some(of("nonResourceAttributes", "path")),
            ..Action::default()
        }
    } else {
        let of = |field: &str| of("resourceAttributes", field);
        Action {
            verb: of("verb"),
            namespace: of("namespace"),
            group: of("group"),
            resource: of("resource"),
            subresource: of("subresource"),
            name: of("name"),
            path: None,
        }
    };
    match cluster.read(|store| auth::allowed(store, user, &action)) {
        Some(reason) if reason.is_empty() => json!({"allowed": true}),
        Some(reason) => json!({"allowed": true, "reason": reason}),
        None => json!({"allowed": false}),
    }
}

fn rules(cluster: &Cluster, user: &User, namespace: &str) -> Value {
    let all = cluster.read(|store| auth::rules_in(store, user, namespace));
    let (paths, resources): (Vec<Value>, Vec<Value>) =
        all.into_iter().partition(|rule| json::has(rule, "/nonResourceURLs"));
    json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": false})
}
