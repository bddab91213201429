//! What a pipeline does: a clone, a copy, a commit, a push.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::ensure;

use crate::directory;

/// Where clones are, each for one deployment.
pub(crate) struct Shell {
    folder: PathBuf,
    url: String,
}

/// Shallow, as pipelines clone. What it copies has a place of its own beside what deployd
/// has there, and is not pulled.
const SCRIPT: &str = "git clone -q --depth 1 \"$1\" clone && \
    cp ../new.txt \"clone/$2/values.txt\" && \
    cd clone && git add -A && \
    git -c user.name=ci -c user.email=ci@example.com commit -qm \"deploy $2\" && \
    git push -q origin main && cd .. && rm -rf clone";

impl Shell {
    pub(crate) fn new(folder: &Path, url: &str) -> anyhow::Result<Self> {
        let folder = folder.join("shell");
        std::fs::create_dir_all(folder.join("work"))?;
        Ok(Self { folder, url: url.to_owned() })
    }

    pub(crate) fn deploy(&mut self, environment: usize, version: usize) -> anyhow::Result<()> {
        let text = format!("image: registry.test/web:{version}\n");
        std::fs::write(self.folder.join("new.txt"), text)?;
        let status = Command::new("sh")
            .args(["-c", SCRIPT, "sh", &self.url, &directory(environment)])
            .current_dir(self.folder.join("work"))
            .status()?;
        ensure!(status.success(), "the pipeline has failed");
        Ok(())
    }
}
