//! Collections, page by page.

use std::time::Duration;

use serde_json::Value;

use crate::client::Session;
use crate::discovery::Resource;
use crate::failure::Failure;
use crate::fields::text_or_empty;
use crate::items;
use crate::request::{Ask, unreadable, with_query};

/// Objects per page of a list.
const PAGE: &str = "500";

/// A collection, or what selectors leave of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Scope {
    pub(crate) resource: Resource,
    pub(crate) namespace: Option<String>,
    /// `metadata.name=frontend`, or empty for all.
    pub(crate) field_selector: String,
    /// `app=frontend`, or empty for all.
    pub(crate) label_selector: String,
}

impl Scope {
    pub(crate) fn one(resource: &Resource, namespace: Option<&str>, name: &str) -> Self {
        Self::all(resource, namespace).with_fields(format!("metadata.name={name}"))
    }

    pub(crate) fn all(resource: &Resource, namespace: Option<&str>) -> Self {
        Self {
            resource: resource.clone(),
            namespace: namespace.filter(|_| resource.namespaced).map(str::to_owned),
            field_selector: String::new(),
            label_selector: String::new(),
        }
    }

    pub(crate) fn with_fields(self, field_selector: String) -> Self {
        Self { field_selector, ..self }
    }

    pub(crate) fn with_labels(self, label_selector: String) -> Self {
        Self { label_selector, ..self }
    }

    pub(crate) fn path(&self, more: &[(&str, &str)]) -> String {
        let mut query = more.to_vec();
        for (name, selector) in
            [("fieldSelector", &self.field_selector), ("labelSelector", &self.label_selector)]
        {
            if !selector.is_empty() {
                query.push((name, selector));
            }
        }
        with_query(&self.resource.path(self.namespace.as_deref()), &query)
    }

    /// Items of lists of built-in kinds don't say what they are.
    pub(crate) fn named(&self, mut item: Value) -> Value {
        if let Some(fields) = item.as_object_mut() {
            let Resource { api_version, kind, .. } = &self.resource;
            let is_partial = text_or_empty_of(fields, "kind").starts_with("PartialObjectMetadata");
            if is_partial || !fields.contains_key("kind") {
                fields.insert("apiVersion".to_owned(), api_version.as_str().into());
                fields.insert("kind".to_owned(), kind.as_str().into());
            }
        }
        item
    }
}

fn text_or_empty_of<'a>(fields: &'a serde_json::Map<String, Value>, name: &str) -> &'a str {
    fields.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// How much of each object is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    Metadata,
    Whole,
}

/// One page of a list.
pub(crate) struct Page {
    pub(crate) items: Vec<Value>,
    pub(crate) version: String,
    /// Where the next page begins; empty after the last.
    pub(crate) next: String,
}

fn page_path(scope: &Scope, from: &str) -> String {
    let mut query = vec![("limit", PAGE)];
    if !from.is_empty() {
        query.push(("continue", from));
    }
    scope.path(&query)
}

impl Session {
    /// Shows the items of a page, one after the other: only one of them is in
    /// memory besides the page's text. They don't say of what kind they are.
    /// Returns where the next page begins; empty after the last.
    pub(crate) async fn show_page(
        &self,
        scope: &Scope,
        from: &str,
        budget: Duration,
        show: impl FnMut(Value),
    ) -> Result<String, Failure> {
        let (_, text) = self.answered(&Ask::get(page_path(scope, from)), budget).await?;
        match items::show(&text, show).map_err(|error| unreadable(&error))? {
            Some(next) => Ok(next),
            None => Err(Failure::Unreadable("a list without items".to_owned())),
        }
    }

    /// The page that begins at a token of the page before, or at the beginning.
    pub(crate) async fn page(
        &self,
        scope: &Scope,
        detail: Detail,
        from: &str,
        budget: Duration,
    ) -> Result<Page, Failure> {
        let path = page_path(scope, from);
        let ask = match detail {
            Detail::Metadata => Ask::metadata_list(path),
            Detail::Whole => Ask::get(path),
        };
        let mut page: Value = self.ask_within(&ask, budget).await?.body;
        let items = match page.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => items.into_iter().map(|item| scope.named(item)).collect(),
            // An empty list may be null; anything else is no list.
            Some(Value::Null) => Vec::new(),
            _ => return Err(Failure::Unreadable("a list without items".to_owned())),
        };
        Ok(Page {
            items,
            version: text_or_empty(&page, "/metadata/resourceVersion").to_owned(),
            next: text_or_empty(&page, "/metadata/continue").to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_part_of_the_path() {
        let scope = Scope::one(&Resource::core("Pod", "pods"), Some("shop"), "a");
        assert_eq!(
            scope.path(&[("limit", "500")]),
            "/api/v1/namespaces/shop/pods?limit=500&fieldSelector=metadata.name%3Da"
        );
        let scope = Scope::all(&Resource::core("Pod", "pods"), Some("shop"));
        assert_eq!(
            scope.with_labels("a=b".to_owned()).path(&[]),
            "/api/v1/namespaces/shop/pods?labelSelector=a%3Db"
        );
    }

    #[test]
    fn items_are_told_what_they_are() {
        let scope = Scope::all(&Resource::apps("Deployment", "deployments"), Some("shop"));
        for item in [
            serde_json::json!({}),
            serde_json::json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}),
        ] {
            let named = scope.named(item);
            assert_eq!(named, serde_json::json!({"apiVersion": "apps/v1", "kind": "Deployment"}));
        }
    }
}
