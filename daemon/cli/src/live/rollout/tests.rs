use deployd_core::deployment::Phase;
use deployd_core::views::RolloutView;
use deployd_core::{Digest, Timestamp};
use serde_json::{Value, json};

use super::*;

const AT: Timestamp = Timestamp(1_795_230_000_000);

fn before(seconds: u64) -> String {
    Timestamp(AT.0 - seconds * 1_000).to_string()
}

/// A canary whose checks run.
fn canary() -> Value {
    let point = |seconds: u64, rate: f64, result: &str| {
        json!({"at": before(seconds), "result": result, "values": [
            {"name": "rate", "value": rate, "unit": "%"},
            {"name": "latency", "value": 12.0 + rate, "unit": "ms"}]})
    };
    json!({
        "deployment": "01jd2k9x7h8f6v3q5w1n4m0zta", "environment": "shop/production", "number": 7,
        "phase": Phase::RollingOut, "at": AT, "progress": 40,
        "strategy": {"name": "canary", "digest": Digest::of(b"canary")},
        "message": "canary at 25 %", "podsCounted": AT,
        "doing": {"step": "rollout:5", "what": "check errors on canary, 5m at least",
            "why": "canary at 25 %", "waitsFor": "checks", "since": before(130), "leftMs": 170_500},
        "workloads": [
            {"name": "backend", "via": "service", "reachable": [0, 34, 50, 67, 100],
                "divided": "by the number of pods: with 2 replicas 34, 50, 67 %; 0 and 100 % by the selector of Service backend",
                "tracks": [
                {"name": "stable", "version": "current", "replicas": 2, "ready": 2, "weight": 100, "wanted": 75},
                {"name": "canary", "version": "new", "replicas": 2, "ready": 0, "weight": 0, "wanted": 25}]},
            {"name": "frontend", "via": "http-route", "divided": "by HTTPRoute frontend, in steps of 1 %",
                "tracks": [
                {"name": "stable", "version": "current", "replicas": 3, "ready": 3, "weight": 75},
                {"name": "canary", "version": "new", "replicas": 3, "ready": 2, "weight": 25}],
                "headers": [{"name": "x-canary", "value": "yes", "track": "canary"}], "mirror": "canary"},
        ],
        "checks": [
            {"step": "rollout:3", "track": "canary", "since": before(400), "ended": before(300),
                "verdict": "passed", "checks": [check("smoke", &[])]},
            {"step": "rollout:5", "track": "canary", "baseline": "baseline", "since": before(130),
                "verdict": "running", "checks": [check("errors",
                    &[point(130, 0.0, "passed"), point(70, 2.0, "failed"), point(10, 0.5, "passed")])]},
        ],
        "next": [{"command": "deployd promote shop/production", "does": "has it go on without waiting for this"},
            {"command": "deployd abort shop/production -m WHY", "does": "brings back what ran before"}],
    })
}

fn check(name: &str, points: &[Value]) -> Value {
    json!({"name": name, "verdict": "running", "message": "0.5 % of 1200 requests", "passes": 1,
        "needed": 5, "failures": 1, "failureLimit": 2, "inconclusives": 0, "inconclusiveLimit": 0,
        "errors": 0, "errorLimit": 4, "nextInMs": 50_000, "points": points})
}

fn view(value: Value) -> RolloutView {
    serde_json::from_value(value).unwrap()
}

