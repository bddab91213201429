//! What the stand-ins do to a cluster, and how deployd reads what they say.

// Clippy allows these in tests, but not in what tests share.
#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use deployd_core::Timestamp;
use deployd_core::config::PullerKind;
use deployd_core::pull::puller::{PullerState, Verdict, judge};
use deployd_practice::{Practice, PracticeOptions};
use pullers::{Api, ArgoCd, Flux, Id, Repository, install};
use serde_json::{Value, json};
use tempfile::TempDir;

const URL: &str = "https://git.example.com/environments.git";

/// A cluster and a bare repository, to which a test commits through a checkout.
struct Stage {
    practice: Practice,
    api: Api,
    folder: TempDir,
}

impl Stage {
    async fn set() -> Self {
        let practice = Practice::start(PracticeOptions::new()).await.unwrap();
        let api = Api::new(&practice.url(), practice.token());
        install(&api).await;
        for name in ["argocd", "flux-system", "shop"] {
            let namespace =
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            api.apply("kubectl", &namespace, "").await.unwrap();
        }
        let folder = TempDir::new().unwrap();
        git(folder.path(), &["init", "-q", "--bare", "-b", "main", "bare.git"]);
        git(folder.path(), &["clone", "-q", "bare.git", "work"]);
        Self { practice, api, folder }
    }

    fn repository(&self) -> Repository {
        Repository::at(&self.folder.path().join("bare.git"))
    }

    /// Has these files, and no others, on the branch; returns the commit.
    fn commit(&self, files: &[(&str, String)]) -> String {
        let work = self.folder.path().join("work");
        let apps = work.join("apps/shop");
        if apps.exists() {
            std::fs::remove_dir_all(&apps).unwrap();
        }
        std::fs::create_dir_all(&apps).unwrap();
        for (name, text) in files {
            std::fs::write(apps.join(name), text).unwrap();
        }
        git(&work, &["add", "-A"]);
        git(&work, &["commit", "-q", "-m", "one more"]);
        git(&work, &["push", "-q", "origin", "HEAD:main"]);
        self.repository().commit("main")
    }

    fn map(&self, name: &str) -> Option<Arc<Value>> {
        self.practice.objects().get("configmaps", "shop", name)
    }

    async fn verdict(&self, id: &Id, kind: PullerKind, commit: &str) -> Verdict {
        let object = self.api.get(id).await.unwrap();
        let state = PullerState::of(kind, &object, URL);
        judge(&state, |revision| Some(revision == commit), Timestamp(u64::MAX))
    }
}

fn git(folder: &Path, arguments: &[&str]) {
    let mut command = Command::new("git");
    command.current_dir(folder).args(arguments);
    for (name, value) in [("NAME", "tester"), ("EMAIL", "tester@example.com")] {
        command.env(format!("GIT_AUTHOR_{name}"), value);
        command.env(format!("GIT_COMMITTER_{name}"), value);
    }
    let done = command.env("GIT_CONFIG_GLOBAL", "/dev/null").output().unwrap();
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}

fn map(name: &str, value: &str) -> (&'static str, String) {
    let file = if name == "one" { "one.yaml" } else { "two.yaml" };
    let text = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  a: \"{value}\"\n"
    );
    (file, text)
}

fn is_waiting(verdict: &Verdict, part: &str) {
    let Verdict::Waiting(sentence) = verdict else { panic!("{verdict:?}") };
    assert!(sentence.contains(part), "{sentence}");
}

