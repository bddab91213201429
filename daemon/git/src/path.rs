//! Paths in repositories, and names of branches.

use deployd_core::Fault;

use crate::fault;

/// The longest path: what file systems of others can check out, below a folder of theirs.
const PATH_BYTES_MAX: usize = 1_024;
/// The longest name in a path: what file systems take.
const NAME_BYTES_MAX: usize = 255;
/// The most directories that a path leads through: each is a tree to be fetched and made
/// anew.
pub(crate) const DEPTH_MAX: usize = 32;
/// The longest name of a branch: it is a file in the server's file system.
const BRANCH_BYTES_MAX: usize = 200;

/// Whether a path is one that everybody can check out, and that leads nowhere else.
pub(crate) fn check(path: &str) -> Result<(), Fault> {
    let wrong = |why: &str| {
        let shown = fault::quoted(path.as_bytes());
        Err(fault::invalid(format!("{shown:?} is no path of a file in a repository: {why}")))
    };
    if path.len() > PATH_BYTES_MAX {
        return wrong(&format!("it has more than {PATH_BYTES_MAX} bytes"));
    }
    if path.split('/').count() > DEPTH_MAX {
        return wrong(&format!("it leads through more than {DEPTH_MAX} directories"));
    }
    let options = gix_validate::path::component::Options {
        // Names of devices are no danger to whoever reads them.
        protect_windows: false,
        protect_hfs: true,
        protect_ntfs: true,
    };
    for name in path.split('/') {
        if name.is_empty() {
            return wrong("it is empty, begins or ends with a slash, or has two of them together");
        }
        if name.len() > NAME_BYTES_MAX {
            return wrong(&format!("a name in it has more than {NAME_BYTES_MAX} bytes"));
        }
        if name.chars().any(|c| c == '\\' || c.is_control()) {
            return wrong("it has a backslash or a control character in it");
        }
        if let Err(error) = gix_validate::path::component(name.as_bytes().into(), None, options) {
            return wrong(&error.to_string());
        }
    }
    Ok(())
}

/// Whether a text is the name of a branch, without `refs/heads/`.
pub(crate) fn check_branch(name: &str) -> Result<(), Fault> {
    let wrong = |why: &str| {
        let shown = fault::quoted(name.as_bytes());
        Err(fault::invalid(format!("{shown:?} is no name of a branch: {why}")))
    };
    if name.len() > BRANCH_BYTES_MAX {
        return wrong(&format!("it has more than {BRANCH_BYTES_MAX} bytes"));
    }
    // An option, to those who type it.
    if name.starts_with('-') {
        return wrong("it begins with a hyphen");
    }
    match gix_validate::reference::branch_name(reference(name).as_bytes().into()) {
        Ok(_) => Ok(()),
        Err(error) => wrong(&error.to_string()),
    }
}

/// A branch's whole name.
pub(crate) fn reference(branch: &str) -> String {
    format!("refs/heads/{branch}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_files_of_the_repository_alone() {
        for path in
            ["a", "a/b.yaml", "envs/shop/prüf/web-1.yaml", ".github/x", "a/.gitkeep", "gitx"]
        {
            assert_eq!(check(path), Ok(()), "{path}");
        }
        let (long, deep) = ("x".repeat(256), "a/".repeat(32) + "a");
        for path in [
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "a/../b",
            "./a",
            "a\\b",
            "a\nb",
            "a\0",
            ".git",
            ".git/config",
            "a/.GIT/config",
            "git~1/x",
            ".git /x",
            ".git./x",
            ".g\u{200c}it/x",
            ".git::$INDEX_ALLOCATION/x",
            &long,
            &deep,
        ] {
            assert_eq!(check(path).unwrap_err().code, "git-invalid", "{path:?}");
        }
    }

    #[test]
    fn names_of_branches_are_those_that_git_takes() {
        for name in ["main", "deployd/shop/production-17", "ä"] {
            assert_eq!(check_branch(name), Ok(()), "{name}");
        }
        for name in
            ["", "a..b", "a b", "-x", "a.lock", "a/", "/a", "a//b", "a~1", "@{x}", "HEAD", "a\nb"]
        {
            assert!(check_branch(name).is_err(), "{name:?}");
        }
    }
}