fn shown(value: Value, glyphs: Glyphs) -> String {
    let view = view(value);
    let lines = block(&view, glyphs, Paint::new(false)).into_iter().map(|line| line.to_string());
    let all = [heading(&view, Paint::new(false))].into_iter().chain(lines);
    all.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_rollout_is_tracks_checks_and_what_it_waits_for() {
    let expected = "\
shop/production #7  40 %, by canary
  now    check errors on canary, 5m at least
  why    canary at 25 %
  waits  for checks to pass, since 2 min, 2 min left at least

  WORKLOAD  TRACK   VERSION  PODS  REQUESTS
  backend   stable  current  2/2   ████████████████████ 100 %, 75 % wanted
            canary  new      0/2   ░░░░░░░░░░░░░░░░░░░░ 0 %, 25 % wanted
  frontend  stable  current  3/3   ███████████████░░░░░ 75 %
            canary  new      2/3   █████░░░░░░░░░░░░░░░ 25 %
  backend: by the number of pods: with 2 replicas 34, 50, 67 %; 0 and 100 % by the selector of Service backend
  frontend: by HTTPRoute frontend, in steps of 1 %
  frontend: requests with x-canary: yes go to canary
  frontend: canary gets a copy of each request

  checks smoke on canary: passed, 5 min ago
  checks errors on canary, compared with baseline: running, begun 2 min ago
  CHECK   SO FAR   PASSED  FAILED      UNCLEAR  NEXT     MEASURED
  errors  running  1 of 5  1, 2 borne  0        in 50 s  rate ▁█▃ 0.5 %
                                                         latency ▁█▃ 12.5 ms

  deployd promote shop/production       has it go on without waiting for this
  deployd abort shop/production -m WHY  brings back what ran before";
    let found = shown(canary(), Glyphs::of(Some("en_US.UTF-8")));
    assert_eq!(found, expected, "\n{found}");
    let plain = shown(canary(), Glyphs::of(None));
    assert!(plain.is_ascii(), "{plain}");
    assert!(plain.contains("rate _#-") && plain.contains("###############....."), "{plain}");
}

#[test]
fn pods_that_are_missing_stand_out_and_those_that_nobody_knows_of_are_no_number() {
    let painted = |value: Value| {
        let lines = block(&view(value), Glyphs::of(None), Paint::new(true));
        let lines: Vec<String> = lines.into_iter().map(|line| line.text).collect();
        lines.join("\n")
    };
    let text = painted(canary());
    let colour = |pods: &str| text.split_once(pods).unwrap().0.rsplit('\u{1b}').next().unwrap();
    assert_eq!(colour("2/3"), colour("0/2"), "{text}");
    assert_ne!(colour("2/3"), colour("3/3"), "{text}");

    let mut away = canary();
    away.as_object_mut().unwrap().remove("podsCounted");
    away["podsUnknown"] = json!("the cluster did not answer\nwithin 2 s");
    for pointer in ["/workloads/0/tracks/0", "/workloads/0/tracks/1"] {
        away.pointer_mut(pointer).unwrap().as_object_mut().unwrap().remove("ready");
    }
    let text = shown(away, Glyphs::of(None));
    assert!(text.contains("current  ?/2 ") && text.contains("new      ?/2 "), "{text}");
    let why = "  it is not known how many pods are ready: the cluster did not answer within 2 s\n";
    assert!(text.contains(why), "{text}");

    let mut over = canary();
    over["outcome"] = json!("succeeded");
    over["workloads"][0]["tracks"][0].as_object_mut().unwrap().remove("ready");
    let text = shown(over, Glyphs::of(None));
    assert!(text.contains("current  2    "), "{text}");
}

#[test]
fn what_a_person_has_paused_says_so_once() {
    let mut paused = canary();
    paused["held"] = json!("the night shift\nlooks first");
    paused["doing"] = json!({"what": "paused by a person", "why": "the night shift\nlooks first",
        "waitsFor": "person"});
    let text = shown(paused, Glyphs::of(None));
    assert_eq!(
        text.matches("paused by a person: the night shift looks first").count(),
        1,
        "{text}"
    );
    assert!(text.contains("\n  waits  for a person\n") && !text.contains("  why "), "{text}");
}

#[test]
fn texts_of_others_cannot_touch_the_terminal() {
    let mut wild = canary();
    for pointer in ["/doing/what", "/doing/why", "/workloads/0/divided", "/checks/1/track"] {
        *wild.pointer_mut(pointer).unwrap() = json!("\u{1b}[2Jgone\nnext");
    }
    wild["checks"][1]["checks"][0]["points"][2]["values"][0]["name"] = json!("\u{1b}[2J");
    let text = shown(wild, Glyphs::of(None));
    assert!(!text.contains('\u{1b}'), "{text}");
    assert!(text.lines().all(|line| !line.starts_with("next")), "{text}");
}

#[test]
fn what_is_left_gets_less() {
    let left = Left { ms: 61_000, is: "left" };
    assert_eq!(left.text(), ", 1 min left");
    assert_eq!(left.after(2_000).text(), ", 59 s left");
    assert_eq!(left.after(70_000).text(), "");
}
