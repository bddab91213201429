//! What changes: definitions, passwords, and what somebody else does.

use super::stage::*;
use deployd_plugin_sdk::driver::{Action, Driver};
use serde_json::{Value, json};

#[test]
fn a_password_is_rotated_and_every_reference_leads_to_the_new_one() {
    let host = host();
    let first = request("rotated", &json!({}));
    let made = provision(&first, &host);
    let old = password(&made).to_owned();
    let asked = json!({"password_generation": 2});
    let second = later(&first, &made.state, &asked);
    let planned = plan(&second, &host);
    assert_eq!(planned.action, Action::Update);
    assert!(planned.summary[0].contains("password_generation has changed"), "{planned:?}");
    assert!(!planned.outputs.contains_key("password"));

    let rotated = provision(&second, &host);
    let new = password(&rotated).to_owned();
    assert_ne!(old, new);
    assert_eq!(rotated.outputs["password"], "⟦secret:rotated/password-2⟧");
    // A deployment that is rolled back refers to the first.
    let names = ["password-1", "password-2"].map(|name| (name.to_owned(), new.clone()));
    assert_eq!(rotated.secret_outputs, names);
    as_workload(&made, &new, "select 1").unwrap();
    assert!(as_workload(&made, &old, "select 1").is_err());
    // Once.
    let third = later(&first, &rotated.state, &asked);
    assert_eq!(plan(&third, &host).action, Action::None);
    assert_eq!(provision(&third, &host).secret_outputs, []);
    let said = format!("{:?}", host.lines());
    assert!(!said.contains(&old) && !said.contains(&new), "{said}");
}

#[test]
fn a_password_grows_old() {
    let days = |days: u64| 1_700_000_000_000 + days * 86_400_000;
    let at = |ms| host().at_ms(ms);
    let more = json!({"rotate_after_days": 90});
    let first = request("old", &more);
    let made = provision(&first, &at(days(0)));
    let next = later(&first, &made.state, &more);
    assert_eq!(plan(&next, &at(days(89))).action, Action::None);
    assert_eq!(plan(&next, &at(days(90))).action, Action::Update);
    let rotated = provision(&next, &at(days(90)));
    let next = later(&first, &rotated.state, &more);
    assert_eq!(plan(&next, &at(days(91))).action, Action::None);
}

#[test]
fn many_rotations_keep_what_can_be_rolled_back_to() {
    let host = host();
    let mut request = request("many", &json!({}));
    let mut serials = Vec::new();
    for generation in 1..=20 {
        request.inputs.password_generation = generation;
        let made = provision(&request, &host);
        serials.push(made.secret_outputs.len());
        request.state = Some(made.state);
    }
    assert_eq!((serials[0], serials[15], serials[19]), (1, 16, 16));
}

#[test]
fn a_definition_changes_in_place() {
    let host = host();
    server().sql("postgres", "create role team").unwrap();
    let first = request("changed", &json!({}));
    let made = provision(&first, &host);
    let secret = password(&made).to_owned();
    let more = json!({"owner": "team", "connection_limit": 2, "extensions": ["hstore", "citext"]});
    let second = later(&first, &made.state, &more);
    let planned = plan(&second, &host);
    assert_eq!(planned.action, Action::Update);
    assert!(planned.summary.len() >= 4, "{planned:?}");
    let changed = provision(&second, &host);
    assert_eq!(changed.secret_outputs, []);
    assert_eq!(changed.outputs["owner"], "team");
    assert_eq!(changed.outputs["connection_limit"], 2);
    assert_eq!(changed.outputs["extensions"], json!(["citext", "hstore"]));
    assert_eq!(plan(&later(&first, &changed.state, &more), &host).action, Action::None);
    as_workload(&made, &secret, "create table t as select 'a'::citext").unwrap();
    // And back.
    let back = provision(&later(&first, &changed.state, &json!({})), &host);
    assert_eq!(back.outputs["owner"], *made.state.role);
    assert_eq!(back.outputs["connection_limit"], Value::Null);
}

#[test]
fn options_count_when_a_database_is_made() {
    let host = host();
    let more =
        json!({"options": {"encoding": "LATIN1", "locale": "C", "tablespace": "pg_default"}});
    let first = request("options", &more);
    let made = provision(&first, &host);
    assert_eq!(made.outputs["encoding"], "LATIN1");
    // Data that is there is not thrown away for another encoding.
    let later = later(&first, &made.state, &json!({"options": {"encoding": "UTF8"}}));
    assert_eq!(plan(&later, &host).action, Action::None);
}

