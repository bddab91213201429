//! Finds plugin crates: folders with a `plugin.toml` beside their `Cargo.toml`.

use super::manifest::Manifest;
use anyhow::{Context, ensure};
use std::collections::BTreeSet;
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
    let mut ids = BTreeSet::new();
    for one in &crates {
        let id = one.manifest.id.as_str();
        ensure!(ids.insert(id), "two plugins have the id {id}");
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with plugin crates of these ids.
    fn workspace(name: &str, ids: &[&str]) -> PathBuf {
        let root = std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
        for (index, id) in ids.iter().enumerate() {
            let folder = root.join(format!("crate-{index}"));
            fs::create_dir_all(&folder).unwrap();
            let cargo = format!("[package]\nname = \"my-{id}-{index}\"\n");
            fs::write(folder.join("Cargo.toml"), cargo).unwrap();
            let manifest = format!(
                "id = \"{id}\"\nversion = \"1\"\nkind = \"strategy\"\ndescription = \"x\"\n"
            );
            fs::write(folder.join("plugin.toml"), manifest).unwrap();
        }
        fs::create_dir_all(root.join("no-plugin")).unwrap();
        root
    }

    #[test]
    fn plugins_are_found_beside_other_folders() {
        let root = workspace("found", &["one", "two"]);
        let libraries: Vec<String> =
            find(&root).unwrap().into_iter().map(|one| one.library).collect();
        assert_eq!(libraries, ["my_one_0", "my_two_1"]);
        assert_eq!(find(&root.join("crate-1")).unwrap().len(), 1);
        let error = find(&root.join("no-plugin")).err().unwrap().to_string();
        assert!(error.contains("no plugin.toml"), "{error}");
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn two_plugins_with_one_id_are_refused() {
        let root = workspace("twice", &["one", "one"]);
        let error = find(&root).err().unwrap().to_string();
        assert!(error.contains("two plugins have the id one"), "{error}");
        fs::remove_dir_all(&root).unwrap();
    }
}
