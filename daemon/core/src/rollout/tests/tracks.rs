//! Which tracks there can be.

use std::collections::BTreeMap;

use crate::rollout::{HeaderMatch, STABLE, Shift, Tracks, Version, WorkloadTracks};

fn begun() -> Tracks {
    Tracks::stable(["api", "web"])
}

fn of(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn weights(parts: &[(&str, u32)]) -> Shift {
    let weights = parts.iter().map(|(track, weight)| ((*track).to_owned(), *weight)).collect();
    Shift { weights, ..Shift::default() }
}

fn header(name: &str, value: Option<&str>, track: &str) -> HeaderMatch {
    let value = value.map(str::to_owned);
    HeaderMatch { name: name.to_owned(), value, pattern: None, track: track.to_owned() }
}

fn canary() -> Tracks {
    begun().applied("canary", &of(&["web"]), Version::New, 50).unwrap()
}

#[test]
fn a_canary_from_its_beginning_to_its_end() {
    let tracks = canary();
    let web = tracks.of("web").unwrap();
    assert_eq!((web.others["canary"].percent, web.weight("canary")), (50, 0));
    let tracks = tracks.shifted(&weights(&[("canary", 10), (STABLE, 90)]), None).unwrap();
    assert_eq!(tracks.of("web").unwrap().weight("canary"), 10);
    assert_eq!(tracks.of("api").unwrap().weight(STABLE), 100, "it has no canary");
    let tracks = tracks.scaled("canary", &of(&["web"]), 100).unwrap();
    let tracks = tracks.shifted(&weights(&[("canary", 100)]), Some(&of(&["web"]))).unwrap();
    let tracks = tracks.applied(STABLE, &of(&["api", "web"]), Version::New, 100).unwrap();
    assert!(!tracks.is_canonical());
    let missing: Vec<String> = tracks.missing().iter().map(ToString::to_string).collect();
    assert_eq!(
        missing,
        [
            "workload web: the track stable gets 0 % of the requests",
            "workload web: the track canary is still there",
        ]
    );
    let tracks = tracks.shifted(&weights(&[(STABLE, 100)]), None).unwrap();
    let tracks = tracks.retired("canary", None).unwrap();
    assert!(tracks.is_canonical(), "{:?}", tracks.missing());
    assert_eq!(tracks.known().into_iter().collect::<Vec<_>>(), ["canary"]);
}

#[test]
fn what_is_impossible_is_said() {
    let web = of(&["web"]);
    let shifted = canary().shifted(&weights(&[("canary", 10), (STABLE, 90)]), None).unwrap();
    let with_headers = |headers: Vec<HeaderMatch>| Shift { headers, ..weights(&[(STABLE, 100)]) };
    let mirrored = Shift { mirror: Some("canary".to_owned()), ..weights(&[(STABLE, 100)]) };
    let many = (0..4).fold(begun(), |tracks, number| {
        tracks.applied(&format!("t{number}"), &web, Version::New, 100).unwrap()
    });
    let drained = canary().scaled("canary", &web, 0).unwrap();
    for (found, code, part) in [
        (begun().applied("Canary", &web, Version::New, 100), "track-name", "\"Canary\""),
        (begun().applied("a-track-too-long", &web, Version::New, 1), "track-name", "1 to 15"),
        (
            begun().applied("canary", &of(&["shop"]), Version::New, 100),
            "workload-unknown",
            "api, web",
        ),
        (begun().applied("canary", &web, Version::New, 101), "percent-invalid", "101 %"),
        (many.applied("canary", &web, Version::New, 100), "tracks-too-many", "4 tracks"),
        (shifted.applied("canary", &web, Version::New, 0), "track-empty", "gets requests"),
        (begun().applied(STABLE, &web, Version::Current, 100), "track-stable", "roll back"),
        (begun().scaled("canary", &web, 10), "track-unknown", "it has stable"),
        (shifted.scaled("canary", &web, 0), "track-empty", "can't be scaled to 0 %"),
        (shifted.scaled(STABLE, &web, 0), "track-empty", "track stable"),
        (
            canary().shifted(&weights(&[("canary", 10), (STABLE, 80)]), None),
            "weights-invalid",
            "make 90 %",
        ),
        (
            canary().shifted(&weights(&[("canary", u32::MAX), (STABLE, 1)]), None),
            "weights-invalid",
            "expected 100",
        ),
        (canary().shifted(&weights(&[]), None), "weights-invalid", "(none)"),
        (begun().shifted(&weights(&[("canary", 100)]), None), "track-unknown", "no workload has"),
        (
            canary().shifted(&weights(&[("canary", 100)]), Some(&of(&["api"]))),
            "track-unknown",
            "workload api",
        ),
        (
            drained.shifted(&weights(&[("canary", 1), (STABLE, 99)]), None),
            "track-empty",
            "scale it first",
        ),
        (
            drained.shifted(&with_headers(vec![header("a", Some("b"), "canary")]), None),
            "track-empty",
            "",
        ),
        (drained.shifted(&mirrored, None), "track-empty", ""),
        (
            canary().shifted(
                &Shift { mirror: Some(STABLE.to_owned()), ..weights(&[(STABLE, 100)]) },
                None,
            ),
            "mirror-invalid",
            "",
        ),
        (
            canary().shifted(&with_headers(vec![header("a b", Some("b"), "canary")]), None),
            "headers-invalid",
            "\"a b\"",
        ),
        (
            canary().shifted(&with_headers(vec![header("a", None, "canary")]), None),
            "headers-invalid",
            "either",
        ),
        (
            canary().shifted(&with_headers(vec![header("a", Some("x\r\ny"), "canary")]), None),
            "headers-invalid",
            "control",
        ),
        (
            canary().shifted(
                &with_headers(vec![
                    header("a", Some("b"), "canary"),
                    header("A", Some("b"), STABLE),
                ]),
                None,
            ),
            "headers-invalid",
            "two tracks",
        ),
        (
            canary().shifted(&with_headers(vec![header("a", Some("b"), "canary"); 9]), None),
            "headers-invalid",
            "at most 8",
        ),
        (canary().retired(STABLE, None), "track-stable", ""),
        (canary().retired("preview", None), "track-unknown", "preview"),
        (shifted.retired("canary", None), "track-serving", "10 % of the requests"),
        (
            canary()
                .shifted(&with_headers(vec![header("beta", Some("1"), "canary")]), None)
                .unwrap()
                .retired("canary", None),
            "track-serving",
            "the header beta",
        ),
        (
            canary().shifted(&mirrored, None).unwrap().retired("canary", None),
            "track-serving",
            "a copy of each",
        ),
    ] {
        let error = found.expect_err(part);
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn a_rollout_that_did_nothing_is_not_done() {
    let missing = begun().missing();
    assert_eq!(missing.len(), 2);
    assert!(missing[0].to_string().contains("was not applied"), "{}", missing[0]);
    assert!(Tracks::default().is_canonical());
}

#[test]
fn tracks_are_written_briefly() {
    let tracks = canary();
    let text = serde_json::to_value(&tracks).unwrap();
    assert_eq!(
        text["api"],
        serde_json::json!({"stable": {"version": "current", "percent": 100}, "weights": {"stable": 100}})
    );
    let back: BTreeMap<String, WorkloadTracks> = serde_json::from_value(text).unwrap();
    assert_eq!(back["web"], *tracks.of("web").unwrap());
}
