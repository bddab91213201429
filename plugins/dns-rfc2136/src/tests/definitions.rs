//! What definitions and workloads may say.
#![expect(clippy::needless_pass_by_value, reason = "json!(…) reads better without a & before it")]

use crate::definition::Wanted;
use crate::record::Kind;
use crate::{Dns, State};
use deployd_plugin_sdk::Fault;
use deployd_plugin_sdk::driver::{Action, Driver};
use deployd_plugin_sdk::testing::{self, FakeHost};
use serde_json::{Value, json};

fn inputs(changes: Value) -> Value {
    let mut inputs = json!({
        "server": "ns1.example.com",
        "zone": "apps.example.com",
        "key": {"name": "deployd", "secret": "key"},
        "name": "shop.apps.example.com",
        "records": {"A": "192.0.2.10"},
    });
    for (key, value) in changes.as_object().unwrap() {
        inputs[key] = value.clone();
    }
    inputs
}

fn wanted(params: Value, changes: Value) -> Result<Wanted, Fault> {
    Wanted::of(&testing::request::<Dns>(&params, &inputs(changes))?)
}

fn refused(params: Value, changes: Value, path: &str) -> String {
    let fault = wanted(params, changes).unwrap_err().to_string();
    assert!(fault.contains(path), "{fault}");
    fault
}

#[test]
fn one_value_or_several() {
    let one = wanted(json!({}), json!({})).unwrap();
    assert_eq!(one.sets[&Kind::A].texts(Kind::A), ["192.0.2.10"]);
    assert_eq!(one.ttl, 300);
    let records = json!({"A": ["192.0.2.11", "192.0.2.10"], "AAAA": "2001:db8::1", "TXT": ["a b"]});
    let several = wanted(Value::Null, json!({"records": records})).unwrap();
    assert_eq!(several.sets[&Kind::A].texts(Kind::A), ["192.0.2.10", "192.0.2.11"]);
    assert_eq!(several.sets[&Kind::Aaaa].texts(Kind::Aaaa), ["2001:db8::1"]);
    assert_eq!(several.sets[&Kind::Txt].texts(Kind::Txt), ["a b"]);
}

#[test]
fn values_are_checked_before_anybody_is_asked() {
    let records = |records: Value| json!({"records": records});
    for (bad, path) in [
        (json!({}), "/inputs/records"),
        (json!({"A": []}), "/inputs/records/A"),
        (json!({"A": vec!["192.0.2.1"; 33]}), "/inputs/records/A"),
        (json!({"A": ["192.0.2.1", "2001:db8::1"]}), "/inputs/records/A/1"),
        (json!({"A": "192.0.2.300"}), "/inputs/records/A/0"),
        (json!({"AAAA": "192.0.2.1"}), "/inputs/records/AAAA/0"),
        (json!({"CNAME": "a b"}), "/inputs/records/CNAME/0"),
        (json!({"CNAME": ["a.example", "b.example"]}), "/inputs/records/CNAME"),
        (json!({"CNAME": "a.example", "A": "192.0.2.1"}), "/inputs/records/CNAME"),
        (json!({"CNAME": "shop.apps.example.com"}), "/inputs/records/CNAME"),
        (json!({"TXT": "x".repeat(1025)}), "/inputs/records/TXT/0"),
        (json!({"MX": "10 mail"}), "MX"),
    ] {
        refused(json!({}), records(bad), path);
    }
    refused(json!({}), json!({"name": "shop.example.com"}), "/inputs/name");
    refused(json!({}), json!({"zone": "a..b"}), "/inputs/zone");
    refused(json!({}), json!({"installation": "a b"}), "/inputs/installation");
    refused(json!({}), json!({"authoritative_server": []}), "authoritative_server");
    let servers = vec![json!({"server": "ns"}); 7];
    refused(json!({}), json!({"authoritative_servers": servers}), "/inputs/authoritative_servers");
}

#[test]
fn a_workload_chooses_a_ttl_within_limits() {
    let limits = json!({"min_ttl": 60, "max_ttl": 600});
    assert_eq!(wanted(json!({"ttl": 60}), limits.clone()).unwrap().ttl, 60);
    let fault = refused(json!({"ttl": 59}), limits, "/params/ttl");
    assert!(fault.contains("60 to 600"), "{fault}");
    refused(json!({}), json!({"ttl": 10}), "/inputs/ttl");
    refused(json!({"name": "x"}), json!({}), "name");
}

#[test]
fn a_plan_knows_that_some_values_come_later() {
    let later = "(known after provisioning: resources.cluster.address)";
    let inputs = inputs(json!({"records": {"A": later}}));
    let request = testing::request::<Dns>(&json!({}), &inputs).unwrap();
    assert!(Wanted::planned(&request).unwrap().known_later);
    Wanted::of(&request).unwrap_err();
}

#[test]
fn a_plan_asks_nobody_where_it_does_not_know_whom() {
    let later = "(known after provisioning: resources.app.name).b";
    for more in [
        json!({"name": later}),
        json!({"server": later}),
        json!({"zone": later}),
        json!({"installation": later}),
        json!({"key": {"name": later, "secret": "key"}}),
        json!({"authoritative_servers": [{"server": later}]}),
    ] {
        let request = testing::request::<Dns>(&json!({}), &inputs(more)).unwrap();
        // Neither server nor secret is granted.
        let planned = Dns::plan(&request, &FakeHost::new()).unwrap();
        assert_eq!((planned.action, planned.outputs.len()), (Action::Create, 0));
    }
}

#[test]
fn the_schema_and_the_code_know_the_same_inputs() {
    let schema: Value = serde_json::from_str(include_str!("../../inputs.schema.json")).unwrap();
    let mut all = inputs(json!({}));
    for (name, property) in schema["properties"].as_object().unwrap() {
        if let Some(default) = property.get("default") {
            all[name] = default.clone();
        }
    }
    all["authoritative_servers"] = json!([{"server": "ns1.example.com", "port": 53}]);
    let names =
        |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    assert_eq!(names(&all), names(&schema["properties"]));
    let with_defaults = testing::request::<Dns>(&json!({}), &all).unwrap();
    let without = testing::request::<Dns>(&json!({}), &inputs(json!({}))).unwrap();
    assert_eq!(Wanted::of(&with_defaults).unwrap(), Wanted::of(&without).unwrap());
}

#[test]
fn a_state_is_read_again() {
    let state =
        State { name: "a.b".to_owned(), zone: "b".to_owned(), server: "ns".to_owned(), port: 53 };
    let text = serde_json::to_string(&state).unwrap();
    assert_eq!(serde_json::from_str::<State>(&text).unwrap(), state);
}
