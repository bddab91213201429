//! What goes wrong at the server, and what it is called.

use super::stage::*;
use crate::Postgres;
use deployd_plugin_sdk::Fault;
use deployd_plugin_sdk::driver::Driver;
use deployd_plugin_sdk::testing::{FakeHost, request as plain};
use postgresql_server::{Options, PASSWORD, Server};
use serde_json::{Value, json};

/// The fault of a provision, and of a plan, which is the same.
fn fault(more: &Value, host: &FakeHost) -> Fault {
    let request = request(&format!("faulty {more}"), more);
    let planned = Postgres::plan(&request, host).err();
    let fault = try_provision(&request, host).unwrap_err();
    if let Some(planned) = planned {
        assert_eq!(std::mem::discriminant(&planned), std::mem::discriminant(&fault), "{planned}");
    }
    assert!(!fault.to_string().contains(PASSWORD), "{fault}");
    fault
}

#[test]
fn who_may_not_is_denied() {
    let server = server();
    let wrong = host_of(server.port(), "not-the-password");
    let denied = fault(&json!({}), &wrong);
    assert!(matches!(&denied, Fault::Denied(text) if text.contains("[28P01]")), "{denied}");
    assert!(!denied.to_string().contains("not-the-password"), "{denied}");
    let unknown = fault(&json!({"admin_user": "nobody"}), &host());
    assert!(matches!(unknown, Fault::Denied(_)), "{unknown}");
    server.sql("postgres", "create role weak login password 'weak-password'").unwrap();
    let weak = host_of(server.port(), "weak-password");
    let denied = fault(&json!({"admin_user": "weak"}), &weak);
    assert!(matches!(&denied, Fault::Denied(text) if text.contains("[42501]")), "{denied}");
    server.sql("postgres", "create role half login createrole password 'half-password'").unwrap();
    let half = host_of(server.port(), "half-password");
    let whole = json!({"admin_user": "half", "name": "halfway", "on_destroy": "drop"});
    let denied = fault(&whole, &half);
    assert!(
        matches!(&denied, Fault::Denied(text) if text.contains("make the database")),
        "{denied}"
    );
    // Half of it is there, and with more rights the rest comes.
    server.sql("postgres", "alter role half createdb").unwrap();
    let again = request(&format!("faulty {whole}"), &whole);
    provision(&again, &half);
    destroy(&again, &half).unwrap();
}

#[test]
fn who_is_not_there_or_has_no_room_may_be_later() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let down = fault(&json!({"port": closed}), &host_of(closed, PASSWORD));
    assert!(matches!(down, Fault::Unavailable { .. }), "{down}");
    let server = server();
    server
        .sql("postgres", "create role crowded login connection limit 0 password 'crowded-password'")
        .unwrap();
    let crowded = host_of(server.port(), "crowded-password");
    let fault = fault(&json!({"admin_user": "crowded"}), &crowded);
    assert!(
        matches!(&fault, Fault::Unavailable { message, after: Some(_) } if message.contains("[53300]")),
        "{fault}"
    );
}

#[test]
fn what_is_taken_is_a_conflict() {
    let (server, host) = (server(), host());
    server.sql("postgres", "create role taken_role").unwrap();
    server.sql("postgres", "create database taken_database").unwrap();
    for (name, role) in [
        ("taken_role", "taken_role"),
        ("free", "taken_role"),
        ("taken_database", "free"),
        ("postgres", "free"),
        ("template0", "free"),
        ("free", "postgres"),
    ] {
        let conflict = fault(&json!({"name": name, "username": role}), &host);
        assert!(matches!(conflict, Fault::Conflict(_)), "{name}, {role}: {conflict}");
        assert!(conflict.to_string().contains("not made by deployd"), "{conflict}");
    }
    // Somebody else's, of ours.
    let one = request("taken-1", &json!({"name": "taken_by_one"}));
    provision(&one, &host);
    let two = request("taken-2", &json!({"name": "taken_by_one"}));
    let conflict = try_provision(&two, &host).unwrap_err().to_string();
    assert!(conflict.contains("it is of shop/staging-1, resource taken-1"), "{conflict}");
    // And it is not taken away by who does not own it.
    destroy(&request("taken-2", &json!({"name": "taken_by_one", "on_destroy": "drop"})), &host)
        .unwrap();
    assert_eq!(marked("taken-1"), ("1".to_owned(), "1".to_owned()));
    assert!(host.lines().iter().any(|line| line.contains("somebody else's now")));
}

#[test]
fn what_another_installation_has_made_is_a_conflict() {
    let host = host();
    let of = |installation: &str, name: Option<&str>| {
        let mut more = json!({"installation": installation, "on_destroy": "drop"});
        if let Some(name) = name {
            more["name"] = json!(name);
        }
        request("installed", &more)
    };
    // Whose names are made up have others, and are beside each other.
    for installation in ["default", "eu"] {
        provision(&of(installation, None), &host);
    }
    assert_eq!(marked("installed").1, "2");
    provision(&of("eu", Some("shared_name")), &host);
    for other in ["default", "us"] {
        let conflict = try_provision(&of(other, Some("shared_name")), &host).unwrap_err();
        assert!(matches!(conflict, Fault::Conflict(_)), "{conflict}");
        assert!(
            conflict.to_string().contains("another installation of deployd, \"eu\""),
            "{conflict}"
        );
        destroy(&of(other, Some("shared_name")), &host).unwrap();
        assert_eq!(marked("installed").1, "3");
    }
    for (installation, name) in [("eu", Some("shared_name")), ("eu", None), ("default", None)] {
        destroy(&of(installation, name), &host).unwrap();
    }
    assert_eq!(marked("installed"), ("0".to_owned(), "0".to_owned()));
}

