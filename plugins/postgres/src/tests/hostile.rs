//! Names that are statements, tenants that lay traps, and servers that lie.

use super::stage::*;
use crate::Postgres;
use deployd_plugin_sdk::Fault;
use deployd_plugin_sdk::driver::{Action, Driver};
use deployd_plugin_sdk::testing;
use proptest::prelude::*;
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpListener;

const NAMES: [&str; 8] = [
    "x\"; drop role postgres; --",
    "x'; drop database postgres; --",
    "\\\"; select 1; --",
    "a\\'b",
    "$$; drop role postgres; $$",
    "${HOME} %s {0} {{ x }}",
    "Ünï – \u{202e}x",
    "template1\" owner \"postgres",
];

#[test]
fn names_are_names_whatever_they_hold() {
    let host = host();
    for (place, name) in NAMES.iter().enumerate() {
        let more = json!({"name": name, "on_destroy": "drop"});
        let mut first = request(&format!("hostile-{place}-' \" \\"), &more);
        first.scope.application = (*name).to_owned();
        let made = provision(&first, &host);
        assert_eq!(made.outputs["name"], *name);
        as_workload(&made, password(&made), "create table t (id int)").unwrap();
        let mut again = later(&first, &made.state, &more);
        again.scope.application = (*name).to_owned();
        assert_eq!(plan(&again, &host).action, Action::None, "{name}");
        destroy(&again, &host).unwrap();
    }
    let there = "select (select count(*) from pg_roles where rolname = 'postgres'), \
                 (select count(*) from pg_database where datname = 'postgres')";
    assert_eq!(server().sql("template1", there).unwrap(), "1|1");
}

#[test]
fn every_other_name_is_quoted_too() {
    let host = host();
    for (place, name) in NAMES.iter().enumerate() {
        // Of nothing that is there.
        let name = format!("{name} ");
        for (input, more) in [
            json!({"owner": name}),
            json!({"extensions": [name]}),
            json!({"options": {"encoding": name}}),
            json!({"options": {"locale": name}}),
            json!({"options": {"template": name}}),
            json!({"options": {"tablespace": name}}),
            json!({"admin_user": name}),
            json!({"maintenance_database": name}),
        ]
        .into_iter()
        .enumerate()
        {
            let first = request(&format!("quoted-{place}-{input}"), &more);
            let fault = try_provision(&first, &host).unwrap_err();
            assert!(!fault.to_string().contains("syntax error"), "{more}: {fault}");
            assert!(!matches!(fault, Fault::Unavailable { .. }), "{more}: {fault}");
        }
    }
    let trace = "select count(*) from pg_database where datname = 'postgres'";
    assert_eq!(server().sql("template1", trace).unwrap(), "1");
}

/// The owner of a database can give it settings and functions, and we come with
/// more rights than theirs.
#[test]
fn a_tenants_traps_are_not_stepped_into() {
    let host = host();
    let first = request("trap", &json!({}));
    let made = provision(&first, &host);
    let name = &made.state.database;
    for trap in [
        "create function public.has_schema_privilege(oid, oid, text) returns boolean \
         language sql as 'create role trapped superuser; select true'",
        "create function public.eq(name, text) returns boolean \
         language sql as 'select 1/0 = 1'",
        "create operator public.= (leftarg = name, rightarg = text, function = public.eq)",
        &format!("alter database \"{name}\" set search_path = public, pg_catalog"),
        &format!("alter database \"{name}\" set standard_conforming_strings = off"),
        // At once: neither of them lets another session set the other.
        &format!(
            "alter database \"{name}\" set statement_timeout = 1; \
             alter database \"{name}\" set default_transaction_read_only = on"
        ),
    ] {
        as_workload(&made, password(&made), trap).unwrap_or_else(|error| panic!("{trap}: {error}"));
    }
    let more = json!({"extensions": ["citext"], "on_destroy": "refuse-if-not-empty"});
    let again = later(&first, &made.state, &more);
    provision(&again, &host);
    assert!(observe(&again, &host).is_some());
    destroy(&again, &host).unwrap();
    let trapped = "select count(*) from pg_roles where rolname = 'trapped'";
    assert_eq!(server().sql("postgres", trapped).unwrap(), "0");
}

