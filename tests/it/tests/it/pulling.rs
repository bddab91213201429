//! A repository that environments are pulled from, and Argo CD or Flux that do so by
//! themselves.

use std::path::{Path, PathBuf};
use std::time::Duration;

use fixtures::git_server::{GitServer, git};
use pullers::{Api, ArgoCd, Flux, Repository, install};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::stage::Stage;

/// How the daemon logs in, `deployd:t0ken`.
const LOGIN: &str = "ZGVwbG95ZDp0MGtlbg==";

/// How often they look here; the real ones do every few minutes.
const LOOK: Duration = Duration::from_millis(100);

/// A repository that is served, and of which one directory is pulled.
pub(crate) struct Pulling {
    server: GitServer,
    /// The repository, bare.
    pub(crate) repository: PathBuf,
    /// As the environment type names who pulls.
    puller: Option<Value>,
    pulls: Option<JoinHandle<()>>,
}

impl Drop for Pulling {
    fn drop(&mut self) {
        if let Some(pulls) = &self.pulls {
            pulls.abort();
        }
    }
}

impl Pulling {
    /// A repository with something of others, to which the daemon has a token.
    pub(crate) async fn begin(stage: &Stage) -> Self {
        let folder = stage.folder().join("served");
        let server = GitServer::start(&folder).unwrap();
        let repository = server.create("environments.git").unwrap();
        pushed(stage.folder(), &repository);
        server.let_in(&[LOGIN]);
        stage.secret("git-token", "t0ken").await;
        Self { server, repository, puller: None, pulls: None }
    }

    pub(crate) fn url(&self) -> String {
        self.server.url("environments.git")
    }

    /// Where the daemon may go, and by which login.
    pub(crate) fn host(&self) -> Value {
        json!({"host": "127.0.0.1", "port": self.server.address.port(), "scheme": "http",
            "privateAddress": true,
            "credential": {"secret": "git-token", "form": "basic", "user": "deployd"}})
    }

    /// Argo CD pulls an environment of the shop from now on, whenever something is new.
    pub(crate) async fn by_argo_cd(&mut self, stage: &Stage, environment: &str) {
        let api = cluster(stage, "argocd").await;
        let (name, path) = (format!("shop-{environment}"), format!("apps/shop/{environment}"));
        let from = Repository::at(&self.repository);
        let url = self.url();
        let argo_cd = ArgoCd::start(&api, &name, (from, &url, &path), &name).await;
        self.by(By::ArgoCd(argo_cd), "argo-cd", "argocd", path);
    }

    /// Flux does, and does not wait until what it has applied is healthy.
    pub(crate) async fn by_flux(&mut self, stage: &Stage, environment: &str) {
        let api = cluster(stage, "flux-system").await;
        let (name, path) = (format!("shop-{environment}"), format!("apps/shop/{environment}"));
        let from = Repository::at(&self.repository);
        let url = self.url();
        let flux = Flux::start(&api, &name, (from, &url, "main", &path), &name).await;
        flux.set_waiting(false).await;
        self.by(By::Flux(flux), "flux-kustomization", "flux-system", path);
    }

    fn by(&mut self, mut by: By, kind: &str, namespace: &str, path: String) {
        self.puller = Some(json!({"kind": kind, "name": "{application}-{environment}",
            "namespace": namespace}));
        let (repository, mut brought) = (self.repository.clone(), String::new());
        self.pulls = Some(tokio::spawn(async move {
            loop {
                let head = git(&repository, &["rev-parse", "main"]).unwrap();
                let is_there = git(&repository, &["cat-file", "-e", &format!("main:{path}")]);
                if head != brought && is_there.is_ok() {
                    brought = by.sync(&head).await;
                }
                tokio::time::sleep(LOOK).await;
            }
        }));
    }

    /// The `git` of an environment type, by whoever pulls.
    pub(crate) fn spec(&self) -> Value {
        let mut spec = json!({
            "repository": self.url(),
            "path": "apps/{application}/{environment}",
            "hosts": [self.host()],
        });
        if let Some(puller) = &self.puller {
            spec["puller"] = puller.clone();
        }
        spec
    }

    /// What git says of the repository.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        git(&self.repository, arguments).unwrap()
    }
}

/// Who pulls.
enum By {
    ArgoCd(ArgoCd),
    Flux(Flux),
}

impl By {
    /// Brings a commit; gives it.
    async fn sync(&mut self, commit: &str) -> String {
        match self {
            Self::ArgoCd(argo_cd) => argo_cd.sync(commit).await,
            Self::Flux(flux) => flux.sync(commit).await,
        }
    }
}

/// The stage's cluster, with the kinds of both and a namespace for one.
async fn cluster(stage: &Stage, namespace: &str) -> Api {
    let api = Api::new(&stage.practice.url(), stage.practice.token());
    install(&api).await;
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
    api.apply("kubectl", &object, "").await.unwrap();
    api
}

/// Somebody has pushed something of their own.
fn pushed(folder: &Path, repository: &Path) {
    let work = folder.join("work");
    std::fs::create_dir_all(work.join("apps/shop")).unwrap();
    std::fs::write(work.join("README.md"), "environments\n").unwrap();
    std::fs::write(work.join("apps/shop/OWNERS"), "ana\n").unwrap();
    git(&work, &["init", "-q", "-b", "main", "."]).unwrap();
    git(&work, &["add", "-A"]).unwrap();
    git(&work, &["commit", "-q", "-m", "begin"]).unwrap();
    git(&work, &["push", "-q", repository.to_str().unwrap(), "main"]).unwrap();
}
