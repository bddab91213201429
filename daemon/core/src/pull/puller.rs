//! How those stand who bring a branch to a cluster: Argo CD and Flux, read from their
//! objects as they are there.
//!
//! The shapes are those of `argoproj.io/v1alpha1` (Argo CD 2 and 3),
//! `kustomize.toolkit.fluxcd.io/v1` and `helm.toolkit.fluxcd.io/v2` (Flux 2). What is
//! missing or of another type reads as nothing: a field that a version does not have is
//! no reason to know nothing at all.

mod argo_cd;
mod flux;
mod judge;
mod revision;
mod status;

use std::collections::BTreeSet;

use serde_json::Value;

pub use self::flux::source;
pub use self::judge::{DEGRADED_GRACE_MS, Verdict, absent, judge};
use crate::Timestamp;
use crate::config::{PullerKind, PullerSpec};
use crate::ports::ObjectRef;

/// The most resources that are named as in trouble; one who repairs begins with a few.
const RESOURCES_MAX: usize = 20;

/// The most bytes that are kept of a message: build errors bring whole files along.
const MESSAGE_BYTES_MAX: usize = 1_000;

/// How somebody stands who brings a branch to a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullerState {
    /// What it is.
    pub kind: PullerKind,
    /// Its object.
    pub object: ObjectRef,
    /// The commit that the cluster has, whole or its first digits; of Flux, one whose
    /// objects were seen healthy. None while there is none, or it names no commit.
    pub synced: Option<String>,
    /// The commit that is being brought, or that was tried last.
    pub attempted: Option<String>,
    /// What is going on just now, for a person.
    pub busy: Option<String>,
    /// How what it has brought is.
    pub health: Health,
    /// What it says of that.
    pub health_message: String,
    /// Since when it is as degraded as it is; none where that is not told.
    pub degraded_since: Option<Timestamp>,
    /// What keeps it from bringing `attempted`, or anything at all.
    pub trouble: Option<Trouble>,
    /// What it has brought, or has failed to bring, and is not well.
    pub resources: Vec<ResourceTrouble>,
    /// Whether it brings what is new by itself.
    pub automated: bool,
    /// Whether somebody has stopped it.
    pub suspended: bool,
    /// The stopped source from which it gets what it brings.
    pub source_suspended: Option<ObjectRef>,
    /// Whether it waits until what it has applied is healthy; if not, `Healthy` means
    /// that it was applied, and no more.
    pub awaits_health: bool,
}

/// How what was brought is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It does what it is for.
    Healthy,
    /// It is on its way.
    Progressing,
    /// It has failed, or is not well any more.
    Degraded,
    /// It waits for somebody: a rollout that is paused.
    Suspended,
    /// It is not there.
    Missing,
    /// Nobody can tell.
    Unknown,
}

impl std::fmt::Display for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Healthy => "healthy",
            Self::Progressing => "progressing",
            Self::Degraded => "degraded",
            Self::Suspended => "suspended",
            Self::Missing => "missing",
            Self::Unknown => "in an unknown state",
        })
    }
}

/// What keeps somebody from bringing a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Whose it is.
    pub about: About,
    /// Its own word for it: `SyncError`, `BuildFailed`.
    pub reason: String,
    /// Its own sentence.
    pub message: String,
}

/// What a trouble is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// Something that passes, and after which it goes on by itself.
    Passing,
    /// The commit that was tried last: it was not brought, and will not be as it is.
    Attempt,
    /// The puller's own settings: it brings nothing until somebody has changed them.
    Settings,
}

/// What was brought and is not well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceTrouble {
    /// Which; with its namespace, if it has one.
    pub object: ObjectRef,
    /// `Degraded`, `Missing`, `SyncFailed`.
    pub reason: String,
    /// What is said of it; may be empty.
    pub message: String,
}

/// The object by which somebody is known who brings a branch to a cluster.
pub fn reference(spec: &PullerSpec) -> ObjectRef {
    let (api_version, kind) = match spec.kind {
        PullerKind::ArgoCd => ("argoproj.io/v1alpha1", "Application"),
        PullerKind::FluxKustomization => ("kustomize.toolkit.fluxcd.io/v1", "Kustomization"),
        PullerKind::FluxHelmRelease => ("helm.toolkit.fluxcd.io/v2", "HelmRelease"),
    };
    ObjectRef {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        namespace: Some(spec.namespace.clone()),
        name: spec.name.clone(),
    }
}

