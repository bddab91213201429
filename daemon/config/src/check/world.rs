//! All documents that there are, by name.

use std::collections::{BTreeMap, BTreeSet};

use deployd_core::config::DocumentKind;

use super::Entry;
use crate::path::Path;
use crate::problem::Problem;
use crate::shown;

/// Kind, application and name.
pub(crate) type Key<'a> = (DocumentKind, Option<&'a str>, &'a str);

/// The documents that there would be.
#[derive(Debug)]
pub(crate) struct World<'a> {
    entries: BTreeMap<Key<'a>, &'a Entry>,
    complete: bool,
}

impl<'a> World<'a> {
    pub(super) fn new(entries: impl Iterator<Item = &'a Entry>, complete: bool) -> Self {
        let mut known = BTreeMap::new();
        for entry in entries {
            // Of two with the same key the first counts; the other is reported.
            known.entry(entry.key()).or_insert(entry);
        }
        Self { entries: known, complete }
    }

    /// Whether a name that is not here does not exist.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// A document.
    pub(super) fn get(
        &self,
        kind: DocumentKind,
        application: Option<&str>,
        name: &str,
    ) -> Option<&'a Entry> {
        self.entries.get(&(kind, application, name)).copied()
    }

    /// All of a kind.
    pub(super) fn of_kind(&self, kind: DocumentKind) -> impl Iterator<Item = &'a Entry> {
        let from: Key<'a> = (kind, None, "");
        self.entries
            .range(from..)
            .take_while(move |(key, _)| key.0 == kind)
            .map(|(_, entry)| *entry)
    }

    /// Checks that a document names one that exists.
    pub(super) fn refer(
        &self,
        (kind, application): (DocumentKind, Option<&str>),
        path: Path,
        name: Option<&str>,
        problems: &mut Vec<Problem>,
    ) {
        let Some(name) = name else { return };
        if !self.complete || self.get(kind, application, name).is_some() {
            return;
        }
        let known: Vec<&str> = self
            .of_kind(kind)
            .filter(|entry| entry.application.as_deref() == application)
            .map(|entry| entry.name.as_str())
            .collect();
        let what = match application {
            Some(application) => {
                format!("the name of one of the {kind}s of {}", shown::shorten(application))
            }
            None => format!("the name of one of the {kind}s"),
        };
        problems.push(Problem::unknown(path, name, &what, known.iter().copied()));
    }

    /// Checks that a document names a plugin of a kind.
    pub(super) fn refer_plugin(
        &self,
        wanted: &str,
        path: Path,
        name: Option<&str>,
        problems: &mut Vec<Problem>,
    ) {
        let Some(name) = name else { return };
        let kind_of = |entry: &'a Entry| entry.text("/spec/kind");
        let found = self.get(DocumentKind::Plugin, None, name);
        match found.map(kind_of) {
            Some(Some(kind)) if kind == wanted => return,
            // What kind it is could not be read: that is reported already.
            Some(None) => return,
            None if !self.complete => return,
            _ => {}
        }
        let known: Vec<&str> = self
            .of_kind(DocumentKind::Plugin)
            .filter(|entry| kind_of(entry) == Some(wanted))
            .map(|entry| entry.name.as_str())
            .collect();
        let what = format!("the name of one of the Plugins of kind {wanted}");
        let problem = match found.and_then(kind_of) {
            Some(kind) => {
                let list = shown::list(known.iter().copied());
                let list = if list.is_empty() { "there is none".to_owned() } else { list };
                let found =
                    format!("{}, which is of kind {}", shown::quoted(name), shown::shorten(kind));
                Problem::at_value(path, found, format!("{what}: {list}"))
            }
            None => Problem::unknown(path, name, &what, known.iter().copied()),
        };
        problems.push(problem);
    }

    /// The types that there are resource definitions for.
    pub(super) fn resource_types(&self) -> BTreeSet<&'a str> {
        let definitions = self.of_kind(DocumentKind::ResourceDefinition);
        definitions.filter_map(|entry| entry.text("/spec/type")).collect()
    }
}
