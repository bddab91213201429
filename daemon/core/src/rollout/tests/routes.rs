//! Routes and Ingresses in the middle of a rollout.

use serde_json::{Value, json};

use super::objects::{ingress, manifests, one, route};
use crate::plan::Manifest;
use crate::rollout::{Choice, HeaderMatch, STABLE, Shift, Tracks, Version, desired, ways};

fn of(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn tracks() -> Tracks {
    let begun = Tracks::stable(["api", "web"]);
    begun.applied("canary", &of(&["api", "web"]), Version::New, 100).unwrap()
}

fn shift(parts: &[(&str, u32)]) -> Shift {
    let weights = parts.iter().map(|(track, weight)| ((*track).to_owned(), *weight)).collect();
    Shift { weights, ..Shift::default() }
}

fn header(value: Option<&str>, pattern: Option<&str>) -> HeaderMatch {
    HeaderMatch {
        name: "X-Beta".to_owned(),
        value: value.map(str::to_owned),
        pattern: pattern.map(str::to_owned),
        track: "canary".to_owned(),
    }
}

fn apply(route: &Value, tracks: &Tracks) -> Vec<Manifest> {
    let (new, current) =
        (manifests("2", std::slice::from_ref(route)), manifests("1", std::slice::from_ref(route)));
    let ways = ways(&new, Some(&current), Choice::Auto).unwrap();
    desired(&new, Some(&current), tracks, &ways, &of(&["web"])).apply
}

fn rules(route: &Value, tracks: &Tracks) -> Value {
    one(&apply(route, tracks), "HTTPRoute", "shop")["spec"]["rules"].clone()
}

fn backends(parts: &[(&str, u64)]) -> Value {
    let of = |(name, weight): &(&str, u64)| json!({"name": name, "port": 80, "weight": weight});
    parts.iter().map(of).collect()
}

#[test]
fn weights_become_weights_of_backends() {
    let before = route();
    assert_eq!(rules(&before, &tracks()), before["spec"]["rules"], "as rendered");
    let tracks =
        tracks().shifted(&shift(&[(STABLE, 90), ("canary", 10)]), Some(&of(&["web"]))).unwrap();
    let found = rules(&before, &tracks);
    assert_eq!(found[0], before["spec"]["rules"][0], "another workload's");
    assert_eq!(found[1]["backendRefs"], backends(&[("web-canary", 10), ("web", 90)]));
    let tracks = tracks.shifted(&shift(&[("canary", 100)]), Some(&of(&["web"]))).unwrap();
    assert_eq!(rules(&before, &tracks)[1]["backendRefs"], backends(&[("web-canary", 100)]));
}

#[test]
fn a_backend_that_has_a_part_divides_its_part() {
    let mut before = route();
    before["spec"]["rules"][1]["backendRefs"] =
        json!([{"name": "web", "port": 80, "weight": 3}, {"name": "legacy", "port": 80}]);
    let web = of(&["web"]);
    let tracks = tracks().shifted(&shift(&[(STABLE, 80), ("canary", 20)]), Some(&web)).unwrap();
    assert_eq!(
        rules(&before, &tracks)[1]["backendRefs"],
        backends(&[("web-canary", 60), ("web", 240), ("legacy", 100)])
    );
    // As great as they may be, they still fit.
    before["spec"]["rules"][1]["backendRefs"][0]["weight"] = json!(1_000_000);
    let found = rules(&before, &tracks)[1]["backendRefs"].clone();
    assert_eq!(found, backends(&[("web-canary", 250_000), ("web", 1_000_000), ("legacy", 1)]));
}

#[test]
fn headers_become_rules_before_the_others() {
    let mut before = route();
    before["spec"]["rules"][1]["matches"] = json!([{"path": {"type": "PathPrefix", "value": "/"}}, {"headers": [{"name": "x-beta", "value": "no"}]}]);
    let wanted = Shift {
        headers: vec![header(Some("yes"), None), header(None, Some("y.*"))],
        ..shift(&[(STABLE, 100)])
    };
    let tracks = tracks().shifted(&wanted, None).unwrap();
    let found = rules(&before, &tracks);
    assert_eq!(found.as_array().unwrap().len(), 6);
    assert_eq!(
        found[0],
        json!({"matches": [{"path": {"type": "PathPrefix", "value": "/api"},
                "headers": [{"type": "Exact", "name": "X-Beta", "value": "yes"}]}],
            "backendRefs": [{"name": "api-canary", "port": 80, "weight": 100}]}),
        "without the rule's name, of which there is one"
    );
    assert_eq!(found[1]["matches"][0]["headers"][0]["type"], "RegularExpression");
    assert_eq!(found[2]["name"], "api");
    assert_eq!(
        found[3]["matches"],
        json!([{"path": {"type": "PathPrefix", "value": "/"},
            "headers": [{"type": "Exact", "name": "X-Beta", "value": "yes"}]}]),
        "the other condition asks for another value"
    );
    assert_eq!(found[5]["backendRefs"], backends(&[("web", 100)]));
}

#[test]
fn a_mirror_becomes_a_filter() {
    let wanted = Shift { mirror: Some("canary".to_owned()), ..shift(&[(STABLE, 100)]) };
    let tracks = tracks().shifted(&wanted, Some(&of(&["web"]))).unwrap();
    let found = rules(&route(), &tracks);
    assert_eq!(
        found[1]["filters"],
        json!([{"type": "RequestMirror",
            "requestMirror": {"backendRef": {"name": "web-canary", "port": 80}}}])
    );
    assert_eq!(found[1]["backendRefs"], backends(&[("web", 100)]));
    assert_eq!(found[0].get("filters"), None);
}

#[test]
fn an_ingress_gets_a_second_one() {
    let web = of(&["web"]);
    let tracks = tracks().shifted(&shift(&[(STABLE, 70), ("canary", 30)]), Some(&web)).unwrap();
    let found = apply(&ingress(), &tracks);
    let canary = one(&found, "Ingress", "shop-web-canary");
    assert_eq!(
        canary["metadata"]["annotations"],
        json!({"nginx.ingress.kubernetes.io/affinity": "cookie",
            "nginx.ingress.kubernetes.io/canary": "true",
            "nginx.ingress.kubernetes.io/canary-weight": "30"})
    );
    assert_eq!(
        canary["spec"],
        json!({"ingressClassName": "nginx", "rules": [{"host": "shop.example.com", "http": {"paths": [
            {"path": "/", "pathType": "Prefix", "backend":
                {"service": {"name": "web-canary", "port": {"number": 80}}}}]}}]})
    );
    let by_header = Shift { headers: vec![header(Some("yes"), None)], ..shift(&[(STABLE, 100)]) };
    let tracks = tracks.shifted(&by_header, Some(&web)).unwrap();
    let found = apply(&ingress(), &tracks);
    let annotations = &one(&found, "Ingress", "shop-web-canary")["metadata"]["annotations"];
    for (key, value) in
        [("canary-by-header", "X-Beta"), ("canary-by-header-value", "yes"), ("canary-weight", "0")]
    {
        assert_eq!(annotations[format!("nginx.ingress.kubernetes.io/{key}")], value);
    }
}

#[test]
fn a_pattern_fits_all_of_a_header() {
    let shift = Shift { headers: vec![header(None, Some("a|b"))], ..shift(&[(STABLE, 100)]) };
    let found = apply(&ingress(), &tracks().shifted(&shift, Some(&of(&["web"]))).unwrap());
    let annotations = &one(&found, "Ingress", "shop-web-canary")["metadata"]["annotations"];
    assert_eq!(annotations["nginx.ingress.kubernetes.io/canary-by-header-pattern"], "^(?:a|b)$");
}

#[test]
fn an_ingress_of_one_workload_has_a_short_name() {
    let mut alone = ingress();
    alone["spec"]["rules"][0]["http"]["paths"].as_array_mut().unwrap().remove(0);
    let found = apply(&alone, &tracks());
    let canary = one(&found, "Ingress", "shop-canary");
    assert_eq!(canary["metadata"]["annotations"]["nginx.ingress.kubernetes.io/canary-weight"], "0");
}
