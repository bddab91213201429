//! By which way traffic is divided.

use serde_json::{Value, json};

use super::objects::{ingress, manifests, route};
use crate::plan::{Manifest, Manifests, ObjectOwner};
use crate::rollout::{Choice, HeaderMatch, STABLE, Shift, Tracks, Version, Via, Way, ways};

fn way(manifests: &Manifests, workload: &str) -> Way {
    ways(manifests, None, Choice::Auto).unwrap().remove(workload).unwrap()
}

/// The same manifests with a change in one object of `web`.
fn with(mut manifests: Manifests, kind: &str, change: impl Fn(&mut Value)) -> Manifests {
    let web = ObjectOwner::Workload("web".to_owned());
    let found =
        manifests.objects.iter_mut().find(|it| it.owner == web && it.object["kind"] == kind);
    change(&mut found.unwrap().object);
    manifests
}

fn of_web(mut manifests: Manifests, object: Value) -> Manifests {
    manifests.objects.push(Manifest { owner: ObjectOwner::Workload("web".to_owned()), object });
    manifests
}

#[test]
fn the_finest_way_is_chosen_and_said() {
    let by_route = way(&manifests("2", &[route(), ingress()]), "web");
    assert_eq!((by_route.via, by_route.weights.clone()), (Via::HttpRoute, None));
    assert_eq!(by_route.sentence, "by HTTPRoute shop, in steps of 1 %");
    assert!(by_route.headers && by_route.mirror);
    let by_ingress = way(&manifests("2", &[ingress()]), "web");
    assert_eq!(by_ingress.via, Via::NginxIngress);
    assert_eq!(by_ingress.sentence, "by Ingress shop, in steps of 1 %");
    assert!(by_ingress.headers && !by_ingress.mirror);
    let by_pods = way(&manifests("2", &[]), "web");
    assert_eq!(
        by_pods.sentence,
        "by the number of pods: with 3 replicas 25, 34, 40, 50, 60, 67, 75 %; 0 and 100 % by the selector of Service web"
    );
    assert_eq!(by_pods.weights, Some(vec![0, 25, 34, 40, 50, 60, 67, 75, 100]));
    let no_service = with(manifests("2", &[]), "Service", |it| it["kind"] = json!("Endpoints"));
    let none = way(&no_service, "web");
    assert_eq!((none.via, none.no_tracks, none.replicas), (Via::None, None, 3));
}

#[test]
fn what_can_not_be_reached_is_said_before() {
    let by_pods = way(&manifests("2", &[]), "web");
    assert_eq!(by_pods.shortfall("web", 50), None);
    let short = by_pods.shortfall("web", 10).unwrap();
    assert!(short.starts_with("10 % of workload web can't be reached, and will be 0 %: the least is 25 %, by the number of pods: with 3 replicas"), "{short}");
    assert!(by_pods.shortfall("web", 55).unwrap().contains("will be 50 %"));
    let by_route = way(&manifests("2", &[route()]), "web");
    assert_eq!(by_route.shortfall("web", 1), None);
}

#[test]
fn another_class_of_ingress_is_used_only_when_asked_for() {
    let mut other = ingress();
    other["spec"]["ingressClassName"] = json!("internal");
    let manifests = manifests("2", &[other]);
    assert_eq!(way(&manifests, "web").via, Via::Service);
    let asked = ways(&manifests, None, Choice::NginxIngress).unwrap();
    assert_eq!(asked["web"].via, Via::NginxIngress);
    let refused = ways(&manifests, None, Choice::HttpRoute).unwrap_err().to_string();
    assert!(refused.contains("http-route") && refused.contains("auto"), "{refused}");
    let by_route = super::objects::manifests("2", &[route()]);
    assert_eq!(ways(&by_route, None, Choice::Service).unwrap()["web"].via, Via::Service);
}

