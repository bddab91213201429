//! The same over SSH.

use std::sync::Arc;

use deployd_core::config::HostGrant;
use deployd_core::ports::{Branch, CallLog, Repositories as _, Revision, SshLogin};
use deployd_core::secret::SecretValue;
use fixtures::sshd::{self, Sshd};

use crate::support::{Stage, after, request, us};

/// `main`, with a grant for this port.
pub fn branch(stage: &Stage, server: &Sshd, port: u16) -> Branch {
    Branch {
        repository: server.url(&stage.bare),
        name: "main".to_owned(),
        grants: Arc::new([HostGrant {
            host: "127.0.0.1".to_owned(),
            port,
            scheme: "tcp".to_owned(),
            private_address: true,
            ..HostGrant::default()
        }]),
        ssh: Some(SshLogin {
            key: SecretValue::new(server.user_key.clone()),
            host_keys: vec![server.host_key.clone()],
        }),
    }
}

#[tokio::test]
async fn branches_are_read_and_written_over_ssh() {
    let stage = Stage::new();
    let server = Sshd::start(&stage.folder.path().join("ssh"), true).unwrap();
    let branch = branch(&stage, &server, server.port);
    let large = "x".repeat(300_000);
    let first = request(branch.clone(), "1", &[("a/b", "1\n"), ("large", &large)]);
    let first = stage.commit(&first).await.unwrap();
    stage.pushed_by_jane("others", &[("theirs", Some("t\n"))]);
    let second = after(&first, request(branch.clone(), "2", &[("a/b", "2\n"), ("large", &large)]));
    let second = stage.commit(&second).await.unwrap();
    assert_eq!(stage.bare(&["rev-parse", "main"]), second.commit.0);
    let git = us(&stage.egress);
    let log = CallLog::default();
    let listed = git.files(&branch, &Revision::Head, "", &log).await.unwrap();
    assert_eq!(listed.files.keys().collect::<Vec<_>>(), ["a/b", "large", "theirs"]);
    let blobs: Vec<_> = listed.files.into_values().collect();
    let contents = git.contents(&branch, &blobs, 1_000_000, &log).await.unwrap();
    assert_eq!(contents[&second.files["large"]].len(), large.len());
    let mut proposed = after(&second, request(branch.clone(), "3", &[("a/b", "3\n")]));
    proposed.proposal = Some("deployd/3".to_owned());
    git.commit(&proposed, &log).await.unwrap();
    let proposal = Branch { name: "deployd/3".to_owned(), ..branch };
    git.remove_branch(&proposal, &log).await.unwrap();
    assert_eq!(stage.bare(&["branch", "--format=%(refname:short)"]), "main");
    stage.sound();
}

#[tokio::test]
async fn wrong_keys_of_either_side_let_nobody_in() {
    let stage = Stage::new();
    let server = Sshd::start(&stage.folder.path().join("ssh"), true).unwrap();
    let other = sshd::key(stage.folder.path(), "other").unwrap();
    let public = std::fs::read_to_string(other.with_extension("pub")).unwrap();
    let right = branch(&stage, &server, server.port);
    let login = right.ssh.clone().unwrap();
    let with = |login: SshLogin| Branch { ssh: Some(login), ..right.clone() };
    let host = with(SshLogin { host_keys: vec![sshd::short(&public)], ..login.clone() });
    let fault = stage.commit(&request(host, "1", &[("a", "1\n")])).await.unwrap_err();
    assert_eq!(fault.code, "git-denied");
    assert!(fault.message.contains("host key") && fault.message.contains("SHA256:"), "{fault}");
    let key = SecretValue::new(std::fs::read(&other).unwrap());
    let user = with(SshLogin { key, ..login.clone() });
    let fault = stage.commit(&request(user, "1", &[("a", "1\n")])).await.unwrap_err();
    assert_eq!(fault.code, "git-denied");
    assert!(fault.message.contains("does not let the key SHA256:"), "{fault}");
    let nobody = Branch { ssh: None, ..right.clone() };
    let untrusting = with(SshLogin { host_keys: Vec::new(), ..login.clone() });
    let nonsense = with(SshLogin { key: SecretValue::new(b"hush".to_vec()), ..login });
    for branch in [nobody, untrusting, nonsense] {
        let fault = stage.commit(&request(branch, "1", &[("a", "1\n")])).await.unwrap_err();
        assert_eq!(fault.code, "git-invalid");
        assert!(!fault.message.contains("hush"), "{fault}");
    }
    let missing = Branch { repository: server.url(&stage.bare.join("none")), ..right };
    let fault = stage.commit(&request(missing, "1", &[("a", "1\n")])).await.unwrap_err();
    assert_eq!(fault.code, "git-not-found", "{fault}");
    assert_eq!(stage.bare(&["branch"]), "");
}

#[tokio::test]
async fn a_server_that_hands_no_version_on_is_told_what_to_do() {
    let stage = Stage::new();
    let server = Sshd::start(&stage.folder.path().join("ssh"), false).unwrap();
    let branch = branch(&stage, &server, server.port);
    stage.commit(&stage.request("1", &[("a", "1\n")])).await.unwrap();
    let fault =
        stage.git.files(&branch, &Revision::Head, "", &CallLog::default()).await.unwrap_err();
    assert_eq!(fault.code, "git-invalid");
    assert!(fault.message.contains("AcceptEnv GIT_PROTOCOL"), "{fault}");
}
