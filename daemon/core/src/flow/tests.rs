//! Stages and what they wait for.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::Actor;

const HOUR: u64 = 3_600_000;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn stage(value: Value) -> Stage {
    serde_json::from_value(value).unwrap()
}

/// Production after an hour in staging and in the acceptance environment, by itself.
fn production() -> Stage {
    stage(json!({"environment": "production", "promotion": "automatic", "after": [
        {"environment": "staging", "for": "1h"}, {"environment": "acceptance"},
    ]}))
}

fn set(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn id(text: &str) -> DeploymentId {
    DeploymentId(text.to_owned())
}

fn newest(text: &str, outcome: Option<Outcome>) -> Newest {
    Newest { deployment: id(text), set: set(text), outcome, gives_way: false }
}

fn running(text: &str, since: u64) -> StageFacts {
    let runs =
        Runs { deployment: id(text), set: set(text), since: Timestamp(since), went_back: false };
    let newest = newest(text, Some(Outcome::Succeeded));
    StageFacts {
        runs: Some(runs),
        newest: Some(newest),
        images: vec![("web/main".to_owned(), format!("registry.test/web@{text}"))],
        ..StageFacts::default()
    }
}

fn world(staging: &str, acceptance: &str, production: &str) -> BTreeMap<Name, StageFacts> {
    BTreeMap::from([
        (name("staging"), running(staging, HOUR)),
        (name("acceptance"), running(acceptance, HOUR)),
        (name("production"), running(production, 0)),
    ])
}

fn words(standing: &Standing) -> Vec<String> {
    let Standing::Held { reasons, .. } = standing else { return Vec::new() };
    reasons.iter().map(|held| held.view(&name("shop"), "shop/production").reason).collect()
}

#[test]
fn what_has_run_long_enough_everywhere_before_is_ready() {
    let (stage, facts) = (production(), world("new", "new", "old"));
    let now = Timestamp(2 * HOUR);
    assert_eq!(standing(&stage, &facts, now), Standing::Ready { set: set("new") });
    assert_eq!(promoted(&stage, &facts, now), Some(set("new")));
    let early = Timestamp(2 * HOUR - 1);
    assert_eq!(words(&standing(&stage, &facts, early)), ["soaking"]);
    assert_eq!(wakes(&stage, &facts, early), Some(now));
    assert_eq!(wakes(&stage, &facts, now), None);
    let by_hand = Stage { promotion: Promotion::Manual, ..production() };
    assert_eq!(promoted(&by_hand, &facts, now), None, "a person does that");
    let facts = world("new", "new", "new");
    assert_eq!(standing(&stage, &facts, now), Standing::UpToDate);
}

#[test]
fn stages_before_have_to_agree() {
    let now = Timestamp(9 * HOUR);
    let facts = world("new", "old", "old");
    assert_eq!(words(&standing(&production(), &facts, now)), ["differ"]);
    assert_eq!(unverified(&production(), &facts, set("new"), now).len(), 1);
    let mut facts = world("new", "new", "old");
    facts.remove(&name("acceptance"));
    assert_eq!(words(&standing(&production(), &facts, now)), ["nothing-before"]);
}

#[test]
fn automation_does_not_try_again_what_has_failed_or_was_gone_back_from() {
    let now = Timestamp(9 * HOUR);
    for (outcome, expected) in [
        (None, vec!["busy"]),
        (Some(Outcome::RolledBack), vec!["failed"]),
        (Some(Outcome::Cancelled), vec!["failed"]),
        (Some(Outcome::Superseded), vec![]),
    ] {
        let mut facts = world("new", "new", "old");
        let own = facts.get_mut(&name("production")).unwrap();
        own.newest = Some(newest("new", outcome));
        let found = standing(&production(), &facts, now);
        assert_eq!(words(&found), expected, "{outcome:?}");
        assert_eq!(promoted(&production(), &facts, now).is_some(), expected.is_empty());
        assert!(unverified(&production(), &facts, set("new"), now).is_empty(), "a person may");
    }
    // What failed was something else.
    let mut facts = world("new", "new", "old");
    let outcome = Some(Outcome::RolledBack);
    facts.get_mut(&name("production")).unwrap().newest = Some(newest("other", outcome));
    assert!(promoted(&production(), &facts, now).is_some());
    let went_back = [("production", vec!["went-back"]), ("staging", vec!["went-back-before"])];
    for (place, expected) in went_back {
        let mut facts = world("new", "new", "old");
        let own = facts.get_mut(&name(place)).unwrap();
        own.runs.as_mut().unwrap().went_back = true;
        let (deployment, by, at) = (id("old"), Actor("ana".into()), Timestamp(HOUR));
        own.hold = Some(Hold { deployment, by, at });
        assert_eq!(words(&standing(&production(), &facts, now)), expected);
        assert!(unverified(&production(), &facts, set("new"), now).is_empty(), "a person may");
        // Somebody has automation go on there; what was gone back to goes no further.
        facts.get_mut(&name(place)).unwrap().hold = None;
        let goes_on = promoted(&production(), &facts, now).is_some();
        assert_eq!(goes_on, place == "production");
    }
    let mut facts = world("new", "new", "old");
    facts.get_mut(&name("production")).unwrap().quarantined = vec!["registry.test/web".into()];
    assert_eq!(words(&standing(&production(), &facts, now)), ["quarantined"]);
}

#[test]
fn what_waits_for_people_here_is_superseded_by_what_is_verified_after_it() {
    let now = Timestamp(9 * HOUR);
    for (waits, gives_way, expected) in
        [("older", true, vec![]), ("older", false, vec!["busy"]), ("new", true, vec!["busy"])]
    {
        let mut facts = world("new", "new", "old");
        facts.get_mut(&name("production")).unwrap().newest =
            Some(Newest { gives_way, ..newest(waits, None) });
        let found = standing(&production(), &facts, now);
        assert_eq!(words(&found), expected, "{waits} {gives_way}");
    }
}

#[test]
fn what_is_verified_comes_behind_what_waits_here_where_each_has_its_turn() {
    let now = Timestamp(9 * HOUR);
    let each = Stage { batching: Batching::Each, ..production() };
    for (waits, expected) in [("older", vec![]), ("new", vec!["busy"])] {
        let mut facts = world("new", "new", "old");
        facts.get_mut(&name("production")).unwrap().newest = Some(newest(waits, None));
        assert_eq!(words(&standing(&each, &facts, now)), expected, "{waits}");
    }
}

#[test]
fn why_what_was_announced_is_not_there_names_who_went_back() {
    let mut facts = BTreeMap::from([(name("development"), running("v1-digest", 0))]);
    let (deployment, by, at) = (id("back-1"), Actor("ana".into()), Timestamp(HOUR));
    facts.get_mut(&name("development")).unwrap().hold = Some(Hold { deployment, by, at });
    let flow = shop(Timestamp(2 * HOUR), &facts, "automatic");
    let answer = why(&flow, "v2-digest", &name("development")).unwrap();
    let because = answer.because.join("; ");
    assert!(because.contains("deployd flow release shop/development"), "{because}");
    assert!(because.contains("back-1"), "{because}");
}

fn shop(now: Timestamp, facts: &BTreeMap<Name, StageFacts>, promotion: &str) -> FlowView {
    let stages = [
        json!({"environment": "development", "automatic": {"ref": "refs/heads/main"}}),
        json!({"environment": "staging", "after": [{"environment": "development"}]}),
        json!({"environment": "production", "promotion": promotion,
            "after": [{"environment": "staging", "for": "1h"}]}),
    ];
    let stages = stages.map(stage);
    let stages = stages.iter().map(|stage| {
        let own = facts.get(&stage.environment).cloned().unwrap_or_default();
        FlowStage::of(&name("shop"), stage, &own, standing(stage, facts, now))
    });
    FlowView { application: name("shop"), stages: stages.collect() }
}

#[test]
fn why_something_is_not_in_production_is_told_from_where_it_is() {
    let facts = BTreeMap::from([
        (name("development"), running("v3-digest", 0)),
        (name("staging"), running("v2-digest", 4 * HOUR)),
        (name("production"), running("v1-digest", 0)),
    ]);
    let now = Timestamp(4 * HOUR + HOUR / 2);
    let flow = shop(now, &facts, "automatic");
    let asked = |subject: &str, place: &str| why(&flow, subject, &name(place)).unwrap();

    let there = asked("v1-digest", "production");
    assert!(there.there && there.because[0].starts_with("it runs in shop/production since"));

    let soaking = asked("v2-digest", "production");
    assert!(!soaking.there);
    assert!(soaking.because[0].starts_with("shop/staging runs it"), "{soaking:?}");
    assert!(soaking.because[2].contains("it has to run in shop/staging until"), "{soaking:?}");

    let by_hand = asked("v3-digest", "production");
    let next = by_hand.next.unwrap();
    assert!(next.contains("deployd promote shop --from development --to staging"), "{next}");

    let nowhere = asked("v4-digest", "production");
    let next = nowhere.next.unwrap();
    assert!(next.contains("shop/development takes ref refs/heads/main by itself"), "{next}");
    assert_eq!(why(&flow, "v1-digest", &name("nowhere")), None);
}
