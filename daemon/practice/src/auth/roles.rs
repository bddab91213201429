//! The roles and bindings that every cluster begins with.

use serde_json::{Value, json};

const READ: &str = "get list watch";
const WRITE: &str = "create delete deletecollection patch update";

/// What `view` reads, and `edit` writes as well: group, resources.
const ORDINARY: [(&str, &str); 7] = [
    (
        "",
        "configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods \
         replicationcontrollers replicationcontrollers/scale serviceaccounts services services/status",
    ),
    (
        "apps",
        "daemonsets deployments deployments/scale replicasets replicasets/scale statefulsets \
         statefulsets/scale",
    ),
    ("autoscaling", "horizontalpodautoscalers"),
    ("batch", "cronjobs jobs"),
    ("networking.k8s.io", "ingresses networkpolicies"),
    ("policy", "poddisruptionbudgets"),
    ("coordination.k8s.io", "leases"),
];

/// What `view` only reads.
const READ_ONLY: [(&str, &str); 7] = [
    (
        "",
        "bindings events limitranges namespaces namespaces/status pods/log pods/status \
         replicationcontrollers/status resourcequotas resourcequotas/status",
    ),
    (
        "apps",
        "controllerrevisions daemonsets/status deployments/status replicasets/status \
         statefulsets/status",
    ),
    ("autoscaling", "horizontalpodautoscalers/status"),
    ("batch", "cronjobs/status jobs/status"),
    ("networking.k8s.io", "ingresses/status"),
    ("policy", "poddisruptionbudgets/status"),
    ("discovery.k8s.io", "endpointslices"),
];

fn words(text: &str) -> Vec<&str> {
    text.split_ascii_whitespace().collect()
}

fn rule(group: &str, resources: &str, verbs: &str) -> Value {
    json!({"apiGroups": [group], "resources": words(resources), "verbs": words(verbs)})
}

/// The cluster roles: name and rules.
pub(crate) fn cluster_roles() -> Vec<(&'static str, Vec<Value>)> {
    let every = |table: &[(&str, &str)], verbs: &str| -> Vec<Value> {
        table.iter().map(|(group, resources)| rule(group, resources, verbs)).collect()
    };
    let view = [every(&ORDINARY, READ), every(&READ_ONLY, READ)].concat();
    let edit = [
        view.clone(),
        every(&ORDINARY, WRITE),
        vec![
            rule("", "secrets", &format!("{READ} {WRITE}")),
            rule("", "pods/attach pods/exec pods/portforward pods/proxy pods/eviction", WRITE),
            rule("", "serviceaccounts", "impersonate"),
            rule("", "serviceaccounts/token", "create"),
        ],
    ]
    .concat();
    let admin = [
        edit.clone(),
        vec![
            rule("rbac.authorization.k8s.io", "roles rolebindings", &format!("{READ} {WRITE}")),
            rule("authorization.k8s.io", "localsubjectaccessreviews", "create"),
        ],
    ]
    .concat();
    let paths = |list: &str| json!({"nonResourceURLs": words(list), "verbs": ["get"]});
    vec![
        (
            "cluster-admin",
            vec![rule("*", "*", "*"), json!({"nonResourceURLs": ["*"], "verbs": ["*"]})],
        ),
        ("admin", admin),
        ("edit", edit),
        ("view", view),
        (
            "system:discovery",
            vec![paths(
                "/api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/",
            )],
        ),
        (
            "system:basic-user",
            vec![
                rule(
                    "authorization.k8s.io",
                    "selfsubjectaccessreviews selfsubjectrulesreviews",
                    "create",
                ),
                rule("authentication.k8s.io", "selfsubjectreviews", "create"),
            ],
        ),
        ("system:public-info-viewer", vec![paths("/healthz /livez /readyz /version /version/")]),
    ]
}

/// The bindings of cluster roles to groups.
pub(crate) fn bindings() -> Vec<(&'static str, Vec<&'static str>)> {
    vec![
        ("cluster-admin", vec!["system:masters"]),
        ("system:discovery", vec!["system:authenticated"]),
        ("system:basic-user", vec!["system:authenticated"]),
        ("system:public-info-viewer", vec!["system:authenticated", "system:unauthenticated"]),
    ]
}
