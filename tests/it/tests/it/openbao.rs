//! An OpenBao in development mode, on loopback.

use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::Client;
use crate::daemon::free_port;
use crate::program::root;
use crate::wait::until;

/// Ends when it is dropped.
pub(crate) struct OpenBao {
    child: Child,
    pub(crate) address: String,
    _folder: TempDir,
}

impl OpenBao {
    /// The token of everything.
    pub(crate) const TOKEN: &str = "root-5e1f0c-openbao";

    pub(crate) async fn start() -> Self {
        let program = root().join("target/tools/openbao/bao");
        assert!(program.exists(), "no {}: run `cargo xtask tools`", program.display());
        let folder = tempfile::tempdir().unwrap();
        let listen = format!("127.0.0.1:{}", free_port());
        let child = Command::new(program)
            .args(["server", "-dev", "-dev-no-store-token"])
            .arg(format!("-dev-root-token-id={}", Self::TOKEN))
            .arg(format!("-dev-listen-address={listen}"))
            .env_clear()
            .env("HOME", folder.path())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let bao = Self { child, address: format!("http://{listen}"), _folder: folder };
        let probe = Client::new(bao.address.clone(), Self::TOKEN);
        until("OpenBao is ready", || {
            let asked = probe.request(reqwest::Method::GET, "/v1/sys/health");
            async move {
                let answer = Client::try_send(asked).await;
                answer.is_ok_and(|answer| answer.status == 200).then_some(())
            }
        })
        .await;
        bao
    }

    /// Writes a secret of the engine `secret`.
    pub(crate) async fn put(&self, path: &str, data: &Value) {
        // It takes its token as a bearer's too.
        let client = Client::new(self.address.clone(), Self::TOKEN);
        client.post(&format!("/v1/secret/data/{path}"), &json!({"data": data})).await.ok();
    }
}

impl Drop for OpenBao {
    fn drop(&mut self) {
        // Fails only when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
