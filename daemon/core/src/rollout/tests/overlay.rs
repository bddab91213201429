//! What should be there in the middle of a rollout.

use serde_json::{Value, json};

use super::objects::{ingress, manifests, names, one, route, workload};
use crate::plan::{Manifest, Manifests, ObjectOwner};
use crate::rollout::{
    Choice, Overlay, STABLE, Shift, Tracks, Version, copies, desired, names_free, ways,
};

fn web() -> Vec<String> {
    vec!["web".to_owned()]
}

fn canary(percent: u32) -> Tracks {
    Tracks::stable(["api", "web"]).applied("canary", &web(), Version::New, percent).unwrap()
}

fn shifted(tracks: &Tracks, stable: u32) -> Tracks {
    let weights = [(STABLE.to_owned(), stable), ("canary".to_owned(), 100 - stable)];
    let shift = Shift { weights: weights.into(), ..Shift::default() };
    tracks.shifted(&shift, Some(&web())).unwrap()
}

fn overlay(routes: &[Value], tracks: &Tracks) -> Overlay {
    let (new, current) = (manifests("2", routes), manifests("1", routes));
    let ways = ways(&new, Some(&current), Choice::Auto).unwrap();
    desired(&new, Some(&current), tracks, &ways, &web())
}

fn selector(found: &Overlay) -> Value {
    one(&found.apply, "Service", "web")["spec"]["selector"]["deployd.dev/track"].clone()
}

fn replicas(found: &Overlay, name: &str) -> Value {
    one(&found.apply, "Deployment", name)["spec"]["replicas"].clone()
}

#[test]
fn a_track_is_a_copy_with_everything_it_refers_to() {
    let found = overlay(&[], &canary(50));
    assert_eq!(
        names(&found.apply),
        [
            "ConfigMap web-files",
            "Secret web-secrets",
            "Service web",
            "Deployment web",
            "PodDisruptionBudget web",
            "ConfigMap web-files-canary",
            "Secret web-secrets-canary",
            "Service web-canary",
            "Deployment web-canary",
        ]
    );
    // What runs for everybody is what ran before.
    let stable: Vec<Manifest> = workload("web", "1", 3);
    assert_eq!(found.apply[..5], stable[..]);
    let config = one(&found.apply, "ConfigMap", "web-files-canary");
    assert_eq!(config["data"]["version"], "2");
    let copy = one(&found.apply, "Deployment", "web-canary");
    let label = json!("canary");
    for place in [
        "/metadata/labels",
        "/spec/selector/matchLabels",
        "/spec/template/metadata/labels",
        "/spec/template/spec/topologySpreadConstraints/0/labelSelector/matchLabels",
    ] {
        assert_eq!(copy.pointer(place).unwrap()["deployd.dev/track"], label, "{place}");
        assert_eq!(copy.pointer(place).unwrap()["app.kubernetes.io/name"], "web");
    }
    assert_eq!(copy["spec"]["replicas"], 2);
    let pods = &copy["spec"]["template"]["spec"];
    let container = &pods["containers"][0];
    assert_eq!(container["image"], "shop/web:2");
    assert_eq!(container["env"][0]["valueFrom"]["secretKeyRef"]["name"], "web-secrets-canary");
    assert_eq!(container["envFrom"][0]["configMapRef"]["name"], "shared", "nobody's copy");
    assert_eq!(pods["volumes"][0]["configMap"]["name"], "web-files-canary");
    let service = one(&found.apply, "Service", "web-canary");
    assert_eq!(service["spec"]["selector"]["deployd.dev/track"], label);
    assert!(found.remove.is_empty());
}

#[test]
fn a_service_leads_to_one_track_or_to_as_many_pods_as_it_takes() {
    let tracks = canary(100);
    let found = overlay(&[], &tracks);
    assert_eq!((selector(&found), replicas(&found, "web-canary")), (json!("stable"), json!(3)));
    // 10 % of three can't be reached.
    assert_eq!(selector(&overlay(&[], &shifted(&tracks, 90))), "stable");
    let found = overlay(&[], &shifted(&tracks, 75));
    assert_eq!(selector(&found), Value::Null);
    assert_eq!((replicas(&found, "web"), replicas(&found, "web-canary")), (json!(3), json!(1)));
    let found = overlay(&[], &shifted(&tracks, 50));
    assert_eq!((replicas(&found, "web"), replicas(&found, "web-canary")), (json!(2), json!(2)));
    let found = overlay(&[], &shifted(&tracks, 0));
    assert_eq!(selector(&found), "canary");
    assert_eq!((replicas(&found, "web"), replicas(&found, "web-canary")), (json!(3), json!(3)));
}

#[test]
fn a_service_that_leads_to_a_track_has_its_ports() {
    let (mut new, current) = (manifests("2", &[]), manifests("1", &[]));
    let service = new.objects.iter_mut().find(|it| it.object["kind"] == "Service").unwrap();
    service.object["spec"]["ports"][0]["targetPort"] = json!(9090);
    let ways = ways(&new, Some(&current), Choice::Auto).unwrap();
    let found = desired(&new, Some(&current), &shifted(&canary(100), 0), &ways, &web());
    let service = one(&found.apply, "Service", "web");
    assert_eq!(service["spec"]["ports"][0]["targetPort"], 9090);
}

