//! Plugins and their grants.

use deployd_core::config::HostGrant;
use deployd_core::egress::credential_problems;
use serde_json::Value;

use super::{Entry, World};
use crate::path::Path;
use crate::problem::Problem;

pub(super) fn check(entry: &Entry, _: &World<'_>, problems: &mut Vec<Problem>) {
    let spec = entry.value.get("spec");
    let has = |pointer: &str| spec.is_some_and(|spec| spec.pointer(pointer).is_some());
    if has("/source/uploaded") && !has("/source/shipped") && !has("/digest") {
        let expected = "the digest of the component that was uploaded";
        let hint = "`deployd plugin push` prints it";
        let problem = Problem::at_value(Path::of(["spec", "digest"]), "nothing", expected);
        problems.push(problem.hint(Some(hint)));
    }
    let granted: Vec<&str> = entry.fields("/spec/grant/secrets").map(|(name, _)| name).collect();
    for (index, name) in entry.items("/spec/grant/reveal").enumerate() {
        let Some(name) = name.as_str().filter(|name| !granted.contains(name)) else { continue };
        let path = Path::of(["spec", "grant", "reveal"]).then(index);
        let what = "a name under `spec.grant.secrets`";
        problems.push(Problem::unknown(path, name, what, granted.iter().copied()));
    }
    let path = Path::of(["spec", "grant", "hosts"]);
    for (index, host) in entry.items("/spec/grant/hosts").enumerate() {
        check_host(&path.clone().then(index), host, &SCHEMES, problems);
    }
}

/// What streams and requests of plugins are granted for.
const SCHEMES: [&str; 4] = ["tcp", "tls", "http", "https"];

/// Checks a host that somebody may reach by one of these schemes.
pub(super) fn check_host(
    path: &Path,
    host: &Value,
    schemes: &[&'static str],
    problems: &mut Vec<Problem>,
) {
    let Some(scheme) = host.get("scheme").and_then(Value::as_str) else { return };
    if !schemes.contains(&scheme) {
        let path = path.clone().then("scheme");
        problems.push(Problem::unknown(path, scheme, "a scheme", schemes.iter().copied()));
        return;
    }
    // What does not fit the schema has its error already.
    let Ok(grant) = serde_json::from_value::<HostGrant>(host.clone()) else { return };
    for wrong in credential_problems(&grant) {
        let path = path.clone().then("credential");
        let path = wrong.field.map_or(path.clone(), |field| path.then(field));
        problems.push(Problem::at_value(path, &wrong.found, wrong.expected));
    }
}
