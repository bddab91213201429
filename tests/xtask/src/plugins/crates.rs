//! Finds plugin crates: folders with a `plugin.toml` beside their `Cargo.toml`.

use super::manifest::Manifest;
use anyhow::{Context, ensure};
use std::fs;
use std::path::{Path, PathBuf};

/// A crate that becomes a plugin.
pub(crate) struct PluginCrate {
    /// Where it is.
    pub(crate) folder: PathBuf,
    /// Its name for cargo.
    pub(crate) package: String,
    /// The name of the file that cargo makes of it.
    pub(crate) library: String,
    /// Its `plugin.toml`.
    pub(crate) manifest: Manifest,
}

/// The plugin in this folder, or those in its sub-folders, in order of name.
pub(crate) fn find(folder: &Path) -> anyhow::Result<Vec<PluginCrate>> {
    if folder.join("plugin.toml").exists() {
        return Ok(vec![PluginCrate::read(folder)?]);
    }
    let mut folders: Vec<PathBuf> = fs::read_dir(folder)
        .with_context(|| format!("reading {}", folder.display()))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    folders.retain(|path| path.join("plugin.toml").exists());
    folders.sort();
    ensure!(!folders.is_empty(), "no plugin.toml in {} or in its sub-folders", folder.display());
    let crates: Vec<PluginCrate> =
        folders.iter().map(|folder| PluginCrate::read(folder)).collect::<Result<_, _>>()?;
    for pair in crates.windows(2) {
        if let [one, two] = pair {
            ensure!(
                one.manifest.id != two.manifest.id,
                "two plugins have the id {}",
                one.manifest.id
            );
        }
    }
    Ok(crates)
}

impl PluginCrate {
    fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("Cargo.toml");
        let cargo: toml::Table = fs::read_to_string(&path)
            .with_context(|| format!("reading {}", path.display()))?
            .parse()
            .with_context(|| format!("reading {}", path.display()))?;
        let name = |table: &str| {
            let name = cargo.get(table)?.get("name")?.as_str()?;
            Some(name.to_owned())
        };
        let package =
            name("package").with_context(|| format!("{} has no package.name", path.display()))?;
        Ok(Self {
            folder: folder.to_owned(),
            library: name("lib").unwrap_or_else(|| package.replace('-', "_")),
            package,
            manifest: Manifest::read(folder)?,
        })
    }
}
