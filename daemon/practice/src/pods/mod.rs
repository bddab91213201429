//! The scheduler and the kubelet: what becomes of a pod, step by step.

mod checks;
mod run;
mod scheduling;
mod script;
mod status;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use run::{ContainerState, Run, Stage};
use serde_json::Value;
use tokio::time::Instant;

use crate::behaviour::{Behaviour, affected};
use crate::cluster::Cluster;
use crate::controllers::Again;
use crate::json::{self, text};
use crate::ops::DeleteOptions;
use crate::storage::Key;

/// The owner of what the kubelet writes.
pub(crate) const KUBELET: &str = "kubelet";

/// Images the node remembers; the node forgets them all beyond that.
const MOST_IMAGES: usize = 1000;

/// How often a pod that waits for something looks for it again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The back-off grows to this many times its beginning.
const MOST_BACK_OFF: u32 = 64;

/// All pods of the node.
#[derive(Debug, Default)]
pub(crate) struct Pods {
    runs: HashMap<String, Run>,
    uids: HashMap<Key, String>,
    images: HashSet<String>,
    next_address: u32,
}

impl Pods {
    /// Sees to a pod.
    pub(crate) fn reconcile(&mut self, cluster: &Cluster, key: &Key) -> Again {
        let Some(pod) = cluster.get("pods", &key.namespace, &key.name) else {
            if let Some(uid) = self.uids.remove(key) {
                self.runs.remove(&uid);
            }
            return None;
        };
        let uid = json::uid(&pod).to_owned();
        if let Some(old) = self.uids.insert(key.clone(), uid.clone())
            && old != uid
        {
            self.runs.remove(&old);
        }
        if matches!(text(&pod, "/status/phase"), "Succeeded" | "Failed") && !json::is_deleting(&pod)
        {
            return None;
        }
        let mut run = match self.runs.remove(&uid) {
            Some(run) => run,
            None => {
                self.next_address += 1;
                Run::new(&pod, self.next_address)
            }
        };
        let again = self.advance(cluster, key, &pod, &mut run);
        self.runs.insert(uid, run);
        again
    }

    /// Takes every step that is due, and says when the next one is.
    fn advance(&mut self, cluster: &Cluster, key: &Key, pod: &Value, run: &mut Run) -> Again {
        if json::is_deleting(pod) {
            return stop(cluster, key, pod, run);
        }
        let mut last = None;
        // A pod takes a few steps at a time at most; the bound is for safety.
        for _ in 0..64 {
            let now = Instant::now();
            if run.due > now {
                last = Some(run.due - now);
                break;
            }
            let decided = decide(cluster, pod);
            match self.step(cluster, key, pod, run, decided) {
                Next::Now => {}
                Next::After(time) => run.due = now + time,
                Next::Wait(time) => {
                    last = time;
                    break;
                }
            }
        }
        status::write(cluster, key, pod, run);
        last
    }

    fn step(
        &mut self,
        cluster: &Cluster,
        key: &Key,
        pod: &Value,
        run: &mut Run,
        decided: Option<Behaviour>,
    ) -> Next {
        match run.stage {
            Stage::Unscheduled => {
                let obstacle = scheduling::obstacle(cluster, pod, decided.as_ref());
                if !scheduling::schedule(cluster, key, pod, run, obstacle) {
                    return Next::Wait(Some(LOOK_AGAIN));
                }
                run.stage = Stage::Preparing;
                Next::Now
            }
            Stage::Preparing => {
                if let Some(problem) = checks::volume_problem(cluster, pod) {
                    cluster.tell(KUBELET, pod, "Warning", "FailedMount", &problem);
                    return Next::Wait(Some(LOOK_AGAIN * 5));
                }
                run.stage = Stage::Pulling;
                Next::After(cluster.options.pace)
            }
            Stage::Pulling => self.pull(cluster, pod, run, decided.as_ref()),
            Stage::Starting => start(cluster, pod, run, decided.as_ref()),
            Stage::Running => running(cluster, pod, run, decided),
            Stage::BackOff => {
                restart(cluster, pod, run);
                Next::After(cluster.options.pace)
            }
            Stage::Ended => Next::Wait(None),
        }
    }

