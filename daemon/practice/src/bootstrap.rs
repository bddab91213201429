//! What a cluster has from the beginning.

use serde_json::{Value, json};

use crate::auth;
use crate::cluster::Cluster;

const MANAGER: &str = "kube-apiserver";

/// Fills a new cluster.
pub(crate) fn fill(cluster: &Cluster) {
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        make(cluster, "namespaces", "", "v1", "Namespace", name, json!({}));
    }
    node(cluster);
    let service = json!({"metadata": {"name": "kubernetes",
        "labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": {"clusterIP": "10.96.0.1",
            "ports": [{"name": "https", "port": 443, "targetPort": 6443}]}});
    make(cluster, "services", "default", "v1", "Service", "kubernetes", service);
    let class = json!({"metadata": {"annotations":
            {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "practice/host-path", "reclaimPolicy": "Delete",
        "volumeBindingMode": "Immediate"});
    let storage = "storageclasses.storage.k8s.io";
    make(cluster, storage, "", "storage.k8s.io/v1", "StorageClass", "standard", class);
    let class = json!({"metadata": {"annotations":
            {"ingressclass.kubernetes.io/is-default-class": "true"}},
        "spec": {"controller": "practice/gateway"}});
    let storage = "ingressclasses.networking.k8s.io";
    make(cluster, storage, "", "networking.k8s.io/v1", "IngressClass", "practice", class);
    for (name, value) in
        [("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)]
    {
        let class = json!({"value": value});
        let storage = "priorityclasses.scheduling.k8s.io";
        make(cluster, storage, "", "scheduling.k8s.io/v1", "PriorityClass", name, class);
    }
    crate::gateway_api::install(cluster);
    let version = "rbac.authorization.k8s.io/v1";
    for (name, rules) in auth::cluster_roles() {
        let storage = "clusterroles.rbac.authorization.k8s.io";
        make(cluster, storage, "", version, "ClusterRole", name, json!({"rules": rules}));
    }
    for (name, groups) in auth::bindings() {
        let subjects: Vec<Value> = groups
            .iter()
            .map(|group| {
                json!({"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": group})
            })
            .collect();
        let binding = json!({"subjects": subjects, "roleRef": {
            "kind": "ClusterRole", "apiGroup": "rbac.authorization.k8s.io", "name": name}});
        let storage = "clusterrolebindings.rbac.authorization.k8s.io";
        make(cluster, storage, "", version, "ClusterRoleBinding", name, binding);
    }
}

fn make(
    cluster: &Cluster,
    storage: &str,
    namespace: &str,
    version: &str,
    kind: &str,
    name: &str,
    mut object: Value,
) {
    crate::json::put(&mut object, &["apiVersion"], version);
    crate::json::put(&mut object, &["kind"], kind);
    crate::json::put(&mut object, &["metadata", "name"], name);
    cluster.ensure(MANAGER, storage, namespace, object);
}

fn node(cluster: &Cluster) {
    let now = crate::time::now();
    let name = cluster.options.node.as_str();
    let size = json!({"cpu": "8", "memory": "16Gi", "pods": "500", "ephemeral-storage": "100Gi"});
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        json!({"type": kind, "status": status, "reason": reason, "message": message,
            "lastHeartbeatTime": now, "lastTransitionTime": now})
    };
    let node = json!({
        "metadata": {"labels": {
            "kubernetes.io/hostname": name, "kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64", "node-role.kubernetes.io/control-plane": ""}},
        "spec": {"podCIDR": "10.244.0.0/16"},
        "status": {"capacity": size, "allocatable": size,
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"},
                {"type": "Hostname", "address": name}],
            "conditions": [
                condition("MemoryPressure", "False", "KubeletHasSufficientMemory",
                    "kubelet has sufficient memory available"),
                condition("DiskPressure", "False", "KubeletHasNoDiskPressure",
                    "kubelet has no disk pressure"),
                condition("PIDPressure", "False", "KubeletHasSufficientPID",
                    "kubelet has sufficient PID available"),
                condition("Ready", "True", "KubeletReady", "kubelet is posting ready status")],
            "nodeInfo": {"kubeletVersion": cluster.options.version, "architecture": "amd64",
                "operatingSystem": "linux", "osImage": "practice", "kernelVersion": "practice",
                "containerRuntimeVersion": "practice://1", "kubeProxyVersion": "",
                "machineID": "practice", "systemUUID": "practice", "bootID": "practice"}}});
    make(cluster, "nodes", "", "v1", "Node", name, node);
}
