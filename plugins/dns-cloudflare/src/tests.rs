//! The driver against a stand-in of the API.

// The daemon's tests have it as a server.
#[allow(unreachable_pub, dead_code, reason = "used from two places")]
mod stand_in;

use super::*;
use deployd_plugin_sdk::http;
use deployd_plugin_sdk::testing::{self, FakeHost};
use stand_in::{Asked, StandIn, Trouble, ZONE};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

struct Stage {
    cloud: Rc<RefCell<StandIn>>,
    host: FakeHost,
}

fn stage() -> Stage {
    let cloud = Rc::new(RefCell::new(StandIn::default()));
    let server = cloud.clone();
    let host = FakeHost::new().answer(move |request| {
        let target = request.url.strip_prefix("https://api.cloudflare.com").unwrap();
        let header = |name: &str| request.headers.iter().find(|(n, _)| n == name);
        assert!(header("authorization").is_none(), "the token is the host's");
        let asked =
            Asked { method: &request.method, target, authorization: None, body: &request.body };
        let (status, headers, body) = server.borrow_mut().answer(&asked);
        Ok(http::Response { status, headers, body: body.into() })
    });
    Stage { cloud, host }
}

fn request(inputs: &Value) -> Request<Cloudflare> {
    let mut whole = json!({"zone": "example.com", "name": "web.example.com"});
    whole.as_object_mut().unwrap().extend(inputs.as_object().unwrap().clone());
    testing::request::<Cloudflare>(&json!({}), &whole).unwrap()
}

fn with_state(inputs: &Value, state: &State) -> Request<Cloudflare> {
    let mut request = request(inputs);
    request.state = Some(state.clone());
    request
}

impl Stage {
    fn provision(&self, request: &Request<Cloudflare>) -> Result<Provisioned<State>, Fault> {
        match Cloudflare::provision(request, None, &self.host)? {
            Progress::Done(done) => Ok(done),
            Progress::Pending(_) => panic!("nothing to wait for"),
        }
    }

    fn all(&self) -> Vec<String> {
        self.cloud.borrow().all()
    }

    /// Requests that change something.
    fn writes(&self) -> usize {
        self.cloud.borrow().asked.iter().filter(|asked| !asked.starts_with("GET ")).count()
    }

    fn trouble(&self, method: &str, trouble: Trouble) {
        self.cloud.borrow_mut().trouble(method, trouble);
    }
}

fn addresses(addresses: &[&str]) -> Value {
    json!({"records": {"A": addresses}})
}

#[test]
fn records_are_made_observed_and_taken_away() {
    let stage = stage();
    let inputs = json!({"ttl": 300, "records":
        {"A": ["192.0.2.1"], "AAAA": ["2001:DB8::1"], "TXT": ["say \"hi\""]}});
    let made = stage.provision(&request(&inputs)).unwrap();
    let ours = "deployd res-0001";
    assert_eq!(
        stage.all(),
        [
            format!("A web.example.com 192.0.2.1 {ours}"),
            format!("AAAA web.example.com 2001:db8::1 {ours}"),
            format!("TXT web.example.com \"say \\\"hi\\\"\" {ours}"),
        ]
    );
    let records = json!({"A": ["192.0.2.1"], "AAAA": ["2001:db8::1"], "TXT": ["say \"hi\""]});
    let outputs =
        json!({"host": "web.example.com", "ttl": 300, "proxied": false, "records": records});
    assert_eq!(Value::Object(made.outputs), outputs);
    let request = with_state(&inputs, &made.state);
    assert_eq!(Cloudflare::observe(&request, &stage.host).unwrap(), Some(outputs));
    assert_eq!(Cloudflare::plan(&request, &stage.host).unwrap().action, Action::None);
    assert_eq!(Cloudflare::destroy(&request, None, &stage.host).unwrap(), Removal::Done);
    assert_eq!(stage.all(), Vec::<String>::new());
    assert_eq!(Cloudflare::observe(&request, &stage.host).unwrap(), None);
    assert_eq!(Cloudflare::destroy(&request, None, &stage.host).unwrap(), Removal::Done);
}