/// An account that is no superuser may not end the session of one.
#[test]
fn who_is_connected_and_may_not_be_disconnected_is_named() {
    let server = server();
    let role = "create role no_superuser login createdb createrole password 'no-superuser'";
    server.sql("postgres", role).unwrap();
    let host = host_of(server.port(), "no-superuser");
    for how in ["rename", "drop"] {
        let more = json!({"admin_user": "no_superuser", "on_destroy": how});
        let first = request(&format!("occupied-{how}"), &more);
        let made = provision(&first, &host);
        let database = made.state.database.clone();
        let occupied = std::thread::spawn(move || {
            server.sql(&database, "select pg_sleep(600)").unwrap_err();
        });
        let pids = format!(
            "from pg_stat_activity where datname = '{}' and query like '%pg_sleep%'",
            made.state.database
        );
        let connected = format!("select count(*) {pids}");
        assert!((0..10_000).any(|_| server.sql("postgres", &connected).unwrap() == "1"));
        let last = later(&first, &made.state, &more);
        let fault = destroy(&last, &host).unwrap_err();
        assert!(matches!(fault, Fault::Unavailable { .. }), "{how}: {fault}");
        assert!(fault.to_string().contains("connected to by \"postgres\""), "{how}: {fault}");
        server.sql("postgres", &format!("select pg_terminate_backend(pid) {pids}")).unwrap();
        occupied.join().unwrap();
        until_done(|| destroy(&last, &host));
        assert_eq!(marked(&first.uid).1, if how == "drop" { "0" } else { "1" });
    }
}

#[test]
fn what_can_not_be_is_invalid() {
    let host = host();
    for more in [
        json!({"extensions": ["no_such_extension"]}),
        json!({"owner": "no_such_role"}),
        json!({"options": {"encoding": "NO_SUCH"}}),
        json!({"options": {"locale": "no_SUCH"}}),
        json!({"options": {"tablespace": "no_such"}}),
    ] {
        let fault = fault(&more, &host);
        assert!(matches!(fault, Fault::Invalid(_)), "{more}: {fault}");
    }
    for more in
        [json!({"options": {"template": "no_such"}}), json!({"maintenance_database": "no_such"})]
    {
        let fault = fault(&more, &host);
        assert!(matches!(fault, Fault::NotFound(_)), "{more}: {fault}");
    }
}

#[test]
fn a_role_that_owns_something_elsewhere_is_told() {
    let (server, host) = (server(), host());
    let more = json!({"on_destroy": "drop"});
    let first = request("elsewhere", &more);
    let made = provision(&first, &host);
    let role = &made.state.role;
    let schema = format!("create schema theirs authorization \"{role}\"");
    server.sql("postgres", &schema).unwrap();
    let again = later(&first, &made.state, &more);
    let fault = destroy(&again, &host).unwrap_err();
    assert!(matches!(&fault, Fault::Conflict(text) if text.contains("[2BP01]")), "{fault}");
    server.sql("postgres", "drop schema theirs").unwrap();
    destroy(&again, &host).unwrap();
    assert_eq!(marked("elsewhere"), ("0".to_owned(), "0".to_owned()));
}

#[test]
fn a_standby_is_told_apart() {
    let standby = Server::start(&Options { standby: true, ..Options::default() }).unwrap();
    let host = host_of(standby.port(), PASSWORD);
    let inputs = json!({
        "host": "127.0.0.1", "port": standby.port(), "admin_password": "admin", "tls": "disable",
    });
    let request = plain::<Postgres>(&json!({}), &inputs).unwrap();
    for fault in [
        Postgres::plan(&request, &host).unwrap_err(),
        try_provision(&request, &host).unwrap_err(),
        destroy(&request, &host).unwrap_err(),
    ] {
        assert!(
            matches!(&fault, Fault::Unavailable { message, .. } if message.contains("standby")),
            "{fault}"
        );
    }
}

#[test]
fn old_ways_of_authentication_need_tls() {
    let access = "host all md5er 127.0.0.1/32 md5\nhost all plain 127.0.0.1/32 password\n\
                  host all trusted 127.0.0.1/32 trust";
    let server = Server::start(&Options { access, ..Options::default() }).unwrap();
    server
        .sql("postgres", "set password_encryption = md5; create role md5er login password 'old-password'; create role plain login password 'old-password'; create role trusted superuser login")
        .unwrap();
    let host = host_of(server.port(), "old-password");
    let of = |user: &str| {
        let inputs = json!({
            "host": "127.0.0.1", "port": server.port(), "admin_password": "admin",
            "admin_user": user, "tls": "prefer",
        });
        plain::<Postgres>(&json!({}), &inputs).unwrap()
    };
    for user in ["md5er", "plain"] {
        let fault = try_provision(&of(user), &host).unwrap_err();
        assert!(
            matches!(&fault, Fault::Denied(text) if text.contains("inside TLS only")),
            "{fault}"
        );
    }
    provision(&of("trusted"), &host);
}
