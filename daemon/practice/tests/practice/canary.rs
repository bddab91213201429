//! Weighted routes, and canary Ingresses.

use std::net::SocketAddr;

use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::gateway::get;
use crate::stage::{Stage, condition, deployment, is_rolled_out, refusal};

const GROUP: &str = "gateway.networking.k8s.io";
const HOST: &str = "shop.apps.localhost";
const ROUTES: &str = "httproutes.gateway.networking.k8s.io";

/// Two versions behind a service each.
async fn stage() -> Stage {
    let stage = Stage::with_namespace("a").await;
    for (name, version) in [("shop", "1"), ("shop-canary", "2")] {
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]}});
        apply(&stage, "", "Service", &service).await;
        let object = deployment(name, &format!("shop:{version}"), 2);
        apply(&stage, "apps", "Deployment", &object).await;
    }
    for name in ["shop", "shop-canary"] {
        stage.wait("rolled out", |o| is_rolled_out(o, "a", name)).await;
    }
    stage
}

async fn apply(stage: &Stage, group: &str, kind: &str, object: &Value) {
    let name = object["metadata"]["name"].as_str().unwrap();
    let params = PatchParams::apply("one");
    stage.any(group, "v1", kind, "a").patch(name, &params, &Patch::Apply(object)).await.unwrap();
}

fn route(rules: &Value) -> Value {
    json!({"apiVersion": format!("{GROUP}/v1"), "kind": "HTTPRoute", "metadata": {"name": "shop"},
        "spec": {"parentRefs": [{"name": "practice", "namespace": "default"}],
            "hostnames": [HOST], "rules": rules}})
}

fn backends(stable: u64, canary: u64) -> Value {
    json!([{"name": "shop", "port": 80, "weight": stable},
        {"name": "shop-canary", "port": 80, "weight": canary}])
}

/// Waits until the route's condition has this value and reason.
async fn says(stage: &Stage, kind: &str, value: &str, reason: &str) {
    let holds = |route: &Value| {
        let parent = json!({"status": route["status"]["parents"][0]});
        let seen = &parent["status"]["conditions"][0]["observedGeneration"];
        condition(&parent, kind) == Some((value.to_owned(), reason.to_owned()))
            && *seen == route["metadata"]["generation"]
    };
    stage
        .wait(&format!("{kind} {value}"), |o| {
            o.get(ROUTES, "a", "shop").is_some_and(|it| holds(&it))
        })
        .await;
}

async fn image(gateway: SocketAddr, path: &str, header: &str) -> String {
    // One more header is one more line of what is accepted.
    let accept = match header {
        "" => "application/json".to_owned(),
        header => format!("application/json\r\n{header}"),
    };
    let (code, body) = get(gateway, HOST, path, &accept).await;
    match serde_json::from_str::<Value>(&body) {
        Ok(facts) if code == 200 => facts["image"].as_str().unwrap().to_owned(),
        _ => code.to_string(),
    }
}

/// How many of so many requests the canary has answered.
async fn canaries(gateway: SocketAddr, of: usize) -> usize {
    let mut found = 0;
    for _ in 0..of {
        match image(gateway, "/", "").await.as_str() {
            "shop:2" => found += 1,
            other => assert_eq!(other, "shop:1"),
        }
    }
    found
}

#[tokio::test]
async fn a_route_divides_requests_by_weight_exactly() {
    let stage = stage().await;
    let gateway = stage.practice.gateway_addr();
    for (stable, canary, of, expected) in
        [(90, 10, 100, 10), (1, 1, 8, 4), (0, 7, 5, 5), (99, 1, 100, 1), (100, 0, 10, 0)]
    {
        apply(
            &stage,
            GROUP,
            "HTTPRoute",
            &route(&json!([{"backendRefs": backends(stable, canary)}])),
        )
        .await;
        says(&stage, "Accepted", "True", "Accepted").await;
        assert_eq!(canaries(gateway, of).await, expected, "{stable}:{canary}");
    }
    apply(&stage, GROUP, "HTTPRoute", &route(&json!([{"backendRefs": backends(0, 0)}]))).await;
    assert_eq!(image(gateway, "/", "").await, "500");
    let gateways = "gateways.gateway.networking.k8s.io";
    stage
        .wait("one route at the gateway", |o| {
            o.get(gateways, "default", "practice").is_some_and(|found| {
                found["status"]["listeners"][0]["attachedRoutes"] == 1
                    && condition(&found, "Programmed").is_some_and(|(value, _)| value == "True")
            })
        })
        .await;
}

#[tokio::test]
async fn the_most_specific_rule_of_a_route_counts() {
    let stage = stage().await;
    let gateway = stage.practice.gateway_addr();
    let to = |name: &str| json!([{"name": name, "port": 80}]);
    let rules = json!([
        {"backendRefs": to("shop"), "filters": [{"type": "RequestMirror", "requestMirror":
            {"backendRef": {"name": "shop-canary", "port": 80}}}]},
        {"matches": [{"headers": [{"name": "X-Beta", "value": "yes"}]}], "backendRefs": to("shop-canary")},
        {"matches": [{"headers": [{"name": "x-group", "type": "RegularExpression", "value": "b.*"}]}],
            "backendRefs": to("shop-canary")},
        {"matches": [{"path": {"type": "Exact", "value": "/new"}}], "backendRefs": to("shop-canary")},
        {"matches": [{"path": {"type": "PathPrefix", "value": "/lost"}}], "backendRefs": to("nobody")},
    ]);
    apply(&stage, GROUP, "HTTPRoute", &route(&rules)).await;
    for (path, header, expected) in [
        ("/", "", "shop:1"),
        ("/", "X-Beta: yes", "shop:2"),
        ("/", "x-beta: no", "shop:1"),
        ("/", "X-Group: beta", "shop:2"),
        ("/", "X-Group: ab", "shop:1"),
        ("/new", "", "shop:2"),
        ("/new/er", "", "shop:1"),
        ("/lost/one", "", "500"),
    ] {
        assert_eq!(image(gateway, path, header).await, expected, "{path} {header}");
    }
    says(&stage, "ResolvedRefs", "False", "BackendNotFound").await;
    let wrong = route(&json!([{"backendRefs": [{"name": "shop", "weight": 1_000_001}]}]));
    let api = stage.any(GROUP, "v1", "HTTPRoute", "a");
    let result = api.patch("shop", &PatchParams::apply("one"), &Patch::Apply(&wrong)).await;
    assert_eq!(refusal(result).code, 422);
}

