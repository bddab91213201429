//! A cluster, a namespace in it, and the clients as their users run them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use deployd_practice::{Practice, PracticeOptions};
use serde_json::Value;

/// Nothing here takes this long; it only keeps a broken test from hanging.
const GUARD: Duration = Duration::from_secs(60);

/// A test's cluster and namespace: a practice cluster of its own, or the real
/// one that `DEPLOYD_TEST_KUBECONFIG` names.
pub(crate) struct Stage {
    /// The namespace that the clients work in.
    pub(crate) namespace: String,
    home: tempfile::TempDir,
    kubeconfig: PathBuf,
    practice: Option<Practice>,
}

/// What a client said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) command: String,
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) code: i32,
}

impl Said {
    /// The output of a client that succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}\n{}\n{}", self.command, self.out, self.err);
        self.out
    }

    /// The complaint of a client that failed.
    #[track_caller]
    pub(crate) fn refused(self) -> String {
        assert_ne!(self.code, 0, "{} succeeded: {}", self.command, self.out);
        self.err
    }
}

/// Fails with both texts when one does not contain the other.
#[track_caller]
pub(crate) fn has(text: &str, part: &str) {
    assert!(text.contains(part), "no {part:?} in:\n{text}");
}

fn tool(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools");
    let path = folder.join(name);
    assert!(path.exists(), "no {}: run `cargo xtask tools`", path.display());
    path
}

impl Stage {
    /// A cluster with an empty namespace.
    pub(crate) async fn new(name: &str) -> Self {
        Self::with(name, PracticeOptions::default()).await
    }

    pub(crate) async fn with(name: &str, options: PracticeOptions) -> Self {
        let home = tempfile::tempdir().unwrap();
        let (kubeconfig, practice) = match std::env::var_os("DEPLOYD_TEST_KUBECONFIG") {
            Some(file) => (PathBuf::from(file), None),
            None => {
                let practice = Practice::start(options).await.unwrap();
                let file = home.path().join("kubeconfig");
                std::fs::write(&file, practice.kubeconfig()).unwrap();
                (file, Some(practice))
            }
        };
        let namespace = format!("clients-{name}-{}", std::process::id());
        let stage = Self { namespace, home, kubeconfig, practice };
        stage.kubectl(&["create", "namespace", &stage.namespace]).ok();
        stage
    }

    /// A file in the test's folder.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.home.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.home.path()
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(tool(program));
        command
            .args(arguments)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HOME", self.home.path())
            .env("PATH", "/usr/bin:/bin")
            .current_dir(self.home.path())
            .stdin(Stdio::null());
        if !self.namespace.is_empty() {
            command.env("HELM_NAMESPACE", &self.namespace);
        }
        command
    }

    fn run(&self, program: &str, arguments: &[&str], input: &str) -> Said {
        let mut child = self
            .command(program, arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        Said {
            command: format!("{program} {}", arguments.join(" ")),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code().unwrap_or(-1),
        }
    }

    /// Runs kubectl in the test's namespace.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Said {
        self.kubectl_with(arguments, "")
    }

    /// Runs kubectl with something to read.
    pub(crate) fn kubectl_with(&self, arguments: &[&str], input: &str) -> Said {
        self.run("kubectl", &self.placed(arguments), input)
    }

    /// Runs the older kubectl.
    pub(crate) fn old_kubectl(&self, arguments: &[&str], input: &str) -> Said {
        self.run("kubectl-older", &self.placed(arguments), input)
    }

    fn placed<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        let mut all = vec!["--namespace", self.namespace.as_str()];
        all.extend(arguments);
        all
    }

    /// Applies documents, and returns what kubectl says of each.
    #[track_caller]
    pub(crate) fn apply(&self, documents: &str) -> String {
        self.kubectl_with(&["apply", "-f", "-"], documents).ok()
    }

    /// Runs helm in the test's namespace.
    pub(crate) fn helm(&self, arguments: &[&str]) -> Said {
        self.run("helm", arguments, "")
    }

    /// An object as JSON.
    #[track_caller]
    pub(crate) fn get(&self, what: &str) -> Value {
        let text = self.kubectl(&["get", what, "-o", "json", "--show-managed-fields"]).ok();
        serde_json::from_str(&text).unwrap()
    }

    /// One field of an object, as text.
    #[track_caller]
    pub(crate) fn field(&self, what: &str, path: &str) -> String {
        self.kubectl(&["get", what, "-o", &format!("jsonpath={{{path}}}")]).ok()
    }

    /// Waits for a deployment's rollout.
    #[track_caller]
    pub(crate) fn rolled_out(&self, what: &str) {
        let said = self.kubectl(&["rollout", "status", what, "--timeout=60s"]).ok();
        has(&said, "successfully rolled out");
    }

    /// Waits as `kubectl wait` does.
    #[track_caller]
    pub(crate) fn wait(&self, what: &str, condition: &str) {
        self.kubectl(&["wait", what, &format!("--for={condition}"), "--timeout=60s"]).ok();
    }

    /// Runs kubectl until its output is dropped.
    pub(crate) fn follow(&self, arguments: &[&str]) -> Follow {
        let mut child = self
            .command("kubectl", &self.placed(arguments))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = child.stdout.take().unwrap();
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Follow { child, lines }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // A practice cluster goes with its namespaces.
        if self.practice.is_none() {
            self.kubectl(&["delete", "namespace", &self.namespace, "--wait=false"]);
        }
    }
}

/// A client that runs beside the test.
pub(crate) struct Follow {
    child: Child,
    lines: Receiver<String>,
}

impl Follow {
    /// The next line that contains a text.
    #[track_caller]
    pub(crate) fn until(&self, part: &str) -> String {
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(GUARD) {
                Ok(line) if line.contains(part) => return line,
                Ok(line) => seen.push(line),
                Err(error) => panic!("no {part:?} ({error}) after:\n{}", seen.join("\n")),
            }
        }
    }

    /// Waits for the client to end by itself, and says whether it succeeded.
    pub(crate) fn ended(mut self) -> bool {
        while self.lines.recv_timeout(GUARD).is_ok() {}
        self.child.wait().unwrap().success()
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A deployment whose pods run until they are stopped.
pub(crate) fn web(image: &str, replicas: u32) -> String {
    format!(
        r#"
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, labels: {{app: web}}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: web
        image: {image}
        command: [sh, -c, "echo ready; sleep 1000000"]
        ports: [{{name: http, containerPort: 8080}}]
"#
    )
}