#[test]
fn a_retired_track_goes_with_all_that_it_had() {
    let tracks = canary(100).retired("canary", None).unwrap();
    let found = overlay(&[ingress()], &tracks);
    assert_eq!(found.apply, workload("web", "1", 3));
    let gone: Vec<String> =
        found.remove.iter().map(|it| format!("{} {}", it.kind, it.name)).collect();
    assert_eq!(
        gone,
        [
            "Deployment web-canary",
            "Ingress shop-web-canary",
            "ConfigMap web-files-canary",
            "Secret web-secrets-canary",
            "Service web-canary",
        ]
    );
    assert!(found.remove.iter().all(|it| it.namespace.as_deref() == Some("shop")));
}

#[test]
fn a_copy_takes_nothing_that_can_be_had_once() {
    let mut new = manifests("2", &[]);
    let service = new.objects.iter_mut().find(|it| it.object["kind"] == "Service").unwrap();
    service.object["metadata"]["annotations"] = json!({"deployd.dev/prune": "keep",
        "external-dns.alpha.kubernetes.io/hostname": "shop.example.com", "other": "stays"});
    service.object["spec"]["type"] = json!("LoadBalancer");
    service.object["spec"]["clusterIP"] = json!("10.0.0.1");
    service.object["spec"]["ports"][0]["nodePort"] = json!(30080);
    let ways = ways(&new, None, Choice::Auto).unwrap();
    let found = desired(&new, None, &canary(100), &ways, &web());
    let copy = one(&found.apply, "Service", "web-canary");
    assert_eq!(copy["metadata"]["annotations"], json!({"other": "stays"}));
    let mut spec = copy["spec"].clone();
    assert_eq!(spec["ports"][0], json!({"name": "http", "port": 80, "targetPort": 8080}));
    for field in ["ports", "selector"] {
        spec.as_object_mut().unwrap().remove(field);
    }
    assert_eq!(spec, json!({}));
}

#[test]
fn new_objects_that_tracks_need_come_with_the_first_one() {
    let mut new = manifests("2", &[]);
    for object in [
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web"}}),
        json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"},
            "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}}}),
    ] {
        new.objects.push(Manifest { owner: ObjectOwner::Workload("web".to_owned()), object });
    }
    let current = manifests("1", &[]);
    let ways = ways(&new, Some(&current), Choice::Auto).unwrap();
    let of = |tracks: &Tracks| desired(&new, Some(&current), tracks, &ways, &web()).apply;
    let begun = Tracks::stable(["api", "web"]);
    assert_eq!(of(&begun), workload("web", "1", 3));
    let with_track = names(&of(&canary(100)));
    assert!(with_track.contains(&"ServiceAccount web".to_owned()), "{with_track:?}");
    assert!(!with_track.iter().any(|it| it.starts_with("Horizontal")), "{with_track:?}");
    let baseline = begun.applied("baseline", &web(), Version::Current, 100).unwrap();
    assert!(!names(&of(&baseline)).contains(&"ServiceAccount web".to_owned()));
}

#[test]
fn replicas_that_an_autoscaler_sets_are_left_to_it() {
    let autoscaled = |version: &str| {
        let mut all = manifests(version, &[route()]);
        let deployment = all.objects.iter_mut().find(|it| it.object["kind"] == "Deployment");
        deployment.unwrap().object["spec"].as_object_mut().unwrap().remove("replicas");
        let object = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "web"}, "spec": {"minReplicas": 4,
                "scaleTargetRef": {"kind": "Deployment", "name": "web"}}});
        all.objects.push(Manifest { owner: ObjectOwner::Workload("web".to_owned()), object });
        all
    };
    let (new, current) = (autoscaled("2"), autoscaled("1"));
    let ways = ways(&new, Some(&current), Choice::Auto).unwrap();
    let tracks = canary(100).scaled(STABLE, &web(), 50).unwrap();
    let found = desired(&new, Some(&current), &tracks, &ways, &web());
    assert_eq!((replicas(&found, "web"), replicas(&found, "web-canary")), (Value::Null, json!(4)));
}

#[test]
fn a_workload_that_did_not_run_before_gives_all_to_its_track() {
    let new = manifests("2", &[route()]);
    let ways = ways(&new, None, Choice::Auto).unwrap();
    let found = desired(&new, None, &shifted(&canary(100), 90), &ways, &web());
    assert!(!names(&found.apply).contains(&"Deployment web".to_owned()));
    let rule = &one(&found.apply, "HTTPRoute", "shop")["spec"]["rules"][1];
    assert_eq!(rule["backendRefs"], json!([{"name": "web-canary", "port": 80, "weight": 100}]));
}

#[test]
fn copies_are_named_without_what_is_rendered() {
    let mut all = manifests("2", &[ingress()]);
    let found = copies(&all, "canary");
    assert_eq!(found.len(), 10, "{found:?}");
    assert!(found.is_disjoint(&all.references()));
    // Another workload has the name of a copy.
    all.objects.extend(workload("web-canary", "2", 1));
    let found = copies(&all, "canary");
    assert!(found.is_disjoint(&all.references()));
    let taken = names_free(&all, None, &canary(100)).unwrap_err().to_string();
    assert!(taken.contains("Deployment") && taken.contains("web-canary"), "{taken}");
    let current = Manifests { objects: workload("web-canary", "1", 1), ..all };
    assert!(names_free(&manifests("2", &[]), Some(&current), &canary(100)).is_err());
    assert_eq!(names_free(&manifests("2", &[]), None, &canary(100)), Ok(()));
}
