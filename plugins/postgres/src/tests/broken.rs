//! A connection that breaks after every statement: the next attempt does the
//! rest, and nothing is left over.

use super::stage::*;
use serde_json::{Value, json};

/// Breaks each write of an attempt in turn, and has the next attempt end it.
/// Gives how many there were.
fn everywhere(mut each: impl FnMut(usize) -> bool) -> usize {
    let whole = (1..200).find(|at| !each(*at));
    whole.expect("an attempt has an end") - 1
}

#[test]
fn i7_a_provision_that_breaks_at_any_statement_is_ended_by_the_next() {
    let more = json!({"extensions": ["citext"], "owner": "postgres", "on_destroy": "drop"});
    let host = host();
    let writes = everywhere(|at| {
        let uid = format!("broken-{at}");
        let first = request(&uid, &more);
        let breaking = Breaking::at(at);
        if try_provision(&first, &breaking).is_ok() {
            // Nobody waits for an answer to the goodbye.
            destroy(&first, &host).unwrap();
            return breaking.has_broken();
        }
        let made = until_done(|| try_provision(&first, &host));
        as_workload(&made, password(&made), "create table t as select 'a'::citext").unwrap();
        assert_eq!(marked(&uid), ("1".to_owned(), "1".to_owned()), "{uid}");
        let last = later(&first, &made.state, &more);
        assert_eq!(observe(&last, &host), Some(Value::Object(made.outputs)), "{uid}");
        destroy(&last, &host).unwrap();
        assert_eq!(marked(&uid), ("0".to_owned(), "0".to_owned()), "{uid}");
        true
    });
    assert!(writes > 20, "{writes}");
}

#[test]
fn i7_a_rotation_that_breaks_at_any_statement_is_ended_by_the_next() {
    let host = host();
    let first = request("broken-rotation", &json!({}));
    let mut made = provision(&first, &host);
    let mut generation = 1;
    everywhere(|at| {
        generation += 1;
        let more = json!({"password_generation": generation});
        let asked = later(&first, &made.state, &more);
        let breaking = Breaking::at(at);
        let broken = match try_provision(&asked, &breaking) {
            Ok(done) => {
                made = done;
                breaking.has_broken()
            }
            Err(_) => {
                made = until_done(|| try_provision(&asked, &host));
                true
            }
        };
        as_workload(&made, password(&made), "select 1").unwrap();
        broken
    });
}

#[test]
fn i7_a_removal_that_breaks_at_any_statement_is_ended_by_the_next() {
    let host = host();
    for how in ["drop", "rename", "refuse-if-not-empty"] {
        let more = json!({"on_destroy": how});
        everywhere(|at| {
            let first = request(&format!("removed-{how}-{at}"), &more);
            let made = provision(&first, &host);
            let last = later(&first, &made.state, &more);
            let breaking = Breaking::at(at);
            let broken = destroy(&last, &breaking).is_err() || breaking.has_broken();
            until_done(|| destroy(&last, &host));
            assert_eq!(observe(&last, &host), None);
            assert!(as_workload(&made, password(&made), "select 1").is_err());
            broken
        });
    }
}

/// Some extensions take longer than a call may wait for an answer.
#[test]
fn an_extension_that_nobody_waits_for_is_there_the_next_time() {
    let (server, host) = (server(), host());
    let first = request("patient", &json!({"extensions": ["citext"]}));
    try_provision(&first, &Breaking::during("create extension")).unwrap_err();
    let name = crate::inputs::Wanted::of(&first).unwrap().database;
    let there = "select count(*) from pg_extension where extname = 'citext'";
    // The server ends it by itself, some time.
    assert!((0..10_000).any(|_| server.sql(&name, there).unwrap() == "1"));
    let made = provision(&first, &host);
    as_workload(&made, password(&made), "create table t as select 'a'::citext").unwrap();
    assert_eq!(
        server
            .sql(
                &name,
                "select extnamespace::regnamespace from pg_extension where extname = 'citext'"
            )
            .unwrap(),
        "public"
    );
}

/// A deployment that was given up after the server had a new password, and
/// before anybody kept it.
#[test]
fn a_password_that_was_never_recorded_is_replaced() {
    let host = host();
    let first = request("unrecorded", &json!({}));
    let made = provision(&first, &host);
    provision(&later(&first, &made.state, &json!({"password_generation": 2})), &host);
    // What came of it is lost.
    let next = later(&first, &made.state, &json!({}));
    assert!(observe(&next, &host).unwrap()["password"].is_null());
    assert!(plan(&next, &host).summary[0].contains("not recorded"));
    let healed = provision(&next, &host);
    as_workload(&healed, password(&healed), "select 1").unwrap();
}

/// A `drop database` that the server did not end: it is there, and of no use.
#[test]
fn half_a_database_is_made_anew_and_taken_away() {
    let (server, host) = (server(), host());
    for how in ["drop", "rename", "keep"] {
        let more = json!({"on_destroy": how});
        let first = request(&format!("invalid-{how}"), &more);
        let made = provision(&first, &host);
        let next = later(&first, &made.state, &more);
        let invalid = format!(
            "update pg_database set datconnlimit = -2 where datname = '{}'",
            made.state.database
        );
        server.sql("postgres", &invalid).unwrap();
        let planned = plan(&next, &host);
        assert!(planned.summary[0].contains("what is left of"), "{planned:?}");
        provision(&next, &host);
        as_workload(&made, password(&made), "select 1").unwrap();
        server.sql("postgres", &invalid).unwrap();
        destroy(&next, &host).unwrap();
        assert_eq!(marked(&first.uid).1, "0");
    }
}