#[test]
fn workloads_without_tracks_say_why() {
    let label = "deployd.dev/track";
    let autoscaler = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web"}, "spec": {"minReplicas": 4,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}});
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate"}});
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}});
    let unlabelled = |it: &mut Value| {
        let labels = it.pointer_mut("/spec/selector/matchLabels").unwrap();
        labels.as_object_mut().unwrap().remove(label);
    };
    let plain = || manifests("2", &[]);
    for (manifests, part) in [
        (with(plain(), "Deployment", |it| it["kind"] = json!("StatefulSet")), "no Deployment"),
        (with(plain(), "Deployment", unlabelled), "lacks the label deployd.dev/track: stable"),
        (
            with(plain(), "Service", |it| {
                it["spec"]["selector"].as_object_mut().unwrap().remove(label);
            }),
            "leads to every track",
        ),
        (of_web(plain(), job), "the Job migrate"),
        (
            of_web(
                with(plain(), "Deployment", |it| {
                    it["spec"]["template"]["spec"]["volumes"] =
                        json!([{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]);
                }),
                claim,
            ),
            "the claim data",
        ),
    ] {
        let found = way(&manifests, "web");
        let reason = found.no_tracks.clone().unwrap_or_default();
        assert!(reason.contains(part), "{found:?}");
        assert!(found.sentence.contains(part), "{found:?}");
        // Others are not touched by it.
        assert_eq!(way(&manifests, "api").no_tracks, None);
    }
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
    let canary = json!({"apiVersion": "flagger.app/v1beta1", "kind": "Canary",
        "metadata": {"name": "web"}, "spec": {"targetRef": target}});
    let rollout = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
        "metadata": {"name": "web"}, "spec": {"workloadRef": target}});
    for (object, who) in [
        (canary, "it is stepped by Flagger (Canary web)"),
        (rollout, "it is stepped by Argo Rollouts (Rollout web)"),
    ] {
        let stepped = of_web(plain(), object);
        let reason = way(&stepped, "web").no_tracks.unwrap_or_default();
        assert!(reason.contains(who), "{reason}");
        let found = ways(&plain(), Some(&stepped), Choice::Auto).unwrap();
        let reason = found["web"].no_tracks.clone().unwrap();
        assert!(reason.contains("what runs now") && reason.contains(who), "{reason}");
    }
    let scaled = of_web(
        with(plain(), "Deployment", |it| {
            it["spec"].as_object_mut().unwrap().remove("replicas");
        }),
        autoscaler,
    );
    let scaled = way(&scaled, "web");
    assert_eq!((scaled.weights.clone(), scaled.replicas), (Some(vec![0, 100]), 4));
    assert!(scaled.sentence.contains("an autoscaler sets"), "{}", scaled.sentence);
}

#[test]
fn what_runs_has_to_have_tracks_too() {
    let old = with(manifests("1", &[]), "Deployment", |it| {
        it["spec"]["selector"]["matchLabels"] = json!({"app": "web"});
    });
    let found = ways(&manifests("2", &[]), Some(&old), Choice::Auto).unwrap();
    let reason = found["web"].no_tracks.clone().unwrap();
    assert!(reason.contains("what runs now"), "{reason}");
    assert_eq!(found["api"].no_tracks, None);
    let other = with(manifests("1", &[]), "Deployment", |it| {
        it["spec"]["selector"]["matchLabels"]["x"] = json!("y");
        it["spec"]["template"]["metadata"]["labels"]["x"] = json!("y");
    });
    let found = ways(&manifests("2", &[]), Some(&other), Choice::Auto).unwrap();
    assert!(found["web"].no_tracks.clone().unwrap().contains("which Kubernetes refuses"));
}

#[test]
fn a_way_allows_what_it_can_do() {
    let web = ["web".to_owned()];
    let track = |tracks: Tracks, name: &str| tracks.applied(name, &web, Version::New, 100).unwrap();
    let canary = track(Tracks::stable(["web"]), "canary");
    let both = track(canary.clone(), "baseline");
    let shift = |tracks: &Tracks, parts: &[(&str, u32)], headers: usize, mirror: Option<&str>| {
        let weights = parts.iter().map(|(track, weight)| ((*track).to_owned(), *weight)).collect();
        let headers = (0..headers).map(|number| HeaderMatch {
            name: format!("h{number}"),
            value: Some("x".to_owned()),
            pattern: None,
            track: "canary".to_owned(),
        });
        let mirror = mirror.map(str::to_owned);
        tracks.shifted(&Shift { weights, headers: headers.collect(), mirror }, None).unwrap()
    };
    let half = [(STABLE, 50), ("canary", 50)];
    let three = [(STABLE, 80), ("canary", 10), ("baseline", 10)];
    let none: [(&str, u32); 1] = [(STABLE, 100)];
    let cases = [
        // tracks; by route, by Ingress, by pods: a part of what is said, or nothing
        (shift(&canary, &half, 0, None), [None, None, None]),
        (shift(&canary, &none, 1, None), [None, None, Some("headers can't")]),
        (shift(&canary, &none, 2, None), [None, Some("takes one"), Some("headers can't")]),
        (shift(&canary, &none, 0, Some("canary")), [None, Some("mirrored"), Some("mirrored")]),
        (shift(&both, &three, 0, None), [None, Some("baseline, canary"), Some("baseline, canary")]),
        (shift(&both, &half, 0, None), [None, None, Some("the track baseline")]),
        (shift(&both, &[("canary", 100)], 0, None), [None, None, None]),
        (
            shift(&both, &[("canary", 50), ("baseline", 50)], 0, None),
            [None, Some("at the same time"), Some("at the same time")],
        ),
    ];
    for (tracks, expected) in cases {
        let routes: [&[Value]; 3] = [&[route()], &[ingress()], &[]];
        for (routes, expected) in routes.into_iter().zip(expected) {
            let way = way(&manifests("2", routes), "web");
            let found = way.allows("web", tracks.of("web").unwrap());
            match (found, expected) {
                (Ok(()), None) => {}
                (Err(error), Some(part)) if error.to_string().contains(part) => {}
                (found, expected) => panic!("{:?}: {found:?}, not {expected:?}", way.via),
            }
        }
    }
    let mut refused = way(&manifests("2", &[]), "web");
    refused.no_tracks = Some("of this".to_owned());
    assert!(refused.allows("web", canary.of("web").unwrap()).is_err());
}
