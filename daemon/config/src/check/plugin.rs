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
    for (index, host) in entry.items("/spec/grant/hosts").enumerate() {
        let Some(scheme) = host.get("scheme").and_then(Value::as_str) else { continue };
        const SCHEMES: [&str; 4] = ["tcp", "tls", "http", "https"];
        if !SCHEMES.contains(&scheme) {
            let path = Path::of(["spec", "grant", "hosts"]).then(index).then("scheme");
            problems.push(Problem::unknown(path, scheme, "a scheme", SCHEMES));
            continue;
        }
        // What does not fit the schema has its error already.
        let Ok(grant) = serde_json::from_value::<HostGrant>(host.clone()) else { continue };
        for wrong in credential_problems(&grant) {
            let path = Path::of(["spec", "grant", "hosts"]).then(index).then("credential");
            let path = wrong.field.map_or(path.clone(), |field| path.then(field));
            problems.push(Problem::at_value(path, &wrong.found, wrong.expected));
        }
    }
}
