//! Builds the peers in Go, of Debian's packages alone: nothing is downloaded that
//! the distribution does not have.

use crate::apt;
use crate::command::run;
use anyhow::Context;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PACKAGES: [&str; 5] = [
    "golang-go",
    "golang-github-hashicorp-go-plugin-dev",
    "golang-google-grpc-dev",
    "golang-goprotobuf-dev",
    "protobuf-compiler",
];
/// Where those packages have their sources.
const SOURCES: &str = "/usr/share/gocode";
/// The peer's own name among Go's packages.
const NAME: &str = "bench";

/// Builds `client`, `plugin` and `once` of a folder; returns where they are.
pub(crate) fn build(sources: &Path, out: &Path) -> anyhow::Result<PathBuf> {
    apt::need(&PACKAGES, "the peer")?;
    eprintln!("   Building go-plugin's client and plugin");
    let home = out.join("go");
    let copy = home.join("src").join(NAME);
    // A copy: code is generated beside it, and Go wants its own layout.
    if copy.exists() {
        fs::remove_dir_all(&copy).with_context(|| format!("removing {}", copy.display()))?;
    }
    copy_folder(sources, &copy)?;
    let mut protoc = Command::new("protoc");
    protoc.current_dir(&copy).args(["--go_out=plugins=grpc:.", "notifier/notifier.proto"]);
    run(&mut protoc)?;
    let programs = home.join("bin");
    fs::create_dir_all(&programs)?;
    run(Command::new("go")
        .current_dir(&copy)
        .env("GO111MODULE", "off")
        .env("GOPATH", format!("{}:{SOURCES}", home.display()))
        .env("GOCACHE", home.join("cache"))
        .arg("build")
        .arg("-o")
        // With this at its end, it is a folder to Go.
        .arg(programs.join(""))
        .args(["./client", "./plugin", "./once"]))?;
    Ok(programs)
}

/// Versions, for whoever compares figures.
pub(crate) fn versions() -> String {
    let output = Command::new("dpkg-query")
        .args(["--show", "--showformat=${Package} ${Version}, "])
        .args(PACKAGES)
        .output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.unwrap_or_default().trim_end_matches(", ").to_owned()
}

fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to).with_context(|| format!("creating {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}