#[test]
fn a_repeat_changes_nothing() {
    let stage = stage();
    stage.provision(&request(&addresses(&["192.0.2.1", "192.0.2.2"]))).unwrap();
    let writes = stage.writes();
    stage.provision(&request(&addresses(&["192.0.2.2", "192.0.2.1"]))).unwrap();
    assert_eq!(stage.writes(), writes);
}

#[test]
fn what_differs_is_changed_in_place() {
    let stage = stage();
    stage.provision(&request(&addresses(&["192.0.2.1", "192.0.2.2"]))).unwrap();
    let made = stage.provision(&request(&addresses(&["192.0.2.2", "192.0.2.3"]))).unwrap();
    let asked = stage.cloud.borrow().asked.clone();
    assert_eq!(asked.iter().filter(|asked| asked.starts_with("PATCH ")).count(), 1);
    assert!(!asked.iter().any(|asked| asked.starts_with("DELETE ")), "{asked:?}");
    assert_eq!(made.outputs["records"]["A"], json!(["192.0.2.2", "192.0.2.3"]));
    // An alias instead: the addresses go first.
    stage.provision(&request(&json!({"records": {"CNAME": "Other.example.net."}}))).unwrap();
    assert_eq!(stage.all(), ["CNAME web.example.com other.example.net deployd res-0001"]);
    // What somebody has changed by hand is changed back.
    let proxied = json!({"proxied": true, "records": {"CNAME": "other.example.net"}});
    stage.provision(&request(&proxied)).unwrap();
    assert_eq!(stage.cloud.borrow().records.values().next().unwrap()["proxied"], true);
    let writes = stage.writes();
    stage.provision(&request(&proxied)).unwrap();
    assert_eq!(stage.writes(), writes);
}

#[test]
fn another_name_is_another_resource() {
    let stage = stage();
    let old = stage.provision(&request(&addresses(&["192.0.2.1"]))).unwrap().state;
    let mut inputs = addresses(&["192.0.2.1"]);
    inputs["name"] = json!("www.example.com");
    let request = with_state(&inputs, &old);
    let planned = Cloudflare::plan(&request, &stage.host).unwrap();
    assert_eq!(planned.action, Action::Replace);
    assert_eq!(planned.summary, ["www.example.com instead of web.example.com: A 192.0.2.1"]);
    stage.provision(&request).unwrap();
    assert_eq!(stage.all(), ["A www.example.com 192.0.2.1 deployd res-0001"]);
}

/// The API has 1 for the time of a proxied record, whatever it was given.
#[test]
fn proxied_records_are_no_drift_and_others_are() {
    let stage = stage();
    let inputs = json!({"ttl": 300, "proxied": true,
        "records": {"A": ["192.0.2.1"], "AAAA": ["2001:db8::1"], "TXT": ["a"]}});
    let made = stage.provision(&request(&inputs)).unwrap();
    let request = with_state(&inputs, &made.state);
    let observe = || Cloudflare::observe(&request, &stage.host).unwrap().unwrap();
    assert_eq!(observe(), Value::Object(made.outputs));
    let change = |kind: &str, field: &str, value: Value| {
        let mut cloud = stage.cloud.borrow_mut();
        let record = cloud.records.values_mut().find(|record| record["type"] == kind).unwrap();
        record[field] = value;
    };
    change("TXT", "ttl", json!(60));
    assert_eq!(observe()["ttl"], 60);
    change("TXT", "ttl", json!(300));
    change("A", "proxied", json!(false));
    assert_eq!((&observe()["proxied"], &observe()["ttl"]), (&json!(false), &json!(1)));
}

#[test]
fn a_zone_that_is_gone_is_left_for_another() {
    let stage = stage();
    let mut old = stage.provision(&request(&addresses(&["192.0.2.1"]))).unwrap().state;
    "00000000000000000000000000000000".clone_into(&mut old.zone_id);
    old.zone = Some("gone.example".to_owned());
    let request = with_state(&addresses(&["192.0.2.1"]), &old);
    assert_eq!(Cloudflare::plan(&request, &stage.host).unwrap().action, Action::Replace);
    stage.provision(&request).unwrap();
}

