//! Debian's packages, where we may install them.

use anyhow::{Context, bail, ensure};
use std::path::Path;
use std::process::{Command, Stdio};

/// The servers that drivers are for: BIND 9 and PostgreSQL.
pub(crate) const SERVERS: [&str; 3] = ["bind9", "bind9-dnsutils", "postgresql-15"];

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

/// Installs packages, and nothing that they only recommend.
pub(crate) fn install(packages: &[&str]) -> anyhow::Result<()> {
    apt_get(&["update"])?;
    apt_get(&[&["install", "--yes", "--no-install-recommends"], packages].concat())
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
