//! What guests are built with.
//!
//! A toolchain of rustup's that has the guest target is used as it is. Where
//! there is none, Debian's packages for Firefox can do it: they bring the
//! sources of the standard library, which cargo then builds for the guest.
//! Toolchains are the user's business: this never installs one by rustup.

mod debian;

use crate::apt;
use anyhow::{Context, bail, ensure};
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "wasm32-unknown-unknown";

/// What guests are built with.
pub(crate) enum Toolchain {
    /// The cargo that the user has.
    Own { cargo: OsString },
    /// Debian's, with the standard library built from source.
    Debian { linker: PathBuf },
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own { .. } => f.write_str("the installed Rust toolchain"),
            Self::Debian { linker } => {
                write!(f, "Debian's Rust packages and {}", linker.display())
            }
        }
    }
}

impl Toolchain {
    /// Takes the first that can build guests, and installs Debian's packages if
    /// none can and we may.
    pub(crate) fn choose(folder: &Path) -> anyhow::Result<Self> {
        if has_target(folder) {
            let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
            return Ok(Self::Own { cargo });
        }
        if let Some(linker) = debian::find() {
            return Ok(Self::Debian { linker });
        }
        let install_it = format!(
            "no Rust toolchain for guests: install one with\n    rustup target add {TARGET}"
        );
        if !apt::can_install() {
            bail!("{install_it}");
        }
        debian::install().context(install_it.clone())?;
        let linker = debian::find().context(install_it)?;
        Ok(Self::Debian { linker })
    }

    /// Builds packages of a folder's workspace for the guest target. Cargo shows
    /// how it goes, and builds only what has changed.
    pub(crate) fn build(&self, folder: &Path, packages: &[&str]) -> anyhow::Result<()> {
        let mut command = match self {
            Self::Own { cargo } => Command::new(cargo),
            Self::Debian { linker } => {
                let mut command = Command::new(debian::CARGO);
                command
                    .env("RUSTC", debian::RUSTC)
                    // Building the standard library is unstable; this compiler is
                    // pinned by the distribution, so it does not change under us.
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker)
                    .env_remove("RUSTC_WRAPPER")
                    .arg("-Zbuild-std=std,panic_abort");
                command
            }
        };
        command
            .current_dir(folder)
            .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", flags(folder))
            .args(["build", "--release", "--target", TARGET, "--target-dir"])
            .arg(target_dir(folder));
        for package in packages {
            command.args(["--package", package]);
        }
        let status = command.status().with_context(|| format!("starting {command:?}"))?;
        ensure!(status.success(), "cargo could not build {}", packages.join(", "));
        Ok(())
    }
}

/// The core module that cargo makes of a library.
pub(crate) fn module(folder: &Path, library: &str) -> PathBuf {
    target_dir(folder).join(TARGET).join("release").join(format!("{library}.wasm"))
}

/// Guests have a target folder of their own: other flags, another toolchain.
fn target_dir(folder: &Path) -> PathBuf {
    folder.join("target")
}

/// The paths of this machine have no business in a component, whose digest
/// would depend on them.
fn flags(folder: &Path) -> String {
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let mut remap = vec![(folder.to_owned(), "/plugins")];
    remap.extend(home.map(|home| (home, "/cargo")));
    remap
        .iter()
        // Flags are split at spaces.
        .filter(|(from, _)| !from.display().to_string().contains(' '))
        .map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Whether the user's own compiler can build guests.
fn has_target(folder: &Path) -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    Command::new(rustc)
        .current_dir(folder)
        .env("RUSTUP_AUTO_INSTALL", "0")
        .args(["--print", "sysroot"])
        .output()
        .is_ok_and(|output| {
            let sysroot = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            output.status.success()
                && Path::new(&sysroot).join("lib/rustlib").join(TARGET).join("lib").is_dir()
        })
}
