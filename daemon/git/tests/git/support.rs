//! What the tests share: a server with a repository, a way out, requests.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use deployd_core::config::{CredentialForm, HostGrant, HttpCredential};
use deployd_core::ports::{
    BlobId, Branch, CallLog, CommitAuthor, CommitRequest, Committed, Egress, Random, Recipe,
    Repositories as _, Use, Uses, Vault, VaultError,
};
use deployd_core::secret::{SecretRef, SecretValue};
use deployd_core::{Fault, Timestamp};
use deployd_egress::{Broker, System};
use deployd_git::GitRepositories;
use fixtures::git_server::{GitServer, git, git_with};
use tempfile::TempDir;

/// When all requests are made.
pub const NOW: Timestamp = Timestamp(1_790_000_000_000);
/// `deployd:hush` in base 64.
pub const LOGIN: &str = "ZGVwbG95ZDpodXNo";

/// A server with one repository, and us.
pub struct Stage {
    pub folder: TempDir,
    pub server: GitServer,
    /// The bare repository.
    pub bare: PathBuf,
    pub egress: Arc<dyn Egress>,
    pub git: GitRepositories,
}

impl Stage {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = GitServer::start(&folder.path().join("server")).unwrap();
        server.let_in(&[LOGIN]);
        let bare = server.create("environments.git").unwrap();
        let secrets = Secrets::default();
        secrets.0.lock().unwrap().insert("git".to_owned(), "hush".to_owned());
        let egress: Arc<dyn Egress> = Arc::new(Broker::new(Arc::new(System), Arc::new(secrets)));
        let git = us(&egress);
        Self { folder, server, bare, egress, git }
    }

    /// The branch `main`.
    pub fn main(&self) -> Branch {
        self.at(&self.server.url("environments.git"), self.server.address.port())
    }

    pub fn at(&self, url: &str, port: u16) -> Branch {
        Branch {
            repository: url.to_owned(),
            name: "main".to_owned(),
            grants: Arc::new([grant(port)]),
            ssh: None,
        }
    }

    pub fn request(&self, key: &str, files: &[(&str, &str)]) -> CommitRequest {
        request(self.main(), key, files)
    }

    pub async fn commit(&self, request: &CommitRequest) -> Result<Committed, Fault> {
        self.git.commit(request, &CallLog::default()).await
    }

    /// Runs git in the bare repository.
    pub fn bare(&self, arguments: &[&str]) -> String {
        git(&self.bare, arguments).unwrap()
    }

    /// A clone of somebody else.
    pub fn clone_of(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        git(self.folder.path(), &["clone", "--quiet", self.bare.to_str().unwrap(), name]).unwrap();
        path
    }

    /// Somebody else writes files, or removes them, and pushes.
    pub fn pushed_by_jane(&self, subject: &str, files: &[(&str, Option<&str>)]) -> String {
        let clone = tempfile::tempdir_in(self.folder.path()).unwrap();
        let bare = self.bare.to_str().unwrap();
        git(clone.path(), &["clone", "--quiet", bare, "."]).unwrap();
        let has_main = git(clone.path(), &["rev-parse", "--verify", "HEAD"]).is_ok();
        for (path, content) in files {
            let file = clone.path().join(path);
            match content {
                Some(content) => {
                    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
                    std::fs::write(file, content).unwrap();
                }
                None => std::fs::remove_file(file).unwrap(),
            }
        }
        if !has_main {
            git(clone.path(), &["checkout", "--quiet", "-B", "main"]).unwrap();
        }
        git(clone.path(), &["add", "--all"]).unwrap();
        git(clone.path(), &["commit", "--quiet", "--allow-empty", "-m", subject]).unwrap();
        git(clone.path(), &["push", "--quiet", "origin", "HEAD:main"]).unwrap();
        git(clone.path(), &["rev-parse", "HEAD"]).unwrap()
    }

    /// What is in the repository, as `git ls-tree` says.
    pub fn listed(&self, revision: &str) -> Vec<String> {
        self.bare(&["ls-tree", "-r", revision]).lines().map(str::to_owned).collect()
    }

    pub fn content(&self, path: &str) -> String {
        self.bare(&["show", &format!("main:{path}")])
    }

    /// How many commits were made by this key.
    pub fn made_by(&self, key: &str) -> usize {
        let wanted = format!("Deployd-Key: {key}");
        self.bare(&["log", "--format=%B%x00", "main"])
            .split('\0')
            .filter(|one| one.contains(&wanted))
            .count()
    }

    /// Makes objects by hand; gives the name.
    pub fn object(&self, kind: &str, content: &[u8]) -> String {
        git_with(&self.bare, &["hash-object", "--literally", "-w", "-t", kind, "--stdin"], content)
            .unwrap()
    }

    /// Everything is as Git wants it.
    pub fn sound(&self) {
        self.bare(&["fsck", "--strict", "--full"]);
    }
}

