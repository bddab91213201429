//! Get, create, update, patch, delete.

use std::borrow::Cow;
use std::sync::Arc;

use http::{Method, Response, header};
use serde_json::{Value, json};

use super::answer::{self, Body};
use super::negotiation::{self, Form};
use super::path::Target;
use super::serve::{Api, Call};
use super::{listing, reviews, table, watch};
use crate::json;
use crate::ops::{Change, DeleteOptions, Deleted, Written};
use crate::patch;
use crate::resources::Resource;
use crate::status::{ApiError, ApiResult, Cause, Named};

/// Kinds whose deletion answers with the object and not with a status.
const ANSWERED_WITH_OBJECT: [&str; 7] = [
    "Pod",
    "PodTemplate",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "ResourceQuota",
    "Service",
    "ServiceAccount",
];

const PATCH_OPTIONS: Named<'_> =
    Named { group: "meta.k8s.io", resource: "patchoptions", kind: "PatchOptions" };

/// Answers a request for a collection, an object, or an object's status.
pub(crate) async fn answer(
    api: &Arc<Api>,
    call: &Call,
    target: &Target,
) -> ApiResult<Response<Body>> {
    let is_collection = target.name.is_empty();
    let is_watch = call.query.flag("watch") || target.is_watch;
    if target.resource.is_question() && (call.method != Method::POST || !is_collection) {
        return Err(ApiError::method_not_allowed());
    }
    match call.method {
        Method::GET if is_watch => watch::answer(api, call, target),
        Method::GET if is_collection => listing::answer(api, call, target),
        Method::GET => get(api, call, target),
        Method::POST if is_collection => create(api, call, target),
        Method::PUT if !is_collection => put(api, call, target),
        Method::PATCH if !is_collection => patch(api, call, target),
        Method::DELETE if !target.subresource.is_empty() => Err(ApiError::method_not_allowed()),
        Method::DELETE if is_collection => delete_collection(api, call, target),
        Method::DELETE => delete(api, call, target),
        _ => Err(ApiError::method_not_allowed()),
    }
}

/// An object in the form that the client wants.
pub(crate) fn shown(
    call: &Call,
    code: u16,
    object: &Value,
    resource: &Resource,
) -> ApiResult<Response<Body>> {
    let value = match call.form()? {
        Form::Metadata => Cow::Owned(negotiation::metadata_of(object)),
        Form::Table => {
            Cow::Owned(table::of_object(object, resource, call.query.get("includeObject")))
        }
        Form::Whole | Form::Discovery => in_version(object, resource),
    };
    Ok(answer::json(code, &value))
}

/// The object in the version of the path.
pub(crate) fn in_version<'a>(object: &'a Value, resource: &Resource) -> Cow<'a, Value> {
    if resource.builtin {
        return Cow::Borrowed(object);
    }
    let mut object = object.clone();
    json::put(&mut object, &["apiVersion"], resource.api_version());
    Cow::Owned(object)
}

fn get(api: &Api, call: &Call, target: &Target) -> ApiResult<Response<Body>> {
    let resource = &target.resource;
    let object = api
        .cluster
        .get(&resource.storage, &target.namespace, &target.name)
        .ok_or_else(|| ApiError::not_found(resource.named(), &target.name))?;
    shown(call, 200, &object, resource)
}

fn create(api: &Api, call: &Call, target: &Target) -> ApiResult<Response<Body>> {
    let resource = &target.resource;
    let object = call.object()?;
    if resource.is_question() {
        return reviews::answer(&api.cluster, call, resource, object);
    }
    if resource.namespaced && target.namespace.is_empty() {
        return Err(ApiError::method_not_allowed());
    }
    let options = call.query.write_options(call.header(header::USER_AGENT), "CreateOptions")?;
    let written = api.cluster.create(resource, &target.namespace, object, &options)?;
    written_answer(call, resource, &written)
}

fn written_answer(
    call: &Call,
    resource: &Resource,
    written: &Written,
) -> ApiResult<Response<Body>> {
    let code = if written.created { 201 } else { 200 };
    let mut response = shown(call, code, &written.object, resource)?;
    answer::warn(&mut response, &written.warnings);
    Ok(response)
}

fn change<'a>(target: &'a Target, is_put: bool) -> Change<'a> {
    Change {
        resource: &target.resource,
        namespace: &target.namespace,
        name: &target.name,
        subresource: &target.subresource,
        is_put,
    }
}

fn put(api: &Api, call: &Call, target: &Target) -> ApiResult<Response<Body>> {
    let object = call.object()?;
    let options = call.query.write_options(call.header(header::USER_AGENT), "UpdateOptions")?;
    let written = api.cluster.update(change(target, true), &options, |_| Ok(object))?;
    written_answer(call, &target.resource, &written)
}

