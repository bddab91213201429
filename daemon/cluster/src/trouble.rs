//! What ails a workload, from its pods: the things that a person has to be
//! told apart. Some pass by themselves; each says how long to give it.

use std::time::Duration;

use serde_json::Value;

use crate::fields::{
    condition, count, flag, holds, is_leaving, items, kind, name, number, text, text_or_empty, uid,
};
use crate::options::Patience;
use crate::ownership::Family;

/// Something that keeps a workload from becoming ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// As in [`WorkloadFault::reason`](deployd_core::ports::WorkloadFault).
    pub(crate) code: &'static str,
    /// What and where, and what to do.
    pub(crate) message: String,
    /// How long it may last before it is a failure.
    pub(crate) patience: Duration,
    /// Whether it is so at the moment. A container that runs again after a
    /// crash is not down, but the clock does not start anew with each try.
    pub(crate) firm: bool,
}

/// Evicted pods of one workload that are more than a node's bad day.
const EVICTIONS: usize = 3;

/// What ails the object, the most telling first, one of each code. `refusals`
/// are `FailedCreate` events.
pub(crate) fn troubles(
    object: &Value,
    family: &Family<'_>,
    refusals: &[&Value],
    patience: &Patience,
) -> Vec<Trouble> {
    let mut found = Vec::new();
    for pod in &family.pods {
        for container in containers(pod) {
            image(pod, container, patience, &mut found);
            configuration(pod, container, patience, &mut found);
            // Jobs count failed tries themselves and say when it is enough.
            if kind(object) != "Job" {
                crash(pod, container, patience, &mut found);
            }
        }
        unschedulable(pod, patience, &mut found);
    }
    evicted(family, patience, &mut found);
    refused(object, family, refusals, patience, &mut found);
    found.sort_by_key(|trouble| (telling(trouble.code), !trouble.firm, trouble.patience));
    found.dedup_by_key(|trouble| trouble.code);
    found
}

fn telling(code: &str) -> usize {
    const ORDER: [&str; 8] = [
        "image-pull-failed",
        "create-container-config-error",
        "init-container-failed",
        "out-of-memory",
        "crash-loop",
        "quota-exceeded",
        "pods-refused",
        "evicted",
    ];
    ORDER.iter().position(|each| *each == code).unwrap_or(ORDER.len())
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    let init = items(pod, "/status/initContainerStatuses");
    init.iter().chain(items(pod, "/status/containerStatuses"))
}

/// `Pod frontend-abc, container web`.
fn place(pod: &Value, container: &Value) -> String {
    format!("Pod {}, container {}", name(pod), text_or_empty(container, "/name"))
}

/// A message as the end of a sentence: `: not found.`, or `.`.
fn because(message: &str) -> String {
    match message.trim().trim_end_matches('.') {
        "" => ".".to_owned(),
        message => format!(": {message}."),
    }
}

fn image(pod: &Value, container: &Value, patience: &Patience, found: &mut Vec<Trouble>) {
    let patience = match text_or_empty(container, "/state/waiting/reason") {
        "ErrImagePull"
        | "ImagePullBackOff"
        | "RegistryUnavailable"
        | "ImageInspectError"
        | "SignatureValidationFailed" => patience.image_pull,
        // Neither heals: the name can't be read, or pulling is forbidden.
        "InvalidImageName" | "ErrImageNeverPull" => Duration::ZERO,
        _ => return,
    };
    let message = format!(
        "{}: the image {} can't be pulled{} Check its name and tag, and whether the cluster may \
         pull it.",
        place(pod, container),
        text_or_empty(container, "/image"),
        because(text_or_empty(container, "/state/waiting/message")),
    );
    found.push(Trouble { code: "image-pull-failed", message, patience, firm: true });
}

fn configuration(pod: &Value, container: &Value, patience: &Patience, found: &mut Vec<Trouble>) {
    let reason = text_or_empty(container, "/state/waiting/reason");
    if !matches!(reason, "CreateContainerConfigError" | "CreateContainerError") {
        return;
    }
    let message = format!(
        "{} can't be created{} Check the secrets and config maps that it refers to.",
        place(pod, container),
        because(text_or_empty(container, "/state/waiting/message")),
    );
    let code = "create-container-config-error";
    found.push(Trouble { code, message, patience: patience.configuration, firm: true });
}

