use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::config::Heal;
use crate::graph::Uid;
use crate::ports::ObjectRef;
use crate::secret::SecretRef;
use crate::{DeploymentId, Digest, Fault, Timestamp};

fn object(kind: &str, name: &str) -> Subject {
    Subject::Object(ObjectRef {
        api_version: "v1".to_owned(),
        kind: kind.to_owned(),
        namespace: Some("shop".to_owned()),
        name: name.to_owned(),
    })
}

fn resource(name: &str) -> Subject {
    Subject::Resource { uid: Uid(name.to_owned()), name: name.to_owned() }
}

fn field(path: &str, by: &str) -> Drift {
    let values = Difference { recorded: Some(json!(1)), live: Some(json!(2)), hidden: false };
    Drift::FieldDiffers { path: path.to_owned(), values, by: vec![by.to_owned()] }
}

fn report(at: u64, checked: Vec<(Subject, Check)>, before: Option<&DriftReport>) -> DriftReport {
    let checked = checked.into_iter().map(|(subject, check)| Compared { subject, check }).collect();
    let environment = "shop/staging".parse().unwrap();
    DriftReport::new(environment, DeploymentId("d".to_owned()), Timestamp(at), checked, before)
}

fn unknown() -> Check {
    Check::Unknown(Fault::transient("away", "x".repeat(10_000)))
}

#[test]
fn outputs_are_compared_as_far_as_they_are_observed_and_no_secrets() {
    let secret = SecretRef { owner: "u".into(), name: "password".into() }.to_string();
    let recorded = json!({"host": "a", "port": 1, "password": secret, "left-out": true});
    let observed = |live: Value| outputs(&recorded, Some(&live));
    assert!(observed(json!({"host": "a", "port": 1, "password": "plain", "more": 1})).is_empty());
    let found = observed(json!({"host": "b", "port": 1}));
    let values = Difference { recorded: Some(json!("a")), live: Some(json!("b")), hidden: false };
    assert_eq!(found, [Drift::OutputDiffers { output: "host".to_owned(), values }]);
    assert_eq!(outputs(&recorded, None), [Drift::Missing]);
}

#[test]
fn only_what_is_new_or_gone_is_a_change() {
    let checked =
        |by: &str| vec![(object("Deployment", "web"), Check::Compared(vec![field(".a", by)]))];
    let first = report(1, checked("kubectl"), None);
    assert_eq!(changes(None, &first).new.len(), 1);
    let same = report(2, checked("kubectl"), Some(&first));
    assert!(changes(Some(&first), &same).is_empty());
    assert_eq!(same.findings[0].since, Timestamp(1), "it was found then");
    let other = report(3, checked("helm"), Some(&same));
    let found = changes(Some(&same), &other);
    assert_eq!((found.new.len(), found.gone.len()), (1, 1), "somebody else now");
    let mended =
        report(4, vec![(object("Deployment", "web"), Check::Compared(vec![]))], Some(&other));
    assert!(!mended.has_drift());
    assert_eq!(changes(Some(&other), &mended).gone.len(), 1);
}

#[test]
fn what_can_t_be_seen_is_neither_gone_nor_well() {
    let web = || object("Deployment", "web");
    let first = report(1, vec![(web(), Check::Compared(vec![field(".a", "kubectl")]))], None);
    let blind = report(2, vec![(web(), unknown())], Some(&first));
    assert!(blind.has_drift());
    assert!(changes(Some(&first), &blind).is_empty());
    assert_eq!((blind.summary.unknown, blind.summary.drifted), (1, 1));
    assert!(blind.unknown[0].fault.message.len() < 600);
    let seen = report(3, vec![(web(), Check::Compared(vec![]))], Some(&blind));
    assert_eq!(changes(Some(&blind), &seen).gone.len(), 1);
}

