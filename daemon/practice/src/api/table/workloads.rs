//! The cells of what makes pods.

use serde_json::{Value, json};

use super::{Columns, NONE, age, age_of, containers, duration, or_none, selector};
use crate::controllers::condition;
use crate::json::{self, int, text};

const TEMPLATE: &str = "/spec/template/spec/containers";

pub(super) fn columns(kind: &str) -> Option<Columns> {
    Some(match kind {
        "Deployment" => (
            &["Ready", "#Up-to-date", "#Available", "Age", "+Containers", "+Images", "+Selector"],
            |o| {
                let mut cells = vec![
                    json!(format!("{}/{}", status(o, "readyReplicas"), wanted(o))),
                    json!(status(o, "updatedReplicas")),
                    json!(status(o, "availableReplicas")),
                    age(o),
                ];
                cells.extend(wide(o));
                cells
            },
        ),
        "ReplicaSet" | "ReplicationController" => (
            &["#Desired", "#Current", "#Ready", "Age", "+Containers", "+Images", "+Selector"],
            |o| {
                let mut cells = vec![
                    json!(wanted(o)),
                    json!(status(o, "replicas")),
                    json!(status(o, "readyReplicas")),
                    age(o),
                ];
                cells.extend(wide(o));
                cells
            },
        ),
        "StatefulSet" => (&["Ready", "Age", "+Containers", "+Images"], |o| {
            let [names, images] = containers(o, TEMPLATE);
            let ready = format!("{}/{}", status(o, "readyReplicas"), wanted(o));
            vec![json!(ready), age(o), names, images]
        }),
        "DaemonSet" => (
            &[
                "#Desired",
                "#Current",
                "#Ready",
                "#Up-to-date",
                "#Available",
                "Node Selector",
                "Age",
                "+Containers",
                "+Images",
                "+Selector",
            ],
            |o| {
                let mut cells: Vec<Value> = [
                    "desiredNumberScheduled",
                    "currentNumberScheduled",
                    "numberReady",
                    "updatedNumberScheduled",
                    "numberAvailable",
                ]
                .iter()
                .map(|name| json!(status(o, name)))
                .collect();
                cells.extend([selector(o, "/spec/template/spec/nodeSelector"), age(o)]);
                cells.extend(wide(o));
                cells
            },
        ),
        "Job" => (
            &["Status", "Completions", "Duration", "Age", "+Containers", "+Images", "+Selector"],
            |o| {
                let mut cells = vec![json!(job_state(o)), json!(completions(o)), took(o), age(o)];
                cells.extend(wide(o));
                cells
            },
        ),
        "CronJob" => (
            &[
                "Schedule",
                "Timezone",
                "Suspend",
                "#Active",
                "Last Schedule",
                "Age",
                "+Containers",
                "+Images",
                "+Selector",
            ],
            |o| {
                let last = match text(o, "/status/lastScheduleTime") {
                    "" => json!(NONE),
                    time => age_of(time),
                };
                let [names, images] =
                    containers(o, "/spec/jobTemplate/spec/template/spec/containers");
                let suspended = if json::flag(o, "/spec/suspend") { "True" } else { "False" };
                vec![
                    json!(text(o, "/spec/schedule")),
                    or_none(text(o, "/spec/timeZone")),
                    json!(suspended),
                    json!(json::items(o, "/status/active").len()),
                    last,
                    age(o),
                    names,
                    images,
                    selector(o, "/spec/jobTemplate/spec/selector"),
                ]
            },
        ),
        "ControllerRevision" => (&["Controller", "#Revision", "Age"], |o| {
            let owner = json::items(o, "/metadata/ownerReferences").first();
            let controller = owner.map_or(NONE.to_owned(), |owner| {
                let group = text(owner, "/apiVersion").split_once('/').map_or("", |(g, _)| g);
                format!("{}.{group}/{}", text(owner, "/kind").to_lowercase(), text(owner, "/name"))
            });
            vec![json!(controller), json!(int(o, "/revision").unwrap_or_default()), age(o)]
        }),
        "PodTemplate" => (&["Containers", "Images", "Pod Labels"], |o| {
            let [names, images] = containers(o, "/template/spec/containers");
            vec![names, images, selector(o, "/template/metadata/labels")]
        }),
        _ => return None,
    })
}

fn wanted(object: &Value) -> i64 {
    int(object, "/spec/replicas").unwrap_or_default()
}

fn status(object: &Value, name: &str) -> i64 {
    int(object, &format!("/status/{name}")).unwrap_or_default()
}

fn wide(object: &Value) -> [Value; 3] {
    let [names, images] = containers(object, TEMPLATE);
    [names, images, selector(object, "/spec/selector")]
}

fn job_state(job: &Value) -> &'static str {
    let is = |kind: &str| condition(job, kind).is_some_and(|c| text(c, "/status") == "True");
    match () {
        () if is("Complete") => "Complete",
        () if is("Failed") => "Failed",
        () if json::is_deleting(job) => "Terminating",
        () if is("Suspended") => "Suspended",
        () if is("FailureTarget") => "FailureTarget",
        () if is("SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    }
}

fn completions(job: &Value) -> String {
    let done = status(job, "succeeded");
    match (int(job, "/spec/completions"), int(job, "/spec/parallelism").unwrap_or_default()) {
        (Some(wanted), _) => format!("{done}/{wanted}"),
        (None, many) if many > 1 => format!("{done}/1 of {many}"),
        (None, _) => format!("{done}/1"),
    }
}

fn took(job: &Value) -> Value {
    let since = |pointer: &str| crate::time::seconds_since(text(job, pointer));
    match (since("/status/startTime"), since("/status/completionTime")) {
        (Some(start), Some(end)) => json!(duration(start - end)),
        (Some(start), None) => json!(duration(start)),
        (None, _) => json!(""),
    }
}
