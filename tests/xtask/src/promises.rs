//! Each promise of daemon/ARCHITECTURE.md has a test that carries its number.

use anyhow::{Context, bail};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// I1 to I16.
const PROMISES: usize = 16;

/// Fails when a number occurs in the name of no test.
pub(crate) fn check(root: &Path) -> anyhow::Result<()> {
    let mut tests = BTreeMap::<usize, usize>::new();
    for folder in ["daemon", "tests"] {
        visit(&root.join(folder), &mut tests)?;
    }
    let missing: Vec<String> = (1..=PROMISES)
        .filter(|number| !tests.contains_key(number))
        .map(|number| format!("I{number}"))
        .collect();
    if !missing.is_empty() {
        bail!("no test has the number of {} in its name", missing.join(", "));
    }
    let counts: Vec<String> =
        tests.iter().map(|(number, count)| format!("I{number}: {count}")).collect();
    println!("tests of promises: {}", counts.join(", "));
    Ok(())
}

fn visit(folder: &Path, tests: &mut BTreeMap<usize, usize>) -> anyhow::Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("{} can't be read", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target" && name != "node_modules") {
                visit(&path, tests)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path)
                .with_context(|| format!("{} can't be read", path.display()))?;
            for number in numbers(&text) {
                *tests.entry(number).or_default() += 1;
            }
        }
    }
    Ok(())
}

/// Numbers that names of tests begin with: `fn i1_i2_...`.
fn numbers(text: &str) -> Vec<usize> {
    let mut found = Vec::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim_start) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
            continue;
        }
        let Some((_, name)) = line.split_once("fn ") else { continue };
        if std::mem::take(&mut is_test) {
            let parts =
                name.split('_').map_while(|part| part.strip_prefix('i')?.parse::<usize>().ok());
            found.extend(parts);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_from_names_of_tests_alone() {
        let text = "#[test]\nfn i1_i12_holds() {}\nfn i3_helps() {}\n\
                    #[tokio::test(start_paused = true)]\nasync fn i5_too() {}\n\
                    #[test]\nfn ignores_i7_later() {}\n";
        assert_eq!(numbers(text), [1, 12, 5]);
    }

    #[test]
    fn each_promise_has_a_test() {
        check(&crate::repository().unwrap()).unwrap();
    }
}
