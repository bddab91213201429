//! kubectl: who may do what.

use crate::stage::{Stage, has};

#[tokio::test(flavor = "multi_thread")]
async fn roles_and_bindings_decide() {
    let stage = Stage::new("access").await;
    let ns = stage.namespace.as_str();
    let who = format!("--as=system:serviceaccount:{ns}:robot");
    let as_robot = |arguments: &[&str]| stage.kubectl(&[arguments, &[who.as_str()]].concat());
    stage.kubectl(&["create", "serviceaccount", "robot"]).ok();
    let account = format!("--serviceaccount={ns}:robot");

    let said = as_robot(&["get", "pods"]).refused();
    has(
        &said,
        &format!(
            "Error from server (Forbidden): pods is forbidden: User \"system:serviceaccount:{ns}:robot\" cannot list resource \"pods\" in API group \"\" in the namespace \"{ns}\""
        ),
    );
    assert_eq!(as_robot(&["auth", "can-i", "list", "pods"]).out.trim(), "no");
    stage
        .kubectl(&["create", "role", "reader", "--verb=get,list", "--resource=pods,pods/log"])
        .ok();
    stage.kubectl(&["create", "rolebinding", "robot", "--role=reader", &account]).ok();
    as_robot(&["get", "pods"]).ok();
    assert_eq!(as_robot(&["auth", "can-i", "list", "pods"]).ok().trim(), "yes");
    assert_eq!(as_robot(&["auth", "can-i", "delete", "pods"]).out.trim(), "no");
    has(&as_robot(&["auth", "can-i", "--list"]).ok(), "pods/log");
    let said = as_robot(&["delete", "pod", "x"]).refused();
    has(&said, "pods \"x\" is forbidden");
    has(&said, "cannot delete resource \"pods\"");
    let said = as_robot(&["get", "pods", "--all-namespaces"]).refused();
    has(&said, "at the cluster scope");
    let said = as_robot(&["scale", "deployment/web", "--replicas=1"]).refused();
    has(&said, "in API group \"apps\"");

    stage.kubectl(&["create", "rolebinding", "more", "--clusterrole=edit", &account]).ok();
    as_robot(&["create", "configmap", "c", "--from-literal=a=b"]).ok();
    has(&as_robot(&["get", "roles"]).refused(), "cannot list resource \"roles\"");
    stage.kubectl(&["delete", "rolebinding", "robot", "more"]).ok();
    assert_eq!(as_robot(&["auth", "can-i", "list", "pods"]).out.trim(), "no");
    has(&as_robot(&["auth", "whoami"]).ok(), &format!("system:serviceaccounts:{ns}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn speaking_as_somebody_has_to_be_allowed() {
    let stage = Stage::new("as").await;
    let ns = stage.namespace.as_str();
    let review = format!(
        "apiVersion: authorization.k8s.io/v1\nkind: SubjectAccessReview\nspec:\n  user: ann\n  groups: [dev]\n  resourceAttributes: {{verb: get, resource: secrets, namespace: {ns}}}\n"
    );
    let asked = ["create", "-o", "jsonpath={.status.allowed}", "-f", "-"];
    assert_eq!(stage.kubectl_with(&asked, &review).ok(), "false");
    stage.kubectl(&["create", "rolebinding", "dev", "--clusterrole=edit", "--group=dev"]).ok();
    assert_eq!(stage.kubectl_with(&asked, &review).ok(), "true");
    has(
        &stage.kubectl(&["get", "secrets", "--as=ann", "--as-group=dev"]).err,
        "No resources found",
    );
    has(&stage.kubectl(&["get", "secrets", "--as=ann"]).refused(), "User \"ann\" cannot list");
}