#[test]
fn another_name_is_another_database() {
    let host = host();
    let named = |name: &str| json!({"name": name, "on_destroy": "refuse-if-not-empty"});
    let first = request("moved", &named("moved_one"));
    let made = provision(&first, &host);
    as_workload(&made, password(&made), "create table t as select 1").unwrap();
    let second = later(&first, &made.state, &named("moved_two"));
    let planned = plan(&second, &host);
    assert_eq!(planned.action, Action::Replace);
    assert!(planned.summary[0].contains("dropped if it is empty"), "{planned:?}");
    // There is data: nothing is begun.
    let fault = try_provision(&second, &host).unwrap_err().to_string();
    assert!(fault.contains("not empty"), "{fault}");
    assert_eq!(marked("moved"), ("1".to_owned(), "1".to_owned()));
    as_workload(&made, password(&made), "drop table t").unwrap();
    let moved = provision(&second, &host);
    assert_eq!(moved.outputs["name"], "moved_two");
    assert_eq!(marked("moved"), ("1".to_owned(), "1".to_owned()));
    as_workload(&moved, password(&moved), "select 1").unwrap();
    // Another role would own nothing of what is in the database.
    let role = json!({"name": "moved_two", "username": "other"});
    let fault = try_provision(&later(&first, &moved.state, &role), &host).unwrap_err().to_string();
    assert!(fault.contains("/inputs/username"), "{fault}");
}

#[test]
fn drift_is_seen_and_healed() {
    let (server, host) = (server(), host());
    let more = json!({"extensions": ["citext"], "connection_limit": 5});
    let first = request("drift", &more);
    let made = provision(&first, &host);
    let name = &made.state.database;
    let mut next = later(&first, &made.state, &more);
    let good = Some(Value::Object(made.outputs.clone()));
    for (change, output, found) in [
        (format!("alter role \"{name}\" nologin"), "can_log_in", json!(false)),
        (format!("alter role \"{name}\" connection limit 9"), "connection_limit", json!(9)),
        (format!("alter database \"{name}\" owner to postgres"), "owner", json!("postgres")),
        (
            format!(
                "comment on role \"{name}\" is '{{\"deployd\": {{\"resource\": \"drift\", \"environment\": \"\", \"password\": \"x\"}}}}'"
            ),
            "password_serial",
            Value::Null,
        ),
        (format!("alter database \"{name}\" allow_connections false"), "can_log_in", Value::Null),
    ] {
        server.sql("postgres", &change).unwrap();
        let seen = observe(&next, &host).unwrap();
        assert_eq!(seen[output], found, "{change}");
        assert_eq!(plan(&next, &host).action, Action::Update, "{change}");
        next.state = Some(provision(&next, &host).state);
        let healed = observe(&next, &host).unwrap();
        let same = |seen: &Value| json!([seen["owner"], seen["can_log_in"], seen["extensions"]]);
        assert_eq!(same(&healed), same(good.as_ref().unwrap()), "{change}");
    }
    server.sql(name, "drop extension citext").unwrap();
    assert_eq!(observe(&next, &host).unwrap()["extensions"], json!([]));
    provision(&next, &host);
    server.sql("postgres", &format!("drop database \"{name}\"")).unwrap();
    assert_eq!(observe(&next, &host), None);
    let planned = plan(&next, &host);
    assert_eq!(planned.action, Action::Create, "{planned:?}");
    provision(&next, &host);
}

#[test]
fn what_refers_to_what_is_not_there_yet_can_be_planned() {
    let host = host();
    let later = "(known after provisioning: resources.server.host)";
    for more in [
        json!({"host": later, "port": later}),
        json!({"admin_user": later, "maintenance_database": later}),
        json!({"admin_password": later}),
        json!({"server_name": later, "installation": later, "extensions": [later]}),
        json!({"options": {"template": later}}),
    ] {
        let request = request("preview", &more);
        let planned = plan(&request, &deployd_plugin_sdk::testing::FakeHost::new());
        assert_eq!((planned.action, planned.outputs.len()), (Action::Create, 0), "{more}");
        if more.get("host").is_some() {
            assert!(crate::Postgres::provision(&request, None, &host).is_err());
        }
    }
}