    /// Pulls the image of the next container.
    fn pull(
        &mut self,
        cluster: &Cluster,
        pod: &Value,
        run: &mut Run,
        decided: Option<&Behaviour>,
    ) -> Next {
        let affected = affected(pod);
        let Some(container) = run.next_container() else {
            run.stage = Stage::Running;
            return Next::Now;
        };
        let (image, part) = (container.image.clone(), container.part());
        let is_affected = !container.init && container.index == affected;
        if let Some(Behaviour::ImagePullError { message }) = decided
            && is_affected
        {
            return pull_failed(cluster, pod, run, &image, message);
        }
        let is_known = self.images.contains(&image) && container.policy != "Always";
        if is_known {
            let message = format!("Container image \"{image}\" already present on machine");
            cluster.tell_part(KUBELET, pod, &part, "Normal", "Pulled", &message);
        } else {
            let message = format!("Pulling image \"{image}\"");
            cluster.tell_part(KUBELET, pod, &part, "Normal", "Pulling", &message);
            let took = cluster.options.pace.as_millis();
            let size = 10_000_000 + crate::random::hash(&Value::from(image.as_str())) % 90_000_000;
            let message = format!(
                "Successfully pulled image \"{image}\" in {took}ms ({took}ms including waiting). Image size: {size} bytes."
            );
            cluster.tell_part(KUBELET, pod, &part, "Normal", "Pulled", &message);
            if self.images.len() >= MOST_IMAGES {
                self.images.clear();
            }
            self.images.insert(image);
        }
        run.pull_attempts = 0;
        run.stage = Stage::Starting;
        Next::Now
    }
}

/// What follows a step.
enum Next {
    /// The next step, at once.
    Now,
    /// The next step, after a time.
    After(Duration),
    /// Nothing until something changes, or the time is over.
    Wait(Option<Duration>),
}

fn pull_failed(cluster: &Cluster, pod: &Value, run: &mut Run, image: &str, why: &str) -> Next {
    let attempts = run.pull_attempts;
    run.pull_attempts += 1;
    let Some(container) = run.next_container() else {
        return Next::Wait(None);
    };
    let part = container.part();
    let text = format!(
        "failed to pull and unpack image \"{image}\": failed to resolve reference \"{image}\": {image}: {why}"
    );
    if attempts.is_multiple_of(2) {
        container.wait("ErrImagePull", &text);
        let pulling = format!("Pulling image \"{image}\"");
        cluster.tell_part(KUBELET, pod, &part, "Normal", "Pulling", &pulling);
        let failed = format!("Failed to pull image \"{image}\": {text}");
        cluster.tell_part(KUBELET, pod, &part, "Warning", "Failed", &failed);
        cluster.tell_part(KUBELET, pod, &part, "Warning", "Failed", "Error: ErrImagePull");
        run.start_others();
        return Next::After(cluster.options.pace);
    }
    let waiting = format!("Back-off pulling image \"{image}\": ErrImagePull: {text}");
    container.wait("ImagePullBackOff", &waiting);
    let message = format!("Back-off pulling image \"{image}\"");
    cluster.tell_part(KUBELET, pod, &part, "Normal", "BackOff", &message);
    cluster.tell_part(KUBELET, pod, &part, "Warning", "Failed", "Error: ImagePullBackOff");
    Next::After(back_off(cluster, attempts / 2))
}

fn back_off(cluster: &Cluster, attempt: u32) -> Duration {
    let times = 2_u32.checked_pow(attempt).unwrap_or(MOST_BACK_OFF);
    cluster.options.back_off * times.min(MOST_BACK_OFF)
}

/// Starts the container whose image was pulled last.
fn start(cluster: &Cluster, pod: &Value, run: &mut Run, decided: Option<&Behaviour>) -> Next {
    let uid = json::uid(pod).to_owned();
    let Some(container) = run.next_container() else {
        run.stage = Stage::Running;
        return Next::Now;
    };
    let spec = container.spec(pod);
    if let Some(problem) = checks::environment_problem(cluster, pod, spec) {
        let part = container.part();
        container.wait("CreateContainerConfigError", &problem);
        let message = format!("Error: {problem}");
        cluster.tell_part(KUBELET, pod, &part, "Warning", "Failed", &message);
        return Next::Wait(Some(LOOK_AGAIN));
    }
    if container.init
        && !container.is_sidecar
        && matches!(container.state, ContainerState::Running { .. })
    {
        container.end(0);
        run.stage = Stage::Pulling;
        return Next::Now;
    }
    begin(cluster, pod, container);
    if container.init && !container.is_sidecar {
        return Next::After(cluster.options.pace);
    }
    let is_last = container.is_last_main;
    for line in greeting(spec, decided) {
        cluster.logs.write(&uid, &container.name, line);
    }
    if is_last {
        run.started = Some(Instant::now());
        run.stage = Stage::Running;
        Next::After(cluster.options.pace)
    } else {
        run.stage = Stage::Pulling;
        Next::Now
    }
}

