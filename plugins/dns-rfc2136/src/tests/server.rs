//! Against BIND 9: a primary and a secondary.

use super::bind::KEYS;
use super::stage::{Stage, refused};
use crate::Dns;
use deployd_plugin_sdk::Fault;
use deployd_plugin_sdk::driver::{Action, Driver, Progress, Removal};
use serde_json::json;

const NAME: &str = "shop.apps.example.com";
const OWNERSHIP: &str = "_deployd.shop.apps.example.com";

fn conflict(fault: Fault, parts: &[&str]) {
    let Fault::Conflict(message) = fault else { panic!("{fault}") };
    for part in parts {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_name_comes_changes_and_goes() {
    let mut stage = Stage::new();
    let planned = stage.plan().unwrap();
    assert_eq!(planned.action, Action::Create);
    assert_eq!(planned.summary, ["+ shop.apps.example.com 300 A 192.0.2.10"]);
    assert_eq!(planned.outputs["host"], NAME);
    assert!(stage.dig(NAME, "A").is_empty(), "a plan changes nothing");

    let provisioned = stage.provision().unwrap();
    assert_eq!(provisioned.outputs["host"], NAME);
    assert_eq!(provisioned.outputs["records"], json!({"A": ["192.0.2.10"]}));
    assert_eq!(stage.dig(NAME, "A"), ["192.0.2.10"]);
    let ownership = stage.dig(OWNERSHIP, "TXT");
    assert_eq!(
        ownership,
        ["\"deployd installation=default uid=0123456789abcdef application=shop \
          environment=staging-1 types=A\""]
    );
    assert_eq!(stage.action(), Action::None);
    let serial = stage.dig("apps.example.com", "SOA");
    assert_eq!(stage.provision().unwrap(), provisioned);
    assert_eq!(stage.dig("apps.example.com", "SOA"), serial, "again changes nothing");

    stage.params = json!({"ttl": 60});
    stage.with("records", json!({"A": ["192.0.2.11", "192.0.2.12"], "TXT": "a \"text\""}));
    let planned = stage.plan().unwrap();
    assert_eq!(planned.action, Action::Update);
    assert_eq!(
        planned.summary,
        [
            "- shop.apps.example.com 300 A 192.0.2.10",
            "+ shop.apps.example.com 60 A 192.0.2.11",
            "+ shop.apps.example.com 60 A 192.0.2.12",
            "+ shop.apps.example.com 60 TXT a \"text\"",
        ]
    );
    stage.provision().unwrap();
    assert_eq!(stage.dig(NAME, "A"), ["192.0.2.11", "192.0.2.12"]);
    assert_eq!(stage.dig(NAME, "TXT"), ["\"a \\\"text\\\"\""]);

    // To an alias, and back to an address.
    stage.with("records", json!({"CNAME": "Ingress.Example.com."}));
    stage.provision().unwrap();
    assert_eq!(stage.dig(NAME, "CNAME"), ["ingress.example.com."]);
    assert!(stage.dig(NAME, "TXT").iter().all(|line| !line.contains("text")));
    assert_eq!(stage.action(), Action::None);
    stage.with("records", json!({"AAAA": "2001:db8::1"}));
    stage.provision().unwrap();
    assert_eq!(stage.dig(NAME, "AAAA"), ["2001:db8::1"]);
    assert!(stage.dig(NAME, "CNAME").is_empty());

    stage.destroy().unwrap();
    for (name, kind) in [(NAME, "ANY"), (OWNERSHIP, "ANY")] {
        assert!(stage.dig(name, kind).is_empty());
    }
    stage.destroy().unwrap();
    assert_eq!(stage.action(), Action::Create);
}

#[test]
fn each_algorithm_is_taken() {
    let mut stage = Stage::new();
    for ((name, algorithm, secret), address) in
        KEYS.iter().take(3).zip(["192.0.2.1", "192.0.2.2", "192.0.2.3"])
    {
        stage.secret = secret;
        stage.with("key", json!({"name": name, "algorithm": algorithm, "secret": "key"}));
        stage.with("records", json!({"A": address}));
        stage.provision().unwrap();
        assert_eq!(stage.dig(NAME, "A"), [address]);
    }
}

#[test]
fn what_somebody_else_has_stays_as_it_is() {
    let mut stage = Stage::new();
    for (name, parts) in [
        ("foreign.apps.example.com", ["(A)", "no ownership record"].as_slice()),
        ("mail.apps.example.com", &["(MX)"]),
        ("www.apps.example.com", &["(CNAME)"]),
        (
            "taken.apps.example.com",
            &["resource another of application blog, environment production"],
        ),
        ("half.apps.example.com", &["somebody's note"]),
    ] {
        let before = stage.primary(name, "ANY");
        stage.with("name", json!(name));
        for records in [json!({"A": "192.0.2.10"}), json!({"CNAME": "other.example.com"})] {
            stage.with("records", records);
            conflict(refused(stage.plan()), parts);
            conflict(refused(stage.provision()), parts);
        }
        // Neither is it taken away.
        stage.destroy().unwrap();
        assert_eq!(stage.primary(name, "ANY"), before);
    }
    // The same name of another resource of ours.
    stage.with("records", json!({"A": "192.0.2.10"}));
    stage.with("name", json!(NAME)).provision().unwrap();
    stage.uid = "fedcba9876543210";
    stage.state = None;
    conflict(refused(stage.provision()), &["resource 0123456789abcdef of application shop"]);
    stage.destroy().unwrap();
    // And the same resource of another installation.
    stage.uid = "0123456789abcdef";
    stage.with("installation", json!("second"));
    conflict(refused(stage.provision()), &["installation default"]);
    stage.destroy().unwrap();
    assert_eq!(stage.dig(NAME, "A"), ["192.0.2.10"]);
}

#[test]
fn what_is_put_beside_our_records_stays() {
    let mut stage = Stage::new();
    stage.provision().unwrap();
    let beside = "update add shop.apps.example.com 300 MX 10 mail.example.com.";
    stage.pair.primary.nsupdate(beside).unwrap();
    stage.with("records", json!({"A": "192.0.2.20"})).provision().unwrap();
    assert_eq!(stage.dig(NAME, "MX"), ["10 mail.example.com."]);
    // An alias can't be beside it: refused as a whole, before and when it is done.
    stage.with("records", json!({"CNAME": "other.example.com"}));
    conflict(refused(stage.plan()), &["MX"]);
    conflict(refused(stage.provision()), &["MX"]);
    assert_eq!(stage.dig(NAME, "A"), ["192.0.2.20"]);
    // Neither is a type taken that somebody else has filled.
    let text = "update add shop.apps.example.com 300 TXT \"theirs\"";
    stage.pair.primary.nsupdate(text).unwrap();
    stage.with("records", json!({"A": "192.0.2.20", "TXT": "ours"}));
    conflict(refused(stage.provision()), &["TXT"]);
    stage.with("records", json!({"A": "192.0.2.20"}));
    stage.destroy().unwrap();
    assert_eq!(stage.dig(NAME, "ANY").len(), 2);
    assert!(stage.dig(NAME, "A").is_empty());
}

/// RFC 2136, 3.4.2.2: the server leaves it out and says nothing.
#[test]
fn an_alias_that_the_server_leaves_out_is_noticed() {
    let mut stage = Stage::new();
    stage.provision().unwrap();
    // A type that no prerequisite names.
    let beside = "update add shop.apps.example.com 300 LOC 51 0 0 N 0 0 0 E 0m";
    stage.pair.primary.nsupdate(beside).unwrap();
    stage.with("records", json!({"CNAME": "other.example.com"}));
    conflict(refused(stage.provision()), &["can't be beside"]);
}

#[test]
fn what_a_wildcard_gives_is_nobodys() {
    let mut stage = Stage::new();
    let name = "a.wild.apps.example.com";
    assert_eq!(stage.dig(name, "A"), ["192.0.2.99"]);
    stage.with("name", json!(name));
    stage.with("records", json!({"A": "192.0.2.99"}));
    assert_eq!(stage.action(), Action::Create);
    stage.provision().unwrap();
    assert_eq!(stage.dig("_deployd.a.wild.apps.example.com", "TXT").len(), 1);
    stage.destroy().unwrap();
    assert_eq!(stage.dig(name, "A"), ["192.0.2.99"]);
    // A wildcard of our own.
    stage.with("name", json!("*.previews.apps.example.com")).provision().unwrap();
    assert_eq!(stage.dig("pr-1.previews.apps.example.com", "A"), ["192.0.2.99"]);
    assert_eq!(stage.action(), Action::None);
    stage.destroy().unwrap();
    assert!(stage.dig("pr-1.previews.apps.example.com", "A").is_empty());
}

#[test]
fn drift_is_seen_and_healed() {
    let mut stage = Stage::new();
    assert_eq!(stage.observe().unwrap(), None);
    let outputs = stage.provision().unwrap().outputs;
    assert_eq!(stage.observe().unwrap(), Some(outputs.clone().into()));
    // What is there is what was made, whatever comes next.
    stage.with("name", json!("next.apps.example.com"));
    assert_eq!(stage.observe().unwrap(), Some(outputs.clone().into()));
    stage.with("name", json!(NAME));
    let by_hand = "update delete shop.apps.example.com A\n\
                   update add shop.apps.example.com 60 A 192.0.2.66";
    stage.pair.primary.nsupdate(by_hand).unwrap();
    let seen = stage.observe().unwrap().unwrap();
    assert_eq!((&seen["records"], &seen["ttl"]), (&json!({"A": ["192.0.2.66"]}), &json!(60)));
    assert_eq!(stage.action(), Action::Update);
    stage.provision().unwrap();
    assert_eq!(stage.observe().unwrap(), Some(outputs.into()));
    // All of it.
    let by_hand =
        "update delete shop.apps.example.com\nupdate delete _deployd.shop.apps.example.com";
    stage.pair.primary.nsupdate(by_hand).unwrap();
    assert_eq!(stage.observe().unwrap(), None);
    assert_eq!(stage.action(), Action::Update);
    stage.provision().unwrap();
    assert_eq!(stage.dig(NAME, "A"), ["192.0.2.10"]);
}

#[test]
fn another_name_replaces_the_old_one_once_it_is_everywhere() {
    let mut stage = Stage::new();
    stage.provision().unwrap();
    stage.with("name", json!("store.apps.example.com"));
    let planned = stage.plan().unwrap();
    assert_eq!(planned.action, Action::Replace);
    assert!(planned.summary.last().unwrap().contains(NAME), "{:?}", planned.summary);
    stage.pair.secondary.kill().unwrap();
    let Ok(Progress::Pending(_)) = stage.call(None) else { panic!("not everywhere yet") };
    assert_eq!(stage.primary(NAME, "A"), ["192.0.2.10"], "the old one is still there");
    stage.pair.secondary.start().unwrap();
    stage.provision().unwrap();
    assert_eq!(stage.dig("store.apps.example.com", "A"), ["192.0.2.10"]);
    assert!(stage.dig(NAME, "A").is_empty());
    assert!(stage.dig(OWNERSHIP, "TXT").is_empty());
    // A replacement that is broken off and given up leaves neither.
    stage.with("name", json!("third.apps.example.com"));
    stage.pair.secondary.kill().unwrap();
    let Ok(Progress::Pending(_)) = stage.call(None) else { panic!("not everywhere yet") };
    stage.pair.secondary.start().unwrap();
    stage.destroy().unwrap();
    assert!(stage.dig("store.apps.example.com", "A").is_empty());
    assert!(stage.dig("third.apps.example.com", "A").is_empty());
}

#[test]
fn a_secondary_that_is_away_is_waited_for_and_not_for_ever() {
    let mut stage = Stage::new();
    stage.pair.secondary.kill().unwrap();
    let Ok(Progress::Pending(pending)) = stage.call(None) else { panic!("not everywhere yet") };
    let secondary = format!("127.0.0.1:{}", stage.pair.secondary.port);
    assert!(pending.message.contains(&secondary), "{}", pending.message);
    assert_eq!(stage.primary(NAME, "A"), ["192.0.2.10"]);
    // Ten minutes later.
    stage.ahead = 601;
    let fault = refused(stage.call(Some(&pending.token)));
    // The server's clock is behind ours then, and that is told first.
    assert!(matches!(fault, Fault::Unavailable { .. }), "{fault}");
    stage.ahead = 0;
    stage.with("propagation_seconds", json!(1));
    stage.ahead = 2;
    let fault = refused(stage.call(Some(&pending.token)));
    assert!(matches!(fault, Fault::Unavailable { .. }), "{fault}");
    assert!(fault.to_string().contains("still does not have the change"), "{fault}");
    assert!(fault.to_string().contains(&secondary), "{fault}");
    stage.ahead = 0;
    stage.with("propagation_seconds", json!(600));
    stage.pair.secondary.start().unwrap();
    stage.provision().unwrap();
    assert_eq!(stage.dig(NAME, "A"), ["192.0.2.10"]);
}

#[test]
fn a_secondary_that_is_away_keeps_no_name_for_ever() {
    let mut stage = Stage::new();
    stage.provision().unwrap();
    stage.pair.secondary.kill().unwrap();
    let call = |stage: &Stage, token: Option<&str>| {
        let host = stage.host();
        (Dns::destroy(&stage.request(), token, &host).unwrap(), host.lines())
    };
    let (Removal::Pending(pending), _) = call(&stage, None) else { panic!("not everywhere yet") };
    assert!(stage.primary(NAME, "A").is_empty());
    stage.with("propagation_seconds", json!(1));
    stage.ahead = 2;
    let (removal, lines) = call(&stage, Some(&pending.token));
    assert_eq!(removal, Removal::Done);
    let secondary = format!("127.0.0.1:{}", stage.pair.secondary.port);
    assert!(lines.iter().any(|line| line.starts_with("warn") && line.contains(&secondary)));
}

#[test]
fn a_key_that_is_wrong_is_told_from_a_clock_that_is() {
    let mut stage = Stage::new();
    let texts = |stage: &mut Stage| {
        let faults = [refused(stage.plan()), refused(stage.provision()), refused(stage.destroy())];
        let texts = faults.map(|fault| fault.to_string());
        for (text, (_, _, secret)) in texts.iter().flat_map(|text| KEYS.map(|key| (text, key))) {
            assert!(!text.contains(secret), "{text}");
        }
        texts
    };
    let text = |stage: &mut Stage| {
        let texts = texts(stage);
        assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
        texts[0].clone()
    };
    stage.secret = KEYS[1].2;
    let told = text(&mut stage);
    assert!(told.starts_with("denied: ") && told.contains("BADSIG"), "{told}");
    stage.secret = KEYS[0].2;
    stage.with("key", json!({"name": "nobody", "secret": "key"}));
    let told = text(&mut stage);
    assert!(told.starts_with("denied: ") && told.contains("BADKEY"), "{told}");
    // Another algorithm than the server's is another key.
    stage.with("key", json!({"name": "deployd", "algorithm": "hmac-sha512", "secret": "key"}));
    let told = text(&mut stage);
    assert!(told.starts_with("denied: ") && told.contains("BADKEY"), "{told}");
    stage.with("key", json!({"name": "deployd", "secret": "key"}));
    for (ahead, direction) in [(3600, "behind"), (-3600, "ahead of")] {
        stage.ahead = ahead;
        // Both clocks go on between the calls, so each has seconds of its own.
        for told in texts(&mut stage) {
            assert!(told.starts_with("unavailable: ") && told.contains("BADTIME"), "{told}");
            assert!(told.contains(direction) && told.contains("NTP"), "{told}");
        }
    }
    stage.ahead = 0;
    stage.secret = KEYS[3].2;
    stage.with("key", json!({"name": "powerless", "secret": "key"}));
    let told = refused(stage.provision()).to_string();
    assert!(told.starts_with("denied: ") && told.contains("update-policy"), "{told}");
    assert!(stage.dig(NAME, "A").is_empty());
}

#[test]
fn a_zone_that_the_server_has_not_is_told() {
    let mut stage = Stage::new();
    stage.with("zone", json!("example.org")).with("name", json!("shop.example.org"));
    let fault = refused(stage.provision());
    assert!(matches!(fault, Fault::Denied(_)), "{fault}");
    assert!(fault.to_string().contains("shop.example.org"), "{fault}");
    // A zone that is a part of the server's: the update is refused.
    stage.with("zone", json!("sub.apps.example.com"));
    stage.with("name", json!("shop.sub.apps.example.com"));
    let fault = refused(stage.provision());
    assert!(fault.to_string().contains("/inputs/zone"), "{fault}");
    assert!(fault.to_string().contains("has no zone sub.apps.example.com"), "{fault}");
    // A name in a part that the server has given to another.
    stage.with("zone", json!("apps.example.com"));
    stage.with("name", json!("shop.delegated.apps.example.com"));
    let fault = refused(stage.provision());
    assert!(fault.to_string().contains("delegates"), "{fault}");
    // A server that only has a copy.
    stage.with("name", json!(NAME));
    stage.through = Some(stage.pair.secondary.port);
    let fault = refused(stage.provision());
    assert!(matches!(fault, Fault::Denied(_) | Fault::Permanent(_)), "{fault}");
    assert!(fault.to_string().contains("primary"), "{fault}");
}
