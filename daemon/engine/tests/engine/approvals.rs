//! People who agree to a plan, or do not, and what deployd makes of that.

use std::collections::BTreeSet;
use std::time::Duration;

use deployd_core::approval::{
    ApprovalDecision, ApprovalRequest, ApprovalView, BreakGlassRequest, DelegateRequest,
    LinkDecision, ReviewRequest,
};
use deployd_core::config::{Document, DocumentKind};
use deployd_core::deployment::{DeploymentRecord, Outcome, Phase};
use deployd_core::views::RollbackRequest;
use deployd_core::{Actor, DeploymentId};
use deployd_engine::{Caller, EngineError};
use serde_json::{Value, json};

use crate::documents::{artifact, document, environment_type, subscription};
use crate::fakes::life::Life;
use crate::world::{Stage, assert_succeeded, caller, deployment_of, development};

pub fn who(name: &str) -> Caller {
    Caller::new(Actor(name.to_owned()))
}

/// The environment's type, with people who have to agree.
pub fn asking(rules: Value) -> Document {
    let Document::EnvironmentType(mut of_type) = environment_type("development", json!({})) else {
        panic!("another kind");
    };
    of_type.spec.approvals = serde_json::from_value(rules).unwrap();
    Document::EnvironmentType(of_type)
}

fn sre(members: &[&str]) -> Document {
    document(DocumentKind::Group, "sre", json!({ "members": members }))
}

pub fn two_of_sre() -> Vec<Document> {
    let rule = json!([{"name": "release", "count": 2, "groups": ["sre"], "expires": "8h"}]);
    vec![asking(rule), sre(&["ana", "bob", "ci"])]
}

