//! What the tests share: a repository with branches, a forge over it, and a way out.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use deployd_core::Fault;
use deployd_core::config::{HostGrant, HttpCredential};
use deployd_core::ports::{
    CallLog, Forge, ForgeKind, Forges as _, Proposal, PullRequest, Recipe, Use, Uses, Vault,
    VaultError,
};
use deployd_core::secret::{SecretRef, SecretValue};
use deployd_egress::{Broker, System};
use deployd_forge::HttpForges;
use fixtures::forges::{ForgeServer, Kind};
use tempfile::TempDir;

pub const KINDS: [Kind; 3] = [Kind::Github, Kind::Gitlab, Kind::Gitea];

/// A branch whose name has all that has to be encoded somewhere.
pub const BRANCH: &str = "deployd/shop+staging/100%25/ü#1&x=y";

/// The name of the operator's secret.
const SECRET: &str = "forge-token";

/// The operator's secret.
struct Secret(Mutex<String>);

#[async_trait]
impl Vault for Secret {
    async fn get(&self, secret: &SecretRef) -> Result<SecretValue, VaultError> {
        assert_eq!(secret.name, SECRET);
        Ok(SecretValue::new(self.0.lock().unwrap().clone().into_bytes()))
    }

    async fn contains(&self, _: &SecretRef) -> Result<bool, VaultError> {
        Ok(true)
    }

    async fn generate(&self, _: &SecretRef, _: &Recipe) -> Result<(), VaultError> {
        unreachable!("forges make no secrets")
    }

    async fn put(&self, _: &SecretRef, _: SecretValue) -> Result<(), VaultError> {
        unreachable!("forges make no secrets")
    }

    async fn list(&self, _: &str) -> Result<Vec<String>, VaultError> {
        unreachable!("a grant names its secret")
    }

    async fn remove_owner(&self, _: &str) -> Result<(), VaultError> {
        unreachable!("forges remove no secrets")
    }
}

/// Remembers uses.
#[derive(Default)]
pub struct Remembered(pub Mutex<Vec<Use>>);

impl Uses for Remembered {
    fn record(&self, used: Use) {
        self.0.lock().unwrap().push(used);
    }
}

/// A forge, and who asks it.
pub struct Stage {
    pub kind: Kind,
    pub server: ForgeServer,
    pub forge: Forge,
    pub forges: HttpForges,
    pub log: CallLog,
    pub uses: Arc<Remembered>,
    secret: Arc<Secret>,
    repository: TempDir,
}

impl Stage {
    pub fn new(kind: Kind) -> Self {
        let repository = repository();
        let project = if kind == Kind::Gitlab { "shop/teams/env" } else { "shop/env" };
        let server = ForgeServer::start(kind, repository.path(), project).unwrap();
        let secret = Arc::new(Secret(Mutex::new(server.token.clone())));
        let uses = Arc::new(Remembered::default());
        let broker = Arc::new(Broker::new(Arc::new(System), secret.clone()));
        let grant = HostGrant {
            host: "127.0.0.1".into(),
            port: server.port,
            scheme: "http".into(),
            private_address: true,
            credential: Some(HttpCredential {
                secret: SECRET.into(),
                form: deployd_core::config::CredentialForm::Bearer,
                user: None,
                prefix: None,
                header: None,
                plaintext: false,
            }),
            ..HostGrant::default()
        };
        let forge = Forge {
            kind: match kind {
                Kind::Github => ForgeKind::Github,
                Kind::Gitlab => ForgeKind::Gitlab,
                Kind::Gitea => ForgeKind::Gitea,
            },
            api: server.api(),
            project: project.into(),
            grants: Arc::new([grant]),
        };
        let forges = HttpForges::new(broker, uses.clone());
        Self { kind, server, forge, forges, log: CallLog::default(), uses, secret, repository }
    }

    pub fn set_secret(&self, value: &str) {
        value.clone_into(&mut self.secret.0.lock().unwrap());
    }

    pub async fn propose(&self) -> Result<PullRequest, Fault> {
        self.propose_this(&proposal()).await
    }

    pub async fn propose_this(&self, proposal: &Proposal) -> Result<PullRequest, Fault> {
        self.forges.propose(&self.forge, proposal, &self.log).await
    }

    pub async fn look(&self, number: u64) -> Result<PullRequest, Fault> {
        self.forges.look(&self.forge, number, &self.log).await
    }

    pub async fn close(&self, number: u64) -> Result<PullRequest, Fault> {
        self.forges.close(&self.forge, number, "deployment cancelled", &self.log).await
    }

    /// What `git` says of the repository.
    pub fn git(&self, arguments: &[&str]) -> String {
        git(self.repository.path(), arguments)
    }

    /// How often it was asked with this method.
    pub fn asked(&self, method: &str) -> usize {
        self.server.asked().iter().filter(|asked| asked.method == method).count()
    }
}

pub fn proposal() -> Proposal {
    Proposal {
        from: BRANCH.into(),
        into: "main".into(),
        title: "shop/staging: deploy web 1.4.2 (d_01)".into(),
        body: "Deploys web.\n".into(),
    }
}

/// A bare repository: `main` with two commits, and a branch with two others that began
/// at the first of them, where `same` still is.
fn repository() -> TempDir {
    let bare = tempfile::tempdir().unwrap();
    git(bare.path(), &["init", "--quiet", "--bare", "--initial-branch=main", "."]);
    let commit = |branch: &str, mark: u32, from: Option<u32>, file: &str| {
        let from = from.map(|from| format!("from :{from}\n")).unwrap_or_default();
        let data = format!("data {}\n{file}\n", file.len());
        let by = "committer a <a@shop.example> 1700000000 +0000";
        format!(
            "commit refs/heads/{branch}\nmark :{mark}\n{by}\n{data}{from}\
             M 100644 inline {file}\n{data}\n"
        )
    };
    let stream = [
        commit("main", 1, None, "first"),
        commit(BRANCH, 2, Some(1), "web.yaml"),
        commit(BRANCH, 3, Some(2), "database.yaml"),
        commit("main", 4, Some(1), "other"),
        "reset refs/heads/same\nfrom :1\n\n".to_owned(),
    ];
    let path = bare.path().join("stream");
    std::fs::write(&path, stream.concat()).unwrap();
    let mut command = command(bare.path(), &["fast-import", "--quiet"]);
    let status = command.stdin(File::open(&path).unwrap()).status().unwrap();
    assert!(status.success());
    bare
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = command(folder, arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args(arguments);
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    command
}

/// Asserts the code of a fault and whether it may pass, and that it tells no secret.
#[track_caller]
pub fn assert_fault(
    stage: &Stage,
    came: Result<PullRequest, Fault>,
    code: &str,
    passes: bool,
) -> Fault {
    let fault = came.unwrap_err();
    assert_eq!(
        (fault.code.as_str(), fault.is_transient()),
        (code, passes),
        "{:?}: {fault}",
        stage.kind
    );
    let told = format!("{fault:?} {:?}", stage.log.take());
    assert!(!told.contains(&stage.server.token), "{told}");
    fault
}
