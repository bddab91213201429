//! Random workloads and random luck.

use crate::ratio;
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;
use serde_json::{Value, json};

/// The most workloads of a world: enough for every shape of three levels.
const WORKLOADS_MAX: usize = 6;

/// The most replicas of a workload: ratios from a third to a fifteenth.
const REPLICAS_MAX: u32 = 8;

/// The most outcomes that are drawn; after them, all is done.
const CHANCES_MAX: usize = 60;

/// Workloads as a strategy's context has them, some of which depend on others.
pub fn worlds() -> impl Strategy<Value = Vec<Value>> {
    vec(workload(), 1..=WORKLOADS_MAX).prop_map(|drawn| {
        let named = drawn.into_iter().enumerate().map(|(at, (mut workload, after))| {
            let after: Vec<String> = after
                .into_iter()
                .filter(|other| usize::from(*other) < at)
                .map(|other| format!("w{other}"))
                .collect();
            if let Some(fields) = workload.as_object_mut() {
                fields.insert("name".to_owned(), json!(format!("w{at}")));
                fields.insert("after".to_owned(), json!(after));
            }
            workload
        });
        named.collect()
    })
}

/// Outcomes, drawn beforehand.
pub fn chances() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => Just(Vec::new()),
        // Much goes well at first, and then something does not.
        5 => (0..CHANCES_MAX, any::<u8>(), vec(any::<u8>(), 0..4)).prop_map(|(well, bad, more)| {
            let mut chances = vec![0; well];
            chances.push(bad);
            chances.extend(more);
            chances
        }),
        2 => vec(any::<u8>(), 0..CHANCES_MAX),
    ]
}

/// How traffic is divided; any way, or that of a Gateway alone.
pub fn traffic(any_way: bool, replicas: u32) -> Vec<Value> {
    let route = json!({"way": "http-route", "weights": null, "headers": true, "mirror": true});
    if !any_way {
        return vec![route];
    }
    vec![
        route,
        json!({"way": "nginx-ingress", "weights": null, "headers": true, "mirror": false}),
        json!({"way": "service", "weights": ratio::reached(replicas), "headers": false,
            "mirror": false}),
        json!({"way": "none", "weights": [], "headers": false, "mirror": false}),
    ]
}

fn workload() -> impl Strategy<Value = (Value, Vec<u8>)> {
    let after = vec(0..WORKLOADS_MAX as u8, 0..3);
    let often = || select(vec![true, true, true, true, false]);
    let rarely = || select(vec![false, false, false, true]);
    let replicas = 1..=REPLICAS_MAX;
    let shape =
        replicas.prop_flat_map(|replicas| (Just(replicas), select(traffic(true, replicas))));
    (after, often(), often(), often(), rarely(), shape).prop_map(
        |(after, ran, changed, tracks, recent, (replicas, traffic))| {
            let workload = json!({
                "replicas": replicas,
                "current": ran.then_some("dep-1"),
                // What did not run is always new.
                "changed": changed || !ran,
                "tracks": tracks,
                "traffic": traffic,
                "recent": recent,
            });
            (workload, after)
        },
    )
}
