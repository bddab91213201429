//! The daemon, killed with SIGKILL before and after each commit of an environment that is
//! pulled: there is one commit of the deployment, with all of what is to be there.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use deployd_practice::Practice;
use fixtures::git_server::{GitServer, git};
use pullers::{Api, Repository};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::crashes::{During, EFFECTS, Lane, Point, guarded};
use crate::sample::{document, request};

/// How often somebody looks for what is new.
const LOOK: Duration = Duration::from_millis(50);

/// Where the environment's files are.
const PATH: &str = "apps/shop/development";

/// A repository that an environment is pulled from.
pub(crate) struct Pulled {
    server: GitServer,
    repository: PathBuf,
}

/// Somebody who pulls, as long as this is there.
pub(crate) struct Pulls(JoinHandle<()>);

impl Drop for Pulls {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Pulled {
    fn start(folder: &Path) -> Self {
        let server = GitServer::start(&folder.join("served")).unwrap();
        let repository = server.create("environments.git").unwrap();
        Self { server, repository }
    }

    /// The sample's environment type, pulled.
    pub(crate) fn documents(&self) -> Value {
        let port = self.server.address.port();
        let spec = json!({
            "templater": {"plugin": "score-k8s"},
            "strategy": {"plugin": "rolling"},
            "values": {"domain": "dev.localhost"},
            "target": "git",
            "git": {
                "repository": self.server.url("environments.git"),
                "path": "apps/{application}/{environment}",
                "hosts": [{"host": "127.0.0.1", "port": port, "scheme": "http",
                    "privateAddress": true}],
            },
        });
        request(&[document("EnvironmentType", "development", spec)])
    }

    /// An empty repository in place of the one before, and somebody who applies what
    /// comes there.
    pub(crate) fn begin(&self, practice: &Practice) -> Pulls {
        std::fs::remove_dir_all(&self.repository).unwrap();
        self.server.create("environments.git").unwrap();
        let api = Api::new(&practice.url(), practice.token());
        let repository = self.repository.clone();
        Pulls(tokio::spawn(async move {
            let mut brought = String::new();
            loop {
                let head = git(&repository, &["rev-parse", "--verify", "-q", "main"]);
                if let Ok(head) = head
                    && head != brought
                {
                    for object in Repository::at(&repository).objects(&head, PATH).unwrap() {
                        api.apply("puller", &object, "shop-development").await.unwrap();
                    }
                    brought = head;
                }
                tokio::time::sleep(LOOK).await;
            }
        }))
    }

    /// One commit, whole, of the one deployment.
    pub(crate) fn check(&self) {
        let keys = ["log", "--format=%(trailers:key=Deployd-Key,valueonly,separator=)", "main"];
        let keys = git(&self.repository, &keys).unwrap();
        assert_eq!(keys.lines().count(), 1, "{keys}");
        git(&self.repository, &["fsck", "--strict"]).unwrap();
        let files = git(&self.repository, &["ls-tree", "-r", "--name-only", "main"]).unwrap();
        for of in ["deployment-frontend", "deployment-backend", "namespace-shop-development"] {
            assert!(files.contains(&format!("{PATH}/{of}.yaml")), "{files}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn i6_killed_beside_any_commit_leaves_one() {
    let lane = Arc::new(Lane::with(|folder| Some(Pulled::start(folder))).await);
    let never = Point { kind: "effect", side: "before", number: u64::MAX };
    assert!(!guarded(&lane, During::Deployment, &never).await);
    let log = lane.folder.path().join("run/data").join(EFFECTS);
    let log = std::fs::read_to_string(log).unwrap();
    let commits: Vec<u64> = (1..)
        .zip(log.lines())
        .filter(|(_, line)| line.contains("\"commit\""))
        .map(|(number, _)| number)
        .collect();
    assert!(!commits.is_empty(), "{log}");
    for number in commits {
        for side in ["before", "after"] {
            let point = Point { kind: "effect", side, number };
            assert!(guarded(&lane, During::Deployment, &point).await, "{point} was not reached");
        }
    }
}