fn begin(cluster: &Cluster, pod: &Value, container: &mut run::Container) {
    let part = container.part();
    let created = format!("Created container: {}", container.name);
    cluster.tell_part(KUBELET, pod, &part, "Normal", "Created", &created);
    let started = format!("Started container {}", container.name);
    cluster.tell_part(KUBELET, pod, &part, "Normal", "Started", &started);
    container.begin();
    cluster.logs.begin(json::uid(pod), &container.name, container.restarts);
}

/// What a pod does: what a test or an image's name decided, else what its
/// first container's command says.
fn decide(cluster: &Cluster, pod: &Value) -> Option<Behaviour> {
    cluster.behaviours.decide(pod).or_else(|| {
        let first = json::items(pod, "/spec/containers").first()?;
        Some(match script::of(first)?.end {
            Some((after, exit_code)) => Behaviour::Exits { after, exit_code },
            None => Behaviour::Ready { after: Duration::ZERO },
        })
    })
}

/// What a healthy container writes first.
fn greeting(spec: &Value, decided: Option<&Behaviour>) -> Vec<String> {
    if matches!(decided, Some(Behaviour::CrashLoop { .. })) {
        return Vec::new();
    }
    if let Some(script) = script::of(spec) {
        return script.lines;
    }
    let now = crate::time::now_plain();
    let mut lines = vec![format!("{now} starting {}", text(spec, "/image"))];
    for port in json::items(spec, "/ports") {
        if let Some(number) = json::int(port, "/containerPort") {
            lines.push(format!("{now} listening on port {number}"));
        }
    }
    lines
}

/// What happens to a pod whose containers run.
fn running(cluster: &Cluster, pod: &Value, run: &mut Run, decided: Option<Behaviour>) -> Next {
    let affected = affected(pod);
    let policy = text(pod, "/spec/restartPolicy");
    let ends_by_itself = policy != "Always";
    let age = run.started.map_or(Duration::ZERO, |since| since.elapsed());
    match decided {
        Some(Behaviour::CrashLoop { exit_code, log }) => {
            crash(cluster, pod, run, affected, exit_code, &log)
        }
        Some(Behaviour::Exits { after, exit_code }) => {
            if age < after {
                run.ready_all(true);
                return Next::After(after - age);
            }
            crash(cluster, pod, run, affected, exit_code, &[])
        }
        Some(Behaviour::NeverReady) => {
            run.ready_all(true);
            run.ready_one(affected, false);
            let message = "Readiness probe failed: HTTP probe failed with statuscode: 503";
            let name = json::items(pod, "/spec/containers")
                .get(affected)
                .map_or("", |container| text(container, "/name"));
            let part = format!("spec.containers{{{name}}}");
            cluster.tell_part(KUBELET, pod, &part, "Warning", "Unhealthy", message);
            Next::After(probe_period(cluster))
        }
        Some(Behaviour::Ready { after }) if age < after && !ends_by_itself => {
            run.ready_all(false);
            Next::After(after - age)
        }
        None if ends_by_itself => {
            run.ready_all(true);
            if age < cluster.options.pace {
                return Next::After(cluster.options.pace - age);
            }
            end_all(cluster, pod, run)
        }
        _ => {
            run.ready_all(true);
            Next::Wait(None)
        }
    }
}

/// How often the simulated probe of a pod that is not ready is told about.
fn probe_period(cluster: &Cluster) -> Duration {
    (cluster.options.pace * 10).max(LOOK_AGAIN)
}

fn end_all(cluster: &Cluster, pod: &Value, run: &mut Run) -> Next {
    for container in run.main_mut() {
        cluster.logs.write(json::uid(pod), &container.name, "done");
        container.end(0);
    }
    run.stage = Stage::Ended;
    Next::Now
}

