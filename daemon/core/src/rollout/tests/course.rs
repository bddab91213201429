//! What a rollout has done, and what can come next.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::objects::{ingress, manifests, route};
use crate::FaultClass;
use crate::deployment::Action;
use crate::rollout::course::{self, Came, Refused, possible, then};
use crate::rollout::{Choice, STABLE, Tracks, Version, ways};

fn action(written: Value) -> Action {
    serde_json::from_value(written).unwrap()
}

fn actions(written: &Value) -> Vec<Action> {
    written.as_array().unwrap().iter().cloned().map(action).collect()
}

/// The tracks after actions that were done.
fn after<const N: usize>(workloads: [&str; N], actions: &[Action]) -> Tracks {
    course::after(workloads, actions.iter().map(|action| (action, Came::Done)))
}

fn apply(track: &str) -> Value {
    json!({"do": "apply", "track": track, "workloads": ["api", "web"]})
}

#[expect(clippy::needless_pass_by_value, reason = "a literal reads better")]
fn shift(weights: Value) -> Value {
    json!({"do": "shift", "weights": weights})
}

/// Whether an action can be done after others, where these routes lead to both
/// workloads.
fn attempt(routes: &[Value], before: &Value, next: Value) -> Result<Tracks, Refused> {
    let (new, current) = (manifests("2", routes), manifests("1", routes));
    let ways = ways(&new, Some(&current), Choice::Auto).unwrap();
    let tracks = after(["api", "web"], &actions(before));
    possible(&tracks, &action(next), &new, Some(&current), &ways)
}

#[test]
fn tracks_are_what_actions_have_made_of_them() {
    let web = |actions: Value| after(["web"], &self::actions(&actions)).of("web").cloned().unwrap();
    let canary = json!({"do": "apply", "track": "canary", "workloads": ["web"], "percent": 50});
    let begun = web(json!([]));
    assert_eq!((begun.stable.version, begun.is_plain()), (Version::Current, true));

    let served = web(json!([canary, shift(json!({"stable": 75, "canary": 25}))]));
    assert_eq!(served.track("canary").map(|it| it.percent), Some(50));
    assert_eq!((served.weight("canary"), served.weight(STABLE)), (25, 75));
    assert_eq!(served.stable.version, Version::Current, "not touched");

    let scaled = json!({"do": "scale", "track": "canary", "workloads": ["web"], "percent": 80});
    let done = web(json!([
        canary,
        scaled,
        shift(json!({"canary": 100})),
        {"do": "apply", "track": "stable", "workloads": ["web"]},
        shift(json!({"stable": 100})),
        {"do": "retire", "track": "canary"},
    ]));
    assert_eq!((done.stable.version, done.is_plain()), (Version::New, true));
    assert_eq!(done.known().collect::<Vec<_>>(), ["canary"], "what is left of it has to go");
}

#[test]
fn what_only_waits_or_asks_changes_no_track() {
    let tracks = after(["web"], &actions(&json!([apply("canary")])));
    for written in [
        json!({"do": "await-ready", "track": "canary", "workloads": ["web"], "deadline-ms": 1}),
        json!({"do": "run-checks", "checks": ["errors"], "track": "canary"}),
        json!({"do": "sleep", "ms": 1}),
        json!({"do": "pause", "message": "look"}),
        json!({"do": "complete"}),
        json!({"do": "roll-back", "reason": "no"}),
    ] {
        assert_eq!(then(&tracks, &action(written)).unwrap(), tracks);
    }
}

#[test]
fn what_could_not_be_and_was_begun_all_the_same_changes_nothing() {
    let wrong = json!([
        apply("canary"),
        shift(json!({"stable": 1, "canary": 1})),
        {"do": "retire", "track": "unheard-of"},
        {"do": "apply", "track": "canary", "workloads": ["nobody"]},
        shift(json!({"stable": 60, "canary": 40})),
    ]);
    let right = json!([apply("canary"), shift(json!({"stable": 60, "canary": 40}))]);
    let all = ["api", "web"];
    assert_eq!(after(all, &actions(&wrong)), after(all, &actions(&right)));
}

#[test]
fn what_has_failed_is_not_done() {
    let failed = |before: Value, last: Value| {
        let (before, last) = (actions(&before), action(last));
        let done = before.iter().map(|action| (action, Came::Done));
        course::after(["api", "web"], done.chain([(&last, Came::Failed)]))
    };
    let refused = |tracks: &Tracks, next: Value| {
        then(tracks, &action(next)).err().map_or("none", |error| error.code())
    };
    let quarter = || shift(json!({"stable": 75, "canary": 25}));
    // It may be there, and nobody may be led to it.
    let canary = failed(json!([]), apply("canary"));
    assert!(canary.of("web").unwrap().others.contains_key("canary"));
    assert_eq!(refused(&canary, quarter()), "track-uncertain");
    let again = then(&canary, &action(apply("canary"))).unwrap();
    assert_eq!(refused(&again, quarter()), "none");
    assert_eq!(refused(&canary, json!({"do": "retire", "track": "canary"})), "none");

    let stable = failed(json!([]), apply("stable"));
    assert!(!stable.is_canonical(), "nobody knows whether the new version runs");
    assert!(stable.missing()[0].what.contains("has failed"), "{:?}", stable.missing());
    assert!(then(&stable, &action(apply("stable"))).unwrap().is_canonical());

    // The same can be wanted again, and is something else than before.
    let served = failed(json!([apply("canary")]), quarter());
    assert_eq!(served.of("web").unwrap().weight("canary"), 0);
    assert_ne!(then(&served, &action(quarter())).unwrap(), served);
    let retired = failed(json!([apply("canary")]), json!({"do": "retire", "track": "canary"}));
    assert_eq!(refused(&retired, json!({"do": "retire", "track": "canary"})), "none");
}

