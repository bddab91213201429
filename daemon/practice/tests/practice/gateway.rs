//! The gateway.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::stage::{Stage, deployment, is_rolled_out};

pub(crate) async fn get(
    address: SocketAddr,
    host: &str,
    path: &str,
    accept: &str,
) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    (code, body.to_owned())
}

#[tokio::test]
async fn the_gateway_leads_to_ready_pods_in_turn() {
    let stage = Stage::with_namespace("a").await;
    let params = PatchParams::apply("one");
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "shop"},
        "spec": {"selector": {"app": "shop"}, "ports": [{"port": 80, "targetPort": 8080}]}});
    let ingress = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": "shop"}, "spec": {"rules": [{"host": "shop.apps.localhost",
            "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {
                "service": {"name": "shop", "port": {"number": 80}}}}]}}]}});
    stage
        .any("", "v1", "Service", "a")
        .patch("shop", &params, &Patch::Apply(&service))
        .await
        .unwrap();
    stage
        .any("networking.k8s.io", "v1", "Ingress", "a")
        .patch("shop", &params, &Patch::Apply(&ingress))
        .await
        .unwrap();
    let gateway = stage.practice.gateway_addr();
    let host = format!("shop.apps.localhost:{}", gateway.port());
    assert_eq!(get(gateway, "other.localhost", "/", "*/*").await.0, 404);
    assert_eq!(get(gateway, &host, "/", "*/*").await.0, 503);
    stage
        .any("apps", "v1", "Deployment", "a")
        .patch("shop", &params, &Patch::Apply(&deployment("shop", "shop:1", 2)))
        .await
        .unwrap();
    stage.wait("rolled out", |o| is_rolled_out(o, "a", "shop")).await;
    let mut pods = BTreeSet::new();
    for _ in 0..4 {
        let (code, body) = get(gateway, &host, "/x?y=1", "application/json").await;
        assert_eq!(code, 200);
        let facts: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(facts["image"], "shop:1");
        assert_eq!(facts["containers"][0]["environment"], json!(["PASSWORD"]));
        pods.insert(facts["pod"].as_str().unwrap().to_owned());
    }
    assert_eq!(pods.len(), 2);
    let (_, page) = get(gateway, &host, "/", "text/html").await;
    assert!(page.starts_with("<!doctype html>") && page.contains("PASSWORD"));
    assert!(!page.contains("hush"));
    stage
        .wait("endpoints and address", |o| {
            let addresses = o
                .get("endpoints", "a", "shop")
                .and_then(|found| Some(found.pointer("/subsets/0/addresses")?.as_array()?.len()));
            let ingress = o.get("ingresses.networking.k8s.io", "a", "shop").unwrap();
            let port = ingress.pointer("/status/loadBalancer/ingress/0/ports/0/port");
            addresses == Some(2) && port == Some(&json!(gateway.port()))
        })
        .await;
}