fn crash(pod: &Value, container: &Value, patience: &Patience, found: &mut Vec<Trouble>) {
    let restarts = count(container, "/restartCount");
    let waiting = text_or_empty(container, "/state/waiting/reason");
    let backs_off = matches!(waiting, "CrashLoopBackOff" | "RunContainerError");
    let ended_badly = number(container, "/state/terminated/exitCode").is_some_and(|c| c != 0);
    // The kubelet says "started", "ready" false, while it tries once more.
    let tries_again = restarts > 0
        && !flag(container, "/ready")
        && container.pointer("/state/running").is_some()
        && container.pointer("/lastState/terminated").is_some();
    if !backs_off && !ended_badly && !tries_again {
        return;
    }
    let last = ["/lastState/terminated", "/state/terminated"]
        .iter()
        .find_map(|pointer| container.pointer(pointer))
        .unwrap_or(&Value::Null);
    let ending = match (number(last, "/exitCode"), text(last, "/reason")) {
        (Some(_), Some("OOMKilled")) => {
            ", last because it used more memory than its limit (OOMKilled)".to_owned()
        }
        (Some(code), reason) => {
            let reason = reason.filter(|r| *r != "Error").map(|r| format!(", {r}"));
            format!(", last with exit code {code}{}", reason.unwrap_or_default())
        }
        (None, _) => String::new(),
    };
    let said =
        text(last, "/message").map_or_else(String::new, |m| because(m).replacen(':', " -", 1));
    let message = format!(
        "{} ends again and again: {restarts} restart{}{ending}{said}{} Look at its last log lines.",
        place(pod, container),
        if restarts == 1 { "" } else { "s" },
        if said.is_empty() { "." } else { "" },
    );
    let limit = i64::try_from(patience.crash_restarts).unwrap_or(i64::MAX);
    let is_enough = backs_off && restarts >= limit;
    let code = if is_init(pod, container) {
        "init-container-failed"
    } else if text(last, "/reason") == Some("OOMKilled") {
        "out-of-memory"
    } else {
        "crash-loop"
    };
    found.push(Trouble {
        code,
        message,
        patience: if is_enough { Duration::ZERO } else { patience.crash_loop },
        firm: backs_off || ended_badly,
    });
}

fn unschedulable(pod: &Value, patience: &Patience, found: &mut Vec<Trouble>) {
    let Some(scheduled) = condition(pod, "PodScheduled") else { return };
    if text(scheduled, "/status") != Some("False")
        || text(scheduled, "/reason") != Some("Unschedulable")
    {
        return;
    }
    let message = format!(
        "Pod {} fits on no node{} Add nodes, ask for less, or loosen what it asks of a node.",
        name(pod),
        because(text_or_empty(scheduled, "/message")),
    );
    let patience = patience.unschedulable;
    found.push(Trouble { code: "unschedulable", message, patience, firm: true });
}

/// Whether a container prepares the pod for the others.
fn is_init(pod: &Value, container: &Value) -> bool {
    let statuses = items(pod, "/status/initContainerStatuses");
    let its_name = text(container, "/name");
    statuses.iter().any(|status| text(status, "/name") == its_name)
}

/// Pods that their node threw out. Others take their place and may fare better;
/// when one after the other is thrown out, they don't.
fn evicted(family: &Family<'_>, patience: &Patience, found: &mut Vec<Trouble>) {
    let is_evicted = |pod: &&&Value| {
        text(pod, "/status/phase") == Some("Failed")
            && text(pod, "/status/reason") == Some("Evicted")
    };
    let all: Vec<&Value> = family.pods.iter().filter(is_evicted).copied().collect();
    let Some(pod) = all.last() else { return };
    let message = format!(
        "Pod {} was evicted from its node{} Ask for what it needs, so that it gets a node that \
         has it.",
        name(pod),
        because(text_or_empty(pod, "/status/message")),
    );
    let firm = all.len() >= EVICTIONS;
    found.push(Trouble { code: "evicted", message, patience: patience.evicted, firm });
}