fn crash(
    cluster: &Cluster,
    pod: &Value,
    run: &mut Run,
    index: usize,
    code: i32,
    log: &[String],
) -> Next {
    let uid = json::uid(pod).to_owned();
    let policy = text(pod, "/spec/restartPolicy").to_owned();
    run.ready_all(true);
    let Some(container) = run.main_mut().nth(index) else {
        return Next::Wait(None);
    };
    for line in log {
        cluster.logs.write(&uid, &container.name, line.as_str());
    }
    container.end(code);
    let restarts = policy == "Always" || (policy == "OnFailure" && code != 0);
    if !restarts {
        for other in run.main_mut() {
            if matches!(other.state, ContainerState::Running { .. }) {
                other.end(0);
            }
        }
        run.stage = Stage::Ended;
        return Next::Now;
    }
    let (name, times) = (container.name.clone(), container.restarts);
    let attempt = u32::try_from(times).unwrap_or(u32::MAX);
    let wait = back_off(cluster, attempt.min(10));
    run.stage = Stage::BackOff;
    if times > 0 {
        let shown = match attempt {
            0..=5 => format!("{}s", 10 * 2_u32.pow(attempt.saturating_sub(1))),
            _ => "5m0s".to_owned(),
        };
        let place = format!("{}_{}({uid})", json::name(pod), json::namespace(pod));
        let waiting = format!("back-off {shown} restarting failed container={name} pod={place}");
        if let Some(container) = run.main_mut().nth(index) {
            container.back_off("CrashLoopBackOff", &waiting);
        }
        let part = format!("spec.containers{{{name}}}");
        let message = format!("Back-off restarting failed container {name} in pod {place}");
        cluster.tell_part(KUBELET, pod, &part, "Warning", "BackOff", &message);
        return Next::After(wait);
    }
    // The first restart comes at once, as on a real node.
    Next::After(cluster.options.pace)
}

/// Starts the containers anew that ended.
fn restart(cluster: &Cluster, pod: &Value, run: &mut Run) {
    let mut any = false;
    for container in run.main_mut() {
        if matches!(container.state, ContainerState::Running { .. }) {
            continue;
        }
        any = true;
        container.restarts += 1;
        let message = format!("Container image \"{}\" already present on machine", container.image);
        cluster.tell_part(KUBELET, pod, &container.part(), "Normal", "Pulled", &message);
        begin(cluster, pod, container);
        let spec = container.spec(pod).clone();
        let decided = decide(cluster, pod);
        for line in greeting(&spec, decided.as_ref()) {
            cluster.logs.write(json::uid(pod), &container.name, line);
        }
    }
    if any {
        run.started = Some(Instant::now());
    }
    run.stage = Stage::Running;
}

/// Stops a pod that is being deleted.
fn stop(cluster: &Cluster, key: &Key, pod: &Value, run: &mut Run) -> Again {
    let now = Instant::now();
    let end = match run.stopping {
        Some(end) => end,
        None => {
            for container in run.main_mut() {
                if matches!(container.state, ContainerState::Running { .. }) {
                    let message = format!("Stopping container {}", container.name);
                    let part = container.part();
                    cluster.tell_part(KUBELET, pod, &part, "Normal", "Killing", &message);
                    cluster.logs.write(
                        json::uid(pod),
                        &container.name,
                        "received SIGTERM, stopping",
                    );
                }
            }
            let grace = json::int(pod, "/metadata/deletionGracePeriodSeconds");
            let grace = u64::try_from(grace.unwrap_or_default()).unwrap_or_default();
            let end = now + cluster.options.stop.min(Duration::from_secs(grace));
            run.stopping = Some(end);
            end
        }
    };
    if end > now {
        return Some(end - now);
    }
    for container in run.main_mut() {
        container.stop();
    }
    status::write(cluster, key, pod, run);
    if let Some(resource) = cluster.resource("pods") {
        let options = DeleteOptions {
            grace: Some(0),
            uid: Some(json::uid(pod).to_owned()),
            ..DeleteOptions::default()
        };
        // Somebody else may have removed it already.
        let _ = cluster.delete(&resource, &key.namespace, &key.name, &options);
    }
    None
}
