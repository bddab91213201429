//! Puts the plugins that are shipped with the daemon into the binary, when
//! `cargo xtask plugins` has built them. Without them the binary is complete
//! but for that: `deployd doctor` says so.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let here = PathBuf::from(env::var("CARGO_MANIFEST_DIR").unwrap_or_default());
    let folder = env::var_os("DEPLOYD_PLUGINS")
        .map_or_else(|| here.join("../../target/plugins"), PathBuf::from);
    println!("cargo::rerun-if-env-changed=DEPLOYD_PLUGINS");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut code = String::from("static SHIPPED: &[Shipped] = &[\n");
    for id in ids(&folder)? {
        let path = |ending: &str| folder.join(format!("{id}.{ending}"));
        let (component, manifest) = (path("wasm"), path("toml"));
        println!("cargo::rerun-if-changed={}", component.display());
        println!("cargo::rerun-if-changed={}", manifest.display());
        writeln!(
            code,
            "    Shipped {{ id: {id:?}, component: include_bytes!({:?}), manifest: include_str!({:?}) }},",
            component.canonicalize()?,
            manifest.canonicalize()?,
        )
        .map_err(io::Error::other)?;
    }
    code.push_str("];\n");
    let out = PathBuf::from(env::var("OUT_DIR").unwrap_or_default());
    fs::write(out.join("shipped.rs"), code)
}

/// Components that have a manifest beside them, in order.
fn ids(folder: &Path) -> io::Result<Vec<String>> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut ids = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let is_component = path.extension().is_some_and(|ending| ending == "wasm");
        if is_component && path.with_extension("toml").exists() {
            ids.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    ids.sort();
    Ok(ids)
}
