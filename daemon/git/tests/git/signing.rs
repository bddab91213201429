//! Commits are signed as Git signs them.

use deployd_core::secret::SecretValue;
use fixtures::git_server::git;
use fixtures::sshd;

use crate::support::{Stage, after};

#[tokio::test]
async fn git_verifies_what_we_have_signed() {
    for kind in ["ed25519", "ecdsa"] {
        let stage = Stage::new();
        let key = stage.folder.path().join(kind);
        let made = std::process::Command::new("ssh-keygen")
            .args(["-q", "-t", kind, "-N", "", "-f"])
            .arg(&key)
            .status()
            .unwrap();
        assert!(made.success());
        let public = sshd::short(&std::fs::read_to_string(key.with_extension("pub")).unwrap());
        let allowed = stage.folder.path().join("allowed");
        std::fs::write(&allowed, format!("deployd@example.com {public}\n")).unwrap();
        let secret = SecretValue::new(std::fs::read(&key).unwrap());
        let mut request = stage.request("1", &[("a", "1\n")]);
        request.signing_key = Some(secret.clone());
        let first = stage.commit(&request).await.unwrap();
        let mut request = after(&first, stage.request("2", &[("a", "2\n")]));
        request.signing_key = Some(secret);
        stage.commit(&request).await.unwrap();
        let allowed = format!("gpg.ssh.allowedSignersFile={}", allowed.display());
        for commit in ["main", "main^"] {
            git(&stage.bare, &["-c", &allowed, "verify-commit", commit]).unwrap();
        }
        // Nobody else's key will do.
        let other = stage.folder.path().join("others");
        let other_key = sshd::key(stage.folder.path(), "other").unwrap();
        let public =
            sshd::short(&std::fs::read_to_string(other_key.with_extension("pub")).unwrap());
        std::fs::write(&other, format!("deployd@example.com {public}\n")).unwrap();
        let other = format!("gpg.ssh.allowedSignersFile={}", other.display());
        assert!(git(&stage.bare, &["-c", &other, "verify-commit", "main"]).is_err());
        assert_eq!(stage.made_by("2"), 1);
        stage.sound();
    }
}
