//! Container logs.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Response, header};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use serde_json::Value;
use tokio::sync::watch;

use super::answer::{self, Body, Dropped};
use super::path::Target;
use super::serve::Call;
use crate::cluster::Cluster;
use crate::json;
use crate::logs::Line;
use crate::status::{ApiError, ApiResult};

/// Answers a request for the log of a container.
pub(crate) fn answer(
    cluster: &Arc<Cluster>,
    call: &Call,
    target: &Target,
) -> ApiResult<Response<Body>> {
    if call.method != Method::GET {
        return Err(ApiError::method_not_allowed());
    }
    let pod = cluster
        .get("pods", &target.namespace, &target.name)
        .ok_or_else(|| ApiError::not_found(target.resource.named(), &target.name))?;
    let container = container(&pod, call.query.get("container"))?;
    let previous = call.query.flag("previous");
    let uid = json::uid(&pod).to_owned();
    let lines = match cluster.logs.lines(&uid, &container, previous) {
        Some(lines) => lines,
        None if previous => {
            return Err(ApiError::bad_request(format!(
                "previous terminated container \"{container}\" in pod \"{}\" not found",
                target.name
            )));
        }
        None => return Err(not_started(&pod, &container)),
    };
    let stamps = call.query.flag("timestamps");
    let next = lines.last().map_or(0, |line| line.number + 1);
    let chosen = choose(lines, call);
    let text: String = chosen.iter().map(|line| written(line, stamps)).collect();
    if !call.query.flag("follow") || previous {
        let mut bytes = text.into_bytes();
        if let Some(limit) = call.query.number("limitBytes") {
            bytes.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        }
        return Ok(answer::typed(200, "text/plain", bytes));
    }
    let follow = Follow {
        written: cluster.logs.written(),
        versions: cluster.versions(),
        cluster: cluster.clone(),
        namespace: target.namespace.clone(),
        pod: target.name.clone(),
        uid,
        container,
        stamps,
        next,
        queue: VecDeque::from([text]),
    };
    let stream = futures::stream::unfold(follow, |mut follow| async move {
        let text = follow.next().await?;
        let frame: Result<_, Dropped> = Ok(Frame::data(Bytes::from(text)));
        Some((frame, follow))
    });
    let mut response = Response::new(StreamBody::new(stream).boxed_unsync());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

fn names(pod: &Value, list: &str) -> Vec<String> {
    json::items(pod, list)
        .iter()
        .map(|container| json::text(container, "/name").to_owned())
        .collect()
}

fn container(pod: &Value, asked: &str) -> ApiResult<String> {
    let (main, init) = (names(pod, "/spec/containers"), names(pod, "/spec/initContainers"));
    let name = json::name(pod);
    if !asked.is_empty() {
        if main.iter().chain(&init).any(|known| known == asked) {
            return Ok(asked.to_owned());
        }
        return Err(ApiError::bad_request(format!(
            "container {asked} is not valid for pod {name}"
        )));
    }
    match main.as_slice() {
        [only] => Ok(only.clone()),
        several => {
            let mut text = format!(
                "a container name must be specified for pod {name}, choose one of: [{}]",
                several.join(" ")
            );
            if !init.is_empty() {
                text.push_str(&format!(" or one of the init containers: [{}]", init.join(" ")));
            }
            Err(ApiError::bad_request(text))
        }
    }
}

fn not_started(pod: &Value, container: &str) -> ApiError {
    let reason = ["containerStatuses", "initContainerStatuses"]
        .iter()
        .flat_map(|list| json::items(pod, &format!("/status/{list}")))
        .find(|status| json::text(status, "/name") == container)
        .map(|status| json::text(status, "/state/waiting/reason").to_owned())
        .filter(|reason| !reason.is_empty())
        .unwrap_or_else(|| "ContainerCreating".to_owned());
    let name = json::name(pod);
    if json::text(pod, "/spec/nodeName").is_empty() {
        return ApiError::bad_request(format!("pod {name} does not have a host assigned"));
    }
    let why = match reason.as_str() {
        "ErrImagePull" | "ImagePullBackOff" => "trying and failing to pull image".to_owned(),
        other => other.to_owned(),
    };
    ApiError::bad_request(format!(
        "container \"{container}\" in pod \"{name}\" is waiting to start: {why}"
    ))
}

fn choose(lines: Vec<Line>, call: &Call) -> Vec<Line> {
    let since = call.query.number("sinceSeconds");
    let since_time = call.query.get("sinceTime");
    let mut chosen: Vec<Line> = lines
        .into_iter()
        .filter(|line| {
            let age = crate::time::seconds_since(&line.time).unwrap_or_default();
            let is_young = since
                .and_then(|seconds| i64::try_from(seconds).ok())
                .is_none_or(|seconds| age <= seconds);
            is_young && (since_time.is_empty() || line.time.as_str() >= since_time)
        })
        .collect();
    if let Some(tail) = call.query.number("tailLines") {
        let keep = usize::try_from(tail).unwrap_or(usize::MAX);
        let skip = chosen.len().saturating_sub(keep);
        chosen.drain(..skip);
    }
    chosen
}

fn written(line: &Line, stamps: bool) -> String {
    if stamps { format!("{} {}\n", line.time, line.text) } else { format!("{}\n", line.text) }
}

struct Follow {
    cluster: Arc<Cluster>,
    namespace: String,
    pod: String,
    uid: String,
    container: String,
    stamps: bool,
    next: u64,
    queue: VecDeque<String>,
    written: watch::Receiver<u64>,
    versions: watch::Receiver<u64>,
}

impl Follow {
    async fn next(&mut self) -> Option<String> {
        loop {
            while let Some(text) = self.queue.pop_front() {
                if !text.is_empty() {
                    return Some(text);
                }
            }
            self.written.borrow_and_update();
            self.versions.borrow_and_update();
            let is_running = self.is_running();
            let lines = self.cluster.logs.lines(&self.uid, &self.container, false);
            for line in lines.into_iter().flatten() {
                if line.number >= self.next {
                    self.next = line.number + 1;
                    self.queue.push_back(written(&line, self.stamps));
                }
            }
            if !self.queue.is_empty() {
                continue;
            }
            if !is_running {
                return None;
            }
            tokio::select! {
                changed = self.written.changed() => changed.ok()?,
                changed = self.versions.changed() => changed.ok()?,
            }
        }
    }

    /// Following ends with the container.
    fn is_running(&self) -> bool {
        let Some(pod) = self.cluster.get("pods", &self.namespace, &self.pod) else {
            return false;
        };
        json::uid(&pod) == self.uid
            && ["containerStatuses", "initContainerStatuses"]
                .iter()
                .flat_map(|list| json::items(&pod, &format!("/status/{list}")))
                .filter(|status| json::text(status, "/name") == self.container)
                .any(|status| json::has(status, "/state/running"))
    }
}
