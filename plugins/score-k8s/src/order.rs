//! In which order containers start, and what that makes of them.

use crate::score::{Container, Ready};
use deployd_plugin_sdk::Fault;
use std::collections::BTreeMap;

/// What a container is in its pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// One that nobody waits for.
    Main,
    /// Others wait until it has ended.
    Init,
    /// Others wait until it has started.
    Sidecar,
    /// Others wait until its probe passes.
    HealthySidecar,
}

impl Role {
    /// Kubernetes refuses probes of a container that is meant to end.
    pub(crate) fn may_have_probes(self) -> bool {
        self != Self::Init
    }
}

/// The containers with their roles: those that others wait for first, each
/// before the ones that wait for it, then the rest by name.
pub(crate) fn of<'a>(
    path: &str,
    containers: &'a BTreeMap<String, Container>,
) -> Result<Vec<(&'a str, &'a Container, Role)>, Fault> {
    for (name, container) in containers {
        if let Some(unknown) = container.before.keys().find(|it| !containers.contains_key(*it)) {
            let path = format!("{path}/{name}/before/{unknown}");
            return Err(Fault::invalid(path, "there is no such container"));
        }
    }
    let mut ordered = Vec::new();
    let mut waiting: Vec<(&String, &Container)> = containers.iter().collect();
    while !waiting.is_empty() {
        let is_free =
            |name: &String| !waiting.iter().any(|(_, other)| other.before.contains_key(name));
        let Some(free) = waiting.iter().position(|(name, _)| is_free(name)) else {
            let names: Vec<&str> = waiting.iter().map(|(name, _)| name.as_str()).collect();
            let message = format!("{} wait for each other", names.join(", "));
            return Err(Fault::invalid(path, message));
        };
        let (name, container) = waiting.remove(free);
        ordered.push((name.as_str(), container, role(container)));
    }
    // Stable: keeps the order among those that others wait for.
    ordered.sort_by_key(|(_, _, role)| *role == Role::Main);
    Ok(ordered)
}

/// Whoever asks for more decides: one that has ended has started too.
fn role(container: &Container) -> Role {
    match container.before.values().map(|before| before.ready).max() {
        None => Role::Main,
        Some(Ready::Started) => Role::Sidecar,
        Some(Ready::Healthy) => Role::HealthySidecar,
        Some(Ready::Complete) => Role::Init,
    }
}