impl Stage {
    /// What a deployment waits for, once it does.
    pub async fn agreeing(&self, by: &str, id: &DeploymentId) -> ApprovalView {
        for _ in 0..1_000 {
            match self.engine.approval(&who(by), id).await {
                Ok(view) => return view,
                Err(EngineError::Conflict { .. }) => {}
                Err(error) => panic!("{error}"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("nobody is asked");
    }

    async fn says(
        &self,
        by: &str,
        id: &DeploymentId,
        decision: ApprovalDecision,
    ) -> Result<DeploymentRecord, EngineError> {
        let plan = self.agreeing(by, id).await.waiting.plan;
        let reason = Some("looked at it".to_owned());
        self.engine.decide(&who(by), id, ApprovalRequest { plan, decision, reason }).await
    }

    pub async fn approves(
        &self,
        by: &str,
        id: &DeploymentId,
    ) -> Result<DeploymentRecord, EngineError> {
        self.says(by, id, ApprovalDecision::Approve).await
    }

    pub async fn told(&self, notice_type: &str) -> Vec<Value> {
        let messages = self.world.messages(None).await;
        let of_type = |event: &Value| event["type"] == notice_type;
        messages.into_iter().map(|message| message.event).filter(of_type).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn production_needs_two_people_and_none_of_them_has_asked_for_it() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    stage.apply(two_of_sre()).await;
    stage.apply(vec![subscription("people", &["approval.*"])]).await;
    let announced =
        stage.engine.announce(&who("ci"), vec![artifact("frontend", "2")]).await.unwrap();
    let id = deployment_of(&announced);
    let view = stage.agreeing("ci", &id).await;
    assert_eq!(view.waiting.gates[0].missing, 2);
    assert!(view.not_yours.unwrap().contains("ci has asked for it"));
    let own = stage.approves("ci", &id).await.unwrap_err();
    assert!(own.to_string().contains("ci has asked for it"), "{own}");
    let stranger = stage.approves("eva", &id).await.unwrap_err();
    assert!(stranger.to_string().contains("eva is none of sre"), "{stranger}");
    stage.approves("ana", &id).await.unwrap();
    // Whoever approves twice is one all the same.
    stage.approves("ana", &id).await.unwrap();
    assert_eq!(stage.agreeing("bob", &id).await.waiting.gates[0].missing, 1);
    assert_eq!(stage.engine.deployment(&id).await.unwrap().phase, Phase::Waiting);
    stage.approves("bob", &id).await.unwrap();
    assert_succeeded(&stage.end_of(&id).await);
    assert_eq!(stage.engine.approvals(None).await.unwrap(), []);
    let asked = stage.told("approval.requested").await;
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0]["data"]["approvals"][0]["missing"], 2);
    let given = stage.told("approval.given").await;
    assert_eq!(given.last().unwrap()["data"]["by"], "bob");
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_configuration_has_changed_is_asked_for_again_with_the_difference() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    stage.apply(two_of_sre()).await;
    let id = stage.announce("2").await;
    let first = stage.agreeing("ana", &id).await;
    stage.approves("ana", &id).await.unwrap();
    // Documents that change nothing of the plan change nothing of what was said.
    stage.apply(vec![sre(&["ana", "bob", "eva"])]).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let second = stage.agreeing("eva", &id).await;
    assert_eq!((second.waiting.plan, second.changed), (first.waiting.plan, None));
    assert_eq!(second.waiting.gates[0].missing, 1);
    // Another strategy's configuration is another plan.
    let mut changed = two_of_sre().remove(0);
    if let Document::EnvironmentType(of_type) = &mut changed {
        of_type.spec.values.insert("region".to_owned(), json!("north"));
    }
    stage.apply(vec![changed]).await;
    let third = loop {
        let view = stage.agreeing("bob", &id).await;
        if view.waiting.plan != first.waiting.plan {
            break view;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(third.waiting.gates[0].missing, 2);
    let changed = third.changed.unwrap();
    assert_eq!(changed.before, first.waiting.plan);
    assert!(changed.patch.to_string().contains("north"), "{}", changed.patch);
    let (plan, reason) = (first.waiting.plan, None);
    let late = ApprovalRequest { plan, decision: ApprovalDecision::Approve, reason };
    let stale = stage.engine.decide(&who("bob"), &id, late).await.unwrap_err();
    assert!(matches!(stale, EngineError::Conflict { .. }), "{stale}");
    for who in ["bob", "eva"] {
        stage.apply(vec![sre(&["ana", "bob", "eva"])]).await;
        stage.approves(who, &id).await.unwrap();
    }
    assert_succeeded(&stage.end_of(&id).await);
}

#[tokio::test(start_paused = true)]
async fn who_refuses_ends_it_and_who_says_nothing_does_so_later() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    stage.apply(two_of_sre()).await;
    let refused = stage.announce("2").await;
    stage.says("ana", &refused, ApprovalDecision::Refuse).await.unwrap();
    let record = stage.end_of(&refused).await;
    assert_eq!(record.outcome, Some(Outcome::Cancelled));
    assert_eq!(record.fault.unwrap().code, "approval-refused");
    let forgotten = stage.announce("3").await;
    let asked = stage.agreeing("ana", &forgotten).await.waiting;
    let record = stage.end_of(&forgotten).await;
    assert_eq!(record.fault.unwrap().code, "approval-expired");
    let late = record.ended.unwrap().ms_since(asked.gates[0].expires);
    assert!(late < 5_000, "{late}");
}

#[tokio::test(start_paused = true)]
async fn what_goes_back_needs_nobody_unless_the_rule_says_so() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    assert_succeeded(&stage.deployed("2").await);
    assert_succeeded(&stage.deployed("3").await);
    let bound = json!([
        {"name": "release", "groups": ["sre"]},
        {"name": "security", "groups": ["sre"], "rollbacks": "bound"},
    ]);
    stage.apply(vec![asking(json!([{"name": "release"}])), sre(&["ana"])]).await;
    let back = RollbackRequest::default();
    let record = stage.engine.rollback(&caller(), &development(), back.clone()).await.unwrap();
    assert_succeeded(&stage.end_of(&record.id).await);
    stage.apply(vec![asking(bound)]).await;
    let record = stage.engine.rollback(&caller(), &development(), back).await.unwrap();
    let view = stage.agreeing("ana", &record.id).await;
    let rules: Vec<&str> = view.waiting.gates.iter().map(|gate| gate.rule.name.as_str()).collect();
    assert_eq!(rules, ["security"]);
    stage.approves("ana", &record.id).await.unwrap();
    assert_succeeded(&stage.end_of(&record.id).await);
}

#[tokio::test(start_paused = true)]
async fn who_breaks_the_glass_is_reviewed_by_somebody_else() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    stage.apply(two_of_sre()).await;
    stage.apply(vec![subscription("people", &["approval.bypassed"])]).await;
    let id = stage.announce("2").await;
    let plan = stage.agreeing("ana", &id).await.waiting.plan;
    let breaks = |reason: &str| BreakGlassRequest { plan, reason: reason.to_owned() };
    assert!(stage.engine.break_glass(&who("ana"), &id, breaks(" ")).await.is_err());
    stage.engine.break_glass(&who("ana"), &id, breaks("it burns")).await.unwrap();
    assert_succeeded(&stage.end_of(&id).await);
    let open = stage.engine.reviews(false).await.unwrap();
    assert_eq!((open.len(), open[0].reason.as_str()), (1, "it burns"));
    let finding = || ReviewRequest { finding: "it did burn".to_owned() };
    let own = stage.engine.review(&who("ana"), &id, finding()).await.unwrap_err();
    assert!(own.to_string().contains("somebody else"), "{own}");
    stage.engine.review(&who("bob"), &id, finding()).await.unwrap();
    assert_eq!(stage.engine.reviews(false).await.unwrap(), []);
    let all = stage.engine.reviews(true).await.unwrap();
    assert_eq!(all[0].reviewed_by, Some(Actor("bob".to_owned())));
    assert_eq!(stage.told("approval.bypassed").await[0]["data"]["message"], "it burns");
}

#[tokio::test(start_paused = true)]
async fn who_is_away_has_somebody_approve_in_their_place() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    stage.apply(two_of_sre()).await;
    let id = stage.announce("2").await;
    stage.agreeing("eva", &id).await;
    let now = stage.world.now();
    let until = |ms| DelegateRequest { until: now.plus_ms(ms) };
    let eva = Actor("eva".to_owned());
    assert!(stage.engine.delegate(&who("ana"), &eva, until(91 * 86_400_000)).await.is_err());
    stage.engine.delegate(&who("ana"), &eva, until(3_600_000)).await.unwrap();
    let record = stage.approves("eva", &id).await.unwrap();
    let given = record.work.unwrap().approvals.given;
    assert_eq!(given[0].on_behalf_of, Some(Actor("ana".to_owned())));
    // Ana has spoken by that.
    stage.approves("ana", &id).await.unwrap();
    assert_eq!(stage.agreeing("bob", &id).await.waiting.gates[0].missing, 1);
    stage.approves("bob", &id).await.unwrap();
    assert_succeeded(&stage.end_of(&id).await);
    stage.engine.undelegate(&who("ana"), &eva).await.unwrap();
    let next = stage.announce("3").await;
    assert!(stage.approves("eva", &next).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn authors_of_what_is_deployed_can_be_left_out() {
    let stage = Stage::new().await;
    assert_succeeded(&stage.deployed("1").await);
    let exclude = json!(["committer", "config-author"]);
    let rule = json!([{"name": "release", "exclude": exclude}]);
    stage.engine.apply(&who("eva"), vec![asking(rule)], false).await.unwrap();
    let author = Some("Ana Silva <ana@example.com>".to_owned());
    let built = deployd_core::artifact::Artifact { author, ..artifact("frontend", "2") };
    let announced = stage.engine.announce(&who("ci"), vec![built]).await.unwrap();
    let id = deployment_of(&announced);
    let excluded = &stage.agreeing("bob", &id).await.waiting.gates[0].excluded;
    let names: BTreeSet<&str> = excluded.keys().map(String::as_str).collect();
    assert!(
        names.is_superset(&BTreeSet::from(["ana@example.com", "ana silva", "eva"])),
        "{names:?}"
    );
    for left_out in ["corp:ana@example.com", "eva"] {
        assert!(stage.approves(left_out, &id).await.is_err(), "{left_out}");
    }
    stage.approves("ci", &id).await.unwrap();
    assert_succeeded(&stage.end_of(&id).await);
}

#[tokio::test(start_paused = true)]
async fn a_link_approves_one_plan_once_and_only_by_being_used() {
    let stage = Stage::new().await;
    stage.engine.reached_at("https://deployd.test/".to_owned());
    assert_succeeded(&stage.deployed("1").await);
    stage.apply(two_of_sre()).await;
    let Document::Subscription(mut to_ana) = subscription("ana", &["approval.requested"]) else {
        panic!("another kind");
    };
    to_ana.spec.approver = Some("ana".to_owned());
    stage.apply(vec![Document::Subscription(to_ana)]).await;
    let id = stage.announce("2").await;
    stage.agreeing("ana", &id).await;
    stage.all_told().await;
    let events: Vec<Value> =
        stage.world.receivers().received.iter().map(|received| received.event()).collect();
    let asked = events.iter().find(|event| event["type"] == "approval.requested").unwrap();
    let sent = asked["link"].as_str().unwrap().to_owned();
    let link = sent.strip_prefix("https://deployd.test/approve#").unwrap().to_owned();
    // Nobody finds it in what is kept.
    let kept = stage.world.messages(None).await;
    assert!(kept.iter().all(|message| !message.event.to_string().contains(&link)));
    let view = stage.engine.approval_link(&who("anonymous"), &link).await.unwrap();
    assert_eq!((view.approver.0.as_str(), view.approval.waiting.gates[0].missing), ("ana", 2));
    let used = |link: &str| LinkDecision {
        link: link.to_owned(),
        decision: ApprovalDecision::Approve,
        reason: None,
    };
    let mut forged = link.clone();
    forged.replace_range(10..11, if &link[10..11] == "A" { "B" } else { "A" });
    for bad in [forged.as_str(), "", "x.y", &link[..link.len() - 2]] {
        let error = stage.engine.approve_by_link(&who("anonymous"), used(bad)).await.unwrap_err();
        assert!(error.to_string().contains("not one of ours"), "{error}");
    }
    let record = stage.engine.approve_by_link(&who("anonymous"), used(&link)).await.unwrap();
    let given = &record.work.unwrap().approvals.given[0];
    assert_eq!((given.by.0.as_str(), given.by_link), ("ana", true));
    // Also when it was taken back since.
    stage.says("ana", &id, ApprovalDecision::Withdraw).await.unwrap();
    let again = stage.engine.approve_by_link(&who("anonymous"), used(&link)).await.unwrap_err();
    assert!(again.to_string().contains("counts once"), "{again}");
    assert_eq!(stage.agreeing("ana", &id).await.waiting.gates[0].missing, 2);
}

#[tokio::test(start_paused = true)]
async fn i12_what_was_said_is_there_after_a_crash() {
    let world = crate::world::World::new(7);
    let stage = Stage::of(world.clone()).await;
    assert_succeeded(&stage.deployed("1").await);
    stage.apply(two_of_sre()).await;
    let id = stage.announce("2").await;
    stage.approves("ana", &id).await.unwrap();
    stage.engine.abort();
    let engine = world.engine(&Life::long());
    engine.start().await.unwrap();
    let view = engine.approval(&who("bob"), &id).await.unwrap();
    assert_eq!(view.waiting.gates[0].missing, 1);
    let (plan, reason) = (view.waiting.plan, None);
    let request = ApprovalRequest { plan, decision: ApprovalDecision::Approve, reason };
    engine.decide(&who("bob"), &id, request).await.unwrap();
    assert_succeeded(&crate::world::end_of(&engine, &id).await);
}
