use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::config::Exclusion;

fn rule(document: serde_json::Value) -> ApprovalRule {
    serde_json::from_value(document).unwrap()
}

fn actor(name: &str) -> Actor {
    Actor(name.to_owned())
}

fn groups(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn says(
    rules: &[ApprovalRule],
    (who, of): (&str, &[&str]),
    delegations: &[Delegation],
    excluded: &Excluded,
) -> Result<Voice, NotYours> {
    let (actor, groups) = (actor(who), groups(of));
    let candidate = Candidate { actor: &actor, groups: &groups };
    let rules: Vec<&ApprovalRule> = rules.iter().collect();
    voice(&rules, candidate, delegations, excluded, Timestamp(1_000))
}

#[test]
fn who_is_named_or_in_a_group_may_and_nobody_else() {
    let rules = [
        rule(json!({"name": "release", "groups": ["sre"], "people": ["ana"]})),
        rule(json!({"name": "any"})),
    ];
    let nobody = Excluded::default();
    let of = |who: (&str, &[&str])| {
        let voice = says(&rules, who, &[], &nobody).unwrap();
        voice.rules.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(of(("ana", &[])), "any release");
    assert_eq!(of(("bob", &["sre", "dev"])), "any release");
    assert_eq!(of(("bob", &["dev"])), "any");
    let refused = says(&rules[..1], ("bob", &["dev"]), &[], &nobody).unwrap_err();
    assert_eq!(refused.to_string(), "bob is none of sre, ana, whom release asks");
}

#[test]
fn who_had_a_part_in_it_is_left_out_in_anybodys_place() {
    let rules = [rule(
        json!({"name": "release", "groups": ["sre"], "exclude": ["requester", "committer"]}),
    )];
    let mut excluded = Excluded::default();
    excluded.add("ana", Exclusion::Requester);
    for name in aliases("Bob Builder <Bob@example.com>") {
        excluded.add(&name, Exclusion::Committer);
    }
    excluded.add("cem", Exclusion::ConfigAuthor);
    let refused = says(&rules, ("ana", &["sre"]), &[], &excluded).unwrap_err();
    assert_eq!(refused.to_string(), "ana has asked for it, and release leaves out who has");
    for bob in ["bob@example.com", "corp:bob@example.com"] {
        assert!(says(&rules, (bob, &["sre"]), &[], &excluded).is_err());
    }
    // What the rule does not exclude counts for nothing.
    assert!(says(&rules, ("cem", &["sre"]), &[], &excluded).is_ok());
    let lends = |from: &str, to: &str| Delegation {
        from: actor(from),
        groups: groups(&["sre"]),
        to: actor(to),
        since: Timestamp(0),
        until: Timestamp(2_000),
    };
    // In a good one's place the excluded one is as excluded as before, and the other
    // way round.
    assert!(says(&rules, ("ana", &[]), &[lends("dan", "ana")], &excluded).is_err());
    assert!(says(&rules, ("dan", &[]), &[lends("ana", "dan")], &excluded).is_err());
    let lent = says(&rules, ("dan", &[]), &[lends("eva", "dan")], &excluded).unwrap();
    assert_eq!(lent.on_behalf_of, Some(actor("eva")));
    let over = Delegation { until: Timestamp(1_000), ..lends("eva", "dan") };
    assert!(says(&rules, ("dan", &[]), &[over], &excluded).is_err());
}

fn given(by: &str, on_behalf_of: Option<&str>, plan: Digest) -> Approval {
    Approval {
        by: actor(by),
        on_behalf_of: on_behalf_of.map(actor),
        at: Timestamp(1),
        plan,
        rules: BTreeSet::from(["release".parse().unwrap()]),
        reason: None,
        by_link: false,
    }
}

#[test]
fn nobody_counts_twice_by_standing_in_for_somebody() {
    let (plan, other) = (Digest::of(b"plan"), Digest::of(b"other"));
    let two = rule(json!({"name": "release", "count": 2}));
    let count = |given: &[Approval]| {
        let approvals = Approvals { given: given.to_vec(), ..Approvals::default() };
        approvals.counted(&two, plan).len()
    };
    assert_eq!(count(&[given("ana", None, plan), given("bob", None, plan)]), 2);
    assert_eq!(count(&[given("ana", None, plan), given("bob", Some("ana"), plan)]), 1);
    assert_eq!(count(&[given("bob", Some("eva"), plan), given("bob", Some("ana"), plan)]), 1);
    assert_eq!(count(&[given("ana", None, plan), given("bob", None, other)]), 1);
}

proptest! {
    /// However approvals come: a rule holds only when as many different people have
    /// agreed to that very plan as it asks for, or somebody has broken the glass on it.
    #[test]
    fn a_rule_holds_by_enough_people_and_the_very_plan(
        count in 1u32..5,
        voices in proptest::collection::vec((0u8..5, proptest::option::of(0u8..5), 0u8..2), 0..12),
        broken in proptest::option::of(0u8..2),
    ) {
        let plans = [Digest::of(b"plan"), Digest::of(b"other")];
        let name = |who: u8| format!("p{who}");
        let approvals = Approvals {
            given: voices
                .iter()
                .map(|(by, of, plan)| given(&name(*by), of.map(name).as_deref(), plans[usize::from(*plan)]))
                .collect(),
            broken_glass: broken.map(|plan| BrokenGlass {
                by: actor("eva"),
                plan: plans[usize::from(plan)],
                reason: "it burns".into(),
            }),
            ..Approvals::default()
        };
        let rule = ApprovalRule { count, ..rule(json!({"name": "release"})) };
        for (place, plan) in plans.into_iter().enumerate() {
            let hands: BTreeSet<u8> = voices
                .iter()
                .filter(|(_, _, of)| usize::from(*of) == place)
                .map(|(by, _, _)| *by)
                .collect();
            let bypassed = broken.map(usize::from) == Some(place);
            if approvals.holds(&rule, plan) && !bypassed {
                prop_assert!(hands.len() >= count as usize);
            }
            if bypassed {
                prop_assert!(approvals.holds(&rule, plan));
            }
        }
    }
}