#[test]
fn what_has_no_namespace_is_the_same_when_it_can_t_be_seen() {
    let role = |namespace: Option<&str>| {
        Subject::Object(ObjectRef {
            api_version: "rbac.authorization.k8s.io/v1".to_owned(),
            kind: "ClusterRole".to_owned(),
            namespace: namespace.map(str::to_owned),
            name: "reader".to_owned(),
        })
    };
    let found = Check::Compared(vec![field(".rules", "kubectl")]);
    let first = report(1, vec![(role(None), found)], None);
    // Manifests fill a namespace in, whether its kind has one or not.
    let blind = report(2, vec![(role(Some("shop")), unknown())], Some(&first));
    assert_eq!(blind.findings, first.findings);
    assert!(changes(Some(&first), &blind).is_empty());
    let seen = report(3, vec![(role(None), Check::Compared(vec![]))], Some(&blind));
    assert_eq!(changes(Some(&blind), &seen).gone.len(), 1);
    // What has one is another one elsewhere.
    let at = |namespace: &str| {
        let mut subject = object("Deployment", "web");
        if let Subject::Object(object) = &mut subject {
            object.namespace = Some(namespace.to_owned());
        }
        subject
    };
    let found = vec![(at("a"), Check::Compared(vec![field(".a", "kubectl")]))];
    let first = report(1, found, None);
    let checked = vec![(at("a"), Check::Compared(vec![])), (at("b"), unknown())];
    assert!(!report(2, checked, Some(&first)).has_drift());
}

#[test]
fn why_it_is_not_healed_is_said_as_long_as_it_is_so() {
    let web = |found| vec![(object("Service", "web"), Check::Compared(found))];
    let mut first = report(1, web(vec![Drift::Missing]), None);
    first.not_healed = Some("for a reason".to_owned());
    let second = report(2, web(vec![Drift::Missing]), Some(&first));
    assert_eq!(second.not_healed, first.not_healed);
    assert_eq!(report(3, web(vec![]), Some(&second)).not_healed, None);
    first.deployment = DeploymentId("another".to_owned());
    assert_eq!(report(4, web(vec![Drift::Missing]), Some(&first)).not_healed, None);
}

#[test]
fn a_report_is_never_larger_than_a_store_takes() {
    let long = "\u{1}".repeat(5_000);
    let drift = |n: usize| {
        let value = || Some(shown(&json!(long)));
        let values = Difference { recorded: value(), live: value(), hidden: false };
        Drift::FieldDiffers { path: format!(".{n}.{long}"), values, by: vec!["x".to_owned()] }
    };
    let all = (0..1_000).map(drift).collect();
    let report = report(1, vec![(object("ConfigMap", "large"), Check::Compared(all))], None);
    assert!(serde_json::to_vec(&report).unwrap().len() <= REPORT_BYTES_MAX);
    assert_eq!((report.summary.findings, report.summary.drifted), (1_000, 1));
}

#[test]
fn reports_are_read_as_they_were_written() {
    let drifts = vec![
        Drift::Missing,
        field(".spec.replicas", "kubectl"),
        Drift::TakenOver { path: ".a".to_owned(), by: vec!["hpa".to_owned()] },
        Drift::Replaced { uid: "u".to_owned(), by: vec![] },
    ];
    let report = report(
        1,
        vec![
            (object("Service", "web"), Check::Compared(drifts)),
            (resource("postgres#db"), unknown()),
            (resource("dns#web"), Check::Unsupported),
        ],
        None,
    );
    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<DriftReport>(&text).unwrap(), report);
}

fn state() -> DriftState {
    DriftState {
        deployment: DeploymentId("d".to_owned()),
        report: Digest::of(b""),
        findings: 1,
        at: Timestamp(0),
        heals: 0,
        healed: None,
        gave_up: false,
    }
}