/// Pods that could not even be made.
fn refused(
    object: &Value,
    family: &Family<'_>,
    refusals: &[&Value],
    patience: &Patience,
    found: &mut Vec<Trouble>,
) {
    let reporter = family.replica_set.unwrap_or(object);
    let from_condition = condition(reporter, "ReplicaFailure")
        .filter(|_| holds(reporter, "ReplicaFailure"))
        .and_then(|failure| text(failure, "/message"));
    let from_event = || {
        let is_about = |event: &&&Value| {
            let involved = text_or_empty(event, "/involvedObject/uid");
            involved == uid(object) || family.replica_set.is_some_and(|set| involved == uid(set))
        };
        let last = refusals.iter().filter(is_about).max_by_key(|event| time(event))?;
        lacks_pods(object, family).then(|| text_or_empty(last, "/message"))
    };
    let Some(said) = from_condition.or_else(from_event) else { return };
    found.push(if said.contains("exceeded quota") {
        Trouble {
            code: "quota-exceeded",
            message: format!(
                "It gets no more pods{} Raise the namespace's quota or ask for less.",
                because(said)
            ),
            patience: patience.quota,
            firm: true,
        }
    } else {
        Trouble {
            code: "pods-refused",
            message: format!("Its pods are refused{}", because(said)),
            patience: patience.refused,
            firm: true,
        }
    });
}

/// Whether there are fewer pods than asked for: an event of long ago says
/// nothing when all are there.
fn lacks_pods(object: &Value, family: &Family<'_>) -> bool {
    let there = i64::try_from(family.pods.len()).unwrap_or(i64::MAX);
    match kind(object) {
        "DaemonSet" => there < count(object, "/status/desiredNumberScheduled"),
        "Job" => there == 0 && count(object, "/status/succeeded") == 0,
        _ => there < number(object, "/spec/replicas").unwrap_or(1),
    }
}

/// When an event was seen last.
pub(crate) fn time(event: &Value) -> &str {
    ["/series/lastObservedTime", "/lastTimestamp", "/eventTime", "/firstTimestamp"]
        .iter()
        .find_map(|pointer| text(event, pointer))
        .unwrap_or_else(|| text_or_empty(event, "/metadata/creationTimestamp"))
}

/// Whether a container has failed, so that its log is of interest, and whether
/// the log of the instance before is the telling one.
pub(crate) fn telling_log(container: &Value) -> Option<bool> {
    if container.pointer("/state/running").is_some() {
        let tries_again = count(container, "/restartCount") > 0 && !flag(container, "/ready");
        return if flag(container, "/ready") { None } else { Some(tries_again) };
    }
    if container.pointer("/state/terminated").is_some() {
        let failed = number(container, "/state/terminated/exitCode").is_some_and(|c| c != 0);
        return failed.then_some(false);
    }
    container.pointer("/lastState/terminated").map(|_| true)
}

/// `frontend-abc/web: waiting, CrashLoopBackOff, 3 restarts`.
pub(crate) fn container_lines(pod: &Value) -> Vec<String> {
    let pod_name = name(pod);
    let lines: Vec<String> = containers(pod)
        .map(|container| {
            let state = container.get("state").and_then(Value::as_object);
            let (state, more) = state
                .and_then(|states| states.iter().next())
                .map_or(("unknown", &Value::Null), |(state, more)| (state.as_str(), more));
            let reason = text(more, "/reason").map(|reason| format!(", {reason}"));
            let code = number(more, "/exitCode").map(|code| format!(" (exit code {code})"));
            let ready =
                if state == "running" && !flag(container, "/ready") { ", not ready" } else { "" };
            format!(
                "{pod_name}/{}: {state}{}{}{ready}, {} restarts",
                text_or_empty(container, "/name"),
                reason.unwrap_or_default(),
                code.unwrap_or_default(),
                count(container, "/restartCount"),
            )
        })
        .collect();
    if !lines.is_empty() || is_leaving(pod) {
        return lines;
    }
    let why = condition(pod, "PodScheduled").and_then(|c| text(c, "/reason"));
    vec![format!(
        "{pod_name}: {}{}",
        text(pod, "/status/phase").unwrap_or("Pending"),
        why.map(|why| format!(", {why}")).unwrap_or_default()
    )]
}

