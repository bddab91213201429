//! A repository on disk, read by the program `git`.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// A repository on disk, bare or not.
#[derive(Debug, Clone)]
pub struct Repository(PathBuf);

impl Repository {
    /// The one in this folder.
    pub fn at(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// The commit that a revision names: a branch, or a commit itself.
    pub fn commit(&self, revision: &str) -> String {
        let wanted = format!("{revision}^{{commit}}");
        let found = self.git(&["rev-parse", "--verify", "--end-of-options", &wanted]);
        found.expect("a revision of the repository").trim().to_owned()
    }

    /// The objects of all YAML and JSON files of a directory and those below it.
    ///
    /// # Errors
    ///
    /// What a puller would say: there is no such directory, or a file can't be read.
    pub fn objects(&self, commit: &str, directory: &str) -> Result<Vec<Value>, String> {
        let directory = directory.trim_start_matches("./").trim_matches('/');
        let listed = self.git(&["ls-tree", "-r", "-z", "--name-only", commit, "--", directory])?;
        let names: Vec<&str> = listed.split('\0').filter(|name| !name.is_empty()).collect();
        if names.is_empty() {
            return Err(format!("{directory}: path not found"));
        }
        let mut objects = Vec::new();
        let is_manifest =
            |name: &&&str| [".yaml", ".yml", ".json"].iter().any(|end| name.ends_with(end));
        for name in names.iter().filter(is_manifest) {
            let text = self.git(&["show", &format!("{commit}:{name}")])?;
            let read: Vec<Value> =
                serde_saphyr::from_multiple(&text).map_err(|error| format!("{name}: {error}"))?;
            objects.extend(read.into_iter().filter(|it| !it.is_null()));
        }
        Ok(objects)
    }

    fn git(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new("git");
        command.arg("-C").arg(&self.0).args(arguments);
        // Nothing of this machine's own settings.
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        let done = command.output().expect("the program git");
        match done.status.success() {
            true => Ok(String::from_utf8(done.stdout).expect("UTF-8")),
            false => Err(String::from_utf8_lossy(&done.stderr).into_owned()),
        }
    }
}
