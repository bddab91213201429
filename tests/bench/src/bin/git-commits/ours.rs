//! What the daemon does: its own client of Git, over its own way out.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::ensure;
use bench::surroundings::NoVault;
use deployd_core::Timestamp;
use deployd_core::config::HostGrant;
use deployd_core::ports::{
    BlobId, Branch, CallLog, CommitAuthor, CommitRequest, Random, Repositories, Use, Uses,
};
use deployd_egress::{Broker, System};
use deployd_git::GitRepositories;
use futures::future::try_join_all;

use crate::{ENVIRONMENTS, FILES, directory, manifest};

/// The daemon's client, and what it has left of each environment.
pub(crate) struct Ours {
    repositories: GitRepositories,
    branch: Branch,
    left: Vec<BTreeMap<String, BlobId>>,
    count: usize,
}

struct Silent;

impl Uses for Silent {
    fn record(&self, _: Use) {}
}

struct Chance;

impl Random for Chance {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(7);
    }
}

impl Ours {
    pub(crate) fn new(url: &str) -> Self {
        let egress = Arc::new(Broker::new(Arc::new(System), Arc::new(NoVault)));
        let port = url.rsplit(':').next().and_then(|rest| rest.split('/').next());
        let grant = HostGrant {
            host: "127.0.0.1".to_owned(),
            port: port.and_then(|port| port.parse().ok()).unwrap_or_default(),
            scheme: "http".to_owned(),
            private_address: true,
            ..HostGrant::default()
        };
        let branch = Branch {
            repository: url.to_owned(),
            name: "main".to_owned(),
            grants: Arc::new([grant]),
            ssh: None,
        };
        let repositories = GitRepositories::new(egress, Arc::new(Silent), Arc::new(Chance));
        Self { repositories, branch, left: vec![BTreeMap::new(); ENVIRONMENTS], count: 0 }
    }

    /// Others have written to the environments: what is theirs is taken over next.
    pub(crate) fn forget(&mut self) {
        self.left.fill(BTreeMap::new());
    }

    /// A version of each of these environments, at once.
    pub(crate) async fn deploy(&mut self, all: &[usize], version: usize) -> anyhow::Result<()> {
        let mut asked = Vec::new();
        for environment in all {
            self.count += 1;
            asked.push(self.request(*environment, version));
        }
        let repositories = &self.repositories;
        let commits = asked
            .into_iter()
            .map(|request| async move { repositories.commit(&request, &CallLog::default()).await });
        let came = try_join_all(commits).await.map_err(|fault| anyhow::anyhow!("{fault}"))?;
        for (environment, committed) in all.iter().zip(came) {
            ensure!(committed.changed, "environment {environment} was not changed");
            if let Some(left) = self.left.get_mut(*environment) {
                *left = committed.files;
            }
        }
        Ok(())
    }

    fn request(&self, environment: usize, version: usize) -> CommitRequest {
        let files = (0..FILES).map(|file| {
            let of = if file == 0 { version } else { 0 };
            let path = format!("{}/part-{file}.yaml", directory(environment));
            (path, manifest(environment, file, of).into_bytes())
        });
        CommitRequest {
            branch: self.branch.clone(),
            proposal: None,
            files: files.collect(),
            owned: self.left.get(environment).cloned().unwrap_or_default(),
            take_over: true,
            message: format!(
                "app-{environment}: deploy {version}\n\nDeployd-Environment: app-{environment}/staging\n"
            ),
            later: Vec::new(),
            key: format!("{environment}-{version}-{}", self.count),
            author: CommitAuthor { name: "deployd".into(), email: "deployd@example.com".into() },
            at: Timestamp(1_795_230_000_000 + self.count as u64),
            signing_key: None,
            again: false,
        }
    }
}