/// What stands before the API when that is not there.
#[test]
fn a_404_of_somebody_else_is_not_the_end_of_a_record() {
    let stage = stage();
    let inputs = addresses(&["192.0.2.1"]);
    let made = stage.provision(&request(&inputs)).unwrap();
    let request = with_state(&inputs, &made.state);
    for body in ["default backend - 404", "{}", r#"{"success":false,"errors":[{"code":1}]}"#] {
        for method in ["GET", "DELETE"] {
            stage.trouble(method, Trouble::Instead(404, Vec::new(), body.to_owned()));
            let fault = Cloudflare::destroy(&request, None, &stage.host).unwrap_err();
            assert!(!matches!(fault, Fault::NotFound(_)), "{fault}");
            assert_eq!(stage.all().len(), 1);
        }
    }
    Cloudflare::destroy(&request, None, &stage.host).unwrap();
    assert_eq!(stage.all(), Vec::<String>::new());
}

#[test]
fn what_another_installation_has_marked_is_a_conflict() {
    let stage = stage();
    let of = |installation: &str| {
        let mut inputs = addresses(&["192.0.2.1"]);
        inputs["installation"] = json!(installation);
        request(&inputs)
    };
    stage.provision(&of("eu")).unwrap();
    assert_eq!(stage.all(), ["A web.example.com 192.0.2.1 deployd eu/res-0001"]);
    for other in ["default", "us"] {
        let fault = stage.provision(&of(other)).unwrap_err();
        assert!(matches!(&fault, Fault::Conflict(text) if text.contains("eu/res-0001")), "{fault}");
        Cloudflare::destroy(&of(other), None, &stage.host).unwrap();
        assert_eq!(Cloudflare::observe(&of(other), &stage.host).unwrap(), None);
    }
    assert_eq!(stage.all().len(), 1);
    Cloudflare::destroy(&of("eu"), None, &stage.host).unwrap();
    assert_eq!(stage.all(), Vec::<String>::new());
}

#[test]
fn what_refers_to_what_is_not_there_yet_can_be_planned() {
    let later = "(known after provisioning: resources.gateway.address)";
    for inputs in [
        addresses(&[later]),
        json!({"name": format!("{later}.example.com"), "records": {"A": ["192.0.2.1"]}}),
        json!({"zone": later, "records": {"CNAME": later}}),
        json!({"installation": later, "api": later, "records": {"TXT": [later]}}),
    ] {
        let planned = Cloudflare::plan(&request(&inputs), &FakeHost::new()).unwrap();
        assert_eq!((planned.action, planned.outputs.len()), (Action::Create, 0), "{inputs}");
    }
}

#[test]
fn records_of_others_are_a_conflict_and_stay() {
    for (kind, content, comment) in [
        ("A", "192.0.2.9", None),
        ("A", "192.0.2.1", Some("by hand")),
        ("A", "192.0.2.1", Some("deployd res-0002")),
        ("CNAME", "other.example.net", None),
    ] {
        let stage = stage();
        stage.cloud.borrow_mut().foreign(kind, "web.example.com", content, comment);
        let before = stage.all();
        let request = request(&addresses(&["192.0.2.1"]));
        let Err(Fault::Conflict(message)) = stage.provision(&request) else { panic!("{kind}") };
        assert!(message.contains("deployd res-0001"), "{message}");
        assert_eq!(Cloudflare::destroy(&request, None, &stage.host).unwrap(), Removal::Done);
        assert_eq!((stage.all(), stage.writes()), (before, 0));
    }
    // Texts stand beside each other, and other names do not matter.
    let stage = stage();
    stage.cloud.borrow_mut().foreign("TXT", "web.example.com", "\"v=spf1 -all\"", None);
    stage.cloud.borrow_mut().foreign("A", "other.example.com", "192.0.2.9", None);
    stage.provision(&request(&json!({"records": {"TXT": ["mine"]}}))).unwrap();
    assert_eq!(stage.all().len(), 3);
}