#[test]
fn what_cant_be_done_is_refused_with_the_reason() {
    let (none, by_route, by_ingress) = (vec![], vec![route()], vec![ingress()]);
    let led = json!({"do": "shift", "weights": {"stable": 100},
        "headers": [{"name": "x", "value": "y", "track": "canary"}]});
    let mirrored = json!({"do": "shift", "weights": {"stable": 100}, "mirror": "canary"});
    let divided = json!([apply("canary"), shift(json!({"stable": 50, "canary": 50}))]);
    let three = json!({"stable": 40, "canary": 30, "preview": 30});
    let both = json!([apply("canary"), apply("preview")]);
    let (canary, nothing) = (json!([apply("canary")]), json!([]));
    let (bug, invalid) = (FaultClass::Bug, FaultClass::Invalid);
    type Case<'a> = (&'a [Value], &'a Value, Value, Option<(&'a str, FaultClass)>);
    let table: &[Case<'_>] = &[
        (&none, &canary, shift(json!({"stable": 100})), None),
        (&none, &canary, shift(json!({"stable": 75, "canary": 25})), None),
        // What no number of pods can divide is not refused: nobody gets more.
        (&none, &canary, shift(json!({"stable": 99, "canary": 1})), None),
        (
            &none,
            &canary,
            shift(json!({"stable": 60, "canary": 60})),
            Some(("weights-invalid", bug)),
        ),
        (&none, &nothing, shift(json!({"canary": 100})), Some(("track-unknown", bug))),
        (&none, &canary, led.clone(), Some(("traffic-impossible", invalid))),
        (&by_route, &canary, led.clone(), None),
        (&by_ingress, &canary, led, None),
        (&none, &canary, mirrored.clone(), Some(("traffic-impossible", invalid))),
        (&by_ingress, &canary, mirrored.clone(), Some(("traffic-impossible", invalid))),
        (&by_route, &canary, mirrored, None),
        (&none, &both, shift(three.clone()), Some(("traffic-impossible", invalid))),
        (&by_route, &both, shift(three), None),
        // Its pods would be behind the same Service.
        (&none, &divided, apply("preview"), Some(("traffic-impossible", invalid))),
        (&by_route, &divided, apply("preview"), None),
        (&none, &divided, json!({"do": "retire", "track": "canary"}), Some(("track-serving", bug))),
        (&none, &canary, json!({"do": "retire", "track": "canary"}), None),
        (&none, &nothing, json!({"do": "retire", "track": "stable"}), Some(("track-stable", bug))),
        (
            &none,
            &divided,
            json!({"do": "scale", "track": "canary", "workloads": ["web"], "percent": 0}),
            Some(("track-empty", bug)),
        ),
        (&none, &nothing, apply("No Name"), Some(("track-name", bug))),
        (&none, &nothing, json!({"do": "complete"}), Some(("rollout-unfinished", bug))),
        (&none, &json!([apply("stable")]), json!({"do": "complete"}), None),
        (
            &none,
            &json!([apply("stable"), apply("canary")]),
            json!({"do": "complete"}),
            Some(("rollout-unfinished", bug)),
        ),
    ];
    for (routes, before, next, expected) in table {
        let found = attempt(routes, before, next.clone());
        let fault = found.as_ref().err().map(Refused::fault);
        let found = fault.as_ref().map(|fault| (fault.code.as_str(), fault.class));
        assert_eq!(found, *expected, "{next} after {before}: {fault:?}");
    }
}

#[test]
fn who_calls_itself_done_is_told_all_that_is_missing() {
    let before = json!([
        apply("canary"),
        {"do": "apply", "track": "stable", "workloads": ["api"]},
        {"do": "shift", "weights": {"stable": 75, "canary": 25}, "workloads": ["web"]},
    ]);
    let refused = attempt(&[route()], &before, json!({"do": "complete"})).unwrap_err();
    let message = refused.to_string();
    for missing in [
        "of workload api, the track canary is still there",
        "of workload web, the new version was not applied to the track stable",
        "of workload web, the track stable gets 75 % of the requests",
    ] {
        assert!(message.contains(missing), "{message}");
    }
    assert!(!message.contains("of workload api, the new version"), "{message}");
}

#[test]
fn what_is_impossible_already_stops_only_what_makes_it_so() {
    let (new, current) = (manifests("2", &[]), manifests("1", &[]));
    let ways = ways(&new, Some(&current), Choice::Auto).unwrap();
    // A copy of each request, which a Service alone can't make.
    let mirrored = json!({"do": "shift", "weights": {"stable": 100}, "mirror": "canary"});
    let tracks = after(["api", "web"], &actions(&json!([apply("canary"), mirrored])));
    let waits = action(json!({"do": "sleep", "ms": 1}));
    assert!(possible(&tracks, &waits, &new, Some(&current), &ways).is_ok());
    let scales =
        action(json!({"do": "scale", "track": "canary", "workloads": ["web"], "percent": 5}));
    assert!(possible(&tracks, &scales, &new, Some(&current), &ways).is_err());
    let none: BTreeMap<_, _> = BTreeMap::new();
    assert!(possible(&tracks, &scales, &new, Some(&current), &none).is_ok(), "nothing to divide");
}