/// Ourselves, knowing nothing yet.
pub fn us(egress: &Arc<dyn Egress>) -> GitRepositories {
    GitRepositories::new(egress.clone(), Arc::new(Nobody), Arc::new(Chance))
}

pub fn grant(port: u16) -> HostGrant {
    HostGrant {
        host: "127.0.0.1".to_owned(),
        port,
        scheme: "http".to_owned(),
        private_address: true,
        credential: Some(HttpCredential {
            secret: "git".to_owned(),
            form: CredentialForm::Basic,
            user: Some("deployd".to_owned()),
            prefix: None,
            header: None,
            plaintext: false,
        }),
        ..HostGrant::default()
    }
}

pub fn request(branch: Branch, key: &str, files: &[(&str, &str)]) -> CommitRequest {
    let files = files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()));
    CommitRequest {
        branch,
        proposal: None,
        files: files.collect(),
        owned: BTreeMap::new(),
        take_over: false,
        message: format!("shop: {key}\n\nDeployd-Application: shop\n"),
        key: key.to_owned(),
        later: Vec::new(),
        author: CommitAuthor {
            name: "deployd".to_owned(),
            email: "deployd@example.com".to_owned(),
        },
        at: NOW,
        signing_key: None,
        again: false,
    }
}

/// The request after one that was fulfilled.
pub fn after(done: &Committed, mut request: CommitRequest) -> CommitRequest {
    request.owned = done.files.clone();
    request
}

pub fn blob(content: &str) -> BlobId {
    BlobId(git_with(Path::new("/"), &["hash-object", "--stdin"], content.as_bytes()).unwrap())
}

struct Nobody;

impl Uses for Nobody {
    fn record(&self, _: Use) {}
}

struct Chance;

impl Random for Chance {
    fn fill(&self, buffer: &mut [u8]) {
        for byte in buffer {
            *byte = RandomState::new().build_hasher().finish().to_le_bytes()[0];
        }
    }
}

/// The operator's secrets.
#[derive(Default)]
pub struct Secrets(pub Mutex<BTreeMap<String, String>>);

#[async_trait]
impl Vault for Secrets {
    async fn get(&self, secret: &SecretRef) -> Result<SecretValue, VaultError> {
        let value = self.0.lock().unwrap().get(&secret.name).cloned();
        let value = value.ok_or_else(|| VaultError::NotFound(secret.clone()))?;
        Ok(SecretValue::new(value.into_bytes()))
    }

    async fn contains(&self, secret: &SecretRef) -> Result<bool, VaultError> {
        Ok(self.0.lock().unwrap().contains_key(&secret.name))
    }

    async fn generate(&self, _: &SecretRef, _: &Recipe) -> Result<(), VaultError> {
        unreachable!("the broker makes no secrets")
    }

    async fn put(&self, _: &SecretRef, _: SecretValue) -> Result<(), VaultError> {
        unreachable!("the broker makes no secrets")
    }

    async fn list(&self, _: &str) -> Result<Vec<String>, VaultError> {
        unreachable!("the broker asks for secrets by name")
    }

    async fn remove_owner(&self, _: &str) -> Result<(), VaultError> {
        unreachable!("the broker removes no secrets")
    }
}

/// Repositories that are made quickly.
pub mod git_import {
    use super::{Stage, git_with};

    /// Files of a mebibyte each with chance in them.
    pub fn large(stage: &Stage, mebibytes: usize) {
        let mut stream =
            b"commit refs/heads/main\ncommitter Jane <j@example.com> 1 +0000\ndata 1\nx\n".to_vec();
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for number in 0..mebibytes {
            stream.extend(format!("M 644 inline large/{number}\ndata {}\n", 1 << 20).into_bytes());
            for _ in 0..(1 << 17) {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                stream.extend(state.to_le_bytes());
            }
            stream.push(b'\n');
        }
        // Nobody looks for what they have in common.
        for (key, value) in [("core.compression", "0"), ("pack.window", "0")] {
            stage.bare(&["config", key, value]);
        }
        git_with(&stage.bare, &["-c", "core.compression=0", "fast-import", "--quiet"], &stream)
            .unwrap();
    }
}
