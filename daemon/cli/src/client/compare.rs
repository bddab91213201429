//! What can be asked about sets, and about what two deployments differ in.

use deployd_core::Name;
use deployd_core::compare::{Comparison, Side, Wanted};
use deployd_core::set::{KnownSet, MergeRequest, MergedSet, PatchRequest, SetsPage};
use deployd_core::subject::Subject;

use super::Client;
use crate::error::CliError;

impl Client {
    /// What a name stands for.
    pub async fn subject(&self, name: &Subject) -> Result<Side, CliError> {
        self.ask(self.get(&["v1", "subject"])?.query("name", Some(name))).await
    }

    /// How two subjects differ.
    pub async fn compare(
        &self,
        a: &Subject,
        b: &Subject,
        wanted: Wanted,
    ) -> Result<Comparison, CliError> {
        let asked = self
            .get(&["v1", "comparison"])?
            .query("a", Some(a))
            .query("b", Some(b))
            .query("part", wanted.part.map(|part| part.as_str()))
            .query("documents", wanted.documents.then_some(true));
        self.ask(asked).await
    }

    /// A page of an application's sets, newest first.
    pub async fn sets(
        &self,
        application: &Name,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<SetsPage, CliError> {
        let asked = self
            .get(&["v1", "sets"])?
            .query("application", Some(application))
            .query("cursor", cursor)
            .query("limit", Some(limit));
        self.ask(asked).await
    }

    /// Makes a set of another one.
    pub async fn patch_set(&self, request: &PatchRequest) -> Result<KnownSet, CliError> {
        self.ask(self.post(&["v1", "sets"])?.json(request)?).await
    }

    /// Applies what changed between two sets to a third one.
    pub async fn merge_sets(&self, request: &MergeRequest) -> Result<MergedSet, CliError> {
        self.ask(self.post(&["v1", "sets", "merge"])?.json(request)?).await
    }
}
