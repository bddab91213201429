//! Scale, eviction, binding and tokens.

use std::sync::Arc;

use http::{Method, Response, header};
use serde_json::{Value, json};

use super::answer::{self, Body};
use super::path::Target;
use super::serve::Call;
use crate::cluster::Cluster;
use crate::json;
use crate::ops::{Change, DeleteOptions};
use crate::patch;
use crate::resources::Resource;
use crate::schema::Type;
use crate::selectors;
use crate::status::{ApiError, ApiResult, Cause, Named};

/// The shortest life of a token, in seconds.
const SHORTEST_TOKEN: i64 = 600;

/// Answers a request for a subresource other than status and log.
pub(crate) fn answer(
    cluster: &Arc<Cluster>,
    call: &Call,
    target: &Target,
) -> ApiResult<Response<Body>> {
    match (target.subresource.as_str(), &call.method) {
        ("scale", &Method::GET) => {
            let object = find(cluster, target)?;
            Ok(answer::json(200, &scale_of(&object, &target.resource)))
        }
        ("scale", &Method::PUT | &Method::PATCH) => scale(cluster, call, target),
        ("eviction", &Method::POST) => evict(cluster, call, target),
        ("binding", &Method::POST) => bind(cluster, call, target),
        ("token", &Method::POST) => token(cluster, call, target),
        _ => Err(ApiError::method_not_allowed()),
    }
}

fn find(cluster: &Cluster, target: &Target) -> ApiResult<Arc<Value>> {
    cluster
        .get(&target.resource.storage, &target.namespace, &target.name)
        .ok_or_else(|| ApiError::not_found(target.resource.named(), &target.name))
}

fn success() -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201})
}

/// A JSON path such as `.spec.replicas` as keys.
fn keys(path: &str) -> Vec<&str> {
    path.split('.').filter(|key| !key.is_empty()).collect()
}

fn at<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    keys(path).into_iter().try_fold(object, |value, key| value.get(key))
}

fn scale_of(object: &Value, resource: &Resource) -> Value {
    let (spec, status, selector) = match &resource.scale {
        Some(paths) => (
            at(object, &paths.spec).and_then(Value::as_i64),
            at(object, &paths.status).and_then(Value::as_i64),
            at(object, &paths.selector).and_then(Value::as_str).unwrap_or_default().to_owned(),
        ),
        None => (
            json::int(object, "/spec/replicas"),
            json::int(object, "/status/replicas"),
            object.pointer("/spec/selector").map(selectors::shown).unwrap_or_default(),
        ),
    };
    let mut metadata = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object.pointer(&format!("/metadata/{field}")) {
            json::put(&mut metadata, &[field], value.clone());
        }
    }
    let mut scale = json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata,
        "spec": {}, "status": {"replicas": status.unwrap_or_default()}});
    if let Some(count) = spec.filter(|count| *count != 0) {
        json::put(&mut scale, &["spec", "replicas"], count);
    }
    if !selector.is_empty() {
        json::put(&mut scale, &["status", "selector"], selector);
    }
    scale
}

fn scale(cluster: &Cluster, call: &Call, target: &Target) -> ApiResult<Response<Body>> {
    let resource = &target.resource;
    let before = find(cluster, target)?;
    let shown = scale_of(&before, resource);
    let options = call.query.write_options(call.header(header::USER_AGENT), "UpdateOptions")?;
    let body = super::yaml::read(&call.body).map_err(ApiError::bad_request)?;
    let wanted = match (call.method == Method::PUT, call.content_type()) {
        (true, _) => body,
        (_, "application/json-patch+json") => patch::json_patch(&shown, &body)
            .map_err(|refusal| ApiError::bad_request(format!("{refusal:?}")))?,
        (_, "application/strategic-merge-patch+json") => {
            patch::strategic(&shown, &body, &Type::Named("Scale"))
                .map_err(|refusal| ApiError::bad_request(format!("{refusal:?}")))?
        }
        _ => patch::merge_patch(&shown, &body),
    };
    let count = json::int(&wanted, "/spec/replicas").unwrap_or_default();
    if count < 0 {
        let cause = crate::status::Cause::invalid(
            "spec.replicas",
            &Value::from(count),
            "must be greater than or equal to 0",
        );
        let named =
            crate::status::Named { group: "autoscaling", resource: "scales", kind: "Scale" };
        return Err(ApiError::invalid(named, &target.name, &[cause]));
    }
    let change = Change {
        resource,
        namespace: &target.namespace,
        name: &target.name,
        subresource: "scale",
        is_put: false,
    };
    let version = json::text(&wanted, "/metadata/resourceVersion").to_owned();
    let written = cluster.update(change, &options, |old| {
        if !version.is_empty() && version != json::text(old, "/metadata/resourceVersion") {
            return Err(ApiError::modified(resource.named(), &target.name));
        }
        let mut new = old.clone();
        let path = match &resource.scale {
            Some(paths) => keys(&paths.spec),
            None => vec!["spec", "replicas"],
        };
        json::put(&mut new, &path, count);
        Ok(new)
    })?;
    Ok(answer::json(200, &scale_of(&written.object, resource)))
}

