//! Lists, whole and page by page.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use http::Response;
use serde_json::{Value, json};

use super::answer::{self, Body};
use super::negotiation::{self, Form};
use super::path::Target;
use super::serve::{Api, Call};
use super::table;
use crate::json;
use crate::resources::Resource;
use crate::selectors::{Fields, Labels};
use crate::status::{ApiError, ApiResult};

/// Lists that clients may be in the middle of; the oldest end with 410.
const MOST_PAGES: usize = 256;

#[derive(Debug)]
struct Page {
    token: String,
    version: u64,
    rest: Vec<Arc<Value>>,
}

/// The rests of lists that are read page by page: a client sees the state
/// that its first page was of.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    waiting: Mutex<VecDeque<Page>>,
}

impl Pages {
    fn keep(&self, version: u64, rest: Vec<Arc<Value>>) -> String {
        let token = crate::random::token();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= MOST_PAGES {
            waiting.pop_front();
        }
        waiting.push_back(Page { token: token.clone(), version, rest });
        token
    }

    fn find(&self, token: &str) -> ApiResult<(Vec<Arc<Value>>, u64)> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting
            .iter()
            .find(|page| page.token == token)
            .map(|page| (page.rest.clone(), page.version))
            .ok_or_else(|| {
                ApiError::expired("The provided continue parameter is too old to display a consistent list result. You must start a new list without the continue parameter.")
            })
    }

    /// Ends all lists that are being read, as compaction does.
    pub(crate) fn expire(&self) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.clear();
    }
}

/// The selectors of a request.
pub(crate) fn selectors(call: &Call, target: &Target) -> ApiResult<(Labels, Fields)> {
    let labels = Labels::parse(call.query.get("labelSelector")).map_err(ApiError::bad_request)?;
    let fields = Fields::parse(call.query.get("fieldSelector"), &target.resource.plural)
        .map_err(ApiError::bad_request)?;
    Ok((labels, fields))
}

/// The objects that a request selects, and the version they are of.
pub(crate) fn selected(
    api: &Api,
    call: &Call,
    target: &Target,
) -> ApiResult<(Vec<Arc<Value>>, u64)> {
    let (labels, fields) = selectors(call, target)?;
    Ok(api.cluster.read(|store| {
        let objects = store
            .list(&target.resource.storage, &target.namespace)
            .filter(|object| target.name.is_empty() || json::name(object) == target.name)
            .filter(|object| labels.fits(object) && fields.fits(object))
            .cloned()
            .collect();
        (objects, store.version())
    }))
}

/// A list object of some objects.
pub(crate) fn list_object(resource: &Resource, objects: &[Arc<Value>], version: u64) -> Value {
    let items: Vec<Value> = objects
        .iter()
        .map(|object| {
            let mut item = super::verbs::in_version(object, resource);
            // The items of built-in lists do not repeat what they are.
            if resource.builtin {
                json::take(&mut item, &["kind"]);
                json::take(&mut item, &["apiVersion"]);
            }
            item
        })
        .collect();
    json!({
        "kind": resource.list_kind,
        "apiVersion": resource.api_version(),
        "metadata": {"resourceVersion": version.to_string()},
        "items": items,
    })
}

/// Answers a list request.
pub(crate) fn answer(api: &Api, call: &Call, target: &Target) -> ApiResult<Response<Body>> {
    let form = call.form()?;
    let query = &call.query;
    if query.flag("sendInitialEvents") {
        return Err(ApiError::bad_request("sendInitialEvents is forbidden for list"));
    }
    check_version(api, call)?;
    let token = query.get("continue");
    let (objects, version) =
        if token.is_empty() { selected(api, call, target)? } else { api.pages.find(token)? };
    let limit = query.number("limit").filter(|limit| *limit > 0);
    let limit = limit.and_then(|limit| usize::try_from(limit).ok());
    let (page, rest) = match limit.and_then(|limit| objects.split_at_checked(limit)) {
        Some((page, rest)) => (page, rest),
        None => (objects.as_slice(), [].as_slice()),
    };
    let mut list = match form {
        Form::Table => table::of_list(page, &target.resource, query.get("includeObject"), version),
        Form::Metadata => {
            negotiation::metadata_of_list(&list_object(&target.resource, page, version))
        }
        Form::Whole | Form::Discovery => list_object(&target.resource, page, version),
    };
    if !rest.is_empty() {
        let token = api.pages.keep(version, rest.to_vec());
        json::put(&mut list, &["metadata", "continue"], token);
        let selects =
            !query.get("labelSelector").is_empty() || !query.get("fieldSelector").is_empty();
        if !selects {
            json::put(&mut list, &["metadata", "remainingItemCount"], rest.len());
        }
    }
    Ok(answer::json(200, &list))
}

/// A version from the future is not waited for.
fn check_version(api: &Api, call: &Call) -> ApiResult<()> {
    let text = call.query.get("resourceVersion");
    if text.is_empty() {
        return Ok(());
    }
    let Ok(wanted) = text.parse::<u64>() else {
        return Err(ApiError::bad_request(format!(
            "invalid resource version: strconv.ParseUint: parsing \"{text}\": invalid syntax"
        )));
    };
    let present = api.cluster.read(crate::storage::Store::version);
    if wanted <= present {
        return Ok(());
    }
    let message = format!("Too large resource version: {wanted}, current: {present}");
    Err(ApiError {
        details: Some(json!({"causes": [{
            "reason": "ResourceVersionTooLarge",
            "message": "Too large resource version",
        }]})),
        retry_after: Some(1),
        ..ApiError::new(504, "Timeout", format!("Timeout: {message}"))
    })
}
