//! `cargo xtask wit-check`: a released contract is frozen.
//!
//! A field more in a record breaks every compiled plugin, so a change is a new
//! version in a new file. Digests are of the text, comments included: what a
//! plugin author read when they compiled is what it stays.

use anyhow::{Context, bail, ensure};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use wit_parser::{Resolve, UnresolvedPackageGroup};

const RECORD: &str = "released.toml";
const HEADER: &str = "\
# The contracts that are released, and so frozen, with the digests of their text.
# Written by `cargo xtask wit-check --release`; never edited.
";

/// Digests by file name.
type Digests = BTreeMap<String, String>;

/// Parses and resolves all contracts, compares them with the record and, if
/// `release`, adds those to it that it does not have.
pub(crate) fn run(folder: &Path, release: bool) -> anyhow::Result<()> {
    let contracts = read_contracts(folder)?;
    resolve(&contracts)?;
    let digests: Digests = contracts
        .iter()
        .map(|(name, text)| {
            let digest = Sha256::digest(text.as_bytes());
            (name.clone(), format!("sha256:{digest:x}"))
        })
        .collect();
    let record = folder.join(RECORD);
    let released = read_record(&record)?;
    let unreleased = compare(&released, &digests)?;
    println!("{} contracts, {} of them released", digests.len(), released.len());
    if unreleased.is_empty() {
        return Ok(());
    }
    if !release {
        println!("not released: {}", unreleased.join(", "));
        return Ok(());
    }
    let text = format!("{HEADER}{}", toml::to_string(&digests)?);
    fs::write(&record, text).with_context(|| format!("writing {}", record.display()))?;
    println!("released: {}", unreleased.join(", "));
    Ok(())
}

fn read_contracts(folder: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let mut contracts = BTreeMap::new();
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "wit") {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let text =
                fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            contracts.insert(name.into_owned(), text);
        }
    }
    ensure!(!contracts.is_empty(), "no *.wit in {}", folder.display());
    Ok(contracts)
}

/// All packages together, so that what one takes from another is there.
fn resolve(contracts: &BTreeMap<String, String>) -> anyhow::Result<()> {
    let parse = |name: &str, text: &str| {
        UnresolvedPackageGroup::parse(name, text)
            .map_err(|(sources, error)| anyhow::anyhow!(error.render(&sources)))
    };
    let groups = contracts
        .iter()
        .map(|(name, text)| parse(name, text))
        .collect::<anyhow::Result<Vec<_>>>()?;
    // A package that stands for nothing: wit-parser resolves packages for the
    // sake of one.
    let all = parse("all.wit", "package deployd:all;")?;
    let mut packages = Resolve::default();
    if let Err(error) = packages.push_groups(all, groups) {
        bail!("{}", error.render(&packages.source_map));
    }
    Ok(())
}

fn read_record(path: &Path) -> anyhow::Result<Digests> {
    if !path.exists() {
        return Ok(Digests::new());
    }
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("reading {}", path.display()))
}

/// The names of the contracts that the record does not have.
fn compare(released: &Digests, digests: &Digests) -> anyhow::Result<Vec<String>> {
    let broken: Vec<String> = released
        .iter()
        .filter_map(|(name, frozen)| match digests.get(name) {
            None => Some(format!("{name} is released and is gone")),
            Some(digest) if digest != frozen => Some(format!(
                "{name} is released and has changed: a change is a new version in a new file"
            )),
            Some(_) => None,
        })
        .collect();
    ensure!(broken.is_empty(), "{}", broken.join("\n"));
    Ok(digests.keys().filter(|name| !released.contains_key(*name)).cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digests(pairs: &[(&str, &str)]) -> Digests {
        pairs.iter().map(|(name, digest)| ((*name).to_owned(), (*digest).to_owned())).collect()
    }

    #[test]
    fn a_released_contract_can_neither_change_nor_go() {
        let released = digests(&[("driver.wit", "a"), ("host.wit", "b")]);
        let now = digests(&[("driver.wit", "x"), ("types.wit", "c")]);
        let error = compare(&released, &now).unwrap_err().to_string();
        assert!(error.contains("driver.wit is released and has changed"));
        assert!(error.contains("host.wit is released and is gone"));
    }

    #[test]
    fn a_new_contract_waits_for_its_release() {
        let released = digests(&[("driver.wit", "a")]);
        let now = digests(&[("driver.wit", "a"), ("types.wit", "c")]);
        assert_eq!(compare(&released, &now).unwrap(), ["types.wit"]);
    }

    #[test]
    fn a_contract_that_refers_to_nothing_is_refused() {
        let text = "package a:b@0.1.0;\ninterface i { use a:c/d@0.1.0.{e}; }\n";
        let contracts = BTreeMap::from([("b.wit".to_owned(), text.to_owned())]);
        assert!(resolve(&contracts).is_err());
    }
}