fn patch(api: &Api, call: &Call, target: &Target) -> ApiResult<Response<Body>> {
    const JSON: &str = "application/json-patch+json";
    const MERGE: &str = "application/merge-patch+json";
    const STRATEGIC: &str = "application/strategic-merge-patch+json";
    const APPLY: &str = "application/apply-patch+yaml";
    let resource = &target.resource;
    let kind = call.content_type();
    let accepted: &[&str] =
        if resource.builtin { &[JSON, MERGE, STRATEGIC, APPLY] } else { &[JSON, MERGE, APPLY] };
    if !accepted.contains(&kind) {
        return Err(ApiError::unsupported_media(accepted));
    }
    let options = call.query.write_options(call.header(header::USER_AGENT), "PatchOptions")?;
    let body = super::yaml::read(&call.body)
        .map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}")))?;
    let at = change(target, false);
    if kind == APPLY {
        if call.query.get("fieldManager").is_empty() {
            return Err(missing_manager());
        }
        let written = api.cluster.apply(at, body, &options)?;
        return written_answer(call, resource, &written);
    }
    if options.force {
        return Err(force_without_apply());
    }
    let written = api.cluster.update(at, &options, |old| {
        let patched = match kind {
            JSON => patch::json_patch(old, &body),
            MERGE => Ok(patch::merge_patch(old, &body)),
            _ => patch::strategic(old, &body, &resource.ty),
        };
        patched.map_err(patch_refused)
    })?;
    written_answer(call, resource, &written)
}

fn patch_refused(refusal: patch::Refusal) -> ApiError {
    match refusal {
        patch::Refusal::Malformed(message) => ApiError::bad_request(message),
        patch::Refusal::Inapplicable(message) => ApiError {
            details: Some(json!({"causes": [{
                "reason": "UnexpectedServerResponse",
                "message": message,
            }]})),
            ..ApiError::new(
                422,
                "Invalid",
                "the server rejected our request due to an error in our request",
            )
        },
    }
}

fn missing_manager() -> ApiError {
    let cause = Cause::required("fieldManager", "is required for apply patch");
    ApiError::invalid(PATCH_OPTIONS, "", &[cause])
}

fn force_without_apply() -> ApiError {
    let cause = Cause::forbidden("force", "may not be specified for non-apply patch");
    ApiError::invalid(PATCH_OPTIONS, "", &[cause])
}

/// The options of a deletion, from the body and the query.
fn delete_options(call: &Call) -> ApiResult<DeleteOptions> {
    let mut options = if call.body.is_empty() {
        DeleteOptions::default()
    } else {
        DeleteOptions::read(&call.object()?)?
    };
    if let Some(seconds) = call.query.number("gracePeriodSeconds") {
        options.grace = i64::try_from(seconds).ok();
    }
    if !call.query.get("propagationPolicy").is_empty() {
        call.query.get("propagationPolicy").clone_into(&mut options.propagation);
    }
    if call.query.flag("orphanDependents") {
        options.propagation = "Orphan".to_owned();
    }
    options.dry_run |= call.query.get("dryRun") == "All";
    options.check()?;
    Ok(options)
}

fn delete(api: &Api, call: &Call, target: &Target) -> ApiResult<Response<Body>> {
    let resource = &target.resource;
    let options = delete_options(call)?;
    let deleted = api.cluster.delete(resource, &target.namespace, &target.name, &options)?;
    match deleted {
        Deleted::Waiting(object) => shown(call, 200, &object, resource),
        Deleted::Gone(object) if ANSWERED_WITH_OBJECT.contains(&resource.kind.as_str()) => {
            shown(call, 200, &object, resource)
        }
        Deleted::Gone(object) => {
            let mut details = json!({"name": target.name});
            if !resource.group.is_empty() {
                json::put(&mut details, &["group"], resource.group.as_str());
            }
            json::put(&mut details, &["kind"], resource.plural.as_str());
            json::put(&mut details, &["uid"], json::uid(&object));
            let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {},
                "status": "Success", "details": details});
            Ok(answer::json(200, &status))
        }
    }
}

fn delete_collection(api: &Api, call: &Call, target: &Target) -> ApiResult<Response<Body>> {
    let resource = &target.resource;
    if resource.namespaced && target.namespace.is_empty() {
        return Err(ApiError::method_not_allowed());
    }
    let options = delete_options(call)?;
    let (objects, version) = listing::selected(api, call, target)?;
    for object in &objects {
        let result =
            api.cluster.delete(resource, json::namespace(object), json::name(object), &options);
        match result {
            // Somebody else was quicker.
            Err(error) if error.code == 404 => {}
            other => {
                other?;
            }
        }
    }
    Ok(answer::json(200, &listing::list_of(resource, &objects, version)))
}