/// A server that says this, whatever it is asked.
fn lying(says: Vec<u8>, tls: &str) -> Fault {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let Ok((mut stream, _)) = listener.accept() else { return Vec::new() };
        let mut heard = vec![0; 4096];
        let count = stream.read(&mut heard).unwrap_or(0);
        heard.truncate(count);
        let _ = stream.write_all(&says);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read_to_end(&mut heard);
        heard
    });
    let host = host_of(port, "hunter2-hunter2");
    let inputs = json!({"host": "127.0.0.1", "port": port, "admin_password": "admin", "tls": tls});
    let request = testing::request::<Postgres>(&json!({}), &inputs).unwrap();
    let fault = Postgres::provision(&request, None, &host).unwrap_err();
    let heard = server.join().unwrap();
    let heard = String::from_utf8_lossy(&heard);
    assert!(!heard.contains("hunter2"), "a password in the clear");
    assert!(!fault.to_string().contains("hunter2"), "{fault}");
    fault
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[tag][..], &length.to_be_bytes(), body].concat()
}

#[test]
fn a_server_that_lies_gets_no_password() {
    let ready = [message(b'R', &[0, 0, 0, 0]), message(b'Z', b"I")].concat();
    let sasl = message(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0");
    for (says, tls, told) in [
        (b"".to_vec(), "require", "closed the connection"),
        (b"N".to_vec(), "require", "the server has no TLS"),
        (b"E\0\0\0\x08lie\0".to_vec(), "require", "an error before TLS"),
        (b"X".to_vec(), "require", "no answer to the request for TLS"),
        (b"".to_vec(), "disable", "closed the connection"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), "disable", "is it a PostgreSQL server"),
        (b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), "disable", "more than 1 MiB"),
        (message(b'R', &[0, 0, 0, 3]), "disable", "in the clear or as MD5"),
        (message(b'R', &[0, 0, 0, 5, 1, 2, 3, 4]), "disable", "in the clear or as MD5"),
        (
            [b"N".to_vec(), message(b'R', &[0, 0, 0, 3])].concat(),
            "prefer",
            "in the clear or as MD5",
        ),
        (message(b'R', &[0, 0, 0, 7]), "disable", "Kerberos"),
        (message(b'R', b"\0\0\0\x0aOTHER\0\0"), "disable", "does not offer SCRAM-SHA-256"),
        ([sasl.clone(), ready.clone()].concat(), "disable", "ends SCRAM too early"),
        ([sasl.clone(), sasl].concat(), "disable", "SCRAM twice"),
        (message(b'R', &[0, 0, 0, 11]), "disable", "SCRAM out of turn"),
        (message(b'R', &[0, 0, 0, 12]), "disable", "SCRAM out of turn"),
        (message(b'D', b"\0\0"), "disable", "rows before a query"),
        ([ready.clone(), message(b'D', b"\0\x01\0\0\0\x09")].concat(), "disable", "too early"),
        ([ready, message(b'R', &[0, 0, 0, 3])].concat(), "disable", "after it had ended"),
        (message(b'E', b"SFATAL\0C28P01\0Mhunter2-hunter2\0\0"), "disable", "[secret]"),
    ] {
        let fault = lying(says, tls);
        assert!(fault.to_string().contains(told), "{told}: {fault}");
    }
}

#[test]
fn a_server_that_says_too_much_is_not_listened_to() {
    let ready = [message(b'R', &[0, 0, 0, 0]), message(b'Z', b"I")].concat();
    let row = message(b'D', &[&[0, 1, 0, 1, 0, 0][..], &[b'x'; 65_536]].concat());
    let notices = message(b'N', b"\0").repeat(50_001);
    for (says, told) in [
        ([ready.clone(), row.repeat(65)].concat(), "an answer is far too long"),
        (
            [ready.clone(), message(b'D', b"\0\0").repeat(10_001)].concat(),
            "an answer is far too long",
        ),
        ([ready, notices.clone()].concat(), "an answer does not end"),
        (notices, "authentication does not end"),
    ] {
        let fault = lying(says, "disable");
        assert!(fault.to_string().contains(told), "{told}: {fault}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_a_server_sends_is_a_fault(says: Vec<u8>, tag in "[RZDCE1SN]", plain: bool) {
        let tls = if plain { "disable" } else { "prefer" };
        lying(message(tag.as_bytes()[0], &says), tls);
        lying(says, tls);
    }
}
