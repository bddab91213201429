//! Builds guests: core modules with cargo, components with `wit-component`.

mod component;
mod crates;
mod manifest;
mod toolchain;

use anyhow::Context;
use crates::PluginCrate;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use toolchain::Toolchain;

/// Builds the plugin in a folder, or all in its sub-folders, and writes
/// `<id>.wasm` and `<id>.toml` of each into `out`.
pub(crate) fn build(folder: &Path, out: &Path) -> anyhow::Result<()> {
    let folder =
        folder.canonicalize().with_context(|| format!("no folder {}", folder.display()))?;
    let crates = crates::find(&folder)?;
    let toolchain = Toolchain::choose(&folder)?;
    eprintln!("    Plugins {} with {toolchain}", folder.display());

    // One cargo per kind: the kinds are features of the SDK, and cargo unites
    // the features of what it builds together.
    let mut kinds: BTreeMap<&str, Vec<&PluginCrate>> = BTreeMap::new();
    for one in &crates {
        kinds.entry(&one.manifest.kind).or_default().push(one);
    }
    for (kind, crates) in kinds {
        let names: Vec<&str> = crates.iter().map(|one| one.package.as_str()).collect();
        eprintln!("   Building {kind}: {}", names.join(", "));
        toolchain.build(&folder, &names)?;
    }

    fs::create_dir_all(out).with_context(|| format!("creating {}", out.display()))?;
    for one in &crates {
        install(&folder, one, out)?;
    }
    Ok(())
}

fn install(folder: &Path, one: &PluginCrate, out: &Path) -> anyhow::Result<()> {
    let id = &one.manifest.id;
    let module = toolchain::module(folder, &one.library);
    let component = component::from_module(&module).with_context(|| format!("plugin {id}"))?;
    let manifest = one.manifest.released(&one.folder, &component.bytes)?;
    let path = out.join(format!("{id}.wasm"));
    write_if_changed(&path, &component.bytes)?;
    write_if_changed(&path.with_extension("toml"), manifest.as_bytes())?;
    println!(
        "{} ({} KiB; imports {})",
        path.display(),
        component.bytes.len().div_ceil(1024),
        if component.imports.is_empty() {
            "nothing".to_owned()
        } else {
            component.imports.join(", ")
        },
    );
    Ok(())
}

/// Leaves an unchanged file alone, so that nobody who watches it wakes up, and
/// replaces a changed one at once, so that nobody reads half of it.
fn write_if_changed(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    let half = path.with_extension("part");
    fs::write(&half, bytes).with_context(|| format!("writing {}", half.display()))?;
    fs::rename(&half, path).with_context(|| format!("writing {}", path.display()))
}
