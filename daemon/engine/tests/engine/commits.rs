//! Commits that forges tell of, and what artifacts of theirs get from them.

use deployd_core::artifact::Artifact;
use deployd_core::commit::{COMMIT_TURNS, COMMITS, COMMITS_KEPT_MAX, COMMITS_TOLD_MAX};
use deployd_core::config::{Document, DocumentKind};
use deployd_core::delivery::DeliveryStatus;
use deployd_core::ports::{KeyRange, Order, Store as _};
use deployd_core::views::Announced;
use serde_json::{Value, json};

use crate::approvals::{asking, who};
use crate::documents::{application, artifact, document};
use crate::hooks::{hook, stage};
use crate::world::{Stage, assert_succeeded, deployment_of};

/// A commit's name that ends in a number.
fn sha(number: usize) -> String {
    format!("{number:040x}")
}

fn pushed(commit: &str, paths: &[&str]) -> Value {
    json!([{
        "kind": "commit", "source": "shop/web", "ref": "refs/heads/main", "commit": commit,
        "author": "Ana Silva <ana@example.com>", "committedAt": "2026-11-20T10:00:00Z",
        "paths": paths, "unheard": "of",
    }])
}

fn built(version: &str, commit: &str) -> Artifact {
    Artifact { commit: Some(commit.to_owned()), ..artifact("frontend", version) }
}

/// The application, whose development takes what has changed in some places.
fn with_paths() -> Document {
    let Document::Application(mut application) = application("shop") else {
        panic!("another kind");
    };
    let rule = json!({"ref": "refs/heads/main", "paths": ["services/web/**"]});
    application.spec.flow[0].automatic = serde_json::from_value(rule).unwrap();
    Document::Application(application)
}

impl Stage {
    async fn announces(&self, artifact: Artifact) -> Announced {
        self.engine.announce(&who("ci"), vec![artifact]).await.unwrap()
    }

