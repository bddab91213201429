//! A canary from its beginning to its end, by each way that traffic can go, with
//! requests to see who answers.

use std::net::SocketAddr;

use deployd_core::plan::{Manifest, Manifests, ObjectOwner};
use deployd_core::rollout::{
    Choice, Overlay, STABLE, Shift, Tracks, Version, Via, Way, allowed, desired, shifting, ways,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::stage::{Stage, on_the_practice_cluster};

const HOST: &str = "shop.apps.localhost";

/// A version of a workload, and what leads to it.
fn manifests(namespace: &str, version: &str, route: &Value) -> Manifests {
    let selector = json!({"app": "web", "deployd.dev/track": "stable"});
    let objects = [
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web-files"},
            "data": {"version": version}}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
            "spec": {"selector": selector, "ports": [{"port": 80, "targetPort": 8080}]}}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": {"replicas": 4, "selector": {"matchLabels": selector},
                "template": {"metadata": {"labels": selector}, "spec": {
                    "containers": [{"name": "main", "image": format!("shop/web:{version}")}],
                    "volumes": [{"name": "files", "configMap": {"name": "web-files"}}]}}}}),
    ];
    let web = ObjectOwner::Workload("web".to_owned());
    let mut all = vec![Manifest { owner: ObjectOwner::Environment, object: route.clone() }];
    all.extend(objects.into_iter().map(|object| Manifest { owner: web.clone(), object }));
    Manifests { namespace: namespace.to_owned(), objects: all, jobs: Vec::new() }
}

fn http_route() -> Value {
    json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": "shop"}, "spec": {"hostnames": [HOST],
            "parentRefs": [{"name": "practice", "namespace": "default"}],
            "rules": [{"backendRefs": [{"name": "web", "port": 80}]}]}})
}

fn ingress(class: &str) -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "shop"},
        "spec": {"ingressClassName": class, "rules": [{"host": HOST, "http": {"paths": [
            {"path": "/", "pathType": "Prefix",
                "backend": {"service": {"name": "web", "port": {"number": 80}}}}]}}]}})
}

struct Canary<'a> {
    stage: &'a Stage,
    gateway: SocketAddr,
    new: Manifests,
    current: Manifests,
    ways: BTreeMap<String, Way>,
    tracks: Tracks,
}

impl Canary<'_> {
    async fn apply(&self, objects: &[Manifest]) {
        self.stage.roll_out(objects.iter().map(|it| it.object.clone()).collect()).await;
    }

    fn desired(&self) -> Overlay {
        desired(&self.new, Some(&self.current), &self.tracks, &self.ways, &["web".to_owned()])
    }

    /// Makes the cluster what these tracks say.
    async fn be(&mut self, tracks: Tracks) {
        allowed(&self.ways, &tracks).unwrap();
        self.tracks = tracks;
        let wanted = self.desired();
        self.apply(&wanted.apply).await;
        self.stage.prune(&wanted.remove).await.unwrap();
    }

    /// Divides the traffic, phase by phase, none of which fails a request.
    async fn shift(&mut self, canary: u32) {
        let weights = [(STABLE.to_owned(), 100 - canary), ("canary".to_owned(), canary)];
        let wanted = Shift { weights: weights.into(), ..Shift::default() };
        let after = self.tracks.shifted(&wanted, None).unwrap();
        allowed(&self.ways, &after).unwrap();
        let web = ["web".to_owned()];
        for phase in
            shifting(&self.new, Some(&self.current), &self.tracks, &after, &self.ways, &web)
        {
            self.apply(&phase.apply).await;
            self.stage.prune(&phase.remove).await.unwrap();
            self.answered_by_canary(8).await;
        }
        self.tracks = after;
    }

    /// How many of so many requests the new version has answered.
    async fn answered_by_canary(&self, of: usize) -> usize {
        let mut found = 0;
        for _ in 0..of {
            match image(self.gateway).await.as_str() {
                "shop/web:2" => found += 1,
                other => assert_eq!(other, "shop/web:1"),
            }
        }
        found
    }
}

