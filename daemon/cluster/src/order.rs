//! What others need goes first.

use deployd_core::ports::ObjectRef;

use crate::fields::group_of;

/// Kinds in order: (group, kinds). Kinds within a line are of equal rank.
/// What is in no line is a custom resource, and goes where the star stands.
const ORDER: &[(&str, &[&str])] = &[
    ("", &["Namespace"]),
    ("apiextensions.k8s.io", &["CustomResourceDefinition"]),
    ("scheduling.k8s.io", &["PriorityClass"]),
    ("storage.k8s.io", &["StorageClass", "CSIDriver", "VolumeAttributesClass"]),
    ("node.k8s.io", &["RuntimeClass"]),
    ("networking.k8s.io", &["IngressClass"]),
    ("gateway.networking.k8s.io", &["GatewayClass"]),
    ("", &["ResourceQuota", "LimitRange"]),
    ("networking.k8s.io", &["NetworkPolicy"]),
    ("", &["ServiceAccount"]),
    ("rbac.authorization.k8s.io", &["ClusterRole", "Role"]),
    ("rbac.authorization.k8s.io", &["ClusterRoleBinding", "RoleBinding"]),
    ("", &["Secret"]),
    ("", &["ConfigMap"]),
    ("", &["PersistentVolume"]),
    ("", &["PersistentVolumeClaim"]),
    ("", &["Service", "Endpoints"]),
    ("discovery.k8s.io", &["EndpointSlice"]),
    // And all else that runs pods.
    ("apps", WORKLOADS),
    ("autoscaling", &["HorizontalPodAutoscaler"]),
    ("policy", &["PodDisruptionBudget"]),
    ("gateway.networking.k8s.io", &["Gateway"]),
    ("networking.k8s.io", &["Ingress"]),
    ("gateway.networking.k8s.io", &["HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute"]),
    ("apiregistration.k8s.io", &["APIService"]),
    (ANY, &[]),
    // Last: a webhook whose pods are not up yet would refuse the rest.
    ("admissionregistration.k8s.io", &["ValidatingAdmissionPolicy", "MutatingAdmissionPolicy"]),
    (
        "admissionregistration.k8s.io",
        &[
            "ValidatingAdmissionPolicyBinding",
            "MutatingAdmissionPolicyBinding",
            "ValidatingWebhookConfiguration",
            "MutatingWebhookConfiguration",
        ],
    ),
];

const WORKLOADS: &[&str] = &["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"];
const ANY: &str = "*";

/// The rank of an object: lower goes first.
pub(crate) fn rank(api_version: &str, kind: &str) -> usize {
    if runs_pods(api_version, kind) {
        return position(|(_, kinds)| *kinds == WORKLOADS);
    }
    let group = group_of(api_version);
    let known = |(each, kinds): &(&str, &[&str])| *each == group && kinds.contains(&kind);
    if ORDER.iter().any(known) { position(known) } else { position(|(each, _)| *each == ANY) }
}

fn position(which: impl Fn(&(&str, &[&str])) -> bool) -> usize {
    ORDER.iter().position(which).unwrap_or(ORDER.len())
}

/// Whether objects of this kind run pods, or are pods.
pub(crate) fn runs_pods(api_version: &str, kind: &str) -> bool {
    match group_of(api_version) {
        "apps" => WORKLOADS.contains(&kind),
        "batch" => matches!(kind, "Job" | "CronJob"),
        "" => matches!(kind, "Pod" | "ReplicationController"),
        "argoproj.io" => kind == "Rollout",
        _ => false,
    }
}

/// Puts items into the order of application: by rank, and as given within it.
pub(crate) fn ranked<T>(items: Vec<T>, reference: impl Fn(&T) -> &ObjectRef) -> Vec<Vec<T>> {
    let mut with_rank: Vec<(usize, T)> = items
        .into_iter()
        .map(|item| {
            let object = reference(&item);
            (rank(&object.api_version, &object.kind), item)
        })
        .collect();
    with_rank.sort_by_key(|(rank, _)| *rank);
    let mut stages: Vec<Vec<T>> = Vec::new();
    let mut last = None;
    for (rank, item) in with_rank {
        match stages.last_mut() {
            Some(stage) if last == Some(rank) => stage.push(item),
            _ => stages.push(vec![item]),
        }
        last = Some(rank);
    }
    stages
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(api_version: &str, kind: &str, name: &str) -> ObjectRef {
        ObjectRef {
            api_version: api_version.into(),
            kind: kind.into(),
            namespace: None,
            name: name.into(),
        }
    }

    #[test]
    fn what_others_need_goes_first() {
        let order = [
            ("v1", "Namespace"),
            ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
            ("scheduling.k8s.io/v1", "PriorityClass"),
            ("v1", "ResourceQuota"),
            ("v1", "ServiceAccount"),
            ("rbac.authorization.k8s.io/v1", "Role"),
            ("rbac.authorization.k8s.io/v1", "RoleBinding"),
            ("v1", "Secret"),
            ("v1", "ConfigMap"),
            ("v1", "PersistentVolumeClaim"),
            ("v1", "Service"),
            ("apps/v1", "Deployment"),
            ("autoscaling/v2", "HorizontalPodAutoscaler"),
            ("policy/v1", "PodDisruptionBudget"),
            ("networking.k8s.io/v1", "Ingress"),
            ("gateway.networking.k8s.io/v1", "HTTPRoute"),
            ("example.com/v1", "Widget"),
            ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
        ];
        let ranks: Vec<usize> = order.iter().map(|(v, k)| rank(v, k)).collect();
        assert!(ranks.windows(2).all(|pair| pair[0] < pair[1]), "{ranks:?}");
    }

    #[test]
    fn equal_ranks() {
        let deployment = rank("apps/v1", "Deployment");
        for (version, kind) in [("apps/v1", "StatefulSet"), ("batch/v1", "Job"), ("v1", "Pod")] {
            assert_eq!(rank(version, kind), deployment, "{kind}");
        }
        // Another group's Service is a custom resource.
        assert_eq!(rank("serving.knative.dev/v1", "Service"), rank("example.com/v1", "Widget"));
    }

    #[test]
    fn order_as_given_within_a_rank() {
        let given = vec![
            object("apps/v1", "Deployment", "b"),
            object("v1", "ConfigMap", "z"),
            object("apps/v1", "Deployment", "a"),
            object("v1", "ConfigMap", "y"),
            object("v1", "Namespace", "n"),
        ];
        let stages = ranked(given, |object| object);
        let names: Vec<Vec<&str>> =
            stages.iter().map(|s| s.iter().map(|o| o.name.as_str()).collect()).collect();
        assert_eq!(names, [vec!["n"], vec!["z", "y"], vec!["b", "a"]]);
    }
}