fn is_failed(verdict: &Verdict, part: &str) {
    let Verdict::Failed(fault) = verdict else { panic!("{verdict:?}") };
    assert!(fault.message.contains(part), "{fault:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn argo_cd_brings_what_is_committed_and_takes_away_what_has_gone() {
    let stage = Stage::set().await;
    let place = (stage.repository(), URL, "apps/shop");
    let mut argo_cd = ArgoCd::start(&stage.api, "shop", place, "shop").await;
    let (id, kind) = (argo_cd.id().clone(), PullerKind::ArgoCd);
    let first = stage.commit(&[map("one", "1"), map("two", "1")]);
    is_waiting(&stage.verdict(&id, kind, &first).await, "has brought nothing");
    assert_eq!(argo_cd.sync("main").await, first);
    assert_eq!(stage.verdict(&id, kind, &first).await, Verdict::There);
    let one = stage.map("one").unwrap();
    assert_eq!(one["data"]["a"], "1");
    assert_eq!(one["metadata"]["managedFields"][0]["manager"], "argocd-controller");
    assert_eq!(one["metadata"]["managedFields"][0]["operation"], "Apply");
    let tracking = &one["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"];
    assert_eq!(tracking, "shop:/ConfigMap:shop/one");

    let second = stage.commit(&[map("one", "2")]);
    argo_cd.set_automated(false).await;
    argo_cd.refresh("main").await;
    is_waiting(&stage.verdict(&id, kind, &second).await, "argocd app sync shop");
    argo_cd.set_automated(true).await;
    argo_cd.fail_sync("main", "admission webhook denied the request").await;
    is_failed(&stage.verdict(&id, kind, &second).await, "admission webhook denied the request");
    assert!(stage.map("two").is_some(), "what fails takes nothing away");
    argo_cd.sync("main").await;
    assert_eq!(stage.verdict(&id, kind, &second).await, Verdict::There);
    assert_eq!(stage.map("one").unwrap()["data"]["a"], "2");
    assert!(stage.map("two").is_none());
    argo_cd.becomes("Progressing").await;
    is_waiting(&stage.verdict(&id, kind, &second).await, "progressing");
    argo_cd.degrade("it crashes").await;
    is_failed(
        &stage.verdict(&id, kind, &second).await,
        "ConfigMap shop/one is Degraded: it crashes",
    );

    // An older revision can be brought as well; then ours is not there.
    argo_cd.sync(&first).await;
    is_waiting(&stage.verdict(&id, kind, &second).await, "does not have what was committed");
    assert!(stage.map("two").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn flux_brings_what_is_committed_and_takes_away_what_has_gone() {
    let stage = Stage::set().await;
    let place = (stage.repository(), URL, "main", "./apps/shop");
    let mut flux = Flux::start(&stage.api, "shop", place, "shop").await;
    let (id, kind) = (flux.id().clone(), PullerKind::FluxKustomization);
    let first = stage.commit(&[map("one", "1"), map("two", "1")]);
    is_waiting(&stage.verdict(&id, kind, &first).await, "has brought nothing");
    assert_eq!(flux.sync("main").await, first);
    assert_eq!(stage.verdict(&id, kind, &first).await, Verdict::There);
    let one = stage.map("one").unwrap();
    assert_eq!(one["metadata"]["managedFields"][0]["manager"], "kustomize-controller");
    assert_eq!(one["metadata"]["labels"]["kustomize.toolkit.fluxcd.io/name"], "shop");

    let second = stage.commit(&[map("one", "2")]);
    flux.suspend(true).await;
    is_waiting(&stage.verdict(&id, kind, &second).await, "flux resume kustomization shop");
    flux.suspend(false).await;
    is_waiting(&stage.verdict(&id, kind, &second).await, "the last change of its settings");
    flux.progress("main").await;
    is_waiting(&stage.verdict(&id, kind, &second).await, "Building manifests");
    flux.fail_sync("main", "BuildFailed", "kustomize build failed").await;
    is_failed(&stage.verdict(&id, kind, &second).await, "BuildFailed: kustomize build failed");
    flux.degrade("timeout waiting for: [ConfigMap/shop/one]").await;
    is_failed(&stage.verdict(&id, kind, &second).await, "HealthCheckFailed: timeout waiting");
    flux.sync("main").await;
    assert_eq!(stage.verdict(&id, kind, &second).await, Verdict::There);
    assert_eq!(stage.map("one").unwrap()["data"]["a"], "2");
    assert!(stage.map("two").is_none());
    // A status of its own: what it says changes no generation.
    let object = stage.api.get(&id).await.unwrap();
    assert_eq!(object["metadata"]["generation"], object["status"]["observedGeneration"]);
    flux.fail_fetch("authentication required").await;
    let source = stage.api.get(flux.source()).await.unwrap();
    let state = PullerState::of(kind, &object, URL).with_source(&source);
    assert!(state.sentence().contains("authentication required"), "{}", state.sentence());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_t_be_brought_is_told_as_they_tell_it() {
    let stage = Stage::set().await;
    let argo_place = (stage.repository(), URL, "apps/shop");
    let mut argo_cd = ArgoCd::start(&stage.api, "shop", argo_place, "shop").await;
    let flux_place = (stage.repository(), URL, "main", "apps/shop");
    let mut flux = Flux::start(&stage.api, "shop", flux_place, "shop").await;
    let unknown = "apiVersion: example.com/v1\nkind: Gadget\nmetadata: { name: a }\n";
    let commit = stage.commit(&[("gadget.yaml", unknown.to_owned())]);
    argo_cd.sync("main").await;
    let verdict = stage.verdict(argo_cd.id(), PullerKind::ArgoCd, &commit).await;
    is_failed(&verdict, "Gadget shop/a is SyncFailed: no matches for kind \"Gadget\"");
    flux.sync("main").await;
    let verdict = stage.verdict(flux.id(), PullerKind::FluxKustomization, &commit).await;
    is_failed(&verdict, "Gadget/shop/a dry-run failed: no matches for kind");

    let commit = stage.commit(&[("broken.yaml", "a: [".to_owned())]);
    argo_cd.sync("main").await;
    let verdict = stage.verdict(argo_cd.id(), PullerKind::ArgoCd, &commit).await;
    is_waiting(&verdict, "ComparisonError: Failed to load target state: apps/shop/broken.yaml");
    flux.sync("main").await;
    let verdict = stage.verdict(flux.id(), PullerKind::FluxKustomization, &commit).await;
    is_failed(&verdict, "BuildFailed: apps/shop/broken.yaml");
}
