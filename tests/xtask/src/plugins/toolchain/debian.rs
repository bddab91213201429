//! Debian's Rust packages for building web browsers, and a linker.

use anyhow::{Context, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) const CARGO: &str = "/usr/bin/cargo";
pub(crate) const RUSTC: &str = "/usr/bin/rustc";
const SOURCES: &str = "/usr/lib/rustlib/src/rust/library/std";
/// What the SDK and the plugins need; Debian's ordinary `rustc` may be older.
const MINOR_MIN: u32 = 95;

/// The linker to use, if the packages and a linker are installed.
pub(crate) fn find() -> Option<PathBuf> {
    let compiler = Compiler::ask()?;
    let ready =
        compiler.minor >= MINOR_MIN && Path::new(CARGO).exists() && Path::new(SOURCES).exists();
    if ready { linker(compiler.llvm) } else { None }
}

/// Whether we may install packages.
pub(crate) fn can_install() -> bool {
    let root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    root && Path::new("/usr/bin/apt-get").exists()
}

/// Installs the packages. The linker's version follows the compiler's.
pub(crate) fn install() -> anyhow::Result<()> {
    apt_get(&["update"])?;
    let packages = ["rustc-web", "cargo-web", "rust-web-src"];
    apt_get(&[&["install", "--yes", "--no-install-recommends"], &packages[..]].concat())?;
    let compiler = Compiler::ask().with_context(|| format!("{RUSTC} does not answer"))?;
    let matching = format!("lld-{}", compiler.llvm);
    let install = ["install", "--yes", "--no-install-recommends"];
    apt_get(&[&install[..], &[matching.as_str()]].concat())
        .or_else(|_| apt_get(&[&install[..], &["lld"]].concat()))
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

/// The linker of the compiler's own LLVM, or the newest there is: an older one
/// may not know what the compiler writes.
fn linker(llvm: u32) -> Option<PathBuf> {
    let newest_first = (14..=llvm.max(40)).rev();
    std::iter::once(llvm)
        .chain(newest_first)
        .map(|version| format!("/usr/bin/wasm-ld-{version}"))
        .chain(["/usr/bin/wasm-ld".to_owned()])
        .map(PathBuf::from)
        .find(|path| path.exists())
}

/// What `rustc --version --verbose` tells.
#[derive(Debug, PartialEq, Eq)]
struct Compiler {
    /// Of Rust 1.x.
    minor: u32,
    /// Major version.
    llvm: u32,
}

impl Compiler {
    fn ask() -> Option<Self> {
        let output = Command::new(RUSTC).args(["--version", "--verbose"]).output().ok()?;
        Self::parse(&String::from_utf8_lossy(&output.stdout))
    }

    fn parse(text: &str) -> Option<Self> {
        let number = |key: &str, part: usize| {
            let line = text.lines().find_map(|line| line.strip_prefix(key))?;
            line.trim().split('.').nth(part)?.parse().ok()
        };
        Some(Self { minor: number("release:", 1)?, llvm: number("LLVM version:", 0)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_the_compilers_answer() {
        let text = "rustc 1.96.0 (built from a source tarball)\nbinary: rustc\n\
                    release: 1.96.0\nLLVM version: 22.1.8\n";
        assert_eq!(Compiler::parse(text), Some(Compiler { minor: 96, llvm: 22 }));
        assert_eq!(Compiler::parse("rustc 1.63.0\n"), None);
    }
}
