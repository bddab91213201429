//! A database from its first plan to its end.

use super::stage::*;
use deployd_plugin_sdk::driver::Action;
use postgresql_server::PASSWORD;
use serde_json::{Value, json};

const DROP: &str = r#"{"on_destroy": "drop"}"#;

fn drop() -> Value {
    DROP.parse().unwrap()
}

#[test]
fn a_database_is_planned_made_used_seen_and_dropped() {
    let host = host();
    let first = request("lifecycle", &drop());
    let planned = plan(&first, &host);
    assert_eq!(planned.action, Action::Create);
    assert!(planned.summary.iter().any(|line| line.contains("make the database \"shop_")));
    assert_eq!(planned.outputs["port"], server().port());
    assert_eq!(marked("lifecycle"), ("0".to_owned(), "0".to_owned()), "a plan changes nothing");

    let made = provision(&first, &host);
    let secret = password(&made).to_owned();
    as_workload(&made, &secret, "create table orders (id int); insert into orders values (1)")
        .unwrap();
    assert_eq!(made.outputs["password"], "⟦secret:lifecycle/password-1⟧");
    let name = &made.state.database;
    let url = format!(
        "postgres://{name}:⟦secret:lifecycle/password-1⟧@127.0.0.1:{}/{name}?sslmode=disable",
        server().port()
    );
    assert_eq!(made.outputs["url"], url);
    assert_eq!(made.outputs["username"], made.outputs["name"]);
    let stored = server().sql(
        "postgres",
        &format!(
            "select rolpassword like 'SCRAM-SHA-256$4096:%' from pg_authid where rolname = '{name}'"
        ),
    );
    assert_eq!(stored.unwrap(), "t");

    // Nothing has changed: nothing is done, and the password stays.
    let again = later(&first, &made.state, &drop());
    let planned = plan(&again, &host);
    assert_eq!((planned.action, planned.summary), (Action::None, Vec::new()));
    let same = provision(&again, &host);
    assert_eq!((&same.outputs, &same.state), (&made.outputs, &made.state));
    assert_eq!(same.secret_outputs, []);
    assert_eq!(observe(&again, &host), Some(Value::Object(made.outputs.clone())));
    assert_eq!(as_workload(&made, &secret, "select count(*) from orders").unwrap(), "1");

    destroy(&again, &host).unwrap();
    assert_eq!(marked("lifecycle"), ("0".to_owned(), "0".to_owned()));
    assert_eq!(observe(&again, &host), None);
    destroy(&again, &host).unwrap();
    // Nobody was told a password.
    let said = format!("{:?}{}", host.lines(), server().log());
    assert!(!said.contains(&secret) && !said.contains(PASSWORD));
}

#[test]
fn an_account_that_is_no_superuser_is_enough() {
    let server = server();
    server
        .sql("postgres", "create role helper login createdb createrole password 'helper-password'")
        .unwrap();
    let host = host_of(server.port(), "helper-password\n");
    for how in ["drop", "refuse-if-not-empty", "rename"] {
        let more = json!({
            "admin_user": "helper",
            "extensions": ["pgcrypto"],
            "connection_limit": 3,
            "on_destroy": how,
        });
        let first = request(&format!("helper-{how}"), &more);
        assert_eq!(plan(&first, &host).action, Action::Create);
        let made = provision(&first, &host);
        let encrypt = "select length(crypt('x', gen_salt('bf', 4)))";
        assert_eq!(as_workload(&made, password(&made), encrypt).unwrap(), "60");
        as_workload(&made, password(&made), "create table empty (id int)").unwrap();
        let again = later(&first, &made.state, &more);
        assert_eq!(plan(&again, &host).action, Action::None);
        assert_eq!(observe(&again, &host), Some(Value::Object(made.outputs.clone())));
        destroy(&again, &host).unwrap();
    }
}

#[test]
fn no_other_role_can_connect() {
    let host = host();
    let one = provision(&request("apart-1", &drop()), &host);
    let two = provision(&request("apart-2", &drop()), &host);
    let role = (two.state.role.as_str(), password(&two));
    let refused = server().sql_as(role, &one.state.database, "select 1").unwrap_err();
    assert!(refused.to_string().contains("permission denied for database"), "{refused}");
}

#[test]
fn data_is_not_dropped_unasked() {
    let host = host();
    let more = json!({"on_destroy": "refuse-if-not-empty"});
    let first = request("refuse", &more);
    let made = provision(&first, &host);
    let again = later(&first, &made.state, &more);
    let secret = password(&made);
    for (data, away) in [
        (
            "create schema \"s\"\"x\"; create table \"s\"\"x\".\"T\" as select 1",
            "drop schema \"s\"\"x\" cascade",
        ),
        ("create materialized view v as select 1", "drop materialized view v"),
        ("select lo_create(4711)", "select lo_unlink(4711)"),
    ] {
        as_workload(&made, secret, data).unwrap();
        let fault = destroy(&again, &host).unwrap_err().to_string();
        assert!(
            fault.starts_with("conflict: the database") && fault.contains("not empty"),
            "{fault}"
        );
        as_workload(&made, secret, away).unwrap();
    }
    as_workload(&made, secret, "create table migrated (id int); create view w as select 1")
        .unwrap();
    destroy(&again, &host).unwrap();
    assert_eq!(marked("refuse"), ("0".to_owned(), "0".to_owned()));
}

#[test]
fn a_database_is_set_aside_and_the_next_one_is_new() {
    let host = host().at_ms(1_795_271_415_000);
    let first = request("aside", &json!({}));
    let made = provision(&first, &host);
    let secret = password(&made).to_owned();
    as_workload(&made, &secret, "create table orders as select 1").unwrap();
    let name = &made.state.database;
    let again = later(&first, &made.state, &json!({}));
    destroy(&again, &host).unwrap();
    destroy(&again, &host).unwrap();
    assert!(as_workload(&made, &secret, "select 1").is_err());
    let aside = server()
        .sql("postgres", "select datname, datallowconn from pg_database where datname ~ '_until_'");
    assert!(aside.unwrap().contains(&format!("{name}_until_20261121_143015|f")));
    assert_eq!(observe(&again, &host), None);

    let anew = provision(&first, &host);
    let tables = "select count(*) from pg_tables where schemaname = 'public'";
    assert_eq!(as_workload(&anew, password(&anew), tables).unwrap(), "0");
}

#[test]
fn a_database_that_is_kept_can_be_had_again() {
    let host = host();
    let more = json!({"on_destroy": "keep"});
    let first = request("kept", &more);
    let made = provision(&first, &host);
    let secret = password(&made).to_owned();
    as_workload(&made, &secret, "create table orders as select 7 as id").unwrap();
    destroy(&later(&first, &made.state, &more), &host).unwrap();
    assert!(as_workload(&made, &secret, "select 1").is_err());
    let anew = provision(&first, &host);
    assert_eq!(as_workload(&anew, password(&anew), "select id from orders").unwrap(), "7");
    assert!(as_workload(&made, &secret, "select 1").is_err(), "the old password is gone");
}

#[test]
fn two_calls_at_once_make_one_database() {
    server();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                until_done(|| {
                    try_provision(&request("at-once", &drop()), &host()).map(std::mem::drop)
                });
            });
        }
    });
    assert_eq!(marked("at-once"), ("1".to_owned(), "1".to_owned()));
}
