//! Which kind of document it is.

use deployd_core::config::{API_VERSION, DocumentKind};
use deployd_core::score::SCORE_VERSION;

use crate::node::{Data, Node};
use crate::path::Path;
use crate::problem::Problem;
use crate::shown;

/// The kind of a document, by its `apiVersion` and `kind`.
pub(crate) fn identify(root: &Node) -> Result<DocumentKind, Box<Problem>> {
    if !matches!(root.data, Data::Map(_)) {
        let found = shown::value(&root.to_value(), None);
        return Err(Problem::at_value(Path::default(), found, "a map with `apiVersion`").into());
    }
    let versions = format!("{API_VERSION} or {SCORE_VERSION}");
    let path = Path::of(["apiVersion"]);
    let Some(version) = root.get("apiVersion") else {
        return Err(Problem::at_value(path, "nothing", versions).into());
    };
    match version.as_str() {
        Some(SCORE_VERSION) => Ok(DocumentKind::Workload),
        Some(API_VERSION) => by_kind(root),
        other => {
            let found = shown::value(&version.to_value(), None);
            let hint = other.and_then(|it| shown::did_you_mean(it, [API_VERSION, SCORE_VERSION]));
            Err(Problem::at_value(path, found, versions).hint(hint).into())
        }
    }
}

fn by_kind(root: &Node) -> Result<DocumentKind, Box<Problem>> {
    let kinds = || DocumentKind::ALL.into_iter().filter(|kind| *kind != DocumentKind::Workload);
    let names: Vec<String> = kinds().map(|kind| kind.to_string()).collect();
    let names = || names.iter().map(String::as_str);
    let expected = format!("one of {}", shown::list(names()));
    let path = Path::of(["kind"]);
    let Some(kind) = root.get("kind") else {
        return Err(Problem::at_value(path, "nothing", expected).into());
    };
    let text = kind.as_str();
    if let Some(known) = kinds().find(|known| Some(known.to_string().as_str()) == text) {
        return Ok(known);
    }
    let hint = if text == Some("Workload") {
        Some(format!("a workload is a Score document: `apiVersion: {SCORE_VERSION}` and no kind"))
    } else {
        text.and_then(|text| shown::did_you_mean(text, names()))
    };
    let found = shown::value(&kind.to_value(), None);
    Err(Problem::at_value(path, found, expected).hint(hint).into())
}