fn evict(cluster: &Cluster, call: &Call, target: &Target) -> ApiResult<Response<Body>> {
    let pod = find(cluster, target)?;
    let body = call.object()?;
    let blocked =
        cluster.list("poddisruptionbudgets.policy", &target.namespace).into_iter().find(|budget| {
            let selector = budget.pointer("/spec/selector").unwrap_or(&Value::Null);
            selectors::Labels::from_object(selector).fits(&pod)
                && json::int(budget, "/status/disruptionsAllowed").unwrap_or_default() == 0
        });
    if let Some(budget) = blocked {
        return Err(ApiError {
            details: Some(json!({"causes": [{
                "reason": "DisruptionBudget",
                "message": format!("The disruption budget {} needs {} healthy pods and has {} currently",
                    json::name(&budget),
                    json::int(&budget, "/status/desiredHealthy").unwrap_or_default(),
                    json::int(&budget, "/status/currentHealthy").unwrap_or_default()),
            }]})),
            ..ApiError::new(
                429,
                "TooManyRequests",
                "Cannot evict pod as it would violate the pod's disruption budget.",
            )
        });
    }
    let options = match body.get("deleteOptions") {
        Some(options) => DeleteOptions::read(options)?,
        None => DeleteOptions::default(),
    };
    cluster.delete(&target.resource, &target.namespace, &target.name, &options)?;
    Ok(answer::json(201, &success()))
}

fn bind(cluster: &Cluster, call: &Call, target: &Target) -> ApiResult<Response<Body>> {
    let node = json::text(&call.object()?, "/target/name").to_owned();
    let options = call.query.write_options(call.header(header::USER_AGENT), "CreateOptions")?;
    let change = Change {
        resource: &target.resource,
        namespace: &target.namespace,
        name: &target.name,
        subresource: "binding",
        is_put: false,
    };
    cluster.update(change, &options, |old| {
        let mut new = old.clone();
        json::put(&mut new, &["spec", "nodeName"], node);
        Ok(new)
    })?;
    Ok(answer::json(201, &success()))
}

fn token(cluster: &Cluster, call: &Call, target: &Target) -> ApiResult<Response<Body>> {
    let account = find(cluster, target)?;
    let mut request = call.object()?;
    json::put(&mut request, &["kind"], "TokenRequest");
    json::put(&mut request, &["apiVersion"], "authentication.k8s.io/v1");
    let seconds = match json::int(&request, "/spec/expirationSeconds") {
        None => 3600,
        Some(seconds) if seconds < SHORTEST_TOKEN => {
            let detail = "may not specify a duration less than 10 minutes";
            let cause = Cause::invalid("spec.expirationSeconds", &Value::from(seconds), detail);
            let named = Named {
                group: "authentication.k8s.io",
                resource: "tokenrequests",
                kind: "TokenRequest",
            };
            return Err(ApiError::invalid(named, "", &[cause]));
        }
        Some(seconds) => seconds,
    };
    json::put(&mut request, &["spec", "expirationSeconds"], seconds);
    if json::items(&request, "/spec/audiences").is_empty() {
        let own = json!(["https://kubernetes.default.svc.cluster.local"]);
        json::put(&mut request, &["spec", "audiences"], own);
    }
    json::put(
        &mut request,
        &["metadata"],
        json!({"name": target.name, "namespace": target.namespace,
        "creationTimestamp": crate::time::now()}),
    );
    let now = jiff::Timestamp::now();
    let expires = now.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap_or(now);
    let audiences = request.pointer("/spec/audiences").unwrap_or(&Value::Null);
    let token = cluster.tokens.give(&account, audiences, expires);
    json::put(&mut request, &["status", "token"], token);
    let expires = expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    json::put(&mut request, &["status", "expirationTimestamp"], expires);
    Ok(answer::json(201, &request))
}