#[test]
fn lost_data_is_never_healed_by_itself() {
    let heals = |subject: Subject, check: Check| {
        let web = (object("Service", "web"), Check::Compared(vec![Drift::Missing]));
        let report = report(1, vec![web, (subject, check)], None);
        healing(Heal::Automatic, &report, &state(), Timestamp(1))
    };
    let missing = || Check::Compared(vec![Drift::Missing]);
    assert_eq!(heals(object("ConfigMap", "a"), missing()), Healing::Now);
    let lost = |subject| Healing::Never(Unhealable::Lost(subject));
    assert_eq!(heals(resource("db"), missing()), lost(resource("db")));
    let claim = || object("PersistentVolumeClaim", "data");
    assert_eq!(heals(claim(), missing()), lost(claim()));
    let unseen = Healing::Never(Unhealable::Unknown(resource("db")));
    assert_eq!(heals(resource("db"), unknown()), unseen);
    assert_eq!(heals(object("ConfigMap", "a"), unknown()), Healing::Now);
}

#[test]
fn nothing_is_healed_that_nobody_wants_healed() {
    let clean = report(1, vec![(object("Service", "web"), Check::Compared(vec![]))], None);
    assert_eq!(healing(Heal::Automatic, &clean, &state(), Timestamp(1)), Healing::Nothing);
    let drifted =
        report(1, vec![(object("Service", "web"), Check::Compared(vec![Drift::Missing]))], None);
    let never = Healing::Never(Unhealable::NotWanted);
    assert_eq!(healing(Heal::Never, &drifted, &state(), Timestamp(1)), never);
}

proptest! {
    /// Whatever clocks do, and however often it is looked: a fight ends.
    #[test]
    fn i15_two_that_fight_over_a_field_come_to_an_end(
        steps in prop::collection::vec(-600_000i64..600_000, 1..400),
    ) {
        let drifted = report(1, vec![(object("Service", "web"), Check::Compared(vec![Drift::Missing]))], None);
        let (mut state, mut now, mut heals) = (state(), Timestamp(1_000_000_000), 0);
        for step in steps {
            now = Timestamp(now.0.saturating_add_signed(step));
            match healing(Heal::Automatic, &drifted, &state, now) {
                Healing::Now => {
                    state = state.healed(now);
                    heals += 1;
                }
                Healing::Later(at) => prop_assert!(at > now && at.ms_since(now) < 3_600_000),
                Healing::GiveUp => state.gave_up = true,
                Healing::Never(Unhealable::GivenUp) => prop_assert!(state.gave_up),
                other => prop_assert!(false, "{other:?}"),
            }
        }
        // Not one of these jumps is as long as the window.
        prop_assert!(heals <= HEALS_MAX, "{heals}");
    }
}

#[test]
fn the_waits_between_heals_grow_and_end() {
    let drifted =
        report(1, vec![(object("Service", "web"), Check::Compared(vec![Drift::Missing]))], None);
    let (mut state, mut now, mut waits) = (state(), Timestamp(1_000_000_000), Vec::new());
    loop {
        match healing(Heal::Automatic, &drifted, &state, now) {
            Healing::Now => state = state.healed(now),
            Healing::Later(at) => {
                waits.push(at.ms_since(now) / 60_000);
                now = at;
            }
            other => {
                assert_eq!(other, Healing::GiveUp);
                break;
            }
        }
    }
    assert_eq!(waits, [5, 10, 20]);
    // Much later it is another matter, and so it is after somebody has deployed.
    let later = now.plus_ms(HEAL_WINDOW_MS + 1);
    assert_eq!(healing(Heal::Automatic, &drifted, &state, later), Healing::Now);
    assert_eq!(state.clone().healed(later).heals, 1);
    let given_up = DriftState { gave_up: true, ..state };
    let never = Healing::Never(Unhealable::GivenUp);
    assert_eq!(healing(Heal::Automatic, &drifted, &given_up, later), never);
    assert_eq!(healing(Heal::Automatic, &drifted, &given_up.calmed(), later), Healing::Now);
}
