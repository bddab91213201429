//! The status of a pod, from what it is at.

use serde_json::{Value, json};

use super::KUBELET;
use super::run::{Container, ContainerState, Run, Stage};
use crate::cluster::Cluster;
use crate::controllers::set_condition;
use crate::json;
use crate::random::digest;
use crate::storage::Key;

/// Writes the status of a pod.
pub(super) fn write(cluster: &Cluster, key: &Key, pod: &Value, run: &Run) {
    if run.stage == Stage::Unscheduled {
        return;
    }
    let uid = json::uid(pod);
    cluster.set_status(KUBELET, key, |status| {
        json::put(status, &["phase"], phase(run));
        json::put(status, &["hostIP"], "127.0.0.1");
        json::put(status, &["hostIPs"], json!([{"ip": "127.0.0.1"}]));
        json::put_default(status, &["startTime"], run.start_time.as_str());
        if !matches!(run.stage, Stage::Preparing) {
            json::put(status, &["podIP"], run.address.as_str());
            json::put(status, &["podIPs"], json!([{"ip": run.address}]));
        }
        if let Some(generation) = json::int(pod, "/metadata/generation") {
            json::put(status, &["observedGeneration"], generation);
        }
        conditions(status, run);
        for (list, init) in [("initContainerStatuses", true), ("containerStatuses", false)] {
            let statuses: Vec<Value> = run
                .containers
                .iter()
                .filter(|container| container.init == init)
                .map(|container| container_status(container, uid))
                .collect();
            if !statuses.is_empty() {
                json::put(status, &[list], statuses);
            }
        }
    });
}

fn phase(run: &Run) -> &'static str {
    let mains = || run.containers.iter().filter(|c| !c.init);
    if run.stage == Stage::Ended {
        let all_well = mains().all(|c| match &c.state {
            ContainerState::Ended(ended) => ended.is_success(),
            _ => true,
        });
        return if all_well { "Succeeded" } else { "Failed" };
    }
    let waits_first = |c: &Container| {
        matches!(c.state, ContainerState::Waiting { .. }) && c.restarts == 0 && c.last.is_none()
    };
    if mains().any(waits_first) { "Pending" } else { "Running" }
}

fn conditions(status: &mut Value, run: &Run) {
    let is_over = run.stage == Stage::Ended;
    let waiting: Vec<&str> = run
        .containers
        .iter()
        .filter(|c| {
            c.init && !c.ready && !matches!(c.state, ContainerState::Running { .. } if c.is_sidecar)
        })
        .map(|c| c.name.as_str())
        .collect();
    let unready: Vec<&str> =
        run.containers.iter().filter(|c| !c.init && !c.ready).map(|c| c.name.as_str()).collect();
    let sandbox = !matches!(run.stage, Stage::Unscheduled | Stage::Preparing) && !is_over;
    let flag = |is: bool| if is { "True" } else { "False" };
    set_condition(status, "PodReadyToStartContainers", flag(sandbox), "", "");
    if waiting.is_empty() {
        let reason = if is_over { "PodCompleted" } else { "" };
        set_condition(status, "Initialized", "True", reason, "");
    } else {
        let message = format!("containers with incomplete status: [{}]", waiting.join(" "));
        set_condition(status, "Initialized", "False", "ContainersNotInitialized", &message);
    }
    for kind in ["Ready", "ContainersReady"] {
        if is_over && phase(run) == "Succeeded" {
            set_condition(status, kind, "False", "PodCompleted", "");
        } else if is_over {
            set_condition(status, kind, "False", "PodFailed", "");
        } else if unready.is_empty() && waiting.is_empty() {
            set_condition(status, kind, "True", "", "");
        } else {
            let message = format!("containers with unready status: [{}]", unready.join(" "));
            set_condition(status, kind, "False", "ContainersNotReady", &message);
        }
    }
    set_condition(status, "PodScheduled", "True", "", "");
}

fn container_status(container: &Container, uid: &str) -> Value {
    let id = |run: u64| {
        let text = format!("{uid}/{}/{run}", container.name);
        format!("containerd://{}", digest(&text))
    };
    let present = id(container.restarts);
    let has_run = !matches!(container.state, ContainerState::Waiting { .. });
    let started = matches!(container.state, ContainerState::Running { .. });
    let mut status = json!({
        "name": container.name,
        "image": container.image,
        "imageID": "",
        "ready": container.ready,
        "started": started,
        "restartCount": container.restarts,
        "state": container.state.to_json(&present),
        "lastState": {},
    });
    if has_run || container.last.is_some() {
        json::put(&mut status, &["imageID"], image_id(&container.image));
        json::put(&mut status, &["containerID"], present.as_str());
    }
    if let Some(last) = &container.last {
        // While it waits, the container is still the one that ended.
        let number =
            if has_run { container.restarts.saturating_sub(1) } else { container.restarts };
        json::put(&mut status, &["lastState"], last.to_json(&id(number)));
    }
    status
}

/// The image by its digest.
fn image_id(image: &str) -> String {
    if image.contains("@sha256:") {
        return image.to_owned();
    }
    let last = image.rfind('/').map_or(0, |slash| slash + 1);
    let tag = image.get(last..).and_then(|name| name.find(':'));
    let repository = tag.and_then(|at| image.get(..last + at)).unwrap_or(image);
    format!("{repository}@sha256:{}", digest(image))
}
