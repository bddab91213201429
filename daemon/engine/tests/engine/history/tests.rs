//! The judge is judged: it has nothing to say of a history that is as it should
//! be, and notices whatever is missing, changed or in the wrong place.

use deployd_core::deployment::Outcome;
use serde_json::{Value, json};

use super::judge::Judge;
use super::{Seen, judge, judge_so_far, told};
use crate::crashes::canonical;

/// Each event of an environment on its own, versions as they come.
fn split(entries: Vec<Seen>) -> Vec<Seen> {
    let mut apart = Vec::new();
    for seen in entries {
        let Seen::Committed { records, messages } = seen else {
            apart.push(seen);
            continue;
        };
        for record in records {
            apart.push(Seen::Committed { records: vec![record], messages: Vec::new() });
        }
        apart.push(Seen::Committed { records: Vec::new(), messages });
    }
    apart
}

/// The same with versions counted anew, as one who covers up would do it.
fn numbered(mut entries: Vec<Seen>) -> Vec<Seen> {
    let mut versions = std::collections::BTreeMap::<String, u64>::new();
    for seen in &mut entries {
        let Seen::Committed { records, .. } = seen else { continue };
        for record in records {
            let version = versions.entry(record.stream.0.clone()).or_default();
            *version += 1;
            record.version.0 = *version;
        }
    }
    entries
}

fn kind(seen: &Seen) -> Option<&str> {
    let Seen::Committed { records, .. } = seen else { return None };
    let record = records.first()?;
    record.stream.0.starts_with("environment/").then_some(record.event.kind.as_str())
}

#[test]
fn a_sound_history_is_sound_and_no_event_can_be_missing_from_it() {
    let entries = split(canonical());
    judge(&entries).unwrap_or_else(|fault| panic!("{fault}\n{}", told(&entries)));
    let mut checked = 0;
    for place in 0..entries.len() {
        // Waiting and going on leave the same behind.
        let Some(kind) = kind(&entries[place]).filter(|kind| *kind != "step-pending") else {
            continue;
        };
        let mut cut = entries.clone();
        cut.remove(place);
        assert!(judge(&cut).is_err(), "a gap at {place}: {kind}");
        assert!(judge(&numbered(cut)).is_err(), "{place}: {kind} is missing");
        let mut twice = entries.clone();
        twice.insert(place, entries[place].clone());
        assert!(judge(&numbered(twice)).is_err(), "{place}: {kind} is there twice");
        checked += 1;
    }
    assert!(checked > 60, "{checked}");
}

#[test]
fn i4_who_makes_way_does_so_at_its_gates_for_one_that_goes_back() {
    let entries = split(crate::yielding::history());
    judge(&entries).unwrap_or_else(|fault| panic!("{fault}\n{}", told(&entries)));
    let at = |wanted: &str| entries.iter().position(|seen| kind(seen) == Some(wanted)).unwrap();
    let yielded = at("deployment-yielded");
    let mut missing = entries.clone();
    missing.remove(yielded);
    assert!(judge(&numbered(missing)).unwrap_err().contains("I4"));
    let mut for_nobody = entries.clone();
    if let Seen::Committed { records, .. } = &mut for_nobody[yielded] {
        records[0].event.body["to"] = records[0].event.body["deployment"].clone();
    }
    assert!(judge(&for_nobody).unwrap_err().contains("nobody goes back"));
    // Nobody does so once something was begun.
    let last = entries.iter().rposition(|seen| kind(seen) == Some("step-started")).unwrap();
    let mut late = entries.clone();
    late.insert(last + 1, entries[yielded].clone());
    assert!(judge(&numbered(late)).unwrap_err().contains("had begun"));
    // The turn of who goes back comes first.
    let started = |seen: &&Seen| kind(seen) == Some("deployment-started");
    let after = entries[yielded..].iter().find(started).unwrap().clone();
    let mut again = entries.clone();
    again.insert(yielded, after);
    assert!(judge(&numbered(again)).unwrap_err().contains("I4"));
}

#[test]
fn i4_what_begins_by_itself_where_a_person_went_back_is_noticed() {
    let queued = |id: &str, mode: &str, origin: &str| {
        json!({"type": "deployment-queued", "deployment": id,
            "request": {"mode": mode, "origin": {"kind": origin}}})
    };
    let about = |kind: &str, id: &str| json!({"type": kind, "deployment": id});
    let mut judge = Judge::default();
    let mut sees = |actor: &str, body: Value| judge.event("shop/development", actor, &body);
    sees("ada", queued("automatic", "each", "artifact")).unwrap();
    sees("ada", queued("back", "manual", "rollback")).unwrap();
    assert!(sees("deployd", about("deployment-started", "back")).is_err(), "not its turn");
    let begins = sees("deployd", about("deployment-started", "automatic")).unwrap_err();
    assert!(begins.contains("where a person went back"), "{begins}");
}

#[test]
fn i5_an_effect_before_its_intent_is_noticed() {
    let entries = split(canonical());
    let mut checked = 0;
    for place in 0..entries.len() {
        if !matches!(entries[place], Seen::Driver { .. } | Seen::Cluster { .. }) {
            continue;
        }
        let intent = (0..place).rev().find(|at| kind(&entries[*at]) == Some("step-started"));
        let mut early = entries.clone();
        let effect = early.remove(place);
        // Before everything that was begun with it.
        let first = (0..intent.unwrap())
            .rev()
            .find(|at| !matches!(kind(&entries[*at]), Some("step-started")));
        early.insert(first.unwrap(), effect);
        assert!(judge_so_far(&early).is_err(), "{place}: {:?}", entries[place]);
        checked += 1;
    }
    assert!(checked > 20, "{checked}");
}

#[test]
fn what_is_changed_in_a_history_is_noticed() {
    let entries = split(canonical());
    let change = |kind_of: &str, field: &str, to: serde_json::Value| {
        let mut changed = entries.clone();
        for seen in &mut changed {
            let wanted = kind(seen) == Some(kind_of);
            if let Seen::Committed { records, .. } = seen
                && wanted
            {
                records[0].event.body[field] = to;
                break;
            }
        }
        judge(&changed)
    };
    let mut rekeyed = entries.clone();
    for seen in &mut rekeyed {
        let Seen::Committed { records, .. } = seen else { continue };
        for record in records {
            if record.event.kind == "step-started" && record.event.body["attempt"] == 2 {
                record.event.body["key"] = json!("another");
            }
        }
    }
    assert!(judge(&rekeyed).unwrap_err().contains("I6"));
    assert!(change("step-started", "attempt", json!(2)).is_err());
    assert!(change("step-failed", "fault", json!({"class": "permanent"})).is_err());
    assert!(change("deployment-started", "deployment", json!("another")).is_err());
    for outcome in [Outcome::Failed, Outcome::RolledBack, Outcome::Cancelled] {
        assert!(change("deployment-ended", "outcome", json!(outcome)).is_err(), "{outcome:?}");
    }
    let nobody = Seen::Acknowledged { deployments: vec!["nobody".to_owned()] };
    let mut lost = entries;
    lost.push(nobody);
    assert!(judge(&lost).unwrap_err().starts_with("I1"));
}
