//! Definitions of the kinds of Argo CD, Argo Rollouts, Flux and Flagger: named, scoped and
//! served as the real ones, without their schemas.

use serde_json::{Value, json};

use crate::api::Api;

/// Group, version, kind, plural, and whether its status is apart.
const KINDS: [(&str, &str, &str, &str, bool); 6] = [
    // Argo CD writes the status with the rest.
    ("argoproj.io", "v1alpha1", "Application", "applications", false),
    ("argoproj.io", "v1alpha1", "Rollout", "rollouts", true),
    ("kustomize.toolkit.fluxcd.io", "v1", "Kustomization", "kustomizations", true),
    ("helm.toolkit.fluxcd.io", "v2", "HelmRelease", "helmreleases", true),
    ("source.toolkit.fluxcd.io", "v1", "GitRepository", "gitrepositories", true),
    ("flagger.app", "v1beta1", "Canary", "canaries", true),
];

/// The definitions of all of them.
pub fn definitions() -> Vec<Value> {
    KINDS
        .iter()
        .map(|(group, version, kind, plural, has_status)| {
            let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
            let properties = json!({"spec": open, "status": open, "operation": open});
            let mut served = json!({"name": version, "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": properties}}});
            if *has_status {
                served["subresources"] = json!({"status": {}});
            }
            json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": {"name": format!("{plural}.{group}")},
                "spec": {"group": group, "scope": "Namespaced", "versions": [served],
                    "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase(),
                        "listKind": format!("{kind}List")}}})
        })
        .collect()
}

/// Brings all definitions to a cluster, and waits until their kinds are served.
pub async fn install(api: &Api) {
    for definition in definitions() {
        api.apply("kubectl", &definition, "").await.unwrap();
    }
    let mut look = tokio::time::interval(std::time::Duration::from_millis(10));
    for (group, version, kind, ..) in KINDS {
        let object = json!({"apiVersion": format!("{group}/{version}"), "kind": kind,
            "metadata": {"name": "none"}});
        while !api.serves(&object).await {
            look.tick().await;
        }
    }
}
