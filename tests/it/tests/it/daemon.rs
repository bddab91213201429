//! A daemon in a process of its own, on loopback and in a temporary directory.

use std::fs::{File, OpenOptions};
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use rustix::process::{Pid, Signal, kill_process};

use crate::client::Client;
use crate::compiled;
use crate::program::Build;
use crate::wait::until;

/// Below the ports that systems give to clients, so that none of them takes one
/// while a daemon that will come back on it is away.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A port that nobody listens at.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        // Processes begin at different places.
        let offset = (std::process::id() as u16).wrapping_mul(61).wrapping_add(step);
        let port = PORTS.start + offset % (PORTS.end - PORTS.start);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Options of `unshare` for a namespace in which this user can mount: without
/// rights where the kernel lets everybody have one, else as root.
fn mounts() -> &'static [&'static str] {
    const WAYS: [&[&str]; 2] = [&["--user", "--map-root-user", "--mount"], &["--mount"]];
    let mount = ["sh", "-c", "mount -t tmpfs none /tmp"];
    let works = |way: &&&[&str]| {
        let tried = Command::new("unshare").args(**way).args(mount).output();
        tried.is_ok_and(|tried| tried.status.success())
    };
    let way = WAYS.iter().find(works);
    way.unwrap_or_else(|| panic!("neither a user's namespace nor root may mount a disk here"))
}

/// How a daemon is started.
#[derive(Debug, Clone)]
pub(crate) struct Start {
    pub(crate) build: Build,
    pub(crate) data: PathBuf,
    pub(crate) port: u16,
    /// Standard output and error go there, one start after the other.
    pub(crate) log: PathBuf,
    pub(crate) env: Vec<(String, String)>,
    /// The size of a disk that only this daemon sees, on which its data are.
    pub(crate) disk_mib: Option<usize>,
}

impl Start {
    /// A daemon below this folder, whose data directory is `data` in it.
    pub(crate) fn new(build: Build, folder: &Path) -> Self {
        Self {
            build,
            data: folder.join("data"),
            port: free_port(),
            log: folder.join("daemon.log"),
            env: Vec::new(),
            disk_mib: None,
        }
    }

    pub(crate) fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    /// With no limit to how often one token may ask.
    pub(crate) fn without_limits(self) -> Self {
        self.env("DEPLOYD_CONFIG", bench::daemon::without_limits().display().to_string())
    }

    /// With a disk of its own, which ends with it: a file system in memory, in a
    /// namespace of mounts.
    pub(crate) fn on_a_disk_of(self, mib: usize) -> Self {
        std::fs::create_dir_all(&self.data).unwrap();
        Self { disk_mib: Some(mib), ..self }
    }

    /// The program, on its disk if it has one.
    fn command(&self) -> Command {
        let program = self.build.command();
        let Some(mib) = self.disk_mib else { return program };
        let mut command = Command::new("unshare");
        command
            .args(mounts())
            .args(["sh", "-c"])
            .arg(format!("mount -t tmpfs -o size={mib}m none \"$1\" && shift && exec \"$@\""))
            .arg("sh")
            .arg(&self.data)
            .arg(program.get_program());
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    /// Starts it; it may not be ready yet.
    pub(crate) fn spawn(&self) -> Daemon {
        let log = OpenOptions::new().create(true).append(true).open(&self.log).unwrap();
        let same = |file: &File| Stdio::from(file.try_clone().unwrap());
        let mut command = self.command();
        command
            .arg("serve")
            .arg("--data")
            .arg(&self.data)
            .args(["--listen", &format!("127.0.0.1:{}", self.port)])
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(same(&log))
            .stderr(same(&log));
        let child = command.spawn().unwrap();
        let data = match self.disk_mib {
            // Its disk is seen only through it.
            Some(_) => Path::new("/proc")
                .join(child.id().to_string())
                .join("root")
                .join(self.data.strip_prefix("/").unwrap()),
            None => self.data.clone(),
        };
        Daemon { child, data, start: self.clone() }
    }

    /// Starts it, and waits until it is ready.
    pub(crate) async fn ready(&self) -> Daemon {
        let mut daemon = self.spawn();
        assert!(daemon.is_ready().await, "it ended: {}", daemon.log());
        daemon
    }
}

/// A daemon that was started; dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    /// Where its data are for others.
    data: PathBuf,
    start: Start,
}

impl Daemon {
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.start.port)
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.start.log).unwrap_or_default()
    }

    /// Whether it has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits until it is ready; no when it ends before.
    pub(crate) async fn is_ready(&mut self) -> bool {
        let probe = Client::new(self.base(), "");
        until("the daemon is ready", || {
            let ended = self.ended().is_some();
            let probe = probe.clone();
            async move {
                let ready = Client::try_send(probe.request(reqwest::Method::GET, "/readyz")).await;
                match ready {
                    Ok(answer) if answer.status == 200 => Some(true),
                    _ => ended.then_some(false),
                }
            }
        })
        .await
    }

    /// A client with the token of the admin.
    pub(crate) fn client(&self) -> Client {
        let token = std::fs::read_to_string(self.data().join("admin-token")).unwrap();
        Client::new(self.base(), &token)
    }

    /// Kills it, and waits for its end.
    pub(crate) fn kill(&mut self) -> ExitStatus {
        self.child.kill().unwrap();
        self.child.wait().unwrap()
    }

    /// Tells it to stop, and waits until it has.
    pub(crate) async fn stop(&mut self) -> ExitStatus {
        if self.ended().is_none() {
            // Fails only when it has ended in between.
            let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        }
        until("the daemon stops", || {
            let ended = self.ended();
            async move { ended }
        })
        .await
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Fails only when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        compiled::keep(&self.start.data);
    }
}

/// Whether it was killed rather than ended.
pub(crate) fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(Signal::KILL.as_raw())
}
