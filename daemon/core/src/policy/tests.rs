use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::Digest;
use crate::resolve::known_later;

const NOW: &str = "2026-11-22T10:00:00Z";

fn policy(name: &str) -> PlannedPolicy {
    PlannedPolicy {
        name: name.parse().unwrap(),
        plugin: PluginRef { name: "cel".to_owned(), digest: Digest::of_parts(&[b"cel"]) },
        params: json!({}),
        enforce: Severity::Deny,
        exemptions: Vec::new(),
    }
}

fn exemption(rule: &str, expires: &str) -> Exemption {
    serde_json::from_value(json!({
        "application": "shop", "rule": rule, "reason": "until the registry has moved",
        "expires": expires
    }))
    .unwrap()
}

fn input() -> Value {
    json!({
        "phase": "rendered", "now": NOW, "application": "shop",
        "environment": {"name": "production", "type": "production"},
        "objects": [{"kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 1}}]
    })
}

fn violation(rule: &str, severity: Severity) -> Violation {
    let (path, message) = ("/objects/0/spec/replicas".to_owned(), "two at least".to_owned());
    Violation { rule: rule.to_owned(), severity, path, message }
}

/// What comes of one violation.
fn one(policy: &PlannedPolicy, severity: Severity, input: &Value) -> PolicyReport {
    report(vec![Answer { policy, found: Ok(vec![violation("replicas", severity)]) }], input)
}

fn effects(report: &PolicyReport) -> Vec<Effect> {
    report.findings.iter().map(|finding| finding.effect).collect()
}

#[test]
fn the_rule_says_what_comes_of_it_and_the_policy_the_most() {
    let mut policy = policy("sizes");
    assert_eq!(effects(&one(&policy, Severity::Deny, &input())), [Effect::Deny]);
    assert_eq!(effects(&one(&policy, Severity::Warn, &input())), [Effect::Warn]);
    policy.enforce = Severity::Warn;
    assert_eq!(effects(&one(&policy, Severity::Deny, &input())), [Effect::Warn]);
}

#[test]
fn who_goes_back_is_only_warned() {
    let mut input = input();
    input["rollback"] = json!(true);
    let policy = policy("sizes");
    assert_eq!(effects(&one(&policy, Severity::Deny, &input)), [Effect::Warn]);
    let found = Err(Fault::transient("plugin-busy", "busy"));
    assert!(!report(vec![Answer { policy: &policy, found }], &input).denies());
}

#[test]
fn an_exemption_counts_for_its_rule_there_and_until_it_expires() {
    let with = |exemption: Exemption| {
        let policy = PlannedPolicy { exemptions: vec![exemption], ..policy("sizes") };
        effects(&one(&policy, Severity::Deny, &input()))
    };
    assert_eq!(with(exemption("replicas", "2026-11-22T10:00:00.001Z")), [Effect::Exempt]);
    assert_eq!(with(exemption("replicas", NOW)), [Effect::Deny], "it is over at its end");
    assert_eq!(with(exemption("by-digest", "2027-01-01T00:00:00Z")), [Effect::Deny]);
    let there = exemption("replicas", "2027-01-01T00:00:00Z");
    let production = Exemption { environment: Some("production".parse().unwrap()), ..there };
    assert_eq!(with(production.clone()), [Effect::Exempt]);
    let staging = Exemption { environment: Some("staging".parse().unwrap()), ..production.clone() };
    assert_eq!(with(staging), [Effect::Deny]);
    let blog = Exemption { application: "blog".parse().unwrap(), ..production };
    assert_eq!(with(blog), [Effect::Deny]);
}

#[test]
fn who_can_not_judge_refuses_and_says_why() {
    let sizes = policy("sizes");
    let tried = PlannedPolicy { enforce: Severity::Warn, ..policy("tried") };
    let fault = Fault::bug("plugin-trap", "it has trapped");
    let of = |policy| report(vec![Answer { policy, found: Err(fault.clone()) }], &input());
    let refused = refusal(&of(&sizes)).unwrap();
    assert_eq!(
        (refused.class, refused.code.as_str()),
        (crate::FaultClass::Denied, "policy-failed")
    );
    assert!(refused.message.contains("sizes") && refused.message.contains("it has trapped"));
    assert_eq!(refusal(&of(&tried)), None, "a policy that is tried refuses nothing");
}

#[test]
fn a_refusal_names_rule_object_and_path() {
    let policy = policy("sizes");
    let fault = refusal(&one(&policy, Severity::Deny, &input())).unwrap();
    assert_eq!(fault.code, "policy-denied");
    let expected = "refused by policy sizes/replicas: two at least \
                    (Deployment web, /objects/0/spec/replicas)";
    assert_eq!(fault.message, expected);
    assert_eq!(fault.detail["findings"][0]["path"], "/objects/0/spec/replicas");
    assert_eq!(refusal(&one(&policy, Severity::Warn, &input())), None);
}

#[test]
fn a_plan_tells_only_what_is_known_already() {
    let policy = policy("sizes");
    let mut input = input();
    input["phase"] = json!("plan");
    input["objects"][0]["metadata"]["annotations"] = json!({"host": known_later("resources.x")});
    assert_eq!(effects(&one(&policy, Severity::Deny, &input)), [Effect::Deny], "elsewhere");
    input["objects"][0]["spec"]["replicas"] = json!(known_later("resources.x.replicas"));
    let found = one(&policy, Severity::Deny, &input);
    assert_eq!((effects(&found), found.later), (vec![], 1));
    input["phase"] = json!("rendered");
    assert_eq!(effects(&one(&policy, Severity::Deny, &input)), [Effect::Deny]);
    // Of what the templater could not render nothing can be told either.
    let whole = Violation { path: String::new(), ..violation("any", Severity::Deny) };
    input["phase"] = json!("plan");
    input["objects"] = Value::Null;
    let found = report(vec![Answer { policy: &policy, found: Ok(vec![whole]) }], &input);
    assert_eq!((effects(&found), found.later), (vec![], 1));
}

#[test]
fn what_is_expected_and_not_found_fails_a_case_and_so_does_what_is_found() {
    let report = one(&policy("sizes"), Severity::Deny, &input());
    let expect =
        |value: Value| -> Vec<ExpectedViolation> { serde_json::from_value(value).unwrap() };
    for right in [
        json!([{"rule": "replicas"}]),
        json!([{"rule": "replicas", "path": "/objects/0/spec/replicas", "effect": "deny"}]),
    ] {
        assert!(compare(&expect(right), &report).passed());
    }
    for (wrong, missing, unexpected) in [
        (json!([]), 0, 1),
        (json!([{"rule": "replicas"}, {"rule": "replicas"}]), 1, 0),
        (json!([{"rule": "replicas", "effect": "warn"}]), 1, 1),
        (json!([{"rule": "replicas", "path": ""}]), 1, 1),
    ] {
        let outcome = compare(&expect(wrong.clone()), &report);
        assert_eq!(
            (outcome.missing.len(), outcome.unexpected.len()),
            (missing, unexpected),
            "{wrong}"
        );
    }
}

#[test]
fn expectations_that_say_more_come_first() {
    let policy = policy("sizes");
    let at = |path: &str| Violation { path: path.to_owned(), ..violation("x", Severity::Deny) };
    let found = Ok(vec![at("/objects/0"), at("/objects/0/spec")]);
    let report = report(vec![Answer { policy: &policy, found }], &input());
    let expect = serde_json::from_value::<Vec<ExpectedViolation>>(
        json!([{"rule": "x"}, {"rule": "x", "path": "/objects/0"}]),
    );
    assert!(compare(&expect.unwrap(), &report).passed());
}

proptest! {
    /// Whatever plugins say, a report is bounded, says how much it leaves out, and
    /// what refuses is never among that.
    #[test]
    fn reports_are_bounded(
        severities in proptest::collection::vec(any::<bool>(), 0..200),
        path in "(/[a-z0-9~]{0,9}){0,60}",
        message in "\\PC{0,700}",
    ) {
        let policy = policy("sizes");
        let violations: Vec<Violation> = severities
            .iter()
            .map(|deny| Violation {
                path: path.clone(),
                message: message.clone(),
                ..violation("x", if *deny { Severity::Deny } else { Severity::Warn })
            })
            .collect();
        let report = report(vec![Answer { policy: &policy, found: Ok(violations) }], &input());
        prop_assert!(report.findings.len() <= FINDINGS_MAX);
        prop_assert_eq!(report.findings.len() + report.more, severities.len());
        prop_assert_eq!(report.denies(), severities.contains(&true));
        prop_assert!(report.findings.iter().all(|one| one.message.chars().count() <= 501));
        prop_assert_eq!(json!(report.at), json!("2026-11-22T10:00:00.000Z"));
    }
}