    async fn pushed(&self, commit: &str, paths: &[&str]) {
        let id = self.delivered(&pushed(commit, paths)).await;
        let delivery = self.settled(&id).await;
        assert_eq!(delivery.status, DeliveryStatus::Read, "{:?}", delivery.fault);
        let told = format!("commit {commit} of shop/web on refs/heads/main");
        assert!(delivery.notes.iter().any(|note| note.starts_with(&told)), "{:?}", delivery.notes);
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_made_a_commit_is_known_from_its_push_and_left_out_of_approvals() {
    let stage = stage().await;
    assert_succeeded(&stage.deployed("1").await);
    let rule = json!([{"name": "release", "exclude": ["committer"]}]);
    stage.engine.apply(&who("eva"), vec![asking(rule)], false).await.unwrap();
    stage.pushed(&sha(1), &["README.md"]).await;
    let announced = stage.announces(built("2", &sha(1))).await;
    let whole = &announced.artifacts[0];
    assert_eq!(whole.author.as_deref(), Some("Ana Silva <ana@example.com>"));
    assert_eq!(whole.committed_at.unwrap().to_string(), "2026-11-20T10:00:00.000Z");
    let id = deployment_of(&announced);
    stage.agreeing("bob", &id).await;
    assert!(stage.approves("corp:ana@example.com", &id).await.is_err());
    stage.approves("bob", &id).await.unwrap();
    assert_succeeded(&stage.end_of(&id).await);
    // What an artifact says itself stands.
    let own = Artifact { author: Some("Bob <bob@example.com>".to_owned()), ..built("3", &sha(1)) };
    let announced = stage.announces(own).await;
    assert_eq!(announced.artifacts[0].author.as_deref(), Some("Bob <bob@example.com>"));
}

#[tokio::test(start_paused = true)]
async fn a_stage_takes_what_has_changed_where_it_looks() {
    let stage = stage().await;
    assert_succeeded(&stage.deployed("1").await);
    stage.apply(vec![with_paths()]).await;
    stage.pushed(&sha(1), &["services/web/main.rs", "README.md"]).await;
    stage.pushed(&sha(2), &["services/api/main.rs"]).await;
    let passed = async |artifact: Artifact| {
        let announced = stage.announces(artifact).await;
        assert_eq!(announced.routes, []);
        announced.passed[0].because.clone()
    };
    let because = passed(built("2", &sha(2))).await;
    assert_eq!(because, "none of the paths that have changed is like services/web/**");
    // Of a commit that nobody has told of, or by a short name, nothing is known.
    for commit in [sha(3), sha(1)[..12].to_owned()] {
        let because = passed(built("3", &commit)).await;
        assert!(because.starts_with("which paths have changed is not known"), "{because}");
    }
    let announced = stage.announces(built("4", &sha(1).to_uppercase())).await;
    assert_succeeded(&stage.end_of(&deployment_of(&announced)).await);
    let paths = vec!["services/web/main.rs".to_owned()];
    let announced = stage.announces(Artifact { paths, ..built("5", &sha(3)) }).await;
    assert_succeeded(&stage.end_of(&deployment_of(&announced)).await);
}

#[tokio::test(start_paused = true)]
async fn a_hook_s_commits_count_for_images_that_it_may_tell_of() {
    let stage = stage().await;
    stage.pushed(&sha(1), &["a"]).await;
    let told = stage.announces(built("1", &sha(1))).await;
    assert!(told.artifacts[0].author.is_some());
    let Document::Hook(mut elsewhere) = hook(&json!({})) else { panic!("another kind") };
    elsewhere.spec.repositories = vec!["registry.test/theirs/*".to_owned()];
    stage.apply(vec![Document::Hook(elsewhere)]).await;
    let told = stage.announces(built("1", &sha(1))).await;
    assert_eq!(told.artifacts[0].author, None);
    let bad = stage.delivered(&pushed("6c62fb4", &[])).await;
    let fault = stage.settled(&bad).await.fault.unwrap();
    assert!(fault.message.contains("40 or 64 hex digits"), "{fault}");
}

#[tokio::test(start_paused = true)]
async fn the_newest_commits_of_a_hook_are_kept() {
    let stage = stage().await;
    let kept = usize::try_from(COMMITS_KEPT_MAX).unwrap();
    stage.pushed(&sha(0), &["a"]).await;
    stage.pushed(&sha(1), &["a"]).await;
    // Told of once more, it is one of the newest again, and its paths are known still.
    stage.pushed(&sha(0), &[]).await;
    let mut last = None;
    for first in (2..kept + 1).step_by(COMMITS_TOLD_MAX) {
        let all = (first..kept + 1).take(COMMITS_TOLD_MAX);
        let all: Vec<Value> = all.map(|number| pushed(&sha(number), &["a"])[0].clone()).collect();
        last = Some(stage.delivered(&json!(all)).await);
    }
    stage.settled(&last.unwrap()).await;
    for index in [COMMITS, COMMIT_TURNS] {
        let range = KeyRange::prefix(&[]);
        let page = stage.world.store.scan(index, range, Order::Ascending, kept * 2).await.unwrap();
        assert_eq!(page.entries.len(), kept, "{index:?}");
    }
    let of =
        async |number| stage.announces(built("1", &sha(number))).await.artifacts[0].author.clone();
    assert_eq!(of(1).await, None);
    assert!(of(0).await.is_some() && of(2).await.is_some() && of(kept).await.is_some());
    stage.apply(vec![with_paths()]).await;
    assert_eq!(
        stage.announces(built("2", &sha(0))).await.passed[0].because,
        "none of the paths that have changed is like services/web/**"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stage_takes_tags_in_its_range_of_versions() {
    let stage = stage().await;
    assert_succeeded(&stage.deployed("1").await);
    let mut spec = serde_json::to_value(application("shop")).unwrap()["spec"].clone();
    spec["flow"][0]["automatic"] =
        json!({"version": ">=1.4, <2", "repository": "registry.test/shop/front*"});
    stage.apply(vec![document(DocumentKind::Application, "shop", spec)]).await;
    let announced = stage.announces(artifact("frontend", "v1.4.2")).await;
    assert_succeeded(&stage.end_of(&deployment_of(&announced)).await);
    for (workload, version, because) in [
        ("frontend", "2.0.0", "its version is 2.0.0, which is not >=1.4, <2"),
        (
            "backend",
            "1.4.2",
            "its repository is registry.test/shop/backend, and not like registry.test/shop/front*",
        ),
    ] {
        let announced = stage.announces(artifact(workload, version)).await;
        assert_eq!((announced.routes.len(), announced.passed[0].because.as_str()), (0, because));
    }
}
