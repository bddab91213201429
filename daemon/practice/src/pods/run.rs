//! What a simulated pod is at.

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::json::{self, text};

/// Where a pod is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// No node has it yet.
    Unscheduled,
    /// Its volumes are being mounted.
    Preparing,
    /// The image of its next container is being pulled.
    Pulling,
    /// Its next container is being started.
    Starting,
    /// All its containers were started.
    Running,
    /// A container ended and waits to be started again.
    BackOff,
    /// It ended for good.
    Ended,
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Terminated {
    code: i32,
    started: String,
    finished: String,
}

/// What a container does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ContainerState {
    /// It waits for something.
    Waiting { reason: String, message: String },
    /// It runs.
    Running { since: String },
    /// It ended.
    Ended(Terminated),
}

/// A container of a pod.
#[derive(Debug, Clone)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) image: String,
    pub(super) policy: String,
    pub(super) init: bool,
    /// An init container that keeps running.
    pub(super) is_sidecar: bool,
    pub(super) index: usize,
    pub(super) is_last_main: bool,
    pub(super) state: ContainerState,
    pub(super) last: Option<Terminated>,
    pub(super) restarts: u64,
    pub(super) ready: bool,
}

/// A pod on the node.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) stage: Stage,
    /// When the next step may be taken.
    pub(super) due: Instant,
    /// Init containers first, in order.
    pub(super) containers: Vec<Container>,
    pub(super) address: String,
    pub(super) started: Option<Instant>,
    pub(super) start_time: String,
    pub(super) stopping: Option<Instant>,
    pub(super) pull_attempts: u32,
    /// What keeps the pod from a node.
    pub(super) obstacle: Option<String>,
}

impl Run {
    pub(super) fn new(pod: &Value, number: u32) -> Self {
        let mut containers = Vec::new();
        let main_count = json::items(pod, "/spec/containers").len();
        for (list, init) in [("initContainers", true), ("containers", false)] {
            for (index, spec) in json::items(pod, &format!("/spec/{list}")).iter().enumerate() {
                let reason = if containers.is_empty() && !init {
                    "ContainerCreating"
                } else {
                    "PodInitializing"
                };
                containers.push(Container {
                    name: text(spec, "/name").to_owned(),
                    image: text(spec, "/image").to_owned(),
                    policy: text(spec, "/imagePullPolicy").to_owned(),
                    init,
                    is_sidecar: init && text(spec, "/restartPolicy") == "Always",
                    index,
                    is_last_main: !init && index + 1 == main_count,
                    state: ContainerState::Waiting {
                        reason: reason.to_owned(),
                        message: String::new(),
                    },
                    last: None,
                    restarts: 0,
                    ready: false,
                });
            }
        }
        if !containers.iter().any(|c| c.init) {
            for container in &mut containers {
                container.wait("ContainerCreating", "");
            }
        }
        Self {
            stage: Stage::Unscheduled,
            due: Instant::now(),
            containers,
            address: format!("10.244.{}.{}", (number / 250) % 250, number % 250 + 2),
            started: None,
            start_time: String::new(),
            stopping: None,
            pull_attempts: 0,
            obstacle: None,
        }
    }

    /// The container that is to be started next.
    pub(super) fn next_container(&mut self) -> Option<&mut Container> {
        self.containers.iter_mut().find(|container| match &container.state {
            ContainerState::Waiting { .. } => true,
            ContainerState::Running { .. } => container.init && !container.is_sidecar,
            ContainerState::Ended(_) => false,
        })
    }

    /// The containers that are not for initialising.
    pub(super) fn main_mut(&mut self) -> impl Iterator<Item = &mut Container> {
        self.containers.iter_mut().filter(|container| !container.init)
    }

    /// Marks the running containers as ready or not.
    pub(super) fn ready_all(&mut self, ready: bool) {
        for container in &mut self.containers {
            if matches!(container.state, ContainerState::Running { .. }) {
                container.ready = ready;
            }
        }
    }

    /// Marks one container as ready or not.
    pub(super) fn ready_one(&mut self, index: usize, ready: bool) {
        if let Some(container) = self.main_mut().nth(index) {
            container.ready = ready;
        }
    }

    /// Starts the containers behind one that cannot start.
    pub(super) fn start_others(&mut self) {
        let mut first = true;
        for container in self.containers.iter_mut().filter(|c| !c.init) {
            let waits = matches!(container.state, ContainerState::Waiting { .. });
            if waits && !first {
                container.begin();
                container.ready = true;
            }
            first = false;
        }
    }
}

impl Container {
    /// The place of the container in its pod, as events name it.
    pub(super) fn part(&self) -> String {
        let list = if self.init { "initContainers" } else { "containers" };
        format!("spec.{list}{{{}}}", self.name)
    }

    /// The container's part of the pod's spec.
    pub(super) fn spec<'a>(&self, pod: &'a Value) -> &'a Value {
        let list = if self.init { "initContainers" } else { "containers" };
        json::items(pod, &format!("/spec/{list}")).get(self.index).unwrap_or(&Value::Null)
    }

    pub(super) fn wait(&mut self, reason: &str, message: &str) {
        self.state =
            ContainerState::Waiting { reason: reason.to_owned(), message: message.to_owned() };
        self.ready = false;
    }

    pub(super) fn begin(&mut self) {
        if let ContainerState::Ended(ended) = &self.state {
            self.last = Some(ended.clone());
        }
        self.state = ContainerState::Running { since: crate::time::now() };
    }

    pub(super) fn end(&mut self, code: i32) {
        let now = crate::time::now();
        let started = match &self.state {
            ContainerState::Running { since } => since.clone(),
            _ => now.clone(),
        };
        self.ready = self.init && code == 0;
        self.state = ContainerState::Ended(Terminated { code, started, finished: now });
    }

    /// Waits for the next start, and remembers how the last run ended.
    pub(super) fn back_off(&mut self, reason: &str, message: &str) {
        if let ContainerState::Ended(ended) = &self.state {
            self.last = Some(ended.clone());
        }
        self.wait(reason, message);
    }

    /// Ends because it was asked to.
    pub(super) fn stop(&mut self) {
        if matches!(self.state, ContainerState::Running { .. }) {
            self.end(0);
        }
        self.ready = false;
    }
}

impl ContainerState {
    /// The state as a status has it.
    pub(super) fn to_json(&self, id: &str) -> Value {
        match self {
            Self::Waiting { reason, message } if message.is_empty() => {
                json!({"waiting": {"reason": reason}})
            }
            Self::Waiting { reason, message } => {
                json!({"waiting": {"reason": reason, "message": message}})
            }
            Self::Running { since } => json!({"running": {"startedAt": since}}),
            Self::Ended(ended) => ended.to_json(id),
        }
    }
}

impl Terminated {
    /// The ending as a status has it.
    pub(super) fn to_json(&self, id: &str) -> Value {
        let reason = match self.code {
            0 => "Completed",
            // Nobody else kills containers here.
            137 => "OOMKilled",
            _ => "Error",
        };
        json!({"terminated": {"exitCode": self.code, "reason": reason,
            "startedAt": self.started, "finishedAt": self.finished, "containerID": id}})
    }

    /// Whether it ended well.
    pub(super) fn is_success(&self) -> bool {
        self.code == 0
    }
}
