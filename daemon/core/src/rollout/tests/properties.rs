//! What holds whatever a strategy does.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::Value;

use super::objects::{ingress, manifests, route};
use crate::plan::{Manifest, Manifests, ObjectOwner};
use crate::ports::ObjectRef;
use crate::rollout::{
    Choice, Phase, STABLE, Shift, Tracks, Version, allowed, copies, desired, shifting, ways,
};

#[derive(Debug, Clone)]
enum Operation {
    Apply(&'static str, Vec<String>, Version, u32),
    Scale(&'static str, Vec<String>, u32),
    Shift(&'static str, Vec<String>, u32),
    Retire(&'static str, Vec<String>),
}

fn operation() -> impl Strategy<Value = Operation> {
    let track = prop_oneof![Just(STABLE), Just("canary"), Just("baseline")];
    let workloads = prop_oneof![
        Just(vec!["web".to_owned()]),
        Just(vec!["api".to_owned()]),
        Just(vec!["api".to_owned(), "web".to_owned()]),
    ];
    let version = prop_oneof![Just(Version::New), Just(Version::Current)];
    (0..4, track, workloads, version, 0u32..=100).prop_map(|(what, track, of, version, percent)| {
        match what {
            0 => Operation::Apply(track, of, version, percent),
            1 => Operation::Scale(track, of, percent),
            2 => Operation::Shift(track, of, percent),
            _ => Operation::Retire(track, of),
        }
    })
}

fn perform(tracks: &Tracks, operation: &Operation) -> Option<Tracks> {
    match operation {
        Operation::Apply(track, of, version, percent) => {
            tracks.applied(track, of, *version, *percent)
        }
        Operation::Scale(track, of, percent) => tracks.scaled(track, of, *percent),
        Operation::Shift(track, of, percent) => {
            let mut weights = BTreeMap::from([((*track).to_owned(), *percent)]);
            *weights.entry(STABLE.to_owned()).or_default() += 100 - percent;
            tracks.shifted(&Shift { weights, ..Shift::default() }, Some(of))
        }
        Operation::Retire(track, of) => tracks.retired(track, Some(of)),
    }
    .ok()
}

fn routes() -> impl Strategy<Value = Vec<Value>> {
    prop_oneof![Just(vec![]), Just(vec![route()]), Just(vec![ingress()])]
}

fn all() -> Vec<String> {
    vec!["api".to_owned(), "web".to_owned()]
}

/// Objects of workloads, and routes that the way changes.
fn rendered(manifests: &Manifests, of_workloads: &Manifests) -> Vec<Manifest> {
    let is_of_workload = |it: &&Manifest| matches!(it.owner, ObjectOwner::Workload(_));
    let routes = manifests.objects.iter().filter(|it| it.object["kind"] == "HTTPRoute");
    routes.chain(of_workloads.objects.iter().filter(is_of_workload)).cloned().collect()
}

/// What a Service leads to: pods by track, as many as the Deployments have.
fn pods_behind(apply: &[Manifest], workload: &str) -> BTreeMap<String, u64> {
    let service = apply
        .iter()
        .map(|it| &it.object)
        .find(|it| it["kind"] == "Service" && it["metadata"]["name"] == workload);
    let Some(service) = service else { return BTreeMap::new() };
    let selector = service["spec"]["selector"].as_object().unwrap();
    apply
        .iter()
        .map(|it| &it.object)
        .filter(|it| it["kind"] == "Deployment")
        .filter(|it| {
            let labels = &it["spec"]["template"]["metadata"]["labels"];
            selector.iter().all(|(key, value)| labels[key] == *value)
        })
        .map(|it| {
            let track = &it["spec"]["template"]["metadata"]["labels"]["deployd.dev/track"];
            (track.as_str().unwrap().to_owned(), it["spec"]["replicas"].as_u64().unwrap())
        })
        .collect()
}

proptest! {
    #[test]
    fn whatever_happened_the_end_is_what_is_rendered(
        operations in prop::collection::vec(operation(), 0..12), routes in routes(), back in any::<bool>(),
    ) {
        let (new, current) = (manifests("2", &routes), manifests("1", &routes));
        let ways = ways(&new, Some(&current), Choice::Auto).unwrap();
        let mut tracks = Tracks::stable(["api", "web"]);
        for operation in &operations {
            if back && matches!(operation, Operation::Apply(STABLE, ..)) {
                continue;
            }
            tracks = perform(&tracks, operation).unwrap_or(tracks);
        }
        let tracks = match back {
            true => tracks.scaled(STABLE, &all(), 100),
            false => tracks.applied(STABLE, &all(), Version::New, 100),
        }
        .unwrap();
        let whole = Shift { weights: BTreeMap::from([(STABLE.to_owned(), 100)]), ..Shift::default() };
        let mut tracks = tracks.shifted(&whole, Some(&all())).unwrap();
        for track in ["canary", "baseline"] {
            tracks = tracks.retired(track, None).unwrap_or(tracks);
        }
        prop_assert_eq!(tracks.is_canonical(), !back);
        prop_assert_eq!(tracks.missing().is_empty(), !back);
        let found = desired(&new, Some(&current), &tracks, &ways, &all());
        let expected = rendered(&new, if back { &current } else { &new });
        prop_assert_eq!(
            serde_json::to_string(&found.apply).unwrap(), serde_json::to_string(&expected).unwrap()
        );
        // Nothing of what there was is forgotten, nothing of what is rendered goes.
        let removed: BTreeSet<ObjectRef> = found.remove.into_iter().collect();
        prop_assert!(removed.is_disjoint(&new.references()));
        for operation in &operations {
            if let Operation::Apply(track @ ("canary" | "baseline"), of, _, _) = operation
                && of.contains(&"web".to_owned())
                && tracks.of("web").unwrap().retired.contains(*track)
            {
                let of_web = |it: &&ObjectRef| it.name.starts_with(&format!("web-{track}"));
                prop_assert!(copies(&new, track).iter().filter(of_web).all(|it| removed.contains(it)));
            }
        }
    }

    #[test]
    fn in_the_middle_nobody_gets_more_than_its_weight(
        operations in prop::collection::vec(operation(), 0..12), routes in routes(),
    ) {
        let (new, current) = (manifests("2", &routes), manifests("1", &routes));
        let ways = ways(&new, Some(&current), Choice::Auto).unwrap();
        let mut tracks = Tracks::stable(["api", "web"]);
        for operation in &operations {
            let Some(after) = perform(&tracks, operation) else { continue };
            if allowed(&ways, &after).is_err() {
                continue;
            }
            tracks = after;
            let found = desired(&new, Some(&current), &tracks, &ways, &all());
            let references: Vec<ObjectRef> =
                found.apply.iter().filter_map(|it| new.reference(&it.object)).collect();
            let distinct: BTreeSet<&ObjectRef> = references.iter().collect();
            prop_assert_eq!(references.len(), distinct.len(), "each once");
            prop_assert!(found.remove.iter().all(|it| !distinct.contains(it)));
            for workload in ["api", "web"] {
                let own = tracks.of(workload).unwrap();
                let pods = pods_behind(&found.apply, workload);
                if !routes.is_empty() {
                    prop_assert_eq!(pods.keys().collect::<Vec<_>>(), [STABLE]);
                    continue;
                }
                let total: u64 = pods.values().sum();
                prop_assert!(total > 0, "{:?}", own);
                for (track, count) in pods.iter().filter(|(track, _)| *track != STABLE) {
                    prop_assert!(
                        count * 100 <= total * u64::from(own.weight(track)), "{:?} {:?}", own, pods
                    );
                }
            }
        }
    }

    /// The weights before or after it are kept on the way, too, and so are the pods
    /// that serve.
    #[test]
    fn a_shift_lets_nobody_down_on_its_way(
        before in prop::option::of(0u32..=100), after in 0u32..=100,
        stable in 1u32..=100, canary in 1u32..=100, replicas in 1u32..12,
    ) {
        let versions = ["2", "1"].map(|version| Manifests {
            namespace: "shop".to_owned(),
            objects: super::objects::workload("web", version, replicas),
            ..Manifests::default()
        });
        let [new, current] = &versions;
        let ways = ways(new, Some(current), Choice::Auto).unwrap();
        let web = vec!["web".to_owned()];
        let weights = |percent: u32| Shift {
            weights: [("canary".to_owned(), percent), (STABLE.to_owned(), 100 - percent)].into(),
            ..Shift::default()
        };
        let mut from = Tracks::stable(["web"])
            .applied("canary", &web, Version::New, canary)
            .and_then(|tracks| tracks.scaled(STABLE, &web, stable))
            .unwrap();
        if let Some(before) = before {
            from = from.shifted(&weights(before), None).unwrap();
        }
        let to = from.shifted(&weights(after), None).unwrap();
        let mut there = desired(new, Some(current), &from, &ways, &web).apply;
        let served = |there: &[Manifest]| -> (u64, u64) {
            let pods = pods_behind(there, "web");
            (pods.get("canary").copied().unwrap_or(0), pods.values().sum())
        };
        let first = served(&there);
        let last = served(&desired(new, Some(current), &to, &ways, &web).apply);
        let phases: Vec<Phase> = shifting(new, Some(current), &from, &to, &ways, &web);
        // Drained are those who have lost everything, at once and at no other time.
        let loses = |track: &str| {
            let serves = |tracks: &Tracks| tracks.of("web").unwrap().is_serving(track);
            serves(&from) && !serves(&to)
        };
        let drained = phases.iter().filter(|phase| phase.is_drained).count();
        // What so few pods can't give was led nowhere, and is not led elsewhere.
        let leads = |phase: &Phase| phase.apply.iter().any(|it| it.object["kind"] == "Service");
        let leaves = (loses("canary") || loses(STABLE)) && phases.iter().any(leads);
        prop_assert_eq!(drained, usize::from(leaves));
        for phase in &phases {
            let shrinks = phase.apply.iter().all(|it| it.object["kind"] == "Deployment");
            prop_assert!(!(phase.is_drained && shrinks));
            for manifest in &phase.apply {
                let reference = new.reference(&manifest.object);
                let known = there.iter_mut().find(|it| new.reference(&it.object) == reference);
                known.expect("a shift makes nothing").object.clone_from(&manifest.object);
            }
            let (of_canary, total) = served(&there);
            let allowed = u64::from(before.unwrap_or(0).max(after));
            prop_assert!(of_canary * 100 <= total * allowed, "{of_canary} of {total}");
            prop_assert!(total >= first.1.min(last.1), "{total} of {first:?} {last:?}");
        }
        let wanted = desired(new, Some(current), &to, &ways, &web).apply;
        prop_assert_eq!(there.len(), wanted.len());
        prop_assert!(wanted.iter().all(|manifest| there.contains(manifest)));
    }
}