/// Containers of a pod whose log tells something, with whether it is the
/// instance before.
pub(crate) fn telling_logs(pod: &Value) -> Vec<(String, bool)> {
    containers(pod)
        .filter_map(|c| Some((text_or_empty(c, "/name").to_owned(), telling_log(c)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(container: Value) -> Value {
        let mut container = container;
        container["name"] = json!("web");
        container["image"] = json!("registry.test/web:1");
        json!({"kind": "Pod", "metadata": {"name": "web-1"},
            "status": {"phase": "Pending", "containerStatuses": [container]}})
    }

    fn waiting(reason: &str, restarts: i64) -> Value {
        pod(json!({"state": {"waiting": {"reason": reason, "message": "because"}},
            "restartCount": restarts}))
    }

    fn of(object: &Value, pod: &Value) -> Vec<Trouble> {
        let family = Family { replica_set: None, pods: vec![pod] };
        troubles(object, &family, &[], &Patience::default())
    }

    #[test]
    fn containers_tell_what_ails_them() {
        let deployment = json!({"kind": "Deployment", "metadata": {"name": "web"}});
        let patience = Patience::default();
        let ended = json!({"terminated": {"exitCode": 1, "reason": "Error"}});
        let table = [
            (waiting("ContainerCreating", 0), None),
            (waiting("ErrImagePull", 0), Some(("image-pull-failed", patience.image_pull, true))),
            (
                waiting("ImagePullBackOff", 0),
                Some(("image-pull-failed", patience.image_pull, true)),
            ),
            (waiting("InvalidImageName", 0), Some(("image-pull-failed", Duration::ZERO, true))),
            (
                waiting("CreateContainerConfigError", 0),
                Some(("create-container-config-error", patience.configuration, true)),
            ),
            (waiting("CrashLoopBackOff", 1), Some(("crash-loop", patience.crash_loop, true))),
            (waiting("CrashLoopBackOff", 3), Some(("crash-loop", Duration::ZERO, true))),
            (
                pod(json!({"state": ended, "restartCount": 0})),
                Some(("crash-loop", patience.crash_loop, true)),
            ),
            (
                pod(json!({"state": {"running": {}}, "lastState": ended, "restartCount": 1,
                "ready": false})),
                Some(("crash-loop", patience.crash_loop, false)),
            ),
            (
                pod(json!({"state": {"running": {}}, "lastState": ended, "restartCount": 9,
                "ready": true})),
                None,
            ),
            (pod(json!({"state": {"running": {}}, "ready": false})), None),
            (pod(json!({"state": {"terminated": {"exitCode": 0}}})), None),
        ];
        for (pod, expected) in table {
            let found = of(&deployment, &pod);
            let found = found.first().map(|t| (t.code, t.patience, t.firm));
            assert_eq!(found, expected, "{pod}");
        }
    }

    #[test]
    fn messages_name_the_place_and_the_cure() {
        let deployment = json!({"kind": "Deployment"});
        let found = of(&deployment, &waiting("ErrImagePull", 0));
        assert_eq!(
            found[0].message,
            "Pod web-1, container web: the image registry.test/web:1 can't be pulled: because. \
             Check its name and tag, and whether the cluster may pull it."
        );
        let crashed = pod(json!({"state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
            "restartCount": 4}));
        assert!(of(&deployment, &crashed)[0].message.contains("4 restarts, last because it used"));
    }

    #[test]
    fn jobs_count_their_own_crashes() {
        assert!(of(&json!({"kind": "Job"}), &waiting("CrashLoopBackOff", 5)).is_empty());
        assert_eq!(of(&json!({"kind": "Job"}), &waiting("ErrImagePull", 0)).len(), 1);
    }

    #[test]
    fn pods_that_fit_nowhere() {
        let pod = json!({"metadata": {"name": "web-1"}, "status": {"conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/3 nodes are available"}]}});
        let found = of(&json!({"kind": "Deployment"}), &pod);
        assert_eq!(found[0].code, "unschedulable");
        assert!(found[0].message.contains("0/3 nodes are available"));
    }

    #[test]
    fn init_containers_and_memory_have_codes_of_their_own() {
        let deployment = json!({"kind": "Deployment"});
        let looping = |reason: &str| {
            json!([{"name": "web", "restartCount": 3, "lastState": {"terminated":
                {"exitCode": 137, "reason": reason}},
                "state": {"waiting": {"reason": "CrashLoopBackOff"}}}])
        };
        let pod = |part: &str, statuses: Value| json!({"kind": "Pod", "metadata": {"name": "web-1"}, "status": {part: statuses}});
        let table = [
            (pod("containerStatuses", looping("OOMKilled")), "out-of-memory"),
            (pod("containerStatuses", looping("Error")), "crash-loop"),
            (pod("initContainerStatuses", looping("Error")), "init-container-failed"),
        ];
        for (pod, expected) in table {
            assert_eq!(of(&deployment, &pod)[0].code, expected, "{pod}");
        }
    }

    #[test]
    fn evictions_are_a_failure_only_when_they_go_on() {
        let deployment = json!({"kind": "Deployment"});
        let pod = json!({"metadata": {"name": "web-1"}, "status": {"phase": "Failed",
            "reason": "Evicted", "message": "The node was low on resource: memory."}});
        let with = |pods: usize| {
            let family = Family { replica_set: None, pods: vec![&pod; pods] };
            troubles(&deployment, &family, &[], &Patience::default())
        };
        assert_eq!(with(0), []);
        assert_eq!((with(1)[0].code, with(1)[0].firm), ("evicted", false));
        assert!(with(3)[0].firm);
        assert!(with(3)[0].message.contains("low on resource: memory. Ask for"), "{:?}", with(3));
    }

    #[test]
    fn refused_pods() {
        let object = json!({"kind": "StatefulSet", "metadata": {"name": "db", "uid": "s"},
            "spec": {"replicas": 1}});
        let event =
            |uid: &str, message: &str| json!({"involvedObject": {"uid": uid}, "message": message});
        let quota = event("s", "pods \"db-0\" is forbidden: exceeded quota: q");
        let policy = event("s", "violates PodSecurity");
        let other = event("x", "exceeded quota");
        let patience = Patience::default();
        let of = |events: &[&Value], family: &Family<'_>| {
            troubles(&object, family, events, &patience).first().map(|t| t.code)
        };
        let empty = Family::default();
        assert_eq!(of(&[&quota], &empty), Some("quota-exceeded"));
        assert_eq!(of(&[&policy], &empty), Some("pods-refused"));
        assert_eq!(of(&[&other], &empty), None);
        let there = json!({"metadata": {"name": "db-0"}});
        let complete = Family { replica_set: None, pods: vec![&there] };
        assert_eq!(of(&[&quota], &complete), None);
        let set = json!({"metadata": {"uid": "r"}, "status": {"conditions": [{
            "type": "ReplicaFailure", "status": "True", "message": "exceeded quota: q"}]}});
        let reported = Family { replica_set: Some(&set), pods: vec![&there] };
        assert_eq!(of(&[], &reported), Some("quota-exceeded"));
    }

    #[test]
    fn which_log_tells() {
        let ended = json!({"terminated": {"exitCode": 1}});
        let table = [
            (json!({"state": {"running": {}}, "ready": true}), None),
            (json!({"state": {"running": {}}, "ready": false}), Some(false)),
            (json!({"state": {"running": {}}, "ready": false, "restartCount": 1}), Some(true)),
            (json!({"state": ended}), Some(false)),
            (json!({"state": {"terminated": {"exitCode": 0}}}), None),
            (json!({"state": {"waiting": {}}, "lastState": ended}), Some(true)),
            (json!({"state": {"waiting": {}}}), None),
        ];
        for (container, expected) in table {
            assert_eq!(telling_log(&container), expected, "{container}");
        }
    }
}
