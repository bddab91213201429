//! A repository that environments are pulled from, and Argo CD that does so by itself.

use std::path::{Path, PathBuf};
use std::time::Duration;

use fixtures::git_server::{GitServer, git};
use pullers::{Api, ArgoCd, Repository, install};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::stage::Stage;

/// How the daemon logs in, `deployd:t0ken`.
const LOGIN: &str = "ZGVwbG95ZDp0MGtlbg==";

/// How often Argo CD looks here; the real one does every three minutes.
const LOOK: Duration = Duration::from_millis(100);

/// A repository that is served, and of which one directory is pulled.
pub(crate) struct Pulling {
    server: GitServer,
    /// The repository, bare.
    pub(crate) repository: PathBuf,
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
        Self { server, repository, pulls: None }
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
        let api = Api::new(&stage.practice.url(), stage.practice.token());
        install(&api).await;
        let argo_cd =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "argocd"}});
        api.apply("kubectl", &argo_cd, "").await.unwrap();
        let (name, path) = (format!("shop-{environment}"), format!("apps/shop/{environment}"));
        let from = Repository::at(&self.repository);
        let url = self.url();
        let mut argo_cd = ArgoCd::start(&api, &name, (from, &url, &path), &name).await;
        let (repository, mut brought) = (self.repository.clone(), String::new());
        self.pulls = Some(tokio::spawn(async move {
            loop {
                let head = git(&repository, &["rev-parse", "main"]).unwrap();
                let is_there = git(&repository, &["cat-file", "-e", &format!("main:{path}")]);
                if head != brought && is_there.is_ok() {
                    argo_cd.sync("main").await;
                    brought = head;
                }
                tokio::time::sleep(LOOK).await;
            }
        }));
    }

    /// The `git` of an environment type, by Argo CD if it pulls.
    pub(crate) fn spec(&self) -> Value {
        let mut spec = json!({
            "repository": self.url(),
            "path": "apps/{application}/{environment}",
            "hosts": [self.host()],
        });
        if self.pulls.is_some() {
            spec["puller"] = json!({"kind": "argo-cd", "name": "{application}-{environment}",
                "namespace": "argocd"});
        }
        spec
    }

    /// What git says of the repository.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        git(&self.repository, arguments).unwrap()
    }
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