#[tokio::test]
async fn a_route_without_a_gateway_leads_nowhere() {
    let stage = stage().await;
    let gateway = stage.practice.gateway_addr();
    let mut object = route(&json!([{"backendRefs": backends(1, 0)}]));
    object["spec"]["parentRefs"] = json!([{"name": "own"}]);
    apply(&stage, GROUP, "HTTPRoute", &object).await;
    assert_eq!(image(gateway, "/", "").await, "404");
    let own = json!({"apiVersion": format!("{GROUP}/v1"), "kind": "Gateway", "metadata": {"name": "own"},
        "spec": {"gatewayClassName": "practice", "listeners": [
            {"name": "http", "port": 80, "protocol": "HTTP", "hostname": "*.apps.localhost"}]}});
    apply(&stage, GROUP, "Gateway", &own).await;
    says(&stage, "Accepted", "True", "Accepted").await;
    assert_eq!(image(gateway, "/", "").await, "shop:1");
    // Of another namespace, it takes none.
    let mut elsewhere = object.clone();
    elsewhere["metadata"]["namespace"] = json!("default");
    elsewhere["spec"]["parentRefs"] = json!([{"name": "own", "namespace": "a"}]);
    stage
        .any(GROUP, "v1", "HTTPRoute", "default")
        .patch("shop", &PatchParams::apply("one"), &Patch::Apply(&elsewhere))
        .await
        .unwrap();
    stage
        .wait("refused", |o| {
            o.get(ROUTES, "default", "shop").is_some_and(|found| {
                let parent = json!({"status": found["status"]["parents"][0]});
                condition(&parent, "Accepted")
                    == Some(("False".to_owned(), "NotAllowedByListeners".to_owned()))
            })
        })
        .await;
    stage.any(GROUP, "v1", "Gateway", "a").delete("own", &DeleteParams::default()).await.unwrap();
    assert_eq!(image(gateway, "/", "").await, "404");
}

#[tokio::test]
async fn a_canary_ingress_takes_its_part() {
    let stage = stage().await;
    let gateway = stage.practice.gateway_addr();
    let ingress = |name: &str, service: &str, canary: &Value| {
        let mut annotations = json!({});
        for (key, value) in canary.as_object().unwrap() {
            annotations[format!("nginx.ingress.kubernetes.io/{key}")] = value.clone();
        }
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": name, "annotations": annotations},
            "spec": {"rules": [{"host": HOST, "http": {"paths": [{"path": "/", "pathType": "Prefix",
                "backend": {"service": {"name": service, "port": {"number": 80}}}}]}}]}})
    };
    let group = "networking.k8s.io";
    apply(&stage, group, "Ingress", &ingress("shop", "shop", &json!({}))).await;
    assert_eq!(canaries(gateway, 4).await, 0);
    for (weight, of, expected) in [("25", 100, 25), ("0", 10, 0), ("100", 10, 10)] {
        let canary = json!({"canary": "true", "canary-weight": weight});
        apply(&stage, group, "Ingress", &ingress("shop-canary", "shop-canary", &canary)).await;
        assert_eq!(canaries(gateway, of).await, expected, "{weight}");
    }
    let canary = json!({"canary": "true", "canary-weight": "0", "canary-by-header": "X-Beta"});
    apply(&stage, group, "Ingress", &ingress("shop-canary", "shop-canary", &canary)).await;
    assert_eq!(image(gateway, "/", "X-Beta: always").await, "shop:2");
    assert_eq!(image(gateway, "/", "X-Beta: yes").await, "shop:1");
    let mut by_value = canary.clone();
    by_value["canary-by-header-value"] = json!("yes");
    apply(&stage, group, "Ingress", &ingress("shop-canary", "shop-canary", &by_value)).await;
    assert_eq!(image(gateway, "/", "X-Beta: yes").await, "shop:2");
    assert_eq!(image(gateway, "/", "X-Beta: always").await, "shop:1");
    let mut by_pattern = canary;
    by_pattern["canary-by-header-pattern"] = json!("^(?:y.*)$");
    apply(&stage, group, "Ingress", &ingress("shop-canary", "shop-canary", &by_pattern)).await;
    assert_eq!(image(gateway, "/", "X-Beta: yes").await, "shop:2");
    assert_eq!(image(gateway, "/", "X-Beta: no").await, "shop:1");
    // Alone it is no way to anywhere.
    let api = stage.any(group, "v1", "Ingress", "a");
    api.delete("shop", &DeleteParams::default()).await.unwrap();
    assert_eq!(image(gateway, "/", "X-Beta: yes").await, "404");
}
