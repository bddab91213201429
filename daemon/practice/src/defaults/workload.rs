//! Defaults of the kinds that make pods.

use serde_json::{Value, json};

use super::pod::template;
use crate::json::{self, put_default};

pub(super) fn deployment(object: &mut Value) {
    let spec = json::slot(object, &["spec"]);
    put_default(spec, &["replicas"], 1);
    put_default(spec, &["strategy", "type"], "RollingUpdate");
    if json::text(spec, "/strategy/type") == "RollingUpdate" {
        put_default(spec, &["strategy", "rollingUpdate", "maxUnavailable"], "25%");
        put_default(spec, &["strategy", "rollingUpdate", "maxSurge"], "25%");
    }
    put_default(spec, &["revisionHistoryLimit"], 10);
    put_default(spec, &["progressDeadlineSeconds"], 600);
    template(json::slot(spec, &["template"]));
}

pub(super) fn replica_set(object: &mut Value) {
    let spec = json::slot(object, &["spec"]);
    put_default(spec, &["replicas"], 1);
    template(json::slot(spec, &["template"]));
}

pub(super) fn stateful_set(object: &mut Value) {
    let spec = json::slot(object, &["spec"]);
    put_default(spec, &["replicas"], 1);
    put_default(spec, &["podManagementPolicy"], "OrderedReady");
    put_default(spec, &["updateStrategy", "type"], "RollingUpdate");
    if json::text(spec, "/updateStrategy/type") == "RollingUpdate" {
        put_default(spec, &["updateStrategy", "rollingUpdate", "partition"], 0);
    }
    put_default(spec, &["revisionHistoryLimit"], 10);
    put_default(
        spec,
        &["persistentVolumeClaimRetentionPolicy"],
        json!({"whenDeleted": "Retain", "whenScaled": "Retain"}),
    );
    for claim in json::list_mut(spec, &["volumeClaimTemplates"]).into_iter().flatten() {
        put_default(claim, &["apiVersion"], "v1");
        put_default(claim, &["kind"], "PersistentVolumeClaim");
        put_default(claim, &["spec", "volumeMode"], "Filesystem");
        put_default(claim, &["status", "phase"], "Pending");
    }
    template(json::slot(spec, &["template"]));
}

pub(super) fn daemon_set(object: &mut Value) {
    let spec = json::slot(object, &["spec"]);
    put_default(spec, &["updateStrategy", "type"], "RollingUpdate");
    if json::text(spec, "/updateStrategy/type") == "RollingUpdate" {
        put_default(spec, &["updateStrategy", "rollingUpdate", "maxUnavailable"], 1);
        put_default(spec, &["updateStrategy", "rollingUpdate", "maxSurge"], 0);
    }
    put_default(spec, &["revisionHistoryLimit"], 10);
    template(json::slot(spec, &["template"]));
}

pub(super) fn job(spec: &mut Value) {
    let (completions, parallelism) =
        (json::has(spec, "/completions"), json::has(spec, "/parallelism"));
    if !completions && !parallelism {
        put_default(spec, &["completions"], 1);
    }
    put_default(spec, &["parallelism"], 1);
    put_default(spec, &["backoffLimit"], 6);
    put_default(spec, &["completionMode"], "NonIndexed");
    put_default(spec, &["suspend"], false);
    put_default(spec, &["manualSelector"], false);
    put_default(spec, &["podReplacementPolicy"], "TerminatingOrFailed");
    let policy = json::text(spec, "/template/spec/restartPolicy").to_owned();
    template(json::slot(spec, &["template"]));
    if policy.is_empty() {
        // A job has no default here: its author must choose.
        json::take(spec, &["template", "spec", "restartPolicy"]);
    }
}

pub(super) fn cron_job(object: &mut Value) {
    let spec = json::slot(object, &["spec"]);
    put_default(spec, &["concurrencyPolicy"], "Allow");
    put_default(spec, &["suspend"], false);
    put_default(spec, &["successfulJobsHistoryLimit"], 3);
    put_default(spec, &["failedJobsHistoryLimit"], 1);
    put_default(spec, &["jobTemplate", "metadata"], json!({}));
    let policy = json::text(spec, "/jobTemplate/spec/template/spec/restartPolicy").to_owned();
    template(json::slot(spec, &["jobTemplate", "spec", "template"]));
    if policy.is_empty() {
        json::take(spec, &["jobTemplate", "spec", "template", "spec", "restartPolicy"]);
    }
}
