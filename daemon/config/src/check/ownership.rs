//! Which application a Score document belongs to.
//!
//! Score knows no applications. A workload belongs to the application that
//! lists it; when several do, the document says which by an annotation.

use std::collections::{BTreeMap, BTreeSet};

use deployd_core::Name;
use deployd_core::config::Document;
use serde_json::Value;

use super::Entry;
use crate::path::Path;
use crate::problem::Problem;
use crate::shown;

/// Says whose workload a Score document is when several applications list one
/// of its name.
pub const APPLICATION_ANNOTATION: &str = "deployd.dev/application";

/// An application and what it lists.
#[derive(Debug)]
pub(crate) struct Listing {
    application: String,
    workloads: BTreeSet<String>,
}

impl Listing {
    /// Of an `Application` document.
    pub(crate) fn of(application: String, value: &Value) -> Self {
        let workloads = value.pointer("/spec/workloads").and_then(Value::as_array);
        let names = workloads.into_iter().flatten().filter_map(Value::as_str);
        Self { application, workloads: names.map(ToOwned::to_owned).collect() }
    }
}

/// What all applications list.
#[derive(Debug)]
pub(crate) struct Listings(BTreeMap<String, BTreeSet<String>>);

impl Listings {
    /// Of the given applications, and of those that were applied before.
    pub(crate) fn new(given: impl Iterator<Item = Listing>, stored: &[Document]) -> Self {
        let mut all = BTreeMap::new();
        for document in stored {
            if let Document::Application(document) = document {
                let names = document.spec.workloads.iter().map(Name::to_string).collect();
                all.insert(document.metadata.name.to_string(), names);
            }
        }
        for Listing { application, workloads } in given {
            all.insert(application, workloads);
        }
        Self(all)
    }

    /// The application of a Score document; none if that can't be told because
    /// not all documents could be read.
    pub(crate) fn owner(
        &self,
        entry: &Entry,
        complete: bool,
    ) -> Result<Option<Name>, Box<Problem>> {
        let workload = entry.name.as_str();
        let lists = |application: &str| {
            self.0.get(application).is_some_and(|workloads| workloads.contains(workload))
        };
        let annotation = entry.value.pointer("/metadata/annotations");
        let annotation = annotation.and_then(|all| all.get(APPLICATION_ANNOTATION)?.as_str());
        if let Some(application) = annotation {
            if lists(application) {
                return Ok(application.parse().ok());
            }
            if !complete {
                return Ok(None);
            }
            let path = Path::of(["metadata", "annotations", APPLICATION_ANNOTATION]);
            return Err(Box::new(if self.0.contains_key(application) {
                let found = format!("{}, which does not list it", shown::quoted(application));
                let hint = format!(
                    "add {} to `spec.workloads` of Application {}",
                    shown::shorten(workload),
                    shown::shorten(application)
                );
                Problem::at_value(path, found, "the name of an Application that lists it")
                    .hint(Some(hint))
            } else {
                let known = self.0.keys().map(String::as_str);
                Problem::unknown(path, application, "the name of one of the Applications", known)
            }));
        }
        let owners: Vec<&str> =
            self.0.keys().map(String::as_str).filter(|application| lists(application)).collect();
        let path = Path::of(["metadata", "name"]);
        match owners.as_slice() {
            [only] => Ok(only.parse().ok()),
            _ if !complete => Ok(None),
            [] => {
                let found = format!("{}, which no Application lists", shown::quoted(workload));
                let hint = format!(
                    "add {} to `spec.workloads` of its Application, and apply both together",
                    shown::shorten(workload)
                );
                let problem =
                    Problem::at_value(path, found, "the name of a workload that one lists");
                Err(Box::new(problem.hint(Some(hint))))
            }
            several => {
                let list = shown::list(several.iter().copied());
                let found = format!("{}, which several list: {list}", shown::quoted(workload));
                let hint =
                    format!("add the annotation `{APPLICATION_ANNOTATION}` with one of them");
                let expected = "to be told which Application it belongs to";
                Err(Box::new(Problem::at_value(path, found, expected).hint(Some(hint))))
            }
        }
    }
}
