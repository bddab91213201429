//! Lists, whole and page by page.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use http::Response;
use serde::{Serialize, Serializer};
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

/// A list as it is answered: written from the objects as they are stored.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct List<T> {
    kind: String,
    api_version: String,
    metadata: ListMetadata,
    items: Vec<T>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListMetadata {
    resource_version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#continue: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining_item_count: Option<usize>,
}

impl ListMetadata {
    fn of(version: u64) -> Self {
        let resource_version = version.to_string();
        Self { resource_version, r#continue: None, remaining_item_count: None }
    }
}

/// An item as lists have it: those of built-in kinds do not repeat what they are.
pub(crate) struct Item<'a> {
    object: Cow<'a, Value>,
    is_named: bool,
}

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let fields = self.object.as_object().into_iter().flatten();
        to.collect_map(
            fields.filter(|(name, _)| self.is_named || !matches!(&***name, "kind" | "apiVersion")),
        )
    }
}

/// A list of some objects.
pub(crate) fn list_of<'a>(
    resource: &Resource,
    objects: &'a [Arc<Value>],
    version: u64,
) -> List<Item<'a>> {
    let item = |object: &'a Arc<Value>| Item {
        object: super::verbs::in_version(object, resource),
        is_named: !resource.builtin,
    };
    List {
        kind: resource.list_kind.clone(),
        api_version: resource.api_version(),
        metadata: ListMetadata::of(version),
        items: objects.iter().map(item).collect(),
    }
}

/// A list of what is known of some objects besides their content.
fn metadata_of_list(objects: &[Arc<Value>], version: u64) -> List<Value> {
    List {
        kind: "PartialObjectMetadataList".to_owned(),
        api_version: "meta.k8s.io/v1".to_owned(),
        metadata: ListMetadata::of(version),
        items: objects.iter().map(|object| negotiation::metadata_of(object)).collect(),
    }
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
    let mut more = ListMetadata::of(version);
    if !rest.is_empty() {
        more.r#continue = Some(api.pages.keep(version, rest.to_vec()));
        let selects =
            !query.get("labelSelector").is_empty() || !query.get("fieldSelector").is_empty();
        more.remaining_item_count = (!selects).then_some(rest.len());
    }
    Ok(match form {
        Form::Table => {
            let includes = query.get("includeObject");
            let mut list = table::of_list(page, &target.resource, includes, version);
            let more = serde_json::to_value(more).unwrap_or_default();
            json::put(&mut list, &["metadata"], more);
            answer::json(200, &list)
        }
        Form::Metadata => {
            answer::json(200, &List { metadata: more, ..metadata_of_list(page, version) })
        }
        Form::Whole | Form::Discovery => {
            let list = list_of(&target.resource, page, version);
            answer::json(200, &List { metadata: more, ..list })
        }
    })
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
