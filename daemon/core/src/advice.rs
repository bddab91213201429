//! What to do about a fault: a sentence for who sees it for the first time.

use crate::{Fault, FaultClass};

/// What to do, by the fault's code; the most specific first.
const BY_CODE: &[(&str, &str)] = &[
    (
        "image-pull-failed",
        "Look whether the image exists under that name and whether the cluster may pull it (imagePullSecrets of the namespace); then deploy again.",
    ),
    (
        "crash-loop",
        "The container ends soon after its start: its last lines are among the logs here. Mend the program or its variables, and deploy again.",
    ),
    (
        "out-of-memory",
        "The container used more memory than its limit: raise `resources.limits.memory` in its Score file, or find what uses it.",
    ),
    (
        "init-container-failed",
        "An init container has ended with an error: its last lines are among the logs here.",
    ),
    (
        "create-container-config-error",
        "The pod refers to a Secret or ConfigMap, or a key in it, that is not there: compare the names in the manifests with what is in the namespace.",
    ),
    ("evicted", "The node had no room left: look at requests, limits and ephemeral storage."),
    (
        "unschedulable",
        "No node takes the pod: the event says what is missing (processors, memory, a taint, a volume). Lower the requests or add nodes.",
    ),
    ("quota-exceeded", "The namespace's ResourceQuota is used up: raise it, or ask for less."),
    (
        "pods-refused",
        "An admission rule of the cluster refuses the pods: the message has its name and reason.",
    ),
    (
        "progress-deadline",
        "The pods did not become ready in time: look at their probes, and at the events and logs here.",
    ),
    (
        "not-ready",
        "The pods run and are not ready: look at their readiness probes, and at the logs here.",
    ),
    (
        "job-failed",
        "The Job has failed for good: the last lines of its pods are among the logs here.",
    ),
    ("pod-failed", "The pod has failed: its last lines are among the logs here."),
    (
        "claim-lost",
        "The volume behind a claim is gone: it must be restored, or the claim made anew.",
    ),
    (
        "gone",
        "Somebody has removed the object while it was waited for: find out who (the cluster's audit log), and deploy again.",
    ),
    (
        "names-not-accepted",
        "Another custom resource definition has these names already: only one of both can be installed.",
    ),
    (
        "rollout-aborted",
        "Who brings the version step by step has gone back from it: the message has why; its analysis and its events have more (`kubectl argo rollouts get rollout`, `kubectl describe canary`).",
    ),
    (
        "puller-sync-failed",
        "Who pulls the repository could not bring the commit: the message has its own words. What was committed has to change, or what refuses it in the cluster.",
    ),
    (
        "puller-degraded",
        "All was brought to the cluster, and is not well there: the message names what; look at its pods and events.",
    ),
    (
        "puller-invalid",
        "Who pulls the repository has settings with which it brings nothing: mend its object (Application, Kustomization, HelmRelease or its source).",
    ),
    (
        "plan-changed",
        "Something has changed since the plan was made: plan again, look at it, and deploy with its digest.",
    ),
    (
        "replace-not-confirmed",
        "The plan loses what is in a resource: if that is meant, deploy with --confirm-replace.",
    ),
    (
        "unresolved-placeholder",
        "A placeholder refers to what no resource gives: compare its name with `deployd resources`, and with the outputs of the definition's driver.",
    ),
    (
        "plugin-quarantined",
        "The plugin has failed three times in a row and is not called any more: `deployd logs` has why; upload a better version, or apply its document again.",
    ),
    (
        "plugin-timeout",
        "The plugin did not answer in time: look at what it waits for, or raise its limit in the grant.",
    ),
    (
        "plugin-trapped",
        "The plugin has a defect: give its author the message and the log of the step.",
    ),
    (
        "plugin-not-loaded",
        "The plugin can't be loaded: `deployd plugin list` and `deployd doctor` say why.",
    ),
    (
        "unknown-outcome",
        "deployd ended in the middle of something that must not be repeated blindly: look whether it has happened, and then deploy or cancel.",
    ),
    (
        "cluster-unreachable",
        "The cluster did not answer: look at its address and network; deploy again when it is back.",
    ),
    (
        "cluster-unauthorized",
        "The cluster does not accept the access that it was given: renew the secret or the cluster's resource.",
    ),
    (
        "resource-lent",
        "Another environment uses the resource: take that one away first, or keep it (--keep).",
    ),
    (
        "field-conflict",
        "Somebody else manages these fields: have them leave these alone, or set `takeOverFields` on the environment's type.",
    ),
];

/// What to do about a fault.
pub fn advice(fault: &Fault) -> &'static str {
    let by_code = BY_CODE.iter().find(|(code, _)| *code == fault.code);
    by_code.map_or_else(|| by_class(fault.class), |(_, advice)| advice)
}

fn by_class(class: FaultClass) -> &'static str {
    match class {
        FaultClass::Transient => {
            "It was tried again and did not get better in time: look at what did not answer, and deploy again."
        }
        FaultClass::Conflict => {
            "Somebody else has changed or owns it: the message says who; agree with them, and deploy again."
        }
        FaultClass::Invalid => {
            "What was asked for can't be done as it is written: the message names the place; change it there, `deployd plan`, and deploy."
        }
        FaultClass::Denied => {
            "It was not allowed: the message names what forbids it; have it granted, or do without."
        }
        FaultClass::Permanent => {
            "Trying again will not help: the message and the log of the step say what has to change first."
        }
        FaultClass::Bug => {
            "deployd or a plugin is wrong here: report it, with the output of `deployd debug -o json`."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that the crates of the daemon say in quotes, but for tests and this file.
    fn said(folder: &std::path::Path, all: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && !["tests", "target"].contains(&name) {
                said(&path, all);
            } else if name.ends_with(".rs") && !["advice.rs", "tests.rs"].contains(&name) {
                all.push_str(&std::fs::read_to_string(&path).unwrap());
            }
        }
    }

    #[test]
    fn every_code_is_advised_upon_once_and_is_the_code_of_something() {
        let codes: std::collections::BTreeSet<&str> =
            BY_CODE.iter().map(|(code, _)| *code).collect();
        assert_eq!(codes.len(), BY_CODE.len());
        let mut all = String::new();
        said(std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")), &mut all);
        let unknown: Vec<&&str> =
            codes.iter().filter(|code| !all.contains(&format!("\"{code}\""))).collect();
        assert!(unknown.is_empty(), "nothing fails with these any more: {unknown:?}");
    }

    #[test]
    fn advice_is_by_code_and_else_by_class() {
        assert!(advice(&Fault::permanent("crash-loop", "")).contains("logs"));
        assert!(advice(&Fault::denied("not-known-here", "")).contains("granted"));
    }
}