#[test]
fn a_record_that_is_made_in_between_is_a_conflict() {
    let stage = stage();
    let taken = r#"{"success":false,"errors":[{"code":81058,"message":"An identical record already exists."}],"result":null}"#;
    stage.trouble("POST", Trouble::Instead(400, Vec::new(), taken.to_owned()));
    let fault = stage.provision(&request(&addresses(&["192.0.2.1"]))).unwrap_err();
    assert!(matches!(fault, Fault::Conflict(_)), "{fault}");
}

#[test]
fn what_was_half_made_is_finished_and_taken_away() {
    let inputs = addresses(&["192.0.2.1", "192.0.2.2"]);
    // The first record is made, and nobody hears of it.
    let stage = stage();
    stage.trouble("POST", Trouble::After(502, "<html>".to_owned()));
    let fault = stage.provision(&request(&inputs)).unwrap_err();
    assert!(matches!(fault, Fault::Unavailable { .. }), "{fault}");
    assert_eq!(stage.all().len(), 1);
    stage.provision(&request(&inputs)).unwrap();
    assert_eq!(stage.all().len(), 2);
    // Taken away without a state, as after an attempt that never ended.
    Cloudflare::destroy(&request(&inputs), None, &stage.host).unwrap();
    assert_eq!(stage.all(), Vec::<String>::new());
}

