//! Debian's packages, where we may install them.

use anyhow::{Context, bail, ensure};
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// The servers that drivers are for: BIND 9 and PostgreSQL.
pub(crate) const SERVERS: [&str; 3] = ["bind9", "bind9-dnsutils", "postgresql-15"];

/// What rollouts are tried with: what leads requests to one version or another,
/// and what knows how each does.
pub(crate) const TRAFFIC: [&str; 2] = ["nginx", "prometheus"];

/// Servers of repositories: Git's own, and what it is reached by over SSH.
pub(crate) const REPOSITORIES: [&str; 3] = ["git", "openssh-client", "openssh-server"];

/// What people look at the page with, and what drives it.
pub(crate) const BROWSER: [&str; 2] = ["chromium", "chromium-driver"];

/// Asked by Debian's packages whether they may start their services.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Whether we may install packages.
pub(crate) fn can_install() -> bool {
    let root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    root && Path::new("/usr/bin/apt-get").exists()
}

/// Installs those packages that are missing; an error that names them where we
/// may not.
pub(crate) fn need(packages: &[&str], what_for: &str) -> anyhow::Result<()> {
    let installed = |name: &str| {
        Command::new("dpkg-query")
            .args(["--show", "--showformat=${Status}", name])
            .output()
            .is_ok_and(|output| output.stdout.ends_with(b" installed"))
    };
    let missing: Vec<&str> = packages.iter().copied().filter(|name| !installed(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !can_install() {
        bail!(
            "{what_for} needs packages of Debian that are missing: {}; install them, or run \
             this as root",
            missing.join(" ")
        );
    }
    install(&missing)
}

/// Installs packages, and nothing that they only recommend. No service is started:
/// tests start their own, where nobody else has any.
pub(crate) fn install(packages: &[&str]) -> anyhow::Result<()> {
    apt_get(&["update"])?;
    let _none = NoServices::begin()?;
    apt_get(&[&["install", "--yes", "--no-install-recommends"], packages].concat())
}

/// Keeps packages from starting services as long as it lives. A policy that is
/// there already is the machine's own, and stays.
struct NoServices {
    is_ours: bool,
}

impl NoServices {
    fn begin() -> anyhow::Result<Self> {
        let made = File::options().write(true).create_new(true).mode(0o755).open(POLICY);
        match made {
            Ok(mut file) => {
                let policy = Self { is_ours: true };
                // 101: an action that is not allowed.
                file.write_all(b"#!/bin/sh\nexit 101\n").context(POLICY)?;
                Ok(policy)
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Self { is_ours: false }),
            Err(error) => Err(error).context(POLICY),
        }
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.is_ours
            && let Err(error) = fs::remove_file(POLICY)
        {
            eprintln!("{POLICY} keeps services from starting; remove it: {error}");
        }
    }
}

fn apt_get(arguments: &[&str]) -> anyhow::Result<()> {
    eprintln!(" Installing apt-get {}", arguments.join(" "));
    let status = Command::new("/usr/bin/apt-get")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .arg("--quiet=2")
        .args(arguments)
        .stdin(Stdio::null())
        .status()
        .context("starting apt-get")?;
    ensure!(status.success(), "apt-get {} failed", arguments.join(" "));
    Ok(())
}
