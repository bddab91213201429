//! How the branch that an environment is pulled from differs from what was deployed.

use deployd_core::config::GitSpec;
use deployd_core::deployment::EnvironmentState;
use deployd_core::drift::{Check, Compared, Difference, Drift, Subject};
use deployd_core::plan::Manifests;
use deployd_core::ports::{BlobId, CallLog, Revision};
use deployd_core::pull;
use deployd_core::{Fault, FaultClass};
use serde_json::Value;

use crate::{EngineError, Inner};

/// The most bytes of files that others have changed and that are looked into; of more
/// it is said that they differ, and not where.
const CHANGED_BYTES_MAX: usize = 16 << 20;

/// The most differences of one file that are told.
const DIFFERENCES_MAX: usize = 20;

impl Inner {
    /// Compares our files on the branch with what was deployed. None of a branch to
    /// which nothing was brought yet.
    pub(super) async fn compare_branch(
        &self,
        git: &GitSpec,
        state: &EnvironmentState,
        manifests: &Manifests,
    ) -> Result<Vec<Compared>, EngineError> {
        let left = self.left(state.published.as_deref(), git).await?;
        if left.is_empty() {
            return Ok(Vec::new());
        }
        let (branch, log) = (self.branch(git).await?, CallLog::default());
        let repositories = &self.ports.repositories;
        let head = repositories.files(&branch, &Revision::Head, &git.path, &log).await?;
        let changed: Vec<BlobId> = left
            .iter()
            .filter_map(|(path, blob)| head.files.get(path).filter(|there| *there != blob))
            .cloned()
            .collect();
        let contents = match changed.is_empty() {
            true => Ok(std::collections::BTreeMap::new()),
            false => repositories.contents(&branch, &changed, CHANGED_BYTES_MAX, &log).await,
        };
        let contents = match contents {
            Err(fault) if fault.class == FaultClass::Invalid => Default::default(),
            other => other?,
        };
        let recorded = pull::paths(&git.path, &manifests.namespace, manifests.objects.iter())
            .map_err(|error| Fault::invalid("git-path-invalid", error.to_string()))?;
        let compared = left.iter().map(|(path, blob)| {
            let drift = match head.files.get(path) {
                Some(there) if there == blob => Vec::new(),
                None => vec![Drift::Missing],
                Some(there) => differences(recorded.get(path), contents.get(there)),
            };
            let subject = Subject::File { path: path.clone() };
            Compared { subject, check: Check::Compared(drift) }
        });
        Ok(compared.collect())
    }
}

/// Where a file differs from what was committed; all of it, where it is no document.
fn differences(recorded: Option<&Value>, there: Option<&Vec<u8>>) -> Vec<Drift> {
    let differs = |path: String, recorded: Option<Value>, live: Option<Value>| {
        let values = Difference { recorded, live, hidden: false };
        Drift::FieldDiffers { path, values, by: Vec::new() }
    };
    let text = there.and_then(|bytes| std::str::from_utf8(bytes).ok());
    let parsed = text.and_then(|text| serde_saphyr::from_str::<Value>(text).ok());
    let (Some(recorded), Some(live)) = (recorded, parsed) else {
        return vec![differs(".".to_owned(), None, None)];
    };
    let patch = json_patch::diff(recorded, &live);
    let mut found: Vec<Drift> = patch
        .0
        .iter()
        .take(DIFFERENCES_MAX)
        .map(|operation| {
            let pointer = operation.path().as_str();
            let at = |document: &Value| document.pointer(pointer).cloned();
            differs(pointer.replace('/', "."), at(recorded), at(&live))
        })
        .collect();
    if found.is_empty() {
        // Only how it is written.
        found.push(differs(".".to_owned(), None, None));
    }
    found
}