/// What an object is that brings a branch to a cluster; none of any other.
pub fn kind_of(object: &ObjectRef) -> Option<PullerKind> {
    let group = object.api_version.split_once('/').map_or("", |(group, _)| group);
    match (group, object.kind.as_str()) {
        ("argoproj.io", "Application") => Some(PullerKind::ArgoCd),
        ("kustomize.toolkit.fluxcd.io", "Kustomization") => Some(PullerKind::FluxKustomization),
        ("helm.toolkit.fluxcd.io", "HelmRelease") => Some(PullerKind::FluxHelmRelease),
        _ => None,
    }
}

impl PullerState {
    /// How the one stands whose object this is. `repository` tells which revision is
    /// meant of an Application with several sources; empty when any will do.
    pub fn of(kind: PullerKind, object: &Value, repository: &str) -> Self {
        match kind {
            PullerKind::ArgoCd => argo_cd::state(object, repository),
            PullerKind::FluxKustomization => flux::kustomization(object),
            PullerKind::FluxHelmRelease => flux::helm_release(object),
        }
    }

    /// The same with what is known of the source from which it gets what it brings
    /// ([`source`]): what keeps that one keeps both.
    #[must_use]
    pub fn with_source(self, source: &Value) -> Self {
        flux::with_source(self, source)
    }

    /// The commits that it names, of which [`judge`] asks whether they have what was
    /// committed.
    pub fn revisions(&self) -> BTreeSet<&str> {
        self.synced.iter().chain(&self.attempted).map(String::as_str).collect()
    }

    /// Whether only a person gets it to go on, and by which command.
    pub fn command(&self) -> Option<String> {
        let ObjectRef { name, namespace, .. } = &self.object;
        let namespace = namespace.as_deref().unwrap_or("default");
        let flux = |what: &str| format!("flux resume {what} {name} -n {namespace}");
        match self.kind {
            PullerKind::ArgoCd if self.automated => None,
            PullerKind::ArgoCd => {
                Some(format!("argocd app sync {name} --app-namespace {namespace}"))
            }
            PullerKind::FluxKustomization if self.suspended => Some(flux("kustomization")),
            PullerKind::FluxHelmRelease if self.suspended => Some(flux("helmrelease")),
            PullerKind::FluxKustomization | PullerKind::FluxHelmRelease => {
                let source = self.source_suspended.as_ref()?;
                let what = match source.kind.as_str() {
                    "HelmChart" => "chart",
                    "OCIRepository" => "oci",
                    "Bucket" => "bucket",
                    _ => "git",
                };
                let namespace = source.namespace.as_deref().unwrap_or(namespace);
                Some(format!("flux resume source {what} {} -n {namespace}", source.name))
            }
        }
    }

    /// How it stands, for a person.
    pub fn sentence(&self) -> String {
        let Self { object, .. } = self;
        let mut said = match &self.synced {
            Some(commit) => format!("{object} has brought {}", short(commit)),
            None => format!("{object} has brought nothing that names a commit"),
        };
        said.push_str(&format!(", which is {}", self.health));
        if !self.health_message.is_empty() {
            said.push_str(&format!(" ({})", self.health_message));
        }
        for more in self.busy.iter().chain(&self.trouble.as_ref().map(Trouble::sentence)) {
            said.push_str("; ");
            said.push_str(more);
        }
        said
    }

    /// What is not well of what it has brought, for a person; empty when all is.
    fn in_trouble(&self) -> String {
        let said = self.resources.iter().map(|it| {
            let more = if it.message.is_empty() { "" } else { ": " };
            format!("{} is {}{more}{}", it.object, it.reason, it.message)
        });
        said.collect::<Vec<_>>().join("; ")
    }
}

impl Trouble {
    fn new(about: About, reason: &str, message: &str) -> Self {
        Self { about, reason: reason.to_owned(), message: cut(message) }
    }

    /// For a person: `BuildFailed: accumulating resources`.
    pub fn sentence(&self) -> String {
        match self.message.as_str() {
            "" => self.reason.clone(),
            message => format!("{}: {message}", self.reason),
        }
    }
}

/// A commit as people write it: the first twelve digits.
fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}

/// As much of a text as is kept, without white space around it.
fn cut(text: &str) -> String {
    let text = text.trim();
    if text.len() <= MESSAGE_BYTES_MAX {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(MESSAGE_BYTES_MAX);
    format!("{}…", text.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests;
