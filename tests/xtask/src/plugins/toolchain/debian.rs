//! Debian's Rust packages for building web browsers, and a linker.

use crate::apt;
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::process::Command;

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

/// Installs the packages. The linker's version follows the compiler's.
pub(crate) fn install() -> anyhow::Result<()> {
    apt::install(&["rustc-web", "cargo-web", "rust-web-src"])?;
    let compiler = Compiler::ask().with_context(|| format!("{RUSTC} does not answer"))?;
    let matching = format!("lld-{}", compiler.llvm);
    apt::install(&[matching.as_str()]).or_else(|_| apt::install(&["lld"]))
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