async fn image(gateway: SocketAddr) -> String {
    let mut stream = TcpStream::connect(gateway).await.unwrap();
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {HOST}\r\nAccept: application/json\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    let facts: Value = serde_json::from_str(body).unwrap();
    facts["image"].as_str().map_or_else(|| text.clone(), str::to_owned)
}

/// Plays a canary where this leads to the workload.
async fn play(route: Value, via: Via) {
    on_the_practice_cluster(async |stage, practice| {
        let (new, current) =
            (manifests(stage.namespace(), "2", &route), manifests(stage.namespace(), "1", &route));
        let ways = ways(&new, Some(&current), Choice::Auto).unwrap();
        assert_eq!(ways["web"].via, via);
        let before: Vec<Value> = current.objects.iter().map(|it| it.object.clone()).collect();
        stage.roll_out(before).await;
        let tracks = Tracks::stable(["web"]);
        let gateway = practice.gateway_addr();
        let mut canary = Canary { stage, gateway, new, current, ways, tracks };
        let web = ["web".to_owned()];
        canary.be(canary.tracks.applied("canary", &web, Version::New, 100).unwrap()).await;
        assert_eq!(canary.answered_by_canary(20).await, 0, "nobody is led there");
        for weight in [25, 50, 100, 25] {
            canary.shift(weight).await;
            let expected = usize::try_from(weight).unwrap();
            assert_eq!(canary.answered_by_canary(100).await, expected, "{weight} % by {via:?}");
        }
        // Back, and once more to the end.
        canary.shift(0).await;
        canary.be(canary.tracks.retired("canary", None).unwrap()).await;
        let left = stage.get("apps/v1", "Deployment", "deployments", "web-canary").await;
        assert!(left.is_null(), "{left}");
        assert_eq!(canary.answered_by_canary(8).await, 0);
        canary.be(canary.tracks.applied("canary", &web, Version::New, 100).unwrap()).await;
        canary.shift(100).await;
        canary.be(canary.tracks.applied(STABLE, &web, Version::New, 100).unwrap()).await;
        canary.shift(0).await;
        canary.be(canary.tracks.retired("canary", None).unwrap()).await;
        assert!(canary.tracks.is_canonical());
        assert_eq!(canary.answered_by_canary(8).await, 8, "the new version is the stable one");
        let names = async |version: &str, kind: &str, plural: &str| -> Vec<String> {
            let all =
                stage.api(version, kind, plural).await.list(&Default::default()).await.unwrap();
            let all = all.items.into_iter().filter_map(|it| it.metadata.name);
            all.filter(|name| name != "kube-root-ca.crt").collect()
        };
        for (version, kind, plural, expected) in [
            ("apps/v1", "Deployment", "deployments", "web"),
            ("v1", "Service", "services", "web"),
            ("v1", "ConfigMap", "configmaps", "web-files"),
        ] {
            assert_eq!(names(version, kind, plural).await, [expected], "{kind}");
        }
        let ingresses = names("networking.k8s.io/v1", "Ingress", "ingresses").await;
        assert_eq!(ingresses.len(), usize::from(via != Via::HttpRoute), "{ingresses:?}");
        let service = stage.get("v1", "Service", "services", "web").await;
        assert_eq!(
            service["spec"]["selector"],
            json!({"app": "web", "deployd.dev/track": "stable"})
        );
    })
    .await;
}

#[tokio::test]
async fn a_canary_by_route() {
    play(http_route(), Via::HttpRoute).await;
}

#[tokio::test]
async fn a_canary_by_ingress() {
    play(ingress("nginx"), Via::NginxIngress).await;
}

#[tokio::test]
async fn a_canary_by_the_number_of_pods() {
    play(ingress("practice"), Via::Service).await;
}