#[test]
fn a_server_that_is_busy_or_broken_is_asked_again_later() {
    let limited = vec![("Retry-After".to_owned(), "7".to_owned())];
    for (status, headers, body, after) in [
        (429, limited.clone(), "", Some(Duration::from_secs(7))),
        (429, Vec::new(), "", None),
        (503, limited, "<html>busy</html>", Some(Duration::from_secs(7))),
        (500, Vec::new(), "", None),
        (200, Vec::new(), "{\"success\": true, \"resu", None),
        (200, Vec::new(), "[]", None),
        (200, Vec::new(), r#"{"success": true, "result": {"a": 1}}"#, None),
        (200, Vec::new(), r#"{"success": true, "result": [{"id": 1}]}"#, None),
    ] {
        let stage = stage();
        stage.trouble("GET", Trouble::Instead(status, headers, body.to_owned()));
        let fault = stage.provision(&request(&addresses(&["192.0.2.1"]))).unwrap_err();
        let Fault::Unavailable { after: told, .. } = fault else { panic!("{status}: {fault}") };
        assert_eq!(told, after, "{status} {body}");
        assert_eq!(stage.writes(), 0);
        stage.provision(&request(&addresses(&["192.0.2.1"]))).unwrap();
    }
}

#[test]
fn refusals_say_what_the_api_says() {
    let error = |code: u32| {
        format!(r#"{{"success":false,"errors":[{{"code":{code},"message":"No."}}],"result":null}}"#)
    };
    for (status, body, expected) in [
        (403, error(10000), "denied: Cloudflare, to look the zone up: status 403 No. (10000)"),
        (401, "<html>".to_owned(), "denied: Cloudflare, to look the zone up: status 401; the"),
        (400, error(9021), "permanent: Cloudflare, to look the zone up: status 400 No. (9021)"),
        (200, error(1), "permanent: Cloudflare, to look the zone up: status 200 No. (1)"),
        (302, String::new(), "invalid; /inputs/api: the API answers with a redirect"),
    ] {
        let stage = stage();
        stage.trouble("GET", Trouble::Instead(status, Vec::new(), body));
        let fault = stage.provision(&request(&addresses(&["192.0.2.1"]))).unwrap_err().to_string();
        assert!(fault.starts_with(expected), "{fault}");
    }
}

#[test]
fn zones_are_found_by_name_or_given_by_id() {
    let stage = stage();
    let mut inputs = addresses(&["192.0.2.1"]);
    inputs["zone"] = json!("example.net");
    inputs["name"] = json!("web.example.net");
    let fault = stage.provision(&request(&inputs)).unwrap_err();
    assert!(matches!(fault, Fault::NotFound(_)), "{fault}");
    let by_id = |id: &str| {
        let inputs =
            json!({"zone_id": id, "name": "web.example.com", "records": {"A": ["192.0.2.1"]}});
        testing::request::<Cloudflare>(&json!({}), &inputs).unwrap()
    };
    stage.provision(&by_id(ZONE)).unwrap();
    let fault = stage.provision(&by_id("00000000000000000000000000000000")).unwrap_err();
    assert!(matches!(fault, Fault::NotFound(_)), "{fault}");
    let fault = stage.provision(&by_id("../user/tokens")).unwrap_err();
    assert!(matches!(fault, Fault::Permanent(_)), "{fault}");
}

#[test]
fn lists_have_pages_and_an_end() {
    let stage = stage();
    let many: Vec<String> = (1..=7).map(|last| format!("192.0.2.{last}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    stage.provision(&request(&addresses(&many))).unwrap();
    stage.cloud.borrow_mut().page_max = Some(2);
    let writes = stage.writes();
    stage.provision(&request(&addresses(&many))).unwrap();
    assert_eq!(stage.writes(), writes);
    // A list that says it never ends.
    let endless = r#"{"success":true,"result":[],"result_info":{"total_pages":4294967295}}"#;
    let zone = format!(r#"{{"success":true,"result":[{{"id":"{ZONE}","name":"example.com"}}]}}"#);
    stage.trouble("GET", Trouble::Instead(200, Vec::new(), zone));
    for _ in 0..20 {
        stage.trouble("GET", Trouble::Instead(200, Vec::new(), endless.to_owned()));
    }
    let fault = stage.provision(&request(&addresses(&many))).unwrap_err();
    assert!(matches!(fault, Fault::Permanent(_)), "{fault}");
}

#[test]
fn ids_of_a_server_can_not_lead_elsewhere() {
    let stage = stage();
    let list = r#"{"success":true,"result":[{"id":"../../../user/tokens","type":"A",
        "name":"web.example.com","content":"192.0.2.9","comment":"deployd res-0001"}]}"#;
    let zone = format!(r#"{{"success":true,"result":[{{"id":"{ZONE}","name":"example.com"}}]}}"#);
    stage.trouble("GET", Trouble::Instead(200, Vec::new(), zone));
    stage.trouble("GET", Trouble::Instead(200, Vec::new(), list.to_owned()));
    let request = request(&addresses(&["192.0.2.1"]));
    let fault = Cloudflare::destroy(&request, None, &stage.host).unwrap_err();
    assert!(matches!(fault, Fault::Permanent(_)), "{fault}");
    assert_eq!(stage.writes(), 0);
}

#[test]
fn inputs_that_make_no_sense_are_named() {
    let stage = stage();
    for (inputs, path) in [
        (json!({"name": "web.example.net", "records": {"A": ["192.0.2.1"]}}), "/inputs/name"),
        (json!({"name": "a b.example.com", "records": {"A": ["192.0.2.1"]}}), "/inputs/name"),
        (json!({"name": "web?x=y.example.com", "records": {"A": ["192.0.2.1"]}}), "/inputs/name"),
        (json!({"records": {"A": ["192.0.2.256"]}}), "/inputs/records/A"),
        (json!({"records": {"AAAA": ["192.0.2.1"]}}), "/inputs/records/AAAA"),
        (json!({"records": {"A": ["192.0.2.1"], "CNAME": "b.example"}}), "/inputs/records/CNAME"),
        (json!({"records": {}}), "/inputs/records"),
        (json!({"ttl": 5, "records": {"A": ["192.0.2.1"]}}), "/inputs/ttl"),
        (json!({"zone_id": ZONE, "records": {"A": ["192.0.2.1"]}}), "/inputs"),
        (json!({"api": "ftp://x", "records": {"A": ["192.0.2.1"]}}), "/inputs/api"),
    ] {
        let fault = stage.provision(&request(&inputs)).unwrap_err();
        let Fault::Invalid(fields) = &fault else { panic!("{fault}") };
        assert_eq!(fields[0].path, path);
    }
    assert_eq!(stage.writes(), 0);
}
